/*
 * Files that are to be executed, Linux. The contract is os/os.h.
 *
 * The kernel does not tell which file a search along PATH came to, nor whether it is the program
 * that does not exist or the interpreter that it names. So this looks again, as posix_spawnp(3)
 * did; only after a failure, and what moved meanwhile makes at worst a worse message.
 */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT "/bin:/usr/bin" /* what glibc searches when PATH is not set */

/* Relative paths are seen from dir. */
static int open_dir(const char *dir)
{
    return dir == NULL ? AT_FDCWD : open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void close_dir(int at)
{
    if (at >= 0)
        close(at);
}

static bool is_program(int at, const char *path)
{
    struct stat about;
    return faccessat(at, path, X_OK, AT_EACCESS) == 0 && fstatat(at, path, &about, 0) == 0 &&
           S_ISREG(about.st_mode);
}

/* Joins a place of PATH, of which an empty one is the current directory, and a name. */
static bool join(char *path, size_t room, const char *place, int length, const char *name)
{
    int size = snprintf(path, room, "%.*s/%s", length > 0 ? length : 1, length > 0 ? place : ".",
                        name);
    return size >= 0 && (size_t)size < room;
}

static bool search(int at, const char *name, char *path, size_t room)
{
    const char *place = getenv("PATH"), *end;

    for (place = place != NULL ? place : PATH_DEFAULT;; place = end + 1) {
        end = strchrnul(place, ':');
        if (join(path, room, place, (int)(end - place), name) && is_program(at, path))
            return true;
        if (*end == 0)
            return false;
    }
}

bool os_program_find(const char *program, const char *dir, char *path, size_t room)
{
    int at = open_dir(dir);
    if (at < 0 && at != AT_FDCWD)
        return false;
    bool found = strchr(program, '/') == NULL
                     ? search(at, program, path, room)
                     : is_program(at, program) &&
                           (size_t)snprintf(path, room, "%s", program) < room;
    close_dir(at);
    return found;
}

int64_t os_program_head(const char *path, const char *dir, char *head, size_t room)
{
    int at = open_dir(dir);
    int fd = at < 0 && at != AT_FDCWD ? -1 : openat(at, path, O_RDONLY | O_CLOEXEC);
    int64_t result = fd < 0 ? -errno : 0;

    if (fd >= 0) {
        result = os_fd_read(fd, head, room);
        close(fd);
    }
    close_dir(at);
    return result;
}
