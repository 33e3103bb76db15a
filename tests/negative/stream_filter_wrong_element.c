/* A filter's function takes the stream's elements. */
/* expect: function does not judge the stream.*s elements */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef unsigned element;
#endif

static bool even(const element *n)
{
    return *n % 2 == 0;
}

rn_stream(int) evens(rn_stream(int) numbers);
rn_stream(int) evens(rn_stream(int) numbers)
{
    return rn_stream_filter(numbers, even);
}
