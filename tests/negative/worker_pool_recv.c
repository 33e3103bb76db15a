/* A result is received into an rn_worker_result of the pool's type only. */
/* expect: not to an rn_worker_result of the pool.*s result type */
#include <runnel/worker_pool.h>

#ifdef RN_FIXED
typedef int value;
#else
typedef unsigned value;
#endif

int receive(rn_worker_pool(long, int) pool);
int receive(rn_worker_pool(long, int) pool)
{
    rn_worker_result(value) r;
    return rn_worker_pool_recv(NULL, pool, &r);
}
