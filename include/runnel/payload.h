/*
 * rn_payload - bytes that many share: one copy, counted references, never changed.
 *
 *     rn_payload *p = rn_payload_copy(text, strlen(text));
 *
 *     for (size_t i = 0; i < n; i++)
 *         give(rn_payload_retain(p));           each releases its own reference
 *     rn_payload_release(p);                    the last one frees
 *
 * Lifetime
 * 1. copy and wrap return one reference, retain adds one, release drops one. Who drops the last
 *    frees the payload, and calls the destructor given to wrap.
 * 2. The bytes must not be changed while others hold references.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_PAYLOAD_H
#define RUNNEL_PAYLOAD_H

#include <runnel/error.h>
#include <stddef.h>

RN_BEGIN_DECLS

typedef struct rn_payload rn_payload;

/*
 * rn_payload_copy - a payload with a copy of size bytes.
 *
 * The copy is aligned for any type. bytes may be NULL: then they are zero.
 *
 * Caller   any thread or fiber.
 * Returns  the payload, or NULL when out of memory.
 * Cost     one allocation.
 */
RN_API rn_payload *rn_payload_copy(const void *bytes, size_t size);

/*
 * rn_payload_wrap - a payload of bytes that are somewhere already.
 *
 * destroy(arg), when not NULL, is called once, by whoever drops the last reference. A buffer from
 * malloc: rn_payload_wrap(buffer, size, free, buffer).
 *
 * Caller   any thread or fiber.
 * Returns  the payload, or NULL when out of memory: then destroy is not called.
 */
RN_API rn_payload *rn_payload_wrap(const void *data, size_t size, void (*destroy)(void *arg),
                                   void *arg);

/*
 * rn_payload_data, rn_payload_size - the bytes and their number.
 *
 * Caller   any thread or fiber that holds a reference.
 */
RN_API const void *rn_payload_data(const rn_payload *payload);
RN_API size_t rn_payload_size(const rn_payload *payload);

/*
 * rn_payload_retain, rn_payload_release - add and drop a reference. NULL is fine.
 *
 * Caller   any thread or fiber that holds a reference.
 * Order    what was done with the payload before a release happens before the destructor.
 * Returns  retain: its argument.
 */
RN_API rn_payload *rn_payload_retain(rn_payload *payload);
RN_API void rn_payload_release(rn_payload *payload);

RN_END_DECLS

#endif
