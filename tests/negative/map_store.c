/* A value of another type is not stored. */
/* expect: invalid initializer|incompatible type */
#include <runnel/map.h>

struct session {
    int user;
};

int store(rn_map(int, struct session) m);
int store(rn_map(int, struct session) m)
{
#ifdef RN_FIXED
    return rn_map_store(m, 1, (struct session){.user = 2});
#else
    return rn_map_store(m, 1, 2);
#endif
}
