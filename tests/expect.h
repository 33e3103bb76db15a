/*
 * What tests of calls with codes and sentences expect.
 */
#ifndef RN_TESTS_EXPECT_H
#define RN_TESTS_EXPECT_H

#include "test.h"

#include <runnel/error.h>
#include <string.h>

/* Fails with the code and its sentence. */
#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        long long got_ = (long long)(call);                                                        \
        if (got_ < 0)                                                                              \
            test_failed(__FILE__, __LINE__, "%s is %lld: %s (%s)", #call, got_,                    \
                        rn_strerror((int)got_), rn_error_detail());                                \
    } while (0)

/* The sentence of the last failure has this part. */
#define EXPECT_DETAIL(part)                                                                        \
    do {                                                                                           \
        if (strstr(rn_error_detail(), (part)) == NULL)                                             \
            test_failed(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", rn_error_detail(), (part));     \
    } while (0)

#endif
