/* A map's function takes what the stage before it gives. */
/* expect: function does not map the stream.*s elements to R */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

static void square(const element *n, long *out)
{
    *out = (long)(*n * *n);
}

rn_stream(long) squares(rn_stream(int) numbers);
rn_stream(long) squares(rn_stream(int) numbers)
{
    return rn_stream_map(long, numbers, square);
}
