/*
 * Keyed limiter: random operations beside a model that keeps tokens in doubles and the keys in an
 * array, the longest unused first.
 *
 * The clock stands where the test puts it; a wait that sleeps does other operations meanwhile, and
 * then goes on or is cancelled. Where the model is within a hair of allowing, either is right;
 * where it is within a hair of a bucket being full, on which depends who is forgotten, the seed
 * ends. A failing seed is printed; MODEL_SEED=n runs it alone.
 */
/* ctest: WORKERS=1 */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/keyed_limiter.h>

#define STEPS 200
#define SEEDS 5000
#define KEYS 14
#define PLACES_MAX 10
#define KEY_BYTES_MAX 9
#define SWEPT 2        /* of the longest unused, for each new key */
#define SEARCHED 8     /* of them, when there is no place */
#define SLEEPERS_MAX 3 /* waits within each other */

/* A key that is known. */
struct bucket {
    int key;
    int life; /* tells it from one of the same key that came after it */
    double tokens;
    bool full; /* beyond doubt */
};

/* A wait that sleeps. */
struct sleeper {
    int key, life;
    double n, after; /* tokens; those that were taken of the bucket later */
    rn_time act;
};

struct model {
    rn_keyed_limiter *k;
    uint64_t seed, random;
    int step;
    bool unclear; /* what is right hangs by a hair */
    rn_time now;
    rn_clock clock;
    double rate, burst;
    bool refuses;
    size_t places, count;
    struct bucket buckets[PLACES_MAX]; /* the longest unused first */
    int lives;
    double slack; /* tokens that rounding may have made or lost, at changes of the setting */
    struct sleeper next, sleepers[SLEEPERS_MAX];
    int asleep;
    rn_keyed_limiter_stats wanted;
};

static uint32_t pick(struct model *m, uint32_t below)
{
    m->random = m->random * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(m->random >> 33) % below;
}

static void expect(const struct model *m, bool ok, const char *what, double got, double wanted)
{
    if (!ok)
        test_failed(__FILE__, __LINE__, "seed %llu, step %d: %s: %.9g, and the model has %.9g",
                    (unsigned long long)m->seed, m->step, what, got, wanted);
}

static double hair(const struct model *m)
{
    return 1e-9 * (1 + m->burst) + m->slack;
}

/* A setting has been changed, or the origin of its time: each bucket may be off by half a tick. */
static void rounded(struct model *m)
{
    double ticks = m->rate > 0 ? 1e9 / m->rate : 1 << 20; /* of a token */

    if (m->rate != RN_RATE_INFINITE)
        m->slack += 1 / ticks;
}

static bool near(double a, double b, double width)
{
    return a - b < width && b - a < width;
}

/* ---- the model: tokens ---- */

static bool infinite(const struct model *m)
{
    return m->rate == RN_RATE_INFINITE;
}

static void model_advance(struct model *m, rn_duration d)
{
    m->now += d;
    for (size_t i = 0; i < m->count; i++) {
        struct bucket *b = &m->buckets[i];
        if (infinite(m))
            continue;
        b->tokens += (double)d * 1e-9 * m->rate;
        b->full = b->full || b->tokens > m->burst + hair(m);
        if (b->tokens > m->burst)
            b->tokens = m->burst;
    }
}

/* Whether the bucket is full, which may not be clear. */
static bool full(struct model *m, const struct bucket *b)
{
    if (!b->full && !infinite(m) && near(b->tokens, m->burst, hair(m)))
        m->unclear = true;
    return b->full || infinite(m);
}

static void model_take(struct model *m, struct bucket *b, double n)
{
    for (int i = 0; i < m->asleep; i++)
        if (m->sleepers[i].life == b->life)
            m->sleepers[i].after += n;
    b->tokens -= n;
    b->full = b->full && n == 0;
}

/* How long until n tokens are there. */
static double model_delay(const struct model *m, const struct bucket *b, double n)
{
    double tokens = b == NULL ? m->burst : b->tokens;

    if (infinite(m) || n <= tokens)
        return 0;
    return (n - tokens) / m->rate * 1e9;
}

/* ---- the model: keys ---- */

static struct bucket *find(struct model *m, int key)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->buckets[i].key == key)
            return &m->buckets[i];
    return NULL;
}

static void leave(struct model *m, struct bucket *b)
{
    size_t behind = (size_t)(m->buckets + m->count - b) - 1;

    memmove(b, b + 1, behind * sizeof *b);
    m->count--;
}

static struct bucket *use(struct model *m, struct bucket *b)
{
    struct bucket used = *b;

    leave(m, b);
    m->buckets[m->count] = used;
    return &m->buckets[m->count++];
}

static bool make_room(struct model *m)
{
    size_t at = 0;

    for (int looks = 0; looks < SEARCHED && at < m->count; looks++) {
        if (full(m, &m->buckets[at])) {
            m->wanted.forgotten++;
            leave(m, &m->buckets[at]);
            return true;
        }
        if (m->refuses)
            use(m, &m->buckets[0]);
        else
            at++;
    }
    if (m->refuses)
        return false;
    m->wanted.displaced++;
    leave(m, &m->buckets[0]);
    return true;
}

/* The bucket of a key that is not known; NULL: there is no place for it. */
static struct bucket *add(struct model *m, int key)
{
    for (int i = 0; i < SWEPT && m->count > 0 && full(m, &m->buckets[0]); i++) {
        m->wanted.forgotten++;
        leave(m, &m->buckets[0]);
    }
    if (m->count == m->places && !make_room(m)) {
        m->wanted.refused++;
        return NULL;
    }
    m->buckets[m->count] = (struct bucket){key, ++m->lives, m->burst, true};
    return &m->buckets[m->count++];
}

/* ---- beside it ---- */

/* Keys differ in size; one has none. */
static size_t key_text(int key, char text[KEY_BYTES_MAX])
{
    memset(text, 'a' + key, KEY_BYTES_MAX);
    return (size_t)key % KEY_BYTES_MAX;
}

/* Some more often. Keys of one size differ in the letter; 0 and 9 would both be empty. */
static int pick_key(struct model *m)
{
    int key = (int)pick(m, pick(m, 2) == 0 ? 3 : KEYS);

    return key == KEY_BYTES_MAX ? 0 : key;
}

static size_t pick_tokens(struct model *m)
{
    return pick(m, pick(m, 8) == 0 ? (uint32_t)m->burst + 3 : (uint32_t)m->burst / 2 + 2);
}

/*
 * What allow or wait must return for n tokens, *delay later, and whose the bucket is. Within a hair
 * of a decision *either is set.
 */
static int model_ask(struct model *m, int key, double n, bool patient, struct bucket **out,
                     double *delay, bool *either)
{
    struct bucket *b = find(m, key);

    *either = false;
    *out = NULL;
    *delay = 0;
    if (infinite(m))
        return 0;
    if (n > m->burst)
        return RN_EBURST;
    b = b != NULL ? b : add(m, key);
    if (b == NULL)
        return -ENOSPC;
    *out = b = use(m, b);
    *delay = model_delay(m, b, n);
    if (patient && m->rate > 0)
        return 0;
    *either = !b->full && near(n, b->tokens, hair(m));
    return n <= b->tokens ? 0 : RN_ERATE;
}

static void count_result(struct model *m, int err)
{
    m->wanted.allowed += err == 0;
    m->wanted.denied += err == RN_ERATE;
}

static void allow(struct model *m)
{
    int key = pick_key(m);
    char text[KEY_BYTES_MAX];
    size_t n = pick_tokens(m), size = key_text(key, text);
    struct bucket *b;
    double delay;
    bool either;
    int wanted = model_ask(m, key, (double)n, false, &b, &delay, &either);
    int err = rn_keyed_limiter_allow(m->k, text, size, n);

    if (!(either && (err == 0 || err == RN_ERATE)) && !m->unclear)
        expect(m, err == wanted, "allow", err, wanted);
    count_result(m, err);
    if (err == 0 && b != NULL)
        model_take(m, b, (double)n);
}

static void expect_delay(const struct model *m, const char *what, rn_duration got, double wanted)
{
    double width = 2 + 1e-9 * wanted + hair(m) / m->rate * 1e9;

    expect(m, near((double)got, wanted, width), what, (double)got, wanted);
}

static void delay(struct model *m)
{
    int key = pick_key(m);
    char text[KEY_BYTES_MAX];
    size_t n = 1 + pick(m, (uint32_t)m->burst), size = key_text(key, text);
    const struct bucket *b = find(m, key);
    rn_duration got = rn_keyed_limiter_delay(m->k, text, size, n);
    double tokens = b == NULL ? m->burst : b->tokens;

    if (m->rate > 0)
        expect_delay(m, "delay", got, model_delay(m, b, (double)n));
    else if (!near(tokens, (double)n, hair(m)))
        expect(m, got == ((double)n <= tokens ? 0 : RN_FOREVER), "delay at rate 0", (double)got,
               tokens);
}

static void forget_key(struct model *m, int key)
{
    char text[KEY_BYTES_MAX];
    size_t size = key_text(key, text);
    struct bucket *b = find(m, key);
    int err = rn_keyed_limiter_forget(m->k, text, size);

    expect(m, err == (b == NULL ? -ENOENT : 0), "forget", err, b == NULL ? -ENOENT : 0);
    if (b != NULL)
        leave(m, b);
}

static void forget(struct model *m)
{
    forget_key(m, pick_key(m));
}

/* Mostly some tokens' worth; now and then a year. */
static void advance(struct model *m)
{
    double interval = m->rate > 0 && !infinite(m) ? 1e9 / m->rate : 1e9;
    rn_duration d = (rn_duration)(interval * pick(m, 1200) / 1000) + pick(m, 1000);

    if (pick(m, 60) == 0)
        d = (rn_duration)pick(m, 365) * 24 * RN_HOUR;
    model_advance(m, d);
}

/* The limiter sees the time before and after: what passed unseen around a jump nobody can know. */
static void jump_back(struct model *m)
{
    delay(m);
    m->now -= (rn_duration)pick(m, 1000000) * RN_SECOND;
    rounded(m);
    delay(m);
}

static double random_rate(struct model *m)
{
    static const double rates[] = {0, 0.25, 0.25, 1, 1, 10, 1000, 1000, 1e6, RN_RATE_INFINITE};

    return rates[pick(m, sizeof rates / sizeof *rates)];
}

static void set_rate(struct model *m)
{
    double before = m->rate;

    rounded(m);
    m->rate = random_rate(m);
    rounded(m);
    EXPECT_EQ(rn_keyed_limiter_set_rate(m->k, m->rate), 0);
    for (size_t i = 0; i < m->count; i++)
        if (infinite(m) || before == RN_RATE_INFINITE) {
            m->buckets[i].tokens = m->burst;
            m->buckets[i].full = true;
        }
}

static void set_burst(struct model *m)
{
    double burst = 1 + pick(m, 12);

    rounded(m);
    EXPECT_EQ(rn_keyed_limiter_set_burst(m->k, (size_t)burst), 0);
    for (size_t i = 0; i < m->count; i++) {
        struct bucket *b = &m->buckets[i];
        b->full = infinite(m) || b->tokens > burst + hair(m) || (b->full && burst <= m->burst);
        if (b->tokens > burst || infinite(m))
            b->tokens = burst;
    }
    m->burst = burst;
}

/* ---- waiting ---- */

static void do_something(struct model *m, bool meanwhile);

static void wake(struct model *m, const struct sleeper *s, bool gives_up)
{
    struct bucket *b = find(m, s->key);
    double unused = s->n - s->after;

    m->wanted.gave_up += gives_up;
    if (!gives_up || m->now > s->act || b == NULL || b->life != s->life || unused <= 0)
        return;
    b->tokens += unused;
    for (int i = 0; i < m->asleep; i++)
        if (m->sleepers[i].life == b->life)
            m->sleepers[i].after -= unused;
    if (b->tokens > m->burst)
        b->tokens = m->burst; /* not surely full: that hangs by a hair */
}

/* The limiter sleeps: others come and go, and the wait ends or is given up. */
static int sleep_meanwhile(rn_ctx *ctx, void *arg, rn_duration d)
{
    struct model *m = arg;
    struct sleeper *s = &m->sleepers[m->asleep++];
    bool gives_up = pick(m, 2) == 0;

    (void)ctx;
    *s = m->next;
    expect_delay(m, "the time of a wait", d, (double)(s->act - m->now));
    s->act = m->now + d;
    m->wanted.waits++;
    for (uint32_t i = pick(m, 4); i > 0 && !m->unclear; i--)
        do_something(m, true);
    if ((!gives_up || pick(m, 8) == 0) && m->now < s->act)
        model_advance(m, s->act - m->now);
    m->asleep--;
    wake(m, s, gives_up);
    return gives_up ? -ECANCELED : 0;
}

/* At a rate above 0 every wait takes, and may sleep; at 0 it is as allow. */
static void wait(struct model *m)
{
    bool patient = m->rate > 0;
    int key = pick_key(m);
    char text[KEY_BYTES_MAX];
    size_t n = pick_tokens(m), size = key_text(key, text);
    struct bucket *b;
    double delay;
    bool either;

    if (m->asleep == SLEEPERS_MAX)
        return;
    int wanted = model_ask(m, key, (double)n, patient, &b, &delay, &either);
    if (m->unclear)
        return;
    if (patient && wanted == 0 && b != NULL) {
        m->next = (struct sleeper){key, b->life, (double)n, 0, m->now + (rn_duration)delay};
        model_take(m, b, (double)n);
    }
    if (patient)
        count_result(m, wanted); /* before others count */
    int err = rn_keyed_limiter_wait(NULL, m->k, text, size, n);
    if (patient) {
        expect(m, m->unclear || err == wanted || (err == -ECANCELED && wanted == 0), "wait", err,
               wanted);
        return;
    }
    expect(m, err == wanted || (either && (err == 0 || err == RN_ERATE)), "wait at rate 0", err,
           wanted);
    count_result(m, err);
    if (err == 0)
        model_take(m, b, (double)n);
}

/* ---- steps ---- */

static void do_something(struct model *m, bool meanwhile)
{
    static void (*const operations[])(struct model *) = {
        allow, allow, allow, allow, allow, delay, wait, forget, advance, advance, advance};
    uint32_t i = pick(m, 8 * sizeof operations / sizeof *operations);

    if (i < 3 && (i == 2 || !meanwhile))
        (i == 0 ? set_rate : i == 1 ? set_burst : jump_back)(m);
    else
        operations[i % (sizeof operations / sizeof *operations)](m);
}

static void expect_count(const struct model *m, const char *what, uint64_t got, uint64_t wanted)
{
    expect(m, got == wanted, what, (double)got, (double)wanted);
}

static void compare(struct model *m)
{
    rn_keyed_limiter_stats got;

    rn_keyed_limiter_stats_read(m->k, &got);
    expect_count(m, "keys", got.keys, m->count);
    expect_count(m, "allowed", got.allowed, m->wanted.allowed);
    expect_count(m, "denied", got.denied, m->wanted.denied);
    expect_count(m, "refused", got.refused, m->wanted.refused);
    expect_count(m, "forgotten", got.forgotten, m->wanted.forgotten);
    expect_count(m, "displaced", got.displaced, m->wanted.displaced);
    expect_count(m, "waits", got.waits, m->wanted.waits);
    expect_count(m, "gave_up", got.gave_up, m->wanted.gave_up);
    delay(m); /* which also shows the limiter the time */
}

static rn_time now(void *arg)
{
    return ((struct model *)arg)->now;
}

static void begin(struct model *m, uint64_t seed)
{
    *m = (struct model){
        .seed = seed, .random = seed * 0x9e3779b97f4a7c15 + 1, .clock = {now, sleep_meanwhile, m}};
    m->now = (rn_time)pick(m, 1000000) * RN_SECOND;
    m->rate = random_rate(m);
    m->burst = 1 + pick(m, 12);
    m->places = 1 + pick(m, PLACES_MAX);
    m->refuses = pick(m, 2) == 0;
    EXPECT_EQ(rn_keyed_limiter_new(&m->k,
                                   &(rn_keyed_limiter_config){
                                       .per_second = m->rate,
                                       .burst = (size_t)m->burst,
                                       .keys_max = m->places,
                                       .when_full = m->refuses ? RN_KEYS_REFUSE : RN_KEYS_FORGET,
                                       .clock = &m->clock}),
              0);
}

/* Returns how many steps were compared. */
static int run_seed(uint64_t seed)
{
    static struct model m;

    begin(&m, seed);
    for (m.step = 0; m.step < STEPS && !m.unclear; m.step++) {
        do_something(&m, false);
        if (!m.unclear)
            compare(&m);
    }
    for (int key = 0; key < KEYS && !m.unclear; key++)
        if (key != KEY_BYTES_MAX)
            forget_key(&m, key);
    rn_keyed_limiter_free(m.k);
    return m.step;
}

TEST(random_operations_do_what_the_model_does)
{
    const char *only = getenv("MODEL_SEED");
    int64_t compared = 0;

    if (only != NULL) {
        run_seed(strtoull(only, NULL, 10));
        return;
    }
    for (int i = 0; i < rounds(SEEDS); i++)
        compared += run_seed((uint64_t)i);
    EXPECT(compared > (int64_t)rounds(SEEDS) * STEPS / 2); /* the rest hung by a hair */
}
