/* A fan-out distributes a channel of its type. */
/* expect: channel.*s elements are not the fan-out.*s */
#include <runnel/fan_out.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

int make(rn_chan(element) in);
int make(rn_chan(element) in)
{
    rn_fan_out(int) out;
    return rn_fan_out_new(&out, in, 3, &(rn_fan_out_config){.buffer = 1});
}
