/* Out of the formats' hot path: a struct record on the stack for the cut. No attempt costs more than max_record and one
 * string. */
#include "common/record/format.h"

#include <stdlib.h>

#include "common/record/cut.h"

void record_write_cut(struct record_writer *w, const struct record *r, size_t start, record_put *put,
                      struct json_time_cache *cache)
{
    struct buf *out = w->json.out;
    struct arena mem;
    struct record cut;
    bool done = false;
    arena_init(&mem, NULL, 0);
    for (unsigned step = 1; step <= RECORD_CUT_STEPS && !done; step++) {
        out->tail = out->head + start;
        record_cut(&cut, r, step, &mem);
        done = put(w, &cut, cache);
        arena_free(&mem);
    }
    if (!done)
        abort();
}
