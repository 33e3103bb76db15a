/* Pieces of text; see text.h. */
#include "text.h"

#define ALL (BYTE_TOKEN | BYTE_VALUE | BYTE_TARGET | BYTE_HOST)
#define NAME (BYTE_TOKEN | BYTE_VALUE | BYTE_TARGET)

const uint8_t byte_kinds[256] = {
    ['\t'] = BYTE_VALUE,
    [' '] = BYTE_VALUE,
    ['0' ... '9'] = ALL,
    ['A' ... 'Z'] = ALL,
    ['a' ... 'z'] = ALL,
    ['!'] = ALL,
    ['#'] = BYTE_TOKEN | BYTE_VALUE,
    ['$'] = ALL,
    ['%'] = ALL,
    ['&'] = ALL,
    ['\''] = ALL,
    ['*'] = ALL,
    ['+'] = ALL,
    ['-'] = ALL,
    ['.'] = ALL,
    ['^'] = NAME,
    ['_'] = ALL,
    ['`'] = NAME,
    ['|'] = NAME,
    ['~'] = ALL,
    ['"'] = BYTE_VALUE | BYTE_TARGET,
    ['('] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    [')'] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    [','] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    ['/'] = BYTE_VALUE | BYTE_TARGET,
    [':'] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    [';'] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    ['<'] = BYTE_VALUE | BYTE_TARGET,
    ['='] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    ['>'] = BYTE_VALUE | BYTE_TARGET,
    ['?'] = BYTE_VALUE | BYTE_TARGET,
    ['@'] = BYTE_VALUE | BYTE_TARGET,
    ['['] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    ['\\'] = BYTE_VALUE | BYTE_TARGET,
    [']'] = BYTE_VALUE | BYTE_TARGET | BYTE_HOST,
    ['{'] = BYTE_VALUE | BYTE_TARGET,
    ['}'] = BYTE_VALUE | BYTE_TARGET,
    [0x80 ... 0xff] = BYTE_VALUE,
};

bool text_next(struct text *list, struct text *element)
{
    if (list->at == NULL)
        return false;
    char *comma = memchr(list->at, ',', list->length);
    size_t length = comma == NULL ? list->length : (size_t)(comma - list->at);

    *element = text_trim((struct text){list->at, length});
    list->at = comma == NULL ? NULL : comma + 1;
    list->length -= length + (comma != NULL);
    return true;
}

int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t text_decimal(char *to, uint64_t n)
{
    char digits[20];
    size_t length = 0;

    do {
        digits[sizeof digits - ++length] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    memcpy(to, digits + sizeof digits - length, length);
    return length;
}

int64_t text_decode(char *to, const char *from, size_t length, bool plus)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        char c = from[i];
        if (c == '%') {
            int high = i + 2 < length ? text_hex_digit(from[i + 1]) : -1;
            int low = i + 2 < length ? text_hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[n++] = c;
    }
    return (int64_t)n;
}
