/* A batch is of the stream's elements. */
/* expect: type is not an rn_batch of the stream.*s elements */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef rn_batch(int) batch;
#else
typedef rn_batch(long) batch;
#endif

rn_stream(batch) batches(rn_stream(int) numbers);
rn_stream(batch) batches(rn_stream(int) numbers)
{
    return rn_stream_batch(batch, numbers, 10, RN_SECOND);
}
