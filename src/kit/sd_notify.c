/* The service manager's protocol: one datagram a state; see sd_notify(3). */
#include <runnel/fiber.h>
#include <runnel/sd_notify.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct notice {
    struct sockaddr_un address;
    socklen_t length;
    const char *state;
};

/* "@name" is an abstract socket: its first byte is 0, and the length counts. */
static int set_address(struct notice *notice, const char *path)
{
    size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length < 2 ||
        length >= sizeof notice->address.sun_path)
        return rn_error_with(-EINVAL,
                             "NOTIFY_SOCKET=%s: must be a path, or @ and a name, of 2 to %zu bytes",
                             path, sizeof notice->address.sun_path - 1);
    notice->address.sun_family = AF_UNIX;
    memcpy(notice->address.sun_path, path, length);
    if (path[0] == '@')
        notice->address.sun_path[0] = 0;
    notice->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

/* In rn_blocking, so errno stays this thread's. */
static int send_it(void *arg)
{
    const struct notice *notice = arg;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent;
    int err = 1;

    if (fd < 0)
        return -errno;
    do
        sent = sendto(fd, notice->state, strlen(notice->state), MSG_NOSIGNAL,
                      (const struct sockaddr *)&notice->address, notice->length);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        err = -errno;
    close(fd);
    return err;
}

int rn_sd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct notice notice = {.state = state};
    int err;

    if (state == NULL)
        return -EINVAL;
    if (path == NULL || *path == 0)
        return 0;
    err = set_address(&notice, path);
    return err != 0 ? err : rn_blocking(send_it, &notice);
}

rn_duration rn_sd_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    long long n = usec == NULL ? 0 : strtoll(usec, NULL, 10);

    if (pid != NULL && strtoll(pid, NULL, 10) != getpid())
        return 0;
    return n <= 0 || n > RN_FOREVER / RN_MICROSECOND ? 0 : n * RN_MICROSECOND;
}
