/* Bytes between OpenSSL and the socket. */
#ifndef RN_TLS_BUFFER_H
#define RN_TLS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* What is in it is data[start..end). The zero value is empty. */
struct tls_buffer {
    char *data; /* NULL while size is 0 */
    size_t start, end;
    size_t size;
};

static inline size_t tls_buffer_used(const struct tls_buffer *b)
{
    return b->end - b->start;
}

/* Makes room for n bytes behind end; false without memory. Memory of an empty one may move. */
bool tls_buffer_reserve(struct tls_buffer *b, size_t n);

bool tls_buffer_append(struct tls_buffer *b, const void *data, size_t n);

/* Moves at most n bytes out; returns how many. */
size_t tls_buffer_take(struct tls_buffer *b, void *to, size_t n);

/* Forgets the first n bytes. */
void tls_buffer_skip(struct tls_buffer *b, size_t n);

/* Forgets all, and frees the memory. */
void tls_buffer_free(struct tls_buffer *b);

#endif
