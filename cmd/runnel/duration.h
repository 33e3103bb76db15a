/*
 * Durations as people write them: 500ms, 10s, 1.5m, 1h.
 */
#ifndef CMD_DURATION_H
#define CMD_DURATION_H

#include <runnel.h>
#include <stddef.h>

/*
 * Reads a whole word as a duration; a number without a unit is seconds, as in sleep(1).
 * Returns 0, -EINVAL when it is no duration, -ERANGE when it is too long to count.
 */
int duration_parse(const char *word, rn_duration *out);

/* Writes d for people, in at most 16 bytes: 0.4 s, 12 s, 3m07s, 2h05m. */
void duration_format(char *to, size_t room, rn_duration d);

#endif
