/*
 * Dates in requests: the form of RFC 1123, and the two older ones that RFC 9110 has servers read.
 */
#define _GNU_SOURCE /* timegm */
#include "date.h"

#include <string.h>

/* Two or four digits; in asctime's form a space may stand for the first. -1: something else. */
static int digits(const char **at, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        char c = (*at)[i];
        if (i == 0 && c == ' ')
            c = '0';
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += n;
    return value;
}

static int month(const char **at)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++) {
        if (strncmp(*at, names + 3 * i, 3) == 0) {
            *at += 3;
            return i;
        }
    }
    return -1;
}

static bool literal(const char **at, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool time_of_day(const char **at, struct tm *tm)
{
    return (tm->tm_hour = digits(at, 2)) >= 0 && literal(at, ":") &&
           (tm->tm_min = digits(at, 2)) >= 0 && literal(at, ":") &&
           (tm->tm_sec = digits(at, 2)) >= 0 && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec <= 60;
}

/* "06 Nov 1994 08:49:37 GMT", behind the day's name. */
static bool read_fixed(const char *at, struct tm *tm)
{
    int year;

    if ((tm->tm_mday = digits(&at, 2)) < 0 || !literal(&at, " ") || (tm->tm_mon = month(&at)) < 0 ||
        !literal(&at, " ") || (year = digits(&at, 4)) < 0)
        return false;
    tm->tm_year = year - 1900;
    return literal(&at, " ") && time_of_day(&at, tm) && strcmp(at, " GMT") == 0;
}

/* "06-Nov-94 08:49:37 GMT"; a year that would be more than 50 years ahead is of the past. */
static bool read_rfc850(const char *at, struct tm *tm)
{
    struct tm now;
    time_t second = time(NULL);
    int year;

    if ((tm->tm_mday = digits(&at, 2)) < 0 || !literal(&at, "-") || (tm->tm_mon = month(&at)) < 0 ||
        !literal(&at, "-") || (year = digits(&at, 2)) < 0 || gmtime_r(&second, &now) == NULL)
        return false;
    tm->tm_year = now.tm_year / 100 * 100 + year;
    if (tm->tm_year > now.tm_year + 50)
        tm->tm_year -= 100;
    return literal(&at, " ") && time_of_day(&at, tm) && strcmp(at, " GMT") == 0;
}

/* "Nov  6 08:49:37 1994" */
static bool read_asctime(const char *at, struct tm *tm)
{
    int year;

    if ((tm->tm_mon = month(&at)) < 0 || !literal(&at, " ") || (tm->tm_mday = digits(&at, 2)) < 0 ||
        !literal(&at, " ") || !time_of_day(&at, tm) || !literal(&at, " ") ||
        (year = digits(&at, 4)) < 0)
        return false;
    tm->tm_year = year - 1900;
    return *at == 0;
}

bool date_read(const char *text, time_t *out)
{
    struct tm tm = {0};
    const char *comma = strchr(text, ',');
    bool ok;

    if (comma == NULL)
        ok = strlen(text) > 4 && read_asctime(text + 4, &tm);
    else if (comma[1] != ' ')
        ok = false;
    else
        ok = comma - text == 3 ? read_fixed(comma + 2, &tm) : read_rfc850(comma + 2, &tm);
    if (!ok || tm.tm_mday < 1 || tm.tm_mday > 31)
        return false;
    *out = timegm(&tm);
    return true;
}
