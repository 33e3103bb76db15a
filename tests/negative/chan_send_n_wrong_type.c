/* An array of another type cannot be sent. */
/* expect: not the channel.*s element type */
#include <runnel/chan.h>

ptrdiff_t send(rn_chan(long) numbers)
{
#ifdef RN_FIXED
    long values[4] = {0};
#else
    int values[4] = {0};
#endif
    return rn_send_n(NULL, numbers, values, 4);
}
