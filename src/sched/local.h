/* Fiber-local variables, for who ends a fiber. The public side is runnel/fiber.h. */
#ifndef RN_SCHED_LOCAL_H
#define RN_SCHED_LOCAL_H

struct fiber;

/*
 * Destroys the fiber's values and forgets them; on the fiber itself, or on the thread whose
 * stand-in it is.
 */
void locals_destroy(struct fiber *fiber);

#endif
