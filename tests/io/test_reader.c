/* Buffered input: lines, pieces, limits, and what a context or the end leaves behind. */
#include "net.h"

/* ---- input that comes in pieces of our choice ---- */

struct script {
    const char *data;
    size_t size, at;
    size_t piece; /* bytes a read gives at most; 0: all */
    int then;     /* what reads return at the end: 0 or a code */
    int reads;
};

static ssize_t read_script(rn_ctx *ctx, void *arg, void *buffer, size_t size)
{
    struct script *s = arg;
    size_t n = s->size - s->at;

    (void)ctx;
    s->reads++;
    if (n == 0)
        return s->then;
    n = s->piece != 0 && n > s->piece ? s->piece : n;
    n = n > size ? size : n;
    memcpy(buffer, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static rn_reader *reader_of(struct script *s, size_t limit)
{
    rn_reader *r;
    EXPECT_OK(rn_reader_new(
        &r, (rn_fd){0}, &(rn_reader_config){.limit = limit, .read = read_script, .read_arg = s}));
    return r;
}

static struct script script_of(const char *text, size_t piece)
{
    return (struct script){.data = text, .size = strlen(text), .piece = piece};
}

static void expect_line(rn_reader *r, const char *expected)
{
    char *line;
    EXPECT_EQ(rn_reader_line(NULL, r, &line), (ssize_t)strlen(expected));
    EXPECT_STR(line, expected);
}

static void expect_end(rn_reader *r)
{
    char *line = "";
    EXPECT_EQ(rn_reader_line(NULL, r, &line), RN_ECLOSED);
    EXPECT(line == NULL);
}

/* ---- lines ---- */

TEST(lines_come_whole_however_the_input_is_cut)
{
    for (size_t piece = 0; piece <= 20; piece++) {
        struct script s = script_of("first\nsecond\r\n\n\r\n\rx\r\r\nlast", piece);
        rn_reader *r = reader_of(&s, 16);
        expect_line(r, "first");
        expect_line(r, "second");
        expect_line(r, "");
        expect_line(r, "");
        expect_line(r, "\rx\r");
        expect_line(r, "last");
        expect_end(r);
        expect_end(r);
        rn_reader_free(r);
    }
}

TEST(a_line_may_be_as_long_as_the_limit)
{
    for (size_t piece = 0; piece <= 17; piece++) {
        struct script s = script_of("123456789012345\n1234567890123456\n!", piece);
        rn_reader *r = reader_of(&s, 16);
        const char *data;
        char *line;

        expect_line(r, "123456789012345");
        EXPECT_EQ(rn_reader_line(NULL, r, &line), -EMSGSIZE);
        EXPECT(line == NULL);
        EXPECT_EQ(rn_reader_line(NULL, r, &line), -EMSGSIZE);
        EXPECT_EQ(rn_reader_until(NULL, r, '!', &data), -EMSGSIZE);
        EXPECT_EQ(rn_reader_buffered(r), 16);
        EXPECT_EQ(rn_reader_discard(NULL, r, 10), 10); /* nothing was lost */
        expect_line(r, "123456");
        expect_line(r, "!");
        expect_end(r);
        rn_reader_free(r);
    }
}

TEST(the_last_line_without_an_end_may_fill_the_limit)
{
    struct script s = script_of("1234567890123456", 5);
    rn_reader *r = reader_of(&s, 16);
    char *line;

    EXPECT_EQ(rn_reader_peek(NULL, r, 16, &(const char *){NULL}), 16);
    EXPECT_EQ(rn_reader_line(NULL, r, &line), -EMSGSIZE); /* nobody knows that it is the last */
    EXPECT_EQ(rn_reader_discard(NULL, r, 1), 1);
    expect_line(r, "234567890123456");
    rn_reader_free(r);
}

TEST(zero_bytes_are_bytes)
{
    struct script s = {.data = "a\0b\n\0\n", .size = 6, .piece = 1};
    rn_reader *r = reader_of(&s, 0);
    char *line;

    EXPECT_EQ(rn_reader_line(NULL, r, &line), 3);
    EXPECT_EQ(memcmp(line, "a\0b", 4), 0);
    EXPECT_EQ(rn_reader_line(NULL, r, &line), 1);
    expect_end(r);
    rn_reader_free(r);
}

/* ---- pieces ---- */

TEST(until_takes_the_delimiter_too)
{
    for (size_t piece = 0; piece < 8; piece++) {
        struct script s = script_of("key=value;rest", piece);
        rn_reader *r = reader_of(&s, 0);
        const char *data;

        EXPECT_EQ(rn_reader_until(NULL, r, '=', &data), 4);
        EXPECT_EQ(memcmp(data, "key=", 4), 0);
        EXPECT_EQ(rn_reader_until(NULL, r, ';', &data), 6);
        EXPECT_EQ(memcmp(data, "value;", 6), 0);
        EXPECT_EQ(rn_reader_until(NULL, r, ';', &data), 4); /* the end came first */
        EXPECT_EQ(memcmp(data, "rest", 4), 0);
        EXPECT_EQ(rn_reader_until(NULL, r, ';', &data), RN_ECLOSED);
        EXPECT(data == NULL);
        rn_reader_free(r);
    }
}

TEST(peek_takes_nothing)
{
    for (size_t piece = 0; piece < 6; piece++) {
        struct script s = script_of("abcdef", piece);
        rn_reader *r = reader_of(&s, 16);
        const char *data;

        EXPECT_EQ(rn_reader_peek(NULL, r, 0, &data), 0);
        EXPECT_EQ(s.reads, 0);
        EXPECT_EQ(rn_reader_peek(NULL, r, 2, &data), 2);
        EXPECT_EQ(memcmp(data, "ab", 2), 0);
        EXPECT_EQ(rn_reader_peek(NULL, r, 4, &data), 4);
        EXPECT_EQ(memcmp(data, "abcd", 4), 0);
        EXPECT_EQ(rn_reader_peek(NULL, r, 17, &data), -EMSGSIZE);
        EXPECT(data == NULL);
        EXPECT_EQ(rn_reader_peek(NULL, r, 16, &data), 6); /* the end */
        expect_line(r, "abcdef");
        EXPECT_EQ(rn_reader_peek(NULL, r, 1, &data), 0);
        EXPECT(data != NULL);
        rn_reader_free(r);
    }
}

TEST(discard_and_read_take_what_is_there)
{
    for (size_t piece = 0; piece < 6; piece++) {
        struct script s = script_of("0123456789", piece);
        rn_reader *r = reader_of(&s, 0);
        char buffer[16] = "";

        EXPECT_EQ(rn_reader_discard(NULL, r, 0), 0);
        EXPECT_EQ(rn_reader_discard(NULL, r, 3), 3);
        EXPECT_EQ(rn_reader_read_full(NULL, r, buffer, 4), 4);
        EXPECT_STR(buffer, "3456");
        EXPECT_EQ(rn_reader_peek(NULL, r, 3, &(const char *){NULL}), 3);
        EXPECT_EQ(rn_reader_read(NULL, r, buffer, 0), 0);
        EXPECT_EQ(rn_reader_read(NULL, r, buffer, 2), 2);
        EXPECT_STR(buffer, "7856");
        EXPECT_EQ(rn_reader_read_full(NULL, r, buffer, 9), 1);
        EXPECT_EQ(rn_reader_read_full(NULL, r, buffer, 9), 0);
        EXPECT_EQ(rn_reader_read(NULL, r, buffer, 9), 0);
        EXPECT_EQ(rn_reader_discard(NULL, r, 9), 0);
        rn_reader_free(r);
    }
    struct script s = script_of("0123456789", 4);
    rn_reader *r = reader_of(&s, 16);
    EXPECT_EQ(rn_reader_discard(NULL, r, 100), 10);
    rn_reader_free(r);
}

TEST(large_reads_pass_the_buffer_by)
{
    char *data = malloc(100000), *got = malloc(100000);
    memset(data, 'x', 100000);
    data[0] = '\n';
    struct script s = {.data = data, .size = 100000};
    rn_reader *r = reader_of(&s, 0);

    EXPECT_EQ(rn_reader_read(NULL, r, got, 100000), 100000);
    EXPECT_EQ(s.reads, 1);
    EXPECT_EQ(memcmp(got, data, 100000), 0);
    s.at = 0;
    expect_line(r, ""); /* and what is buffered comes first */
    size_t buffered = rn_reader_buffered(r);
    EXPECT(buffered > 0);
    EXPECT_EQ(rn_reader_read(NULL, r, got, 100000), (ssize_t)buffered);
    EXPECT_EQ(rn_reader_read_full(NULL, r, got, 100000), 99999 - (ssize_t)buffered);
    rn_reader_free(r);
    free(data);
    free(got);
}

TEST(lines_grow_the_buffer_up_to_the_limit)
{
    char *data = malloc(200001);
    memset(data, 'x', 200000);
    data[65535] = data[131072] = '\n';
    struct script s = {.data = data, .size = 200000, .piece = 1000};
    rn_reader *r = reader_of(&s, 0);
    char *line;

    EXPECT_EQ(rn_reader_line(NULL, r, &line), 65535); /* 64 KiB with its end */
    EXPECT_EQ(rn_reader_line(NULL, r, &line), -EMSGSIZE);
    EXPECT_EQ(rn_reader_discard(NULL, r, 65537), 65537);
    EXPECT_EQ(rn_reader_line(NULL, r, &line), -EMSGSIZE);
    rn_reader_free(r);
    free(data);
}

/* ---- errors ---- */

TEST(an_error_loses_nothing)
{
    struct script s = script_of("half a li", 3);
    rn_reader *r = reader_of(&s, 0);
    const char *data;
    char *line, buffer[16] = "";

    s.then = -ETIMEDOUT;
    EXPECT_EQ(rn_reader_line(NULL, r, &line), -ETIMEDOUT);
    EXPECT_EQ(rn_reader_until(NULL, r, '\n', &data), -ETIMEDOUT);
    EXPECT_EQ(rn_reader_peek(NULL, r, 12, &data), -ETIMEDOUT);
    EXPECT_EQ(rn_reader_buffered(r), 9);
    s.data = "ne\nrest";
    s.size = 7;
    s.at = 0;
    expect_line(r, "half a line");
    EXPECT_EQ(rn_reader_discard(NULL, r, 10), 4); /* the next call says why */
    EXPECT_EQ(rn_reader_discard(NULL, r, 10), -ETIMEDOUT);
    EXPECT_EQ(rn_reader_read(NULL, r, buffer, 10), -ETIMEDOUT);
    s.at = 3;
    EXPECT_EQ(rn_reader_read_full(NULL, r, buffer, 10), 4);
    EXPECT_EQ(rn_reader_read_full(NULL, r, buffer, 10), -ETIMEDOUT);
    EXPECT_STR(buffer, "rest");
    rn_reader_free(r);
}

TEST(a_limit_that_is_too_small_is_said)
{
    rn_reader *r;
    EXPECT_EQ(rn_reader_new(&r, (rn_fd){0}, &(rn_reader_config){.limit = 15}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "reader: .limit is 15: allowed are 16 and more");
    EXPECT(r == NULL);
    rn_reader_free(r);
}

TEST_FIBER(a_reader_of_a_handle_waits_and_ends_as_reads_do)
{
    struct conns c = conns_new();
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND), *ctx = rn_ctx_with_cancel(NULL);
    rn_reader *r;
    char *line;

    EXPECT_OK(rn_reader_new(&r, c.b, NULL));
    EXPECT_EQ(rn_reader_line(soon, r, &line), -ETIMEDOUT);
    expect_write(c.a, "one\ntwo\nthr");
    expect_line(r, "one");
    expect_line(r, "two");
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_reader_line(ctx, r, &line), -ECANCELED);
    expect_write(c.a, "ee");
    EXPECT_OK(rn_net_close_write(c.a));
    expect_line(r, "three");
    expect_end(r);
    rn_fd_close(c.b);
    EXPECT_EQ(rn_reader_line(NULL, r, &line), -EBADF);
    rn_reader_free(r);
    rn_fd_close(c.a);
    rn_ctx_release(ctx);
    rn_ctx_release(soon);
}

/* ---- against a simple reference ---- */

/* Random calls on random bytes: together they give every byte once and in order. */
static void model_round(unsigned seed)
{
    char data[400], *line;
    struct script s = {.data = data, .size = (size_t)rand_r(&seed) % sizeof data};
    const char *piece;
    char buffer[64];
    size_t at = 0;

    for (size_t i = 0; i < s.size; i++)
        data[i] = "abc\n\r;"[rand_r(&seed) % 6];
    s.piece = (size_t)rand_r(&seed) % 30;
    rn_reader *r = reader_of(&s, 16 + (size_t)rand_r(&seed) % 40);
    for (int i = 0; i < 1000 && at < s.size; i++) {
        size_t size = (size_t)rand_r(&seed) % sizeof buffer;
        const char *end;
        ssize_t n;
        switch (rand_r(&seed) % 5) {
        case 0:
            n = rn_reader_read(NULL, r, buffer, size);
            EXPECT(n >= 0 && memcmp(buffer, data + at, (size_t)n) == 0);
            at += (size_t)n;
            break;
        case 1:
            n = rn_reader_line(NULL, r, &line);
            if (n == -EMSGSIZE)
                break;
            end = memchr(data + at, '\n', s.size - at);
            EXPECT(n >= 0 && memcmp(line, data + at, (size_t)n) == 0 && line[n] == 0);
            at = end == NULL ? s.size : (size_t)(end - data) + 1;
            break;
        case 2:
            n = rn_reader_until(NULL, r, ';', &piece);
            if (n == -EMSGSIZE)
                break;
            end = memchr(data + at, ';', s.size - at);
            EXPECT_EQ(n, (ssize_t)(end == NULL ? s.size - at : (size_t)(end - data) + 1 - at));
            EXPECT(memcmp(piece, data + at, (size_t)n) == 0);
            at += (size_t)n;
            break;
        case 3:
            n = rn_reader_peek(NULL, r, size, &piece);
            EXPECT(n == -EMSGSIZE || memcmp(piece, data + at, (size_t)n) == 0);
            break;
        default:
            n = rn_reader_discard(NULL, r, size);
            EXPECT_EQ(n, (ssize_t)(size < s.size - at ? size : s.size - at));
            at += (size_t)n;
        }
    }
    EXPECT_EQ(at, s.size);
    EXPECT_EQ(rn_reader_read(NULL, r, buffer, 1), 0);
    rn_reader_free(r);
}

TEST(random_calls_give_every_byte_once)
{
    for (unsigned seed = 1; seed <= (unsigned)rounds(20000); seed++) {
        if (seed % 5000 == 0)
            fprintf(stderr, "seed %u\n", seed);
        model_round(seed);
    }
}
