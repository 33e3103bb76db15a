/* A stream ends in a channel of its elements. */
/* expect: channel.*s elements are not the stream.*s */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int element;
#else
typedef char element;
#endif

void end(rn_stream(int) numbers, rn_chan(element) ch);
void end(rn_stream(int) numbers, rn_chan(element) ch)
{
    rn_stream_to_chan(numbers, ch);
}
