/* ctest: TIMEOUT=240 */
/*
 * The breaker beside a model: random configurations and operations, one at a time, after each of
 * which state, counters and window must agree. The model keeps a list of all calls and recounts it.
 * And a stress of fibers and plain threads, with what must be true at the end.
 */
#include "core.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <pthread.h>
#include <runnel/breaker.h>

#define SEEDS 4000
#define STEPS 300
#define PERMITS_OUT 12

static uint64_t random_state;

static unsigned draw(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(random_state >> 33) % n;
}

/* ---- the model: as simple as can be ---- */

struct recorded {
    rn_time at;
    bool failed, slow;
};

struct model_probe {
    uint64_t id; /* 0: none */
    rn_time expires;
};

struct model {
    rn_breaker_config c;
    rn_breaker_state state;
    uint64_t generation;
    rn_time until;
    uint64_t openings, failures_in_row, successes_in_half_open, last_probe;
    struct recorded calls[STEPS];
    int count;
    struct model_probe probes[4];
    uint64_t successes, failures, slow, ignored, dropped, rejected, opened, expired;
};

static void model_change(struct model *m, rn_breaker_state to, rn_time now)
{
    if (to == RN_BREAKER_OPEN) {
        rn_duration d = m->c.open_for;
        for (uint64_t i = 0; i < m->openings && d < m->c.open_max; i++)
            d *= 2;
        m->until = now + (d > m->c.open_max ? m->c.open_max : d);
        m->openings++;
        m->opened++;
    } else if (to == RN_BREAKER_CLOSED) {
        m->openings = 0;
    }
    m->state = to;
    m->generation++;
    m->count = 0;
    m->failures_in_row = m->successes_in_half_open = 0;
    memset(m->probes, 0, sizeof m->probes);
}

static rn_breaker_counts model_counts(const struct model *m, rn_time now)
{
    rn_breaker_counts counts = {.consecutive_failures = m->failures_in_row};
    rn_duration tenth = m->c.window / 10;

    for (int i = 0; i < m->count; i++) {
        const struct recorded *r = &m->calls[i];
        if (m->c.window_calls != 0 && i < m->count - (int)m->c.window_calls)
            continue;
        if (m->c.window != 0 && r->at / tenth <= now / tenth - 10)
            continue;
        counts.calls++;
        counts.failures += r->failed;
        counts.slow += r->slow;
    }
    return counts;
}

struct model_permit {
    uint64_t generation, probe;
    rn_time began;
};

static bool model_allow(struct model *m, struct model_permit *permit, rn_time now)
{
    if (m->state == RN_BREAKER_OPEN && now >= m->until)
        model_change(m, RN_BREAKER_HALF_OPEN, now);
    *permit = (struct model_permit){.generation = m->generation, .began = now};
    if (m->state == RN_BREAKER_CLOSED || m->state == RN_BREAKER_DISABLED)
        return true;
    for (size_t i = 0; m->state == RN_BREAKER_HALF_OPEN && i < m->c.probes; i++) {
        struct model_probe *p = &m->probes[i];
        if (p->id != 0 && p->expires > now)
            continue;
        m->expired += p->id != 0;
        p->id = permit->probe = ++m->last_probe;
        p->expires = now + m->c.probe_lease;
        return true;
    }
    m->rejected++;
    return false;
}

static void model_closed(struct model *m, bool failed, bool slow, rn_time now)
{
    const rn_breaker_config *c = &m->c;
    rn_breaker_counts counts;
    bool opens;

    m->failures_in_row = failed ? m->failures_in_row + 1 : 0;
    m->calls[m->count++] = (struct recorded){now, failed, slow};
    counts = model_counts(m, now);
    opens = c->failure_threshold != 0 && m->failures_in_row >= c->failure_threshold;
    if (counts.calls >= c->minimum_calls) {
        opens = opens || (c->failure_ratio != 0 && counts.failures != 0 &&
                          (double)counts.failures >= c->failure_ratio * (double)counts.calls);
        opens = opens || (c->slow_ratio != 0 && counts.slow != 0 &&
                          (double)counts.slow >= c->slow_ratio * (double)counts.calls);
    }
    if (opens)
        model_change(m, RN_BREAKER_OPEN, now);
}

static struct model_probe *model_probe(struct model *m, uint64_t id, rn_time now)
{
    for (size_t i = 0; i < m->c.probes; i++)
        if (m->probes[i].id == id && m->probes[i].expires > now)
            return &m->probes[i];
    return NULL;
}

static void model_done(struct model *m, const struct model_permit *permit, int err, rn_time now)
{
    bool failed = err < 0 && err != -ECANCELED, ignored = err == -ECANCELED;
    bool slow = !ignored && m->c.slow_call != 0 && now - permit->began >= m->c.slow_call;
    struct model_probe *probe = NULL;

    if (permit->generation == m->generation && m->state == RN_BREAKER_HALF_OPEN)
        probe = model_probe(m, permit->probe, now);
    if (permit->generation != m->generation ||
        (m->state == RN_BREAKER_HALF_OPEN && probe == NULL)) {
        m->dropped++;
        return;
    }
    if (probe != NULL)
        probe->id = 0;
    m->ignored += ignored;
    m->failures += failed;
    m->successes += !failed && !ignored;
    m->slow += slow;
    if (ignored || m->state == RN_BREAKER_DISABLED)
        return;
    if (m->state == RN_BREAKER_CLOSED)
        model_closed(m, failed, slow, now);
    else if (failed)
        model_change(m, RN_BREAKER_OPEN, now);
    else if (++m->successes_in_half_open >= m->c.success_threshold)
        model_change(m, RN_BREAKER_CLOSED, now);
}

/* ---- both side by side ---- */

static rn_breaker_config random_config(const rn_clock *clock)
{
    rn_breaker_config c = {.clock = clock, .open_backoff = 2};

    c.failure_threshold = draw(3) == 0 ? 0 : draw(4) + 1;
    if (draw(2) == 0 || c.failure_threshold == 0) {
        c.failure_ratio = draw(4) == 0 ? 0 : (draw(10) + 1) / 10.0;
        if (draw(2) == 0 || c.failure_ratio == 0) {
            c.slow_ratio = (draw(10) + 1) / 10.0;
            c.slow_call = 5 * RN_SECOND;
        }
        if (draw(2) == 0)
            c.window = (draw(10) + 1) * 10 * RN_SECOND;
        else
            c.window_calls = draw(20) + 1;
        c.minimum_calls = draw(c.window_calls != 0 ? (unsigned)c.window_calls : 15) + 1;
    }
    c.open_for = (draw(20) + 1) * RN_SECOND;
    c.open_max = c.open_for * (draw(5) + 1);
    c.probes = draw(4) + 1;
    c.success_threshold = draw(5) + 1;
    c.probe_lease = (draw(15) + 1) * RN_SECOND;
    return c;
}

struct out {
    rn_permit permit;
    struct model_permit model;
};

/* One operation on both. */
static void step(rn_breaker *b, struct model *m, struct manual *clock, struct out *out, int *n)
{
    unsigned kind = draw(100), i;
    int err;

    if (kind < 45 && *n < PERMITS_OUT) {
        bool allowed = model_allow(m, &out[*n].model, clock->now);
        err = rn_breaker_allow(b, &out[*n].permit);
        EXPECT_EQ(err, allowed ? 0 : RN_EOPEN);
        *n += allowed;
    } else if (kind < 85 && *n > 0) {
        i = draw((unsigned)*n);
        err = draw(10) < 5 ? 0 : draw(4) == 0 ? -ECANCELED : -EIO;
        model_done(m, &out[i].model, err, clock->now);
        rn_breaker_done(b, out[i].permit, err);
        out[i] = out[--*n];
    } else if (kind < 97) {
        clock->now += draw(4) == 0 ? draw(30) * RN_SECOND : draw(3000) * RN_MILLISECOND;
    } else if (kind == 97) {
        rn_breaker_reset(b);
        model_change(m, RN_BREAKER_CLOSED, clock->now);
    } else if (kind == 98 && draw(3) == 0) {
        rn_breaker_force_open(b);
        model_change(m, RN_BREAKER_FORCED_OPEN, clock->now);
    } else if (kind == 99 && draw(3) == 0) {
        rn_breaker_disable(b);
        model_change(m, RN_BREAKER_DISABLED, clock->now);
    }
}

static bool agree(rn_breaker *b, const struct model *m, rn_time now)
{
    rn_breaker_counts window = model_counts(m, now);
    rn_breaker_stats s;

    rn_breaker_stats_read(b, &s);
    if (m->c.window != 0 || m->c.window_calls != 0) {
        if (s.window.calls != window.calls || s.window.failures != window.failures ||
            s.window.slow != window.slow)
            return false;
    }
    return s.state == m->state && s.successes == m->successes && s.failures == m->failures &&
           s.slow == m->slow && s.ignored == m->ignored && s.dropped == m->dropped &&
           s.rejected == m->rejected && s.opened == m->opened && s.leases_expired == m->expired &&
           s.window.consecutive_failures == m->failures_in_row;
}

/* Which state the seed ends in. */
static rn_breaker_state run_seed(uint64_t seed, uint64_t *transitions)
{
    struct manual clock = {.now = RN_HOUR};
    struct out out[PERMITS_OUT];
    static struct model m;
    rn_breaker *b;
    int n = 0;

    random_state = seed;
    m = (struct model){.c = random_config(MANUAL(&clock))};
    EXPECT_EQ(rn_breaker_new(&b, &m.c), 0);
    for (int i = 0; i < STEPS; i++) {
        step(b, &m, &clock, out, &n);
        if (!agree(b, &m, clock.now))
            test_failed(__FILE__, __LINE__, "seed %llu differs at step %d",
                        (unsigned long long)seed, i);
    }
    *transitions += m.generation;
    rn_breaker_free(b);
    return m.state;
}

TEST(the_breaker_does_what_the_model_does)
{
    int ended_in[RN_BREAKER_DISABLED + 1] = {0};
    uint64_t transitions = 0;

    for (uint64_t seed = 1; seed <= (uint64_t)rounds(SEEDS); seed++)
        ended_in[run_seed(seed, &transitions)]++;
    for (int state = 0; state <= RN_BREAKER_DISABLED; state++)
        EXPECT(ended_in[state] > 0); /* the seeds see all of it */
    EXPECT(transitions > (uint64_t)rounds(SEEDS) * 5);
}

/* ---- stress ---- */

#define PEERS 16
#define THREADS 4

struct counters {
    atomic_int allowed, rejected, changes, bad_changes, telling;
    rn_breaker_state last; /* written by one callback at a time */
};

static void note(void *arg, rn_breaker_state from, rn_breaker_state to)
{
    struct counters *c = arg;

    if (atomic_fetch_add(&c->telling, 1) != 0 || from != c->last || from == to)
        atomic_fetch_add(&c->bad_changes, 1);
    c->last = to;
    atomic_fetch_add(&c->changes, 1);
    atomic_fetch_sub(&c->telling, 1);
}

struct peer {
    rn_breaker *b;
    struct counters *c;
    unsigned seed;
    int times;
    atomic_int *finished;
};

static void call_often(void *arg)
{
    struct peer *p = arg;
    unsigned state = p->seed;

    for (int i = 0; i < p->times; i++) {
        rn_permit permit;
        bool bad_times = (i / 100) % 2 == 0;
        if (rn_breaker_allow(p->b, &permit) != 0) {
            atomic_fetch_add(&p->c->rejected, 1);
            rn_yield();
            continue;
        }
        atomic_fetch_add(&p->c->allowed, 1);
        if (rand_r(&state) % 8 == 0)
            rn_yield();
        rn_breaker_done(p->b, permit, rand_r(&state) % (bad_times ? 2 : 50) == 0 ? -EIO : 0);
        if (rand_r(&state) % 500 == 0)
            rn_breaker_reset(p->b);
    }
    atomic_fetch_add(p->finished, 1);
}

static void *call_on_thread(void *arg)
{
    call_often(arg);
    return NULL;
}

static void stress(rn_breaker_config config)
{
    struct counters c = {.last = RN_BREAKER_CLOSED};
    atomic_int finished = 0;
    pthread_t threads[THREADS];
    struct peer peers[THREADS];
    rn_breaker_stats s;
    rn_breaker *b;
    int times = rounds(3000);

    config.open_for = 20 * RN_MICROSECOND;
    config.probes = 3;
    config.success_threshold = 4;
    config.on_change = note;
    config.events_arg = &c;
    EXPECT_EQ(rn_breaker_new(&b, &config), 0);
    for (unsigned i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(call_often, &(struct peer){b, &c, i, times, &finished}), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        peers[i] = (struct peer){b, &c, 100 + i, times, &finished};
        EXPECT_EQ(pthread_create(&threads[i], NULL, call_on_thread, &peers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_count(&finished, PEERS + THREADS);
    rn_breaker_stats_read(b, &s);
    EXPECT_EQ(atomic_load(&c.allowed) + atomic_load(&c.rejected), (PEERS + THREADS) * times);
    EXPECT_EQ(s.rejected, atomic_load(&c.rejected));
    EXPECT_EQ(s.successes + s.failures + s.dropped, atomic_load(&c.allowed));
    EXPECT(s.opened > 0);
    EXPECT_EQ(atomic_load(&c.bad_changes), 0);
    EXPECT_EQ(c.last, s.state);
    if (config.window_calls != 0)
        EXPECT(s.window.calls <= config.window_calls);
    EXPECT(s.window.failures <= s.window.calls);
    rn_breaker_free(b);
}

TEST(fibers_and_threads_agree_with_failures_in_a_row)
{
    stress((rn_breaker_config){.failure_threshold = 3});
    EXPECT_EQ(rn_stop(), 0);
}

TEST(fibers_and_threads_agree_with_a_window_of_calls)
{
    stress((rn_breaker_config){.failure_ratio = 0.4, .window_calls = 20});
    EXPECT_EQ(rn_stop(), 0);
}

TEST(fibers_and_threads_agree_with_a_window_of_time)
{
    stress((rn_breaker_config){
        .failure_ratio = 0.4, .window = RN_MILLISECOND, .slow_call = 1, .slow_ratio = 1});
    EXPECT_EQ(rn_stop(), 0);
}
