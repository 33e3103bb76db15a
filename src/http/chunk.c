/* The framing of chunked bodies; see chunk.h. */
#include "chunk.h"

#include "text.h"

#define DIGITS_MAX 15            /* of a size, which so fits int64_t */
#define EXTENSION_BYTES_MAX 4096 /* without a byte of data in between */
#define SURPLUS_BYTES_MAX 16384  /* of extensions in a body, beyond: */
#define CHUNK_SURPLUS_BYTES 16   /* what each chunk may have, and as much as its data */

static enum chunk_state read_size(struct chunk *chunk, char c)
{
    int digit = text_hex_digit(c);

    if (digit >= 0) {
        chunk->left = chunk->left * 16 + (uint64_t)digit;
        return ++chunk->digits > DIGITS_MAX ? CHUNK_BAD : CHUNK_SIZE;
    }
    if (chunk->digits == 0)
        return CHUNK_BAD;
    if (c == '\r')
        return CHUNK_SIZE_LF;
    return c == ';' ? CHUNK_EXTENSION : CHUNK_BAD;
}

static enum chunk_state read_extension(struct chunk *chunk, char c)
{
    if (c == '\r')
        return CHUNK_SIZE_LF;
    if (!(byte_kinds[(unsigned char)c] & BYTE_VALUE) || ++chunk->line_bytes > EXTENSION_BYTES_MAX ||
        ++chunk->surplus > SURPLUS_BYTES_MAX + CHUNK_SURPLUS_BYTES + chunk->left)
        return CHUNK_BAD;
    return CHUNK_EXTENSION;
}

static enum chunk_state end_size(struct chunk *chunk, char c)
{
    if (c != '\n')
        return CHUNK_BAD;
    chunk->digits = 0;
    uint64_t paid = CHUNK_SURPLUS_BYTES + chunk->left;
    chunk->surplus = chunk->surplus > paid ? chunk->surplus - paid : 0;
    if (chunk->left > 0)
        return CHUNK_DATA;
    chunk->line_bytes = 0;
    return CHUNK_TRAILER;
}

static enum chunk_state read_trailer(struct chunk *chunk, char c, const struct chunk_limits *limits)
{
    int kinds = byte_kinds[(unsigned char)c];

    if (++chunk->line_bytes > limits->trailer_bytes)
        return CHUNK_BAD;
    switch (chunk->state) {
    case CHUNK_TRAILER:
        if (c == '\r')
            return CHUNK_LAST_LF;
        return (kinds & BYTE_TOKEN) && ++chunk->trailers <= limits->trailers ? CHUNK_TRAILER_NAME
                                                                             : CHUNK_BAD;
    case CHUNK_TRAILER_NAME:
        if (c == ':')
            return CHUNK_TRAILER_VALUE;
        return kinds & BYTE_TOKEN ? CHUNK_TRAILER_NAME : CHUNK_BAD;
    case CHUNK_TRAILER_VALUE:
        if (c == '\r')
            return CHUNK_TRAILER_LF;
        return kinds & BYTE_VALUE ? CHUNK_TRAILER_VALUE : CHUNK_BAD;
    default: /* CHUNK_TRAILER_LF */
        return c == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
    }
}

static enum chunk_state next_state(struct chunk *chunk, char c, const struct chunk_limits *limits)
{
    switch (chunk->state) {
    case CHUNK_SIZE:
        return read_size(chunk, c);
    case CHUNK_EXTENSION:
        return read_extension(chunk, c);
    case CHUNK_SIZE_LF:
        return end_size(chunk, c);
    case CHUNK_DATA_CR:
        return c == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
    case CHUNK_DATA_LF:
        return c == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_LAST_LF:
        return c == '\n' ? CHUNK_END : CHUNK_BAD;
    default:
        return read_trailer(chunk, c, limits);
    }
}

size_t chunk_framing(struct chunk *chunk, const char *data, size_t size,
                     const struct chunk_limits *limits)
{
    size_t n = 0;

    while (n < size && chunk->state != CHUNK_DATA && chunk->state != CHUNK_END &&
           chunk->state != CHUNK_BAD)
        chunk->state = next_state(chunk, data[n++], limits);
    return n;
}

void chunk_take(struct chunk *chunk, uint64_t n)
{
    chunk->left -= n;
    if (n > 0)
        chunk->line_bytes = 0;
    if (chunk->left == 0)
        chunk->state = CHUNK_DATA_CR;
}
