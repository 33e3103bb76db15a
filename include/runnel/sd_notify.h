/*
 * rn_sd_notify - tell the service manager (systemd) how the program is, without libsystemd.
 *
 *     rn_sd_notify("READY=1");
 *     rn_sd_notify("STATUS=serving 12 clients");
 *
 * The protocol is sd_notify(3)'s: a datagram to the socket that the environment variable
 * NOTIFY_SOCKET names. Without the variable nobody listens, and nothing happens.
 */
#ifndef RUNNEL_SD_NOTIFY_H
#define RUNNEL_SD_NOTIFY_H

#include <runnel/error.h>
#include <runnel/time.h>

RN_BEGIN_DECLS

/*
 * rn_sd_notify - send a state: lines such as READY=1, STOPPING=1, STATUS=..., WATCHDOG=1.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber until the datagram is sent, normally not at all.
 * Returns  1              sent
 *          0              no service manager wants to know
 *          -EINVAL        NOTIFY_SOCKET is no path of a socket, or state is NULL
 *          -ECONNREFUSED  or another code of connect(2) or send(2): nobody has got it
 */
RN_API int rn_sd_notify(const char *state);

/*
 * rn_sd_watchdog - how often the service manager wants to hear WATCHDOG=1.
 *
 * Send it twice as often. rn_shutdown does so from rn_shutdown_ready on.
 *
 * Caller   any thread or fiber.
 * Returns  the interval in nanoseconds, or 0 when it does not watch this process.
 */
RN_API rn_duration rn_sd_watchdog(void);

RN_END_DECLS

#endif
