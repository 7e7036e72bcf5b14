/* The program's hot path: keys with their comma and quotes are literals. */
#include "common/record/native.h"

#include "common/record/cut.h"
#include "common/record/format.h"

#define X(id, word) [KEY_##id] = JSON_LITERAL(",\"" word "\":"),
static const struct json_literal KEYS[] = { RECORD_KEYS(X) };
#undef X
#define X(id, word, level) [TNX_##id] = JSON_LITERAL(",\"tnx\":\"" word "\""),
static const struct json_literal TNX[] = { RECORD_TNX(X) };
#undef X
static const struct json_literal LEVELS[] = {
    [LEVEL_ERROR] = JSON_LITERAL(",\"level\":\"error\""),
    [LEVEL_INFO] = JSON_LITERAL(",\"level\":\"info\""),
    [LEVEL_DEBUG] = JSON_LITERAL(",\"level\":\"debug\""),
};

/* A '{' before us can only be that of an object just begun: strings end in a quote. */
static bool is_first(const struct record_writer *w) { return w->json.to[-1] == '{'; }
static void put_key(struct record_writer *w, enum record_key key) { json_literal(&w->json, &KEYS[key], is_first(w)); }

static void put_str(struct record_writer *w, enum record_key key, struct span s)
{
    json_literal_str(&w->json, &KEYS[key], is_first(w), s);
}

static bool put_strs(struct record_writer *w, const struct span *list, size_t n)
{
    json_open(&w->json, '[');
    for (size_t i = 0; i < n && record_fits(w); i++)
        json_str(&w->json, list[i]);
    json_close(&w->json, ']');
    return record_fits(w);
}

static bool put_lines(struct record_writer *w, const struct smtp_reply *reply)
{
    struct span line;
    size_t pos = 0;
    json_open(&w->json, '[');
    while (record_fits(w) && smtp_reply_line(reply, &pos, true, &line))
        json_str(&w->json, line);
    json_close(&w->json, ']');
    return record_fits(w);
}

static bool put_rcpt_to(struct record_writer *w, const struct record_rcpt *list, size_t n)
{
    json_open(&w->json, '[');
    for (size_t i = 0; i < n && record_fits(w); i++)
        json_str(&w->json, list[i].address);
    json_close(&w->json, ']');
    return record_fits(w);
}

static void put_recipient(struct record_writer *w, const struct record_rcpt *rcpt)
{
    json_open(&w->json, '{');
    if (!rcpt->hidden)
        put_str(w, KEY_ADDRESS, rcpt->address);
    put_str(w, KEY_STATUS, span_str(status_word(rcpt->status)));
    if (rcpt->code != 0) {
        put_key(w, KEY_CODE);
        json_int(&w->json, rcpt->code);
    }
    if (rcpt->enhanced.n > 0)
        put_str(w, KEY_ENHANCED, rcpt->enhanced);
    if (rcpt->code != 0 || rcpt->reply.n > 0)
        put_str(w, KEY_REPLY, rcpt->reply);
    json_close(&w->json, '}');
}

static bool put_recipients(struct record_writer *w, const struct record_rcpt *list, size_t n)
{
    json_open(&w->json, '[');
    for (size_t i = 0; i < n && record_fits(w); i++)
        put_recipient(w, &list[i]);
    json_close(&w->json, ']');
    return record_fits(w);
}

/* Out of the way of what most fields are. */
static __attribute__((noinline)) bool put_list(struct record_writer *w, const struct record_field *f)
{
    if (f->type == REC_STRS)
        return put_strs(w, f->strs.p, f->strs.n);
    if (f->type == REC_REPLY)
        return put_lines(w, f->reply);
    if (f->type == REC_RCPT_TO)
        return put_rcpt_to(w, f->rcpts.p, f->rcpts.n);
    return put_recipients(w, f->rcpts.p, f->rcpts.n);
}

bool record_put_value(struct record_writer *w, const struct record_field *f)
{
    struct json *j = &w->json;
    switch (f->type) {
    case REC_STR:
        json_str(j, f->str);
        break;
    case REC_CAT:
        json_cat(j, f->strs.p, f->strs.n);
        break;
    case REC_INT:
        json_int(j, f->num);
        break;
    case REC_BOOL:
        json_bool(j, f->num != 0);
        break;
    case REC_MS:
        json_ms(j, f->num);
        break;
    case REC_NULL:
        json_null(j);
        break;
    case REC_STRS:
    case REC_REPLY:
    case REC_RCPT_TO:
    case REC_RECIPIENTS:
        return put_list(w, f);
    case REC_OPEN:
        json_open(j, '{');
        break;
    case REC_OPEN_LIST:
        json_open(j, '[');
        break;
    case REC_CLOSE:
        json_close(j, '}');
        break;
    case REC_CLOSE_LIST:
        json_close(j, ']');
        break;
    }
    return record_fits(w);
}

/* Headers have names of their own, members of a list have none. */
static __attribute__((noinline)) bool put_other_field(struct record_writer *w, const struct record_field *f)
{
    if (f->type == REC_CLOSE || f->type == REC_CLOSE_LIST)
        return record_put_value(w, f);
    if (f->name.n > 0) {
        json_str(&w->json, f->name);
        json_raw(&w->json, SPAN_LIT(":"));
    } else if (f->key != KEY_COUNT) {
        put_key(w, f->key);
    }
    return record_put_value(w, f);
}

/* Most are strings. */
static inline bool put_field(struct record_writer *w, const struct record_field *f)
{
    if (f->type != REC_STR || UNLIKELY(f->name.n > 0))
        return put_other_field(w, f);
    put_str(w, f->key, f->str);
    return record_fits(w);
}

static bool put_record(struct record_writer *w, const struct record *r, struct json_time_cache *cache)
{
    const struct record_field *f = r->field, *end = f + r->count;
    json_raw(&w->json, SPAN_LIT("{\"time\":"));
    json_time(&w->json, r->time, cache);
    json_literal(&w->json, &LEVELS[tnx_level(r->tnx)], false);
    if (f < end && f->key == KEY_COMPONENT && !put_field(w, f++))
        return false;
    json_literal(&w->json, &TNX[r->tnx], false);
    while (f < end) {
        if (!put_field(w, f++))
            return false;
    }
    return record_fits(w);
}

_Static_assert(RECORD_CUT_LAST + RECORD_TAIL_MAX <= RECORD_MIN_MAX, "the last cut always fits");

void record_write_native(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                         struct json_time_cache *cache)
{
    record_write(out, r, max_size(max_record, RECORD_MIN_MAX) - tail_max, put_record, cache);
}

const struct record_format record_native = {
    .write = record_write_native,
    .least = RECORD_MIN_MAX,
    .run = "run",
    .seq = "seq",
    .hash = "hash",
    .prev = "prev",
    .tail_plain = RECORD_TAIL_PLAIN,
    .tail_max = RECORD_TAIL_MAX,
};
