/*
 * Durations as people write them. Digits are counted in integers, so that 0.1s is exactly 100 ms.
 */
#include "duration.h"

#include <stdio.h>
#include <string.h>

enum { FRACTION_DIGITS_MAX = 9 };

static const struct unit {
    const char *name;
    rn_duration length;
} units[] = {
    {"", RN_SECOND},  {"us", RN_MICROSECOND}, {"ms", RN_MILLISECOND}, {"s", RN_SECOND},
    {"m", RN_MINUTE}, {"h", RN_HOUR},         {"d", 24 * RN_HOUR},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

/* Moves *word over its digits. Returns false when they do not fit. */
static bool take_whole(const char **word, int64_t *whole)
{
    for (*whole = 0; is_digit(**word); (*word)++)
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, **word - '0', whole))
            return false;
    return true;
}

/* Moves *word over a fraction; digits beyond a billionth are cut. */
static void take_fraction(const char **word, int64_t *fraction, int64_t *scale)
{
    *fraction = 0;
    *scale = 1;
    for (int digits = 0; is_digit(**word); (*word)++, digits++) {
        if (digits >= FRACTION_DIGITS_MAX)
            continue;
        *fraction = *fraction * 10 + (**word - '0');
        *scale *= 10;
    }
}

/* fraction / scale of a unit; the unit is split first where the product would not fit. */
static int64_t part_of(int64_t length, int64_t fraction, int64_t scale)
{
    int64_t part;

    if (!__builtin_mul_overflow(length, fraction, &part))
        return part / scale;
    return (int64_t)((double)length * ((double)fraction / (double)scale));
}

int duration_parse(const char *word, rn_duration *out)
{
    int64_t whole, fraction = 0, scale = 1;
    const char *start = word;
    const struct unit *unit;

    if (!take_whole(&word, &whole))
        return -ERANGE;
    bool digits = word != start;
    if (*word == '.') {
        word++;
        digits = digits || is_digit(*word);
        take_fraction(&word, &fraction, &scale);
    }
    unit = find_unit(word);
    if (!digits || unit == NULL)
        return -EINVAL;
    if (__builtin_mul_overflow(whole, unit->length, out) ||
        __builtin_add_overflow(*out, part_of(unit->length, fraction, scale), out))
        return -ERANGE;
    return 0;
}

void duration_format(char *to, size_t room, rn_duration d)
{
    long long seconds = d / RN_SECOND;

    if (d < 0)
        d = seconds = 0;
    if (d < 10 * RN_SECOND)
        snprintf(to, room, "%lld.%lld s", seconds, (long long)(d % RN_SECOND / (RN_SECOND / 10)));
    else if (seconds < 60)
        snprintf(to, room, "%lld s", seconds);
    else if (seconds < 3600)
        snprintf(to, room, "%lldm%02llds", seconds / 60, seconds % 60);
    else
        snprintf(to, room, "%lldh%02lldm", seconds / 3600, seconds % 3600 / 60);
}
