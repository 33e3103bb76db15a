/* Streams of one type are merged. */
/* expect: incompatible.(function )?pointer.type */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int other;
#else
typedef long other;
#endif

rn_stream(int) both(rn_stream(int) a, rn_stream(other) b);
rn_stream(int) both(rn_stream(int) a, rn_stream(other) b)
{
    return rn_stream_merge(a, b);
}
