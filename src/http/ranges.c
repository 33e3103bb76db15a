/* The field Range; see ranges.h. */
#include "ranges.h"

#include "text.h"

#include <errno.h>

/* Digits to a number that stays at its largest. false: not digits alone. */
static bool number(struct text t, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < t.length; i++) {
        if (t.at[i] < '0' || t.at[i] > '9')
            return false;
        unsigned digit = (unsigned)(t.at[i] - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return t.length > 0;
}

/* One of "3-7", "3-", "-7". 1: in *out, 0: not in the file, -1: malformed. */
static int read_one(struct text t, uint64_t file_size, struct range *out)
{
    char *dash = memchr(t.at, '-', t.length);
    uint64_t first, last = UINT64_MAX;

    if (dash == NULL)
        return -1;
    struct text from = {t.at, (size_t)(dash - t.at)};
    struct text to = {dash + 1, t.length - from.length - 1};
    if (to.length > 0 && !number(to, &last))
        return -1;
    if (from.length == 0) { /* the last bytes of the file */
        if (to.length == 0)
            return -1;
        out->size = last < file_size ? last : file_size;
        out->first = file_size - out->size;
        return last > 0;
    }
    if (!number(from, &first) || first > last)
        return -1;
    if (first >= file_size)
        return 0;
    *out = (struct range){first, (last < file_size ? last + 1 : file_size) - first};
    return 1;
}

int ranges_read(const char *value, uint64_t file_size, struct range ranges[RANGES_MAX])
{
    static const char unit[] = "bytes=";
    struct text list = {(char *)value, strlen(value)}, one;
    uint64_t all = 0;
    size_t asked = 0;
    int n = 0;

    if (strncasecmp(value, unit, sizeof unit - 1) != 0 || file_size == 0)
        return 0;
    list.at += sizeof unit - 1;
    list.length -= sizeof unit - 1;
    while (text_next(&list, &one)) {
        if (one.length == 0)
            continue;
        if (++asked > RANGES_MAX)
            return 0;
        int is = read_one(one, file_size, &ranges[n]);
        if (is < 0)
            return -ERANGE;
        if (is > 0)
            all += ranges[n++].size;
    }
    if (n == 0)
        return -ERANGE;
    return all > file_size ? 0 : n;
}
