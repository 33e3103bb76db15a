/*
 * Channels against a reference: two channels of random capacity, and peers that wait on them in
 * sends, receives and selects. One fiber acts, waits for what must follow from it, and compares.
 * What fails names its seed.
 */
/* ctest: TIMEOUT=200 */
#include "core.h"
#include "test.h"

#define SEEDS 3000
#define STEPS 120
#define PEERS 6
#define CAPACITY_MAX 4
#define BATCH_MAX 4

static uint64_t seed;
static atomic_int dropped;

#define AGREE(a, b)                                                                                \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_)                                                                              \
            test_failed(__FILE__, __LINE__, "seed %llu: %s is %lld, and %s is %lld",               \
                        (unsigned long long)seed, #a, a_, #b, b_);                                 \
    } while (0)

enum role { SENDER, RECEIVER, SELECTOR };

/* A fiber that makes one call and reports. */
struct peer {
    enum role role;
    int_chan ch[2]; /* the one it uses; a selector receives from both */
    rn_ctx *ctx;
    int value; /* sent or received */
    int result;
    int code; /* of a selector's receive */
    atomic_int done;
    bool waits; /* as the reference has it */
    uint64_t since;
};

/* One channel of the reference. */
struct reference {
    int_chan ch;
    size_t capacity, count;
    int values[CAPACITY_MAX];
    bool closed;
    int cause;
};

struct model {
    uint64_t random, clock;
    struct reference of[2];
    struct peer peers[PEERS];
    int next_value, dropped;
};

static uint32_t pick(struct model *m, uint32_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33) % n;
}

/* ---- peers ---- */

static void peer_run(void *arg)
{
    struct peer *p = arg;

    if (p->role == SENDER)
        p->result = rn_send(p->ctx, p->ch[0], p->value);
    else if (p->role == RECEIVER)
        p->result = rn_recv(p->ctx, p->ch[0], &p->value);
    else
        p->result = rn_select(p->ctx, rn_on_recv_code(p->ch[0], &p->value, &p->code),
                              rn_on_recv_code(p->ch[1], &p->value, &p->code));
    atomic_store(&p->done, 1);
}

/* The peer's call must be over. */
static void peer_finish(struct peer *p)
{
    await_count(&p->done, 1);
    p->waits = false;
    rn_ctx_release(p->ctx);
    p->ctx = NULL;
}

static void expect_peer(struct peer *p, int result)
{
    peer_finish(p);
    AGREE(p->result, result);
}

static bool is_on(const struct peer *p, const struct reference *r)
{
    return p->ch[0] == r->ch || (p->role == SELECTOR && p->ch[1] == r->ch);
}

/* The one that has waited longest to send, or to receive. */
static struct peer *oldest(struct model *m, const struct reference *r, bool sender)
{
    struct peer *found = NULL;

    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &m->peers[i];
        if (p->waits && is_on(p, r) && (p->role == SENDER) == sender &&
            (found == NULL || p->since < found->since))
            found = p;
    }
    return found;
}

static size_t waiting(struct model *m, const struct reference *r)
{
    size_t n = 0;

    for (int i = 0; i < PEERS; i++)
        n += m->peers[i].waits && is_on(&m->peers[i], r);
    return n;
}

/* ---- what a send or receive must do ---- */

static int reference_send(struct model *m, struct reference *r, int value)
{
    struct peer *receiver = oldest(m, r, false);

    if (r->closed)
        return RN_ECLOSED;
    if (receiver != NULL) {
        int index = receiver->ch[0] == r->ch ? 0 : 1;
        expect_peer(receiver, receiver->role == SELECTOR ? index : 0);
        AGREE(receiver->value, value);
        return 0;
    }
    if (r->count == r->capacity)
        return -EAGAIN;
    r->values[r->count++] = value;
    return 0;
}

static int reference_recv(struct model *m, struct reference *r, int *value)
{
    struct peer *sender = oldest(m, r, true);

    if (r->count == 0 && sender == NULL)
        return r->closed ? RN_ECLOSED : -EAGAIN;
    if (r->count == 0) {
        *value = sender->value;
    } else {
        *value = r->values[0];
        memmove(r->values, r->values + 1, --r->count * sizeof(int));
        if (sender != NULL)
            r->values[r->count++] = sender->value;
    }
    if (sender != NULL)
        expect_peer(sender, 0);
    return 0;
}

static bool can_send(struct model *m, struct reference *r)
{
    return r->closed || r->count < r->capacity || oldest(m, r, false) != NULL;
}

static bool can_recv(struct model *m, struct reference *r)
{
    return r->closed || r->count > 0 || oldest(m, r, true) != NULL;
}

/* ---- steps ---- */

static void step_try_send(struct model *m, struct reference *r)
{
    int value = m->next_value++;
    int err = rn_try_send(r->ch, value);

    AGREE(reference_send(m, r, value), err);
}

static void step_try_recv(struct model *m, struct reference *r)
{
    bool wanted = pick(m, 4) != 0;
    int got = -1, value = -1;
    int err = wanted ? rn_try_recv(r->ch, &got) : rn_chan_try_recv(rn_chan_untyped(r->ch), NULL);

    AGREE(reference_recv(m, r, &value), err);
    if (err == 0 && !wanted)
        m->dropped++;
    else
        AGREE(got, value);
}

/* No more than needs no waiting, so that the call returns. */
static void step_send_n(struct model *m, struct reference *r)
{
    int values[BATCH_MAX];
    size_t n = 1 + pick(m, BATCH_MAX), sent = 0;
    ptrdiff_t result;

    for (size_t i = 0; i < n; i++)
        values[i] = m->next_value++;
    if (r->closed) {
        AGREE(rn_send_n(NULL, r->ch, values, n), RN_ECLOSED);
        return;
    }
    size_t room = r->capacity - r->count;
    for (int i = 0; i < PEERS; i++)
        room += m->peers[i].waits && is_on(&m->peers[i], r) && m->peers[i].role != SENDER;
    n = n < room ? n : room;
    result = rn_send_n(NULL, r->ch, values, n);
    while (sent < n)
        AGREE(reference_send(m, r, values[sent++]), 0);
    AGREE(result, n);
}

static void step_recv_n(struct model *m, struct reference *r)
{
    int got[BATCH_MAX], value;
    size_t n = 1 + pick(m, BATCH_MAX);
    ptrdiff_t result;

    if (!can_recv(m, r))
        return;
    result = rn_recv_n(NULL, r->ch, got, n);
    if (result < 0) {
        AGREE(reference_recv(m, r, &value), result);
        return;
    }
    for (ptrdiff_t i = 0; i < result; i++) {
        AGREE(reference_recv(m, r, &value), 0);
        AGREE(got[i], value);
    }
    if ((size_t)result < n) /* it takes all that is there */
        EXPECT(r->closed || !can_recv(m, r));
}

/* A select with a default: one of those that are ready, in order if so asked. */
static void step_select(struct model *m)
{
    struct reference *a = &m->of[0], *b = &m->of[1];
    int value = m->next_value++, got = -1, codes[2] = {-1, -1}, expected = -1;
    unsigned flags = pick(m, 2) * RN_SELECT_IN_ORDER;
    bool ready[2] = {can_recv(m, a), can_send(m, b)};
    rn_case cases[] = {rn_on_recv_code(a->ch, &got, &codes[0]),
                       rn_on_send_code(b->ch, &codes[1], value), rn_default};
    int i = rn_select_n(NULL, cases, 3, flags);

    if (i == 2) {
        EXPECT(!ready[0] && !ready[1]);
        return;
    }
    EXPECT((i == 0 || i == 1) && ready[i]);
    EXPECT(i == 0 || flags == 0 || !ready[0]);
    if (i == 1) {
        AGREE(reference_send(m, b, value), codes[1]);
        return;
    }
    AGREE(reference_recv(m, a, &expected), codes[0]);
    AGREE(got, expected);
}

/* What a peer that need not wait does, it does at once. */
static void peer_at_once(struct model *m, struct peer *p, struct reference *r)
{
    struct reference *other = r == &m->of[0] ? &m->of[1] : &m->of[0];
    int value = -1, index, err;

    peer_finish(p);
    if (p->role == SENDER) {
        AGREE(reference_send(m, r, p->value), p->result);
        return;
    }
    index = p->role == SELECTOR ? p->result : 0;
    EXPECT(index == 0 || (p->role == SELECTOR && index == 1));
    err = reference_recv(m, index == 0 ? r : other, &value);
    AGREE(err, p->role == SELECTOR ? p->code : p->result);
    if (err == 0)
        AGREE(p->value, value);
}

static void step_peer(struct model *m, struct reference *r)
{
    struct peer *p = NULL;
    struct reference *other = r == &m->of[0] ? &m->of[1] : &m->of[0];
    size_t before[2] = {waiting(m, r), waiting(m, other)};
    bool at_once;

    for (int i = 0; i < PEERS; i++)
        if (!m->peers[i].waits)
            p = &m->peers[i];
    if (p == NULL)
        return;
    p->role = (enum role)pick(m, 3);
    p->ch[0] = r->ch;
    p->ch[1] = other->ch;
    p->ctx = rn_ctx_with_cancel(NULL);
    p->value = m->next_value++;
    p->since = m->clock++;
    atomic_store(&p->done, 0);
    at_once = p->role == SENDER ? can_send(m, r) : can_recv(m, r);
    at_once |= p->role == SELECTOR && can_recv(m, other);
    EXPECT_EQ(rn_go(peer_run, p), 0);
    if (at_once) {
        peer_at_once(m, p, r);
        return;
    }
    p->waits = true;
    await_waiters(r->ch, before[0] + 1);
    if (p->role == SELECTOR)
        await_waiters(other->ch, before[1] + 1);
}

static void step_cancel(struct model *m)
{
    struct peer *p = &m->peers[pick(m, PEERS)];

    if (!p->waits)
        return;
    rn_ctx_cancel(p->ctx, 0);
    expect_peer(p, -ECANCELED);
}

static void step_close(struct model *m, struct reference *r)
{
    int cause = pick(m, 2) == 0 ? 0 : -EIO;
    int err = cause == 0 ? rn_close(r->ch) : rn_close_with(r->ch, cause);

    AGREE(err, r->closed ? RN_ECLOSED : 0);
    if (r->closed)
        return;
    r->cause = cause == 0 ? RN_ECLOSED : cause;
    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &m->peers[i];
        if (!p->waits || !is_on(p, r))
            continue;
        expect_peer(p, p->role != SELECTOR ? RN_ECLOSED : p->ch[0] == r->ch ? 0 : 1);
        if (p->role == SELECTOR)
            AGREE(p->code, RN_ECLOSED);
    }
    r->closed = true;
}

static void check(struct model *m, struct reference *r)
{
    AGREE(rn_len(r->ch), r->count);
    AGREE(rn_cap(r->ch), r->capacity);
    AGREE(rn_waiters(r->ch), waiting(m, r));
    AGREE(rn_close_cause(r->ch), r->closed ? r->cause : 0);
    AGREE(atomic_load(&dropped), m->dropped);
}

static void step(struct model *m)
{
    struct reference *r = &m->of[pick(m, 2)];
    uint32_t what = pick(m, 100);

    if (what < 20)
        step_try_send(m, r);
    else if (what < 40)
        step_try_recv(m, r);
    else if (what < 50)
        step_send_n(m, r);
    else if (what < 60)
        step_recv_n(m, r);
    else if (what < 70)
        step_select(m);
    else if (what < 90)
        step_peer(m, r);
    else if (what < 99)
        step_cancel(m);
    else
        step_close(m, r);
    check(m, &m->of[0]);
    check(m, &m->of[1]);
}

static void count_drop(void *element)
{
    EXPECT(*(int *)element >= 0);
    atomic_fetch_add(&dropped, 1);
}

static void run_seed(void)
{
    struct model m = {.random = seed * 2654435761u + 1};

    atomic_store(&dropped, 0);
    for (int i = 0; i < 2; i++) {
        m.of[i].capacity = pick(&m, CAPACITY_MAX + 1);
        m.of[i].ch = rn_chan_make_with(
            int, &(rn_chan_options){.capacity = m.of[i].capacity, .drop = count_drop});
        EXPECT(m.of[i].ch != NULL);
    }
    for (int i = 0; i < STEPS; i++)
        step(&m);
    for (int i = 0; i < 2; i++) {
        if (!m.of[i].closed)
            step_close(&m, &m.of[i]);
        m.dropped += (int)m.of[i].count; /* what is left goes with the channel */
        rn_chan_release(m.of[i].ch);
    }
    AGREE(atomic_load(&dropped), m.dropped);
}

TEST_FIBER(it_does_what_the_reference_does)
{
    int seeds = rounds(SEEDS);

    for (seed = 1; seed <= (uint64_t)seeds; seed++)
        run_seed();
}
