/*
 * Knowing, without sleeping, that fibers wait for something: the dump says what each is doing.
 */
#ifndef RN_TESTS_SYNC_WAITING_H
#define RN_TESTS_SYNC_WAITING_H

#include <runnel/debug.h>
#include <runnel/fiber.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DUMP_BYTES_MAX 60000 /* fits a pipe: some hundred fibers */

/* How many fibers wait for this reason, in the words of the dump. */
static inline int waiting_for(const char *reason)
{
    char *text = calloc(1, DUMP_BYTES_MAX + 1), words[64];
    size_t used = 0;
    ssize_t n;
    int ends[2], count = 0;

    if (text == NULL || pipe(ends) != 0)
        abort();
    rn_dump(ends[1]);
    close(ends[1]);
    while (used < DUMP_BYTES_MAX && (n = read(ends[0], text + used, DUMP_BYTES_MAX - used)) > 0)
        used += (size_t)n;
    close(ends[0]);
    snprintf(words, sizeof words, "[%s]", reason);
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    free(text);
    return count;
}

/* Returns when n fibers wait for this reason. */
static inline void await_waiting(const char *reason, int n)
{
    while (waiting_for(reason) < n)
        rn_yield();
}

#endif
