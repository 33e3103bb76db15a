/* The time of day as HTTP writes it; see date.h. */
#include "date.h"

#include <string.h>

static void put_digits(char *to, int n)
{
    to[0] = (char)('0' + n / 10);
    to[1] = (char)('0' + n % 10);
}

/* By hand: strftime would write the names of days in the program's language. */
void date_text(time_t second, char text[DATE_BYTES + 1])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;

    memcpy(text, "Sun, 00 Jan 0000 00:00:00 GMT", DATE_BYTES + 1);
    if (gmtime_r(&second, &tm) == NULL)
        return;
    memcpy(text, days + 3 * tm.tm_wday, 3);
    put_digits(text + 5, tm.tm_mday);
    memcpy(text + 8, months + 3 * tm.tm_mon, 3);
    put_digits(text + 12, (tm.tm_year + 1900) / 100 % 100);
    put_digits(text + 14, (tm.tm_year + 1900) % 100);
    put_digits(text + 17, tm.tm_hour);
    put_digits(text + 20, tm.tm_min);
    put_digits(text + 23, tm.tm_sec);
}

const char *date_now(struct date *date)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != date->second) {
        date->second = now.tv_sec;
        date_text(now.tv_sec, date->text);
    }
    return date->text;
}
