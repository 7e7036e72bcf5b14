/* Entries stand in blocks one behind the other; an entry of length NEXT_BLOCK says that the next one is in the next
 * block, and each block keeps room for such an end. The one thing that both sides share is `published`, a count: the
 * consumer looks at memory only after it has seen a count that covers it, so blocks and entries are plain memory.
 * Emptied blocks go back through a stack that the producer takes as a whole. */
#include "proxy/log/queue.h"

#include <stdlib.h>

enum { BLOCK_OCTETS = 65536, SPARES_MAX = 8 };
#define NEXT_BLOCK UINT32_MAX

struct queue_block {
    struct queue_block *next;
    size_t cap, end; /* of data; end is the producer's */
    _Alignas(16) char data[];
};

static struct queue_block *block_new(size_t cap)
{
    struct queue_block *b = malloc(sizeof(*b) + cap);
    if (b == NULL)
        abort();
    b->cap = cap;
    return b;
}

static void blocks_free(struct queue_block *b)
{
    while (b != NULL) {
        struct queue_block *next = b->next;
        free(b);
        b = next;
    }
}

static struct queue_entry *entry_at(struct queue_block *b, size_t pos)
{
    return (struct queue_entry *)(void *)(b->data + pos);
}

size_t queue_octets(size_t len)
{
    const size_t align = _Alignof(struct queue_entry);
    return (offsetof(struct queue_entry, line) + len + align - 1) / align * align;
}

void queue_init(struct queue *q)
{
    memset(q, 0, sizeof(*q));
    q->head = q->tail = block_new(BLOCK_OCTETS - sizeof(struct queue_block));
    q->tail->next = NULL;
    q->tail->end = 0;
}

void queue_free(struct queue *q)
{
    blocks_free(q->head);
    blocks_free(q->stock);
    blocks_free(atomic_load(&q->spare));
    q->head = q->tail = q->stock = NULL;
}

static struct queue_block *block_take(struct queue *q, size_t need)
{
    if (need > BLOCK_OCTETS - sizeof(struct queue_block))
        return block_new(need);
    if (q->stock == NULL) {
        unsigned n = 0;
        q->stock = atomic_exchange(&q->spare, NULL);
        for (struct queue_block *b = q->stock; b != NULL; b = b->next)
            n++;
        atomic_fetch_sub(&q->spares, n);
    }
    struct queue_block *b = q->stock;
    if (b == NULL)
        return block_new(BLOCK_OCTETS - sizeof(struct queue_block));
    q->stock = b->next;
    return b;
}

static void block_give(struct queue *q, struct queue_block *b)
{
    if (b->cap != BLOCK_OCTETS - sizeof(struct queue_block) || atomic_load(&q->spares) >= SPARES_MAX) {
        free(b);
        return;
    }
    atomic_fetch_add(&q->spares, 1);
    struct queue_block *top = atomic_load(&q->spare);
    do {
        b->next = top;
    } while (!atomic_compare_exchange_weak(&q->spare, &top, b));
}

/* The block that has room for an entry of `size` and an end behind it. */
static struct queue_block *queue_room(struct queue *q, size_t size)
{
    struct queue_block *b = q->tail;
    size_t need = size + sizeof(struct queue_entry);
    if (LIKELY(b->cap - b->end >= need))
        return b;
    struct queue_block *next = block_take(q, need);
    next->next = NULL;
    next->end = 0;
    b->next = next;
    entry_at(b, b->end)->len = NEXT_BLOCK;
    q->tail = next;
    return next;
}

void queue_put(struct queue *q, usec_t time, struct span line)
{
    size_t size = queue_octets(line.n);
    struct queue_block *b = queue_room(q, size);
    struct queue_entry *e = entry_at(b, b->end);
    e->time = time;
    e->lost = atomic_load_explicit(&q->lost, memory_order_relaxed);
    e->len = (uint32_t)line.n;
    memcpy(e->line, line.p, line.n);
    b->end += size;
    atomic_store(&q->published, atomic_load_explicit(&q->published, memory_order_relaxed) + 1);
}

void queue_lose(struct queue *q) { atomic_store(&q->lost, atomic_load_explicit(&q->lost, memory_order_relaxed) + 1); }

bool queue_news(struct queue *q)
{
    return atomic_load(&q->published) != q->taken || atomic_load(&q->lost) != q->lost_seen;
}

/* Losses first: so those counted here came behind no entry that is not counted. */
void queue_look(struct queue *q)
{
    q->lost_limit = atomic_load(&q->lost);
    q->limit = atomic_load(&q->published);
}

const struct queue_entry *queue_head(struct queue *q)
{
    if (q->taken == q->limit)
        return NULL;
    const struct queue_entry *e = entry_at(q->head, q->pos);
    if (e->len != NEXT_BLOCK)
        return e;
    struct queue_block *next = q->head->next;
    block_give(q, q->head);
    q->head = next;
    q->pos = 0;
    return entry_at(next, 0);
}

void queue_take(struct queue *q)
{
    q->pos += queue_octets(entry_at(q->head, q->pos)->len);
    q->taken++;
}

static uint64_t losses_to(struct queue *q, uint64_t lost)
{
    if (lost <= q->lost_seen)
        return 0;
    uint64_t n = lost - q->lost_seen;
    q->lost_seen = lost;
    return n;
}

uint64_t queue_losses_before(struct queue *q, const struct queue_entry *e) { return losses_to(q, e->lost); }
uint64_t queue_losses(struct queue *q) { return losses_to(q, q->lost_limit); }
