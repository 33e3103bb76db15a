/*
 * Opening files without waiting on a worker, and without leaving a folder.
 *
 * Beneath a root, every step of the path is checked by the kernel (openat2 with RESOLVE_BENEATH),
 * so neither "..", nor a symbolic link, nor a folder that is moved meanwhile leads out. Where the
 * kernel has no openat2, or a filter hides it, the path is walked name by name and no link is
 * followed.
 */
#ifndef RN_HTTP_ROOT_H
#define RN_HTTP_ROOT_H

#include <stdatomic.h>
#include <stdbool.h>

struct root {
    int dir;          /* the folder, O_PATH */
    atomic_bool walk; /* there is no openat2 */
};

/* Opens the folder. 0, or what open(2) says, negated. */
int root_begin(struct root *root, const char *path);

void root_end(struct root *root);

/*
 * Opens a file or folder below the root for reading; path is relative, and "" is the root. Only the
 * fiber waits. A descriptor, or a negative code: -EXDEV and -ELOOP when the path leads out.
 */
int root_open(struct root *root, const char *path);

/* The same for any path, without a root. */
int root_open_any(const char *path);

#endif
