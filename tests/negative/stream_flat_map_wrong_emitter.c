/* A flat_map's function emits what the stage is said to give. */
/* expect: does not take the stream.*s elements and emit R */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef char emitted;
#else
typedef short emitted;
#endif

static int letters(rn_ctx *ctx, void *arg, int *n, rn_emitter(emitted) out)
{
    (void)ctx, (void)arg;
    return rn_emit(out, (emitted)*n);
}

rn_stream(char) all(rn_stream(int) numbers);
rn_stream(char) all(rn_stream(int) numbers)
{
    return rn_stream_flat_map(char, numbers, letters);
}
