/* The usual record fits, and is written once, straight into the buffer: this is the program's hot path, so keys with
 * their comma and quotes are literals. Writing stops as soon as the line is too long; then the line is taken back, and
 * each cut of the record is tried in turn (cut.h), whose last one always fits. A line is thus never longer than
 * max_record, and no attempt costs more than max_record and one string. */
#include "common/record/native.h"

#include "common/record/cut.h"
#include "common/record/format.h"

/* Of one size, so that a key is copied without counting. */
enum { KEY_ROOM = 32 };
#define X(id, word) [KEY_##id] = { ",\"" word "\":", sizeof(word) + 3 },
static const struct {
    char text[KEY_ROOM];
    size_t n;
} KEYS[] = { RECORD_KEYS(X) };
#undef X
#define X(id, word, level) [TNX_##id] = { ",\"tnx\":\"" word "\"", sizeof(word) + 8 },
static const struct span TNX[] = { RECORD_TNX(X) };
#undef X
static const struct span LEVELS[] = {
    [LEVEL_ERROR] = SPAN_LIT(",\"level\":\"error\""),
    [LEVEL_INFO] = SPAN_LIT(",\"level\":\"info\""),
    [LEVEL_DEBUG] = SPAN_LIT(",\"level\":\"debug\""),
};

/* A '{' before us can only be that of an object just begun: strings end in a quote. */
static void put_key(struct record_writer *w, enum record_key key)
{
    struct buf *out = w->json.out;
    char *to = buf_reserve(out, KEY_ROOM + 1);
    size_t skip = to[-1] == '{';
    memcpy(to, KEYS[key].text, KEY_ROOM);
    if (UNLIKELY(skip))
        memmove(to, to + 1, KEY_ROOM - 1);
    buf_commit(out, KEYS[key].n - skip);
}

static void put_field_key(struct record_writer *w, const struct record_field *f)
{
    if (f->name.n > 0) {
        json_str(&w->json, f->name);
        buf_append(w->json.out, ":", 1);
    } else if (f->key != KEY_COUNT) {
        put_key(w, f->key);
    }
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
    if (!rcpt->hidden) {
        put_key(w, KEY_ADDRESS);
        json_str(&w->json, rcpt->address);
    }
    put_key(w, KEY_STATUS);
    json_str(&w->json, span_str(status_word(rcpt->status)));
    if (rcpt->code != 0) {
        put_key(w, KEY_CODE);
        json_int(&w->json, rcpt->code);
    }
    if (rcpt->enhanced.n > 0) {
        put_key(w, KEY_ENHANCED);
        json_str(&w->json, rcpt->enhanced);
    }
    if (rcpt->code != 0 || rcpt->reply.n > 0) {
        put_key(w, KEY_REPLY);
        json_str(&w->json, rcpt->reply);
    }
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
        return put_strs(w, f->strs.p, f->strs.n);
    case REC_REPLY:
        return put_lines(w, f->reply);
    case REC_RCPT_TO:
        return put_rcpt_to(w, f->rcpts.p, f->rcpts.n);
    case REC_RECIPIENTS:
        return put_recipients(w, f->rcpts.p, f->rcpts.n);
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

static bool put_field(struct record_writer *w, const struct record_field *f)
{
    if (f->type != REC_CLOSE && f->type != REC_CLOSE_LIST)
        put_field_key(w, f);
    return record_put_value(w, f);
}

static bool put_record(struct record_writer *w, const struct record *r, struct json_time_cache *cache)
{
    struct buf *out = w->json.out;
    unsigned i = 0;
    buf_append(out, "{\"time\":", 8);
    json_time(&w->json, r->time, cache);
    buf_append_span(out, LEVELS[tnx_level(r->tnx)]);
    if (r->count > 0 && r->field[0].key == KEY_COMPONENT && !put_field(w, &r->field[i++]))
        return false;
    buf_append_span(out, TNX[r->tnx]);
    while (i < r->count) {
        if (!put_field(w, &r->field[i++]))
            return false;
    }
    return record_fits(w);
}

_Static_assert(RECORD_CUT_LAST + RECORD_TAIL_MAX <= RECORD_MIN_MAX, "the last cut always fits");

void record_write_native(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                         struct json_time_cache *cache)
{
    size_t start = buf_len(out);
    size_t room = max_size(max_record, RECORD_MIN_MAX) - tail_max;
    struct record_writer w = { .json = { .out = out }, .end = start + room };
    if (UNLIKELY(!put_record(&w, r, cache)))
        record_write_cut(&w, r, start, put_record, cache);
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
