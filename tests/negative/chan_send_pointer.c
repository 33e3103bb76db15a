/* A pointer is not sent where a value is. */
/* expect: incompatible|makes integer from pointer|invalid initializer|initializing */
#include <runnel/chan.h>

int send(rn_chan(int) numbers, int *number)
{
#ifdef RN_FIXED
    return rn_send(NULL, numbers, *number);
#else
    return rn_send(NULL, numbers, number);
#endif
}
