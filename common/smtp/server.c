/* The engine's frame: lines out of bytes, reply slots, and what a reply means for the state. The verbs are in
 * server_cmd.c, the body in server_data.c, chunks in server_bdat.c.
 *
 * Invariants: slot_tail - slot_head slots are open or waiting for one before them; the head slot is never filled
 * between calls (a filled head leaves at once); only MAIL and RCPT ever stand behind another slot. */
#include "common/smtp/server.h"

#include <assert.h>
#include <stdlib.h>

#include "common/smtp/server_impl.h"

enum { SLOTS_FIRST = 4 };

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config, const struct smtp_server_ops *ops,
                      void *owner, struct buf_pool *pool)
{
    *s = (struct smtp_server){
        .ops = ops, .owner = owner, .config = *config, .pool = pool, .greeted = SMTP_VERB_UNKNOWN
    };
}

void smtp_server_free(struct smtp_server *s)
{
    for (; s->slot_head != s->slot_tail; s->slot_head++)
        free(smtp_server_slot(s, s->slot_head)->wire);
    free(s->slots);
    free(s->offer.auth);
    s->slots = NULL;
    s->offer.auth = NULL;
    s->slot_cap = 0;
    smtp_server_data_free(s);
}

static void slots_grow(struct smtp_server *s)
{
    unsigned cap = s->slot_cap ? s->slot_cap * 2 : SLOTS_FIRST;
    struct smtp_slot_entry *slots = calloc(cap, sizeof(*slots));
    if (slots == NULL)
        abort();
    for (smtp_slot i = s->slot_head; i != s->slot_tail; i++)
        slots[i & (cap - 1)] = *smtp_server_slot(s, i);
    free(s->slots);
    s->slots = slots;
    s->slot_cap = cap;
}

smtp_slot smtp_server_slot_open(struct smtp_server *s, enum smtp_verb verb, unsigned tag, usec_t now)
{
    if (smtp_server_slots_open(s) == s->slot_cap)
        slots_grow(s);
    *smtp_server_slot(s, s->slot_tail) = (struct smtp_slot_entry){ .verb = verb, .tag = tag, .since = now };
    return s->slot_tail++;
}

void smtp_server_abandon(struct smtp_server *s, enum smtp_abandon why, const struct smtp_reply *reply)
{
    s->bdat = SMTP_BDAT_NONE;
    if (s->txn == SMTP_TXN_NONE)
        return;
    s->txn = SMTP_TXN_NONE;
    s->ops->abandon(s->owner, why, reply);
    smtp_server_data_free(s);
}

static void conclude_data(struct smtp_server *s, bool end, int code)
{
    if (!end && code == 354) {
        smtp_server_data_begin(s);
        s->state = SMTP_SERVER_BODY;
        s->scanned = 0;
        return;
    }
    s->txn = SMTP_TXN_NONE;
    if (end)
        smtp_server_data_free(s);
    else
        s->masked = true;
}

/* What a reply means for the session: called once for each slot, when it is filled. */
static void conclude(struct smtp_server *s, const struct smtp_slot_entry *e, int code)
{
    bool ok = code / 100 == 2;
    if (e->verb == SMTP_VERB_HELO || e->verb == SMTP_VERB_EHLO || e->verb == SMTP_VERB_LHLO) {
        if (ok)
            s->greeted = e->verb;
    } else if (e->verb == SMTP_VERB_MAIL) {
        if (s->txn == SMTP_TXN_MAIL)
            s->txn = ok ? SMTP_TXN_OPEN : SMTP_TXN_NONE;
        s->mails += ok;
    } else if (e->verb == SMTP_VERB_RCPT && e->counted) {
        s->rcpt_pending--;
        s->rcpt_accepted += ok;
    } else if (e->verb == SMTP_VERB_XCLIENT && code == 220) {
        smtp_server_forget_hello(s);
    } else if (e->verb == SMTP_VERB_DATA && e->relayed) {
        conclude_data(s, e->end, code);
    } else if (e->verb == SMTP_VERB_AUTH) {
        smtp_server_auth_conclude(s, e, code);
    } else if (e->verb == SMTP_VERB_BDAT && e->relayed) {
        smtp_server_bdat_concluded(s, e->end, ok);
    }
}

static void emit(struct smtp_server *s, const struct smtp_slot_entry *e, const struct smtp_reply *reply)
{
    s->errors += reply->code >= 400;
    s->ops->sent(s->owner, e->verb, e->tag, reply, e->since);
}

static void drain(struct smtp_server *s)
{
    while (s->slot_head != s->slot_tail) {
        struct smtp_slot_entry e = *smtp_server_slot(s, s->slot_head);
        if (!e.filled)
            return;
        s->slot_head++;
        struct smtp_reply reply = smtp_reply_read(span_of(e.wire, e.len));
        emit(s, &e, &reply);
        free(e.wire);
    }
}

static void slot_keep(struct smtp_slot_entry *e, const struct smtp_reply *reply)
{
    e->wire = malloc(reply->wire.n);
    if (e->wire == NULL)
        abort();
    memcpy(e->wire, reply->wire.p, reply->wire.n);
    e->len = reply->wire.n;
    e->filled = true;
}

void smtp_server_reply(struct smtp_server *s, smtp_slot slot, const struct smtp_reply *reply)
{
    if (slot - s->slot_head >= smtp_server_slots_open(s))
        return; /* forgotten by smtp_server_close() */
    struct smtp_slot_entry *e = smtp_server_slot(s, slot);
    assert(!e->filled);
    if (UNLIKELY(smtp_server_auth_spent(s, e, reply->code))) {
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_AUTH_FAILURES), SMTP_CLOSE_LIMIT);
        return;
    }
    for (; e->end && s->end_left > 1; s->end_left--)
        emit(s, e, reply);
    conclude(s, e, reply->code);
    if (UNLIKELY(s->auth_open) && reply->code != 334)
        smtp_server_auth_over(s, reply);
    if (slot != s->slot_head) {
        slot_keep(e, reply);
        return;
    }
    struct smtp_slot_entry head = *e;
    s->slot_head++;
    emit(s, &head, reply);
    drain(s);
}

void smtp_server_reply_one(struct smtp_server *s, smtp_slot slot, const struct smtp_reply *reply)
{
    if (slot != s->slot_head || smtp_server_slots_open(s) == 0 || s->end_left <= 1) {
        smtp_server_reply(s, slot, reply);
        return;
    }
    s->end_left--;
    s->masked |= smtp_server_slot(s, slot)->verb == SMTP_VERB_BDAT && reply->code >= 400;
    emit(s, smtp_server_slot(s, slot), reply);
}

void smtp_server_own(struct smtp_server *s, smtp_slot slot, enum smtp_own id)
{
    smtp_server_reply(s, slot, smtp_server_words(s, id));
}

void smtp_server_offer(struct smtp_server *s, const struct smtp_caps *offer)
{
    s->offer.set = offer->set;
    s->offer.size = offer->size;
    s->offer.rcptmax = offer->rcptmax;
    s->offer.mailmax = offer->mailmax;
    free(s->offer.auth);
    s->offer.auth = offer->auth[0] != '\0' ? strdup(offer->auth) : NULL;
}

void smtp_server_secured(struct smtp_server *s)
{
    s->secured = true;
    s->greeted = SMTP_VERB_UNKNOWN;
    s->authenticated = s->bound = false;
    free(s->offer.auth);
    s->offer.auth = NULL;
    s->offer.set = 0;
    s->offer.size = s->offer.rcptmax = s->offer.mailmax = 0;
    s->scanned = 0;
    s->state = SMTP_SERVER_COMMANDS;
}

void smtp_server_authenticated(struct smtp_server *s, bool on) { s->authenticated = on; }

void smtp_server_bind(struct smtp_server *s) { s->bound = true; }

void smtp_server_lost(struct smtp_server *s) { s->lost = s->txn != SMTP_TXN_NONE; }

void smtp_server_close(struct smtp_server *s, const struct smtp_reply *reply, enum smtp_close reason)
{
    if (s->state == SMTP_SERVER_CLOSED)
        return;
    struct smtp_slot_entry e = { .verb = SMTP_VERB_UNKNOWN, .tag = s->txn == SMTP_TXN_NONE ? 0 : s->last_tag };
    if (smtp_server_slots_open(s) > 0)
        e = *smtp_server_slot(s, s->slot_head);
    for (; s->slot_head != s->slot_tail; s->slot_head++)
        free(smtp_server_slot(s, s->slot_head)->wire);
    s->state = SMTP_SERVER_CLOSED;
    s->close_reason = reason;
    smtp_server_auth_over(s, reply);
    emit(s, &e, reply);
}

void smtp_server_gone(struct smtp_server *s) { smtp_server_auth_over(s, NULL); }

void smtp_server_shutdown(struct smtp_server *s)
{
    s->shutdown = true;
    bool between = s->state == SMTP_SERVER_COMMANDS || s->state == SMTP_SERVER_AUTH;
    if (between && smtp_server_leaves(s) && smtp_server_slots_open(s) == 0 && s->txn == SMTP_TXN_NONE)
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_SHUTDOWN), SMTP_CLOSE_SHUTDOWN);
}

/* RCPT alone may run behind open slots, and those are MAIL and RCPT then. */
static bool may_run(struct smtp_server *s, enum smtp_verb verb)
{
    unsigned open = smtp_server_slots_open(s);
    if (open == 0)
        return true;
    enum smtp_verb last = smtp_server_slot(s, s->slot_tail - 1)->verb;
    return verb == SMTP_VERB_RCPT && s->txn != SMTP_TXN_NONE && open < SMTP_SLOTS_MAX &&
           (last == SMTP_VERB_MAIL || last == SMTP_VERB_RCPT);
}

static struct span strip_line_end(struct span line)
{
    line.n--;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool has_crlf(struct span line) { return line.n >= 2 && line.p[line.n - 2] == '\r'; }

static void run_line(struct smtp_server *s, const struct smtp_command *cmd, usec_t now)
{
    const char *name;
    struct span shown = smtp_server_mask(s, cmd, &name);
    unsigned tag = s->ops->command(s->owner, cmd->fault == SMTP_LINE_OK ? cmd->verb : SMTP_VERB_UNKNOWN, name, shown);
    s->last_tag = tag;
    s->commands++;
    if (UNLIKELY(cmd->verb == SMTP_VERB_AUTH))
        smtp_server_auth_began(s, cmd);
    smtp_server_run(s, cmd, smtp_server_slot_open(s, cmd->verb, tag, now));
}

/* What is looked at of a line that is too long, or may be: the same octets however the line is cut. */
static struct span head_of(const struct smtp_server *s, struct span in)
{
    return span_head(in, s->config.max_command_length);
}

/* The beginning of a line that is an AUTH line, or could become one. */
static bool may_be_auth(struct span head)
{
    while (head.n > 0 && (unsigned char)head.p[0] <= ' ')
        head = span_skip(head, 1);
    return head.n < 4 || smtp_line_is_auth(head);
}

size_t smtp_server_begin_skip(struct smtp_server *s, struct span in, unsigned tag, usec_t now, enum smtp_own id)
{
    s->state = SMTP_SERVER_SKIP_LINE;
    s->skip_slot = smtp_server_slot_open(s, SMTP_VERB_UNKNOWN, tag, now);
    s->skip_reply = id;
    s->scanned = 0;
    return in.n;
}

static size_t begin_skip(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    if (smtp_server_slots_open(s) > 0) {
        *want = SMTP_WANT_REPLY;
        return 0;
    }
    struct smtp_command cmd;
    smtp_command_parse(&cmd, head_of(s, in));
    struct span behind;
    s->auth_seen |= may_be_auth(cmd.line) || smtp_server_finds_auth(&cmd, &behind);
    s->secret = s->auth_seen;
    s->masked |= cmd.verb == SMTP_VERB_DATA || cmd.verb == SMTP_VERB_BDAT;
    (void)smtp_server_text_begins(s, &cmd);
    unsigned tag = s->ops->command(s->owner, SMTP_VERB_UNKNOWN, "?", SPAN_LIT("*"));
    s->last_tag = tag;
    s->commands++;
    *want = SMTP_WANT_STEP;
    if (cmd.verb == SMTP_VERB_BDAT) { /* B7: the chunk behind it has no known end */
        smtp_server_refuse_bdat(s);
        return in.n;
    }
    if (cmd.verb == SMTP_VERB_AUTH)
        smtp_server_auth_began(s, &cmd);
    bool auth = s->config.auth && smtp_line_is_auth(cmd.line);
    return smtp_server_begin_skip(s, in, tag, now, auth ? SMTP_OWN_AUTH_TOO_LONG : SMTP_OWN_LINE_TOO_LONG);
}

static size_t line_limit(const struct smtp_server *s, struct span in)
{
    size_t max = s->config.max_command_length;
    return smtp_line_is_auth(head_of(s, in)) ? max_size(SMTP_AUTH_LINE_MAX, max) : max;
}

/* TLS on a plain port (G6): the first bytes of a ClientHello. */
static bool begins_with_tls(const struct smtp_server *s, struct span in)
{
    return s->commands == 0 && !s->secured && in.n >= 2 && in.p[0] == 0x16 && in.p[1] == 0x03;
}

static size_t no_line_yet(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    if (in.n >= s->config.max_command_length && in.n >= line_limit(s, in))
        return begin_skip(s, in, now, want);
    s->scanned = in.n;
    *want = SMTP_WANT_INPUT;
    return 0;
}

static size_t step_command(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    *want = SMTP_WANT_STEP;
    if (smtp_server_leaves(s) && smtp_server_slots_open(s) == 0 && s->txn == SMTP_TXN_NONE) {
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_SHUTDOWN), SMTP_CLOSE_SHUTDOWN);
        return 0;
    }
    if (begins_with_tls(s, in)) {
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_NOT_SMTP), SMTP_CLOSE_PROTOCOL);
        return 0;
    }
    const char *lf = in.n > s->scanned ? memchr(in.p + s->scanned, '\n', in.n - s->scanned) : NULL;
    if (lf == NULL)
        return no_line_yet(s, in, now, want);
    struct span line = span_of(in.p, (size_t)(lf - in.p) + 1);
    if (line.n > s->config.max_command_length && line.n > line_limit(s, line)) {
        line.n--;
        return begin_skip(s, line, now, want);
    }
    struct smtp_command cmd;
    smtp_command_parse(&cmd, strip_line_end(line));
    if (!may_run(s, cmd.verb)) {
        *want = SMTP_WANT_REPLY;
        return 0;
    }
    s->scanned = 0;
    s->bare_lf = !has_crlf(line);
    run_line(s, &cmd, now);
    return line.n;
}

static size_t step_skip_line(struct smtp_server *s, struct span in, enum smtp_server_want *want)
{
    const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    enum smtp_verb verb = s->skip_reply == SMTP_OWN_AUTH_TOO_LONG ? SMTP_VERB_AUTH : SMTP_VERB_UNKNOWN;
    s->secret = s->auth_seen;
    if (lf == NULL) {
        *want = SMTP_WANT_INPUT;
        return in.n;
    }
    s->state = SMTP_SERVER_COMMANDS;
    *want = SMTP_WANT_STEP;
    if (smtp_server_too_many_unauthenticated(s, verb))
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_UNAUTHENTICATED), SMTP_CLOSE_LIMIT);
    else if (s->long_lines++ == 0)
        smtp_server_own(s, s->skip_slot, s->skip_reply);
    else
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_LINE_TOO_LONG_CLOSE), SMTP_CLOSE_LIMIT);
    return (size_t)(lf - in.p) + 1;
}

size_t smtp_server_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    s->secret = false;
    switch (s->state) {
    case SMTP_SERVER_COMMANDS:
        return step_command(s, in, now, want);
    case SMTP_SERVER_AUTH:
        return smtp_server_auth_step(s, in, now, want);
    case SMTP_SERVER_BODY:
        return smtp_server_data_step(s, in, now, want);
    case SMTP_SERVER_SKIP_LINE:
        return step_skip_line(s, in, want);
    case SMTP_SERVER_SKIP_CHUNK:
        return smtp_server_skip_chunk(s, in, want);
    case SMTP_SERVER_CHUNK:
        return smtp_server_bdat_step(s, in, want);
    case SMTP_SERVER_CLOSED:
        break;
    }
    *want = SMTP_WANT_CLOSE;
    return 0;
}
