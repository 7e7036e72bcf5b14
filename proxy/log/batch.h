/* The next lines of an output: taken from all queues in the order of their time, with run and seq, in one piece of
 * memory. Of lines that were lost, seq counts each at its place, and a `dropped` record tells them. */
#ifndef PROXY_LOG_BATCH_H
#define PROXY_LOG_BATCH_H

#include "common/record/chain.h"
#include "proxy/log/queue.h"
#include "proxy/log/room.h"

enum { BATCH_OCTETS = 256 * 1024 };

/* Where the lines come from, and what was counted of them. */
struct merge {
    struct queue *queue;
    unsigned queues;
    const struct record_format *format;
    struct chain *chain; /* NULL: none; not owned */
    char tail[64];       /* ,"run":"12345678","seq": */
    size_t tail_len;
    uint64_t seq;  /* the next one */
    uint64_t lost; /* not told yet */
    bool ever_lost;
    usec_t told_at;
    const char *component, *output;
    size_t max_record;
    struct buf text;
    struct json_time_cache clock;
};

struct batch {
    char *data;
    size_t len, off, cap; /* off: octets written */
    size_t room, freed;   /* octets of the queues that these lines took; of them given back */
    size_t dropped_end;   /* where a `dropped` record ends, 0: there is none */
    uint64_t dropped;     /* lines it tells of */
    uint64_t lines;
    atomic_uint_least64_t written, told; /* over all batches: lines written, and lines told of as lost */
};

void merge_init(struct merge *m, const char *run);
void merge_free(struct merge *m);
/* Is there a line or a loss that is in no batch? */
bool merge_news(struct merge *m);

void batch_free(struct batch *b);
/* Fills an empty batch. `last`: nobody puts any more, so tell all losses now. False: there is nothing. */
bool batch_fill(struct batch *b, struct merge *m, const struct room *room, bool last);
/* n octets more were written; gives back their share of the room. */
void batch_advance(struct batch *b, size_t n, struct room *room);
/* Octets written of a line that is not written to its end; and as if they were not. */
size_t batch_partial(const struct batch *b);
void batch_retract(struct batch *b, size_t n);
/* Of lines that count as written, n are lost after all: they are told as those that found no room. */
void batch_lose(struct batch *b, struct merge *m, uint64_t n);
/* n of them were not written, and nobody will be told. */
void batch_unwrite(struct batch *b, uint64_t n);
/* Counts what was written, gives back all room, and empties the batch, written or not. */
void batch_finish(struct batch *b, struct room *room);

#endif
