/*
 * The arithmetic of token buckets: all of a bucket is one number, the time when it is full again.
 *
 * (GCRA, the generic cell rate algorithm: what it calls the theoretical arrival time.) Taking a
 * token moves that time on by what one token takes to come back. A bucket holds no more than burst
 * tokens, so it is empty when that time is burst tokens ahead.
 *
 * Time is counted in ticks since an origin. A nanosecond is `speed` ticks and a token `token`
 * ticks, both whole numbers chosen for the rate: 3,000,000 a second is 3 and 1000. So sums are
 * exact, however many tokens are taken one by one; only the rate itself may be off, by at most one
 * part in 4000 for the oddest rates beyond 100,000,000 a second and usually by none or less than
 * one in ten million.
 *
 * Not refilling at all is a speed of 0. An infinite rate is a token of 0 ticks.
 */
#ifndef RN_KIT_GCRA_H
#define RN_KIT_GCRA_H

#include <runnel/time.h>
#include <stddef.h>
#include <stdint.h>

#define GCRA_TICKS_MAX ((int64_t)1 << 57) /* of an age, and of a bucket */
#define GCRA_UNTIL_MAX ((int64_t)1 << 58) /* with a bucket on top it leaves 4 bits free */
#define GCRA_BASE_END ((int64_t)1 << 40)
#define GCRA_BURST_MAX ((size_t)1 << 40)
#define GCRA_RATE_MAX 1e12

/* One rate and burst. */
struct gcra {
    rn_time since;   /* the origin of ticks */
    int64_t token;   /* ticks; 0: infinite rate */
    int64_t speed;   /* ticks of a nanosecond; 0: never refills */
    int64_t full;    /* ticks of burst tokens */
    int64_t age_max; /* how long after since ticks may be counted */
    int64_t burst;
    int64_t base; /* what ticks stand at at the origin; less than GCRA_BASE_END */
};

/*
 * Fills in *out, with a base of 0. Returns 0, or -EINVAL with a sentence in which `kind` stands for
 * the object.
 */
int gcra_make(struct gcra *out, const char *kind, double per_second, size_t burst, rn_time since);

/*
 * The rate of a configuration that gives it per second or as an interval, not both. Returns 0 or
 * -EINVAL with a sentence.
 */
int gcra_rate(double *per_second, const char *kind, double configured, rn_duration every);

/* What `until` is with another rate, of which now is the origin. The tokens in the bucket stay. */
int64_t gcra_convert(const struct gcra *from, const struct gcra *to, int64_t until, rn_time now);

static inline int64_t gcra_tick(const struct gcra *g, rn_time now)
{
    int64_t age = now - g->since;

    if (age > g->age_max)
        age = g->age_max;
    return g->base + (age > 0 ? age * g->speed : 0);
}

/* `until` once n tokens more are taken. n is at most burst. */
static inline int64_t gcra_take(const struct gcra *g, int64_t until, int64_t tick, size_t n)
{
    return (until > tick ? until : tick) + (int64_t)n * g->token;
}

/* How long until the tokens are there that have moved it to `until`. */
static inline rn_duration gcra_delay(const struct gcra *g, int64_t until, int64_t tick)
{
    int64_t ticks = until - g->full - tick;

    if (ticks <= 0)
        return 0;
    if (g->speed == 0 || until > GCRA_UNTIL_MAX)
        return RN_FOREVER;
    return (ticks + g->speed - 1) / g->speed;
}

/* Tokens in the bucket; negative when more than there are have been promised. */
static inline double gcra_tokens(const struct gcra *g, int64_t until, int64_t tick)
{
    if (g->token == 0 || until <= tick)
        return (double)g->burst;
    return (double)g->burst - (double)(until - tick) / (double)g->token;
}

/*
 * Of n tokens taken up to `mine`: the ticks that nobody who came later, up to `until`, counts on.
 */
static inline int64_t gcra_unused(const struct gcra *g, int64_t mine, int64_t until, size_t n)
{
    int64_t later = until > mine ? until - mine : 0;
    int64_t ticks = n < (size_t)g->burst ? (int64_t)n * g->token : g->full;

    return ticks > later ? ticks - later : 0;
}

#endif
