/* A held value cannot be written to. */
/* expect: read-only|not assignable */
#include <runnel/map.h>

void change(rn_map(int, long) m);
void change(rn_map(int, long) m)
{
    const long *held = rn_map_acquire(m, 1);
#ifdef RN_FIXED
    if (held != NULL && *held == 2)
        rn_map_store(m, 1, 3);
#else
    *held = 3;
#endif
    rn_map_release(m, held);
}
