/* Bytes between OpenSSL and the socket. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool tls_buffer_reserve(struct tls_buffer *b, size_t n)
{
    size_t used = tls_buffer_used(b);

    if (b->start > 0) {
        memmove(b->data, b->data + b->start, used);
        b->start = 0;
        b->end = used;
    }
    if (n <= b->size - used)
        return true;
    if (n > SIZE_MAX / 2 - used)
        return false;
    size_t size = used + n > b->size * 2 ? used + n : b->size * 2;
    char *data = realloc(b->data, size);
    if (data == NULL)
        return false;
    b->data = data;
    b->size = size;
    return true;
}

bool tls_buffer_append(struct tls_buffer *b, const void *data, size_t n)
{
    if (n > b->size - b->end && !tls_buffer_reserve(b, n))
        return false;
    memcpy(b->data + b->end, data, n);
    b->end += n;
    return true;
}

size_t tls_buffer_take(struct tls_buffer *b, void *to, size_t n)
{
    if (n > tls_buffer_used(b))
        n = tls_buffer_used(b);
    if (n > 0)
        memcpy(to, b->data + b->start, n);
    tls_buffer_skip(b, n);
    return n;
}

void tls_buffer_skip(struct tls_buffer *b, size_t n)
{
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void tls_buffer_free(struct tls_buffer *b)
{
    free(b->data);
    *b = (struct tls_buffer){0};
}
