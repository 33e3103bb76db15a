/* A function that takes a channel of one type cannot be given another. */
/* expect: incompatible */
#include <runnel/chan.h>

struct job {
    int id;
};

static int drain(rn_chan(struct job) jobs)
{
    struct job job;
    return rn_try_recv(jobs, &job);
}

#ifdef RN_FIXED
int call(rn_chan(struct job) ch)
#else
int call(rn_chan(int) ch)
#endif
{
    return drain(ch);
}
