/* The records of a transaction: one `rcpt` for each recipient, then the `message`. Both are built on the stack from
 * what the transaction holds; the order of the keys is that of events.md. */
#include "common/record/txn.h"
#include "common/record/txn_impl.h"

#include <stdio.h>

enum { SCRATCH = 4096, PIECES_MAX = 16 };

struct writing {
    const struct txn *t;
    const struct txn_session *s;
    const struct txn_end *end;
    struct txn_judge judge;
    struct txn_fate message;
    const struct record_rcpt *rcpts; /* as judged, one for each recipient */
    size_t reached;                  /* recipients accepted in the end */
    char tid[48];
};

/* A line for people, in pieces. */
struct line {
    size_t n;
    struct span piece[PIECES_MAX];
    char number[2][16];
};

static void line_add(struct line *l, struct span s) { l->piece[l->n++] = s; }
static void line_words(struct line *l, const char *s) { line_add(l, span_str(s)); }

static void line_number(struct line *l, unsigned which, size_t v)
{
    (void)snprintf(l->number[which], sizeof(l->number[which]), "%u", (unsigned)v);
    line_words(l, l->number[which]);
}

static void line_from(struct line *l, const struct txn *t)
{
    line_words(l, " from ");
    line_add(l, t->mail_from.n > 0 ? t->mail_from : SPAN_LIT("<>"));
}

/* " as 1A2B", or " at rcpt: 550 5.1.1 no such user". */
static void line_fate(struct line *l, const struct txn_fate *fate)
{
    if (fate->status == STATUS_ACCEPTED) {
        if (fate->queue_id.n > 0) {
            line_words(l, " as ");
            line_add(l, fate->queue_id);
        }
        return;
    }
    line_words(l, " at ");
    line_words(l, stage_word(fate->stage));
    if (fate->reply != NULL) {
        line_words(l, ": ");
        line_add(l, fate->reply->response);
    } else if (fate->status == STATUS_INDETERMINATE) {
        line_words(l, ": the upstream's answer was lost");
    }
}

static void line_message(struct line *l, const struct writing *w)
{
    const struct txn *t = w->t;
    l->n = 0;
    line_words(l, status_word(w->message.status));
    if (t->message_id.n > 0) {
        line_words(l, " ");
        line_add(l, t->message_id);
    }
    line_from(l, t);
    if (t->rcpt_count > 0) {
        line_words(l, " to ");
        if (w->message.status == STATUS_ACCEPTED && w->reached < t->rcpt_count) {
            line_number(l, 0, w->reached);
            line_words(l, " of ");
        }
        line_number(l, 1, t->rcpt_count);
        line_words(l, t->rcpt_count == 1 ? " recipient" : " recipients");
    }
    line_fate(l, &w->message);
}

static void line_rcpt(struct line *l, const struct writing *w, const struct txn_rcpt *rcpt, const struct txn_fate *fate)
{
    l->n = 0;
    line_words(l, status_word(fate->status));
    line_words(l, " ");
    line_add(l, rcpt->address);
    line_from(l, w->t);
    line_fate(l, fate);
}

static void put_some(struct record *r, enum record_key key, struct span s)
{
    if (s.n > 0)
        record_str(r, key, s);
}

static void put_or_null(struct record *r, enum record_key key, struct span s)
{
    if (s.n > 0)
        record_str(r, key, s);
    else
        record_null(r, key);
}

static void put_word(struct record *r, enum record_key key, const char *word)
{
    if (word != NULL)
        record_cstr(r, key, word);
}

static void put_head(struct record *r, const struct writing *w, enum tnx tnx)
{
    record_begin(r, tnx, w->end->realtime);
    r->client_name = w->s->hostname;
    r->mailboxes = w->s->mailboxes;
    put_some(r, KEY_COMPONENT, w->s->component);
    put_some(r, KEY_CID, w->s->cid);
    record_cstr(r, KEY_TID, w->tid);
    put_some(r, KEY_USER, w->s->user);
    put_some(r, KEY_HOST, w->s->host);
}

static void put_reply(struct record *r, const struct txn_reply *reply)
{
    if (reply == NULL)
        return;
    record_int(r, KEY_CODE, reply->code);
    put_some(r, KEY_ENHANCED, span_str(reply->enhanced));
    record_str(r, KEY_SMTP_RESPONSE, reply->response);
}

static void put_class(struct record *r, const struct txn_fate *fate)
{
    enum reply_class class = txn_fate_class(fate);
    if (class != CLASS_NONE)
        record_cstr(r, KEY_CLASS, class_word(class));
}

/* A reply that we have not kept whole is marked, as one that was cut to fit would be; `msg` shows it too. */
static void put_msg(struct record *r, const struct line *l, const struct txn_fate *fate, bool recipients_cut)
{
    static const struct span names[] = { SPAN_LIT("recipients"), SPAN_LIT("smtp_response"), SPAN_LIT("msg") };
    bool reply_cut = fate->reply != NULL && fate->reply->cut;
    if (reply_cut || recipients_cut) {
        record_bool(r, KEY_TRUNCATED, true);
        record_strs(r, KEY_TRUNCATED_FIELDS, recipients_cut ? names : names + 1,
                    (recipients_cut ? 1U : 0U) + (!reply_cut                        ? 0U
                                                  : fate->status == STATUS_ACCEPTED ? 1U
                                                                                    : 2U));
    }
    record_cat(r, KEY_MSG, l->piece, l->n);
}

static void make_rcpt(struct record *r, struct line *l, const struct writing *w, const struct txn_rcpt *rcpt)
{
    struct txn_fate fate = txn_judge_rcpt(&w->judge, rcpt);
    put_head(r, w, TNX_RCPT);
    record_str(r, KEY_MAIL_FROM, w->t->mail_from);
    record_str(r, KEY_RCPT_TO, rcpt->address);
    put_some(r, KEY_RCPT_DOMAIN, rcpt->domain);
    record_cstr(r, KEY_STATUS, status_word(fate.status));
    record_cstr(r, KEY_STAGE, stage_word(fate.stage));
    put_reply(r, fate.reply);
    record_cstr(r, KEY_DECIDED_BY, by_word(fate.by));
    put_class(r, &fate);
    put_or_null(r, KEY_QUEUE_ID, fate.queue_id);
    line_rcpt(l, w, rcpt, &fate);
    put_msg(r, l, &fate, false);
}

static void put_envelope(struct record *r, const struct writing *w)
{
    const struct txn *t = w->t;
    put_or_null(r, KEY_HOSTNAME, w->s->hostname);
    put_some(r, KEY_LISTENER, w->s->listener);
    put_some(r, KEY_HELO, w->s->helo);
    put_word(r, KEY_PROTOCOL, w->s->protocol);
    record_str(r, KEY_MAIL_FROM, t->mail_from);
    record_rcpts(r, KEY_RCPT_TO, REC_RCPT_TO, w->rcpts, t->rcpt_count);
    record_int(r, KEY_RCPT_COUNT, t->rcpt_count);
    record_int(r, KEY_RCPT_ACCEPTED, t->rcpt_accepted);
    record_rcpts(r, KEY_RECIPIENTS, REC_RECIPIENTS, w->rcpts, t->rcpt_count);
}

static void put_outcome(struct record *r, const struct writing *w, const struct span *anomalies)
{
    const struct txn_fate *fate = &w->message;
    record_cstr(r, KEY_STATUS, status_word(fate->status));
    record_bool(r, KEY_CLIENT_REPLIED, w->end->client_replied);
    put_reply(r, fate->reply);
    record_cstr(r, KEY_STAGE, stage_word(fate->stage));
    put_class(r, fate);
    if (w->t->anomaly_count > 0)
        record_strs(r, KEY_ANOMALIES, anomalies, w->t->anomaly_count);
    record_cstr(r, KEY_DECIDED_BY, by_word(fate->by));
    put_or_null(r, KEY_QUEUE_ID, fate->queue_id);
}

static void put_dsn(struct record *r, const struct txn *t)
{
    if (t->ret == SMTP_RET_NONE && t->envid.n == 0)
        return;
    record_open(r, KEY_DSN);
    if (t->ret != SMTP_RET_NONE)
        record_cstr(r, KEY_RET, t->ret == SMTP_RET_FULL ? "FULL" : "HDRS");
    put_some(r, KEY_ENVID, t->envid);
    record_close(r);
}

static void put_content(struct record *r, const struct txn *t)
{
    if (t->has_size)
        record_int(r, KEY_SIZE, (int64_t)t->size);
    put_some(r, KEY_MESSAGE_ID, t->message_id);
    if (t->has_subject)
        record_str(r, KEY_SUBJECT, t->subject);
    if (t->header_count > 0) {
        record_open(r, KEY_HEADERS);
        for (unsigned i = 0; i < t->header_count; i++)
            record_named(r, t->header[i].name, t->header[i].value);
        record_close(r);
    }
    if (t->body != SMTP_BODY_NONE)
        record_cstr(r, KEY_BODY, smtp_body_type_name(t->body));
    if (t->smtputf8)
        record_bool(r, KEY_SMTPUTF8, true);
    put_dsn(r, t);
}

static void put_tls(struct record *r, const char *version, const char *cipher)
{
    record_open(r, KEY_TLS);
    record_bool(r, KEY_USED, version != NULL);
    put_word(r, KEY_VERSION, version);
    put_word(r, KEY_CIPHER, cipher);
    record_close(r);
}

static void put_upstream(struct record *r, const struct txn *t)
{
    const struct txn_upstream *up = &t->upstream;
    if (!t->has_upstream)
        return;
    record_open(r, KEY_UPSTREAM);
    put_some(r, KEY_SERVER, up->server);
    put_some(r, KEY_HOST, up->host);
    if (up->port != 0)
        record_int(r, KEY_PORT, up->port);
    put_tls(r, up->tls_version, up->tls_cipher);
    put_word(r, KEY_IDENTITY, up->identity);
    record_bool(r, KEY_REUSED, up->reused);
    record_int(r, KEY_ATTEMPTS, up->attempts);
    record_close(r);
}

static void put_timing(struct record *r, const struct txn *t, usec_t end)
{
    static const enum record_key keys[PHASE_COUNT] = {
        [PHASE_CONNECT] = KEY_CONNECT, [PHASE_MAIL] = KEY_MAIL,         [PHASE_RCPT] = KEY_RCPT,
        [PHASE_DATA] = KEY_DATA,       [PHASE_TRANSFER] = KEY_TRANSFER, [PHASE_END] = KEY_END,
    };
    record_open(r, KEY_TIMING);
    for (enum txn_phase p = 0; p < PHASE_COUNT; p++) {
        if ((t->phases & 1U << p) != 0)
            record_ms(r, keys[p], t->phase[p]);
    }
    record_ms(r, KEY_TOTAL, end - t->started);
    record_close(r);
}

static void make_message(struct record *r, struct line *l, const struct writing *w, const struct span *anomalies,
                         bool recipients_cut)
{
    put_head(r, w, TNX_MESSAGE);
    put_envelope(r, w);
    put_outcome(r, w, anomalies);
    put_content(r, w->t);
    put_tls(r, w->s->tls_version, w->s->tls_cipher);
    put_upstream(r, w->t);
    put_timing(r, w->t, w->end->mono);
    line_message(l, w);
    put_msg(r, l, &w->message, recipients_cut);
}

/* Fills the list that `rcpt_to` and `recipients` show; true if a reply in it was cut. */
static bool judge_rcpts(struct writing *w, struct record_rcpt *list)
{
    bool cut = false;
    for (unsigned i = 0; i < w->t->rcpt_count; i++) {
        struct txn_fate fate = txn_judge_rcpt(&w->judge, &w->t->rcpt[i]);
        list[i] = (struct record_rcpt){ .address = w->t->rcpt[i].address, .status = fate.status };
        w->reached += fate.status == STATUS_ACCEPTED;
        if (fate.reply == NULL)
            continue;
        cut = cut || fate.reply->cut;
        list[i].code = fate.reply->code;
        list[i].enhanced = span_str(fate.reply->enhanced);
        list[i].reply = fate.reply->text;
    }
    w->rcpts = list;
    return cut;
}

/* M12: the transaction ended with that reply. Who was named behind it, pipelined or later, had no part in it. */
static bool is_mail_refused(const struct txn_end *end)
{
    return end->stage == STAGE_MAIL && (end->status == STATUS_DEFERRED || end->status == STATUS_REJECTED);
}

static void write_records(const struct txn *t, const struct txn_session *s, const struct txn_end *end,
                          void (*emit)(void *arg, const struct record *r), void *arg)
{
    _Alignas(max_align_t) char scratch[SCRATCH];
    struct writing w = { .t = t, .s = s, .end = end };
    struct span anomalies[TXN_ANOMALIES_MAX];
    const struct txn_reply *reply = NULL;
    struct record r;
    struct line line;
    struct arena mem;
    arena_init(&mem, scratch, sizeof(scratch));
    if (end->reply != NULL)
        reply = txn_reply_keep(&mem, end->reply, end->by, end->stage, SMTP_REPLY_MAX * 2);
    txn_print_tid(t, s->cid, w.tid);
    txn_judge_init(&w.judge, t, end, reply);
    w.message = txn_judge_message(&w.judge, t);
    bool cut = judge_rcpts(&w, arena_alloc(&mem, t->rcpt_count * sizeof(struct record_rcpt)));
    for (unsigned i = 0; i < t->anomaly_count; i++)
        anomalies[i] = span_str(t->anomaly[i]);
    for (unsigned i = 0; i < t->rcpt_count; i++) {
        make_rcpt(&r, &line, &w, &t->rcpt[i]);
        emit(arg, &r);
    }
    make_message(&r, &line, &w, anomalies, cut);
    emit(arg, &r);
    arena_free(&mem);
}

void txn_write(const struct txn *t, const struct txn_session *s, const struct txn_end *end,
               void (*emit)(void *arg, const struct record *r), void *arg)
{
    struct txn alone;
    if (is_mail_refused(end) && t->rcpt_count > 0) {
        alone = *t;
        alone.rcpt_count = alone.rcpt_accepted = 0;
        t = &alone;
    }
    write_records(t, s, end, emit, arg);
}
