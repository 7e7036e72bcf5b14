/* A list of blocks, each twice as large as the one before up to a limit, so that many small pieces cost few mallocs.
 * What doesn't fit into the newest block starts a new one; the rest of the old one is left unused. */
#include "common/arena.h"

#include <stdlib.h>

enum { CHUNK_FIRST = 4096, CHUNK_MAX = 65536 };

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, void *block, size_t n)
{
    *a = (struct arena){ .at = block, .end = n > 0 ? (char *)block + n : block, .chunk_size = CHUNK_FIRST };
}

void arena_free(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        free(chunk);
    }
    arena_init(a, NULL, 0);
}

static void arena_grow(struct arena *a, size_t n)
{
    size_t size = max_size(n, a->chunk_size);
    struct arena_chunk *chunk = size < SIZE_MAX - sizeof(*chunk) ? malloc(sizeof(*chunk) + size) : NULL;
    if (chunk == NULL)
        abort();
    chunk->next = a->chunks;
    a->chunks = chunk;
    a->at = chunk->bytes;
    a->end = chunk->bytes + size;
    a->chunk_size = min_size(a->chunk_size * 2, CHUNK_MAX);
}

char *arena_bytes(struct arena *a, size_t n)
{
    if (a->at == NULL || (size_t)(a->end - a->at) < n)
        arena_grow(a, n);
    char *p = a->at;
    a->at += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t gap = -(uintptr_t)a->at & (_Alignof(max_align_t) - 1);
    if (a->at == NULL || n > SIZE_MAX - gap || (size_t)(a->end - a->at) < n + gap) {
        arena_grow(a, n);
        gap = 0;
    }
    void *p = a->at + gap;
    a->at += gap + n;
    return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
    if (s.n == 0)
        return SPAN_NONE;
    return span_of(memcpy(arena_bytes(a, s.n), s.p, s.n), s.n);
}
