/* What the fuzzer has found to be of interest is served the same whole and in pieces. */
#include "fuzz.h"
#include "test.h"

#include <dirent.h>
#include <runnel/http.h>

/* The folder corpus beside this file. */
static DIR *open_corpus(char path[4096])
{
    const char *slash = strrchr(__FILE__, '/');

    snprintf(path, 4096, "%.*s/corpus", (int)(slash - __FILE__), __FILE__);
    return opendir(path);
}

static size_t read_file(const char *folder, const char *name, char *bytes)
{
    char path[8192];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    size_t size = fread(bytes, 1, FUZZ_BYTES_MAX, file);
    fclose(file);
    return size;
}

static void serve_corpus(void)
{
    static char bytes[FUZZ_BYTES_MAX];
    char folder[4096];
    DIR *corpus = open_corpus(folder);
    rn_http_server *s = fuzz_server();
    int files = 0;

    EXPECT(corpus != NULL);
    for (struct dirent *entry; (entry = readdir(corpus)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        fuzz_check(s, bytes, read_file(folder, entry->d_name, bytes));
        files++;
    }
    closedir(corpus);
    EXPECT(files > 20);
    rn_http_server_free(s);
}

TEST(corpus_on_a_thread)
{
    serve_corpus();
}

TEST_FIBER(corpus_on_a_fiber)
{
    serve_corpus();
}
