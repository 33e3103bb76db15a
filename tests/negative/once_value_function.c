/* A function that makes another type of value is not taken. */
/* expect: does not make the once.*s type */
#include <runnel/once.h>

#ifdef RN_FIXED
int make(void *arg, long *value);
#else
int make(void *arg, int *value);
#endif

int get(long *value);
int get(long *value)
{
    static rn_once_value(long) once;
    return rn_once_value_get(&once, make, (void *)0, value);
}
