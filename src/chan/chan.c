/*
 * Channels. The public side is runnel/chan.h; the invariants are in chan.h.
 *
 * A waiter lives on the waiting stack and holds the place of its element: a sender that finds a
 * receiver copies straight into the receiver's variable, and the other way round. Who is woken goes
 * into the run queue's slot and the waker runs on, so a buffered channel is filled or drained with
 * one switch.
 */
#include "chan/chan.h"

#include "base/check.h"
#include "sched/detail.h"
#include "wait/ctx.h"

#include <errno.h>
#include <stdlib.h>

/* Of a value that nobody wants: so large may it be on the receiver's stack. */
#define DROPPED_BYTES_INLINE 256

/* ---- moving elements ---- */

static inline void copy_element(void *to, const void *from, size_t size)
{
    switch (size) {
    case 0:
        return;
    case 4:
        memcpy(to, from, 4);
        return;
    case 8:
        memcpy(to, from, 8);
        return;
    case 16:
        memcpy(to, from, 16);
        return;
    default:
        memcpy(to, from, size);
    }
}

static inline void *slot(struct rn_chan *ch, size_t index)
{
    return ch->elements + index * ch->element_size;
}

static inline void buffer_push(struct rn_chan *ch, const void *value)
{
    size_t tail = ch->head + ch->count;
    if (tail >= ch->capacity)
        tail -= ch->capacity;
    copy_element(slot(ch, tail), value, ch->element_size);
    ch->count++;
}

static inline void buffer_pop(struct rn_chan *ch, void *value)
{
    copy_element(value, slot(ch, ch->head), ch->element_size);
    if (++ch->head == ch->capacity)
        ch->head = 0;
    ch->count--;
}

static inline struct waiter *pop_waiter(struct waitq *queue)
{
    return waitq_empty(queue) ? NULL : waitq_pop(queue);
}

enum chan_step chan_send_step(struct rn_chan *ch, const void *value, struct waiter **wake)
{
    *wake = NULL;
    if (unlikely(ch->closed))
        return CHAN_CLOSED;
    struct waiter *receiver = pop_waiter(&ch->receivers);
    if (receiver != NULL) {
        copy_element(receiver->value, value, ch->element_size);
        *wake = receiver;
        return CHAN_MOVED;
    }
    if (ch->count == ch->capacity)
        return CHAN_BLOCKED;
    buffer_push(ch, value);
    return CHAN_MOVED;
}

enum chan_step chan_recv_step(struct rn_chan *ch, void *value, struct waiter **wake)
{
    *wake = NULL;
    if (ch->count > 0) {
        buffer_pop(ch, value);
        *wake = pop_waiter(&ch->senders);
        if (*wake != NULL)
            buffer_push(ch, (*wake)->value);
        return CHAN_MOVED;
    }
    struct waiter *sender = pop_waiter(&ch->senders);
    if (sender != NULL) {
        copy_element(value, sender->value, ch->element_size);
        *wake = sender;
        return CHAN_MOVED;
    }
    return ch->closed ? CHAN_CLOSED : CHAN_BLOCKED;
}

static inline void finish(struct waiter *wake)
{
    if (wake != NULL)
        waiter_wake(wake, 0);
    budget_spend();
}

/* ---- sending ---- */

static int send_blocked(rn_ctx *ctx, struct rn_chan *ch, const void *value)
{
    struct waiter waiter;

    if (unlikely(waitq_not_ready(&ch->lock)))
        return rn_chan_send(ctx, ch, value);
    waiter.value = (void *)value;
    chan_set_ready(ch, (load_relaxed(&ch->ready) & CHAN_CAN_BITS) | CHAN_CAN_RECV);
    return waitq_wait(ctx, &ch->senders, &ch->lock, &waiter, WAIT_CHAN_SEND);
}

int rn_chan_send(rn_ctx *ctx, struct rn_chan *ch, const void *value)
{
    struct waiter *wake;
    int err = ctx_err(ctx);

    if (unlikely(err != 0))
        return err;
    if (unlikely(ch == NULL))
        return wait_forever(ctx, WAIT_CHAN_NULL);
    spin_lock(&ch->lock);
    switch (chan_send_step(ch, value, &wake)) {
    case CHAN_MOVED:
        chan_unlock(ch);
        finish(wake);
        return 0;
    case CHAN_CLOSED:
        spin_unlock(&ch->lock);
        return RN_ECLOSED;
    default:
        return send_blocked(ctx, ch, value);
    }
}

int rn_chan_try_send(struct rn_chan *ch, const void *value)
{
    struct waiter *wake;

    if (ch == NULL || !(load_relaxed(&ch->ready) & CHAN_CAN_SEND))
        return -EAGAIN;
    spin_lock(&ch->lock);
    enum chan_step step = chan_send_step(ch, value, &wake);
    chan_unlock(ch);
    if (step != CHAN_MOVED)
        return step == CHAN_CLOSED ? RN_ECLOSED : -EAGAIN;
    finish(wake);
    return 0;
}

/* As many of n values as need no waiting; those woken are chained. With the lock held. */
static size_t send_some(struct rn_chan *ch, const unsigned char *values, size_t n,
                        struct list *woken)
{
    size_t sent = 0;
    for (; sent < n; sent++) {
        struct waiter *wake;
        if (chan_send_step(ch, values + sent * ch->element_size, &wake) != CHAN_MOVED)
            break;
        if (wake != NULL)
            list_push_back(woken, &wake->node);
    }
    return sent;
}

static void wake_all(struct list *woken, int result)
{
    struct list_node *node;
    while ((node = list_pop_front(woken)) != NULL)
        waiter_wake(container_of(node, struct waiter, node), result);
}

ptrdiff_t rn_chan_send_n(rn_ctx *ctx, struct rn_chan *ch, const void *values, size_t n)
{
    const unsigned char *bytes = values;
    size_t sent = 0;
    int err = 0;

    if (n == 0)
        return 0;
    while (sent < n && err == 0) {
        struct list woken = {0};
        if ((err = ctx_err(ctx)) != 0)
            break;
        if (ch == NULL)
            return wait_forever(ctx, WAIT_CHAN_NULL);
        spin_lock(&ch->lock);
        sent += send_some(ch, bytes + sent * ch->element_size, n - sent, &woken);
        chan_unlock(ch);
        wake_all(&woken, 0);
        if (sent < n && (err = rn_chan_send(ctx, ch, bytes + sent * ch->element_size)) == 0)
            sent++;
    }
    budget_spend();
    return sent > 0 ? (ptrdiff_t)sent : err;
}

/* ---- receiving ---- */

static int recv_blocked(rn_ctx *ctx, struct rn_chan *ch, void *value)
{
    struct waiter waiter;

    if (unlikely(waitq_not_ready(&ch->lock)))
        return rn_chan_recv(ctx, ch, value);
    waiter.value = value;
    chan_set_ready(ch, (load_relaxed(&ch->ready) & CHAN_CAN_BITS) | CHAN_CAN_SEND);
    int err = waitq_wait(ctx, &ch->receivers, &ch->lock, &waiter, WAIT_CHAN_RECV);
    if (err == 0)
        chan_received(ch);
    return err;
}

/* A receive whose value nobody wants still needs a place, for the drop callback. */
static __attribute__((noinline)) int recv_dropped(rn_ctx *ctx, struct rn_chan *ch, bool try)
{
    _Alignas(max_align_t) unsigned char small[DROPPED_BYTES_INLINE];
    void *place = ch->element_size <= sizeof small ? small : malloc(ch->element_size);

    if (place == NULL)
        return -ENOMEM;
    int err = try ? rn_chan_try_recv(ch, place) : rn_chan_recv(ctx, ch, place);
    if (err == 0 && ch->drop != NULL)
        ch->drop(place);
    if (place != small)
        free(place);
    return err;
}

int rn_chan_recv(rn_ctx *ctx, struct rn_chan *ch, void *value)
{
    struct waiter *wake;
    int err = ctx_err(ctx);

    if (unlikely(err != 0))
        return err;
    if (unlikely(ch == NULL))
        return wait_forever(ctx, WAIT_CHAN_NULL);
    if (unlikely(value == NULL))
        return recv_dropped(ctx, ch, false);
    spin_lock(&ch->lock);
    switch (chan_recv_step(ch, value, &wake)) {
    case CHAN_MOVED:
        chan_unlock(ch);
        finish(wake);
        chan_received(ch);
        return 0;
    case CHAN_CLOSED:
        spin_unlock(&ch->lock);
        return RN_ECLOSED;
    default:
        return recv_blocked(ctx, ch, value);
    }
}

int rn_chan_try_recv(struct rn_chan *ch, void *value)
{
    struct waiter *wake;

    if (ch == NULL || !(load_relaxed(&ch->ready) & CHAN_CAN_RECV))
        return -EAGAIN;
    if (unlikely(value == NULL))
        return recv_dropped(NULL, ch, true);
    spin_lock(&ch->lock);
    enum chan_step step = chan_recv_step(ch, value, &wake);
    chan_unlock(ch);
    if (step != CHAN_MOVED)
        return step == CHAN_CLOSED ? RN_ECLOSED : -EAGAIN;
    finish(wake);
    chan_received(ch);
    return 0;
}

static size_t recv_some(struct rn_chan *ch, unsigned char *values, size_t n, struct list *woken)
{
    size_t received = 0;
    for (; received < n; received++) {
        struct waiter *wake;
        if (chan_recv_step(ch, values + received * ch->element_size, &wake) != CHAN_MOVED)
            break;
        if (wake != NULL)
            list_push_back(woken, &wake->node);
    }
    return received;
}

/* One after the other: each goes to the drop callback, which must not run under the lock. */
static size_t drop_some(struct rn_chan *ch, size_t n)
{
    size_t received = 0;
    while (received < n && rn_chan_try_recv(ch, NULL) == 0)
        received++;
    return received;
}

ptrdiff_t rn_chan_recv_n(rn_ctx *ctx, struct rn_chan *ch, void *values, size_t n)
{
    unsigned char *bytes = values;
    struct list woken = {0};

    if (n == 0)
        return 0;
    int err = rn_chan_recv(ctx, ch, bytes);
    if (err != 0)
        return err;
    if (unlikely(values == NULL))
        return (ptrdiff_t)(1 + drop_some(ch, n - 1));
    spin_lock(&ch->lock);
    size_t more = recv_some(ch, bytes + ch->element_size, n - 1, &woken);
    chan_unlock(ch);
    wake_all(&woken, 0);
    for (size_t i = 0; i < more; i++)
        chan_received(ch);
    return (ptrdiff_t)(more + 1);
}

/* ---- closing ---- */

static void take_all(struct waitq *queue, struct list *out)
{
    struct waiter *waiter;
    while ((waiter = waitq_pop(queue)) != NULL)
        list_push_back(out, &waiter->node);
}

int rn_chan_close_with(struct rn_chan *ch, int cause)
{
    struct list woken = {0};

    if (ch == NULL)
        return -EINVAL;
    spin_lock(&ch->lock);
    if (ch->closed) {
        spin_unlock(&ch->lock);
        return RN_ECLOSED;
    }
    ch->closed = true;
    ch->cause = cause == 0 ? RN_ECLOSED : cause;
    take_all(&ch->receivers, &woken);
    take_all(&ch->senders, &woken);
    chan_unlock(ch);
    wake_all(&woken, RN_ECLOSED);
    return 0;
}

int rn_chan_close(struct rn_chan *ch)
{
    return rn_chan_close_with(ch, RN_ECLOSED);
}

int rn_chan_close_cause(struct rn_chan *ch)
{
    if (ch == NULL)
        return 0;
    spin_lock(&ch->lock);
    int cause = ch->closed ? ch->cause : 0;
    spin_unlock(&ch->lock);
    return cause;
}

/* ---- making and freeing ---- */

/* posix_memalign would cost several times as much as malloc. */
static struct rn_chan *chan_alloc(size_t bytes)
{
    unsigned char *memory = malloc(bytes + CACHE_LINE - 1);
    if (memory == NULL)
        return NULL;
    struct rn_chan *ch = (struct rn_chan *)(memory + (-(uintptr_t)memory & (CACHE_LINE - 1)));
    memset(ch, 0, sizeof *ch);
    ch->memory = memory;
    return ch;
}

int chan_new_with(struct rn_chan **out, size_t element_size, const rn_chan_options *opt,
                  size_t room)
{
    static const rn_chan_options defaults;
    size_t bytes;

    opt = opt == NULL ? &defaults : opt;
    if (__builtin_mul_overflow(element_size, opt->capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct rn_chan) + CACHE_LINE + room, &bytes) ||
        bytes > PTRDIFF_MAX || opt->capacity > PTRDIFF_MAX) {
        error_detail_set("a channel of %zu elements of %zu bytes is too large", opt->capacity,
                         element_size);
        return -EINVAL;
    }
    struct rn_chan *ch = chan_alloc(bytes);
    if (ch == NULL) {
        error_detail_set("out of memory for a channel of %zu bytes", bytes);
        return -ENOMEM;
    }
    ch->capacity = opt->capacity;
    ch->element_size = element_size;
    ch->drop = opt->drop;
    ch->name = opt->name;
    if (room != 0)
        ch->owner = memset(ch->elements + (element_size * opt->capacity + 15) / 16 * 16, 0, room);
    store_relaxed(&ch->references, 1);
    chan_publish_ready(ch);
    *out = ch;
    return 0;
}

int rn_chan_new(struct rn_chan **out, size_t element_size, const rn_chan_options *opt)
{
    return chan_new_with(out, element_size, opt, 0);
}

struct rn_chan *rn_chan_make_untyped_with(size_t element_size, const rn_chan_options *opt)
{
    struct rn_chan *ch = NULL;
    return rn_chan_new(&ch, element_size, opt) == 0 ? ch : NULL;
}

struct rn_chan *rn_chan_make_untyped(size_t element_size, size_t capacity)
{
    return rn_chan_make_untyped_with(element_size, &(rn_chan_options){.capacity = capacity});
}

void rn_chan_retain_untyped(struct rn_chan *ch)
{
    if (ch != NULL)
        add_relaxed(&ch->references, 1);
}

static void drop_elements(struct rn_chan *ch)
{
    for (; ch->count > 0; ch->count--) {
        ch->drop(slot(ch, ch->head));
        if (++ch->head == ch->capacity)
            ch->head = 0;
    }
}

void rn_chan_release_untyped(struct rn_chan *ch)
{
    if (ch == NULL || sub_seq(&ch->references, 1) != 1)
        return;
    CHECK(waitq_empty(&ch->senders) && waitq_empty(&ch->receivers),
          "a channel (%s) lost its last reference while somebody waits on it",
          ch->name == NULL ? "no name" : ch->name);
    if (ch->on_free != NULL)
        ch->on_free(ch);
    if (ch->drop != NULL)
        drop_elements(ch);
    free(ch->memory);
}

/* ---- asking ---- */

size_t rn_chan_len(struct rn_chan *ch)
{
    if (ch == NULL)
        return 0;
    spin_lock(&ch->lock);
    size_t count = ch->count;
    spin_unlock(&ch->lock);
    return count;
}

size_t rn_chan_cap(struct rn_chan *ch)
{
    return ch == NULL ? 0 : ch->capacity;
}

size_t rn_chan_waiters(struct rn_chan *ch)
{
    if (ch == NULL)
        return 0;
    spin_lock(&ch->lock);
    size_t count = (size_t)ch->senders.count + ch->receivers.count;
    spin_unlock(&ch->lock);
    return count;
}
