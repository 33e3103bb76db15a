/* A hedge gives results of its own type only. */
/* expect: not to the hedge.*s result type */
#include <runnel/hedge.h>

#ifdef RN_FIXED
typedef long value;
#else
typedef int value;
#endif

static int ask(rn_ctx *ctx, void *arg, unsigned attempt, long *result)
{
    (void)ctx, (void)arg;
    *result = attempt;
    return 0;
}

int call(rn_hedge(long) h);
int call(rn_hedge(long) h)
{
    value v;
    return rn_hedge_execute(NULL, h, ask, NULL, &v);
}
