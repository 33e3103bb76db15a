/*
 * Intrusive doubly linked list with a head node; every operation is O(1).
 *
 * A node does not know whether it is linked: who needs that keeps a flag beside it, under the
 * list's guard. Invariant: a node is in at most one list.
 */
#ifndef RN_BASE_LIST_H
#define RN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_node {
    struct list_node *next, *prev;
};

/* A zeroed head is an empty list too: small sync types need no constructor. */
struct list {
    struct list_node *first, *last;
};

/* A list that knows its length: the head of a wait queue; see wait/waitq.h. */
struct waitq {
    struct list waiters; /* oldest first; both guarded by the owner's lock */
    uint32_t count;
};

static inline bool list_empty(const struct list *list)
{
    return list->first == NULL;
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    node->next = NULL;
    node->prev = list->last;
    if (list->last != NULL)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    node->prev = NULL;
    node->next = list->first;
    if (list->first != NULL)
        list->first->prev = node;
    else
        list->last = node;
    list->first = node;
}

static inline void list_remove(struct list *list, struct list_node *node)
{
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        list->first = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    else
        list->last = node->prev;
    node->next = node->prev = NULL;
}

static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list->first;
    if (node != NULL)
        list_remove(list, node);
    return node;
}

#endif
