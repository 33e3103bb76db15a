/* An array's elements are those of the stream. */
/* expect: array.*s elements are not T */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef long element;
#endif

static const element values[3];

rn_stream(int) numbers(rn_pipeline *p);
rn_stream(int) numbers(rn_pipeline *p)
{
    return rn_stream_from_array(int, p, values, 3);
}
