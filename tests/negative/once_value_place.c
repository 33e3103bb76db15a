/* The value is not copied to a place of another type. */
/* expect: not to the once.*s type */
#include <runnel/once.h>

int make(void *arg, long *value);
int get(void);
int get(void)
{
    static rn_once_value(long) once;
#ifdef RN_FIXED
    long value;
#else
    int value;
#endif
    return rn_once_value_get(&once, make, (void *)0, &value);
}
