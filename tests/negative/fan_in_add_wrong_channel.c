/* A channel that is added has the fan-in's type. */
/* expect: incompatible.(function )?pointer.type */
#include <runnel/fan_in.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

int add(rn_fan_in(int) all, rn_chan(element) ch);
int add(rn_fan_in(int) all, rn_chan(element) ch)
{
    return rn_fan_in_add(all, ch);
}
