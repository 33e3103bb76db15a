/* A source's function emits the stream's elements. */
/* expect: function is not int .rn_ctx \*, void \*, rn_emitter.T.. */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef int emitted;
#else
typedef long emitted;
#endif

static int one(rn_ctx *ctx, void *arg, rn_emitter(emitted) out)
{
    (void)ctx, (void)arg;
    return rn_emit(out, 1);
}

rn_stream(int) ones(rn_pipeline *p);
rn_stream(int) ones(rn_pipeline *p)
{
    return rn_stream_generate(int, p, one);
}
