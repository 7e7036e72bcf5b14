/* A format: how a record becomes a line, and which keys the log's writer appends to it. Two are known: `native` and
 * `ecs` (events.md). */
#ifndef COMMON_RECORD_FORMAT_H
#define COMMON_RECORD_FORMAT_H

#include "common/record/record.h"

struct record_format {
    /* Appends the line, without the keys below and without the closing brace. Where it and a tail of tail_max bytes
     * would pass max_record, it is cut as events.md says ("A record too long"), in that order, until it fits;
     * `truncated` and `truncated_fields` stand before `msg`. Less than `least` is taken as that. cache as in
     * json_time(). */
    void (*write)(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                  struct json_time_cache *cache);
    size_t least;
    const char *run, *seq, *hash, *prev; /* the writer's keys, in their order */
    size_t tail_plain, tail_max;         /* what run and seq take with the line's end; what all four take */
};
extern const struct record_format record_native, record_ecs;

/* For the formats' own files: a line under way. */
struct record_writer {
    struct json json;
    size_t room; /* of the line */
};
static inline bool record_fits(const struct record_writer *w) { return json_len(&w->json) <= w->room; }
/* The field's value, without its key. False if the line is too long, perhaps before all of it is written. */
bool record_put_value(struct record_writer *w, const struct record_field *f);
/* Writes the whole record by `put`; where that takes more than room, the line is taken back and each cut of the record
 * is tried in turn. The last one must fit. */
typedef bool record_put(struct record_writer *w, const struct record *r, struct json_time_cache *cache);
void record_write(struct buf *out, const struct record *r, size_t room, record_put *put, struct json_time_cache *cache);

#endif
