/* Input is worked off in client_run(), which goes on until the engine wants bytes, a reply, or the end; then the
 * deadline and the interest in reading are set, in one place. */
#include "proxy/relay/client.h"

#include "proxy/relay/client_proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/smtp/secret.h"
#include "proxy/net/tls.h"
#include "proxy/worker.h"

enum { LINGER_WAIT = 2 * USEC_PER_SEC, LINGER_BYTES = 65536, INPUT_MAX = 65536, DATA_STALL = 1024 };

static void on_readable(void *owner);
static void on_drained(void *owner);
static void on_broken(void *owner, int err);
static void on_timer(struct timer *t);
static void on_secured(void *owner, const char *why);
static const struct stream_ops stream_ops = {
    .readable = on_readable, .drained = on_drained, .broken = on_broken, .secured = on_secured
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

static void set_timer(struct client *c, enum client_wait wait, usec_t duration)
{
    c->wait = wait;
    loop_timer(c->loop, &c->timer, duration);
}

static void clear_timer(struct client *c)
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

static void start_tls(struct client *c, struct ssl_st *ssl)
{
    c->phase = CLIENT_TLS;
    c->tls_began = c->loop->mono;
    if (!c->header_timed) /* one time for the header and the handshake */
        set_timer(c, WAIT_OTHER, c->set->timeouts.greeting);
    stream_start_tls(&c->stream, ssl);
}

void client_begin(struct client *c)
{
    if (c->set->server.tls != SERVER_TLS_IMPLICIT) {
        c->ops->opened(c->owner);
        return;
    }
    struct ssl_st *ssl = tls_server_ssl(c->set->tls_server);
    if (ssl != NULL)
        start_tls(c, ssl);
    else
        client_kill(c, CLOSE_TLS);
}

/* The input behind the command is still with the engine: the handshake begins when it has come to rest. */
void client_starttls(struct client *c, smtp_slot slot)
{
    c->ssl_next = tls_server_ssl(c->set->tls_server);
    smtp_server_own(&c->smtp, slot, c->ssl_next != NULL ? SMTP_OWN_TLS_READY : SMTP_OWN_TLS_UNAVAILABLE);
}

/* T7: what was sent in clear behind STARTTLS is thrown away before the 220 leaves. True: not to be read on in clear. */
static bool begin_starttls(struct client *c)
{
    if (c->ssl_next == NULL || c->smtp.state == SMTP_SERVER_CLOSED)
        return false;
    if (stream_unsent(&c->stream) > 0) /* else the 220 has left, and a ClientHello may be there */
        stream_discard_input(&c->stream);
    if (stream_push(&c->stream) && stream_unsent(&c->stream) == 0) {
        struct ssl_st *ssl = c->ssl_next;
        c->ssl_next = NULL;
        start_tls(c, ssl);
    }
    return true;
}

void client_greet(struct client *c)
{
    if (c->phase != CLIENT_HELD)
        return;
    if (c->set->server.greet_delay > 0) {
        c->phase = CLIENT_DELAY;
        set_timer(c, WAIT_OTHER, c->set->server.greet_delay);
        return;
    }
    say_greeting(c);
    client_run(c);
}

/* The end of the connection. */
static void finish(struct client *c)
{
    if (c->phase == CLIENT_GONE)
        return;
    c->phase = CLIENT_GONE;
    clear_timer(c);
    list_remove(&c->blocked);
    c->totals.bytes_in = c->stream.bytes_in;
    c->totals.bytes_out = c->stream.bytes_out;
    c->totals.commands = c->smtp.commands;
    c->totals.errors = c->smtp.errors;
    stream_close(&c->stream);
    client_announce(c);
    trace_close(c->trace, &c->peer, &c->totals, c->reason);
    c->ops->closed(c->owner);
}

/* The end of the dialogue. What was said still leaves; then FIN; then input is thrown away, or it would turn into a RST
 * and the reply be lost. */
static void leave(struct client *c, enum close_reason reason)
{
    if (c->phase >= CLIENT_LINGER)
        return;
    c->reason = reason;
    bool ended = c->lost || c->stream.eof;
    c->phase = CLIENT_LINGER;
    list_remove(&c->blocked);
    clear_timer(c);
    c->ops->gone(c->owner, reason);
    if (c->phase != CLIENT_LINGER)
        return;
    stream_flush(&c->stream);
    if (c->phase != CLIENT_LINGER)
        return;
    if (ended && (c->lost || stream_unsent(&c->stream) == 0)) {
        finish(c);
        return;
    }
    buf_consume_secret(&c->stream.in, buf_len(&c->stream.in));
    if (stream_unsent(&c->stream) == 0)
        stream_shutdown(&c->stream);
    stream_read(&c->stream, true);
    set_timer(c, WAIT_OTHER, LINGER_WAIT);
}

void client_refuse(struct client *c, const struct smtp_reply *reply, enum close_reason reason)
{
    buf_append_span(stream_out(&c->stream), reply->wire);
    stream_wrote(&c->stream);
    c->smtp.errors++;
    trace_reply(c->trace, SIDE_CLIENT, 0, reply, c->loop->mono - c->totals.opened);
    leave(c, reason);
}

void client_bye(struct client *c, const struct smtp_reply *reply, enum close_reason reason)
{
    if (c->phase >= CLIENT_LINGER)
        return;
    if (c->phase <= CLIENT_TLS &&
        c->phase != CLIENT_HELD) { /* no word can be said before a header, or in a handshake */
        client_kill(c, reason);
        return;
    }
    if (c->phase != CLIENT_OPEN) {
        client_refuse(c, reply, reason);
        return;
    }
    smtp_server_close(&c->smtp, reply, SMTP_CLOSE_NONE);
    leave(c, reason);
}

void client_end(struct client *c, enum close_reason reason)
{
    c->smtp.state = SMTP_SERVER_CLOSED;
    leave(c, reason);
}

void client_kill(struct client *c, enum close_reason reason)
{
    c->lost = true;
    leave(c, reason);
    finish(c);
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

/* A peer that has sent FIN may have closed wholly: then our bytes bring a RST, or are never acknowledged. */
static bool half_closed_peer_took_it(const struct client *c)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (getsockopt(c->stream.fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return true;
    return info.tcpi_state != TCP_CLOSE && info.tcpi_unacked == 0;
}

bool client_is_there(struct client *c)
{
    if (c->lost || !stream_is_open(&c->stream))
        return false;
    if (!c->stream.eof)
        return c->stream.error == 0;
    return stream_push(&c->stream) && half_closed_peer_took_it(c);
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
    set_timer(c, WAIT_COMMAND, c->set->timeouts.command);
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
    set_timer(c, WAIT_DATA, window);
    return true;
}

/* The deadline for what is awaited from the client; nothing is awaited while a reply is due from the backend. */
static bool arm(struct client *c, bool held)
{
    bool body = c->smtp.state == SMTP_SERVER_BODY || c->smtp.state == SMTP_SERVER_SKIP_CHUNK ||
                c->smtp.state == SMTP_SERVER_CHUNK;
    bool line = c->smtp.state == SMTP_SERVER_SKIP_LINE;
    if (held || c->paused || (!smtp_server_idle(&c->smtp) && !body && !line))
        clear_timer(c);
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
        if (begin_starttls(c))
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
        leave(c, reason_of(c->smtp.close_reason));
        return;
    }
    if (c->ssl_next != NULL) { /* the 220 has not left yet: on_drained() goes on */
        arm_command(c);
        return;
    }
    if (c->stream.eof && want == SMTP_WANT_INPUT && !held && !c->paused && stream_unsent(&c->stream) <= STREAM_HIGH) {
        bool idle = smtp_server_idle(&c->smtp) || c->smtp.state != SMTP_SERVER_COMMANDS;
        if (idle) {
            leave(c, CLOSE_GONE);
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
        if (c->phase != CLIENT_OPEN || begin_starttls(c))
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

static void throw_away(struct client *c)
{
    c->drained += buf_len(&c->stream.in);
    buf_consume_secret(&c->stream.in, buf_len(&c->stream.in));
    if (c->stream.eof || c->drained > LINGER_BYTES)
        finish(c);
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
            leave(c, CLOSE_GONE);
        else if (buf_len(&c->stream.in) >= INPUT_MAX)
            stream_read(&c->stream, false);
        break;
    case CLIENT_DELAY:
        if (c->stream.eof)
            leave(c, CLOSE_GONE);
        else
            early_talk(c);
        break;
    case CLIENT_OPEN:
        client_run(c);
        break;
    case CLIENT_LINGER:
        throw_away(c);
        break;
    case CLIENT_TLS:
    case CLIENT_GONE:
        break;
    }
}

static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->phase != CLIENT_LINGER)
        client_run(c);
    else if (stream_unsent(&c->stream) == 0 && c->stream.eof)
        finish(c);
    else if (stream_unsent(&c->stream) == 0)
        stream_shutdown(&c->stream);
}

static void note_broken_tls(const struct client *c)
{
    char why[128];
    tls_print_error(c->stream.tls_error, why, sizeof(why));
    trace_error(c->trace, SIDE_CLIENT, 0, ERR_TLS_BROKEN, NULL, NULL, c->stream.tls_error != 0 ? why : NULL);
}

static void on_broken(void *owner, int err)
{
    struct client *c = owner;
    bool by_tls = err == EPROTO && c->stream.ssl != NULL;
    c->lost = true;
    if (c->phase == CLIENT_LINGER) {
        finish(c);
        return;
    }
    if (by_tls)
        note_broken_tls(c);
    leave(c, by_tls ? CLOSE_TLS : CLOSE_GONE);
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
        finish(c);
        break;
    case CLIENT_HELD:
    case CLIENT_GONE:
        break;
    }
}

/* G5: a handshake that fails is not answered in words. */
static void on_secured(void *owner, const char *why)
{
    struct client *c = owner;
    if (c->phase != CLIENT_TLS)
        return;
    if (why != NULL) {
        trace_error(c->trace, SIDE_CLIENT, 0, ERR_TLS_HANDSHAKE, NULL, NULL, why[0] != '\0' ? why : NULL);
        client_kill(c, CLOSE_TLS);
        return;
    }
    struct tls_info info;
    bool implicit = c->set->server.tls == SERVER_TLS_IMPLICIT;
    tls_describe(c->stream.ssl, &info);
    c->tls_version = info.version;
    c->tls_cipher = info.cipher;
    trace_starttls(c->trace, SIDE_CLIENT, &info, implicit, c->loop->mono - c->tls_began);
    clear_timer(c);
    smtp_server_secured(&c->smtp);
    c->phase = implicit ? CLIENT_HELD : CLIENT_OPEN;
    if (implicit) {
        c->ops->opened(c->owner);
        return;
    }
    client_run(c);
}
