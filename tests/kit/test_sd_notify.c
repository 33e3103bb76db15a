/* What the service manager hears. */
#include "core.h"
#include "test.h"

#include <runnel/sd_notify.h>
#include <runnel/shutdown.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager's socket, abstract or not, and NOTIFY_SOCKET set to it. */
static int manager(bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    char *path = address.sun_path;
    size_t length = (size_t)snprintf(path, sizeof address.sun_path, "%s/rn-notify-%d",
                                     abstract ? "@" : "/tmp", getpid());

    setenv("NOTIFY_SOCKET", path, 1);
    if (abstract)
        path[0] = 0;
    else
        unlink(path);
    EXPECT_EQ(bind(fd, (struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
              0);
    return fd;
}

static const char *heard(int fd)
{
    static char text[128];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    text[n < 0 ? 0 : n] = 0;
    return text;
}

TEST_FIBER(a_state_arrives_as_it_is)
{
    int fd = manager(true);

    EXPECT_EQ(rn_sd_notify("READY=1"), 1);
    EXPECT_STR(heard(fd), "READY=1");
    close(fd);
}

TEST(a_path_and_a_plain_thread_will_do)
{
    int fd = manager(false);

    EXPECT_EQ(rn_sd_notify("STATUS=fine"), 1);
    EXPECT_STR(heard(fd), "STATUS=fine");
    close(fd);
    unlink(getenv("NOTIFY_SOCKET"));
}

TEST_FIBER(nobody_listens)
{
    unsetenv("NOTIFY_SOCKET");
    EXPECT_EQ(rn_sd_notify("READY=1"), 0);
    EXPECT_EQ(rn_sd_notify(NULL), -EINVAL);
    setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
    EXPECT_EQ(rn_sd_notify("READY=1"), -EINVAL);
    EXPECT(strstr(rn_error_detail(), "NOTIFY_SOCKET=vsock:2:1") != NULL);
    close(manager(true));
    EXPECT_EQ(rn_sd_notify("READY=1"), -ECONNREFUSED);
}

TEST_FIBER(the_watchdog_is_for_this_process_only)
{
    char pid[16];

    EXPECT_EQ(rn_sd_watchdog(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    EXPECT_EQ(rn_sd_watchdog(), 30 * RN_SECOND);
    setenv("WATCHDOG_PID", "1", 1);
    EXPECT_EQ(rn_sd_watchdog(), 0);
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("WATCHDOG_PID", pid, 1);
    EXPECT_EQ(rn_sd_watchdog(), 30 * RN_SECOND);
    setenv("WATCHDOG_USEC", "-1", 1);
    EXPECT_EQ(rn_sd_watchdog(), 0);
}

TEST_VIRTUAL(a_shutdown_tells_all_of_it)
{
    int fd = manager(true);
    rn_shutdown *s = NULL;

    setenv("WATCHDOG_USEC", "10000000", 1);
    EXPECT_EQ(rn_shutdown_new(&s, &(rn_shutdown_config){.no_signals = true}), 0);
    EXPECT_EQ(rn_shutdown_ready(s), 0);
    EXPECT_STR(heard(fd), "READY=1");
    EXPECT_EQ(rn_sleep(NULL, 11 * RN_SECOND), 0);
    EXPECT_STR(heard(fd), "WATCHDOG=1");
    EXPECT_STR(heard(fd), "WATCHDOG=1");
    EXPECT_STR(heard(fd), "");
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_STR(heard(fd), "STOPPING=1\nSTATUS=shutdown: not ready");
    EXPECT_STR(heard(fd), "STOPPING=1\nSTATUS=shutdown: stop accepting");
    rn_shutdown_free(s);
    close(fd);
}
