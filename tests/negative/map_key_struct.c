/* A struct of the same size is another key. */
/* expect: the key.*s type is not the map.*s */
#include <runnel/map.h>

struct point {
    int x, y;
};

struct size {
    int x, y;
};

int delete_key(rn_map(struct point, long) m);
int delete_key(rn_map(struct point, long) m)
{
#ifdef RN_FIXED
    struct point key = {1, 2};
#else
    struct size key = {1, 2};
#endif
    return rn_map_delete(m, key);
}
