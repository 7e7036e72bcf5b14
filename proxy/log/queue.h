/* Lines from one logger to one writer: a list of blocks, one thread at each end, no lock. It has no limit of its own:
 * who may put, and when a line is lost instead, is decided before (room.h). */
#ifndef PROXY_LOG_QUEUE_H
#define PROXY_LOG_QUEUE_H

#include <stdatomic.h>

#include "common/span.h"

enum { CACHE_LINE = 64 };

struct queue_block;

struct queue_entry {
    usec_t time;
    uint64_t lost; /* lines of this queue that were lost before this one */
    uint32_t len;
    char line[];
};

struct queue {
    /* The producer's. */
    _Alignas(CACHE_LINE) struct queue_block *tail;
    struct queue_block *stock;
    size_t unreported; /* octets put that room.h has not been told of */
    atomic_uint_least64_t published, lost;
    /* The consumer's. */
    _Alignas(CACHE_LINE) struct queue_block *head;
    size_t pos;
    uint64_t taken, limit;          /* entries taken; those there at the last look */
    uint64_t lost_seen, lost_limit; /* the same for losses */
    /* Emptied blocks on their way back. */
    _Alignas(CACHE_LINE) _Atomic(struct queue_block *) spare;
    atomic_uint spares;
};

void queue_init(struct queue *q);
void queue_free(struct queue *q);

/* What a line of len octets takes, by which room is counted. */
size_t queue_octets(size_t len);
/* Producer. Both are seen by the consumer before anything that the producer stores later. */
void queue_put(struct queue *q, usec_t time, struct span line);
void queue_lose(struct queue *q);

/* Consumer. Is there anything, a line or a loss, that it has not taken? */
bool queue_news(struct queue *q);
/* Takes note of what is there now; queue_head() gives only that. */
void queue_look(struct queue *q);
/* The oldest entry; NULL: none that was there at the last look. Good until queue_take(). */
const struct queue_entry *queue_head(struct queue *q);
/* Takes the entry that queue_head() gave. */
void queue_take(struct queue *q);
/* Losses before the entry at the head, or all of the last look, that were not asked for yet. */
uint64_t queue_losses_before(struct queue *q, const struct queue_entry *e);
uint64_t queue_losses(struct queue *q);

/* Lines ever put, and lost: while nobody puts. */
static inline uint64_t queue_made(struct queue *q) { return atomic_load(&q->published) + atomic_load(&q->lost); }

#endif
