/* The same in a select. */
/* expect: not to an rn_worker_result of the pool.*s result type */
#include <runnel/worker_pool.h>

#ifdef RN_FIXED
typedef struct {
    rn_job_info info;
    int value;
} __attribute__((aligned(16))) result;
#else
typedef struct {
    rn_job_info info;
    int more;
    int value;
} __attribute__((aligned(16))) result;
#endif

int receive(rn_worker_pool(long, int) pool);
int receive(rn_worker_pool(long, int) pool)
{
    result r;
    return rn_select(NULL, rn_on_result(pool, &r), rn_on_timeout(RN_SECOND));
}
