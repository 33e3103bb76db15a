/*
 * rn_signal - Unix signals as values in a channel, and as the end of a context.
 *
 *     rn_chan(int) signals = rn_chan_make(int, 4);
 *     int number;
 *
 *     rn_signal_notify(signals, SIGINT, SIGTERM);
 *     rn_recv(NULL, signals, &number);
 *     rn_signal_stop(signals);
 *     rn_chan_release(signals);
 *
 * or, where one signal is to end everything:
 *
 *     rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGINT, SIGTERM);
 *     serve(ctx);                              rn_error_signal(rn_ctx_cause(ctx)) says which
 *     rn_ctx_release(ctx);
 *
 * Lifetime
 * 1. The first subscription to a signal replaces what the program does on it; after the last one is
 *    gone the disposition that was there before is there again.
 * 2. A subscription holds a reference to its channel until rn_signal_stop or rn_signal_reset.
 * 3. Values are sent without waiting: a channel without room misses the signal. Give it room for
 *    those that must not be missed; 1 is enough to know that there was one.
 * 4. When the runtime stops, all subscriptions end. What is ignored stays ignored.
 *
 * A signal reaches a thread that does not block it. The workers block them all; the thread that
 * called rn_run normally blocks none. So what a fiber sends to its own thread, by raise(3), waits
 * there for ever: kill(getpid(), number) is what reaches the program.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_SIGNAL_H
#define RUNNEL_SIGNAL_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <signal.h>
#include <stddef.h>

RN_BEGIN_DECLS

/* A list of numbers as two arguments: array and count. */
#define RN_SIGNALS(...) (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)

/*
 * rn_signal_notify, rn_signal_notify_n - send each signal of the list to a channel of int.
 *
 * rn_signal_notify(ch, SIGINT, SIGTERM). Further calls for the same channel add signals. Several
 * channels may ask for one signal: each gets it.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         subscribed to all of them
 *          -EINVAL   the list is empty, ch is NULL or not of int, a number is no signal, or one
 *                    that cannot be taken: SIGKILL, SIGSTOP, and those that a fault raises
 *                    (SIGSEGV, SIGBUS, SIGFPE, SIGILL)
 *          -ENOMEM   out of memory
 *          -EMFILE   no descriptor could be had to wake the poller; -ENFILE likewise
 *          On every error nothing has changed.
 */
#define rn_signal_notify(ch, ...)                                                                  \
    rn_signal_notify_n(((void)RN_ELEMENT_PTR(ch, (int[1]){0}), rn_chan_untyped(ch)),               \
                       RN_SIGNALS(__VA_ARGS__))
RN_API int rn_signal_notify_n(struct rn_chan *ch, const int *signals, size_t n);

/*
 * rn_signal_stop - end every subscription of a channel.
 *
 * When it returns, the channel gets no more signals, and dispositions that nobody needs are as
 * before.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         it was subscribed
 *          -ENOENT   it was not
 */
#define rn_signal_stop(ch) rn_signal_stop_untyped(rn_chan_untyped(ch))
RN_API int rn_signal_stop_untyped(struct rn_chan *ch);

/*
 * rn_signal_ignore, rn_signal_ignore_n - end every subscription to these signals, and ignore them.
 *
 * Programs that are started afterwards ignore them too.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0 or -EINVAL, as rn_signal_notify.
 * See      rn_signal_reset
 */
#define rn_signal_ignore(...) rn_signal_ignore_n(RN_SIGNALS(__VA_ARGS__))
RN_API int rn_signal_ignore_n(const int *signals, size_t n);

/*
 * rn_signal_reset, rn_signal_reset_n - end every subscription to these signals, and undo
 * rn_signal_ignore.
 *
 * Their dispositions are again what they were before this library changed them.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0 or -EINVAL, as rn_signal_notify.
 */
#define rn_signal_reset(...) rn_signal_reset_n(RN_SIGNALS(__VA_ARGS__))
RN_API int rn_signal_reset_n(const int *signals, size_t n);

/*
 * rn_ctx_with_signals, rn_ctx_with_signals_n - a child context that ends when one of these signals
 * comes.
 *
 * rn_ctx_with_signals(parent, SIGINT, SIGTERM). rn_ctx_err is -ECANCELED then, and rn_ctx_cause is
 * RN_ESIGNAL minus the signal's number. The subscription ends when the context does: the next
 * signal has the effect that it had before, so that a second Ctrl-C ends a program that hangs.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  the child, released by the caller, or NULL when out of memory, out of descriptors, or
 *          when the list is one that rn_signal_notify would refuse (rn_error_detail says which).
 */
#define rn_ctx_with_signals(parent, ...) rn_ctx_with_signals_n((parent), RN_SIGNALS(__VA_ARGS__))
RN_API rn_ctx *rn_ctx_with_signals_n(rn_ctx *parent, const int *signals, size_t n);

RN_END_DECLS

#endif
