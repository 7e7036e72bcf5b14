/* Memory that is taken piece by piece and given back all at once; pieces never move. The first block may be the
 * owner's, so that what is small needs no malloc of its own. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/span.h"

struct arena_chunk;
struct arena {
    char *at, *end;             /* free bytes of the newest block */
    struct arena_chunk *chunks; /* owned; the newest first */
    size_t chunk_size;          /* of the next one */
};

/* block: n bytes that outlive the arena and stay their owner's; may be NULL where n is 0. */
void arena_init(struct arena *a, void *block, size_t n);
/* Gives back what was taken; the arena is empty, without its first block. */
void arena_free(struct arena *a);

/* n bytes, aligned for any type; out of memory aborts. */
void *arena_alloc(struct arena *a, size_t n);
/* The same without alignment, for text. */
char *arena_bytes(struct arena *a, size_t n);
struct span arena_copy(struct arena *a, struct span s);

#endif
