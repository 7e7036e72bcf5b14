/* The dialogue of a client: greeting, commands, replies, deadlines, the log's brake. Input is worked off in
 * client_run(), which goes on until the engine wants bytes, a reply, or the end; then the deadline and the interest in
 * reading are set, in one place. */
#include <errno.h>
#include <stdio.h>

#include "common/smtp/secret.h"
#include "proxy/net/tls.h"
#include "proxy/relay/client_impl.h"
#include "proxy/worker.h"

enum { INPUT_MAX = 65536, DATA_STALL = 1024 };

static void on_readable(void *owner);
static void on_drained(void *owner);
static void on_broken(void *owner, int err);
static void on_timer(struct timer *t);
static const struct stream_ops stream_ops = {
    .readable = on_readable, .drained = on_drained, .broken = on_broken, .secured = client_secured
};

static enum close_reason reason_of(enum smtp_close reason)
{
    switch (reason) {
    case SMTP_CLOSE_NONE:
        return CLOSE_NONE;
    case SMTP_CLOSE_QUIT:
        return CLOSE_QUIT;
    case SMTP_CLOSE_PROTOCOL:
        return CLOSE_PROTOCOL;
    case SMTP_CLOSE_LIMIT:
        return CLOSE_LIMIT;
    case SMTP_CLOSE_UPSTREAM:
        return CLOSE_UPSTREAM;
    case SMTP_CLOSE_SHUTDOWN:
        return CLOSE_SHUTDOWN;
    case SMTP_CLOSE_TIMEOUT:
        return CLOSE_TIMEOUT;
    }
    return CLOSE_NONE;
}

void client_set_timer(struct client *c, enum client_wait wait, usec_t duration)
{
    c->wait = wait;
    loop_timer(c->loop, &c->timer, duration);
}

void client_clear_timer(struct client *c)
{
    c->wait = WAIT_NONE;
    timer_clear(&c->timer);
}

void client_open(struct client *c, struct loop *loop, int fd, struct trace *trace, const struct trace_peer *peer,
                 const struct listener_settings *set, const struct smtp_server_config *config,
                 const struct smtp_server_ops *smtp_ops, const struct client_ops *ops, void *owner)
{
    *c = (struct client){ .loop = loop, .trace = trace, .set = set, .ops = ops, .owner = owner, .peer = *peer };
    c->totals.opened = loop->mono;
    list_init(&c->blocked);
    timer_init(&c->timer, on_timer);
    smtp_server_init(&c->smtp, config, smtp_ops, owner, &loop->pool);
    stream_open(&c->stream, loop, fd, false, &stream_ops, c);
    c->phase = CLIENT_HELD;
    if (client_awaits_header(set, &peer->remote))
        client_proxy_begin(c);
    else
        client_announce(c);
}

static void write_line(struct client *c, const char *text)
{
    buf_append(stream_out(&c->stream), text, strlen(text));
    stream_wrote(&c->stream);
}

struct smtp_reply client_greeting(const struct client *c, char *line, size_t size)
{
    const struct server_settings *s = &c->set->server;
    const char *blank = s->banner[0] != '\0' ? " " : "";
    const char *word = s->protocol == PROTOCOL_LMTP ? "LMTP" : "ESMTP";
    int n = snprintf(line, size, "220 %s %s%s%s\r\n", s->hostname, word, blank, s->banner);
    if (n < 0 || (size_t)n >= size)
        memcpy(line + size - 3, "\r\n", 3);
    return smtp_reply_read(span_str(line));
}

static void say_greeting(struct client *c)
{
    char line[600];
    struct smtp_reply reply = client_greeting(c, line, sizeof(line));
    c->phase = CLIENT_OPEN;
    write_line(c, line);
    trace_reply(c->trace, SIDE_CLIENT, 0, &reply, c->loop->mono - c->totals.opened);
}

void client_greet(struct client *c)
{
    if (c->phase != CLIENT_HELD)
        return;
    if (c->set->server.greet_delay > 0) {
        c->phase = CLIENT_DELAY;
        client_set_timer(c, WAIT_OTHER, c->set->server.greet_delay);
        return;
    }
    say_greeting(c);
    client_run(c);
}

enum close_reason client_reason(const struct client *c)
{
    enum close_reason engines = reason_of(c->smtp.close_reason);
    return engines != CLOSE_NONE ? engines : c->reason;
}

void client_free(struct client *c)
{
    tls_ssl_free(&c->ssl_next);
    smtp_server_free(&c->smtp);
}

void client_log_command(struct client *c, unsigned txn, const char *verb_name, struct span line)
{
    trace_command(c->trace, SIDE_CLIENT, txn, verb_name, line);
}

static void send_reply(struct client *c, unsigned txn, const struct smtp_reply *reply, const struct smtp_reply *shown,
                       usec_t since)
{
    if (c->phase >= CLIENT_LINGER)
        return; /* nobody is there to take it */
    buf_append_span(stream_out(&c->stream), reply->wire);
    stream_wrote(&c->stream);
    trace_reply(c->trace, SIDE_CLIENT, txn, shown, since > 0 ? c->loop->mono - since : 0);
}

void client_send_reply(struct client *c, unsigned txn, const struct smtp_reply *reply, usec_t since)
{
    send_reply(c, txn, reply, reply, since);
}

void client_send_hidden(struct client *c, unsigned txn, const struct smtp_reply *reply, usec_t since)
{
    char text[SMTP_HIDDEN_LEN];
    struct smtp_reply shown = smtp_reply_hidden(reply, text);
    send_reply(c, txn, reply, &shown, since);
}

/* Whether the log lets this session go on; a blocked one waits in the worker's list. */
static bool log_has_room(struct client *c)
{
    enum log_state state = logger_state(c->trace->log);
    c->smtp.tempfail = state == LOG_TEMPFAIL;
    if (state != LOG_BLOCKED)
        return true;
    if (list_empty(&c->blocked))
        worker_wait_for_log(CONTAINER_OF(c->loop, struct worker, loop), &c->blocked);
    return false;
}

/* A line that is too long counts as a command from where that is seen, but it has not ended yet. */
static void arm_command(struct client *c)
{
    unsigned ended = c->smtp.commands - (c->smtp.state == SMTP_SERVER_SKIP_LINE);
    if (c->wait == WAIT_COMMAND && c->wait_mark == ended)
        return;
    c->wait_mark = ended;
    client_set_timer(c, WAIT_COMMAND, c->set->timeouts.command);
}

/* A pause of `data`, or under 1 KiB in that time, is a stall (protocol.md I). False: it is one. */
static bool arm_data(struct client *c)
{
    usec_t window = c->set->timeouts.data;
    if (c->wait != WAIT_DATA || c->loop->mono - c->data_began >= window) {
        if (c->wait == WAIT_DATA && c->stream.bytes_in - c->data_mark < DATA_STALL)
            return false;
        c->data_began = c->loop->mono;
        c->data_mark = c->stream.bytes_in;
    }
    client_set_timer(c, WAIT_DATA, window);
    return true;
}

/* The deadline for what is awaited from the client; nothing is awaited while a reply is due from the backend. */
static bool arm(struct client *c, bool held)
{
    bool body = c->smtp.state == SMTP_SERVER_BODY || c->smtp.state == SMTP_SERVER_SKIP_CHUNK ||
                c->smtp.state == SMTP_SERVER_CHUNK;
    bool line = c->smtp.state == SMTP_SERVER_SKIP_LINE;
    if (held || c->paused || (!smtp_server_idle(&c->smtp) && !body && !line))
        client_clear_timer(c);
    else if (body)
        return arm_data(c);
    else
        arm_command(c);
    return true;
}

static enum smtp_server_want work(struct client *c, bool *held)
{
    enum smtp_server_want want = SMTP_WANT_INPUT;
    *held = false;
    while (c->phase == CLIENT_OPEN && !c->paused && stream_unsent(&c->stream) <= STREAM_HIGH) {
        *held = !log_has_room(c);
        if (*held)
            break;
        size_t used = smtp_server_step(&c->smtp, buf_span(&c->stream.in), c->loop->mono, &want);
        if (c->phase != CLIENT_OPEN)
            break;
        if (UNLIKELY(c->smtp.secret))
            buf_consume_secret(&c->stream.in, used);
        else if (used > 0)
            buf_consume(&c->stream.in, used);
        if (client_begin_starttls(c))
            break;
        if (want != SMTP_WANT_STEP)
            break;
    }
    return want;
}

/* What follows from where the engine came to rest. */
static void settle(struct client *c, enum smtp_server_want want, bool held)
{
    if (want == SMTP_WANT_CLOSE || c->smtp.state == SMTP_SERVER_CLOSED) {
        client_leave(c, reason_of(c->smtp.close_reason));
        return;
    }
    if (c->ssl_next != NULL) { /* the 220 has not left yet: on_drained() goes on */
        arm_command(c);
        return;
    }
    if (c->stream.eof && want == SMTP_WANT_INPUT && !held && !c->paused && stream_unsent(&c->stream) <= STREAM_HIGH) {
        bool idle = smtp_server_idle(&c->smtp) || c->smtp.state != SMTP_SERVER_COMMANDS;
        if (idle) {
            client_leave(c, CLOSE_GONE);
            return;
        }
    }
    if (!arm(c, held)) {
        client_bye(c, smtp_reply_own(SMTP_OWN_IDLE), CLOSE_TIMEOUT);
        return;
    }
    bool text = c->smtp.state == SMTP_SERVER_BODY || c->smtp.state == SMTP_SERVER_CHUNK;
    stream_wipe_input(&c->stream, !text);
    stream_read(&c->stream,
                !held && !c->paused && buf_len(&c->stream.in) < INPUT_MAX && stream_unsent(&c->stream) <= STREAM_HIGH);
}

void client_run(struct client *c)
{
    if (c->running) {
        c->again = true;
        return;
    }
    c->running = true;
    do {
        c->again = false;
        if (c->phase != CLIENT_OPEN || client_begin_starttls(c))
            break;
        bool held;
        enum smtp_server_want want = work(c, &held);
        if (c->phase == CLIENT_OPEN)
            settle(c, want, held);
    } while (c->again);
    c->running = false;
}

void client_pause(struct client *c, bool on)
{
    if (c->paused == on)
        return;
    c->paused = on;
    if (!on)
        client_run(c);
}

static void early_talk(struct client *c)
{
    trace_error(c->trace, SIDE_CLIENT, 0, ERR_EARLY_TALKER, NULL, NULL, NULL);
    client_refuse(c, smtp_reply_own(SMTP_OWN_EARLY_TALKER), CLOSE_PROTOCOL);
}

static void on_readable(void *owner)
{
    struct client *c = owner;
    switch (c->phase) {
    case CLIENT_PROXY:
        client_proxy_readable(c);
        break;
    case CLIENT_HELD:
        if (c->stream.eof)
            client_leave(c, CLOSE_GONE);
        else if (buf_len(&c->stream.in) >= INPUT_MAX)
            stream_read(&c->stream, false);
        break;
    case CLIENT_DELAY:
        if (c->stream.eof)
            client_leave(c, CLOSE_GONE);
        else
            early_talk(c);
        break;
    case CLIENT_OPEN:
        client_run(c);
        break;
    case CLIENT_LINGER:
        client_linger_readable(c);
        break;
    case CLIENT_TLS:
    case CLIENT_GONE:
        break;
    }
}

static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->phase == CLIENT_LINGER)
        client_linger_drained(c);
    else
        client_run(c);
}

static void on_broken(void *owner, int err)
{
    struct client *c = owner;
    bool by_tls = err == EPROTO && c->stream.ssl != NULL;
    c->lost = true;
    if (c->phase == CLIENT_LINGER) {
        client_finish(c);
        return;
    }
    if (by_tls)
        client_note_broken_tls(c);
    client_leave(c, by_tls ? CLOSE_TLS : CLOSE_GONE);
}

static void on_timer(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    switch (c->phase) {
    case CLIENT_DELAY:
        say_greeting(c);
        client_run(c);
        break;
    case CLIENT_OPEN:
        client_bye(c, smtp_reply_own(SMTP_OWN_IDLE), CLOSE_TIMEOUT);
        break;
    case CLIENT_PROXY:
        client_proxy_late(c);
        break;
    case CLIENT_TLS:
        client_kill(c, CLOSE_TIMEOUT);
        break;
    case CLIENT_LINGER:
        client_finish(c);
        break;
    case CLIENT_HELD:
    case CLIENT_GONE:
        break;
    }
}
