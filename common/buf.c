/* The block size is one for all, so that a pool is a stack; what outgrows a block moves to plain memory. */
#include "common/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A block in the pool is nobody's: a pointer that outlived its buffer is then found as if the block had been freed. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

/* Only the pool's own thread writes the count, so it needs no locked operation. */
static void count_lent(struct buf_pool *pool, size_t more, size_t less)
{
    if (pool != NULL)
        atomic_store_explicit(&pool->lent, atomic_load_explicit(&pool->lent, memory_order_relaxed) + more - less,
                              memory_order_relaxed);
}

static char *memory_take(struct buf_pool *pool, size_t n)
{
    char *memory = malloc(n);
    if (memory == NULL)
        abort();
    count_lent(pool, n, 0);
    return memory;
}

static char *block_take(struct buf_pool *pool)
{
    if (pool == NULL || pool->free == NULL)
        return memory_take(pool, BUF_BLOCK);
    struct buf_block *block = pool->free;
    ASAN_UNPOISON_MEMORY_REGION(block, BUF_BLOCK);
    pool->free = block->next;
    pool->count--;
    count_lent(pool, BUF_BLOCK, 0);
    return (char *)block;
}

static void block_give(struct buf_pool *pool, char *memory, size_t cap)
{
    count_lent(pool, 0, cap);
    if (pool == NULL || cap != BUF_BLOCK || pool->count >= BUF_POOL_MAX) {
        free(memory);
        return;
    }
    struct buf_block *block = (struct buf_block *)(void *)memory;
    block->next = pool->free;
    pool->free = block;
    pool->count++;
    ASAN_POISON_MEMORY_REGION(block, BUF_BLOCK);
}

void buf_init(struct buf *b, struct buf_pool *pool) { *b = (struct buf){ .pool = pool }; }

void buf_free(struct buf *b)
{
    if (b->base != NULL)
        block_give(b->pool, b->base, b->cap);
    buf_init(b, b->pool);
}

void buf_pool_free(struct buf_pool *pool)
{
    while (pool->free != NULL) {
        struct buf_block *block = pool->free;
        ASAN_UNPOISON_MEMORY_REGION(block, BUF_BLOCK);
        pool->free = block->next;
        free(block);
    }
    pool->count = 0;
}

static void buf_move(struct buf *b, char *to, size_t cap)
{
    if (b->base != NULL) {
        memcpy(to, b->base + b->head, buf_len(b));
        explicit_bzero(b->base, b->tail); /* it may be a secret's, which must not stay behind */
        block_give(b->pool, b->base, b->cap);
    }
    b->base = to;
    b->cap = cap;
}

char *buf_grow(struct buf *b, size_t n)
{
    if (b->base == NULL && n <= BUF_BLOCK) {
        b->base = block_take(b->pool);
        b->cap = BUF_BLOCK;
    }
    if (b->cap - b->tail >= n)
        return b->base + b->tail;
    size_t len = buf_len(b), need = len + n, cap = b->cap ? b->cap : BUF_BLOCK;
    if (need <= b->cap) {
        memmove(b->base, b->base + b->head, len);
    } else {
        while (cap < need)
            cap *= 2;
        char *to = memory_take(b->pool, cap);
        buf_move(b, to, cap);
    }
    b->scan -= b->head;
    b->tail = len;
    b->head = 0;
    return b->base + b->tail;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    for (size_t want = 256;;) {
        char *to = buf_reserve(b, want);
        va_start(ap, fmt);
        int n = vsnprintf(to, want, fmt, ap);
        va_end(ap);
        if (n < 0)
            abort();
        if ((size_t)n < want) {
            buf_commit(b, (size_t)n);
            return;
        }
        want = (size_t)n + 1;
    }
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->head += n;
    if (b->scan < b->head)
        b->scan = b->head;
    if (b->head == b->tail)
        buf_free(b);
}

void buf_consume_secret(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    if (b->base == NULL)
        return;
    explicit_bzero(b->base, b->head + n);
    explicit_bzero(b->base + b->tail, b->cap - b->tail);
    buf_consume(b, n);
}
