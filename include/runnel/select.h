/*
 * rn_select - wait for the first of several things, and do exactly that one.
 *
 *     switch (rn_select(ctx, rn_on_recv(replies, &reply),
 *                            rn_on_send(requests, next),
 *                            rn_on_timeout(50 * RN_MILLISECOND))) {
 *     case 0:  ...
 *     case 1:  ...
 *     case 2:  ...                    timed out
 *     default: ...                    negative: ctx ended
 *     }
 *
 * One pass under all the locks decides, so a select sees one instant. Of several ready cases one is
 * chosen at random, each as likely. It parks; it never polls.
 *
 * Lifetime
 * 1. Channels, contexts and handles named in the cases must live until the select returns.
 * 2. Cases that did not fire leave no trace.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_SELECT_H
#define RUNNEL_SELECT_H

#include <runnel/chan.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/time.h>

RN_BEGIN_DECLS

typedef struct rn_group rn_group;

/* What a case waits for. Made by the rn_on_ macros. */
enum rn_case_kind {
    RN_CASE_NONE, /* never fires; a place holder in an array */
    RN_CASE_SEND,
    RN_CASE_RECV,
    RN_CASE_DEFAULT,
    RN_CASE_TIMEOUT,
    RN_CASE_DONE,
    RN_CASE_FD
};

typedef struct rn_case {
    enum rn_case_kind kind;
    int events;           /* RN_CASE_FD: RN_READABLE, RN_WRITABLE or both */
    struct rn_chan *chan; /* RN_CASE_SEND, RN_CASE_RECV; NULL is never chosen */
    void *value;          /* the element's place; may be NULL for a receive */
    int *code;            /* when not NULL: 0 for a value, RN_ECLOSED for the close */
    rn_duration timeout;  /* RN_CASE_TIMEOUT: ns from the start of the select */
    rn_ctx *ctx;          /* RN_CASE_DONE */
    rn_fd fd;             /* RN_CASE_FD */
} rn_case;

/* Flags of rn_select_n. */
#define RN_SELECT_IN_ORDER 1u /* the first ready case in the array's order, not a random one */

/*
 * rn_on_recv, rn_on_recv_code - a case that receives into *value.
 *
 * Fires on a value and on the close; rn_on_recv_code stores 0 or RN_ECLOSED in *code to tell which.
 */
#define rn_on_recv(ch, value_)                                                                     \
    ((rn_case){                                                                                    \
        .kind = RN_CASE_RECV, .chan = rn_chan_untyped(ch), .value = RN_ELEMENT_PTR(ch, value_)})
#define rn_on_recv_code(ch, value_, code_)                                                         \
    ((rn_case){.kind = RN_CASE_RECV,                                                               \
               .chan = rn_chan_untyped(ch),                                                        \
               .value = RN_ELEMENT_PTR(ch, value_),                                                \
               .code = (code_)})

/*
 * rn_on_send, rn_on_send_code - a case that sends a value.
 *
 * Fires when sent and on the close (nothing is sent then); rn_on_send_code tells which, in *code,
 * and takes the code's place before the value.
 */
#define rn_on_send(ch, ...)                                                                        \
    ((rn_case){.kind = RN_CASE_SEND,                                                               \
               .chan = rn_chan_untyped(ch),                                                        \
               .value = (void *)(RN_ELEMENT(ch)[1]){__VA_ARGS__}})
#define rn_on_send_code(ch, code_, ...)                                                            \
    ((rn_case){.kind = RN_CASE_SEND,                                                               \
               .chan = rn_chan_untyped(ch),                                                        \
               .code = (code_),                                                                    \
               .value = (void *)(RN_ELEMENT(ch)[1]){__VA_ARGS__}})

/*
 * rn_on_timeout - a case that fires d nanoseconds after the select began; d <= 0: at once.
 */
#define rn_on_timeout(d) ((rn_case){.kind = RN_CASE_TIMEOUT, .timeout = (d)})

/*
 * rn_on_done - a case that fires when another context has ended. NULL never ends.
 */
#define rn_on_done(ctx_) ((rn_case){.kind = RN_CASE_DONE, .ctx = (ctx_)})

/*
 * rn_on_fd - a case that fires when a handle can be read or written, or is closed: the next call on
 * it says which. events is RN_READABLE, RN_WRITABLE or both.
 */
#define rn_on_fd(fd_, events_) ((rn_case){.kind = RN_CASE_FD, .fd = (fd_), .events = (events_)})

/*
 * rn_on_group - a case that fires when every fiber of a group has ended.
 *
 * The group must still be waited for. For NULL, the group for which there was no memory, it fires
 * at once: none of its fibers runs, and its wait says -ENOMEM.
 */
#define rn_on_group(g) rn_group_case((g))
RN_API rn_case rn_group_case(rn_group *g);

/*
 * rn_default - a case that is taken when no other is ready: the select does not wait.
 */
#define rn_default ((rn_case){.kind = RN_CASE_DEFAULT})

/*
 * rn_select - wait for one of the listed cases. See the head of this file.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber, until a case fires or ctx ends; never with rn_default.
 * Returns  0..n-1       the index of the case that fired
 *          -ECANCELED   ctx was cancelled, and no case fired
 *          -ETIMEDOUT   ctx's deadline passed, and no case fired
 *          -ENOMEM      out of memory, of which it needs some for more than 16 cases, for
 *                       descriptors, and for a receive into NULL
 */
#define rn_select(ctx, ...)                                                                        \
    rn_select_n((ctx), (rn_case[]){__VA_ARGS__},                                                   \
                sizeof((rn_case[]){__VA_ARGS__}) / sizeof(rn_case), 0)

/*
 * rn_select_n - the same for a list built at run time.
 *
 * With n = 0 it waits for ctx alone, for ever when that is NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_select.
 * Returns  as rn_select, and
 *          -EINVAL      an unknown kind or flag, or more than one default
 * Cost     no allocation up to 16 cases of which none is a descriptor's or a receive into NULL.
 */
RN_API int rn_select_n(rn_ctx *ctx, rn_case *cases, size_t n, unsigned flags);

RN_END_DECLS

#endif
