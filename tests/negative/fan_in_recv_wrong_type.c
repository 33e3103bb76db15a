/* What a fan-in gives is received into its type. */
/* expect: pointer.*s type is not the channel.*s element type */
#include <runnel/fan_in.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

int receive(rn_fan_in(int) all, element *value);
int receive(rn_fan_in(int) all, element *value)
{
    return rn_recv(NULL, rn_fan_in_chan(all), value);
}
