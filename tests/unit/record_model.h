/* A record's line in format native as events.md has it, slowly: one field after the other, printed. Whatever the writer
 * does to be fast, its lines are these, byte for byte. */
#ifndef TESTS_UNIT_RECORD_MODEL_H
#define TESTS_UNIT_RECORD_MODEL_H

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "common/record/cut.h"
#include "common/record/native.h"
#include "tests/unit/json_model.h"

/* One string of pieces, each repaired for itself. */
static inline void model_strs(struct buf *out, const struct span *pieces, size_t count)
{
    buf_append(out, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        char *written = malloc(6 * pieces[i].n + 8), *repaired = malloc(6 * pieces[i].n + 8);
        size_t w = 0, r = 0;
        json_model(pieces[i], written, &w, repaired, &r);
        buf_append(out, written, w);
        free(written);
        free(repaired);
    }
    buf_append(out, "\"", 1);
}

static inline void model_str(struct buf *out, struct span s) { model_strs(out, &s, 1); }

static inline void model_ms(struct buf *out, usec_t us)
{
    uint64_t v = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    char text[48];
    int n = snprintf(text, sizeof(text), "%s%" PRIu64 ".%03u", us < 0 ? "-" : "", v / 1000, (unsigned)(v % 1000));
    while (text[n - 1] == '0')
        n--;
    buf_append(out, text, (size_t)(text[n - 1] == '.' ? n - 1 : n));
}

static inline void model_recipient(struct buf *out, const struct record_rcpt *r)
{
    buf_append(out, "{", 1);
    if (!r->hidden) {
        buf_printf(out, "\"address\":");
        model_str(out, r->address);
    }
    buf_printf(out, "%s\"status\":\"%s\"", r->hidden ? "" : ",", status_word(r->status));
    if (r->code != 0)
        buf_printf(out, ",\"code\":%d", r->code);
    if (r->enhanced.n > 0) {
        buf_printf(out, ",\"enhanced\":");
        model_str(out, r->enhanced);
    }
    if (r->code != 0 || r->reply.n > 0) {
        buf_printf(out, ",\"reply\":");
        model_str(out, r->reply);
    }
    buf_append(out, "}", 1);
}

static inline void model_list(struct buf *out, const struct record_field *f)
{
    size_t n = f->type == REC_STRS ? f->strs.n : f->type == REC_REPLY ? SIZE_MAX : f->rcpts.n, pos = 0;
    struct span line;
    buf_append(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (f->type == REC_REPLY && !smtp_reply_line(f->reply, &pos, true, &line))
            break;
        if (i > 0)
            buf_append(out, ",", 1);
        if (f->type == REC_RECIPIENTS)
            model_recipient(out, &f->rcpts.p[i]);
        else
            model_str(out, f->type == REC_STRS ? f->strs.p[i] : f->type == REC_REPLY ? line : f->rcpts.p[i].address);
    }
    buf_append(out, "]", 1);
}

static inline void model_value(struct buf *out, const struct record_field *f)
{
    switch (f->type) {
    case REC_STR:
        model_str(out, f->str);
        break;
    case REC_CAT:
        model_strs(out, f->strs.p, f->strs.n);
        break;
    case REC_INT:
        buf_printf(out, "%" PRId64, f->num);
        break;
    case REC_BOOL:
        buf_printf(out, f->num != 0 ? "true" : "false");
        break;
    case REC_MS:
        model_ms(out, f->num);
        break;
    case REC_NULL:
        buf_printf(out, "null");
        break;
    case REC_STRS:
    case REC_REPLY:
    case REC_RCPT_TO:
    case REC_RECIPIENTS:
        model_list(out, f);
        break;
    case REC_OPEN:
        buf_append(out, "{", 1);
        break;
    case REC_OPEN_LIST:
        buf_append(out, "[", 1);
        break;
    case REC_CLOSE:
        buf_append(out, "}", 1);
        break;
    case REC_CLOSE_LIST:
        buf_append(out, "]", 1);
        break;
    }
}

/* *first: nothing stands before it in its object or list. */
static inline void model_field(struct buf *out, const struct record_field *f, bool *first)
{
    bool close = f->type == REC_CLOSE || f->type == REC_CLOSE_LIST;
    if (!close && !*first)
        buf_append(out, ",", 1);
    if (f->name.n > 0 && !close) {
        model_str(out, f->name);
        buf_append(out, ":", 1);
    } else if (f->key != KEY_COUNT) {
        buf_printf(out, "\"%s\":", record_key_word(f->key).p);
    }
    model_value(out, f);
    *first = f->type == REC_OPEN || f->type == REC_OPEN_LIST;
}

static inline void model_whole(struct buf *out, const struct record *r)
{
    time_t second = (time_t)(r->time / USEC_PER_SEC);
    struct tm tm;
    char text[32];
    bool first = false;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &tm));
    buf_printf(out, "{\"time\":\"%s.%06dZ\",\"level\":\"%s\"", text, (int)(r->time % USEC_PER_SEC),
               level_word(tnx_level(r->tnx)));
    unsigned i = r->count > 0 && r->field[0].key == KEY_COMPONENT;
    if (i > 0)
        model_field(out, &r->field[0], &first);
    buf_printf(out, ",\"tnx\":\"%s\"", tnx_word(r->tnx));
    for (; i < r->count; i++)
        model_field(out, &r->field[i], &first);
}

/* The whole record where it fits, else the first cut that does. */
static inline void model_line(struct buf *out, const struct record *r, size_t max_record, size_t tail_max)
{
    size_t room = max_size(max_record, RECORD_MIN_MAX) - tail_max, start = buf_len(out);
    struct arena mem;
    struct record cut;
    model_whole(out, r);
    arena_init(&mem, NULL, 0);
    for (unsigned step = 1; buf_len(out) - start > room; step++) {
        out->tail = out->head + start;
        record_cut(&cut, r, step, &mem);
        model_whole(out, &cut);
        arena_free(&mem);
    }
}

#endif
