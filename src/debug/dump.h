/* One line about one fiber; see dump.c. */
#ifndef RN_DEBUG_DUMP_H
#define RN_DEBUG_DUMP_H

#include <runnel/fiber.h>
#include <stdbool.h>

struct fiber;

/* False: it has ended, and nothing of it is left. */
bool dump_fiber(int fd, const struct fiber *fiber);
/* The same for one that has not begun to run, by what was noted of it. */
void dump_unborn(int fd, uint64_t id, const rn_site *site);

/* What the workers did last, with RUNNEL_DEBUG=trace. */
void dump_trace(int fd);

#endif
