/* Whose mutexes count: what base/lock_class.h asks of the scheduler. Empty in other builds. */
#include "base/lock_class.h"
#include "sched/sched.h"

#ifdef RUNNEL_LOCK_ORDER

lock_set *lock_class_fiber(void)
{
    struct worker *worker = worker_here();

    return worker == NULL ? NULL : &worker->current->mutexes;
}

#endif
