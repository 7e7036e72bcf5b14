/* A record before it is a line: a list of typed fields, built on the stack from memory that others own, so that each
 * format (native, ecs) and each rule (cutting, redaction) sees the same thing. Nothing is copied until it is written.
 */
#ifndef COMMON_RECORD_RECORD_H
#define COMMON_RECORD_RECORD_H

#include "common/json.h"
#include "common/record/fields.h"
#include "common/record/reasons.h"
#include "common/smtp/reply.h"

#define RECORD_WORD_ENUM(prefix, id) prefix##_##id
enum level { LEVEL_ERROR, LEVEL_INFO, LEVEL_DEBUG };
#define X(id, word, level) TNX_##id,
enum tnx { RECORD_TNX(X) TNX_COUNT };
#undef X
#define X(id, word) KEY_##id,
enum record_key { RECORD_KEYS(X) KEY_COUNT };
#undef X
#define X(id, word) STATUS_##id,
enum txn_status { RECORD_STATUSES(X) STATUS_COUNT };
#undef X
#define X(id, word) STAGE_##id,
enum txn_stage { RECORD_STAGES(X) STAGE_COUNT };
#undef X
#define X(id, word) BY_##id,
enum txn_by { RECORD_DECIDERS(X) BY_COUNT };
#undef X
#define X(id, word) CLASS_##id,
enum reply_class { RECORD_CLASSES(X) CLASS_COUNT };
#undef X
#define X(id, word) CLOSE_##id,
enum close_reason { CLOSE_REASONS(X) CLOSE_REASON_COUNT };
#undef X
#define X(id, code, text) ERR_##id,
enum record_error { RECORD_ERRORS(X) ERR_COUNT };
#undef X
enum side { SIDE_NONE, SIDE_CLIENT, SIDE_UPSTREAM };

const char *level_word(enum level level);
const char *tnx_word(enum tnx tnx);
enum level tnx_level(enum tnx tnx);
struct span record_key_word(enum record_key key);
const char *status_word(enum txn_status status);
const char *stage_word(enum txn_stage stage);
const char *by_word(enum txn_by by);
const char *class_word(enum reply_class class);
const char *close_reason_word(enum close_reason reason);
const char *record_error_code(enum record_error err);
const char *record_error_text(enum record_error err);

/* One recipient as the arrays `rcpt_to` and `recipients` show it. */
struct record_rcpt {
    struct span address;
    enum txn_status status;
    int code; /* 0: none */
    struct span enhanced, reply;
    bool hidden; /* its address is not shown */
};

enum record_type {
    REC_STR,
    REC_CAT,
    REC_INT,
    REC_BOOL,
    REC_MS,
    REC_NULL,
    REC_STRS,       /* array of strings */
    REC_REPLY,      /* array of a reply's lines, without codes */
    REC_RCPT_TO,    /* array of the addresses of struct record_rcpt */
    REC_RECIPIENTS, /* array of objects */
    REC_OPEN,       /* an object begins; until REC_CLOSE the fields are its members */
    REC_OPEN_LIST,  /* an array of objects begins; each member is REC_OPEN with key KEY_COUNT */
    REC_CLOSE,      /* of REC_OPEN */
    REC_CLOSE_LIST,
};

struct record_field {
    enum record_key key;
    enum record_type type;
    /* A header's name inside `headers`; else empty, and key names the field. */
    struct span name;
    union {
        struct span str;
        struct {
            const struct span *p;
            size_t n;
        } strs; /* REC_CAT, REC_STRS */
        int64_t num;
        const struct smtp_reply *reply;
        struct {
            const struct record_rcpt *p;
            size_t n;
        } rcpts;
    };
};

/* SPARE: of these, kept for the marks of a cut record. */
enum { RECORD_FIELDS_MAX = 160, RECORD_FIELDS_SPARE = 2 };
struct mailboxes;
struct record {
    enum tnx tnx;
    usec_t time; /* realtime, when the thing happened */
    /* The client's verified name, and the one that it tried to log in with, which texts may hold though no field does:
     * for redaction alone. */
    struct span client_name, login_name;
    /* Likewise what the session's mailboxes may be called; NULL: not known. */
    const struct mailboxes *mailboxes;
    unsigned count;
    struct record_field field[RECORD_FIELDS_MAX];
};

/* The fields come in the order in which they are added; the caller adds component (first), then cid, tid, side, user,
 * host, then the kind's own, then msg; `time`, `level`, `tnx` are put by the formatter at their places. Fields beyond
 * the maximum abort. */
static inline void record_begin(struct record *r, enum tnx tnx, usec_t realtime)
{
    r->tnx = tnx;
    r->time = realtime;
    r->client_name = r->login_name = SPAN_NONE;
    r->mailboxes = NULL;
    r->count = 0;
}
void record_str(struct record *r, enum record_key key, struct span s);
static inline void record_cstr(struct record *r, enum record_key key, const char *s)
{
    record_str(r, key, span_str(s));
}
/* Pieces that make one string; the array must live until the record is written. */
void record_cat(struct record *r, enum record_key key, const struct span *pieces, size_t n);
void record_strs(struct record *r, enum record_key key, const struct span *list, size_t n);
void record_int(struct record *r, enum record_key key, int64_t v);
void record_bool(struct record *r, enum record_key key, bool v);
void record_ms(struct record *r, enum record_key key, usec_t us);
void record_null(struct record *r, enum record_key key);
void record_reply_lines(struct record *r, enum record_key key, const struct smtp_reply *reply);
void record_rcpts(struct record *r, enum record_key key, enum record_type type, const struct record_rcpt *list,
                  size_t n);
void record_named(struct record *r, struct span name, struct span value);
void record_open(struct record *r, enum record_key key);
void record_open_list(struct record *r, enum record_key key);
void record_open_member(struct record *r); /* an object inside a list */
void record_close(struct record *r);
void record_close_list(struct record *r);
enum side; /* side words: "client", "upstream"; SIDE_NONE adds nothing */
void record_side(struct record *r, enum side side);

#endif
