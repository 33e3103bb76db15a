/* One line about one fiber; see dump.c. */
#ifndef RN_DEBUG_DUMP_H
#define RN_DEBUG_DUMP_H

struct fiber;

void dump_fiber(int fd, const struct fiber *fiber);

#endif
