/* The intrusive list. */
#include "base/list.h"

#include "test.h"

#include <stdio.h>

struct item {
    struct list_node node;
    int number;
};

/* Holds the list against the numbers in `want`, walked both ways. */
static void expect_list(const struct list *list, const int *want, int n)
{
    const struct list_node *node = list->first, *before = NULL;

    for (int i = 0; i < n; i++, before = node, node = node->next) {
        EXPECT(node != NULL);
        EXPECT_EQ(((const struct item *)node)->number, want[i]);
        EXPECT(node->prev == before);
    }
    EXPECT(node == NULL);
    EXPECT(list->last == before);
    EXPECT_EQ(list_empty(list), n == 0);
}

#define EXPECT_LIST(list, ...)                                                                     \
    expect_list((list), (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

TEST(a_zeroed_list_is_empty)
{
    struct list list = {0};

    expect_list(&list, NULL, 0);
    EXPECT(list_pop_front(&list) == NULL);
}

TEST(nodes_are_pushed_at_both_ends)
{
    struct list list = {0};
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};

    list_push_back(&list, &items[1].node);
    EXPECT_LIST(&list, 1);
    list_push_back(&list, &items[2].node);
    list_push_front(&list, &items[0].node);
    list_push_back(&list, &items[3].node);
    EXPECT_LIST(&list, 0, 1, 2, 3);
    for (int i = 0; i < 4; i++)
        EXPECT(list_pop_front(&list) == &items[i].node);
    expect_list(&list, NULL, 0);
}

TEST(any_node_can_be_removed)
{
    for (int gone = 0; gone < 3; gone++) {
        struct list list = {0};
        struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};

        for (int i = 0; i < 3; i++)
            list_push_back(&list, &items[i].node);
        list_remove(&list, &items[gone].node);
        EXPECT(items[gone].node.next == NULL && items[gone].node.prev == NULL);
        expect_list(&list, (int[][2]){{1, 2}, {0, 2}, {0, 1}}[gone], 2);
        list_push_front(&list, &items[gone].node);
        list_remove(&list, &items[(gone + 1) % 3].node);
        list_remove(&list, &items[(gone + 2) % 3].node);
        EXPECT_LIST(&list, gone);
        list_remove(&list, &items[gone].node);
        expect_list(&list, NULL, 0);
    }
}
