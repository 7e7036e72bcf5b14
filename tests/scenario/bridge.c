/* Each engine works on what it has until it wants more; then the other has its turn. */
#include "tests/scenario/bridge.h"

#include <limits.h>
#include <stdlib.h>

static struct smtp_tag tag_of(smtp_slot slot) { return (struct smtp_tag){ .slot = slot, .txn = 1 }; }

static void add_step(struct bridge *b, enum smtp_step_kind kind, smtp_slot slot, struct span text)
{
    smtp_client_add(&b->client, smtp_step_new(kind, tag_of(slot), text), &b->to_upstream, 0);
}

static void drop_upstream(struct bridge *b)
{
    if (b->upstream == BRIDGE_OPEN)
        b->client.state = SMTP_CLIENT_DEAD;
    b->upstream = BRIDGE_DROPPED;
    b->up_txn = false;
}

static void reset_upstream(struct bridge *b)
{
    if (b->up_txn && b->upstream == BRIDGE_OPEN)
        add_step(b, SMTP_STEP_RSET, 0, SPAN_LIT("RSET"));
    b->up_txn = false;
}

/* It may have taken the octets of a refused chunk for commands. What is said behind the QUIT goes to another. */
static void leave_upstream(struct bridge *b)
{
    buf_append_span(&b->to_upstream, SPAN_LIT("QUIT\r\n"));
    b->up_txn = false;
    if (b->server.bound) /* to the connection that is left */
        smtp_server_close(&b->server, smtp_reply_own(SMTP_OWN_UPSTREAM_GONE_CLOSE), SMTP_CLOSE_UPSTREAM);
}

struct reply_text {
    struct buf lines;
    size_t last; /* where the last line begins */
};

static void print_line(void *arg, struct span text)
{
    struct reply_text *t = arg;
    t->last = buf_len(&t->lines);
    buf_printf(&t->lines, "250-%.*s\r\n", SPAN_ARG(text));
}

static void answer_helo(struct bridge *b)
{
    struct reply_text t = { .last = 0 };
    if (!b->helo_open || !b->ready)
        return;
    b->helo_open = false;
    buf_init(&t.lines, NULL);
    print_line(&t, SPAN_LIT("tap.example"));
    if (b->helo_verb != SMTP_VERB_HELO)
        smtp_caps_print(&b->offer, b->rules.hidden, print_line, &t);
    t.lines.base[t.lines.head + t.last + 3] = ' ';
    struct smtp_reply reply = smtp_reply_read(buf_span(&t.lines));
    smtp_server_offer(&b->server, &b->offer);
    smtp_server_reply(&b->server, b->helo_slot, &reply);
    buf_free(&t.lines);
}

/* The server engine's backend. */

static const struct smtp_client_ops client_ops;

static void op_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain)
{
    struct bridge *b = owner;
    (void)domain;
    b->helo_open = true;
    b->helo_slot = slot;
    b->helo_verb = verb;
    if (b->upstream == BRIDGE_UNCONNECTED) {
        smtp_client_init(&b->client, "tap.example", &client_ops, b, &b->pool, 0);
        b->client.lmtp = b->lmtp;
        b->upstream = BRIDGE_OPEN;
    }
    answer_helo(b);
}

static void envelope_step(struct bridge *b, enum smtp_step_kind kind, smtp_slot slot,
                          const struct smtp_envelope_command *cmd)
{
    struct buf line;
    smtp_cap_set set = b->upstream_caps.set;
    const char *drop[] = { "SIZE AUTH", "AUTH", "SIZE", "" };
    unsigned which = (set & SMTP_CAP_BIT(SIZE) ? 1 : 0) | (set & SMTP_CAP_BIT(AUTH) ? 2 : 0);
    buf_init(&line, NULL);
    buf_printf(&line, kind == SMTP_STEP_MAIL ? "MAIL FROM:<%.*s>" : "RCPT TO:<%.*s>", SPAN_ARG(cmd->path->address));
    smtp_params_copy(&line, cmd->params_text, kind == SMTP_STEP_MAIL ? drop[which] : "");
    add_step(b, kind, slot, buf_span(&line));
    buf_free(&line);
}

static void op_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct bridge *b = owner;
    if (cmd->refusal != NULL)
        return;
    b->mail_refused = b->chunks = false;
    b->rcpts = 0;
    if (b->upstream == BRIDGE_OPEN)
        envelope_step(b, SMTP_STEP_MAIL, slot, cmd);
    else
        smtp_server_own(&b->server, slot, SMTP_OWN_RECONNECT_FAILED);
}

static void op_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct bridge *b = owner;
    if (cmd->refusal == NULL)
        envelope_step(b, SMTP_STEP_RCPT, slot, cmd);
}

static void op_data(void *owner, smtp_slot slot) { add_step(owner, SMTP_STEP_DATA, slot, SPAN_LIT("DATA")); }

static void op_body(void *owner, const struct smtp_body_out *pieces)
{
    struct bridge *b = owner;
    for (unsigned i = 0; i < pieces->count && b->upstream == BRIDGE_OPEN; i++) {
        buf_append_span(&b->to_upstream, pieces->piece[i]);
        if (b->client.state == SMTP_CLIENT_CHUNK)
            smtp_client_wrote(&b->client, pieces->piece[i].n);
    }
}

static void forget_early(struct bridge *b)
{
    free(b->early);
    b->early = NULL;
}

static void op_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct bridge *b = owner;
    if (!b->chunks)
        forget_early(b);
    b->chunks = b->body = true;
    b->took = false;
    if (b->upstream == BRIDGE_OPEN)
        smtp_client_chunk(&b->client, tag_of(slot), octets, last, last && b->lmtp ? b->rcpts : 1, &b->to_upstream, 0);
}

/* What stands for the upstream's reply, where there will be none. */
static bool end_early(struct bridge *b, smtp_slot slot, const struct smtp_server_data *data)
{
    b->body = false;
    if (data->poison != NULL) {
        smtp_server_reply(&b->server, slot, data->poison);
    } else if (b->early != NULL) {
        struct smtp_reply reply = smtp_reply_read(span_str(b->early));
        smtp_server_reply(&b->server, slot, &reply);
    } else {
        return false;
    }
    return true;
}

static void op_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    (void)end_early(owner, slot, data);
}

static void op_anomaly(void *owner, const char *word)
{
    struct bridge *b = owner;
    buf_printf(&b->log, "- %s\r\n", word);
}

static void op_poisoned(void *owner, const struct smtp_reply *reply)
{
    (void)reply;
    drop_upstream(owner);
}

static void op_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct bridge *b = owner;
    if (end_early(b, slot, data))
        return;
    b->end_open = true;
    b->end_slot = slot;
    if (!b->chunks)
        smtp_client_end(&b->client, tag_of(slot), b->lmtp ? b->rcpts : 1, &b->to_upstream, 0);
}

static void op_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    (void)reply;
    struct bridge *b = owner;
    bool passed = b->server.bound && why == SMTP_ABANDON_RSET; /* the client's own goes there */
    if (why != SMTP_ABANDON_QUIT && !passed)
        reset_upstream(b);
    b->up_txn = b->up_txn && !passed;
}

static void op_auth(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd)
{
    struct buf line;
    buf_init(&line, NULL);
    buf_printf(&line, "AUTH %.*s", SPAN_ARG(cmd->mechanism));
    if (cmd->initial != NULL)
        buf_printf(&line, " %.*s", SPAN_ARG(*cmd->initial));
    add_step(owner, SMTP_STEP_AUTH, slot, buf_span(&line));
    buf_free(&line);
}

static void op_auth_response(void *owner, smtp_slot slot, struct span text)
{
    struct bridge *b = owner;
    if (b->upstream == BRIDGE_OPEN)
        add_step(b, SMTP_STEP_RESPONSE, slot, text);
    else
        smtp_server_own(&b->server, slot, SMTP_OWN_AUTH_TEMPFAIL);
}

/* Nobody waits for the reply to a "*" of ours. */
static void op_auth_cancel(void *owner, const smtp_slot *slot)
{
    struct bridge *b = owner;
    struct smtp_tag unheard = { .rcpt = UINT_MAX };
    if (b->upstream == BRIDGE_OPEN)
        smtp_client_add(&b->client,
                        smtp_step_new(SMTP_STEP_RESPONSE, slot != NULL ? tag_of(*slot) : unheard, SPAN_LIT("*")),
                        &b->to_upstream, 0);
    else if (slot != NULL)
        smtp_server_own(&b->server, *slot, SMTP_OWN_AUTH_CANCELLED);
}

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void op_auth_over(void *owner, const char *method, const struct smtp_reply *reply)
{
    struct bridge *b = owner;
    (void)method;
    b->over_code = reply != NULL ? reply->code : 0;
    b->overs++;
}

static void op_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd)
{
    add_step(owner, SMTP_STEP_PASS, slot, cmd->line);
}

static unsigned op_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line)
{
    struct bridge *b = owner;
    (void)verb;
    buf_printf(&b->log, "%s ", verb_name);
    buf_append_span(&b->log, line);
    buf_append_span(&b->log, SPAN_LIT("\r\n"));
    require(b->auths <= b->overs || strcmp(verb_name, "?") == 0);
    b->auths += strcmp(verb_name, "AUTH") == 0;
    return 0;
}

static void op_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since)
{
    struct bridge *b = owner;
    (void)verb;
    (void)tag;
    (void)since;
    require(b->auths <= b->overs || reply->code == 334);
    require(b->over_code == 0 || b->over_code == reply->code);
    b->over_code = 0;
    buf_append_span(&b->to_client, reply->wire);
}

static const struct smtp_server_ops server_ops = {
    .helo = op_helo,
    .mail = op_mail,
    .rcpt = op_rcpt,
    .data = op_data,
    .chunk = op_chunk,
    .chunk_end = op_chunk_end,
    .anomaly = op_anomaly,
    .body = op_body,
    .poisoned = op_poisoned,
    .end = op_end,
    .abandon = op_abandon,
    .pass = op_pass,
    .auth = op_auth,
    .auth_response = op_auth_response,
    .auth_cancel = op_auth_cancel,
    .auth_over = op_auth_over,
    .command = op_command,
    .sent = op_sent,
};

/* The client engine's owner. */

static void learn_caps(struct bridge *b, const struct smtp_reply *ehlo)
{
    struct span text;
    size_t pos = 0;
    bool more = smtp_reply_line(ehlo, &pos, false, &text);
    while (more && (more = smtp_reply_line(ehlo, &pos, false, &text)))
        smtp_caps_parse_line(&b->upstream_caps, text);
    struct smtp_offer_rules rules = b->rules;
    if (rules.auth != NULL)
        smtp_caps_relayed_auth(b->auth, rules.auth, &b->upstream_caps);
    rules.auth = b->auth;
    smtp_caps_offer(&b->offer, &b->upstream_caps, &rules);
    b->ready = true;
    answer_helo(b);
}

static void remember_early(struct bridge *b, const struct smtp_reply *reply)
{
    forget_early(b);
    b->early = strndup(reply->wire.p, reply->wire.n);
    smtp_server_swallow(&b->server);
}

static void on_step_reply(struct bridge *b, const struct smtp_step *step, const struct smtp_reply *reply)
{
    bool ok = smtp_reply_is(reply, 2), chunk = step->kind == SMTP_STEP_BDAT || step->kind == SMTP_STEP_LAST;
    if (smtp_step_is_secret(step)) {
        if (step->tag.rcpt == UINT_MAX)
            return;
        if (ok)
            smtp_server_bind(&b->server);
    } else if (step->kind == SMTP_STEP_MAIL) {
        b->up_txn = ok;
        b->mail_refused = !ok;
    } else if (step->kind == SMTP_STEP_RCPT && b->mail_refused) {
        reply = smtp_reply_own(SMTP_OWN_NEED_MAIL);
    } else if (step->kind == SMTP_STEP_DATA) {
        b->body = reply->code == 354;
        forget_early(b);
    } else if ((step->kind == SMTP_STEP_END || step->kind == SMTP_STEP_LAST) && step->replies > 0) {
        b->took |= ok;
        smtp_server_reply_one(&b->server, step->tag.slot, reply);
        return;
    } else if (step->kind == SMTP_STEP_END || step->kind == SMTP_STEP_LAST) {
        b->end_open = b->up_txn = false;
    }
    b->rcpts += step->kind == SMTP_STEP_RCPT && ok;
    b->took |= chunk && ok;
    smtp_server_reply(&b->server, step->tag.slot, reply);
    if (chunk && !b->took)
        leave_upstream(b);
    else if (step->kind == SMTP_STEP_DATA && !b->body)
        reset_upstream(b);
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct bridge *b = owner;
    if (step->kind == SMTP_STEP_EHLO || step->kind == SMTP_STEP_HELO) {
        if (smtp_reply_is(reply, 2))
            learn_caps(b, reply);
        return;
    }
    if (step->kind == SMTP_STEP_GREETING || step->kind == SMTP_STEP_RSET || step->kind == SMTP_STEP_QUIT)
        return;
    bool closing = reply->code == 421;
    on_step_reply(b, step, reply);
    if (!closing)
        return;
    drop_upstream(b);
    b->server.state = SMTP_SERVER_CLOSED;
    b->server.close_reason = SMTP_CLOSE_UPSTREAM;
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    drop_upstream(owner);
    remember_early(owner, reply->code >= 400 ? reply : smtp_reply_own(SMTP_OWN_UPSTREAM_CONFUSED));
}

/* Nobody will answer these any more. */
static void answer_steps(struct bridge *b, const struct smtp_reply *reply)
{
    struct list steps, *first;
    list_init(&steps);
    smtp_client_take_steps(&b->client, &steps);
    while ((first = list_first(&steps)) != NULL) {
        struct smtp_step *step = LIST_ENTRY(first, struct smtp_step, node);
        list_remove(first);
        if (step->kind == SMTP_STEP_MAIL)
            b->mail_refused = true;
        if (smtp_step_is_secret(step) && step->tag.rcpt == UINT_MAX)
            ; /* nobody waits for it */
        else if (smtp_step_is_secret(step))
            smtp_server_own(&b->server, step->tag.slot, SMTP_OWN_AUTH_TEMPFAIL);
        else if (step->kind == SMTP_STEP_RCPT && b->mail_refused)
            smtp_server_own(&b->server, step->tag.slot, SMTP_OWN_NEED_MAIL);
        else if (step->kind != SMTP_STEP_RSET && step->kind != SMTP_STEP_END && step->kind != SMTP_STEP_LAST)
            smtp_server_reply(&b->server, step->tag.slot, reply);
        smtp_step_free(step);
    }
}

static void lose(struct bridge *b, enum smtp_own id)
{
    drop_upstream(b);
    if (b->helo_open) {
        b->helo_open = false;
        smtp_server_close(&b->server, smtp_reply_own(SMTP_OWN_UPSTREAM_UNREACHABLE), SMTP_CLOSE_UPSTREAM);
    } else if (b->body) {
        remember_early(b, smtp_reply_own(id));
    } else if (b->end_open) {
        b->end_open = false;
        smtp_server_own(&b->server, b->end_slot, id);
    } else {
        smtp_server_lost(&b->server);
        answer_steps(b, smtp_reply_own(id));
    }
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    (void)fault;
    (void)reply;
    lose(owner, SMTP_OWN_UPSTREAM_CONFUSED);
}

static void on_command(void *owner, const struct smtp_step *step)
{
    (void)owner;
    (void)step;
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    (void)owner;
    (void)step;
    (void)reply;
}

static const struct smtp_client_ops client_ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

void bridge_init(struct bridge *b, const struct smtp_server_config *config, const struct smtp_offer_rules *rules)
{
    *b = (struct bridge){ .rules = *rules };
    buf_init(&b->from_client, NULL);
    buf_init(&b->from_upstream, NULL);
    buf_init(&b->to_client, NULL);
    buf_init(&b->to_upstream, NULL);
    buf_init(&b->log, NULL);
    smtp_server_init(&b->server, config, &server_ops, b, &b->pool);
}

void bridge_free(struct bridge *b)
{
    smtp_server_gone(&b->server);
    require(b->auths <= b->overs);
    smtp_server_free(&b->server);
    if (b->upstream != BRIDGE_UNCONNECTED)
        smtp_client_free(&b->client);
    buf_free(&b->from_client);
    buf_free(&b->from_upstream);
    buf_free(&b->to_client);
    buf_free(&b->to_upstream);
    buf_free(&b->log);
    buf_pool_free(&b->pool);
    free(b->early);
}

void bridge_run(struct bridge *b)
{
    enum smtp_server_want want = SMTP_WANT_STEP;
    while (want == SMTP_WANT_STEP) {
        size_t used = smtp_server_step(&b->server, buf_span(&b->from_client), 0, &want);
        if (used > 0)
            buf_consume(&b->from_client, used);
    }
}

void bridge_from_client(struct bridge *b, struct span bytes)
{
    buf_append_span(&b->from_client, bytes);
    bridge_run(b);
}

void bridge_from_upstream(struct bridge *b, struct span bytes)
{
    buf_append_span(&b->from_upstream, bytes);
    while (b->upstream == BRIDGE_OPEN && !buf_empty(&b->from_upstream)) {
        size_t used = smtp_client_feed(&b->client, buf_span(&b->from_upstream), &b->to_upstream, 0);
        buf_consume(&b->from_upstream, used);
    }
    buf_free(&b->from_upstream);
    bridge_run(b);
}

void bridge_lose_upstream(struct bridge *b)
{
    if (b->upstream == BRIDGE_OPEN)
        lose(b, SMTP_OWN_UPSTREAM_LOST);
    bridge_run(b);
}
