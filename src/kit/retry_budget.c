/*
 * Retry budget: a number of thousandths of tokens in one atomic.
 *
 * Invariant: 0 <= milli <= limit.
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/retry.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MILLI 1000
#define TOKENS_MAX 1000000
#define TOKENS_DEFAULT 10
#define RATIO_DEFAULT 0.1

struct rn_retry_budget {
    rn_retry_budget_config config;
    int64_t deposit; /* thousandths, as all here */
    int64_t limit;
    _Atomic(int64_t) milli;
    _Atomic(uint64_t) withdrawn;
    _Atomic(uint64_t) refused;
    rn_exhibit exhibit;
};

void rn_retry_budget_deposit(rn_retry_budget *budget)
{
    int64_t milli = atomic_load(&budget->milli), more;

    do {
        if (milli == budget->limit)
            return;
        more = milli + budget->deposit;
        if (more > budget->limit)
            more = budget->limit;
    } while (!atomic_compare_exchange_weak(&budget->milli, &milli, more));
}

bool rn_retry_budget_withdraw(rn_retry_budget *budget)
{
    int64_t milli = atomic_load(&budget->milli);

    do {
        if (milli < MILLI) {
            atomic_fetch_add(&budget->refused, 1);
            if (budget->config.on_empty != NULL)
                budget->config.on_empty(budget->config.events_arg);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&budget->milli, &milli, milli - MILLI));
    atomic_fetch_add(&budget->withdrawn, 1);
    return true;
}

void rn_retry_budget_stats_read(rn_retry_budget *budget, rn_retry_budget_stats *out)
{
    *out = (rn_retry_budget_stats){.tokens = (double)atomic_load(&budget->milli) / MILLI,
                                   .withdrawn = atomic_load(&budget->withdrawn),
                                   .refused = atomic_load(&budget->refused)};
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    const rn_retry_budget *budget = (const rn_retry_budget *)((const char *)exhibit -
                                                              offsetof(rn_retry_budget, exhibit));

    snprintf(text, size, "%lld of %lld tokens", (long long)atomic_load(&budget->milli) / MILLI,
             (long long)budget->limit / MILLI);
}

int rn_retry_budget_new(rn_retry_budget **out, const rn_retry_budget_config *config)
{
    rn_retry_budget_config c = config == NULL ? (rn_retry_budget_config){0} : *config;
    rn_retry_budget *budget;

    *out = NULL;
    if (c.ratio == 0)
        c.ratio = RATIO_DEFAULT;
    if (c.tokens == 0)
        c.tokens = TOKENS_DEFAULT;
    if (!(c.ratio >= 0.001 && c.ratio <= 1))
        return rn_error_with(-EINVAL, "retry budget: .ratio is %g: allowed are 0.001 to 1",
                             c.ratio);
    if (c.tokens > TOKENS_MAX)
        return rn_error_with(-EINVAL, "retry budget: .tokens is %zu: allowed are 1 to %d", c.tokens,
                             TOKENS_MAX);
    budget = calloc(1, sizeof *budget);
    if (budget == NULL)
        return -ENOMEM;
    budget->config = c;
    budget->deposit = (int64_t)(c.ratio * MILLI + 0.5);
    budget->limit = (int64_t)c.tokens * MILLI;
    atomic_init(&budget->milli, budget->limit);
    if (c.name != NULL) {
        budget->exhibit = (rn_exhibit){
            .kind = "retry budget", .name = c.name, .describe = describe};
        rn_exhibit_show(&budget->exhibit);
    }
    *out = budget;
    return 0;
}

void rn_retry_budget_free(rn_retry_budget *budget)
{
    if (budget != NULL && budget->exhibit.name != NULL)
        rn_exhibit_hide(&budget->exhibit);
    free(budget);
}
