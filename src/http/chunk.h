/*
 * The framing of chunked bodies, strictly: sizes in hexadecimal digits and nothing else, lines that
 * end in CR LF, extensions passed over, trailers checked and dropped; all of it limited. Extensions
 * also over the whole body, in proportion to its data: otherwise a byte of data with each long line
 * of them would have a body of any size pass below the limit for bodies.
 */
#ifndef RN_HTTP_CHUNK_H
#define RN_HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk_limits {
    size_t trailer_bytes;
    size_t trailers;
};

enum chunk_state {
    CHUNK_SIZE,      /* digits; the zero value */
    CHUNK_EXTENSION, /* up to the CR */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,       /* at the beginning of a line */
    CHUNK_TRAILER_NAME,  /* up to the colon */
    CHUNK_TRAILER_VALUE, /* up to the CR */
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
    CHUNK_END,
    CHUNK_BAD
};

/* Zero at the beginning of a body. */
struct chunk {
    enum chunk_state state;
    int digits;
    uint64_t left;     /* of the chunk's data; while its size is read, that */
    size_t line_bytes; /* of extensions, since the last byte of data; then of trailers */
    uint64_t surplus;  /* bytes of extensions that no chunk so far has paid for */
    size_t trailers;
};

/*
 * Reads framing from data up to the first byte that is data, or the end. Returns how many bytes
 * were framing. chunk->state is CHUNK_DATA with chunk->left bytes to come, CHUNK_END, CHUNK_BAD, or
 * another: it wants more.
 */
size_t chunk_framing(struct chunk *chunk, const char *data, size_t size,
                     const struct chunk_limits *limits);

/* n bytes of data, at most chunk->left, were taken. */
void chunk_take(struct chunk *chunk, uint64_t n);

#endif
