/*
 * The field Range: which parts of a file a client asks for.
 */
#ifndef RN_HTTP_RANGES_H
#define RN_HTTP_RANGES_H

#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 32 /* that a request may ask for; with more it gets the whole */

struct range {
    uint64_t first, size; /* size is not 0 */
};

/*
 * Reads the value of a Range field for a file of that size. The number of ranges, in the order
 * asked for; 0: the field is to be ignored (another unit, an empty file, too many ranges, or more
 * bytes together than the file has); -ERANGE: malformed, or none of them is in the file.
 */
int ranges_read(const char *value, uint64_t file_size, struct range ranges[RANGES_MAX]);

#endif
