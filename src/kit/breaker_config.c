/*
 * See breaker_config.h.
 */
#include "breaker_config.h"
#include "random.h"

#define COUNT_MAX 1000000 /* of thresholds and of the window's calls */
#define PROBES_MAX 1000
#define BACKOFF_MAX 100
#define FAILURE_THRESHOLD_DEFAULT 5
#define WINDOW_CALLS_DEFAULT 100
#define MINIMUM_CALLS_DEFAULT 10
#define OPEN_FOR_DEFAULT (30 * RN_SECOND)
#define OPEN_MAX_FACTOR 10
#define PROBE_LEASE_DEFAULT (30 * RN_SECOND)

#define WRONG(...) rn_error_with(-EINVAL, "breaker: " __VA_ARGS__)

static int check_size(const char *field, size_t value, size_t max)
{
    return value <= max ? 0 : WRONG("%s is %zu: allowed are 1 to %zu", field, value, max);
}

static int check_share(const char *field, double value)
{
    return value >= 0 && value <= 1 ? 0 : WRONG("%s is %g: allowed are 0 to 1", field, value);
}

static int check_duration(const char *field, rn_duration value)
{
    return value >= 0 ? 0
                      : WRONG("%s is %lld: a duration is not negative", field, (long long)value);
}

static int check_fields(const rn_breaker_config *c)
{
    int err = check_size(".failure_threshold", c->failure_threshold, COUNT_MAX);

    err = err != 0 ? err : check_share(".failure_ratio", c->failure_ratio);
    err = err != 0 ? err : check_share(".slow_ratio", c->slow_ratio);
    err = err != 0 ? err : check_duration(".slow_call", c->slow_call);
    err = err != 0 ? err : check_size(".window_calls", c->window_calls, COUNT_MAX);
    err = err != 0 ? err : check_duration(".window", c->window);
    err = err != 0 ? err : check_size(".minimum_calls", c->minimum_calls, COUNT_MAX);
    err = err != 0 ? err : check_duration(".open_for", c->open_for);
    err = err != 0 ? err : check_duration(".open_max", c->open_max);
    err = err != 0 ? err : check_share(".open_jitter", c->open_jitter);
    err = err != 0 ? err : check_size(".probes", c->probes, PROBES_MAX);
    err = err != 0 ? err : check_size(".success_threshold", c->success_threshold, COUNT_MAX);
    return err != 0 ? err : check_duration(".probe_lease", c->probe_lease);
}

static bool has_ratio(const rn_breaker_config *c)
{
    return c->failure_ratio != 0 || c->slow_ratio != 0;
}

/* Fields that are right by themselves, and wrong together. */
static int check_together(const rn_breaker_config *c)
{
    if (c->window != 0 && c->window_calls != 0)
        return WRONG(".window and .window_calls are both set: a window is of one kind");
    if (c->slow_ratio != 0 && c->slow_call == 0)
        return WRONG(".slow_ratio is set, but not .slow_call, which says what is slow");
    if (c->should_open != NULL && (has_ratio(c) || c->failure_threshold != 0))
        return WRONG(".should_open is set beside another rule, which it would replace");
    if (c->should_open == NULL && !has_ratio(c) && (c->window != 0 || c->window_calls != 0))
        return WRONG("a window is set, but neither .failure_ratio, .slow_ratio nor .should_open");
    if (c->window_calls != 0 && c->minimum_calls > c->window_calls)
        return WRONG(".minimum_calls is %zu, but .window_calls only %zu", c->minimum_calls,
                     c->window_calls);
    if (!(c->open_backoff == 0 || (c->open_backoff >= 1 && c->open_backoff <= BACKOFF_MAX)))
        return WRONG(".open_backoff is %g: allowed are 1 to %d", c->open_backoff, BACKOFF_MAX);
    if (c->open_max != 0 && c->open_max < c->open_for)
        return WRONG(".open_max is shorter than .open_for");
    return 0;
}

static void set_defaults(rn_breaker_config *c)
{
    if (has_ratio(c) && c->window == 0 && c->window_calls == 0)
        c->window_calls = WINDOW_CALLS_DEFAULT;
    if (c->failure_threshold == 0 && !has_ratio(c) && c->should_open == NULL)
        c->failure_threshold = FAILURE_THRESHOLD_DEFAULT;
    if (c->minimum_calls == 0)
        c->minimum_calls = c->window_calls != 0 && c->window_calls < MINIMUM_CALLS_DEFAULT
                               ? c->window_calls
                               : MINIMUM_CALLS_DEFAULT;
    c->open_for = c->open_for == 0 ? OPEN_FOR_DEFAULT : c->open_for;
    c->open_backoff = c->open_backoff == 0 ? 1 : c->open_backoff;
    if (c->open_max == 0)
        c->open_max = duration_of((double)c->open_for * OPEN_MAX_FACTOR);
    c->probes = c->probes == 0 ? 1 : c->probes;
    c->success_threshold = c->success_threshold == 0 ? 1 : c->success_threshold;
    c->probe_lease = c->probe_lease == 0 ? PROBE_LEASE_DEFAULT : c->probe_lease;
}

int breaker_config_complete(rn_breaker_config *c)
{
    int err = check_fields(c);

    if (err != 0)
        return err;
    set_defaults(c);
    return check_together(c);
}
