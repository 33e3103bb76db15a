/*
 * Dialing: a race of addresses, run by the caller's own fiber.
 *
 * One select waits for all attempts in progress and for the time of the next start, so that a dial
 * needs no fibers of its own, and nothing is left behind whichever way it ends. RFC 8305 wants the
 * first address of the preferred family, then the families in turn; a failed attempt starts the
 * next one at once.
 */
#include "io/net.h"
#include "sched/park.h"
#include "wait/ctx.h"

#include <errno.h>
#include <runnel/fiber.h>
#include <runnel/net.h>
#include <runnel/select.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STAGGER_DEFAULT (250 * RN_MILLISECOND)
#define ATTEMPTS_AT_ONCE_MAX 15 /* with the time of the next start a select without allocation */
#define ADDRESSES_MAX 64        /* of one race */
#define PAUSE_MIN (500 * RN_MICROSECOND) /* between two tries at a full queue; doubles */
#define PAUSE_MAX (50 * RN_MILLISECOND)

struct race {
    rn_ctx *ctx;
    const rn_address *local; /* NULL: any */
    rn_duration stagger;
    const rn_address *list[ADDRESSES_MAX]; /* in the order of their starts */
    size_t n, next;
    size_t running;
    const rn_address *runs[ATTEMPTS_AT_ONCE_MAX];
    rn_fd fds[ATTEMPTS_AT_ONCE_MAX];
    const rn_address *failed; /* the first in list that has failed, and what it got */
    size_t failed_at;
    int err;
};

/* ---- one attempt ---- */

static int bind_local(int fd, const rn_address *address, const rn_address *local)
{
    if (local == NULL)
        return 0;
    if (address_family(local) != address_family(address))
        return -EAFNOSUPPORT;
    os_socket_set(fd, OS_BIND_NO_PORT, 1); /* only a help; unix sockets have none */
    return os_socket_bind(fd, local->sockaddr, local->length);
}

/* Nothing tells that the queue of a unix socket has room again, so it is tried again. */
static int connect_once(rn_ctx *ctx, int fd, const rn_address *address)
{
    rn_duration pause = PAUSE_MIN;
    int err;

    while ((err = os_socket_connect(fd, address->sockaddr, address->length)) == -EAGAIN &&
           address_is_unix(address)) {
        if ((err = rn_sleep(ctx, pause)) != 0)
            return err;
        pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
    }
    return err;
}

/* 0: connected; -EINPROGRESS: *out becomes writable; otherwise there is no *out. */
static int attempt(struct race *race, const rn_address *address, rn_fd *out)
{
    int fd = os_socket(address_family(address), address_is_datagram(address));

    if (fd < 0)
        return fd;
    if (address->network == RN_UDP)
        os_socket_set(fd, OS_BROADCAST, 1);
    int err = bind_local(fd, address, race->local);
    if (err == 0)
        err = connect_once(race->ctx, fd, address);
    if (err != 0 && err != -EINPROGRESS) {
        os_fd_close(fd);
        return err;
    }
    int watched = socket_watch(out, fd, address->network == RN_TCP);
    return watched != 0 ? watched : err;
}

/*
 * A socket that chose the very port it dials has connected to itself: nobody listens there.
 */
static int check_not_self(int fd, const rn_address *address)
{
    rn_address local = {.network = address->network, .length = sizeof local.sockaddr};

    if (os_socket_local(fd, local.sockaddr, &local.length) != 0)
        return 0;
    return rn_address_equal(&local, address) ? -ECONNREFUSED : 0;
}

/* What became of an attempt that is ready. */
static int outcome(rn_fd fd, const rn_address *address)
{
    int number = rn_fd_number(fd);
    int err = os_socket_error(number);

    if (err == 0 && address->network == RN_TCP) {
        err = check_not_self(number, address);
        socket_tcp_defaults(number);
    }
    return err;
}

/* ---- the race ---- */

/* Of several failures the one of the most preferred address is told. */
static void note_failure(struct race *race, const rn_address *address, int err)
{
    size_t at = 0;

    while (race->list[at] != address)
        at++;
    if (race->failed != NULL && race->failed_at <= at)
        return;
    race->failed = address;
    race->failed_at = at;
    race->err = err;
}

static void remove_attempt(struct race *race, size_t i)
{
    race->running--;
    race->runs[i] = race->runs[race->running];
    race->fds[i] = race->fds[race->running];
}

static void close_all(struct race *race)
{
    while (race->running > 0)
        rn_fd_close(race->fds[--race->running]);
}

/* True when the next address was started or has failed; 0 in *err: it is connected already. */
static bool start_next(struct race *race, rn_fd *won, int *err)
{
    const rn_address *address;
    rn_fd fd;

    *err = -EINPROGRESS;
    if (race->next == race->n || race->running == ATTEMPTS_AT_ONCE_MAX)
        return false;
    address = race->list[race->next++];
    *err = attempt(race, address, &fd);
    if (*err == 0) {
        *err = outcome(fd, address);
        if (*err == 0)
            *won = fd;
        else
            rn_fd_close(fd);
    } else if (*err == -EINPROGRESS) {
        race->runs[race->running] = address;
        race->fds[race->running++] = fd;
    }
    if (*err != 0 && *err != -EINPROGRESS)
        note_failure(race, address, *err);
    return true;
}

/* The attempt that is ready, running when it is time for the next start, or ctx's error. */
static int await_attempts(struct race *race)
{
    rn_case cases[ATTEMPTS_AT_ONCE_MAX + 1];
    size_t n = race->running;

    for (size_t i = 0; i < n; i++)
        cases[i] = rn_on_fd(race->fds[i], RN_WRITABLE);
    if (race->next < race->n && n < ATTEMPTS_AT_ONCE_MAX)
        cases[n++] = rn_on_timeout(race->stagger);
    return rn_select_n(race->ctx, cases, n, RN_SELECT_IN_ORDER);
}

/* 0: *won is the connection. */
static int settle(struct race *race, size_t i, rn_fd *won)
{
    rn_fd fd = race->fds[i];
    const rn_address *address = race->runs[i];
    int err = outcome(fd, address);

    remove_attempt(race, i);
    if (err == 0) {
        *won = fd;
        return 0;
    }
    rn_fd_close(fd);
    note_failure(race, address, err);
    return err;
}

static int run_race(struct race *race, rn_fd *won)
{
    int err, i;

    for (;;) {
        while (start_next(race, won, &err) && err != 0 && err != -EINPROGRESS)
            if (ctx_err(race->ctx) != 0)
                return ctx_err(race->ctx);
        if (err == 0)
            return 0;
        if (race->running == 0)
            return race->err;
        i = await_attempts(race);
        if (i < 0)
            return i;
        if ((size_t)i < race->running && settle(race, (size_t)i, won) == 0)
            return 0;
    }
}

/* ---- the order of addresses ---- */

/* The next address from `from` on that is, or is not, of the family; n when there is none. */
static size_t find_family(const rn_address *list, size_t n, size_t from, int family, bool same)
{
    while (from < n && (address_family(&list[from]) == family) != same)
        from++;
    return from;
}

/* The families in turn, beginning with the first address's; each in its own order. */
static void interleave(struct race *race, const rn_address *list, size_t n)
{
    int family = address_family(&list[0]);
    size_t at[2] = {find_family(list, n, 0, family, true), find_family(list, n, 0, family, false)};

    while (race->n < ADDRESSES_MAX && (at[0] < n || at[1] < n))
        for (int other = 0; other < 2 && race->n < ADDRESSES_MAX; other++)
            if (at[other] < n) {
                race->list[race->n++] = &list[at[other]];
                at[other] = find_family(list, n, at[other] + 1, family, !other);
            }
}

/* ---- dialing ---- */

static int explain(const char *text, const struct race *race, int err)
{
    char buffer[128], where[RN_ADDRESS_TEXT] = "", others[32] = "";

    const char *why = socket_strerror(err, buffer, sizeof buffer);
    if (race->failed != NULL)
        rn_address_text(race->failed, where);
    if (race->failed == NULL || strcmp(text, where) == 0)
        return rn_error_with(err, "dial %.110s: %s", text, why);
    if (race->n > 1)
        snprintf(others, sizeof others, ", and %zu more", race->n - 1);
    return rn_error_with(err, "dial %.80s: %s (%.80s%s)", text, why, where, others);
}

static int check_config(const rn_dial_config *config)
{
    if (config->stagger < 0)
        return rn_error_with(-EINVAL, "dial: .stagger is %lld: allowed are 0 to RN_FOREVER",
                             (long long)config->stagger);
    return 0;
}

static int dial(rn_ctx *ctx, const char *text, const rn_address *list, size_t n,
                const rn_dial_config *config, rn_fd *out)
{
    rn_address local;
    struct race race = {.ctx = ctx, .stagger = config->stagger};
    int err;

    if (race.stagger == 0)
        race.stagger = STAGGER_DEFAULT;
    if (config->local != NULL) {
        if ((err = rn_address_parse(config->local, &local)) != 0)
            return err;
        race.local = &local;
    }
    interleave(&race, list, n);
    err = run_race(&race, out);
    close_all(&race);
    if (err == 0)
        return 0;
    if (err == ctx_err(ctx))
        return err;
    return explain(text, &race, err);
}

/* No host: this machine. */
static size_t this_machine(const struct target *target, rn_address list[2])
{
    struct os_host ip6 = {.family = AF_INET6, .bytes[15] = 1};
    struct os_host ip4 = {.family = AF_INET, .bytes = {127, 0, 0, 1}};

    list[0] = list[1] = target->address;
    address_of_host(&list[0], &ip6, target->port);
    address_of_host(&list[1], &ip4, target->port);
    return 2;
}

int rn_dial(rn_ctx *ctx, const char *address, const rn_dial_config *config, rn_fd *out)
{
    static const rn_dial_config defaults;
    rn_address list[HOSTS_MAX];
    struct target target;
    int n, err = ctx_err(ctx);

    out->handle = 0;
    check_not_forked();
    if (config == NULL)
        config = &defaults;
    if (err != 0 || (err = check_config(config)) != 0 ||
        (err = target_parse(address, &target)) != 0)
        return err;
    if (target.host[0] == 0 && !address_is_unix(&target.address))
        n = (int)this_machine(&target, list);
    else
        n = target_resolve(ctx, &target, list, HOSTS_MAX);
    return n < 0 ? n : dial(ctx, address, list, (size_t)n, config, out);
}

int rn_dial_list(rn_ctx *ctx, const rn_address *list, size_t n, const rn_dial_config *config,
                 rn_fd *out)
{
    static const rn_dial_config defaults;
    int err = ctx_err(ctx);

    out->handle = 0;
    check_not_forked();
    if (config == NULL)
        config = &defaults;
    if (err != 0 || (err = check_config(config)) != 0)
        return err;
    if (n == 0)
        return rn_error_with(-EINVAL, "dial: the list is empty: allowed are 1 address or more");
    return dial(ctx, "a list", list, n, config, out);
}
