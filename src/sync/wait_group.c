/*
 * Wait group: one word of twice the counter plus a flag that says that somebody waits.
 *
 * Whoever waits may free the memory the moment the counter is 0, so the last done must not touch it
 * after that. Without the flag its compare-and-swap to 0 is its last touch. With the flag it brings
 * the word to 0 under the spin lock, and wait always passes through the spin lock: it cannot return
 * before that done has let go of it.
 *
 * Invariants: the flag is changed only under the spin lock; the word goes from "1 and flag" to 0
 * only under the spin lock; somebody is queued only while the flag is set.
 */
#include "base/check.h"
#include "sync/wake.h"

#include <runnel/wait_group.h>

#define WAITED ((int64_t)1)
#define ONE ((int64_t)2)

struct __attribute__((may_alias)) wait_group {
    atomic_i64 word;
    SPINLOCK(lock, wait_group_lock); /* guards waiters and the flag in word */
    struct waitq waiters;
};

_Static_assert(sizeof(struct wait_group) == sizeof(rn_wait_group), "rn_wait_group's size is wrong");
_Static_assert(_Alignof(struct wait_group) == _Alignof(rn_wait_group), "its alignment is wrong");

static struct wait_group *wait_group_of(rn_wait_group *wg)
{
    return (struct wait_group *)wg;
}

/*
 * Brings the word from expected to 0 while somebody waits. False when it has changed: look again.
 */
static bool release_waiters(struct wait_group *wg, int64_t expected)
{
    struct list woken = {NULL, NULL};
    bool released;

    spin_lock(&wg->lock);
    released = cas_seq(&wg->word, &expected, 0);
    if (released)
        waitq_take_all(&wg->waiters, &woken);
    spin_unlock(&wg->lock); /* the last touch: waiters may be gone with the memory from here on */
    wake_all(&woken, 0);
    return released;
}

static inline void change(struct wait_group *wg, int64_t delta)
{
    int64_t word = load_relaxed(&wg->word);

    for (;;) {
        CHECK(word + delta >= 0, "wait group %p: the counter would fall below 0", (void *)wg);
        if (unlikely(word + delta == WAITED)) {
            if (release_waiters(wg, word))
                return;
            word = load_relaxed(&wg->word);
        } else if (cas_seq(&wg->word, &word, word + delta)) { /* E44: publishes what was done */
            return;
        }
    }
}

RN_API void rn_wait_group_add(rn_wait_group *wg, int n)
{
    change(wait_group_of(wg), n * ONE);
}

RN_API void rn_wait_group_done(rn_wait_group *wg)
{
    change(wait_group_of(wg), -ONE);
}

/* A waiter gave up: without it the last done need not look for anybody. */
static void forsake(struct wait_group *wg)
{
    spin_lock(&wg->lock);
    if (waitq_empty(&wg->waiters))
        and_seq(&wg->word, ~WAITED);
    spin_unlock(&wg->lock);
}

RN_API int rn_wait_group_wait(rn_ctx *ctx, rn_wait_group *group)
{
    struct wait_group *wg = wait_group_of(group);
    struct waiter waiter;
    int64_t word;
    int result;

    spin_lock(&wg->lock);
    word = load_acquire(&wg->word); /* pairs with E44 */
    if (word != 0 && unlikely(waitq_not_ready(&wg->lock)))
        return rn_wait_group_wait(ctx, group);
    do {
        if (word == 0) {
            spin_unlock(&wg->lock);
            return 0;
        }
    } while (!cas_seq(&wg->word, &word, word | WAITED));
    result = waitq_wait(ctx, &wg->waiters, &wg->lock, &waiter, WAIT_WAIT_GROUP);
    if (result != 0)
        forsake(wg);
    return result;
}

RN_API size_t rn_wait_group_count(const rn_wait_group *group)
{
    const struct wait_group *wg = (const struct wait_group *)group;

    return (size_t)(load_acquire(&wg->word) / ONE); /* pairs with E44: who reads 0 sees it all */
}
