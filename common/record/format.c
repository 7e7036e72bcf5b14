/* Writing stops as soon as the line is too long; then it is taken back, and each cut of the record is tried in turn
 * (cut.h), whose last one always fits. A line is thus never longer than max_record, and no attempt costs more than that
 * and one string. */
#include "common/record/format.h"

#include <stdlib.h>

#include "common/record/cut.h"

/* Out of the hot path: a struct record on the stack. */
static __attribute__((noinline)) void write_cut(struct record_writer *w, const struct record *r, record_put *put,
                                                struct json_time_cache *cache)
{
    struct arena mem;
    struct record cut;
    bool done = false;
    arena_init(&mem, NULL, 0);
    for (unsigned step = 1; step <= RECORD_CUT_STEPS && !done; step++) {
        json_restart(&w->json);
        record_cut(&cut, r, step, &mem);
        done = put(w, &cut, cache);
        arena_free(&mem);
    }
    if (!done)
        abort();
}

void record_write(struct buf *out, const struct record *r, size_t room, record_put *put, struct json_time_cache *cache)
{
    struct record_writer w = { .json = { .out = out }, .room = room };
    if (UNLIKELY(!put(&w, r, cache)))
        write_cut(&w, r, put, cache);
    json_end(&w.json);
}
