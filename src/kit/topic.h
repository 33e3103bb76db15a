/*
 * Topics and patterns: their syntax, and the tree in which the patterns of subscriptions are found.
 *
 * The tree has one node for each level of a pattern, and two locks, both its owner's: the writers'
 * under which subscriptions come and go, and the readers'. A change is built under the writers'
 * lock alone; then under both one pointer is changed; what the pointer led to before is freed
 * under the writers' alone. So readers never wait for more than that.
 */
#ifndef RN_KIT_TOPIC_H
#define RN_KIT_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOPIC_LEVELS_MAX 64

/* Text that was found to be a topic or a pattern. */
struct topic_text {
    const char *text;
    size_t length;
    uint64_t hash;
    bool wild; /* it has wildcards */
};

/*
 * Reads a topic, or where pattern is true a pattern, which may have wildcards. 0, or -EINVAL with a
 * sentence.
 */
int topic_read(struct topic_text *out, const char *text, bool pattern);

struct tree_node;

struct topic_tree {
    struct tree_node *root;
};

int tree_make(struct topic_tree *tree);
void tree_free(struct topic_tree *tree);

/* A change that was built, for the moment in which it is made. */
struct tree_change {
    void *place;            /* where the one pointer is */
    void *after;            /* what it will be */
    void *before;           /* what it was; freed by tree_finish */
    struct tree_node *gone; /* the branch that is freed with it, or NULL */
    void *remove;           /* no memory to build it: take this out of the array instead */
};

/* Builds the change that adds or removes an item. Under the writers' lock. */
int tree_add(struct topic_tree *tree, const struct topic_text *pattern, void *item,
             struct tree_change *change);
void tree_remove(struct topic_tree *tree, const struct topic_text *pattern, void *item,
                 struct tree_change *change);

/* Makes it, under both locks; frees what it left over, under the writers' lock or none. */
void tree_commit(struct tree_change *change);
void tree_finish(struct tree_change *change);

/* Calls visit for each item whose pattern matches the topic. Under the readers' lock. */
void tree_match(const struct topic_tree *tree, const char *topic,
                void (*visit)(void *arg, void *item), void *arg);

#endif
