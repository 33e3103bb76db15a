/*
 * Payloads: a count, a place, and a destructor; what was copied lies right behind them.
 *
 * Compiled with the public headers only.
 */
#include <runnel/payload.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rn_payload {
    _Atomic(size_t) references;
    const void *data;
    size_t size;
    void (*destroy)(void *arg); /* NULL: nothing to do */
    void *arg;
    unsigned char copy[] __attribute__((aligned(16)));
};

static rn_payload *make(size_t room)
{
    rn_payload *p = room > PTRDIFF_MAX - sizeof *p ? NULL : malloc(sizeof *p + room);

    if (p == NULL)
        return NULL;
    atomic_init(&p->references, 1);
    p->destroy = NULL;
    p->arg = NULL;
    return p;
}

rn_payload *rn_payload_copy(const void *bytes, size_t size)
{
    rn_payload *p = make(size);

    if (p == NULL)
        return NULL;
    p->data = p->copy;
    p->size = size;
    if (bytes == NULL)
        memset(p->copy, 0, size);
    else
        memcpy(p->copy, bytes, size);
    return p;
}

rn_payload *rn_payload_wrap(const void *data, size_t size, void (*destroy)(void *arg), void *arg)
{
    rn_payload *p = make(0);

    if (p == NULL)
        return NULL;
    p->data = data;
    p->size = size;
    p->destroy = destroy;
    p->arg = arg;
    return p;
}

const void *rn_payload_data(const rn_payload *payload)
{
    return payload->data;
}

size_t rn_payload_size(const rn_payload *payload)
{
    return payload->size;
}

rn_payload *rn_payload_retain(rn_payload *payload)
{
    if (payload != NULL)
        atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);
    return payload;
}

void rn_payload_release(rn_payload *payload)
{
    size_t before;

    if (payload == NULL)
        return;
    /* Releases what this holder did; who drops the last acquires what all the others did. */
    before = atomic_fetch_sub_explicit(&payload->references, 1, memory_order_acq_rel);
    if (before == 0) {
        fputs("runnel: a payload was released more often than it was retained\n", stderr);
        abort();
    }
    if (before != 1)
        return;
    if (payload->destroy != NULL)
        payload->destroy(payload->arg);
    free(payload);
}
