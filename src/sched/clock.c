/* The clock that everything above reads: monotonic nanoseconds, and arithmetic that saturates. */
#include "os/os.h"

#include <runnel/time.h>

rn_time rn_now(void)
{
    return os_now();
}

rn_time rn_time_add(rn_time t, rn_duration d)
{
    rn_time sum;
    if (!__builtin_add_overflow(t, d, &sum))
        return sum;
    return d > 0 ? RN_FOREVER : INT64_MIN;
}
