/*
 * Sockets that systemd opened for us, without its library: sd_listen_fds(3) says how they come.
 *
 * They are the descriptors from 3 on; LISTEN_FDS says how many, LISTEN_PID for which process, and
 * LISTEN_FDNAMES how they are called. The environment is left as it is: changing it is not safe
 * with threads, and children have another number.
 *
 * Each is taken once: after it has been closed its number may be anybody's.
 */
#include "base/spinlock.h"
#include "io/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_FD 3
#define PASSED_MAX 256 /* that we keep track of */

static struct {
    SPINLOCK(lock, passed_lock);
    bool taken[PASSED_MAX];
} passed; /* guarded by lock */

/* The value of a variable that is a number, or 0. */
static long number_in(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long n = text == NULL ? 0 : strtol(text, &end, 10);
    return text != NULL && *text != 0 && *end == 0 && n > 0 ? n : 0;
}

static int passed_count(void)
{
    long n = number_in("LISTEN_PID") == os_process_id() ? number_in("LISTEN_FDS") : 0;
    return n < PASSED_MAX ? (int)n : PASSED_MAX;
}

/* Whether the i-th of the names, which have colons between them, is this. */
static bool is_named(int i, const char *name)
{
    const char *at = getenv("LISTEN_FDNAMES");

    for (; at != NULL && i > 0; i--)
        at = (at = strchr(at, ':')) == NULL ? NULL : at + 1;
    size_t length = strlen(name);
    return at != NULL && strncmp(at, name, length) == 0 && (at[length] == 0 || at[length] == ':');
}

static bool take(int i)
{
    spin_lock(&passed.lock);
    bool was = passed.taken[i];
    passed.taken[i] = true;
    spin_unlock(&passed.lock);
    return !was;
}

/* Of several with one name the first that is left. */
static int find(const char *which)
{
    int count = passed_count(), found = -ENOENT;
    char *end;
    long index = strtol(which, &end, 10);
    bool by_number = *which >= '0' && *which <= '9' && *end == 0;

    for (int i = 0; i < count; i++)
        if (by_number ? i == index : is_named(i, which)) {
            if (take(i))
                return i;
            found = -EBUSY;
        }
    return found;
}

int activation_take(const char *which)
{
    int i = find(which);
    if (i == -EBUSY)
        return rn_error_with(i, "systemd:%.120s: taken before", which);
    if (i < 0)
        return rn_error_with(i, "systemd:%.120s: no such socket was passed: there are %d", which,
                             passed_count());
    int fd = FIRST_FD + i, datagram = os_socket_is_datagram(fd);
    if (datagram < 0)
        return rn_error_with(datagram, "systemd:%.120s: descriptor %d: %s", which, fd,
                             rn_strerror(datagram));
    os_fd_set_cloexec(fd);
    os_fd_set_nonblocking(fd, true);
    if (!datagram)
        socket_tcp_defaults(fd);
    return fd;
}
