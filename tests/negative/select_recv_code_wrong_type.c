/* The form with a place for the code checks the value's place as well. */
/* expect: not the channel.*s element type */
#include <runnel/select.h>

int wait(rn_chan(int) numbers)
{
    int code;
#ifdef RN_FIXED
    int place;
#else
    long place;
#endif
    return rn_select(NULL, rn_on_recv_code(numbers, &place, &code));
}
