/*
 * Datagrams: sent and received one at a time, each with its address.
 */
#include "io/call.h"
#include "io/net.h"

#include <runnel/net.h>
#include <string.h>
#include <sys/socket.h>

#define PAUSE_MIN (100 * RN_MICROSECOND) /* between two tries at a full receiver; doubles */
#define PAUSE_MAX (50 * RN_MILLISECOND)

/*
 * A unix socket is told of room at the receiver only when it is connected to it. So one that is
 * not tries again, after a pause.
 */
static int await_room(struct call *call, uint32_t seen, const rn_address *to, rn_duration *pause)
{
    if (to == NULL || !address_is_unix(to))
        return call_wait(call, POLL_WRITE, seen, WAIT_FD_WRITE);
    int err = fd_wait(call->ctx, call->entry, call->handle, POLL_WRITE, seen,
                      rn_time_add(rn_now(), *pause), WAIT_FD_WRITE);
    *pause = *pause * 2 < PAUSE_MAX ? *pause * 2 : PAUSE_MAX;
    return err == -EAGAIN ? 0 : err;
}

static int send_whole(struct call *call, const void *data, size_t size, const rn_address *to)
{
    rn_duration pause = PAUSE_MIN;
    const void *sockaddr = to == NULL ? NULL : to->sockaddr;
    uint32_t length = to == NULL ? 0 : to->length;

    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_WRITE);
        int64_t n = os_send_to(call->entry->fd, data, size, sockaddr, length);
        if (n != -EAGAIN)
            return n < 0 ? (int)n : 0;
        int err = await_room(call, seen, to, &pause);
        if (err != 0)
            return err;
    }
}

int rn_net_send_to(rn_ctx *ctx, rn_fd fd, const void *data, size_t size, const rn_address *to)
{
    struct call call;
    int err = call_begin(&call, ctx, fd);

    if (err != 0)
        return err;
    err = send_whole(&call, data, size, to);
    call_end(&call);
    return err;
}

static int64_t recv_whole(struct call *call, void *buffer, size_t size, rn_address *from)
{
    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_READ);
        from->length = sizeof from->sockaddr;
        int64_t n = os_recv_from(call->entry->fd, buffer, size, from->sockaddr, &from->length);
        if (n != -EAGAIN)
            return n;
        int err = call_wait(call, POLL_READ, seen, WAIT_FD_READ);
        if (err != 0)
            return err;
    }
}

/* Who sent it; none when the sender has no address, or the socket is a stream. */
static void fill_sender(rn_address *from)
{
    int family = address_family(from);
    if (family == AF_UNSPEC || from->length > sizeof from->sockaddr)
        *from = (rn_address){0};
    else
        from->network = family == AF_UNIX ? RN_UNIXGRAM : RN_UDP;
}

ssize_t rn_net_recv_from(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size, rn_address *from)
{
    rn_address sender = {0};
    struct call call;
    int err = call_begin(&call, ctx, fd);

    if (from != NULL)
        *from = sender;
    if (err != 0)
        return err;
    int64_t n = recv_whole(&call, buffer, size, &sender);
    call_end(&call);
    if (from != NULL && (n >= 0 || n == -EMSGSIZE)) {
        fill_sender(&sender);
        *from = sender;
    }
    return n;
}
