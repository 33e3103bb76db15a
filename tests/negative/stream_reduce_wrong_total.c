/* What is reduced to is what the function adds to. */
/* expect: function does not reduce the stream.*s elements to .total */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef long sum;
#else
typedef int sum;
#endif

static void add(long *total, const int *n)
{
    *total += *n;
}

void end(rn_stream(int) numbers, sum *total);
void end(rn_stream(int) numbers, sum *total)
{
    rn_stream_reduce(numbers, total, add);
}
