/* A value is not copied to a place of another type. */
/* expect: not to the map.*s value type */
#include <runnel/map.h>

#ifdef RN_FIXED
int load(rn_map(int, long) m, long *value);
int load(rn_map(int, long) m, long *value)
#else
int load(rn_map(int, long) m, int *value);
int load(rn_map(int, long) m, int *value)
#endif
{
    return rn_map_load(m, 5, value);
}
