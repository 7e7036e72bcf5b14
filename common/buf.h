/* A byte queue: bytes are appended at the tail and taken from the head. One memory block at a time, borrowed when the
 * first byte comes and given back when the last one leaves, so that an idle connection holds none.
 *
 *   base        head           scan            tail        cap
 *    |  taken    |  looked at    |  new bytes    |  free    |
 *
 * `scan` belongs to the reader: how far it has searched without finding what it wants; 0 <= head <= scan <= tail <=
 * cap. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "common/span.h"

enum { BUF_BLOCK = 65536, BUF_POOL_MAX = 64 };

/* Free blocks of BUF_BLOCK bytes, for the buffers of one thread. Zero-initialised is empty. */
struct buf_block {
    struct buf_block *next;
};
struct buf_pool {
    struct buf_block *free;
    unsigned count;
    atomic_size_t lent; /* bytes that its buffers hold now; any thread may read it */
};

struct buf {
    char *base;
    size_t head, scan, tail, cap;
    struct buf_pool *pool; /* not owned; NULL: plain malloc */
};

void buf_init(struct buf *b, struct buf_pool *pool);
/* Gives the memory back; the buffer is empty and can be used again. */
void buf_free(struct buf *b);
void buf_pool_free(struct buf_pool *pool);

static inline size_t buf_len(const struct buf *b) { return b->tail - b->head; }
static inline bool buf_empty(const struct buf *b) { return b->tail == b->head; }
static inline struct span buf_span(const struct buf *b)
{
    return b->base != NULL ? span_of(b->base + b->head, b->tail - b->head) : SPAN_NONE;
}

/* Makes room for at least n more bytes and returns where they go; buf_commit() then counts those that came.
 * Pointers into the buffer are invalid afterwards. Never NULL: out of memory aborts the process. Where nothing came,
 * buf_commit(b, 0) gives the block of an empty buffer back. */
static inline char *buf_reserve(struct buf *b, size_t n);
static inline size_t buf_room(const struct buf *b) { return b->cap - b->tail; }
static inline void buf_commit(struct buf *b, size_t n);
static inline void buf_append(struct buf *b, const void *p, size_t n);
static inline void buf_append_span(struct buf *b, struct span s) { buf_append(b, s.p, s.n); }
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Takes n bytes from the head; an emptied buffer gives its block back. */
void buf_consume(struct buf *b, size_t n);
/* Takes all of it, but keeps the block: for a buffer that is filled again and again. */
static inline void buf_rewind(struct buf *b) { b->head = b->scan = b->tail = 0; }
/* The same as buf_consume() for a secret: the bytes are wiped, also where they once stood in this memory. */
void buf_consume_secret(struct buf *b, size_t n);

/* For buf_reserve() where there is no room. */
char *buf_grow(struct buf *b, size_t n);

static inline char *buf_reserve(struct buf *b, size_t n)
{
    return LIKELY(b->base != NULL && b->cap - b->tail >= n) ? b->base + b->tail : buf_grow(b, n);
}

static inline void buf_commit(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->tail);
    b->tail += n;
    if (UNLIKELY(b->tail == b->head))
        buf_free(b);
}

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(buf_reserve(b, n), p, n);
    b->tail += n;
}

#endif
