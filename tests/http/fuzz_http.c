/*
 * A fuzzer for heads, bodies and the turns of a connection:
 *
 *     cmake --preset clang && cmake --build build/clang --target fuzz_http
 *     build/clang/tests/fuzz_http -dict=tests/http/http.dict -max_len=1500 tests/http/corpus
 *
 * Besides crashes it looks for answers that depend on the pieces in which a request comes.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rn_http_server *server;

    if (server == NULL)
        server = fuzz_server();
    fuzz_check(server, (const char *)data, size);
    return 0;
}
