/*
 * Token buckets: choosing the unit of time for a rate.
 *
 * The interval between two tokens, in nanoseconds, is a real number; token / speed must be a
 * fraction close to it with a small denominator, since a larger speed makes ticks overflow sooner.
 * The convergents of its continued fraction are the best there are, and the first that is close
 * enough is taken.
 *
 * Compiled with the public headers only.
 */
#include "gcra.h"

#include <runnel/error.h>
#include <math.h>

#define CLOSE_ENOUGH 1e-7
#define SPEED_MAX 4096.0 /* for rates up to 1e9; beyond, in proportion */
#define CONVERGENTS_MAX 40

/* Writes interval as token / speed. False: a bucket of burst tokens would not fit. */
static bool choose_unit(struct gcra *g, double interval, double burst)
{
    double token_max = (double)GCRA_TICKS_MAX / burst;
    double speed_max = interval < 1 ? SPEED_MAX / interval : SPEED_MAX;
    double p = 1, p_before = 0, q = 0, q_before = 1, x = interval;

    g->token = 0;
    if (interval > token_max)
        return false;
    for (int i = 0; i < CONVERGENTS_MAX; i++) {
        double whole = (double)(int64_t)x;
        double p_next = whole * p + p_before, q_next = whole * q + q_before;
        if (p_next > token_max || q_next > speed_max)
            break;
        p_before = p, p = p_next;
        q_before = q, q = q_next;
        g->token = (int64_t)p;
        g->speed = (int64_t)q;
        if (fabs(p - interval * q) <= CLOSE_ENOUGH * p || x == whole)
            break;
        x = 1 / (x - whole);
    }
    return g->token > 0;
}

/* Tokens do not come back; they are still counted in fractions, for a rate that comes later. */
static void choose_frozen(struct gcra *g, size_t burst)
{
    int64_t token = GCRA_TICKS_MAX / (int64_t)burst;

    g->token = token < (1 << 20) ? token : 1 << 20;
    g->speed = 0;
}

int gcra_make(struct gcra *out, const char *kind, double per_second, size_t burst, rn_time since)
{
    if (!(per_second >= 0 && (per_second <= GCRA_RATE_MAX || isinf(per_second))))
        return rn_error_with(-EINVAL,
                             "%s: .per_second is %g: allowed are 0 to %g, and RN_RATE_INFINITE",
                             kind, per_second, GCRA_RATE_MAX);
    if (burst < 1 || burst > GCRA_BURST_MAX)
        return rn_error_with(-EINVAL, "%s: .burst is %lld: allowed are 1 to %zu", kind,
                             (long long)burst, GCRA_BURST_MAX);
    *out = (struct gcra){.since = since, .burst = (int64_t)burst};
    if (per_second == 0)
        choose_frozen(out, burst);
    else if (!isinf(per_second) && !choose_unit(out, 1e9 / per_second, (double)burst))
        return rn_error_with(-EINVAL,
                             "%s: .per_second is %g with a .burst of %zu: the bucket must fill up "
                             "within 4 years, or, with 0, never",
                             kind, per_second, burst);
    out->full = out->token * (int64_t)burst;
    out->age_max = out->speed == 0 ? RN_FOREVER : GCRA_TICKS_MAX / out->speed;
    return 0;
}

int gcra_rate(double *per_second, const char *kind, double configured, rn_duration every)
{
    *per_second = configured;
    if (every == 0)
        return 0;
    if (configured != 0)
        return rn_error_with(-EINVAL, "%s: .every is %lld and .per_second is %g: give one of them",
                             kind, (long long)every, configured);
    if (every < 0)
        return rn_error_with(-EINVAL, "%s: .every is %lld: allowed are durations above 0", kind,
                             (long long)every);
    *per_second = 1e9 / (double)every;
    return 0;
}

int64_t gcra_convert(const struct gcra *from, const struct gcra *to, int64_t until, rn_time now)
{
    double missing = (double)(until - gcra_tick(from, now)), ticks;

    if (from->token == 0 || to->token == 0)
        return to->base;
    if (missing < 0)
        missing = 0;
    ticks = (missing / (double)from->token + (double)(to->burst - from->burst)) * (double)to->token;
    if (ticks <= 0)
        return to->base;
    return to->base + (ticks < (double)GCRA_TICKS_MAX ? (int64_t)(ticks + 0.5) : GCRA_TICKS_MAX);
}
