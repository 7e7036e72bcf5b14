/* Records that were written and can't be shown, as `seq` tells: it is gapless in a run. A run's first record that is
 * seen has no forerunner here, so it tells nothing. A `dropped` record explains what is missing since the one before
 * it, so far as it goes. */
#include <inttypes.h>
#include <stdio.h>

#include "common/record/format.h"
#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"

/* Of the format that the record is in; empty: it has none. */
static struct span place_of(struct json_object *record, uint64_t *seq)
{
    static const struct record_format *const formats[] = { &record_native, &record_ecs };
    struct json_object *number = NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct span run = tail_string(record, formats[i]->run);
        json_object_object_get_ex(record, formats[i]->seq, &number);
        if (run.n == 0 || run.n >= TAIL_RUN_MAX || !json_object_is_type(number, json_type_int))
            continue;
        *seq = json_object_get_uint64(number);
        return run;
    }
    return SPAN_NONE;
}

static struct tail_run *find(struct tail_gaps *g, struct span name)
{
    for (size_t i = 0; i < TAIL_RUNS; i++) {
        if (span_eq(name, span_str(g->run[i].name)))
            return &g->run[i];
    }
    return NULL;
}

static void begin(struct tail_gaps *g, struct span name, uint64_t seq)
{
    struct tail_run *run = &g->run[g->next++ % TAIL_RUNS];
    *run = (struct tail_run){ .seq = seq };
    memcpy(run->name, name.p, name.n);
}

static void put_words(const struct tail_printer *p, struct buf *out, const char *text)
{
    term_on(&p->term, out, TERM_YELLOW);
    buf_printf(out, "%s %s", p->term.utf8 ? "\u2026" : "...", text);
    term_off(&p->term, out);
    buf_append(out, "\n", 1);
}

void tail_gaps_before(struct tail_gaps *g, const struct tail_printer *p, struct buf *out, struct json_object *record)
{
    uint64_t seq = 0;
    char text[80];
    struct span name = place_of(record, &seq);
    struct tail_run *run = name.n > 0 ? find(g, name) : NULL;
    if (name.n > 0 && run == NULL)
        begin(g, name, seq);
    if (run == NULL)
        return;
    uint64_t gap = seq > run->seq ? seq - run->seq - 1 : 0;
    run->seq = seq;
    run->missing += gap;
    if (gap == 0)
        return;
    snprintf(text, sizeof(text), "%" PRIu64 " record%s missing here", gap, gap == 1 ? " is" : "s are");
    put_words(p, out, text);
}

void tail_gaps_behind(struct tail_gaps *g, const struct tail_printer *p, struct buf *out, struct json_object *record)
{
    uint64_t seq = 0;
    char text[160];
    struct json_object *number = NULL;
    if (!span_eq(tail_string(record, "tnx"), span_str(tnx_word(TNX_DROPPED))))
        return;
    struct span name = place_of(record, &seq);
    struct tail_run *run = name.n > 0 ? find(g, name) : NULL;
    if (run == NULL || run->missing == 0 || !json_object_object_get_ex(record, "records", &number))
        return;
    uint64_t dropped = json_object_get_uint64(number), missing = run->missing;
    run->missing = 0;
    if (dropped >= missing)
        snprintf(text, sizeof(text), "so what is missing above was never written");
    else
        snprintf(text, sizeof(text), "so of the %" PRIu64 " records missing above %" PRIu64 " were never written",
                 missing, dropped);
    put_words(p, out, text);
}
