/* The function takes the pool's types. */
/* expect: function.*s types are not the pool */
#include <runnel/worker_pool.h>

#ifdef RN_FIXED
typedef int result;
#else
typedef long result;
#endif

static int work(rn_ctx *ctx, void *arg, long *job, result *value)
{
    (void)ctx, (void)arg;
    *value = (result)*job;
    return 0;
}

int make(void);
int make(void)
{
    rn_worker_pool(long, int) pool;
    return rn_worker_pool_new(&pool, work, NULL, &(rn_worker_pool_config){.workers = 2});
}
