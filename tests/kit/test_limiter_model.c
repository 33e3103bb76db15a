/*
 * Rate limiter: random operations beside a model that keeps tokens and a time in doubles, as Go's
 * limiter does.
 *
 * The clock stands where the test puts it. Where the model is within a hair of a decision, either
 * is right. A failing seed is printed; MODEL_SEED=n runs it alone.
 */
/* ctest: WORKERS=1 */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/limiter.h>

#define STEPS 200
#define SEEDS 10000
#define RESERVED_MAX 8

struct promise {
    rn_reservation r;
    bool open;
    size_t n;
    double after; /* tokens that were taken later, less those given back */
    rn_time act;
};

struct model {
    rn_limiter *l;
    uint64_t seed, random;
    int step;
    rn_time now;
    rn_clock clock;
    double rate, burst, tokens; /* tokens as of now */
    double overflow;            /* what did not fit the bucket since the last taking */
    struct promise promises[RESERVED_MAX];
};

static uint32_t pick(struct model *m, uint32_t below)
{
    m->random = m->random * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(m->random >> 33) % below;
}

static double distance(double a, double b)
{
    return a > b ? a - b : b - a;
}

static void expect(const struct model *m, bool ok, const char *what, double got, double wanted)
{
    if (!ok)
        test_failed(__FILE__, __LINE__, "seed %llu, step %d: %s: %.9g, and the model has %.9g",
                    (unsigned long long)m->seed, m->step, what, got, wanted);
}

/* ---- the model ---- */

static double hair(const struct model *m)
{
    return 1e-6 * (1 + m->burst) + 3e-9 * m->rate;
}

static void model_advance(struct model *m, rn_duration d)
{
    m->tokens += (double)d * 1e-9 * m->rate;
    if (m->tokens > m->burst) {
        m->overflow += m->tokens - m->burst;
        m->tokens = m->burst;
    }
}

static void model_take(struct model *m, double n)
{
    for (int i = 0; i < RESERVED_MAX; i++)
        m->promises[i].after += n + m->overflow;
    m->overflow = 0;
    m->tokens -= n;
}

static void model_give_back(struct model *m, double n)
{
    for (int i = 0; i < RESERVED_MAX; i++)
        m->promises[i].after -= n;
    m->tokens += n;
    if (m->tokens > m->burst) {
        m->overflow += m->tokens - m->burst;
        m->tokens = m->burst;
    }
}

/* How long until n tokens are there. */
static double model_delay(const struct model *m, double n)
{
    return n <= m->tokens ? 0 : (n - m->tokens) / m->rate * 1e9;
}

/* ---- beside it ---- */

static void expect_delay(const struct model *m, const char *what, rn_duration got, double wanted)
{
    if (m->rate == 0 && wanted > 0)
        return;
    expect(m, distance((double)got, wanted) <= 3 + 1e-6 * wanted + hair(m) / m->rate * 1e9, what,
           (double)got, wanted);
}

static void allow(struct model *m)
{
    size_t n = pick(m, (uint32_t)m->burst + 2);
    int err = rn_limiter_allow(m->l, n);

    if ((double)n > m->burst) {
        expect(m, err == RN_EBURST, "allow beyond the burst", err, RN_EBURST);
        return;
    }
    if (distance((double)n, m->tokens) > hair(m))
        expect(m, (err == 0) == ((double)n < m->tokens), "allow", err, m->tokens - (double)n);
    if (err == 0)
        model_take(m, (double)n);
}

static void reserve(struct model *m)
{
    struct promise *p = &m->promises[pick(m, RESERVED_MAX)];
    size_t n = 1 + pick(m, (uint32_t)m->burst);
    double delay = model_delay(m, (double)n);
    int err = rn_limiter_reserve(m->l, n, &p->r);

    p->open = err == 0;
    if (m->rate == 0 && distance((double)n, m->tokens) > hair(m))
        expect(m, (err == 0) == ((double)n < m->tokens), "reserve at rate 0", err, 0);
    else if (m->rate != 0)
        expect(m, err == 0, "reserve", err, 0);
    if (err != 0)
        return;
    expect_delay(m, "delay of a reservation", p->r.delay, delay);
    model_take(m, (double)n);
    p->n = n;
    p->after = 0;
    p->act = m->now + p->r.delay;
}

static void cancel(struct model *m)
{
    struct promise *p = &m->promises[pick(m, RESERVED_MAX)];
    double given;

    if (!p->open)
        return;
    p->open = false;
    rn_limiter_cancel(m->l, &p->r);
    given = (double)p->n - (p->after > 0 ? p->after : 0);
    if (m->now <= p->act && given > 0)
        model_give_back(m, given);
}

static void delay(struct model *m)
{
    size_t n = 1 + pick(m, (uint32_t)m->burst);

    expect_delay(m, "delay", rn_limiter_delay(m->l, n), model_delay(m, (double)n));
}

/* Promises are not followed across changes here: test_limiter.c does. */
static void forget_promises(struct model *m)
{
    for (int i = 0; i < RESERVED_MAX; i++)
        m->promises[i].open = false;
    m->overflow = 0;
}

static double random_rate(struct model *m)
{
    static const double rates[] = {0, 1.0 / 3600, 0.3, 1, 3, 10, 700, 10000, 3e6, 7e6};

    return rates[pick(m, sizeof rates / sizeof *rates)];
}

static void set_rate(struct model *m)
{
    m->rate = random_rate(m);
    EXPECT_EQ(rn_limiter_set_rate(m->l, m->rate), 0);
    forget_promises(m);
}

static void set_burst(struct model *m)
{
    size_t burst = 1 + pick(m, 50);

    EXPECT_EQ(rn_limiter_set_burst(m->l, burst), 0);
    m->burst = (double)burst;
    if (m->tokens > m->burst)
        m->tokens = m->burst;
    forget_promises(m);
}

/* Mostly some tokens' worth; now and then years. */
static void advance(struct model *m)
{
    double interval = m->rate > 0 ? 1e9 / m->rate : 1e9;
    rn_duration d = (rn_duration)(interval * pick(m, 400) / 100);

    if (pick(m, 20) == 0)
        d = (rn_duration)pick(m, 3000) * 24 * RN_HOUR;
    m->now += d;
    model_advance(m, d);
}

static void jump_back(struct model *m)
{
    m->now -= (rn_duration)pick(m, 1000000) * RN_SECOND;
    forget_promises(m);
}

/* The model goes on from the limiter's figure, so that rounding does not add up. */
static void compare(struct model *m)
{
    double available = rn_limiter_available(m->l);

    expect(m, distance(available, m->tokens) <= hair(m) + 1e-6 * distance(m->tokens, 0),
           "available", available, m->tokens);
    m->tokens = available;
}

static void step(struct model *m)
{
    static void (*const operations[])(struct model *) = {allow,   allow,   allow,   reserve,
                                                         reserve, cancel,  cancel,  delay,
                                                         advance, advance, advance, advance};
    uint32_t i = pick(m, 15 * sizeof operations / sizeof *operations);

    if (i < 3)
        (i == 0 ? set_rate : i == 1 ? set_burst : jump_back)(m);
    else
        operations[i % (sizeof operations / sizeof *operations)](m);
    compare(m);
}

static rn_time now(void *arg)
{
    return ((struct model *)arg)->now;
}

static void run_seed(uint64_t seed)
{
    static struct model m;

    m = (struct model){
        .seed = seed, .random = seed * 0x9e3779b97f4a7c15 + 1, .clock = {now, NULL, &m}};
    m.now = (rn_time)pick(&m, 1000000) * RN_SECOND;
    m.rate = random_rate(&m);
    m.burst = m.tokens = 1 + pick(&m, 50);
    EXPECT_EQ(rn_limiter_new(&m.l, &(rn_limiter_config){.per_second = m.rate,
                                                        .burst = (size_t)m.burst,
                                                        .clock = &m.clock}),
              0);
    for (m.step = 0; m.step < STEPS; m.step++)
        step(&m);
    rn_limiter_free(m.l);
}

TEST(random_operations_do_what_the_model_does)
{
    const char *only = getenv("MODEL_SEED");

    if (only != NULL) {
        run_seed(strtoull(only, NULL, 10));
        return;
    }
    for (int i = 0; i < rounds(SEEDS); i++)
        run_seed((uint64_t)i);
}
