/*
 * Orders to a service that is slow, limited and at times down, through one policy: retry around
 * breaker around limiter around semaphore, as the array of layers says.
 *
 * Thirty fibers share the policy. The service is down for the first ten calls that reach it; the
 * retries, paced by the breaker and the limiter, bring every order through.
 */
#include <runnel.h>

#include <stdatomic.h>
#include <stdio.h>

#define ORDERS 30
#define DOWN 10

static atomic_int calls, at_once, most_at_once;

static int place_order(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    int n = atomic_fetch_add(&at_once, 1) + 1;
    int err = rn_sleep(ctx, RN_MILLISECOND); /* stands for the real work */

    (void)arg, (void)attempt;
    if (n > atomic_load(&most_at_once))
        atomic_store(&most_at_once, n);
    atomic_fetch_sub(&at_once, 1);
    return err != 0 ? err : atomic_fetch_add(&calls, 1) < DOWN ? -ECONNREFUSED : 0;
}

static int order(rn_ctx *ctx, void *arg)
{
    return rn_policy_execute(ctx, *(rn_policy **)arg, place_order, NULL);
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    rn_retry *retry = NULL;
    rn_breaker *breaker = NULL;
    rn_limiter *limiter = NULL;
    rn_semaphore *connections = NULL;
    rn_policy *policy = NULL;
    char text[100];
    int err;

    (void)argc, (void)argv;
    rn_retry_new(&retry, &(rn_retry_config){.attempts = 100, .max_delay = 10 * RN_MILLISECOND});
    rn_breaker_new(&breaker,
                   &(rn_breaker_config){.failure_threshold = 5, .open_for = 5 * RN_MILLISECOND});
    rn_limiter_new(&limiter, &(rn_limiter_config){.per_second = 1000, .burst = 5});
    rn_semaphore_new(&connections, 3);
    err = rn_policy_new(
        &policy, &(rn_policy_config){.name = "orders",
                                     .layers = {rn_layer_retry(retry), rn_layer_breaker(breaker),
                                                rn_layer_limiter(limiter, 1),
                                                rn_layer_semaphore(connections, 1)}});
    if (err != 0) { /* also when a part could not be made: it is NULL then */
        fprintf(stderr, "%s\n", rn_error_detail());
        return 1;
    }
    rn_policy_order(policy, text, sizeof text);
    printf("%s\n", text);
    for (int i = 0; i < ORDERS; i++)
        rn_group_go(g, order, &policy);
    err = rn_group_wait(g);
    printf("orders: %s\n", err == 0 ? "all placed" : rn_strerror(err));
    printf("failed calls: %d, at once: %s\n", atomic_load(&calls) - ORDERS,
           atomic_load(&most_at_once) <= 3 ? "at most 3" : "too many");
    rn_policy_free(policy);
    rn_semaphore_free(connections);
    rn_limiter_free(limiter);
    rn_breaker_free(breaker);
    rn_retry_free(retry);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
