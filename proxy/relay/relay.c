/* A session from accept to end: its limits, the client's name, its dials, what the client leg tells, and when it may
 * be freed.
 *
 * Invariant: a session is freed when the client's socket is closed, nothing is dialled or looked up for it, and the
 * last of its upstream connections is gone: these use its trace and settings. */
#include <stdlib.h>

#include "proxy/relay/engine.h"
#include "proxy/relay/relay_impl.h"

static void relay_starttls(void *owner, smtp_slot slot);
static unsigned relay_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line);
static void relay_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since);

static const struct smtp_server_ops server_ops = {
    .helo = relay_helo,
    .mail = relay_mail,
    .rcpt = relay_rcpt,
    .data = relay_data,
    .chunk = relay_chunk,
    .chunk_end = relay_chunk_end,
    .anomaly = relay_anomaly,
    .body = relay_body,
    .poisoned = relay_poisoned,
    .end = relay_end,
    .abandon = relay_abandon,
    .pass = relay_pass,
    .auth = relay_auth,
    .auth_response = relay_auth_response,
    .auth_cancel = relay_auth_cancel,
    .auth_over = relay_auth_over,
    .starttls = relay_starttls,
    .xclient = relay_xclient,
    .xforward = relay_xforward,
    .command = relay_command,
    .sent = relay_sent,
};

static void on_client_gone(void *owner, enum close_reason reason);
static void on_client_closed(void *owner);
static void on_client_opened(void *owner);
static const struct client_ops client_ops = { .identified = relay_identified,
                                              .welcome = relay_welcome,
                                              .opened = on_client_opened,
                                              .gone = on_client_gone,
                                              .closed = on_client_closed };

static void on_dialled(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo,
                       unsigned attempts);
static void on_dial_failed(void *owner, const struct dial_failure *why);
static void on_upstream_opened(void *owner);
static void on_upstream_freed(void *owner);
const struct dial_ops relay_dial_ops = { .done = on_dialled,
                                         .failed = on_dial_failed,
                                         .ends = relay_ends,
                                         .tell = relay_tell,
                                         .opened = on_upstream_opened,
                                         .freed = on_upstream_freed };

void relay_reserve(struct session *s, long octets)
{
    s->reserved += octets;
    logger_reserve(s->trace.log, octets);
}

static void free_session(struct grave *g)
{
    struct session *s = CONTAINER_OF(g, struct session, grave);
    client_free(&s->client);
    logger_forget(s->trace.log, &s->recorder);
    smtp_steps_free(&s->held);
    offer_unref(&s->offer);
    relay_auth_free(s);
    free(s->hostname);
    free(s->helo);
    free(s->helo_told);
    free(s->forwarded);
    settings_unref(&s->settings);
    free(s);
}

void session_check_end(struct session *s)
{
    if (!s->client_closed || s->dead || s->upstreams > 0 || s->dial != NULL || s->reverse != NULL)
        return;
    s->dead = true;
    worker_session_ended(s->w, &s->node);
    if (s->counted)
        limits_leave(s->w->limits, s->listener, &s->counted_as);
    loop_bury(&s->w->loop, &s->grave, free_session);
}

static void on_upstream_opened(void *owner)
{
    struct session *s = owner;
    s->upstreams++;
}

static void on_upstream_freed(void *owner)
{
    struct session *s = owner;
    s->upstreams--;
    session_check_end(s);
}

void session_dial(struct session *s, enum dial_purpose purpose, size_t skip)
{
    s->purpose = purpose;
    s->dial_began = s->w->loop.mono;
    s->dial = dial_start(s->w, &s->trace, &s->set->upstream, skip, &relay_dial_ops, s);
}

void session_dial_one(struct session *s, size_t server)
{
    s->purpose = DIAL_MAIL;
    s->dialled = server;
    s->dial_began = s->w->loop.mono;
    s->dial = dial_server(s->w, &s->trace, &s->set->upstream, server, &relay_dial_ops, s);
}

static void on_dialled(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo, unsigned attempts)
{
    struct session *s = owner;
    uint64_t tried = dial_tried(s->dial);
    s->dial = NULL;
    s->dial_took = s->w->loop.mono - s->dial_began;
    relay_learn_offer(s, u, ehlo);
    bool lacks = s->purpose == DIAL_MAIL && (s->needs & ~relay_offer(s)->caps.set) != 0;
    if (lacks)
        relay_note_lack(s, server, tried);
    if (lacks && !s->bound && relay_next_server(s, server)) {
        upstream_quit(&u);
        return;
    }
    if (lacks) {
        relay_take_idle_upstream(s, u, server, attempts);
        relay_no_upstream(s, relay_lack_reply(s));
        return;
    }
    if (s->state == RELAY_MAIL) {
        relay_take_idle_upstream(s, u, server, attempts);
        if (relay_refuses_untold(s)) {
            relay_no_upstream(s, SMTP_OWN_IDENTITY_UNTOLD);
            return;
        }
    }
    relay_take_upstream(s, u, server, attempts);
    if (s->purpose == DIAL_GREETING)
        client_greet(&s->client);
    relay_answer_helo(s);
}

static void on_dial_failed(void *owner, const struct dial_failure *why)
{
    struct session *s = owner;
    s->dial = NULL;
    const struct smtp_reply *own =
        smtp_reply_own(why->busy ? SMTP_OWN_TOO_MANY_CONNECTIONS : SMTP_OWN_UPSTREAM_UNREACHABLE);
    if (s->helo_open)
        s->purpose = DIAL_HELO;
    if (why->judged != NULL && s->purpose != DIAL_GREETING) {
        relay_judged(s, why->judged);
        session_check_end(s);
        return;
    }
    switch (s->purpose) {
    case DIAL_GREETING:
        client_bye(&s->client, why->greeting != NULL ? why->greeting : own, CLOSE_UPSTREAM);
        break;
    case DIAL_HELO:
        client_bye(&s->client, own, CLOSE_UPSTREAM);
        break;
    case DIAL_MAIL:
        s->unasked = true;
        if (s->passed != 0 && relay_next_server(s, s->dialled))
            return;
        relay_no_upstream(s, s->passed != 0 ? SMTP_OWN_LACKS_EXTENSION
                             : s->retried   ? SMTP_OWN_UPSTREAM_LOST
                                            : SMTP_OWN_RECONNECT_FAILED);
        break;
    }
    session_check_end(s);
}

static unsigned relay_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line)
{
    struct session *s = owner;
    unsigned txn = s->txn != NULL ? s->txn_number : 0;
    if (verb == SMTP_VERB_MAIL && s->txn == NULL)
        txn = s->txn_number + 1;
    client_log_command(&s->client, txn, verb_name, line);
    return txn;
}

static void relay_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since)
{
    struct session *s = owner;
    if (verb == SMTP_VERB_RSET && reply->code == 250)
        relay_forget_forwarded(s);
    bool ours = s->client.smtp.state == SMTP_SERVER_CLOSED; /* in place of the one that is not for the log */
    if (UNLIKELY(s->hide_reply && !ours))
        client_send_hidden(&s->client, tag, reply, since);
    else
        client_send_reply(&s->client, tag, reply, since);
}

static void on_client_gone(void *owner, enum close_reason reason)
{
    struct session *s = owner;
    (void)reason;
    s->client_gone = true;
    s->helo_open = false;
    relay_client_gone(s);
    relay_auth_client_gone(s);
    relay_sync_forget(s);
    dns_cancel(&s->reverse);
    dial_cancel(&s->dial);
    smtp_steps_free(&s->held);
    if (s->state != RELAY_END)
        upstream_quit(&s->up);
}

static void on_client_closed(void *owner)
{
    struct session *s = owner;
    s->client_closed = true;
    session_check_end(s);
}

static void on_client_opened(void *owner)
{
    struct session *s = owner;
    if (s->verdict != LIMITS_OK)
        relay_turn_away(s);
    else if (s->set->upstream.connect == CONNECT_CONNECTION)
        session_dial(s, DIAL_GREETING, s->set->upstream.servers);
    else
        client_greet(&s->client);
}

static void relay_starttls(void *owner, smtp_slot slot)
{
    struct session *s = owner;
    client_starttls(&s->client, slot);
    if (s->client.ssl_next == NULL)
        return;
    relay_forget_hello(s);
    relay_forget_forwarded(s);
    relay_forget_told(s);
    if (s->logged_in) {
        trace_deauth(&s->trace, "STARTTLS");
        relay_forget_login(s);
    }
    s->protocol = relay_first_protocol(s);
}

static void on_reverse(void *arg, const struct dns_answer *answer)
{
    struct session *s = arg;
    s->reverse = NULL;
    if (answer->result == DNS_FOUND) {
        s->hostname = strdup(answer->name);
        s->client.peer.hostname = s->hostname;
    }
    s->name_unsure = answer->result == DNS_TEMPFAIL;
    if (s->dial != NULL)
        dial_go_on(s->dial);
    relay_answer_helo(s);
}

static void look_up_name(struct session *s)
{
    struct dns_answer now;
    if (!s->set->server.reverse_dns || s->name_told)
        return;
    s->reverse = dns_reverse(s->w->dns, &s->peer, s->set->timeouts.dns, &now, on_reverse, s);
    if (s->reverse == NULL && now.result == DNS_FOUND)
        s->hostname = strdup(now.name);
    s->name_unsure = s->reverse == NULL && now.result == DNS_TEMPFAIL;
}

void relay_admit(struct session *s)
{
    const struct settings *set = s->settings;
    s->counted = true;
    s->counted_as = s->peer;
    s->verdict = limits_enter(s->w->limits, s->listener, &s->peer, &set->limits, &s->set->limits, s->w->loop.mono);
    if (s->verdict == LIMITS_OK && set->limits.memory > 0 && worker_memory(s->w) > set->limits.memory)
        s->verdict = LIMITS_FULL;
    if (s->verdict == LIMITS_OK)
        look_up_name(s);
}

static struct session *session_new(struct worker *w, const struct accepted *a)
{
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        abort();
    s->w = w;
    s->settings = settings_ref(a->settings);
    s->set = a->set;
    s->listener = a->listener;
    s->peer = a->peer;
    s->dest = a->local;
    s->protocol = relay_first_protocol(s);
    list_init(&s->held);
    s->trace = (struct trace){ .log = w->logger, .loop = &w->loop, .component = span_str(a->settings->log.component) };
    s->trace.hostname = &s->hostname;
    s->trace.own_prints = s->set->upstream.password_prints;
    s->recorder.pool = &w->loop.pool;
    if (a->settings->log.transcript == TRANSCRIPT_FAILED)
        s->trace.kept = &s->recorder;
    s->trace.quiet = cidr_list_contains(&a->settings->log.ignore_clients, &a->peer);
    worker_make_cid(w, s->trace.cid);
    netaddr_print_ip(&a->peer, s->trace.host);
    return s;
}

static void open_client(struct session *s, const struct accepted *a)
{
    struct smtp_server_config config = engine_config(s->settings, s->set);
    struct trace_peer peer = {
        .side = SIDE_CLIENT, .remote = a->peer, .local = a->local, .listener = s->set->name, .hostname = s->hostname
    };
    client_open(&s->client, &s->w->loop, a->fd, &s->trace, &peer, s->set, &config, &server_ops, &client_ops, s);
    relay_permit(s);
}

static void session_accept(struct worker *w, const struct accepted *a)
{
    struct session *s = session_new(w, a);
    bool header = client_awaits_header(a->set, &a->peer);
    worker_session_began(w, &s->node);
    if (!header)
        relay_admit(s);
    open_client(s, a);
    if (!header)
        relay_welcome(s);
}

static void session_shutdown(struct list *node)
{
    struct session *s = LIST_ENTRY(node, struct session, node);
    s->client.smtp.spared = atomic_load(&s->w->handed_over);
    if (s->client.smtp.spared && s->client.phase < CLIENT_OPEN) {
        s->client.smtp.shutdown = true;
    } else if (s->client.phase == CLIENT_OPEN) {
        smtp_server_shutdown(&s->client.smtp);
        client_run(&s->client);
    } else {
        client_bye(&s->client, smtp_reply_own(SMTP_OWN_SHUTDOWN), CLOSE_SHUTDOWN);
    }
}

static void session_kill(struct list *node)
{
    struct session *s = LIST_ENTRY(node, struct session, node);
    if (s->state == RELAY_END)
        relay_finish(s, STATUS_INDETERMINATE, STAGE_END, BY_SMTPTAP, smtp_reply_own(SMTP_OWN_SHUTDOWN));
    relay_sync_give_up(s);
    client_bye(&s->client, smtp_reply_own(SMTP_OWN_SHUTDOWN), CLOSE_SHUTDOWN);
    upstream_drop(&s->up, CLOSE_SHUTDOWN);
    if (s->client.phase == CLIENT_LINGER)
        client_kill(&s->client, CLOSE_SHUTDOWN);
}

const struct worker_ops relay_worker_ops = {
    .accept = session_accept, .shutdown = session_shutdown, .kill = session_kill, .served = relay_sync_served
};
