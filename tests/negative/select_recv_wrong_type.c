/* A select's receive checks its place. */
/* expect: not the channel.*s element type */
#include <runnel/select.h>

int wait(rn_chan(int) numbers)
{
#ifdef RN_FIXED
    int place;
#else
    char place;
#endif
    return rn_select(NULL, rn_on_recv(numbers, &place), rn_on_timeout(RN_SECOND));
}
