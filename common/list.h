/* Intrusive doubly linked list with a sentinel: an empty list points to itself, and so does a node that is in none. */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include "common/base.h"

struct list {
    struct list *next, *prev;
};

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}
static inline void list_append(struct list *head, struct list *node) { list_insert_before(head, node); }
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
static inline struct list *list_first(const struct list *head) { return list_empty(head) ? NULL : head->next; }
/* All nodes of `from`, in their order, behind those of `to`. */
static inline void list_move_all(struct list *to, struct list *from)
{
    struct list *first;
    while ((first = list_first(from)) != NULL) {
        list_remove(first);
        list_append(to, first);
    }
}

#endif
