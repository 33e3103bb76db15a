/* A map of other values is another type. */
/* expect: incompatible (function )?pointer type|incompatible type for argument */
#include <runnel/map.h>

size_t count(rn_map(int, long) m);
size_t pass(rn_map(int, int) ints, rn_map(int, long) longs);
size_t pass(rn_map(int, int) ints, rn_map(int, long) longs)
{
#ifdef RN_FIXED
    (void)ints;
    return count(longs);
#else
    (void)longs;
    return count(ints);
#endif
}
