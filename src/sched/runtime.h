/*
 * What the layers above have to do when the runtime stops.
 */
#ifndef RN_SCHED_RUNTIME_H
#define RN_SCHED_RUNTIME_H

#include <stdbool.h>

struct runtime_stop {
    void (*fn)(void);
    struct runtime_stop *next; /* both guarded by the list's lock */
    bool noted;
};

/*
 * Has stop->fn called once when the runtime stops, after its last fiber and worker; until then
 * further calls with the same stop change nothing.
 */
void runtime_at_stop(struct runtime_stop *stop);

#endif
