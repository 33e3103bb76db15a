/* A pool of other types is not passed where one is expected. */
/* expect: incompatible.(function )?pointer.type */
#include <runnel/worker_pool.h>

int use(rn_worker_pool(long, int) pool);

#ifdef RN_FIXED
typedef rn_worker_pool(long, int) given;
#else
typedef rn_worker_pool(long, char) given;
#endif

int pass(given pool);
int pass(given pool)
{
    return use(pool);
}
