/* The server engine between a scripted backend and a client whose bytes come in segments. What the backend is asked,
 * what the log gets and what the client gets is written down as text. */
#ifndef TESTS_UNIT_SERVER_RIG_H
#define TESTS_UNIT_SERVER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/server.h"

/* When slots are filled: within the call; or when the engine can't go on, or no more input comes: in order, or the last
 * first. */
enum rig_mode { RIG_AT_ONCE, RIG_IN_ORDER, RIG_BACKWARDS };
enum { RIG_MODES = 3, RIG_PENDING = 256 };

struct rig_case {
    const char *name;
    struct span in;      /* TLS, if STARTTLS was granted, begins behind '\f'; what stands before it was sent in clear */
    const char *wire;    /* replies: "250, 503 5.5.1": codes, with the enhanced codes of those that have one */
    const char *calls;   /* with answers at once; NULL: not looked at. A '*' at its end stands for the rest */
    const char *log;     /* "VERB line|..."; NULL: not looked at */
    const char *answers; /* "MAIL=550,250 DATA=451": codes in order, the last one again and again; else 2xx or 354 */
    struct smtp_server_config config;
    smtp_cap_set offer;
    const char *auth; /* mechanisms offered */
    uint64_t size;
    uint32_t rcptmax, mailmax;
    enum smtp_close closed;
    const char *overs; /* the ends of AUTH commands: "PLAIN 235, ? 501, LOGIN gone"; NULL: not looked at */
    bool permitted;    /* XCLIENT and XFORWARD */
    bool at_once_only; /* the answers' time matters */
};

struct rig_answer {
    smtp_slot slot;
    int code;
    bool one; /* of several recipients */
    unsigned serial;
};

struct rig {
    struct smtp_server s;
    struct buf_pool pool;
    const struct rig_case *c;
    enum rig_mode mode;
    struct buf wire, calls, log, body, overs;
    unsigned auths, over; /* AUTH commands, and how many came to their end */
    int over_code;        /* of the reply that is to leave next */
    struct rig_answer pending[RIG_PENDING];
    unsigned pending_count, serial, tags, last_tag, asked[SMTP_VERB_COUNT + 2];
    bool mail_refused;
    bool shaking; /* the 220 to STARTTLS has left */
    unsigned replies, commands;
};

static const struct smtp_header_want rig_headers = { { "message-id", "subject" }, 2 };

static void rig_note(struct buf *to, const char *sep, const char *word, struct span text)
{
    if (!buf_empty(to))
        buf_append(to, sep, strlen(sep));
    buf_append(to, word, strlen(word));
    if (text.n > 0)
        buf_append(to, " ", 1);
    buf_append_span(to, text);
}

static void rig_flush_body(struct rig *r)
{
    if (!buf_empty(&r->body))
        rig_note(&r->calls, "|", "BODY", buf_span(&r->body));
    buf_free(&r->body);
}

static void rig_call(struct rig *r, const char *word, struct span text)
{
    rig_flush_body(r);
    rig_note(&r->calls, "|", word, text);
}

/* The next scripted answer to this word. */
static int rig_script(struct rig *r, const char *word, unsigned nth, int otherwise)
{
    const char *at = r->c->answers != NULL ? strstr(r->c->answers, word) : NULL;
    if (at == NULL)
        return otherwise;
    at += strlen(word) + 1;
    while (nth-- > 0 && at[3] == ',')
        at += 4;
    return (int)strtol(at, NULL, 10);
}

static void rig_fill(struct rig *r, const struct rig_answer *a)
{
    char wire[64];
    if (a->code == 503) {
        smtp_server_own(&r->s, a->slot, SMTP_OWN_NEED_MAIL);
        return;
    }
    int n = snprintf(wire, sizeof(wire), "%d-answer\r\n%d #%u\r\n", a->code, a->code, a->serial);
    struct smtp_reply reply = smtp_reply_read(span_of(wire, (size_t)n));
    if (a->one)
        smtp_server_reply_one(&r->s, a->slot, &reply);
    else
        smtp_server_reply(&r->s, a->slot, &reply);
}

static void rig_answer(struct rig *r, smtp_slot slot, const char *word, unsigned *nth, int otherwise)
{
    struct rig_answer a = { .slot = slot, .serial = ++r->serial };
    a.code = otherwise == 503 ? 503 : rig_script(r, word, (*nth)++, otherwise);
    a.one = r->c->config.lmtp && strcmp(word, "END") == 0;
    if (r->mode == RIG_AT_ONCE) {
        rig_fill(r, &a);
        return;
    }
    assert_true(r->pending_count < RIG_PENDING);
    r->pending[r->pending_count++] = a;
}

static void rig_fill_all(struct rig *r)
{
    struct rig_answer now[RIG_PENDING];
    unsigned n = r->pending_count;
    memcpy(now, r->pending, n * sizeof(now[0]));
    r->pending_count = 0;
    for (unsigned i = 0; i < n; i++)
        rig_fill(r, &now[r->mode == RIG_BACKWARDS ? n - 1 - i : i]);
}

static void rig_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain)
{
    struct rig *r = owner;
    struct smtp_caps offer = {
        .set = r->c->offer, .size = r->c->size, .rcptmax = r->c->rcptmax, .mailmax = r->c->mailmax
    };
    if (r->c->auth != NULL)
        strcpy(offer.auth, r->c->auth);
    rig_call(r, smtp_verb_name(verb), domain);
    smtp_server_offer(&r->s, &offer);
    rig_answer(r, slot, "HELO", &r->asked[SMTP_VERB_HELO], 250);
}

static void rig_envelope(struct rig *r, const char *word, const struct smtp_envelope_command *cmd)
{
    char head[32];
    snprintf(head, sizeof(head), cmd->refusal != NULL ? "%s!%d" : "%s", word,
             cmd->refusal != NULL ? cmd->refusal->code : 0);
    rig_call(r, head, cmd->path != NULL ? cmd->path->address : cmd->arg);
    if (cmd->refusal == NULL && cmd->params_text.n > 0)
        rig_note(&r->calls, " ", "+", cmd->params_text);
    assert_true(cmd->refusal != NULL || cmd->path != NULL);
}

static void rig_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct rig *r = owner;
    rig_envelope(r, "MAIL", cmd);
    if (cmd->refusal != NULL)
        return;
    assert_non_null(cmd->mail);
    r->mail_refused = rig_script(r, "MAIL", r->asked[SMTP_VERB_MAIL], 250) != 250;
    rig_answer(r, slot, "MAIL", &r->asked[SMTP_VERB_MAIL], 250);
}

static void rig_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct rig *r = owner;
    rig_envelope(r, "RCPT", cmd);
    if (cmd->refusal != NULL)
        return;
    assert_non_null(cmd->rcpt);
    rig_answer(r, slot, "RCPT", &r->asked[SMTP_VERB_RCPT], r->mail_refused ? 503 : 250);
}

static void rig_data(void *owner, smtp_slot slot)
{
    struct rig *r = owner;
    rig_call(r, "DATA", SPAN_NONE);
    rig_answer(r, slot, "DATA", &r->asked[SMTP_VERB_DATA], 354);
}

static void rig_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct rig *r = owner;
    char text[32];
    snprintf(text, sizeof(text), "%llu%s", (unsigned long long)octets, last ? " LAST" : "");
    assert_true(slot == r->s.slot_head && r->s.slot_tail - slot == 1);
    rig_call(r, "BDAT", span_str(text));
}

static void rig_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct rig *r = owner;
    rig_call(r, data->poison != NULL ? "CHUNK!" : "CHUNK", SPAN_NONE);
    if (data->poison != NULL)
        smtp_server_reply(&r->s, slot, data->poison);
    else
        rig_answer(r, slot, "BDAT", &r->asked[SMTP_VERB_BDAT], 250);
}

static void rig_anomaly(void *owner, const char *word) { rig_call(owner, "ODD", span_str(word)); }

static void rig_body(void *owner, const struct smtp_body_out *pieces)
{
    struct rig *r = owner;
    for (unsigned i = 0; i < pieces->count; i++)
        buf_append_span(&r->body, pieces->piece[i]);
}

static void rig_poisoned(void *owner, const struct smtp_reply *reply)
{
    struct rig *r = owner;
    (void)reply;
    buf_free(&r->body); /* how much came before depends on the segments */
    rig_call(r, "POISON", SPAN_NONE);
}

static void rig_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct rig *r = owner;
    char text[96];
    struct span id = SPAN_NONE;
    bool found = smtp_header_value(&data->header, 0, &id), poison = data->poison != NULL;
    snprintf(text, sizeof(text), "%u%s%.*s", (unsigned)data->body.size, found ? " " : "", SPAN_ARG(id));
    rig_call(r, poison ? "END!" : "END", span_str(text));
    if (poison) {
        smtp_server_reply(&r->s, slot, data->poison);
        return;
    }
    unsigned answers = r->c->config.lmtp ? r->s.rcpt_accepted : 1; /* data is gone with the last one */
    while (answers-- > 0)
        rig_answer(r, slot, "END", &r->asked[SMTP_VERB_COUNT + 1], 250);
}

static void rig_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    static const char *const words[] = { "-RSET", "-HELO", "-QUIT", "-DATA" };
    assert_true((reply != NULL) == (why == SMTP_ABANDON_DATA));
    rig_call(owner, words[why], reply != NULL ? span_head(reply->wire, 3) : SPAN_NONE);
}

static void rig_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd)
{
    struct rig *r = owner;
    rig_call(r, "PASS", cmd->line);
    rig_answer(r, slot, "PASS", &r->asked[SMTP_VERB_COUNT], 250);
}

static unsigned rig_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line)
{
    struct rig *r = owner;
    assert_true(verb == SMTP_VERB_UNKNOWN || strcmp(verb_name, smtp_verb_name(verb)) == 0 ||
                strcmp(verb_name, "?") == 0);
    rig_note(&r->log, "|", verb_name, line);
    assert_true(r->auths <= r->over || strcmp(verb_name, "?") == 0);
    r->auths += strcmp(verb_name, "AUTH") == 0;
    r->commands++;
    return ++r->tags;
}

/* Replies leave in the order of the commands, one each; DATA may have two, and LMTP has more at the end. */
static void rig_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since)
{
    struct rig *r = owner;
    char code[8];
    (void)since;
    bool again = verb == SMTP_VERB_DATA || (verb == SMTP_VERB_BDAT && r->c->config.lmtp);
    assert_true(tag == r->last_tag + 1 || (tag == r->last_tag && again) || reply->code == 421);
    assert_true(r->over_code == 0 || r->over_code == reply->code);
    r->over_code = 0;
    r->last_tag = tag;
    r->shaking |= verb == SMTP_VERB_STARTTLS && reply->code == 220;
    snprintf(code, sizeof(code), "%d", reply->code);
    rig_note(&r->wire, ", ", code, span_str(reply->enhanced));
    r->replies++;
}

static void rig_starttls(void *owner, smtp_slot slot)
{
    struct rig *r = owner;
    rig_call(r, "STARTTLS", SPAN_NONE);
    rig_answer(r, slot, "STARTTLS", &r->asked[SMTP_VERB_STARTTLS], 220);
}

static void rig_auth(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd)
{
    struct rig *r = owner;
    rig_call(r, "AUTH", cmd->mechanism);
    if (cmd->initial != NULL)
        rig_note(&r->calls, " ", "+", *cmd->initial);
    rig_answer(r, slot, "AUTH", &r->asked[SMTP_VERB_AUTH], 235);
}

static void rig_auth_response(void *owner, smtp_slot slot, struct span text)
{
    struct rig *r = owner;
    rig_call(r, "RESPONSE", text);
    if (span_eq(text, SPAN_LIT("ZmFpbA=="))) /* "fail" */
        smtp_server_auth_failed(&r->s);
    rig_answer(r, slot, "AUTH", &r->asked[SMTP_VERB_AUTH], 235);
}

static void rig_auth_cancel(void *owner, const smtp_slot *slot)
{
    static unsigned none;
    rig_call(owner, slot != NULL ? "CANCEL" : "CANCEL!", SPAN_NONE);
    if (slot != NULL)
        rig_answer(owner, *slot, "CANCEL", &none, 501);
}

static void rig_auth_over(void *owner, const char *method, const struct smtp_reply *reply)
{
    struct rig *r = owner;
    char text[8];
    snprintf(text, sizeof(text), "%d", reply != NULL ? reply->code : 0);
    rig_note(&r->overs, ", ", method != NULL ? method : "?", span_str(reply != NULL ? text : "gone"));
    r->over_code = reply != NULL ? reply->code : 0;
    r->over++;
}

static void rig_attributes(struct rig *r, const char *word, const struct smtp_xattrs *attrs)
{
    char text[2000];
    size_t n = 0;
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        struct span value = smtp_xattr_shown(attrs, (enum smtp_xattr)i);
        if (attrs->value[i].state != SMTP_XATTR_ABSENT)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%.*s", n > 0 ? " " : "",
                                  smtp_xattr_name((enum smtp_xattr)i), SPAN_ARG(value));
    }
    rig_call(r, word, span_of(text, n));
}

static void rig_xclient(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs)
{
    struct rig *r = owner;
    rig_attributes(r, "XCLIENT", attrs);
    rig_answer(r, slot, "XCLIENT", &r->asked[SMTP_VERB_XCLIENT], 220);
}

static void rig_xforward(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs)
{
    struct rig *r = owner;
    rig_attributes(r, "XFORWARD", attrs);
    rig_answer(r, slot, "XFORWARD", &r->asked[SMTP_VERB_XFORWARD], 250);
}

static const struct smtp_server_ops rig_ops = {
    .xclient = rig_xclient,
    .xforward = rig_xforward,
    .auth = rig_auth,
    .auth_response = rig_auth_response,
    .auth_cancel = rig_auth_cancel,
    .auth_over = rig_auth_over,
    .helo = rig_helo,
    .mail = rig_mail,
    .rcpt = rig_rcpt,
    .data = rig_data,
    .chunk = rig_chunk,
    .chunk_end = rig_chunk_end,
    .anomaly = rig_anomaly,
    .body = rig_body,
    .poisoned = rig_poisoned,
    .end = rig_end,
    .pass = rig_pass,
    .starttls = rig_starttls,
    .sent = rig_sent,
    .abandon = rig_abandon,
    .command = rig_command,
};

static void rig_init(struct rig *r, const struct rig_case *c, enum rig_mode mode)
{
    struct smtp_server_config config = c->config;
    *r = (struct rig){ .c = c, .mode = mode };
    config.headers = &rig_headers;
    if (config.max_command_length == 0)
        config.max_command_length = 2048;
    buf_init(&r->wire, NULL);
    buf_init(&r->calls, NULL);
    buf_init(&r->log, NULL);
    buf_init(&r->body, NULL);
    buf_init(&r->overs, NULL);
    smtp_server_init(&r->s, &config, &rig_ops, r, &r->pool);
    r->s.may_xclient = r->s.may_xforward = c->permitted;
}

static void rig_free(struct rig *r)
{
    smtp_server_free(&r->s);
    buf_free(&r->wire);
    buf_free(&r->calls);
    buf_free(&r->log);
    buf_free(&r->body);
    buf_free(&r->overs);
    buf_pool_free(&r->pool);
}

/* T7: as the owner does, what came in clear is thrown away. False: all of it so far. */
static bool rig_shake(struct rig *r, struct buf *in)
{
    struct span clear = buf_span(in);
    const char *end = clear.n > 0 ? memchr(clear.p, '\f', clear.n) : NULL;
    if (clear.n > 0)
        buf_consume(in, end != NULL ? (size_t)(end - clear.p) + 1 : clear.n);
    if (end == NULL)
        return false;
    r->shaking = false;
    smtp_server_secured(&r->s);
    return true;
}

/* Works off what is there, as the owner of a socket does; last: nothing more will come. False: the session is over. */
static bool rig_work(struct rig *r, struct buf *in, bool last)
{
    for (;;) {
        enum smtp_server_want want = SMTP_WANT_STEP;
        if (r->shaking && !rig_shake(r, in))
            return true;
        size_t used = smtp_server_step(&r->s, buf_span(in), 0, &want);
        assert_true(used <= buf_len(in));
        if (used > 0)
            buf_consume(in, used);
        switch (want) {
        case SMTP_WANT_STEP:
            break;
        case SMTP_WANT_INPUT:
            if (!last || r->pending_count == 0)
                return true;
            rig_fill_all(r);
            break;
        case SMTP_WANT_REPLY:
            assert_true(r->pending_count > 0);
            rig_fill_all(r);
            break;
        case SMTP_WANT_CLOSE:
            return false;
        }
    }
}

/* Segments of `first`, then of `step` octets. */
static void rig_run(struct rig *r, struct span in, size_t first, size_t step)
{
    struct buf left;
    buf_init(&left, &r->pool);
    bool open = true;
    for (size_t n = first; open && in.n > 0; in = span_skip(in, n), n = step) {
        buf_append_span(&left, span_head(in, n));
        open = rig_work(r, &left, n >= in.n);
    }
    rig_flush_body(r);
    assert_true(r->pending_count == 0);
    bool skipping =
        r->s.state == SMTP_SERVER_SKIP_LINE || r->s.state == SMTP_SERVER_SKIP_CHUNK || r->s.state == SMTP_SERVER_CHUNK;
    assert_true(!open || r->replies + skipping >= r->commands);
    smtp_server_gone(&r->s);
    assert_true(r->over >= r->auths);
    buf_free(&left);
}

static bool rig_matches(const struct buf *got, const char *want)
{
    struct span text = buf_span(got), w = span_str(want);
    if (want == NULL)
        return true;
    if (w.n > 0 && w.p[w.n - 1] == '*' && (w.n == 1 || w.p[w.n - 2] != ' '))
        return text.n >= w.n - 1 && memcmp(text.p, w.p, w.n - 1) == 0;
    return span_eq(text, w);
}

static void rig_check_text(const struct rig *r, const char *what, const struct buf *got, const char *want, size_t cut)
{
    if (rig_matches(got, want))
        return;
    print_error("%s (mode %d, cut %zu), %s:\n got %.*s\nwant %s\n", r->c->name, (int)r->mode, cut, what,
                SPAN_ARG(buf_span(got)), want);
    fail();
}

static void rig_check_same(const struct rig *a, const struct rig *b, size_t cut)
{
    if (span_eq(buf_span(&a->calls), buf_span(&b->calls)) && span_eq(buf_span(&a->log), buf_span(&b->log)))
        return;
    print_error("%s (mode %d, cut %zu):\n%.*s\n%.*s\ninstead of\n%.*s\n%.*s\n", a->c->name, (int)a->mode, cut,
                SPAN_ARG(buf_span(&a->calls)), SPAN_ARG(buf_span(&a->log)), SPAN_ARG(buf_span(&b->calls)),
                SPAN_ARG(buf_span(&b->log)));
    fail();
}

static void rig_check_run(struct rig *r, const struct rig *whole, size_t first, size_t step)
{
    const struct rig_case *c = r->c;
    rig_run(r, c->in, first, step);
    rig_check_text(r, "wire", &r->wire, c->wire, first);
    rig_check_text(r, "calls", &r->calls, r->mode == RIG_AT_ONCE ? c->calls : NULL, first);
    rig_check_text(r, "log", &r->log, c->log, first);
    rig_check_text(r, "overs", &r->overs, c->overs, first);
    if (whole != NULL)
        rig_check_same(r, whole, first);
    assert_int_equal(r->s.close_reason, c->closed);
}

/* Whole, byte by byte, and cut at every point, in each mode. */
static void rig_check(const struct rig_case *c)
{
    for (int mode = 0; mode < (c->at_once_only ? 1 : RIG_MODES); mode++) {
        struct rig whole, r;
        rig_init(&whole, c, (enum rig_mode)mode);
        rig_check_run(&whole, NULL, c->in.n, 1);
        size_t stride = c->in.n > 4000 ? c->in.n / 500 : 1;
        for (size_t cut = 1; cut < c->in.n; cut += stride) {
            rig_init(&r, c, (enum rig_mode)mode);
            rig_check_run(&r, &whole, cut, cut == 1 ? 1 : c->in.n);
            rig_free(&r);
        }
        rig_free(&whole);
    }
}

static void rig_check_all(const struct rig_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rig_check(&cases[i]);
}

#endif
