/* The environment's settings: RUNNEL_WORKERS, RUNNEL_STACK, RUNNEL_DEBUG. */
#include "sched/detail.h"
#include "sched/sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SHOWN_MAX 40

static const struct {
    const char *word;
    uint32_t bit;
} debug_words[] = {
    {"dump", DEBUG_DUMP}, {"stall", DEBUG_STALL}, {"leak", DEBUG_LEAK},
    {"lock", DEBUG_LOCK}, {"trace", DEBUG_TRACE},
};

/* A number with nothing behind it but, where wanted, K, M or G. False when it is anything else. */
static bool parse_number(const char *text, bool with_unit, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    if (*out > (UINT64_MAX >> 30))
        return false;
    if (with_unit && *end != 0) {
        const char *units = "KMG", *unit = strchr(units, *end & ~0x20);
        if (unit == NULL)
            return false;
        *out <<= 10 * (unit - units + 1);
        end++;
    }
    return *end == 0;
}

static int read_workers(int *out)
{
    const char *text = getenv("RUNNEL_WORKERS");
    uint64_t n;

    *out = os_cpus();
    if (*out > WORKERS_MAX - SPARES_MAX)
        *out = WORKERS_MAX - SPARES_MAX;
    if (text == NULL || *text == 0)
        return 0;
    if (!parse_number(text, false, &n) || n < 1 || n > WORKERS_MAX - SPARES_MAX) {
        error_detail_set("RUNNEL_WORKERS=%s: must be a number from 1 to %d", text,
                         WORKERS_MAX - SPARES_MAX);
        return -EINVAL;
    }
    *out = (int)n;
    return 0;
}

static int read_stack(size_t *out)
{
    const char *text = getenv("RUNNEL_STACK");
    uint64_t n;

    *out = STACK_BYTES_DEFAULT;
    if (text == NULL || *text == 0)
        return 0;
    if (!parse_number(text, true, &n) || n < STACK_BYTES_MIN || n > STACK_BYTES_MAX / 4) {
        error_detail_set("RUNNEL_STACK=%s: must be a size from %uK to %uM, such as 256K or 1M",
                         text, STACK_BYTES_MIN >> 10, STACK_BYTES_MAX / 4 >> 20);
        return -EINVAL;
    }
    *out = n;
    return 0;
}

/* 0: nobody knows the word. */
static uint32_t debug_bit(const char *word, size_t length)
{
    for (size_t i = 0; i < array_size(debug_words); i++)
        if (strlen(debug_words[i].word) == length &&
            strncmp(word, debug_words[i].word, length) == 0)
            return debug_words[i].bit;
    return 0;
}

static void warn_of(const char *word, size_t length)
{
    char line[WORD_SHOWN_MAX + 80];
    int n = snprintf(line, sizeof line,
                     "runnel: RUNNEL_DEBUG: no such word, passed over: \"%.*s\"\n",
                     length < WORD_SHOWN_MAX ? (int)length : WORD_SHOWN_MAX, word);
    os_complain(line, (size_t)n);
}

/* A word that nobody knows may be for another version of the library. */
static uint32_t read_debug(void)
{
    const char *text = getenv("RUNNEL_DEBUG");
    uint32_t bits = 0;

    while (text != NULL && *text != 0) {
        size_t length = strcspn(text, ",");
        uint32_t bit = debug_bit(text, length);
        if (bit == 0 && length > 0)
            warn_of(text, length);
        bits |= bit;
        text += length;
        text += *text == ',';
    }
    return bits;
}

int env_read(struct env *out)
{
    int err = read_workers(&out->workers);
    if (err == 0)
        err = read_stack(&out->stack);
    out->debug = read_debug();
    return err;
}
