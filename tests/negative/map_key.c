/* A number is no key of a map of strings. */
/* expect: the key.*s type is not the map.*s */
#include <runnel/map.h>

int load(rn_map(const char *, long) m, long *value);
int load(rn_map(const char *, long) m, long *value)
{
#ifdef RN_FIXED
    return rn_map_load(m, "five", value);
#else
    return rn_map_load(m, 5, value);
#endif
}
