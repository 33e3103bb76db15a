/*
 * Lookups that take as long as the test wants: the program's own getaddrinfo stands before the
 * system's.
 */
#include "net.h"

#include <netdb.h>

static atomic_int asked, answer; /* how many ask; 1: they get their answer */
static atomic_int at_once, most_at_once;

/* "none...", "again..." and "memory..." fail; others are two IPv6 addresses and one of IPv4. */
static int code_for(const char *name)
{
    if (strncmp(name, "none", 4) == 0)
        return EAI_NONAME;
    if (strncmp(name, "again", 5) == 0)
        return EAI_AGAIN;
    if (strncmp(name, "memory", 6) == 0)
        return EAI_MEMORY;
    return strncmp(name, "fail", 4) == 0 ? EAI_FAIL : 0;
}

static struct addrinfo *entry(const char *ip, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in6 in6;
    } *e = calloc(1, sizeof *e);
    bool six = strchr(ip, ':') != NULL;

    e->info.ai_family = six ? AF_INET6 : AF_INET;
    e->info.ai_addr = (struct sockaddr *)&e->in6;
    e->info.ai_next = next;
    e->in6.sin6_family = (sa_family_t)e->info.ai_family;
    if (six)
        inet_pton(AF_INET6, ip, &e->in6.sin6_addr);
    else
        inet_pton(AF_INET, ip, &((struct sockaddr_in *)(void *)&e->in6)->sin_addr);
    return &e->info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int now = atomic_fetch_add(&at_once, 1) + 1;

    (void)service, (void)hints;
    if (now > atomic_load(&most_at_once))
        atomic_store(&most_at_once, now);
    atomic_fetch_add(&asked, 1);
    while (atomic_load(&answer) == 0)
        sched_yield();
    atomic_fetch_sub(&at_once, 1);
    int code = code_for(name);
    if (code == 0)
        *out = entry("2001:db8::1", entry("2001:db8::2", entry("192.0.2.1", NULL)));
    return code;
}

void freeaddrinfo(struct addrinfo *info)
{
    for (struct addrinfo *next; info != NULL; info = next) {
        next = info->ai_next;
        free(info);
    }
}

TEST_FIBER(all_addresses_come_in_the_order_of_the_system)
{
    rn_address list[4];
    char text[RN_ADDRESS_TEXT];

    atomic_store(&answer, 1);
    EXPECT_EQ(rn_resolve(NULL, "host:9", list, 4), 3);
    EXPECT_STR(rn_address_text(&list[0], text), "[2001:db8::1]:9");
    EXPECT_STR(rn_address_text(&list[1], text), "[2001:db8::2]:9");
    EXPECT_STR(rn_address_text(&list[2], text), "192.0.2.1:9");
    EXPECT_EQ(rn_resolve(NULL, "host:9", list, 2), 2);
}

TEST_FIBER(failures_of_the_resolver_have_codes_and_sentences)
{
    rn_address address;
    rn_fd fd;

    atomic_store(&answer, 1);
    EXPECT_EQ(rn_resolve(NULL, "none.example:1", &address, 1), RN_ENOHOST);
    EXPECT_STR(rn_error_detail(), "none.example: no such host");
    EXPECT_EQ(rn_resolve(NULL, "again.example:1", &address, 1), RN_ELOOKUP);
    EXPECT_STR(rn_error_detail(), "again.example: the name servers did not answer");
    EXPECT_EQ(rn_resolve(NULL, "fail.example:1", &address, 1), RN_ELOOKUP);
    EXPECT_DETAIL("fail.example: it could not be looked up");
    EXPECT_EQ(rn_resolve(NULL, "memory.example:1", &address, 1), -ENOMEM);
    EXPECT_DETAIL("memory.example");
    EXPECT_EQ(rn_dial(NULL, "none.example:1", NULL, &fd), RN_ENOHOST);
    EXPECT_EQ(fd.handle, 0);
    EXPECT_EQ(rn_listen(NULL, "again.example:1", NULL, &fd), RN_ELOOKUP);
    EXPECT_EQ(fd.handle, 0);
}

struct looker {
    rn_ctx *ctx;
    int err;
    atomic_int *done;
};

static void look_up(void *arg)
{
    struct looker *l = arg;
    rn_address address;
    EXPECT_EQ(rn_resolve(l->ctx, "host:1", &address, 1), l->err);
    atomic_fetch_add(l->done, 1);
}

TEST_FIBER(cancel_lets_the_caller_go_at_once)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int done = 0;

    EXPECT_OK(rn_go_copy(look_up, &(struct looker){ctx, -ECANCELED, &done}));
    await_count(&asked, 1);
    await_reason("host lookup", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&done, 1); /* while the resolver still thinks */
    EXPECT_EQ(atomic_load(&at_once), 1);
    atomic_store(&answer, 1);
    while (atomic_load(&at_once) != 0)
        rn_yield();
    rn_ctx_release(ctx);
}

TEST_FIBER(a_deadline_lets_the_caller_go_too)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    rn_address address;
    rn_fd fd;

    EXPECT_EQ(rn_resolve(ctx, "host:1", &address, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_dial(ctx, "host:1", NULL, &fd), -ETIMEDOUT);
    atomic_store(&answer, 1);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_hundred_lookups_take_32_threads_and_hold_up_nobody)
{
    atomic_int done = 0;

    for (int i = 0; i < 100; i++)
        EXPECT_OK(rn_go_copy(look_up, &(struct looker){NULL, 1, &done}));
    await_reason("host lookup", 100);
    await_count(&asked, 32); /* and we run on */
    EXPECT_EQ(atomic_load(&done), 0);
    atomic_store(&answer, 1);
    await_count(&done, 100);
    EXPECT_EQ(atomic_load(&most_at_once), 32);
}

TEST_FIBER(who_waits_for_a_turn_can_be_cancelled)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int done = 0, cancelled = 0;

    for (int i = 0; i < 32; i++)
        EXPECT_OK(rn_go_copy(look_up, &(struct looker){NULL, 1, &done}));
    await_count(&asked, 32);
    for (int i = 0; i < 10; i++)
        EXPECT_OK(rn_go_copy(look_up, &(struct looker){ctx, -ECANCELED, &cancelled}));
    await_reason("host lookup", 42);
    rn_ctx_cancel(ctx, 0);
    await_count(&cancelled, 10);
    atomic_store(&answer, 1);
    await_count(&done, 32);
    EXPECT_EQ(atomic_load(&asked), 32); /* who left was not asked for */
    rn_ctx_release(ctx);
}

/* Whoever is dropped with the runtime leaves nothing behind (the sanitizers look). */
static int leave_lookups_behind(int argc, char **argv)
{
    static atomic_int done;
    (void)argc, (void)argv;
    for (int i = 0; i < 40; i++)
        EXPECT_OK(rn_go_copy(look_up, &(struct looker){NULL, 1, &done}));
    await_reason("host lookup", 40);
    await_count(&asked, 32);
    atomic_store(&answer, 1);
    return 0;
}

TEST(lookups_in_progress_end_with_the_runtime)
{
    rn_address address;

    EXPECT_EQ(rn_run(leave_lookups_behind, 0, NULL), 0);
    EXPECT_EQ(rn_resolve(NULL, "host:1", &address, 1), 1);
    EXPECT_EQ(rn_stop(), 0);
}
