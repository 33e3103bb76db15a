/* compute's function has the map's value type. */
/* expect: the function.*s types are not the map.*s */
#include <runnel/map.h>

#ifdef RN_FIXED
int add(void *arg, const long *old, long *value);
#else
int add(void *arg, const int *old, int *value);
#endif

int compute(rn_map(int, long) m);
int compute(rn_map(int, long) m)
{
    return rn_map_compute(m, 1, add, (void *)0);
}
