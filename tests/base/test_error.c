/* Codes in words, the version, and the sentence behind a failure. */
#include "core.h"
#include "test.h"

#include <pthread.h>

TEST(every_code_has_words)
{
    EXPECT_STR(rn_strerror(0), "success");
    EXPECT_STR(rn_strerror(-ENOMEM), strerror(ENOMEM));
    EXPECT_STR(rn_strerror(-ECANCELED), strerror(ECANCELED));
    EXPECT_STR(rn_strerror(RN_ECLOSED), "closed");
    EXPECT(strcmp(rn_strerror(RN_ESHUTDOWN), "unknown error") != 0);
    EXPECT(strcmp(rn_strerror(RN_ETLS), "unknown error") != 0);
    EXPECT(strcmp(rn_strerror(RN_ECERT), "unknown error") != 0);
    EXPECT_STR(rn_strerror(RN_ESIGNAL - SIGKILL), "ended by SIGKILL");
    EXPECT_STR(rn_strerror(RN_ESIGNAL - 50), "ended by a signal");
}

TEST(a_code_that_nobody_defined_is_an_unknown_error)
{
    static const int strange[] = {1, 77, -5000, -99999, INT32_MIN, INT32_MAX};

    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        EXPECT_STR(rn_strerror(strange[i]), "unknown error");
}

TEST(a_code_that_stands_for_a_signal_says_which)
{
    for (int n = 1; n <= 64; n++)
        EXPECT_EQ(rn_error_signal(RN_ESIGNAL - n), n);
    EXPECT_EQ(rn_error_signal(RN_ESIGNAL), 0);
    EXPECT_EQ(rn_error_signal(RN_ESIGNAL - 65), 0);
    EXPECT_EQ(rn_error_signal(0), 0);
    EXPECT_EQ(rn_error_signal(-EINTR), 0);
    EXPECT_EQ(rn_error_signal(INT32_MIN), 0);
    EXPECT_EQ(rn_error_signal(INT32_MAX), 0);
}

TEST(the_version_linked_is_the_version_of_the_headers)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%d.%d", RN_VERSION_MAJOR, RN_VERSION_MINOR, RN_VERSION_PATCH);
    EXPECT_STR(rn_version(), text);
    EXPECT_STR(rn_version(), RN_VERSION);
}

static void fail(size_t size)
{
    EXPECT(rn_chan_make_untyped(size, SIZE_MAX) == NULL);
}

struct failing {
    int_chan turn;
    size_t size;
    char number[32];
    atomic_int *done;
};

static void fail_and_wait(void *arg)
{
    struct failing *f = arg;
    int value;

    EXPECT_STR(rn_error_detail(), "");
    fail(f->size);
    EXPECT_EQ(rn_recv(NULL, f->turn, &value), RN_ECLOSED); /* others fail meanwhile */
    EXPECT(strstr(rn_error_detail(), f->number) != NULL);
    atomic_fetch_add(f->done, 1);
}

TEST_FIBER(each_fiber_has_its_own_sentence)
{
    enum { FIBERS = 20 };
    int_chan turn = rn_chan_make(int, 0);
    atomic_int done = 0;

    EXPECT_STR(rn_error_detail(), "");
    for (size_t i = 0; i < FIBERS; i++) {
        struct failing f = {.turn = turn, .size = 1000 + i, .done = &done};
        snprintf(f.number, sizeof f.number, " %zu ", f.size);
        EXPECT_EQ(rn_go_copy(fail_and_wait, &f), 0);
    }
    await_waiters(turn, FIBERS);
    EXPECT_STR(rn_error_detail(), "");
    EXPECT_EQ(rn_close(turn), 0);
    await_count(&done, FIBERS);
    await_live(1);
    rn_chan_release(turn);
}

static void *fail_on_thread(void *arg)
{
    EXPECT_STR(rn_error_detail(), "");
    fail(*(size_t *)arg);
    EXPECT(strstr(rn_error_detail(), " 333 ") != NULL);
    return NULL;
}

TEST(each_plain_thread_has_its_own_sentence_without_a_runtime)
{
    size_t size = 333;
    pthread_t thread;

    fail(222);
    EXPECT_EQ(pthread_create(&thread, NULL, fail_on_thread, &size), 0);
    pthread_join(thread, NULL);
    EXPECT(strstr(rn_error_detail(), " 222 ") != NULL);
}

TEST_FIBER(error_with_returns_the_code_and_leaves_the_sentence)
{
    EXPECT_EQ(rn_error_with(-EINVAL, ".size is %d: allowed are 1 to 9", 10), -EINVAL);
    EXPECT_STR(rn_error_detail(), ".size is 10: allowed are 1 to 9");
}
