/* A select's send takes no other struct. */
/* expect: incompatible|invalid initializer|initializing */
#include <runnel/select.h>

struct job {
    int id;
};

struct other {
    int id;
};

int wait(rn_chan(struct job) jobs, struct job job, struct other other)
{
    (void)job, (void)other;
#ifdef RN_FIXED
    return rn_select(NULL, rn_on_send(jobs, job));
#else
    return rn_select(NULL, rn_on_send(jobs, other));
#endif
}
