/* A sink's session: each event of the engine is a step, which the rules may delay or turn into something else.
 *
 *   event --rules--> wait (paused: nothing further is read, so steps stay in order) --> act: the ordinary thing,
 *                    a reply, drop, or hang (the slot stays open until the client leaves)
 *
 * The steps of a message's body and of its end may come in one go; the end then waits for the body's. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/relay/client.h"
#include "proxy/relay/engine.h"
#include "proxy/sink/envelope.h"
#include "proxy/sink/sink.h"

enum { HANG_LOOK = USEC_PER_SEC };

struct session {
    struct grave grave;
    struct list node; /* of the worker */
    struct worker *w;
    struct sink *sink;
    struct settings *settings; /* a reference */
    struct trace trace;
    struct client client;
    char *helo; /* owned */
    enum smtp_verb helo_verb;

    /* The step under way. */
    struct timer timer;
    bool waiting; /* it is delayed */
    bool hung;    /* a reply that will never come is awaited */
    enum sink_stage stage;
    smtp_slot slot;
    struct sink_verdict verdict;

    /* The transaction. */
    struct sink_envelope envelope;
    struct sink_verdict body; /* what is to happen when the body comes; done with once it did */
    bool body_due, end_due;   /* end_due: the end of data came while the body's step was under way */
    bool chunks, chunk_last;  /* BDAT; the chunk under way is the last */
    bool data_due;            /* `data` is what happens at the end of the first chunk */
    struct sink_verdict data;
    smtp_slot end_slot;
    char id[SINK_ID_MAX];
    struct sink_file file;
};

static void act(struct session *s);

static const struct smtp_reply sender_ok = {
    .code = 250, .enhanced = "2.1.0", .wire = { "250 2.1.0 Sender ok\r\n", 21 }, .lines = 1
};
static const struct smtp_reply recipient_ok = {
    .code = 250, .enhanced = "2.1.5", .wire = { "250 2.1.5 Recipient ok\r\n", 24 }, .lines = 1
};

/* The dialogue goes on: no step may answer a client that is gone. */
static bool is_open(const struct session *s) { return s->client.phase <= CLIENT_OPEN; }

static void forget_message(struct session *s)
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

/* Asks the rules about an event; what they say happens now, or after its delay. */
static void begin(struct session *s, enum sink_stage stage, smtp_slot slot, struct sink_verdict verdict)
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

static void step(struct session *s, enum sink_stage stage, smtp_slot slot)
{
    begin(s, stage, slot, sink_rules_meet(&s->sink->rules, stage));
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
    if (s->waiting || !is_open(s))
        return;
    if (!s->hung || s->stage != SINK_BODY)
        client_pause(&s->client, false);
    if (s->hung && is_open(s) && !s->waiting)
        loop_timer(&s->w->loop, &s->timer, HANG_LOOK);
}

/* Fills the slot; a 421 also closes. */
static void answer(struct session *s, const struct smtp_reply *reply)
{
    smtp_server_reply(&s->client.smtp, s->slot, reply);
    if (reply->code == 421)
        client_end(&s->client, CLOSE_POLICY);
}

static void answer_helo(struct session *s, const struct smtp_reply *told)
{
    const struct smtp_reply *ours = s->helo_verb == SMTP_VERB_HELO ? &s->sink->helo : &s->sink->ehlo;
    smtp_server_offer(&s->client.smtp, &s->sink->caps);
    answer(s, told != NULL ? told : ours);
}

/* MAIL or RCPT. */
static void answer_address(struct session *s, const struct smtp_reply *reply)
{
    sink_envelope_settle(&s->envelope, smtp_reply_is(reply, 2), s->stage == SINK_RCPT);
    answer(s, reply);
}

static void begin_message(struct session *s)
{
    s->body = sink_rules_meet(&s->sink->rules, SINK_BODY);
    s->body_due = s->body.delay > 0 || s->body.rule != NULL;
    sink_make_id(s->sink, s->id);
    if (s->sink->store >= 0)
        sink_file_begin(&s->file, s->sink->store, s->id, &s->w->loop.pool);
    s->file.raw = s->chunks;
}

/* The chunk was read: what is left of its steps. */
static void go_on_with_chunk(struct session *s)
{
    if (s->data_due) {
        s->data_due = false;
        begin(s, SINK_DATA, s->end_slot, s->data);
    } else if (s->chunk_last) {
        step(s, SINK_END, s->end_slot);
    } else {
        s->end_due = false;
        smtp_server_own(&s->client.smtp, s->end_slot, SMTP_OWN_OK);
    }
}

/* A refused chunk ends the message (RFC 3030). */
static void answer_chunk(struct session *s, const struct smtp_reply *told)
{
    if (told == NULL || smtp_reply_is(told, 2)) {
        go_on_with_chunk(s);
        return;
    }
    forget_message(s);
    answer(s, told);
}

static void answer_data(struct session *s, const struct smtp_reply *told)
{
    const struct smtp_reply *reply = told != NULL ? told : smtp_reply_own(SMTP_OWN_START_MAIL);
    if (s->chunks) {
        answer_chunk(s, told);
        return;
    }
    if (reply->code == 354) {
        begin_message(s);
    } else {
        forget_message(s);
    }
    answer(s, reply);
}

/* True: it is kept, or isn't to be. */
static bool keep(struct session *s, uint64_t size)
{
    struct buf envelope;
    struct sink_sidecar about = {
        .id = s->id, .host = s->trace.host, .helo = s->helo, .size = size, .real = s->w->loop.real
    };
    if (s->sink->store < 0)
        return true;
    buf_init(&envelope, &s->w->loop.pool);
    sink_envelope_print(&s->envelope, &about, &envelope);
    bool kept = sink_file_commit(&s->file, buf_span(&envelope));
    buf_free(&envelope);
    return kept;
}

static void report(struct session *s, uint64_t size, bool accepted)
{
    struct sink_message m = { .id = s->id,
                              .client = s->trace.host,
                              .mail_from = sink_envelope_sender(&s->envelope),
                              .rcpt_to = sink_envelope_first_rcpt(&s->envelope),
                              .rcpt_count = s->envelope.rcpts,
                              .size = size,
                              .accepted = accepted,
                              .real = s->w->loop.real };
    s->client.totals.messages += accepted;
    sink_report(s->sink, s->w, &m);
}

static void answer_end(struct session *s, const struct smtp_reply *told)
{
    char text[160];
    const struct smtp_server_data *data = s->client.smtp.data;
    uint64_t size = data->body.size;
    const struct smtp_reply *bad = data->poison != NULL ? data->poison : told;
    bool accepted = (bad == NULL || smtp_reply_is(bad, 2)) && keep(s, size);
    int n = snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as %s\r\n", s->id);
    bool failed = !accepted && (bad == NULL || smtp_reply_is(bad, 2));
    if (failed)
        n = snprintf(text, sizeof(text), "452 4.3.1 The message can't be stored: %s\r\n", strerror(s->file.error));
    struct smtp_reply own = smtp_reply_read(span_of(text, (size_t)n));
    report(s, size, accepted);
    forget_message(s);
    answer(s, bad != NULL && !failed ? bad : &own);
}

/* The steps of the end: of the data, or of a chunk. */
static void finish_part(struct session *s)
{
    if (s->chunks)
        go_on_with_chunk(s);
    else
        step(s, SINK_END, s->end_slot);
}

static void act_body(struct session *s, const struct smtp_reply *told)
{
    if (told != NULL)
        client_bye(&s->client, told, CLOSE_POLICY);
    else if (s->end_due)
        finish_part(s);
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
        answer_data(s, told);
        break;
    case SINK_BODY:
        act_body(s, told);
        break;
    case SINK_END:
        answer_end(s, told);
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
    step(s, SINK_HELO, slot);
}

static void on_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    if (cmd->refusal != NULL)
        return;
    forget_message(s);
    sink_envelope_try(&s->envelope, cmd->path->address);
    step(s, SINK_MAIL, slot);
}

static void on_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct session *s = owner;
    if (cmd->refusal != NULL)
        return;
    sink_envelope_try(&s->envelope, cmd->path->address);
    step(s, SINK_RCPT, slot);
}

static void on_data(void *owner, smtp_slot slot)
{
    struct session *s = owner;
    step(s, SINK_DATA, slot);
}

static void on_body(void *owner, const struct smtp_body_out *pieces)
{
    struct session *s = owner;
    if (s->file.fd >= 0) {
        for (unsigned i = 0; i < pieces->count; i++)
            sink_file_add(&s->file, pieces->piece[i]);
    }
    if (!s->body_due)
        return;
    s->body_due = false;
    begin(s, SINK_BODY, 0, s->body);
}

static void on_poisoned(void *owner, const struct smtp_reply *reply)
{
    struct session *s = owner;
    (void)reply;
    sink_file_discard(&s->file);
}

static void on_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    (void)data;
    if (!is_open(s) || (s->hung && s->stage == SINK_BODY))
        return;
    s->end_due = true;
    s->end_slot = slot;
    if (s->body_due) { /* a message without a body */
        s->body_due = false;
        begin(s, SINK_BODY, 0, s->body);
    } else if (!s->waiting) {
        finish_part(s);
    }
}

static void on_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct session *s = owner;
    (void)slot;
    (void)octets;
    s->chunk_last = last;
    if (s->chunks)
        return;
    s->chunks = s->data_due = true;
    s->data = sink_rules_meet(&s->sink->rules, SINK_DATA);
    begin_message(s);
}

/* A chunk without an octet of the message leaves its body's step to the next. */
static void on_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    if (!is_open(s) || (s->hung && s->stage == SINK_BODY))
        return;
    if (data->poison != NULL) {
        const struct smtp_reply *poison = data->poison;
        forget_message(s);
        smtp_server_reply(&s->client.smtp, slot, poison);
        return;
    }
    s->end_due = true;
    s->end_slot = slot;
    if (!s->waiting)
        finish_part(s);
}

static void on_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    (void)why;
    (void)reply;
    forget_message(owner);
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
    .data = on_data,
    .chunk = on_chunk,
    .chunk_end = on_chunk_end,
    .body = on_body,
    .poisoned = on_poisoned,
    .end = on_end,
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
    forget_message(s);
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
    step(s, SINK_GREETING, 0);
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
