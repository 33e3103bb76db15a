/* A map's function makes what the map is said to give. */
/* expect: function does not map the stream.*s elements to R */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef long result;
#else
typedef double result;
#endif

static int square(rn_ctx *ctx, void *arg, int *n, result *out)
{
    (void)ctx, (void)arg;
    *out = (result)(*n * *n);
    return 0;
}

rn_stream(long) squares(rn_stream(int) numbers);
rn_stream(long) squares(rn_stream(int) numbers)
{
    return rn_stream_map(long, numbers, square, .concurrency = 2);
}
