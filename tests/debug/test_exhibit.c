/* Objects that dumps show. */
#include "core.h"
#include "test.h"

#include <runnel/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct shelf {
    rn_exhibit exhibit;
    int books;
};

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    snprintf(text, size, "%d books", ((const struct shelf *)exhibit)->books);
}

TEST_DIES(a_dump_shows_what_is_shown, "^shelf \"novels\" \\[7 books\\]\n$", 0)
{
    struct shelf shelves[3];

    for (int i = 0; i < 3; i++) {
        shelves[i] = (struct shelf){{.kind = "shelf", .name = "novels", .describe = describe},
                                    6 + i};
        rn_exhibit_show(&shelves[i].exhibit);
    }
    rn_exhibit_hide(&shelves[0].exhibit);
    rn_exhibit_hide(&shelves[2].exhibit);
    rn_dump(1);
    exit(0);
}

static void describe_at_length(const rn_exhibit *exhibit, char *text, size_t size)
{
    (void)exhibit;
    memset(text, 'x', size - 1);
    text[size - 1] = 0;
}

TEST_DIES(a_long_text_is_cut, "shelf .*xxx", 0)
{
    rn_exhibit exhibit = {.kind = "shelf", .name = "", .describe = describe_at_length};

    rn_exhibit_show(&exhibit);
    rn_dump(1);
    exit(0);
}
