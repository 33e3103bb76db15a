/* Addresses: text to value and back, what is wrong with a text, and looking names up. */
#include "net.h"

/* ---- texts that are understood ---- */

struct understood {
    const char *text;
    const char *again; /* what the value says; NULL: the same */
    rn_network network;
    uint16_t port;
};

static const struct understood understood[] = {
    {"127.0.0.1:80", NULL, RN_TCP, 80},
    {"tcp:127.0.0.1:80", "127.0.0.1:80", RN_TCP, 80},
    {"0.0.0.0:0", NULL, RN_TCP, 0},
    {"255.255.255.255:65535", NULL, RN_TCP, 65535},
    {"[::1]:80", NULL, RN_TCP, 80},
    {"[::]:00080", "[::]:80", RN_TCP, 80},
    {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", RN_TCP, 443},
    {"[::ffff:10.0.0.1]:1", NULL, RN_TCP, 1},
    {"[fe80::1%1]:7", NULL, RN_TCP, 7},
    {"[fe80::1%lo]:7", "[fe80::1%1]:7", RN_TCP, 7},
    {":8080", "[::]:8080", RN_TCP, 8080},
    {"udp:127.0.0.1:53", NULL, RN_UDP, 53},
    {"udp:[::1]:53", NULL, RN_UDP, 53},
    {"udp::53", "udp:[::]:53", RN_UDP, 53},
    {"unix:/run/x", NULL, RN_UNIX, 0},
    {"unix:relative", NULL, RN_UNIX, 0},
    {"unix:./@file", NULL, RN_UNIX, 0},
    {"unix:@name", NULL, RN_UNIX, 0},
    {"unix:/a:b:c", NULL, RN_UNIX, 0},
    {"unixgram:/run/x", NULL, RN_UNIXGRAM, 0},
    {"unixgram:@name", NULL, RN_UNIXGRAM, 0},
};

TEST(texts_become_values_and_texts_again)
{
    for (size_t i = 0; i < sizeof understood / sizeof *understood; i++) {
        const struct understood *u = &understood[i];
        rn_address address, again;
        char text[RN_ADDRESS_TEXT];

        EXPECT_OK(rn_address_parse(u->text, &address));
        EXPECT_EQ(address.network, u->network);
        EXPECT_EQ(rn_address_port(&address), u->port);
        EXPECT(rn_address_text(&address, text) == text);
        EXPECT_STR(text, u->again != NULL ? u->again : u->text);
        EXPECT_OK(rn_address_parse(text, &again));
        EXPECT(rn_address_equal(&address, &again));
        for (size_t j = 0; j < i; j++) {
            const char *other = understood[j].again;
            EXPECT_OK(rn_address_parse(understood[j].text, &again));
            EXPECT_EQ(rn_address_equal(&address, &again),
                      strcmp(text, other != NULL ? other : understood[j].text) == 0);
        }
    }
}

TEST(the_longest_paths_fit)
{
    char text[200], shown[RN_ADDRESS_TEXT], path[108];
    rn_address address;

    memset(path, 'p', sizeof path);
    path[107] = 0;
    snprintf(text, sizeof text, "unixgram:%s", path);
    EXPECT_OK(rn_address_parse(text, &address));
    EXPECT_STR(rn_address_text(&address, shown), text);
    path[0] = '@';
    snprintf(text, sizeof text, "unix:%s", path);
    EXPECT_OK(rn_address_parse(text, &address));
    EXPECT_STR(rn_address_text(&address, shown), text);
}

TEST(no_address_has_a_text_too)
{
    rn_address none = {0}, unnamed = {.network = RN_UNIX};
    char text[RN_ADDRESS_TEXT];

    EXPECT_STR(rn_address_text(&none, text), "");
    EXPECT_EQ(rn_address_port(&none), 0);
    EXPECT(rn_address_equal(&none, &none));
    EXPECT_STR(rn_address_text(&unnamed, text), "unix:");
    EXPECT(!rn_address_equal(&none, &unnamed));
}

/* ---- texts that are wrong ---- */

static const struct wrong {
    const char *text;
    int err;
    const char *detail;
} wrong[] = {
    {NULL, -EINVAL, "address: NULL instead of a text"},
    {"", -EINVAL, "address \"\": no port: write host:port"},
    {"example.org", -EINVAL, "address \"example.org\": no port: write host:port"},
    {"udp:53", -EINVAL, "address \"udp:53\": no port: write host:port"},
    {"::1:80", -EINVAL, "address \"::1:80\": more than one colon: write host:port, [ipv6]:port"},
    {"[::1:80", -EINVAL, "address \"[::1:80\": the bracket is not closed"},
    {"[::1]80", -EINVAL, "address \"[::1]80\": after the bracket comes :port"},
    {"[::1]", -EINVAL, "address \"[::1]\": after the bracket comes :port"},
    {"[]:1", -EINVAL, "\"\" is not an IPv6 address"},
    {"[::g]:1", -EINVAL, "\"::g\" is not an IPv6 address"},
    {"[127.0.0.1]:1", -EINVAL, "\"127.0.0.1\" is not an IPv6 address"},
    {"[fe80::1%nowhere]:1", -EINVAL, "there is no network interface \"nowhere\""},
    {"host:", -EINVAL, "the port \"\" is not a number from 0 to 65535"},
    {"host:65536", -EINVAL, "the port \"65536\" is not a number from 0 to 65535"},
    {"host:99999999999999999999", -EINVAL, "the port \"99999999999999999999\" is not"},
    {"host:-1", -EINVAL, "the port \"-1\" is not a number"},
    {"host:+1", -EINVAL, "the port \"+1\" is not a number"},
    {"host: 1", -EINVAL, "the port \" 1\" is not a number"},
    {"host:http", -EINVAL, "the port \"http\" is not a number"},
    {"http://host", -EINVAL, "the port \"//host\" is not a number"},
    {"1.2.3.4.5:80", -EINVAL, "\"1.2.3.4.5\" is not an IPv4 address"},
    {"127.1:80", -EINVAL, "\"127.1\" is not an IPv4 address"},
    {"300.0.0.1:80", -EINVAL, "\"300.0.0.1\" is not an IPv4 address"},
    {"127.0.0.01:80", -EINVAL, "\"127.0.0.01\" is not an IPv4 address"},
    {"host/path:80", -EINVAL, "\"host/path\" is not a host's name"},
    {"a b:80", -EINVAL, "\"a b\" is not a host's name"},
    {"unix:", -EINVAL, "address \"unix:\": no path"},
    {"unixgram:@", -EINVAL, "address \"unixgram:@\": no name behind the @"},
    {"example.org:80", -EINVAL, "example.org is a name, which is to be resolved"},
};

TEST(what_is_wrong_with_a_text_is_said)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rn_address address;
        memset(&address, 1, sizeof address);
        EXPECT_EQ(rn_address_parse(wrong[i].text, &address), wrong[i].err);
        EXPECT_DETAIL(wrong[i].detail);
        EXPECT_EQ(address.network, RN_NO_NETWORK);
        EXPECT_EQ(address.length, 0);
    }
}

TEST(too_long_is_said)
{
    char text[600];
    rn_address address;

    memset(text, 'a', sizeof text);
    memcpy(text, "unix:/", 6);
    text[5 + 108] = 0;
    EXPECT_EQ(rn_address_parse(text, &address), -ENAMETOOLONG);
    EXPECT_DETAIL("the path has 108 bytes: allowed are 107");
    memset(text, 'a', sizeof text);
    strcpy(text + 254, ":80");
    EXPECT_EQ(rn_resolve(NULL, text, &address, 1), -ENAMETOOLONG);
    EXPECT_DETAIL("the host has 254 bytes: allowed are 253");
}

/* Any bytes: an answer, whichever it is, and text that is understood again. */
TEST(random_texts_are_understood_or_refused)
{
    static const char bits[] = "127.0.0.1::[]%@/fe80udp:unix:tcp:x 9-\xc3";
    unsigned seed = 1, good = 0;

    for (int i = 0; i < rounds(200000); i++) {
        char text[40], shown[RN_ADDRESS_TEXT];
        rn_address address, again;
        size_t length = 0, want = (size_t)rand_r(&seed) % (sizeof text - 8);
        while (length < want) {
            size_t from = (size_t)rand_r(&seed) % (sizeof bits - 1);
            size_t n = 1 + (size_t)rand_r(&seed) % 6;
            for (size_t j = from; j < from + n && j < sizeof bits - 1 && length < want; j++)
                text[length++] = bits[j];
        }
        text[length] = 0;
        if (rn_address_parse(text, &address) != 0)
            continue;
        good++;
        EXPECT_OK(rn_address_parse(rn_address_text(&address, shown), &again));
        EXPECT(rn_address_equal(&address, &again));
    }
    EXPECT(good > (unsigned)rounds(200000) / 1000);
}

/* ---- names ---- */

TEST_FIBER(a_name_is_looked_up)
{
    rn_address list[8];
    int n = rn_resolve(NULL, "localhost:80", list, 8);

    EXPECT(n >= 1);
    for (int i = 0; i < n; i++) {
        char text[RN_ADDRESS_TEXT];
        rn_address_text(&list[i], text);
        EXPECT(strcmp(text, "127.0.0.1:80") == 0 || strcmp(text, "[::1]:80") == 0);
        EXPECT_EQ(list[i].network, RN_TCP);
    }
    EXPECT_EQ(rn_resolve(NULL, "udp:localhost:80", list, 1), 1);
    EXPECT_EQ(list[0].network, RN_UDP);
    EXPECT_EQ(rn_resolve(NULL, "localhost:80", list, 0), -EINVAL);
    EXPECT_DETAIL("room is 0");
    EXPECT_EQ(rn_resolve(NULL, "localhost", list, 8), -EINVAL);
}

TEST_FIBER(a_name_of_nobody_is_no_such_host)
{
    rn_address address;

    EXPECT_EQ(rn_resolve(NULL, "example.invalid:80", &address, 1), RN_ENOHOST);
    EXPECT_STR(rn_error_detail(), "example.invalid: no such host");
    EXPECT_EQ(rn_resolve(NULL, "INVALID.:80", &address, 1), RN_ENOHOST);
    EXPECT_STR(rn_strerror(RN_ENOHOST), "no such host");
    EXPECT(strcmp(rn_strerror(RN_ELOOKUP), "unknown error") != 0);
}

TEST_VIRTUAL(numbers_need_no_lookup)
{
    rn_address address;
    uint64_t before = stats_now().fibers_started;

    EXPECT_EQ(rn_resolve(NULL, "127.0.0.1:80", &address, 1), 1);
    EXPECT_EQ(rn_resolve(NULL, "[::1]:80", &address, 1), 1);
    EXPECT_EQ(rn_resolve(NULL, "unix:@x", &address, 1), 1);
    EXPECT_EQ(stats_now().fibers_started, before);
}

TEST_FIBER(an_ended_context_looks_nothing_up)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_address address;

    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_resolve(ctx, "localhost:80", &address, 1), -ECANCELED);
    rn_ctx_release(ctx);
}

TEST(a_plain_thread_may_resolve)
{
    rn_address address;
    EXPECT_EQ(rn_resolve(NULL, "localhost:80", &address, 1), 1);
    EXPECT_EQ(rn_stop(), 0);
    EXPECT_EQ(rn_resolve(NULL, "localhost:80", &address, 1), 1); /* in the next runtime too */
    EXPECT_EQ(rn_stop(), 0);
}
