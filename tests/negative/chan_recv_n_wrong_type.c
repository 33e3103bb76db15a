/* Values cannot be received into an array of another type. */
/* expect: not the channel.*s element type */
#include <runnel/chan.h>

struct job {
    int id;
};

ptrdiff_t receive(rn_chan(struct job) jobs)
{
#ifdef RN_FIXED
    struct job values[4];
#else
    int values[4];
#endif
    return rn_recv_n(NULL, jobs, values, 4);
}
