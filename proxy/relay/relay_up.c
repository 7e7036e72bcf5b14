/* The upstream's side: what its replies mean for the transaction and which slot they fill; what its loss means at each
 * stage (protocol.md D2, D5, U). */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/relay/relay_impl.h"

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
static void on_early(void *owner, const struct smtp_reply *reply);
static void on_drained(void *owner);
static void on_lost(void *owner, const struct upstream_loss *loss);
static void on_settled(void *owner);
const struct upstream_ops relay_upstream_ops = {
    .reply = on_reply, .early = on_early, .drained = on_drained, .lost = on_lost, .settled = on_settled
};

/* A connection that stood idle this long may have been given up by the server meanwhile (U2, O). */
enum { STALE_AFTER = USEC_PER_SEC };

void relay_step(struct session *s, enum smtp_step_kind kind, struct smtp_tag tag, struct span text)
{
    struct smtp_step *step = smtp_step_new(kind, tag, text);
    if (s->up != NULL)
        upstream_add(s->up, step);
    else
        list_append(&s->held, &step->node);
}

/* Steps that were said to a lost server, or waited for one. */
static void give_held_steps(struct session *s)
{
    struct list *first;
    while (s->up != NULL && (first = list_first(&s->held)) != NULL) {
        struct smtp_step *step = LIST_ENTRY(first, struct smtp_step, node);
        list_remove(first);
        if (step->kind == SMTP_STEP_AUTH && !relay_auth_fits(s)) {
            relay_auth_unanswered(s, step);
            smtp_step_free(step);
            continue;
        }
        bool mail = step->kind == SMTP_STEP_MAIL;
        if (mail)
            relay_forward(s);
        upstream_add(s->up, mail ? relay_fit_mail(s, step) : step);
    }
}

void relay_take_idle_upstream(struct session *s, struct upstream *u, size_t server, unsigned attempts)
{
    s->up = u;
    s->server = server;
    s->attempts = attempts;
    u->ops = &relay_upstream_ops;
    u->owner = s;
}

void relay_take_upstream(struct session *s, struct upstream *u, size_t server, unsigned attempts)
{
    relay_take_idle_upstream(s, u, server, attempts);
    if (s->state == RELAY_MAIL) {
        s->up_txn = true;
        relay_note_upstream(s);
        txn_phase_add(s->txn, PHASE_CONNECT, s->dial_took);
    }
    give_held_steps(s);
}

static void note_rcpt_reply(struct session *s, unsigned rcpt, const struct smtp_reply *reply, enum txn_by by)
{
    char hidden[SMTP_HIDDEN_LEN];
    struct smtp_reply shown = trace_shown(&s->trace, reply, hidden);
    txn_rcpt_reply(s->txn, rcpt, &shown, by);
}

/* Fills the slots of steps that will never be answered: the first with this reply, those that depend on it likewise. */
static void answer_steps_by(struct session *s, struct list *steps, const struct smtp_reply *reply, enum txn_by by)
{
    struct list *first;
    while ((first = list_first(steps)) != NULL) {
        struct smtp_step *step = LIST_ENTRY(first, struct smtp_step, node);
        list_remove(first);
        if (step->kind == SMTP_STEP_RCPT && s->txn == NULL)
            smtp_server_own(&s->client.smtp, step->tag.slot, SMTP_OWN_NEED_MAIL);
        else if (step->kind == SMTP_STEP_RCPT || step->kind == SMTP_STEP_PASS)
            smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
        if (step->kind == SMTP_STEP_RCPT && s->txn != NULL)
            note_rcpt_reply(s, step->tag.rcpt, reply, by);
        if (step->kind == SMTP_STEP_MAIL || step->kind == SMTP_STEP_DATA) {
            bool data = step->kind == SMTP_STEP_DATA;
            smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
            relay_finish(s, relay_status(reply), data ? STAGE_DATA : STAGE_MAIL, by, reply);
        } else if (step->kind == SMTP_STEP_BDAT) {
            relay_chunk_reply(s, step, reply);
        }
        if (smtp_step_is_secret(step))
            relay_auth_unanswered(s, step);
        smtp_step_free(step);
    }
}

static void answer_steps(struct session *s, struct list *steps, const struct smtp_reply *reply)
{
    answer_steps_by(s, steps, reply, BY_SMTPTAP);
}

void relay_no_upstream(struct session *s, enum smtp_own id)
{
    answer_steps(s, &s->held, smtp_reply_own(id));
    client_run(&s->client);
}

/* The upstream's words under a code that ends the session; its 4xx and 5xx all mean that here. */
static void print_judgement(struct buf *out, const struct smtp_reply *reply)
{
    int code = smtp_reply_is(reply, 4) ? 421 : 554;
    const char *first = reply->enhanced[0] != '\0' ? reply->enhanced : code == 421 ? "4.7.0" : "5.7.0";
    size_t pos = 0, bare_pos = 0;
    struct span text, bare;
    for (unsigned i = 1; smtp_reply_line(reply, &pos, false, &text); i++) {
        bool has_own = smtp_reply_line(reply, &bare_pos, true, &bare) && bare.n < text.n;
        buf_printf(out, "%d%s%s%s%.*s\r\n", code, i < reply->lines ? "-" : " ", has_own ? "" : first,
                   has_own ? "" : " ", SPAN_ARG(text));
    }
}

void relay_judged(struct session *s, const struct smtp_reply *reply)
{
    if (!s->helo_open && list_empty(&s->held)) /* nobody waits: MAIL will ask again */
        return;
    struct buf text;
    buf_init(&text, &s->w->loop.pool);
    print_judgement(&text, reply);
    struct smtp_reply judgement = smtp_reply_read(buf_span(&text));
    if (list_empty(&s->held)) {
        client_bye(&s->client, &judgement, CLOSE_UPSTREAM);
    } else {
        answer_steps_by(s, &s->held, &judgement, BY_UPSTREAM);
        client_end(&s->client, CLOSE_UPSTREAM);
    }
    buf_free(&text);
}

void relay_remember_early(struct session *s, const struct smtp_reply *reply, enum txn_by by)
{
    free(s->early);
    s->early = strndup(reply->wire.p, reply->wire.n);
    s->early_by = by;
    smtp_server_swallow(&s->client.smtp);
}

void relay_close_after_421(struct session *s)
{
    upstream_drop(&s->up, CLOSE_UPSTREAM);
    if (!relay_sync_ends(s, SYNC_END_421))
        client_end(&s->client, CLOSE_UPSTREAM);
}

enum txn_status relay_status(const struct smtp_reply *reply)
{
    if (smtp_reply_is(reply, 2))
        return STATUS_ACCEPTED;
    return smtp_reply_is(reply, 4) ? STATUS_DEFERRED : STATUS_REJECTED;
}

static bool is_stale(const struct session *s)
{
    return s->up->txns > 1 || s->w->loop.mono - s->up->ready_at > STALE_AFTER;
}

/* MAIL and what was pipelined behind it go to a fresh connection, once. */
static void retry_mail(struct session *s)
{
    s->retried = true;
    s->up_txn = false;
    session_dial(s, DIAL_MAIL, s->set->upstream.servers > 1 ? s->server : s->set->upstream.servers);
}

static void retry_after_421(struct session *s, const struct smtp_step *step)
{
    struct smtp_step *again = smtp_step_new(step->kind, step->tag, span_of(step->text, step->len));
    list_append(&s->held, &again->node);
    smtp_client_take_steps(&s->up->smtp, &s->held);
    upstream_drop(&s->up, CLOSE_UPSTREAM);
    retry_mail(s);
}

static void mail_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    if (reply->code == 421 && !s->retried && is_stale(s) && !s->bound) {
        retry_after_421(s, step);
        return;
    }
    txn_phase_add(s->txn, PHASE_MAIL, s->w->loop.mono - step->since);
    smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
    if (smtp_reply_is(reply, 2)) {
        s->state = RELAY_OPEN;
        return;
    }
    s->up_txn = false;
    relay_finish(s, relay_status(reply), STAGE_MAIL, BY_UPSTREAM, reply);
    if (reply->code == 421)
        relay_close_after_421(s);
}

/* A reply to RCPT may come when MAIL was refused before it, or the client has gone. */
static void rcpt_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    if (s->txn == NULL || step->tag.txn != s->txn_number) {
        if (smtp_reply_is(reply, 2))
            s->up_txn = true;
        smtp_server_own(&s->client.smtp, step->tag.slot, SMTP_OWN_NEED_MAIL);
        return;
    }
    txn_phase_add(s->txn, PHASE_RCPT, s->w->loop.mono - step->since);
    note_rcpt_reply(s, step->tag.rcpt, reply, BY_UPSTREAM);
    smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
    if (reply->code != 421)
        return;
    relay_finish(s, STATUS_DEFERRED, STAGE_RCPT, BY_UPSTREAM, reply);
    relay_close_after_421(s);
}

static void data_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    txn_phase_add(s->txn, PHASE_DATA, s->w->loop.mono - step->since);
    if (reply->code == 354) {
        s->state = RELAY_BODY;
        s->body_at = s->w->loop.mono;
        smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
        return;
    }
    smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
    relay_finish(s, relay_status(reply), STAGE_DATA, BY_UPSTREAM, reply);
    if (reply->code == 421) {
        relay_close_after_421(s);
    } else if (s->up_txn && s->up != NULL) {
        s->up_txn = false;
        relay_step(s, SMTP_STEP_RSET, (struct smtp_tag){ 0 }, SPAN_LIT("RSET"));
    }
}

static void end_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    if (!relay_final(s, step, reply))
        return;
    bool leaving = s->leaving || reply->code == 421, refused = !s->took && !smtp_reply_is(reply, 2);
    s->up_txn = false;
    txn_phase_add(s->txn, PHASE_END, s->w->loop.mono - step->since);
    relay_finish(s, s->took ? STATUS_ACCEPTED : relay_status(reply), STAGE_END, BY_UPSTREAM, reply);
    relay_sync_wait(s);
    if (leaving)
        relay_close_after_421(s);
    else if (s->client_gone)
        upstream_quit(&s->up);
    else if (refused && step->kind == SMTP_STEP_LAST)
        relay_leave_refuser(s);
}

void relay_replace_upstream(struct session *s, enum close_reason reason)
{
    smtp_client_take_steps(&s->up->smtp, &s->held);
    upstream_drop(&s->up, reason);
    s->up_txn = false;
    if (s->bound)
        relay_login_gone(s);
    else if (!list_empty(&s->held))
        session_dial(s, DIAL_MAIL, s->set->upstream.servers);
}

static const char *loss_detail(const struct upstream_loss *loss, char *text, size_t size)
{
    if (loss->reply != NULL) {
        const char *cr = memchr(loss->reply->wire.p, '\r', loss->reply->wire.n);
        size_t n = cr ? (size_t)(cr - loss->reply->wire.p) : loss->reply->wire.n;
        snprintf(text, size, "%s: %.*s", record_error_text(loss->err), (int)min_size(n, 300), loss->reply->wire.p);
        return text;
    }
    if (loss->sys == 0)
        return NULL;
    snprintf(text, size, "%s: %s", record_error_text(loss->err), strerror(loss->sys));
    return text;
}

/* X: only the upstream's log is the poorer for it. */
static void note_xforward(const struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    char text[512];
    struct upstream_loss said = { .err = ERR_XFORWARD_REFUSED, .reply = reply };
    if (!smtp_reply_is(reply, 2))
        trace_error(&s->trace, SIDE_UPSTREAM, step->tag.txn, ERR_XFORWARD_REFUSED, "mail",
                    s->set->upstream.server[s->server].text, loss_detail(&said, text, sizeof(text)));
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct session *s = owner;
    switch (step->kind) {
    case SMTP_STEP_MAIL:
        mail_reply(s, step, reply);
        break;
    case SMTP_STEP_RCPT:
        rcpt_reply(s, step, reply);
        break;
    case SMTP_STEP_DATA:
        data_reply(s, step, reply);
        break;
    case SMTP_STEP_BDAT:
        relay_chunk_reply(s, step, reply);
        break;
    case SMTP_STEP_END:
    case SMTP_STEP_LAST:
        end_reply(s, step, reply);
        break;
    case SMTP_STEP_PASS:
        smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
        if (reply->code == 421)
            relay_close_after_421(s);
        break;
    case SMTP_STEP_RSET:
        if (!smtp_reply_is(reply, 2))
            relay_replace_upstream(s, CLOSE_UPSTREAM);
        break;
    case SMTP_STEP_AUTH:
    case SMTP_STEP_RESPONSE:
        relay_auth_reply(s, step, reply);
        if (reply->code == 421 && s->up != NULL)
            relay_close_after_421(s);
        break;
    case SMTP_STEP_XFORWARD:
        note_xforward(s, step, reply);
        break;
    case SMTP_STEP_XCLIENT:
    case SMTP_STEP_GREETING:
    case SMTP_STEP_EHLO:
    case SMTP_STEP_HELO:
    case SMTP_STEP_STARTTLS:
    case SMTP_STEP_QUIT:
        break;
    }
}

/* D5: nothing said before the dot is an acceptance; a refusal is kept for the client's end of data. */
static void on_early(void *owner, const struct smtp_reply *reply)
{
    struct session *s = owner;
    bool refused = reply->code >= 400;
    trace_error(&s->trace, SIDE_UPSTREAM, s->txn_number, ERR_UPSTREAM_EARLY_REPLY, "transfer",
                s->set->upstream.server[s->server].text, NULL);
    relay_remember_early(s, refused ? reply : smtp_reply_own(SMTP_OWN_UPSTREAM_CONFUSED),
                         refused ? BY_UPSTREAM : BY_SMTPTAP);
    upstream_drop(&s->up, CLOSE_UPSTREAM);
    s->up_txn = false;
    client_pause(&s->client, false);
}

static void on_drained(void *owner)
{
    struct session *s = owner;
    client_pause(&s->client, false);
}

static void on_settled(void *owner)
{
    struct session *s = owner;
    client_run(&s->client);
    session_check_end(s);
}

/* Lost with a transaction under way; steps: what was not answered; unsent: the end of data has not left. */
static void lose_transaction(struct session *s, const struct upstream_loss *loss, struct list *steps, bool unsent)
{
    enum smtp_own id = loss->err == ERR_UPSTREAM_REPLY || loss->err == ERR_UPSTREAM_UNSOLICITED
                           ? SMTP_OWN_UPSTREAM_CONFUSED
                           : SMTP_OWN_UPSTREAM_LOST;
    const struct smtp_reply *reply = smtp_reply_own(id);
    if (s->state == RELAY_BODY) {
        smtp_steps_free(steps);
        relay_remember_early(s, reply, BY_SMTPTAP);
        client_pause(&s->client, false);
        return;
    }
    if (s->state == RELAY_END) {
        smtp_steps_free(steps);
        relay_finals_lost(s, unsent ? STATUS_DEFERRED : STATUS_INDETERMINATE, reply);
        return;
    }
    if (s->state == RELAY_OPEN || (s->state == RELAY_CHUNK && list_empty(steps))) {
        s->state = RELAY_LOST;
        s->told_lost |= !list_empty(steps);
        smtp_server_lost(&s->client.smtp);
    }
    answer_steps(s, steps, reply);
}

/* A lost RSET, or the "*" behind an exchange, needs no other: the next connection has nothing to forget (C1). True: one
 * was waiting for its reply. */
static bool drop_resets(struct list *steps)
{
    bool found = false;
    struct list *next;
    for (struct list *n = steps->next; n != steps; n = next) {
        struct smtp_step *step = LIST_ENTRY(n, struct smtp_step, node);
        next = n->next;
        if (step->kind != SMTP_STEP_RSET && !relay_is_unheard(step))
            continue;
        found = true;
        list_remove(n);
        smtp_step_free(step);
    }
    return found;
}

static void on_lost(void *owner, const struct upstream_loss *loss)
{
    struct session *s = owner;
    struct list steps;
    char text[512];
    list_init(&steps);
    smtp_client_take_steps(&s->up->smtp, &steps);
    bool reset = drop_resets(&steps), unsent = stream_unsent(&s->up->stream) > 0;
    const char *server = s->set->upstream.server[s->server].text;
    bool in_exchange = relay_auth_upstream_lost(s);
    bool expected = s->txn == NULL && list_empty(&steps) && !s->bound && !in_exchange &&
                    (loss->err == ERR_UPSTREAM_LOST || loss->err == ERR_UPSTREAM_UNSOLICITED);
    bool clear = loss->err != ERR_UPSTREAM_REPLY && loss->err != ERR_UPSTREAM_TIMEOUT;
    bool stale_mail = s->state == RELAY_MAIL && !s->retried && (clear || reset);
    s->up = NULL;
    s->up_txn = false;
    if (!expected)
        trace_error(&s->trace, SIDE_UPSTREAM, s->txn ? s->txn_number : 0, loss->err,
                    in_exchange ? "auth"
                    : s->txn    ? stage_word(relay_stage(s))
                                : NULL,
                    server, loss_detail(loss, text, sizeof(text)));
    if (s->bound && (s->txn == NULL || s->state == RELAY_MAIL)) {
        smtp_steps_free(&steps);
        relay_login_gone(s);
        session_check_end(s);
        return;
    }
    if (stale_mail) {
        list_move_all(&s->held, &steps);
        retry_mail(s);
        return;
    }
    if (s->txn != NULL)
        lose_transaction(s, loss, &steps, unsent);
    else
        answer_steps(s, &steps, smtp_reply_own(SMTP_OWN_UPSTREAM_LOST));
    client_pause(&s->client, false);
    client_run(&s->client);
    session_check_end(s);
}
