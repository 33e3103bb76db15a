/*
 * What a dump says, as text.
 */
#ifndef RN_TESTS_KIT_DUMP_TEXT_H
#define RN_TESTS_KIT_DUMP_TEXT_H

#include <runnel/debug.h>

#include <stdlib.h>
#include <unistd.h>

/* The first size - 1 bytes of a dump, which must fit a pipe. */
static inline void dump_text(char *text, size_t size)
{
    size_t used = 0;
    ssize_t n;
    int ends[2];

    if (pipe(ends) != 0)
        abort();
    rn_dump(ends[1]);
    close(ends[1]);
    while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    close(ends[0]);
    text[used] = '\0';
}

#endif
