/*
 * The tree of patterns. See topic.h.
 *
 * Invariants, under the writers' lock:
 *   - every array is as long as it says and sorted (children by level); none is empty: NULL then.
 *   - a node but the root has an item or a child: a removal cuts off what would have neither, if it
 *     has the memory for that.
 *
 * Arrays are replaced as a whole. That costs a subscriber the copying of what its node has, and
 * readers nothing.
 */
#include "topic.h"

#include <runnel/error.h>

#include <stdlib.h>
#include <string.h>

struct items {
    size_t count;
    void *items[];
};

struct children {
    size_t count;
    struct tree_node *nodes[]; /* sorted by level */
};

struct tree_node {
    struct tree_node *parent;
    struct children *children; /* for levels of text; NULL: none */
    struct tree_node *any;     /* for '*'; NULL: none */
    struct items *here;        /* items whose pattern ends here; NULL: none */
    struct items *below;       /* items whose pattern goes on with '>' alone; NULL: none */
    size_t length;
    char level[]; /* no NUL */
};

static struct tree_node *node_make(struct tree_node *parent, const char *level, size_t length)
{
    struct tree_node *node = calloc(1, sizeof *node + length);

    if (node == NULL)
        return NULL;
    node->parent = parent;
    node->length = length;
    memcpy(node->level, level, length);
    return node;
}

static void node_free(struct tree_node *node)
{
    for (size_t i = 0; node->children != NULL && i < node->children->count; i++)
        node_free(node->children->nodes[i]);
    if (node->any != NULL)
        node_free(node->any);
    free(node->children);
    free(node->here);
    free(node->below);
    free(node);
}

int tree_make(struct topic_tree *tree)
{
    tree->root = node_make(NULL, "", 0);
    return tree->root == NULL ? -ENOMEM : 0;
}

void tree_free(struct topic_tree *tree)
{
    if (tree->root != NULL)
        node_free(tree->root);
}

/* ---- looking ---- */

static int compare_level(const struct tree_node *node, const char *level, size_t length)
{
    int order = memcmp(node->level, level, node->length < length ? node->length : length);

    if (order != 0)
        return order;
    return (node->length > length) - (node->length < length);
}

/* The index of the first child that is not before this level. */
static size_t child_place(const struct children *children, const char *level, size_t length)
{
    size_t low = 0, high = children == NULL ? 0 : children->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_level(children->nodes[middle], level, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct tree_node *child(const struct tree_node *node, const char *level, size_t length)
{
    const struct children *children = node->children;
    size_t i = child_place(children, level, length);

    if (children == NULL || i == children->count ||
        compare_level(children->nodes[i], level, length) != 0)
        return NULL;
    return children->nodes[i];
}

/* The node below for a level of a pattern. */
static struct tree_node *step(const struct tree_node *node, const char *level, size_t length)
{
    return *level == '*' ? node->any : child(node, level, length);
}

struct match {
    void (*visit)(void *arg, void *item);
    void *arg;
};

static void visit_all(const struct match *match, const struct items *items)
{
    for (size_t i = 0; items != NULL && i < items->count; i++)
        match->visit(match->arg, items->items[i]);
}

/* rest is what follows the levels that led to node: "" at the end. */
static void match_below(const struct match *match, const struct tree_node *node, const char *rest)
{
    size_t length = strcspn(rest, ".");
    const char *next = rest[length] == '.' ? rest + length + 1 : rest + length;
    const struct tree_node *named;

    if (*rest == '\0') {
        visit_all(match, node->here);
        return;
    }
    visit_all(match, node->below);
    named = child(node, rest, length);
    if (named != NULL)
        match_below(match, named, next);
    if (node->any != NULL)
        match_below(match, node->any, next);
}

void tree_match(const struct topic_tree *tree, const char *topic,
                void (*visit)(void *arg, void *item), void *arg)
{
    match_below(&(struct match){visit, arg}, tree->root, topic);
}

/* ---- adding ---- */

/* A copy of items with one more. */
static struct items *items_with(const struct items *items, void *item)
{
    size_t count = items == NULL ? 0 : items->count;
    struct items *more = malloc(sizeof *more + (count + 1) * sizeof(void *));

    if (more == NULL)
        return NULL;
    if (count != 0)
        memcpy(more->items, items->items, count * sizeof(void *));
    more->items[count] = item;
    more->count = count + 1;
    return more;
}

/* A copy of children with one more, in its place. */
static struct children *children_with(const struct children *children, struct tree_node *node)
{
    size_t count = children == NULL ? 0 : children->count;
    size_t at = child_place(children, node->level, node->length);
    struct children *more = malloc(sizeof *more + (count + 1) * sizeof(struct tree_node *));

    if (more == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        more->nodes[i + (i >= at)] = children->nodes[i];
    more->nodes[at] = node;
    more->count = count + 1;
    return more;
}

/* Where items of a pattern that has `rest` left after the node stand; NULL: further below. */
static struct items **items_place(struct tree_node *node, const char *rest)
{
    if (*rest == '\0')
        return &node->here;
    return *rest == '>' ? &node->below : NULL;
}

static const char *next_level(const char *level)
{
    level += strcspn(level, ".");
    return *level == '.' ? level + 1 : level;
}

/* Nodes for all that is left of a pattern, and the item at their end. Nobody sees them yet. */
static struct tree_node *branch_make(struct tree_node *parent, const char *rest, void *item)
{
    struct tree_node *node = node_make(parent, rest, strcspn(rest, "."));
    const char *next = next_level(rest);
    struct items **place;
    struct tree_node *below;

    if (node == NULL)
        return NULL;
    place = items_place(node, next);
    if (place != NULL) {
        *place = items_with(NULL, item);
        if (*place != NULL)
            return node;
    } else if ((below = branch_make(node, next, item)) != NULL) {
        if (*next == '*')
            node->any = below;
        else
            node->children = children_with(NULL, below);
        if (*next == '*' || node->children != NULL)
            return node;
        node_free(below);
    }
    node_free(node);
    return NULL;
}

/* The change that hangs a new branch below node. */
static int add_branch(struct tree_node *node, const char *rest, void *item,
                      struct tree_change *change)
{
    struct tree_node *branch = branch_make(node, rest, item);

    if (branch == NULL)
        return -ENOMEM;
    if (*rest == '*') {
        *change = (struct tree_change){.place = &node->any, .after = branch};
        return 0;
    }
    *change = (struct tree_change){
        .place = &node->children,
        .after = children_with(node->children, branch),
        .before = node->children,
    };
    if (change->after != NULL)
        return 0;
    node_free(branch);
    return -ENOMEM;
}

int tree_add(struct topic_tree *tree, const struct topic_text *pattern, void *item,
             struct tree_change *change)
{
    struct tree_node *node = tree->root;
    const char *rest = pattern->text;
    struct items **place;

    while ((place = items_place(node, rest)) == NULL) {
        struct tree_node *below = step(node, rest, strcspn(rest, "."));
        if (below == NULL)
            return add_branch(node, rest, item, change);
        node = below;
        rest = next_level(rest);
    }
    *change = (struct tree_change){
        .place = place, .after = items_with(*place, item), .before = *place};
    return change->after == NULL ? -ENOMEM : 0;
}

/* ---- removing ---- */

static size_t weight(const struct tree_node *node)
{
    return (node->children == NULL ? 0 : node->children->count) + (node->any != NULL) +
           (node->here != NULL) + (node->below != NULL);
}

/* A copy of items without one; NULL when nothing is left, or without memory. */
static struct items *items_without(const struct items *items, const void *item)
{
    struct items *fewer;
    size_t kept = 0;

    if (items->count == 1)
        return NULL;
    fewer = malloc(sizeof *fewer + (items->count - 1) * sizeof(void *));
    if (fewer == NULL)
        return NULL;
    for (size_t i = 0; i < items->count; i++)
        if (items->items[i] != item)
            fewer->items[kept++] = items->items[i];
    fewer->count = kept;
    return fewer;
}

static struct children *children_without(const struct children *children,
                                         const struct tree_node *node)
{
    struct children *fewer;
    size_t kept = 0;

    if (children->count == 1)
        return NULL;
    fewer = malloc(sizeof *fewer + (children->count - 1) * sizeof(struct tree_node *));
    if (fewer == NULL)
        return NULL;
    for (size_t i = 0; i < children->count; i++)
        if (children->nodes[i] != node)
            fewer->nodes[kept++] = children->nodes[i];
    fewer->count = kept;
    return fewer;
}

/* The change that cuts off `node` and all above it that have nothing else. False: no memory. */
static bool prune(struct tree_node *node, struct tree_change *change)
{
    struct tree_node *top = node, *parent;

    while (top->parent->parent != NULL && weight(top->parent) == 1)
        top = top->parent;
    parent = top->parent;
    *change = (struct tree_change){.gone = top};
    if (parent->any == top) {
        change->place = &parent->any;
        return true;
    }
    change->place = &parent->children;
    change->before = parent->children;
    change->after = children_without(parent->children, top);
    return change->after != NULL || parent->children->count == 1;
}

void tree_remove(struct topic_tree *tree, const struct topic_text *pattern, void *item,
                 struct tree_change *change)
{
    struct tree_node *node = tree->root;
    const char *rest = pattern->text;
    struct items **place;

    while ((place = items_place(node, rest)) == NULL) {
        node = step(node, rest, strcspn(rest, "."));
        rest = next_level(rest);
    }
    if ((*place)->count == 1 && weight(node) == 1 && node->parent != NULL && prune(node, change))
        return;
    *change = (struct tree_change){
        .place = place, .after = items_without(*place, item), .before = *place};
    if (change->after == NULL && (*place)->count != 1)
        *change = (struct tree_change){.place = place, .remove = item};
}

/* ---- making a change ---- */

static void take_out(struct items *items, const void *item)
{
    for (size_t i = 0; i < items->count; i++) {
        if (items->items[i] == item) {
            items->items[i] = items->items[--items->count];
            return;
        }
    }
}

void tree_commit(struct tree_change *change)
{
    struct items *items;

    if (change->remove == NULL) {
        memcpy(change->place, &change->after, sizeof change->after);
        return;
    }
    memcpy(&items, change->place, sizeof items);
    take_out(items, change->remove);
}

void tree_finish(struct tree_change *change)
{
    free(change->before);
    if (change->gone != NULL)
        node_free(change->gone);
}
