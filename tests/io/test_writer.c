/* Buffered output: gathering, flushing, printing, and errors that stay. */
#include "net.h"

#include <wchar.h>

/* ---- output into memory ---- */

struct sink {
    char text[70000];
    size_t size;
    size_t most; /* bytes a write takes at most; 0: all */
    int writes;
    int then; /* what writes return from now on; 0: they succeed */
};

static ssize_t writev_sink(rn_ctx *ctx, void *arg, const struct iovec *parts, size_t n)
{
    struct sink *s = arg;
    size_t done = 0;

    (void)ctx;
    s->writes++;
    if (s->then != 0)
        return s->then;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < parts[i].iov_len && (s->most == 0 || done < s->most); j++, done++)
            s->text[s->size++] = ((const char *)parts[i].iov_base)[j];
    return (ssize_t)done;
}

static rn_writer *writer_to(struct sink *s, size_t size)
{
    rn_writer *w;
    EXPECT_OK(rn_writer_new(
        &w, (rn_fd){0}, &(rn_writer_config){.size = size, .writev = writev_sink, .writev_arg = s}));
    return w;
}

static void expect_text(struct sink *s, const char *expected)
{
    s->text[s->size] = 0;
    EXPECT_STR(s->text, expected);
}

TEST(small_pieces_are_gathered)
{
    static struct sink s;
    rn_writer *w = writer_to(&s, 16);

    EXPECT_EQ(rn_writer_write(NULL, w, "0123456", 7), 0);
    EXPECT_EQ(rn_writer_write(NULL, w, "", 0), 0);
    EXPECT_EQ(rn_writer_write(NULL, w, "789abcdef", 9), 0); /* full, and not written */
    EXPECT_EQ(rn_writer_buffered(w), 16);
    EXPECT_EQ(s.writes, 0);
    EXPECT_EQ(rn_writer_write(NULL, w, "g", 1), 0);
    EXPECT_EQ(s.writes, 1); /* together */
    expect_text(&s, "0123456789abcdefg");
    EXPECT_EQ(rn_writer_buffered(w), 0);
    EXPECT_EQ(rn_writer_flush(NULL, w), 0);
    EXPECT_EQ(s.writes, 1); /* there was nothing */
    EXPECT_EQ(rn_writer_write(NULL, w, "hi", 2), 0);
    EXPECT_EQ(rn_writer_flush(NULL, w), 0);
    EXPECT_EQ(s.writes, 2);
    expect_text(&s, "0123456789abcdefghi");
    EXPECT_EQ(rn_writer_write(NULL, w, "lost", 4), 0);
    rn_writer_free(w);
    EXPECT_EQ(s.writes, 2);
}

TEST(printf_prints_what_fits_and_what_does_not)
{
    static struct sink s;
    rn_writer *w = writer_to(&s, 16);

    EXPECT_EQ(rn_writer_printf(NULL, w, "%d %s\n", 42, "abc"), 0);
    EXPECT_EQ(rn_writer_buffered(w), 7);
    EXPECT_EQ(rn_writer_printf(NULL, w, "%08d", 7), 0);
    EXPECT_EQ(rn_writer_printf(NULL, w, "%s", "x"), 0); /* with printf's zero it does not fit */
    EXPECT_EQ(rn_writer_printf(NULL, w, "%s", ""), 0);
    EXPECT_EQ(rn_writer_printf(NULL, w, "%0100d|", 1), 0);
    EXPECT_EQ(rn_writer_flush(NULL, w), 0);
    char expected[200];
    snprintf(expected, sizeof expected, "42 abc\n00000007x%0100d|", 1);
    expect_text(&s, expected);
    rn_writer_free(w);
}

TEST(writes_that_end_early_go_on)
{
    static struct sink s;
    rn_writer *w = writer_to(&s, 16);

    for (s.most = 1; s.most < 30; s.most++) {
        s.size = 0;
        EXPECT_EQ(rn_writer_write(NULL, w, "0123456789", 10), 0);
        EXPECT_EQ(rn_writer_write(NULL, w, "abcdefghijklm", 13), 0);
        expect_text(&s, "0123456789abcdefghijklm");
    }
    rn_writer_free(w);
}

TEST(an_error_stays)
{
    static struct sink s;
    rn_writer *w = writer_to(&s, 16);

    EXPECT_EQ(rn_writer_write(NULL, w, "abc", 3), 0);
    s.then = -EPIPE;
    EXPECT_EQ(rn_writer_flush(NULL, w), -EPIPE);
    s.then = 0;
    EXPECT_EQ(rn_writer_flush(NULL, w), -EPIPE);
    EXPECT_EQ(rn_writer_write(NULL, w, "x", 1), -EPIPE);
    EXPECT_EQ(rn_writer_printf(NULL, w, "x"), -EPIPE);
    EXPECT_EQ(rn_writer_buffered(w), 0);
    EXPECT_EQ(s.size, 0);
    EXPECT_EQ(s.writes, 1);
    rn_writer_free(w);
}

TEST(a_text_that_cannot_be_made_is_said)
{
    static struct sink s;
    rn_writer *w = writer_to(&s, 0);

    EXPECT_EQ(rn_writer_printf(NULL, w, "%lc", (wint_t)0x20ac), -EINVAL); /* in the C locale */
    EXPECT_EQ(rn_writer_write(NULL, w, "goes on", 7), 0);
    EXPECT_EQ(rn_writer_flush(NULL, w), 0);
    expect_text(&s, "goes on");
    rn_writer_free(w);
}

TEST(a_size_that_is_wrong_is_said)
{
    rn_writer *w;
    EXPECT_EQ(rn_writer_new(&w, (rn_fd){0}, &(rn_writer_config){.size = 1}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "writer: .size is 1: allowed are 16 and more");
    EXPECT(w == NULL);
    EXPECT_EQ(rn_writer_new(&w, (rn_fd){0}, &(rn_writer_config){.size = SIZE_MAX}), -ENOMEM);
    EXPECT(w == NULL);
    rn_writer_free(w);
}

TEST_FIBER(a_writer_to_a_handle_ends_as_writes_do)
{
    struct conns c = conns_new();
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    char *data = calloc(1, 8 << 20);
    rn_writer *w;

    EXPECT_OK(rn_writer_new(&w, c.a, NULL));
    EXPECT_EQ(rn_writer_printf(NULL, w, "hello %s", "there"), 0);
    EXPECT_EQ(rn_writer_flush(NULL, w), 0);
    expect_read(c.b, "hello there");
    EXPECT_EQ(rn_writer_write(soon, w, data, 8 << 20), -ETIMEDOUT);
    EXPECT_EQ(rn_writer_flush(NULL, w), -ETIMEDOUT); /* nobody knows how much was written */
    rn_writer_free(w);
    rn_fd_close(c.b);
    EXPECT_OK(rn_writer_new(&w, c.a, &(rn_writer_config){.size = 100}));
    while (rn_writer_write(NULL, w, data, 101) == 0)
        rn_yield();
    EXPECT(rn_writer_flush(NULL, w) == -EPIPE || rn_writer_flush(NULL, w) == -ECONNRESET);
    rn_writer_free(w);
    free(data);
    rn_fd_close(c.a);
    rn_ctx_release(soon);
}
