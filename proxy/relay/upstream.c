/* An upstream's life: its connection, its engine and the one timer of what is awaited; the records of its dialogue.
 * The connect is not watched for writing: a server speaks first, so its greeting, or the failure, makes the socket
 * readable.
 *
 * Invariants: after finish() the stream is closed, the close record written (if there was a connection record), and
 * nothing calls the owner any more. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/smtp/secret.h"
#include "proxy/relay/upstream_impl.h"

enum { QUIT_WAIT = 2 * USEC_PER_SEC };

static void on_readable(void *owner);
static void on_drained(void *owner);
static void on_broken(void *owner, int err);
static const struct stream_ops stream_ops = {
    .readable = on_readable, .drained = on_drained, .broken = on_broken, .secured = upstream_secured
};

static void on_command(void *owner, const struct smtp_step *step);
static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
static void on_early(void *owner, const struct smtp_reply *reply);
static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply);
static const struct smtp_client_ops smtp_ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

static void free_upstream(struct grave *g)
{
    struct upstream *u = CONTAINER_OF(g, struct upstream, grave);
    smtp_client_free(&u->smtp);
    if (u->freed != NULL)
        u->freed(u->freed_arg);
    free(u);
}

static void count_out(struct upstream *u)
{
    if (u->count != NULL)
        atomic_fetch_sub(u->count, 1);
    u->count = NULL;
}

/* The one way out. */
static void finish(struct upstream *u, enum close_reason reason)
{
    if (u->closed)
        return;
    u->closed = true;
    count_out(u);
    u->owner = NULL;
    u->smtp.state = SMTP_CLIENT_DEAD;
    timer_clear(&u->timer);
    list_remove(&u->closing.node);
    u->totals.bytes_in = u->stream.bytes_in;
    u->totals.bytes_out = u->stream.bytes_out;
    if (UNLIKELY(u->refused_yes))
        stream_abort(&u->stream);
    else
        stream_close(&u->stream);
    if (u->connected)
        trace_close(u->trace, &u->peer, &u->totals, reason);
    loop_bury(u->loop, &u->grave, free_upstream);
}

void upstream_lose(struct upstream *u, const struct upstream_loss *loss, enum close_reason reason)
{
    void *owner = u->owner;
    if (u->closed)
        return;
    u->owner = NULL;
    count_out(u); /* the owner may want another in its place */
    if (owner != NULL)
        u->ops->lost(owner, loss);
    finish(u, reason);
}

static usec_t step_timeout(const struct upstream *u, const struct smtp_step *step)
{
    switch (step->kind) {
    case SMTP_STEP_GREETING:
        return u->connected ? u->set->timeouts.greeting : u->set->timeouts.connect;
    case SMTP_STEP_DATA:
        return u->set->timeouts.data_start;
    case SMTP_STEP_END:
    case SMTP_STEP_LAST:
        return u->set->timeouts.data_end;
    case SMTP_STEP_BDAT:
        return u->set->timeouts.data_block;
    case SMTP_STEP_QUIT:
        return QUIT_WAIT;
    case SMTP_STEP_XCLIENT:
    case SMTP_STEP_XFORWARD:
    case SMTP_STEP_EHLO:
    case SMTP_STEP_HELO:
    case SMTP_STEP_STARTTLS:
    case SMTP_STEP_MAIL:
    case SMTP_STEP_RCPT:
    case SMTP_STEP_RSET:
    case SMTP_STEP_AUTH:
    case SMTP_STEP_RESPONSE:
    case SMTP_STEP_PASS:
        break;
    }
    return u->set->timeouts.command;
}

/* One timer, for what is awaited now. */
void upstream_arm(struct upstream *u)
{
    if (u->closed)
        return;
    const struct smtp_step *step = smtp_client_waiting(&u->smtp);
    if (u->quitting) {
        loop_timer(u->loop, &u->timer, QUIT_WAIT);
    } else if (u->stream.handshaking) {
        loop_timer(u->loop, &u->timer, u->set->timeouts.connect);
    } else if (step != NULL && u->smtp.state != SMTP_CLIENT_CHUNK) {
        loop_timer(u->loop, &u->timer, step_timeout(u, step));
    } else if (upstream_in_body(u) && stream_unsent(&u->stream) > 0) {
        u->progress = u->stream.bytes_out;
        loop_timer(u->loop, &u->timer, u->set->timeouts.data_block);
    } else {
        timer_clear(&u->timer);
    }
}

void upstream_note_connected(struct upstream *u)
{
    if (u->connected)
        return;
    u->connected = true;
    if (!trace_wants(u->trace, LEVEL_INFO))
        return;
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);
    if (getsockname(u->stream.fd, (struct sockaddr *)&ss, &len) == 0)
        u->peer.local = netaddr_from_sockaddr((struct sockaddr *)&ss);
    trace_connection(u->trace, &u->peer);
}

static void on_timer(struct timer *t)
{
    struct upstream *u = CONTAINER_OF(t, struct upstream, timer);
    if (!u->connected && upstream_socket_connected(u->stream.fd)) {
        upstream_note_connected(u);
        upstream_arm(u);
        return;
    }
    if (upstream_in_body(u) && u->stream.bytes_out != u->progress) {
        upstream_arm(u);
        return;
    }
    if (u->quitting) {
        finish(u, CLOSE_QUIT);
        return;
    }
    struct upstream_loss loss = { .err = u->connected ? ERR_UPSTREAM_TIMEOUT : ERR_UPSTREAM_CONNECT,
                                  .sys = u->connected ? 0 : ETIMEDOUT };
    if (u->connected && u->stream.handshaking)
        loss = (struct upstream_loss){ .err = ERR_TLS_HANDSHAKE, .why = "the handshake did not end in time" };
    upstream_lose(u, &loss, CLOSE_TIMEOUT);
}

static void on_command(void *owner, const struct smtp_step *step)
{
    struct upstream *u = owner;
    u->totals.commands++;
    u->stream.secret |= smtp_step_is_secret(step);
    u->asked_tls |= step->kind == SMTP_STEP_STARTTLS;
    if (!trace_wants(u->trace, LEVEL_DEBUG))
        return;
    char shown[SMTP_STEP_SHOWN];
    struct span line = smtp_step_shown(step, shown);
    struct smtp_command cmd;
    smtp_command_parse(&cmd, line);
    trace_command(u->trace, SIDE_UPSTREAM, step->tag.txn, smtp_verb_name(cmd.verb), line);
}

bool upstream_must_hide(const struct upstream_settings *set, const struct smtp_step *step,
                        const struct smtp_reply *reply)
{
    bool ours = set->password != NULL && (step == NULL || smtp_step_is_secret(step));
    return (step != NULL && smtp_step_must_hide(step, reply)) ||
           (ours && smtp_reply_tells(reply, span_str(set->password)));
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct upstream *u = owner;
    u->said++;
    u->totals.errors += reply->code >= 400;
    char text[SMTP_HIDDEN_LEN];
    struct smtp_reply hidden;
    if (upstream_must_hide(u->set, step, reply)) {
        hidden = smtp_reply_hidden(reply, text);
        reply = &hidden;
    }
    trace_reply(u->trace, SIDE_UPSTREAM, step ? step->tag.txn : 0, reply, step ? u->loop->mono - step->since : 0);
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct upstream *u = owner;
    if (step->kind == SMTP_STEP_GREETING || step->kind == SMTP_STEP_XCLIENT)
        return;
    if (step->kind == SMTP_STEP_STARTTLS) {
        upstream_note_refused_tls(u, reply);
        return;
    }
    if (step->kind == SMTP_STEP_EHLO || step->kind == SMTP_STEP_HELO) {
        if (u->smtp.state != SMTP_CLIENT_READY)
            return;
        u->ready = true;
        u->ready_at = u->loop->mono;
        if (u->owner != NULL)
            u->ops->ready(u->owner, reply);
        return;
    }
    bool end = step->kind == SMTP_STEP_END || step->kind == SMTP_STEP_LAST;
    if (end && smtp_reply_is(reply, 2) && !u->took) {
        u->took = true;
        u->totals.messages++;
    }
    if (u->owner != NULL)
        u->ops->reply(u->owner, step, reply);
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    struct upstream *u = owner;
    if (u->owner != NULL)
        u->ops->early(u->owner, reply);
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    static const enum record_error words[] = {
        [SMTP_CLIENT_BAD_GREETING] = ERR_UPSTREAM_GREETING, [SMTP_CLIENT_BAD_EHLO] = ERR_UPSTREAM_EHLO,
        [SMTP_CLIENT_BAD_REPLY] = ERR_UPSTREAM_REPLY,       [SMTP_CLIENT_UNSOLICITED] = ERR_UPSTREAM_UNSOLICITED,
        [SMTP_CLIENT_NO_TLS] = ERR_UPSTREAM_NO_TLS,         [SMTP_CLIENT_TLS_RESIDUE] = ERR_UPSTREAM_TLS_RESIDUE,
        [SMTP_CLIENT_JUDGED] = ERR_XCLIENT_REFUSED,         [SMTP_CLIENT_NO_XCLIENT] = ERR_UPSTREAM_IDENTITY,
    };
    struct upstream *u = owner;
    char text[SMTP_HIDDEN_LEN];
    struct smtp_reply hidden;
    bool known = fault == SMTP_CLIENT_BAD_REPLY || fault == SMTP_CLIENT_UNSOLICITED; /* it may know our password */
    if (known && reply != NULL && upstream_must_hide(u->set, NULL, reply)) {
        hidden = smtp_reply_hidden(reply, text);
        reply = &hidden;
    }
    struct upstream_loss loss = { .err = words[fault], .reply = reply };
    u->refused_yes = fault == SMTP_CLIENT_UNSOLICITED && u->smtp.before_end;
    upstream_lose(u, &loss, CLOSE_PROTOCOL);
}

static void lose_at_eof(struct upstream *u)
{
    if (u->quitting) {
        finish(u, CLOSE_QUIT);
        return;
    }
    struct upstream_loss loss = { .err = ERR_UPSTREAM_LOST };
    upstream_lose(u, &loss, CLOSE_GONE);
}

/* Asked where it counts: it is a system call. */
static bool has_unsent(const struct upstream *u)
{
    const struct smtp_step *step = smtp_client_waiting(&u->smtp);
    if (stream_unsent(&u->stream) > 0)
        return true;
    bool counts = step != NULL && smtp_step_ends_octets(step) && u->at->kind != ENDPOINT_UNIX;
    return counts && stream_unacknowledged(&u->stream);
}

/* Bytes that end no reply don't move the deadline. */
static void on_readable(void *owner)
{
    struct upstream *u = owner;
    bool moved = !u->connected;
    unsigned said = u->said;
    upstream_note_connected(u);
    while (!u->closed && !buf_empty(&u->stream.in)) {
        u->smtp.unsent = has_unsent(u);
        size_t used = smtp_client_feed(&u->smtp, buf_span(&u->stream.in), stream_out(&u->stream), u->loop->mono);
        if (u->closed || used == 0)
            break;
        buf_consume(&u->stream.in, used);
    }
    if (u->closed)
        return;
    if (u->smtp.state == SMTP_CLIENT_HANDSHAKE && !u->stream.eof) {
        upstream_start_tls(u);
        return;
    }
    stream_wrote(&u->stream);
    if (moved || u->said != said || !timer_is_set(&u->timer))
        upstream_arm(u);
    if (u->owner != NULL)
        u->ops->settled(u->owner);
    if (u->stream.eof && !u->closed)
        lose_at_eof(u);
}

static void on_drained(void *owner)
{
    struct upstream *u = owner;
    if (u->tls_waits) {
        if (stream_unsent(&u->stream) == 0)
            upstream_begin_implicit(u);
        return;
    }
    upstream_arm(u);
    if (u->owner != NULL && u->ops->drained != NULL)
        u->ops->drained(u->owner);
}

static void on_broken(void *owner, int err)
{
    struct upstream *u = owner;
    if (u->quitting) {
        finish(u, CLOSE_QUIT);
        return;
    }
    if (!u->connected && upstream_socket_connected(u->stream.fd))
        upstream_note_connected(u);
    struct upstream_loss loss = { .err = u->connected ? ERR_UPSTREAM_LOST : ERR_UPSTREAM_CONNECT, .sys = err };
    upstream_lose(u, &loss, CLOSE_GONE);
}

struct upstream *upstream_open(struct loop *loop, const struct trace *trace, const struct upstream_settings *set,
                               const char *server, const struct endpoint *at, const struct netaddr *addr, bool clear,
                               const struct upstream_proxy *proxy, const struct upstream_ops *ops, void *owner)
{
    if (upstream_would_leak(set, at, addr)) {
        errno = EPROTONOSUPPORT;
        return NULL;
    }
    int fd = upstream_socket_connect(at, addr);
    if (fd < 0)
        return NULL;
    struct upstream *u = malloc(sizeof(*u));
    if (u == NULL)
        abort();
    *u = (struct upstream){
        .loop = loop, .trace = trace, .set = set, .ops = ops, .owner = owner, .server = server, .at = at
    };
    u->peer = (struct trace_peer){ .side = SIDE_UPSTREAM, .remote = *addr, .server = server };
    if (at->kind == ENDPOINT_UNIX)
        u->peer.remote = u->peer.local = (struct netaddr){ .family = NETADDR_UNIX };
    u->totals.opened = loop->mono;
    list_init(&u->closing.node);
    timer_init(&u->timer, on_timer);
    u->implicit = set->tls == UPSTREAM_TLS_IMPLICIT;
    stream_open(&u->stream, loop, fd, u->implicit && proxy->version == 0, &stream_ops, u);
    smtp_client_init(&u->smtp, set->hostname, &smtp_ops, u, &loop->pool, loop->mono);
    u->smtp.tls = upstream_tls_mode(set, at, addr, clear);
    u->smtp.lmtp = set->protocol == PROTOCOL_LMTP;
    if (proxy->version > 0)
        upstream_say_header(u, proxy);
    upstream_arm(u);
    if (!u->implicit || u->tls_waits || upstream_begin_tls(u))
        return u;
    u->owner = NULL;
    finish(u, CLOSE_TLS);
    errno = ENOMEM;
    return NULL;
}

void upstream_add(struct upstream *u, struct smtp_step *step)
{
    u->txns += step->kind == SMTP_STEP_MAIL;
    smtp_client_add(&u->smtp, step, stream_out(&u->stream), u->loop->mono);
    stream_wrote(&u->stream);
    if (!timer_is_set(&u->timer))
        upstream_arm(u);
}

/* Small messages wait for their end, to leave with it in one write; large pieces leave from where they are. */
enum { BODY_COPY_MAX = 16384 };

void upstream_body(struct upstream *u, const struct span *pieces, unsigned count)
{
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += pieces[i].n;
    if (total + stream_unsent(&u->stream) > BODY_COPY_MAX) {
        stream_write_pieces(&u->stream, pieces, count);
    } else {
        for (unsigned i = 0; i < count; i++)
            buf_append_span(stream_out(&u->stream), pieces[i]);
        stream_wrote(&u->stream);
    }
    bool chunk = u->smtp.state == SMTP_CLIENT_CHUNK;
    if (chunk)
        smtp_client_wrote(&u->smtp, total);
    if (!timer_is_set(&u->timer) || (chunk && !upstream_in_body(u)))
        upstream_arm(u);
}

void upstream_chunk(struct upstream *u, struct smtp_tag tag, uint64_t octets, bool last, unsigned replies)
{
    u->took = false;
    smtp_client_chunk(&u->smtp, tag, octets, last, replies, stream_out(&u->stream), u->loop->mono);
    stream_wrote(&u->stream);
    upstream_arm(u);
}

void upstream_end(struct upstream *u, struct smtp_tag tag, unsigned replies)
{
    u->took = false;
    smtp_client_end(&u->smtp, tag, replies, stream_out(&u->stream), u->loop->mono);
    stream_wrote(&u->stream);
    upstream_arm(u);
}

static void cut_short(struct closing *c) { finish(CONTAINER_OF(c, struct upstream, closing), CLOSE_SHUTDOWN); }

void upstream_quit(struct upstream **up)
{
    struct upstream *u = *up;
    *up = NULL;
    if (u == NULL)
        return;
    const struct smtp_step *waiting = smtp_client_waiting(&u->smtp);
    if (!u->ready || upstream_in_body(u) || u->smtp.state == SMTP_CLIENT_AUTH ||
        (waiting != NULL && waiting->kind != SMTP_STEP_RSET)) {
        u->owner = NULL;
        finish(u, CLOSE_QUIT);
        return;
    }
    u->owner = NULL;
    u->quitting = true;
    u->closing.cut = cut_short;
    list_append(&u->loop->closing, &u->closing.node);
    upstream_add(u, smtp_step_new(SMTP_STEP_QUIT, (struct smtp_tag){ 0 }, SPAN_LIT("QUIT")));
    upstream_arm(u);
}

void upstream_leave(struct upstream **up)
{
    if (*up != NULL)
        count_out(*up);
    upstream_quit(up);
}

void upstream_drop(struct upstream **up, enum close_reason reason)
{
    struct upstream *u = *up;
    *up = NULL;
    if (u == NULL)
        return;
    u->owner = NULL;
    finish(u, reason);
}
