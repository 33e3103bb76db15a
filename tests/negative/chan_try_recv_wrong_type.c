/* rn_try_recv checks its place too. */
/* expect: not the channel.*s element type */
#include <runnel/chan.h>

int receive(rn_chan(unsigned) numbers)
{
#ifdef RN_FIXED
    unsigned place;
#else
    int place;
#endif
    return rn_try_recv(numbers, &place);
}
