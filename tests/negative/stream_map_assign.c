/* What a map gives is a stream of that type, and of no other. */
/* expect: incompatible.(function )?pointer.type */
#include <runnel/pipeline.h>

static void square(const int *n, long *out)
{
    *out = (long)*n * *n;
}

void use(rn_stream(int) numbers);
void use(rn_stream(int) numbers)
{
#ifdef RN_FIXED
    rn_stream(long) squares = rn_stream_map(long, numbers, square);
#else
    rn_stream(int) squares = rn_stream_map(long, numbers, square);
#endif
    (void)squares;
}
