/* An object of another type is not taken out. */
/* expect: not to the pool.*s type */
#include <runnel/object_pool.h>

int get(rn_object_pool(long) pool);
int get(rn_object_pool(long) pool)
{
#ifdef RN_FIXED
    long *object;
#else
    int *object;
#endif
    return rn_object_pool_get(pool, &object);
}
