/* Opening files beneath a root; see root.h. */
#define _GNU_SOURCE /* O_PATH */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <runnel/fiber.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

enum {
    /* A FIFO that nobody writes would hold the open up, and a terminal become ours. */
    OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
    RACES_MAX = 16, /* in a row in which a folder on the way was moved */
    NAME_BYTES_MAX = 255
};

static int open_plain(int dir, const char *path, int flags)
{
    int fd;

    do
        fd = openat(dir, path, flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int root_begin(struct root *root, const char *path)
{
    root->dir = open_plain(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    atomic_store(&root->walk, false);
    return root->dir < 0 ? root->dir : 0;
}

void root_end(struct root *root)
{
    close(root->dir);
}

/* ---- with openat2 ---- */

static int open_resolved(int dir, const char *path, uint64_t resolve)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = resolve};
    int fd, races = 0;

    do
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR ||
                      (errno == EAGAIN && !(resolve & RESOLVE_CACHED) && ++races < RACES_MAX)));
    return fd < 0 ? -errno : fd;
}

/* ---- without ---- */

/* Opens the next name of the path in dir; *path is behind it. */
static int step(int dir, const char **path)
{
    char name[NAME_BYTES_MAX + 1];
    size_t n = strcspn(*path, "/");

    if (n > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *path, n);
    name[n] = 0;
    *path += n;
    if (strcmp(name, "..") == 0)
        return -EXDEV;
    if (**path == 0)
        return open_plain(dir, name, OPEN_FLAGS | O_NOFOLLOW);
    *path += strspn(*path, "/");
    return open_plain(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int walk(int root, const char *path)
{
    int dir = root, next;

    path += strspn(path, "/");
    for (;;) {
        next = step(dir, &path);
        if (dir != root)
            close(dir);
        if (next < 0 || *path == 0)
            return next;
        dir = next;
    }
}

/* ---- on a fiber ---- */

struct opening {
    struct root *root; /* NULL: any path */
    const char *path;
};

static int open_waiting(void *arg)
{
    struct opening *o = arg;

    if (o->root == NULL)
        return open_plain(AT_FDCWD, o->path, OPEN_FLAGS);
    if (!atomic_load(&o->root->walk)) {
        int fd = open_resolved(o->root->dir, o->path, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
        if (fd != -ENOSYS && fd != -EPERM)
            return fd;
        atomic_store(&o->root->walk, true);
    }
    return walk(o->root->dir, o->path);
}

/*
 * A path that the kernel has in memory is opened at once; -EAGAIN: it has not, or cannot say. Only
 * then does a worker wait, and another takes its place.
 */
static int open_cached(const struct opening *o)
{
    uint64_t beneath = o->root != NULL ? RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS : 0;
    int fd = open_resolved(o->root != NULL ? o->root->dir : AT_FDCWD, o->path,
                           beneath | RESOLVE_CACHED);

    return fd == -EINVAL || fd == -ENOSYS || fd == -EPERM ? -EAGAIN : fd;
}

static int open_on_fiber(struct opening *o)
{
    int fd = o->root != NULL && atomic_load(&o->root->walk) ? -EAGAIN : open_cached(o);

    return fd == -EAGAIN ? rn_blocking(open_waiting, o) : fd;
}

int root_open(struct root *root, const char *path)
{
    return open_on_fiber(&(struct opening){root, *path != 0 ? path : "."});
}

int root_open_any(const char *path)
{
    return open_on_fiber(&(struct opening){NULL, path});
}
