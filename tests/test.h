/*
 * The tests' harness: every case runs in a process of its own, with a time limit.
 *
 *     TEST(name) { ... }                    on a plain thread
 *     TEST_FIBER(name) { ... }              as the main fiber of rn_run
 *     TEST_VIRTUAL(name) { ... }            the same in virtual time, which begins at 0
 *     TEST_DIES(name, "regex", how) ...     must end so: an exit status, or a signal by its name,
 *                                           as SIGABRT; its output must match the extended regex
 *
 * A program runs all its cases; with arguments, the named ones. --list names them, --repeat N runs
 * each N times, --jobs N so many at once, --here NAME runs one in this very process (for a
 * debugger). A failed expectation ends the case.
 *
 * TEST_SHORT makes long loops short (core.h); TEST_TIMEOUT_SCALE multiplies the time limit;
 * TEST_EMULATOR is put before the command of each case; with TEST_NO_DEADLOCKS set, cases that must
 * end as a deadlock does are left out.
 */
#ifndef RN_TESTS_TEST_H
#define RN_TESTS_TEST_H

#include <signal.h>
#include <stddef.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
    const char *dies_with; /* a regex that the output must match, or NULL: must succeed */
    const char *dies_how;  /* as written in the test: a signal's name, or an exit status */
    int dies_status;
    struct test_case *next;
};

void test_register(struct test_case *test);
void test_on_fiber(void (*body)(void));
void test_in_virtual_time(void (*body)(void));
__attribute__((noreturn, format(printf, 3, 4))) void test_failed(const char *file, int line,
                                                                 const char *format, ...);

#define TEST_REGISTER(name_, regex_, how_, status_)                                                \
    static void name_(void);                                                                       \
    __attribute__((constructor)) static void name_##_register(void)                                \
    {                                                                                              \
        static struct test_case test = {#name_, name_, regex_, how_, status_, NULL};               \
        test_register(&test);                                                                      \
    }

#define TEST(name_)                                                                                \
    TEST_REGISTER(name_, NULL, "0", 0)                                                             \
    static void name_(void)

#define TEST_RUN_BY(runner_, name_)                                                                \
    static void name_##_body(void);                                                                \
    TEST_REGISTER(name_, NULL, "0", 0)                                                             \
    static void name_(void)                                                                        \
    {                                                                                              \
        runner_(name_##_body);                                                                     \
    }                                                                                              \
    static void name_##_body(void)

#define TEST_FIBER(name_) TEST_RUN_BY(test_on_fiber, name_)
#define TEST_VIRTUAL(name_) TEST_RUN_BY(test_in_virtual_time, name_)

#define TEST_DIES(name_, regex_, status_)                                                          \
    TEST_REGISTER(name_, regex_, #status_, status_)                                                \
    static void name_(void)

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_failed(__FILE__, __LINE__, "not so: %s", #condition);                             \
    } while (0)

#define EXPECT_EQ(a, b)                                                                            \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_)                                                                              \
            test_failed(__FILE__, __LINE__, "%s is %lld, and %s is %lld", #a, a_, #b, b_);         \
    } while (0)

#define EXPECT_STR(a, b)                                                                           \
    do {                                                                                           \
        const char *a_ = (a), *b_ = (b);                                                           \
        if (a_ == NULL || b_ == NULL || strcmp(a_, b_) != 0)                                       \
            test_failed(__FILE__, __LINE__, "%s is \"%s\", and %s is \"%s\"", #a,                  \
                        a_ == NULL ? "(null)" : a_, #b, b_ == NULL ? "(null)" : b_);               \
    } while (0)

#endif
