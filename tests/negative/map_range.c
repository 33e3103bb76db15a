/* range's function has the map's key type. */
/* expect: the function.*s types are not the map.*s */
#include <runnel/map.h>

#ifdef RN_FIXED
int see(void *arg, const char *const *key, const long *value);
#else
int see(void *arg, const char *key, const long *value);
#endif

int range(rn_map(const char *, long) m);
int range(rn_map(const char *, long) m)
{
    return rn_map_range(m, see, (void *)0);
}
