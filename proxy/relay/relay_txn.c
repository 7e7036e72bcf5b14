/* The transaction: what the client's commands mean for the upstream, and how each end of it is recorded, exactly once.
 */
#include <stdlib.h>

#include "common/smtp/received.h"
#include "proxy/relay/relay_impl.h"
#include "proxy/relay/tell.h"

/* What a transaction has yet to say in the log, about: its message record, and for each recipient a rcpt record. */
enum { ROOM_TXN = 1200, ROOM_RCPT = 600 };

static struct smtp_tag tag_of(const struct session *s, smtp_slot slot)
{
    return (struct smtp_tag){ .slot = slot, .txn = s->txn_number };
}

enum txn_stage relay_stage(const struct session *s)
{
    switch (s->state) {
    case RELAY_NONE:
    case RELAY_MAIL:
        return STAGE_MAIL;
    case RELAY_OPEN:
    case RELAY_LOST:
        if (s->chunks)
            return STAGE_TRANSFER;
        return s->txn != NULL && txn_rcpt_count(s->txn) > 0 ? STAGE_RCPT : STAGE_MAIL;
    case RELAY_DATA:
        return STAGE_DATA;
    case RELAY_BODY:
    case RELAY_CHUNK:
        return STAGE_TRANSFER;
    case RELAY_END:
        return STAGE_END;
    }
    return STAGE_MAIL;
}

static void emit(void *arg, const struct record *r)
{
    const struct session *s = arg;
    trace_emit(&s->trace, r, s->reserved > 0);
}

static void describe_session(const struct session *s, struct txn_session *out)
{
    *out = (struct txn_session){
        .component = s->trace.component,
        .cid = span_str(s->trace.cid),
        .user = span_str(s->user),
        .host = span_str(s->trace.host),
        .hostname = span_str(s->hostname),
        .helo = span_str(s->helo),
        .listener = span_str(s->set->name),
        .protocol = s->protocol,
        .tls_version = s->client.tls_version,
        .tls_cipher = s->client.tls_cipher,
        .mailboxes = s->trace.mailboxes,
    };
}

/* What depends on one transaction alone. */
static void forget(struct session *s)
{
    txn_free(&s->txn);
    s->state = RELAY_NONE;
    s->retried = s->unasked = s->told_lost = s->received_done = s->chunks = s->took = false;
    s->put_off = s->leaving = false;
    s->passed = 0;
    s->next_final = 0;
    s->needs = 0;
    free(s->early);
    s->early = NULL;
    free(s->first_rcpt);
    s->first_rcpt = NULL;
    relay_forget_forwarded(s);
    relay_reserve(s, -s->reserved);
}

void relay_finish(struct session *s, enum txn_status status, enum txn_stage stage, enum txn_by by,
                  const struct smtp_reply *reply)
{
    if (s->txn == NULL)
        return;
    struct txn_session session;
    describe_session(s, &session);
    char hidden[SMTP_HIDDEN_LEN];
    struct smtp_reply shown;
    struct txn_end end = { .status = status, .stage = stage, .by = by };
    if (reply != NULL) {
        shown = trace_shown(&s->trace, reply, hidden);
        end.reply = &shown;
    }
    end.client_replied = !s->client_gone && client_is_there(&s->client);
    end.mono = s->w->loop.mono;
    end.realtime = s->w->loop.real;
    if (status != STATUS_ACCEPTED)
        trace_went_wrong(&s->trace);
    if (!s->trace.quiet)
        txn_write(s->txn, &session, &end, emit, s);
    bool accepted = status == STATUS_ACCEPTED || s->took;
    s->client.totals.messages += accepted;
    if (accepted)
        s->wasted = 0;
    forget(s);
}

static smtp_cap_set mail_needs(const struct smtp_mail_params *p)
{
    smtp_cap_set needs = 0;
    if (p->body == SMTP_BODY_8BITMIME)
        needs |= SMTP_CAP_BIT(8BITMIME);
    if (p->body == SMTP_BODY_BINARYMIME)
        needs |= SMTP_CAP_BIT(CHUNKING) | SMTP_CAP_BIT(BINARYMIME);
    if (p->smtputf8)
        needs |= SMTP_CAP_BIT(SMTPUTF8);
    if (p->requiretls)
        needs |= SMTP_CAP_BIT(REQUIRETLS);
    if (p->ret != SMTP_RET_NONE || p->envid.n > 0)
        needs |= SMTP_CAP_BIT(DSN);
    return needs;
}

/* We have logged in, and the client has not: what it says of the sender's login is not ours to vouch for (M8). */
static bool speaks_for_nobody(const struct session *s)
{
    return s->set->upstream.username != NULL && !s->logged_in && (s->offer->upstream.set & SMTP_CAP_BIT(AUTH)) != 0;
}

static void vouch(const struct session *s, struct buf *line)
{
    if (s->up != NULL && speaks_for_nobody(s))
        buf_append_span(line, SPAN_LIT(" AUTH=<>"));
}

/* Parameters that this upstream would not take and can do without (protocol.md M, M8). */
static const char *params_to_drop(const struct session *s)
{
    bool size = s->offer->upstream.set & SMTP_CAP_BIT(SIZE), auth = s->offer->upstream.set & SMTP_CAP_BIT(AUTH);
    auth = auth && !speaks_for_nobody(s);
    if (size)
        return auth ? "" : "AUTH";
    return auth ? "SIZE" : "SIZE AUTH";
}

/* MAIL waited for its upstream: it was written when nobody knew which, or for another. */
struct smtp_step *relay_fit_mail(const struct session *s, struct smtp_step *step)
{
    struct buf line;
    struct span text = span_of(step->text, step->len);
    buf_init(&line, &s->w->loop.pool);
    buf_append_span(&line, span_head(text, s->mail_params_at));
    smtp_params_copy(&line, span_skip(text, s->mail_params_at), params_to_drop(s));
    vouch(s, &line);
    struct smtp_step *fit = smtp_step_new(step->kind, step->tag, buf_span(&line));
    buf_free(&line);
    smtp_step_free(step);
    return fit;
}

static void envelope_line(struct buf *out, const char *verb, const struct smtp_envelope_command *cmd, const char *drop)
{
    buf_append(out, verb, strlen(verb));
    buf_append_span(out, cmd->path->address);
    buf_append(out, ">", 1);
    smtp_params_copy(out, cmd->params_text, drop);
}

void relay_note_upstream(struct session *s)
{
    char host[NETADDR_STRLEN];
    const struct upstream *u = s->up;
    struct txn_upstream up = { .server = span_str(u->server),
                               .host = span_str(netaddr_print_ip(&u->peer.remote, host)),
                               .port = u->peer.remote.port,
                               .tls_version = u->tls_version,
                               .tls_cipher = u->tls_cipher,
                               .identity = tell_word(u->identity),
                               .reused = u->txns > 0,
                               .attempts = s->attempts };
    txn_set_upstream(s->txn, &up);
}

static void refuse_mail(struct session *s, smtp_slot slot, enum smtp_own id)
{
    const struct smtp_reply *reply = smtp_reply_own(id);
    smtp_server_reply(&s->client.smtp, slot, reply);
    relay_finish(s, relay_status(reply), STAGE_MAIL, BY_SMTPTAP, reply);
}

void relay_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    s->txn = txn_new(++s->txn_number, s->w->loop.mono);
    s->state = RELAY_MAIL;
    txn_mail(s->txn, cmd->path, cmd->arg, cmd->mail);
    trace_begins(&s->trace);
    trace_mailbox(&s->trace, cmd->path);
    if (cmd->refusal != NULL) {
        relay_finish(s, relay_status(cmd->refusal), STAGE_MAIL, BY_SMTPTAP, cmd->refusal);
        return;
    }
    relay_reserve(s, ROOM_TXN);
    if (s->up != NULL && relay_refuses_untold(s)) {
        refuse_mail(s, slot, SMTP_OWN_IDENTITY_UNTOLD);
        return;
    }
    if (s->bound && s->up == NULL) {
        relay_login_gone(s);
        return;
    }
    s->needs = mail_needs(cmd->mail);
    s->txn_smtputf8 = cmd->mail->smtputf8;
    s->txn_8bit = cmd->mail->body == SMTP_BODY_8BITMIME || cmd->mail->body == SMTP_BODY_BINARYMIME;
    bool lacks = relay_lacks(s, s->needs);
    if (lacks)
        relay_note_lack(s, s->server, 0);
    if (lacks && !relay_leave_server(s)) {
        refuse_mail(s, slot, relay_lack_reply(s));
        return;
    }
    struct buf line;
    buf_init(&line, &s->w->loop.pool);
    s->mail_params_at = sizeof("MAIL FROM:<>") - 1 + cmd->path->address.n;
    envelope_line(&line, "MAIL FROM:<", cmd, s->up != NULL ? params_to_drop(s) : "");
    vouch(s, &line);
    s->up_txn = s->up != NULL;
    if (s->up != NULL) {
        relay_note_upstream(s);
        relay_forward(s);
    }
    relay_step(s, SMTP_STEP_MAIL, tag_of(s, slot), buf_span(&line));
    buf_free(&line);
    if (s->up == NULL && s->dial == NULL)
        session_dial(s, DIAL_MAIL, s->set->upstream.servers);
}

static void keep_first_rcpt(struct session *s, const struct smtp_path *path)
{
    if (s->first_rcpt == NULL)
        s->first_rcpt = strndup(path->address.p, path->address.n);
}

static void refuse_rcpt(struct session *s, smtp_slot slot, unsigned index, enum smtp_own id)
{
    txn_rcpt_reply(s->txn, index, smtp_reply_own(id), BY_SMTPTAP);
    smtp_server_own(&s->client.smtp, slot, id);
}

void relay_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    if (s->txn == NULL)
        return;
    unsigned index = txn_rcpt_add(s->txn, cmd->path, cmd->arg);
    trace_mailbox(&s->trace, cmd->path);
    relay_reserve(s, ROOM_RCPT);
    if (cmd->refusal != NULL) {
        s->told_lost |= s->state == RELAY_LOST;
        txn_rcpt_reply(s->txn, index, cmd->refusal, BY_SMTPTAP);
        return;
    }
    smtp_cap_set needs = cmd->rcpt->notify != 0 || cmd->rcpt->orcpt.n > 0 ? SMTP_CAP_BIT(DSN) : 0;
    if (relay_lacks(s, needs)) {
        refuse_rcpt(s, slot, index, SMTP_OWN_LACKS_EXTENSION);
        return;
    }
    s->needs |= needs;
    keep_first_rcpt(s, cmd->path);
    struct buf line;
    buf_init(&line, &s->w->loop.pool);
    envelope_line(&line, "RCPT TO:<", cmd, "");
    struct smtp_tag tag = tag_of(s, slot);
    tag.rcpt = index;
    relay_step(s, SMTP_STEP_RCPT, tag, buf_span(&line));
    buf_free(&line);
}

void relay_data(void *owner, smtp_slot slot)
{
    struct session *s = owner;
    if (s->txn == NULL || s->up == NULL) {
        smtp_server_own(&s->client.smtp, slot, SMTP_OWN_UPSTREAM_LOST);
        relay_finish(s, STATUS_DEFERRED, STAGE_DATA, BY_SMTPTAP, smtp_reply_own(SMTP_OWN_UPSTREAM_LOST));
        return;
    }
    s->state = RELAY_DATA;
    relay_step(s, SMTP_STEP_DATA, tag_of(s, slot), SPAN_LIT("DATA"));
}

static void print_received(struct session *s, struct buf *out)
{
    char tid[48];
    txn_print_tid(s->txn, span_str(s->trace.cid), tid);
    struct smtp_received r = {
        .helo = span_str(s->helo),
        .name = span_str(s->hostname),
        .client = s->peer,
        .tls_version = s->client.tls_version,
        .tls_cipher = s->client.tls_cipher,
        .hostname = s->set->server.hostname,
        .protocol = s->protocol,
        .id = tid,
        .rcpt = txn_rcpt_count(s->txn) == 1 ? span_str(s->first_rcpt) : SPAN_NONE,
        .smtputf8 = s->txn_smtputf8,
        .when = s->w->loop.real / USEC_PER_SEC,
    };
    smtp_received_print(out, &r);
}

void relay_print_received(struct session *s, struct buf *out)
{
    if (!s->received_done && relay_adds_received(s, s->up))
        print_received(s, out);
    s->received_done = true;
}

/* Before the first byte of the message. */
static void write_received(struct session *s)
{
    struct buf field;
    if (s->received_done)
        return;
    buf_init(&field, &s->w->loop.pool);
    relay_print_received(s, &field);
    struct span piece = buf_span(&field);
    if (piece.n > 0)
        upstream_body(s->up, &piece, 1);
    buf_free(&field);
}

void relay_body(void *owner, const struct smtp_body_out *pieces)
{
    struct session *s = owner;
    if (s->up == NULL)
        return;
    write_received(s);
    upstream_body(s->up, pieces->piece, pieces->count);
    if (upstream_congested(s->up))
        client_pause(&s->client, true);
}

/* D4, N3, loops: the upstream must never see an end of data. */
void relay_poisoned(void *owner, const struct smtp_reply *reply)
{
    struct session *s = owner;
    (void)reply;
    relay_note_waste(s);
    upstream_drop(&s->up, CLOSE_PROTOCOL);
    s->up_txn = false;
}

static void note_anomalies(struct session *s, const struct smtp_body *body)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = { { SMTP_BODY_BARE_LF, "bare_lf" },
                  { SMTP_BODY_BARE_CR, "bare_cr" },
                  { SMTP_BODY_NUL, "nul" },
                  { SMTP_BODY_LONG_LINE, "long_line" } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (body->anomalies & words[i].bit)
            txn_anomaly(s->txn, words[i].word);
    }
    if ((body->anomalies & SMTP_BODY_8BIT) && !s->txn_8bit)
        txn_anomaly(s->txn, "8bit_undeclared");
}

void relay_note_message(struct session *s, const struct smtp_server_data *data)
{
    usec_t took = s->w->loop.mono - s->body_at;
    txn_size(s->txn, data->body.size);
    txn_headers(s->txn, &data->header);
    note_anomalies(s, &data->body);
    txn_phase_add(s->txn, PHASE_TRANSFER, took);
    trace_data(&s->trace, SIDE_CLIENT, s->txn_number, data->body.size, took);
}

void relay_end_early(struct session *s, smtp_slot slot)
{
    struct smtp_reply reply = smtp_reply_read(span_str(s->early));
    enum txn_status status = relay_status(&reply);
    bool closing = reply.code == 421;
    smtp_server_reply(&s->client.smtp, slot, &reply);
    relay_finish(s, status, STAGE_TRANSFER, s->early_by, &reply);
    if (closing)
        client_end(&s->client, CLOSE_UPSTREAM);
}

/* There is no room for the record: the upstream must not see an end of data. */
static void relay_refuse_end(struct session *s, smtp_slot slot)
{
    const struct smtp_reply *reply = smtp_reply_own(SMTP_OWN_LOG_BLOCKED);
    upstream_drop(&s->up, CLOSE_LIMIT);
    s->up_txn = false;
    smtp_server_reply(&s->client.smtp, slot, reply);
    relay_finish(s, STATUS_DEFERRED, STAGE_TRANSFER, BY_SMTPTAP, reply);
    client_pause(&s->client, false); /* the end may have stood behind what was too much */
}

void relay_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    relay_note_message(s, data);
    if (data->poison != NULL) {
        const struct smtp_reply *reply = data->poison;
        smtp_server_reply(&s->client.smtp, slot, reply);
        relay_finish(s, STATUS_REJECTED, STAGE_TRANSFER, BY_SMTPTAP, reply);
        relay_has_wasted(s);
        return;
    }
    if (s->early != NULL) {
        relay_end_early(s, slot);
        return;
    }
    if (!s->chunks && !relay_sync_secures(s)) {
        relay_refuse_end(s, slot);
        return;
    }
    if (!s->chunks)
        write_received(s);
    trace_data(&s->trace, SIDE_UPSTREAM, s->txn_number, data->body.size, s->w->loop.mono - s->body_at);
    s->state = RELAY_END;
    s->end_slot = slot;
    if (!s->chunks)
        upstream_end(s->up, tag_of(s, slot), relay_end_replies(s));
}

/* RSET goes upstream only where a transaction is open there (C1); passed: the client's own does. */
static void reset_upstream(struct session *s, bool passed)
{
    if (s->up != NULL && s->up_txn && !passed)
        relay_step(s, SMTP_STEP_RSET, (struct smtp_tag){ 0 }, SPAN_LIT("RSET"));
    s->up_txn = false;
}

void relay_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    struct session *s = owner;
    enum txn_stage stage = why == SMTP_ABANDON_DATA && !s->chunks ? STAGE_DATA : relay_stage(s);
    if (s->txn != NULL && s->client.smtp.data != NULL)
        relay_note_message(s, s->client.smtp.data);
    if (why == SMTP_ABANDON_DATA) {
        relay_finish(s, relay_status(reply), stage, BY_SMTPTAP, reply);
    } else if (s->told_lost) {
        relay_finish(s, STATUS_DEFERRED, stage, BY_SMTPTAP, smtp_reply_own(SMTP_OWN_UPSTREAM_LOST));
    } else {
        relay_finish(s, STATUS_RESET, stage, BY_CLIENT, NULL);
    }
    if (why != SMTP_ABANDON_QUIT)
        reset_upstream(s, s->bound && why == SMTP_ABANDON_RSET);
}

void relay_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd)
{
    struct session *s = owner;
    if (s->bound && s->up == NULL) {
        relay_login_gone(s);
        return;
    }
    if (s->up == NULL && s->dial == NULL)
        session_dial(s, DIAL_MAIL, s->set->upstream.servers);
    struct smtp_tag tag = { .slot = slot };
    relay_step(s, SMTP_STEP_PASS, tag, cmd->line);
}

/* An early refusal was the upstream's word on the message; our own stands for its loss. */
static void end_without_client(struct session *s)
{
    struct smtp_reply reply = *smtp_reply_own(SMTP_OWN_UPSTREAM_LOST);
    enum txn_by by = BY_SMTPTAP;
    if (s->early != NULL) {
        reply = smtp_reply_read(span_str(s->early));
        by = s->early_by;
    }
    relay_finish(s, relay_status(&reply), relay_stage(s), by, &reply);
}

void relay_client_gone(struct session *s)
{
    if (s->txn == NULL || s->state == RELAY_END)
        return;
    bool busy = s->state == RELAY_BODY || s->state == RELAY_DATA || s->state == RELAY_MAIL || s->state == RELAY_CHUNK;
    if (s->client.smtp.data != NULL) {
        txn_size(s->txn, s->client.smtp.data->body.size);
        txn_headers(s->txn, &s->client.smtp.data->header);
    }
    if (s->early != NULL || s->state == RELAY_LOST)
        end_without_client(s);
    else
        relay_finish(s, STATUS_ABORTED, relay_stage(s), BY_CLIENT, NULL);
    if (busy)
        upstream_drop(&s->up, CLOSE_GONE);
    s->up_txn = false;
}
