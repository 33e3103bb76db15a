/* A job of another type is not submitted. */
/* expect: invalid initializer|incompatible type */
#include <runnel/worker_pool.h>

struct job {
    int id;
};

int submit(rn_worker_pool(struct job, int) pool);
int submit(rn_worker_pool(struct job, int) pool)
{
#ifdef RN_FIXED
    return rn_worker_pool_submit(NULL, pool, (struct job){.id = 1});
#else
    return rn_worker_pool_submit(NULL, pool, 1);
#endif
}
