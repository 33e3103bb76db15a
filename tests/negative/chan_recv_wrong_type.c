/* A value cannot be received into a variable of another type, though it has the same size. */
/* expect: not the channel.*s element type */
#include <runnel/chan.h>

int receive(rn_chan(int) numbers)
{
#ifdef RN_FIXED
    int place;
#else
    float place;
#endif
    return rn_recv(NULL, numbers, &place);
}
