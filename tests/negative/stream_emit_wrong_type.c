/* A function emits values of its emitter's type only. */
/* expect: invalid initializer|incompatible type */
#include <runnel/pipeline.h>

struct item {
    int id;
};

int one(rn_ctx *ctx, void *arg, rn_emitter(struct item) out);
int one(rn_ctx *ctx, void *arg, rn_emitter(struct item) out)
{
    (void)ctx, (void)arg;
#ifdef RN_FIXED
    return rn_emit(out, (struct item){.id = 1});
#else
    return rn_emit(out, 1);
#endif
}
