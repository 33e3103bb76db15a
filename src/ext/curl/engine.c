/*
 * The engine; see engine.h.
 *
 * Level-triggered: libcurl may leave bytes in a socket, and expects to be told again. A socket in
 * which it has no interest for now (a paused transfer) is taken out, since epoll would go on to
 * report a hang-up.
 *
 * Timers: libcurl is asked before each rest (curl_multi_timeout) when it wants to be called. Its
 * CURLMOPT_TIMERFUNCTION tells only of changes, and expects the application to be neither early nor
 * to forget; asking costs a look at the top of a tree and has no state that could be wrong, as in
 * virtual time, where our timers fire before libcurl's clock has come so far.
 *
 * Rejected: a handle of this library for each socket, with a fiber that waits for it. libcurl
 * closes its sockets itself; giving each back in time needs two callbacks of the easy handle, which
 * are the user's, and a switch to another fiber for each event.
 */
#include "engine.h"

#include "client.h"

#include <runnel/fiber.h>
#include <runnel/select.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define REST_WITHOUT_MEMORY RN_MILLISECOND

/* ---- watching ---- */

static int control(struct engine *e, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(e->epoll, op, fd, &event) == 0 ? 0 : -errno;
}

/* known is what curl_multi_assign has left: not NULL when the socket is in the epoll descriptor. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct engine *e = arg;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    int err;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        control(e, EPOLL_CTL_DEL, fd, 0);
        return 0;
    }
    err = control(e, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);
    if (err == -ENOENT) /* closed, and its number given to another socket, without a word to us */
        err = control(e, EPOLL_CTL_ADD, fd, events);
    else if (err == -EEXIST)
        err = control(e, EPOLL_CTL_MOD, fd, events);
    if (err != 0) {
        e->watch_err = err;
        return -1; /* libcurl gives all transfers up */
    }
    e->watch_err = 0;
    if (known == NULL) {
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* libcurl leaves its sockets to children */
        curl_multi_assign(e->multi, fd, e);
    }
    return 0;
}

static int ready_bits(uint32_t events)
{
    int bits = 0;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        bits |= CURL_CSELECT_IN;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        bits |= CURL_CSELECT_OUT; /* the call that it tries says what is wrong */
    return bits;
}

/* ---- making ---- */

static int set_limit(CURLM *multi, CURLMoption option, size_t limit)
{
    return limit == 0 || curl_multi_setopt(multi, option, (long)limit) == CURLM_OK ? 0 : -EINVAL;
}

static int make_multi(struct engine *e, const rn_curl_config *config)
{
    int err;

    e->multi = curl_multi_init();
    if (e->multi == NULL)
        return -ENOMEM;
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
    err = set_limit(e->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, config->max_connections);
    err = err != 0 ? err : set_limit(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS, config->max_per_host);
    return err != 0 ? err : set_limit(e->multi, CURLMOPT_MAXCONNECTS, config->max_open);
}

static int make_epoll(struct engine *e)
{
    int err;

    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll < 0)
        return -errno;
    err = rn_fd_open(&e->sockets, e->epoll);
    if (err != 0)
        close(e->epoll);
    return err;
}

int engine_new(struct engine **out, const rn_curl_config *config)
{
    struct engine *e = calloc(1, sizeof *e);
    int err;

    *out = NULL;
    if (e == NULL)
        return -ENOMEM;
    e->bell = rn_chan_make(char, 1);
    err = e->bell == NULL ? -ENOMEM : make_multi(e, config);
    if (err == 0)
        err = make_epoll(e);
    if (err == 0) {
        *out = e;
        return 0;
    }
    curl_multi_cleanup(e->multi);
    rn_chan_release(e->bell);
    free(e);
    return rn_error_with(err, "curl: no descriptor or memory to watch sockets with: %s",
                         rn_strerror(err));
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    curl_multi_cleanup(e->multi); /* first: it may still take sockets out */
    rn_fd_close(e->sockets);
    rn_chan_release(e->bell);
    free(e);
}

/*
 * The epoll descriptor was closed with the runtime, and its number may be another's. Who waited for
 * the bell waits there for ever, on a stack that is gone: so the bell stays.
 */
void engine_abandon(struct engine *e, bool waited)
{
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, NULL);
    curl_multi_cleanup(e->multi);
    if (!waited)
        rn_chan_release(e->bell);
    free(e);
}

bool engine_alive(const struct engine *e)
{
    return rn_fd_number(e->sockets) >= 0;
}

/* ---- what is in it ---- */

static struct transfer **bucket_of(struct engine *e, CURL *easy)
{
    uint64_t hash = (uint64_t)(uintptr_t)easy * 0x9e3779b97f4a7c15u;

    return &e->table[hash >> 32 & (ENGINE_BUCKETS - 1)];
}

static int multi_err(const struct engine *e, CURLMcode code)
{
    switch (code) {
    case CURLM_OK:
        return 0;
    case CURLM_ADDED_ALREADY:
        return -EBUSY;
    case CURLM_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLM_BAD_EASY_HANDLE:
        return -EINVAL;
    default:
        return e->watch_err != 0 ? e->watch_err : -EIO;
    }
}

int engine_add(struct engine *e, struct transfer *t)
{
    struct transfer **bucket = bucket_of(e, t->easy);
    int err;

    for (struct transfer *other = *bucket; other != NULL; other = other->same_hash)
        if (other->easy == t->easy)
            return -EBUSY; /* found here, so that its options are not touched */
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L); /* a lookup that hangs is left behind */
    err = multi_err(e, curl_multi_add_handle(e->multi, t->easy));
    if (err != 0)
        return err;
    t->same_hash = *bucket;
    *bucket = t;
    return 0;
}

void engine_remove(struct engine *e, struct transfer *t)
{
    struct transfer **at = bucket_of(e, t->easy);

    curl_multi_remove_handle(e->multi, t->easy);
    while (*at != t)
        at = &(*at)->same_hash;
    *at = t->same_hash;
}

static struct transfer *find(struct engine *e, CURL *easy)
{
    struct transfer *t = *bucket_of(e, easy);

    while (t->easy != easy)
        t = t->same_hash;
    return t;
}

struct transfer *engine_next_done(struct engine *e)
{
    int left;

    for (CURLMsg *m; (m = curl_multi_info_read(e->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct transfer *t = find(e, m->easy_handle);
        t->code = m->data.result;
        return t;
    }
    return NULL;
}

/* ---- running ---- */

/* Milliseconds until libcurl wants to be called; -1: it does not. */
static long due_in(struct engine *e)
{
    long ms = -1;

    curl_multi_timeout(e->multi, &ms);
    return ms;
}

void engine_turn(struct engine *e)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int running, n = epoll_wait(e->epoll, events, EVENTS_AT_ONCE, 0);

    for (int i = 0; i < n; i++) /* one that was closed meanwhile libcurl does not know */
        curl_multi_socket_action(e->multi, events[i].data.fd, ready_bits(events[i].events),
                                 &running);
    if (due_in(e) == 0)
        curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

void engine_rest(struct engine *e)
{
    long ms = due_in(e);
    char rung;
    int which;

    if (ms == 0) {
        rn_yield();
        return;
    }
    which = rn_select(NULL, rn_on_fd(e->sockets, RN_READABLE), rn_on_recv(e->bell, &rung),
                      ms < 0 ? (rn_case){.kind = RN_CASE_NONE}
                             : rn_on_timeout(ms * RN_MILLISECOND));
    if (which < 0)
        rn_sleep(NULL, REST_WITHOUT_MEMORY);
}
