/* A ticker's channel carries times. */
/* expect: not the channel.*s element type */
#include <runnel/time.h>

int wait(rn_ticker *ticker)
{
#ifdef RN_FIXED
    rn_time at;
#else
    int at;
#endif
    return rn_recv(NULL, rn_ticker_chan(ticker), &at);
}
