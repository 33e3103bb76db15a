/* The function makes results of the hedge's type. */
/* expect: function.*s result is not the hedge */
#include <runnel/hedge.h>

#ifdef RN_FIXED
typedef long value;
#else
typedef int value;
#endif

static int ask(rn_ctx *ctx, void *arg, unsigned attempt, value *result)
{
    (void)ctx, (void)arg;
    *result = (value)attempt;
    return 0;
}

int call(rn_hedge(long) h);
int call(rn_hedge(long) h)
{
    long v;
    return rn_hedge_execute(NULL, h, ask, NULL, &v);
}
