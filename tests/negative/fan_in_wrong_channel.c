/* A fan-in takes channels of its type only. */
/* expect: incompatible.(function )?pointer.type */
#include <runnel/fan_in.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

int make(rn_chan(int) a, rn_chan(element) b);
int make(rn_chan(int) a, rn_chan(element) b)
{
    rn_fan_in(int) all;
    return rn_fan_in_new(&all, (a, b), &(rn_fan_in_config){.buffer = 1, .growing = true});
}
