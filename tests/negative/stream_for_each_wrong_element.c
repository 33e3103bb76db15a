/* The function at the end takes the stream's elements. */
/* expect: function does not take the stream.*s elements */
#include <runnel/pipeline.h>

#ifdef RN_FIXED
typedef struct item element;
#else
typedef struct other element;
#endif

struct item {
    int id;
};

struct other {
    int id;
};

static void use(element *e)
{
    e->id = 0;
}

void end(rn_stream(struct item) items);
void end(rn_stream(struct item) items)
{
    rn_stream_for_each(items, use);
}
