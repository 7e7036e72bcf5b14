/* The words of the closed sets, and the adders of fields. Adding never copies: a record is a view. Two places are kept
 * free at the end for `truncated` and `truncated_fields`, so that a record that could be made can also be cut. */
#include "common/record/record.h"

#include <stdlib.h>

#define X(id, word, level) [TNX_##id] = word,
static const char *const TNX_WORDS[] = { RECORD_TNX(X) };
#undef X
#define X(id, word, level) [TNX_##id] = LEVEL_##level,
static const enum level TNX_LEVELS[] = { RECORD_TNX(X) };
#undef X
#define X(id, word) [KEY_##id] = { word, sizeof(word) - 1 },
static const struct span KEY_WORDS[] = { RECORD_KEYS(X) };
#undef X
#define X(id, word) [STATUS_##id] = word,
static const char *const STATUS_WORDS[] = { RECORD_STATUSES(X) };
#undef X
#define X(id, word) [STAGE_##id] = word,
static const char *const STAGE_WORDS[] = { RECORD_STAGES(X) };
#undef X
#define X(id, word) [BY_##id] = word,
static const char *const BY_WORDS[] = { RECORD_DECIDERS(X) };
#undef X
#define X(id, word) [CLASS_##id] = word,
static const char *const CLASS_WORDS[] = { RECORD_CLASSES(X) };
#undef X
#define X(id, word) [CLOSE_##id] = word,
static const char *const CLOSE_WORDS[] = { CLOSE_REASONS(X) };
#undef X
#define X(id, code, text) [ERR_##id] = { code, text },
static const struct {
    const char *code, *text;
} ERRORS[] = { RECORD_ERRORS(X) };
#undef X

const char *level_word(enum level level)
{
    switch (level) {
    case LEVEL_ERROR:
        return "error";
    case LEVEL_INFO:
        return "info";
    case LEVEL_DEBUG:
        return "debug";
    }
    return "";
}

const char *tnx_word(enum tnx tnx) { return TNX_WORDS[tnx]; }
enum level tnx_level(enum tnx tnx) { return TNX_LEVELS[tnx]; }
struct span record_key_word(enum record_key key) { return KEY_WORDS[key]; }
const char *status_word(enum txn_status status) { return STATUS_WORDS[status]; }
const char *stage_word(enum txn_stage stage) { return STAGE_WORDS[stage]; }
const char *by_word(enum txn_by by) { return BY_WORDS[by]; }
const char *class_word(enum reply_class class) { return CLASS_WORDS[class]; }
const char *close_reason_word(enum close_reason reason) { return CLOSE_WORDS[reason]; }
const char *record_error_code(enum record_error err) { return ERRORS[err].code; }
const char *record_error_text(enum record_error err) { return ERRORS[err].text; }

static struct record_field *record_add(struct record *r, enum record_key key, enum record_type type)
{
    if (UNLIKELY(r->count >= RECORD_FIELDS_MAX - RECORD_FIELDS_SPARE))
        abort();
    struct record_field *f = &r->field[r->count++];
    f->key = key;
    f->type = type;
    f->name = SPAN_NONE;
    return f;
}

void record_str(struct record *r, enum record_key key, struct span s) { record_add(r, key, REC_STR)->str = s; }

static void record_add_spans(struct record *r, enum record_key key, enum record_type type, const struct span *p,
                             size_t n)
{
    struct record_field *f = record_add(r, key, type);
    f->strs.p = p;
    f->strs.n = n;
}

void record_cat(struct record *r, enum record_key key, const struct span *pieces, size_t n)
{
    record_add_spans(r, key, REC_CAT, pieces, n);
}

void record_strs(struct record *r, enum record_key key, const struct span *list, size_t n)
{
    record_add_spans(r, key, REC_STRS, list, n);
}

void record_int(struct record *r, enum record_key key, int64_t v) { record_add(r, key, REC_INT)->num = v; }
void record_bool(struct record *r, enum record_key key, bool v) { record_add(r, key, REC_BOOL)->num = v; }
void record_ms(struct record *r, enum record_key key, usec_t us) { record_add(r, key, REC_MS)->num = us; }
void record_null(struct record *r, enum record_key key) { record_add(r, key, REC_NULL); }

void record_reply_lines(struct record *r, enum record_key key, const struct smtp_reply *reply)
{
    record_add(r, key, REC_REPLY)->reply = reply;
}

void record_rcpts(struct record *r, enum record_key key, enum record_type type, const struct record_rcpt *list,
                  size_t n)
{
    struct record_field *f = record_add(r, key, type);
    f->rcpts.p = list;
    f->rcpts.n = n;
}

void record_named(struct record *r, struct span name, struct span value)
{
    struct record_field *f = record_add(r, KEY_HEADERS, REC_STR);
    f->name = name;
    f->str = value;
}

void record_open(struct record *r, enum record_key key) { record_add(r, key, REC_OPEN); }
void record_open_list(struct record *r, enum record_key key) { record_add(r, key, REC_OPEN_LIST); }
void record_open_member(struct record *r) { record_add(r, KEY_COUNT, REC_OPEN); }
void record_close(struct record *r) { record_add(r, KEY_COUNT, REC_CLOSE); }
void record_close_list(struct record *r) { record_add(r, KEY_COUNT, REC_CLOSE_LIST); }

void record_side(struct record *r, enum side side)
{
    switch (side) {
    case SIDE_NONE:
        break;
    case SIDE_CLIENT:
        record_str(r, KEY_SIDE, SPAN_LIT("client"));
        break;
    case SIDE_UPSTREAM:
        record_str(r, KEY_SIDE, SPAN_LIT("upstream"));
        break;
    }
}
