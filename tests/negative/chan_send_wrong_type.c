/* A value of another type cannot be sent. */
/* expect: incompatible|invalid initializer|initializing */
#include <runnel/chan.h>

struct job {
    int id;
};

struct other {
    int id;
};

int send(rn_chan(struct job) jobs, struct job job, struct other other)
{
    (void)job, (void)other;
#ifdef RN_FIXED
    return rn_send(NULL, jobs, job);
#else
    return rn_send(NULL, jobs, other);
#endif
}
