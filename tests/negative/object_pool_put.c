/* An object of another type is not put back. */
/* expect: not to the pool.*s type */
#include <runnel/object_pool.h>

#ifdef RN_FIXED
void put(rn_object_pool(long) pool, long *object);
void put(rn_object_pool(long) pool, long *object)
#else
void put(rn_object_pool(long) pool, int *object);
void put(rn_object_pool(long) pool, int *object)
#endif
{
    rn_object_pool_put(pool, object);
}
