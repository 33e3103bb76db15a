/* Dates, ranges and content types, piece by piece; end to end they are in test_http_files.c. */
#include "http/conditions.h"
#include "http/ranges.h"
#include "http/types.h"

#include "test.h"

#include <errno.h>
#include <runnel/http.h>
#include <stdint.h>

/* ---- dates ---- */

TEST(reads_the_three_forms_of_a_date)
{
    static const char *const texts[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (int i = 0; i < 3; i++) {
        time_t t = 0;
        EXPECT(date_read(texts[i], &t));
        EXPECT_EQ(t, 784111777);
    }
}

TEST(reads_back_what_it_writes)
{
    for (time_t t = 0; t < 4000000000; t += 86399 * 100 + 7) {
        char text[DATE_BYTES + 1];
        time_t back = -1;

        date_text(t, text);
        EXPECT(date_read(text, &back));
        EXPECT_EQ(back, t);
    }
}

TEST(refuses_what_is_no_date)
{
    static const char *const texts[] = {"",
                                        "Sun",
                                        ",",
                                        ", ",
                                        "Sun, ",
                                        "Sun,06 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 CET",
                                        "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                        "Sun, 06 nov 1994 08:49:37 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Sun, 32 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:60:37 GMT",
                                        "Sun, 06 Nov 94 08:49:37 GMT",
                                        "Sunday, 06-Nov-1994 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 94",
                                        "Sun Nov  6 08:49:37 1994 GMT",
                                        "784111777"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        time_t t;
        if (date_read(texts[i], &t))
            test_failed(__FILE__, __LINE__, "\"%s\" was read as a date", texts[i]);
    }
}

/* ---- validators ---- */

static void make(struct validators *v, int64_t second, long ns)
{
    struct stat file = {.st_mtim = {second, ns}, .st_size = 10};
    validators_make(v, &file, &(struct timespec){2000000000, 0});
}

/* Also of those whose ns since 1970 do not fit 64 bits. */
TEST(validators_of_files_of_any_year)
{
    struct validators a, b;

    make(&a, 0, 0);
    EXPECT_STR(a.etag, "\"0.0-a\"");
    make(&b, 18446744073, 709551616); /* 2^64 ns later */
    EXPECT_STR(b.etag, "W/\"44b82fa09.2a4ae600-a\"");
    EXPECT_EQ(b.modified, 2000000000);
    make(&b, 9300000000, 0); /* in 2264 */
    EXPECT(b.etag[0] == 'W');
    make(&b, -9300000000, 0); /* in 1675 */
    EXPECT(b.etag[0] == '"');
    EXPECT_STR(b.modified_text + 5, "18 Apr 1675 02:40:00 GMT");
    make(&b, INT64_MAX, 999999999);
    EXPECT_STR(b.etag, "W/\"7fffffffffffffff.3b9ac9ff-a\"");
    make(&b, INT64_MIN, 0);
    EXPECT_STR(b.etag, "\"8000000000000000.0-a\"");
}

/* Changed just now, it may change again without a trace. */
TEST(validators_of_a_file_that_was_changed_just_now)
{
    struct validators v;

    make(&v, 2000000000, 0);
    EXPECT(v.etag[0] == 'W');
    make(&v, 2000000000 - 2, 0);
    EXPECT(v.etag[0] == 'W');
    make(&v, 2000000000 - 3, 999999999);
    EXPECT(v.etag[0] == '"');
}

/* ---- ranges ---- */

TEST(keeps_ranges_in_the_order_asked)
{
    struct range r[RANGES_MAX];

    EXPECT_EQ(ranges_read("bytes=5-6, 0-0 ,-1", 10, r), 3);
    EXPECT_EQ(r[0].first, 5);
    EXPECT_EQ(r[0].size, 2);
    EXPECT_EQ(r[1].first, 0);
    EXPECT_EQ(r[1].size, 1);
    EXPECT_EQ(r[2].first, 9);
    EXPECT_EQ(r[2].size, 1);
}

TEST(reads_numbers_beyond_64_bits)
{
    struct range r[RANGES_MAX];

    EXPECT_EQ(ranges_read("bytes=1-18446744073709551615", 10, r), 1);
    EXPECT_EQ(r[0].size, 9);
    EXPECT_EQ(ranges_read("bytes=1-18446744073709551616", 10, r), 1);
    EXPECT_EQ(r[0].size, 9);
    EXPECT_EQ(ranges_read("bytes=-99999999999999999999", 10, r), 1);
    EXPECT_EQ(r[0].size, 10);
    EXPECT_EQ(ranges_read("bytes=18446744073709551616-", 10, r), -ERANGE);
    EXPECT_EQ(ranges_read("bytes=0-", (uint64_t)INT64_MAX, r), 1);
    EXPECT_EQ(r[0].size, INT64_MAX);
}

TEST(takes_no_more_ranges_than_it_has_room_for)
{
    struct range r[RANGES_MAX];
    char value[16 + 4 * (RANGES_MAX + 1)] = "bytes=0-0";

    for (int i = 1; i < RANGES_MAX; i++)
        strcat(value, ",1-1");
    EXPECT_EQ(ranges_read(value, 1000, r), RANGES_MAX);
    strcat(value, ",1-1");
    EXPECT_EQ(ranges_read(value, 1000, r), 0);
}

/* ---- content types ---- */

TEST(knows_all_its_endings)
{
    static const char *const names[] = {
        "7z",   "aac",   "apng",  "atom", "avif", "bmp",  "bz2",         "c",    "css",  "csv",
        "doc",  "docx",  "eot",   "epub", "flac", "gif",  "gz",          "h",    "htm",  "html",
        "ico",  "ics",   "jpeg",  "jpg",  "js",   "json", "jsonld",      "log",  "m3u8", "m4a",
        "map",  "md",    "mjs",   "mp3",  "mp4",  "mpeg", "odp",         "ods",  "odt",  "oga",
        "ogg",  "ogv",   "opus",  "otf",  "pdf",  "png",  "pptx",        "rss",  "rtf",  "svg",
        "tar",  "tif",   "tiff",  "toml", "ts",   "ttf",  "txt",         "wasm", "wav",  "weba",
        "webm", "webp",  "woff",  "zip",  "zst",  "yml",  "webmanifest", "yaml", "xml",  "xls",
        "xlsx", "xhtml", "woff2",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[32] = "/x/y.";
        strcat(path, names[i]);
        if (strcmp(type_of(path), "application/octet-stream") == 0)
            test_failed(__FILE__, __LINE__, "%s is not found", path);
    }
}

TEST(tells_types_by_the_last_ending)
{
    EXPECT_STR(type_of("a.html"), "text/html; charset=utf-8");
    EXPECT_STR(type_of("/x.css/a.tar.GZ"), "application/gzip");
    EXPECT_STR(type_of("/x.css/a"), "application/octet-stream");
    EXPECT_STR(type_of("a."), "application/octet-stream");
    EXPECT_STR(type_of(""), "application/octet-stream");
    EXPECT_STR(type_of("a.htmlx"), "application/octet-stream");
}
