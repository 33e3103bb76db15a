/* A channel of one type is not a channel of another. */
/* expect: incompatible */
#include <runnel/chan.h>

int main(void)
{
#ifdef RN_FIXED
    rn_chan(int) numbers = rn_chan_make(int, 1);
#else
    rn_chan(int) numbers = rn_chan_make(long, 1);
#endif
    rn_chan_release(numbers);
    return 0;
}
