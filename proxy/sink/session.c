/* A sink's session: each event of the engine is a step, which the rules may delay or turn into something else.
 *
 *   event --rules--> wait (paused: nothing further is read, so steps stay in order) --> act: the ordinary thing,
 *                    a reply, drop, or hang (the slot stays open until the client leaves)
 *
 * The steps of a message's body and of its end may come in one go; the end then waits for the body's (message.c). */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/relay/engine.h"
#include "proxy/sink/sink_impl.h"

enum { HANG_LOOK = USEC_PER_SEC };

static void act(struct session *s);

static const struct smtp_reply sender_ok = {
    .code = 250, .enhanced = "2.1.0", .wire = { "250 2.1.0 Sender ok\r\n", 21 }, .lines = 1
};
static const struct smtp_reply recipient_ok = {
    .code = 250, .enhanced = "2.1.5", .wire = { "250 2.1.5 Recipient ok\r\n", 24 }, .lines = 1
};

bool sink_is_open(const struct session *s) { return s->client.phase <= CLIENT_OPEN; }

void sink_forget_message(struct session *s)
{
    sink_file_discard(&s->file);
    sink_envelope_clear(&s->envelope);
    s->body_due = s->end_due = s->chunks = s->data_due = false;
}

/* Steps. */

static void drop(struct session *s)
{
    stream_abort(&s->client.stream);
    client_kill(&s->client, CLOSE_POLICY);
}

static void hang(struct session *s)
{
    s->hung = true;
    if (s->stage == SINK_BODY)
        client_pause(&s->client, true);
    loop_timer(&s->w->loop, &s->timer, HANG_LOOK);
}

void sink_begin(struct session *s, enum sink_stage stage, smtp_slot slot, struct sink_verdict verdict)
{
    s->stage = stage;
    s->slot = slot;
    s->verdict = verdict;
    if (verdict.delay == 0) {
        act(s);
        return;
    }
    s->waiting = true;
    client_pause(&s->client, true);
    loop_timer(&s->w->loop, &s->timer, verdict.delay);
}

void sink_step(struct session *s, enum sink_stage stage, smtp_slot slot)
{
    sink_begin(s, stage, slot, sink_rules_meet(&s->sink->rules, stage));
}

/* A client that was left hanging and went away. */
static void look_after_hung(struct session *s)
{
    struct pollfd p = { .fd = s->client.stream.fd, .events = POLLRDHUP };
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        client_kill(&s->client, CLOSE_GONE);
    else
        loop_timer(&s->w->loop, &s->timer, HANG_LOOK);
}

static void on_timer(struct timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    if (!s->waiting) {
        look_after_hung(s);
        return;
    }
    s->waiting = false;
    act(s);
    if (s->waiting || !sink_is_open(s))
        return;
    if (!s->hung || s->stage != SINK_BODY)
        client_pause(&s->client, false);
    if (s->hung && sink_is_open(s) && !s->waiting)
        loop_timer(&s->w->loop, &s->timer, HANG_LOOK);
}

void sink_answer(struct session *s, const struct smtp_reply *reply)
{
    smtp_server_reply(&s->client.smtp, s->slot, reply);
    if (reply->code == 421)
        client_end(&s->client, CLOSE_POLICY);
}

static void answer_helo(struct session *s, const struct smtp_reply *told)
{
    const struct smtp_reply *ours = s->helo_verb == SMTP_VERB_HELO ? &s->sink->helo : &s->sink->ehlo;
    smtp_server_offer(&s->client.smtp, &s->sink->caps);
    sink_answer(s, told != NULL ? told : ours);
}

/* MAIL or RCPT. */
static void answer_address(struct session *s, const struct smtp_reply *reply)
{
    sink_envelope_settle(&s->envelope, smtp_reply_is(reply, 2), s->stage == SINK_RCPT);
    sink_answer(s, reply);
}

static void act_ordinary(struct session *s, const struct smtp_reply *told)
{
    switch (s->stage) {
    case SINK_GREETING:
        if (told != NULL)
            client_refuse(&s->client, told, CLOSE_POLICY);
        else
            client_greet(&s->client);
        break;
    case SINK_HELO:
        answer_helo(s, told);
        break;
    case SINK_MAIL:
        answer_address(s, told != NULL ? told : &sender_ok);
        break;
    case SINK_RCPT:
        answer_address(s, told != NULL ? told : &recipient_ok);
        break;
    case SINK_DATA:
        sink_answer_data(s, told);
        break;
    case SINK_BODY:
        sink_act_body(s, told);
        break;
    case SINK_END:
        sink_answer_end(s, told);
        break;
    case SINK_STAGES:
        break;
    }
}

static void act(struct session *s)
{
    const struct sink_rule *rule = s->verdict.rule;
    if (rule != NULL && rule->action == SINK_DROP)
        drop(s);
    else if (rule != NULL && rule->action == SINK_HANG)
        hang(s);
    else
        act_ordinary(s, rule != NULL ? &rule->reply : NULL);
}

/* What the engine calls. */

static void on_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain)
{
    struct session *s = owner;
    free(s->helo);
    s->helo = strndup(domain.p, domain.n);
    s->helo_verb = verb;
    sink_step(s, SINK_HELO, slot);
}

static void on_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    if (cmd->refusal != NULL)
        return;
    sink_forget_message(s);
    sink_envelope_try(&s->envelope, cmd->path->address);
    sink_step(s, SINK_MAIL, slot);
}

static void on_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    if (cmd->refusal != NULL)
        return;
    sink_envelope_try(&s->envelope, cmd->path->address);
    sink_step(s, SINK_RCPT, slot);
}

static void on_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    (void)why;
    (void)reply;
    sink_forget_message(owner);
}

/* ETRN, which is not offered. */
static void on_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd)
{
    struct session *s = owner;
    (void)cmd;
    smtp_server_own(&s->client.smtp, slot, SMTP_OWN_DISABLED);
}

static unsigned on_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line)
{
    struct session *s = owner;
    (void)verb;
    client_log_command(&s->client, 0, verb_name, line);
    return 0;
}

static void on_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since)
{
    struct session *s = owner;
    (void)verb;
    client_send_reply(&s->client, tag, reply, since);
}

static const struct smtp_server_ops server_ops = {
    .helo = on_helo,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = sink_on_data,
    .chunk = sink_on_chunk,
    .chunk_end = sink_on_chunk_end,
    .body = sink_on_body,
    .poisoned = sink_on_poisoned,
    .end = sink_on_end,
    .abandon = on_abandon,
    .pass = on_pass,
    .command = on_command,
    .sent = on_sent,
};

/* What the client leg calls. */

static void on_gone(void *owner, enum close_reason reason)
{
    struct session *s = owner;
    (void)reason;
    s->waiting = false;
    timer_clear(&s->timer);
    sink_forget_message(s);
}

static void free_session(struct grave *g)
{
    struct session *s = CONTAINER_OF(g, struct session, grave);
    client_free(&s->client);
    settings_unref(&s->settings);
    free(s->helo);
    free(s);
}

static void on_closed(void *owner)
{
    struct session *s = owner;
    timer_clear(&s->timer);
    worker_session_ended(s->w, &s->node);
    loop_bury(&s->w->loop, &s->grave, free_session);
}

static const struct client_ops client_ops = { .gone = on_gone, .closed = on_closed };

/* What the worker calls. */

static void open_client(struct session *s, const struct accepted *a)
{
    const struct listener_settings *set = a->set;
    struct trace_peer peer = { .side = SIDE_CLIENT, .remote = a->peer, .local = a->local, .listener = set->name };
    struct smtp_server_config config = engine_config(s->settings, set);
    client_open(&s->client, &s->w->loop, a->fd, &s->trace, &peer, set, &config, &server_ops, &client_ops, s);
}

static void on_accept(struct worker *w, const struct accepted *a)
{
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        abort();
    s->w = w;
    s->sink = w->ops_arg;
    s->settings = settings_ref(a->settings);
    s->file.fd = -1;
    s->trace = (struct trace){ .log = w->logger, .loop = &w->loop, .quiet = true };
    netaddr_print_ip(&a->peer, s->trace.host);
    sink_envelope_init(&s->envelope, &w->loop.pool);
    timer_init(&s->timer, on_timer);
    atomic_fetch_add(&s->sink->connections, 1);
    worker_session_began(w, &s->node);
    open_client(s, a);
    sink_step(s, SINK_GREETING, 0);
}

static struct session *session_of(struct list *node) { return LIST_ENTRY(node, struct session, node); }

/* Whoever stops a sink wants it stopped now: nothing is lost that was promised to anybody. */
static void on_stop(struct list *node)
{
    struct session *s = session_of(node);
    client_bye(&s->client, smtp_reply_own(SMTP_OWN_SHUTDOWN), CLOSE_SHUTDOWN);
    if (s->client.phase == CLIENT_LINGER)
        client_kill(&s->client, CLOSE_SHUTDOWN);
}

const struct worker_ops sink_worker_ops = { .accept = on_accept, .shutdown = on_stop, .kill = on_stop };
