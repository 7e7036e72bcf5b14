/* The end of a client, in two steps: of the dialogue, then of the connection. What was said still leaves; then FIN;
 * then input is thrown away for a while, or it would turn into a RST and the reply be lost.
 *
 * Invariants: each step is taken once; after the first no reply is given, after the second the owner may go. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "proxy/relay/client_impl.h"

enum { LINGER_WAIT = 2 * USEC_PER_SEC, LINGER_BYTES = 65536 };

void client_finish(struct client *c)
{
    if (c->phase == CLIENT_GONE)
        return;
    c->phase = CLIENT_GONE;
    client_clear_timer(c);
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

void client_leave(struct client *c, enum close_reason reason)
{
    if (c->phase >= CLIENT_LINGER)
        return;
    c->reason = reason;
    bool ended = c->lost || c->stream.eof;
    c->phase = CLIENT_LINGER;
    list_remove(&c->blocked);
    client_clear_timer(c);
    c->ops->gone(c->owner, reason);
    if (c->phase != CLIENT_LINGER)
        return;
    stream_flush(&c->stream);
    if (c->phase != CLIENT_LINGER)
        return;
    if (ended && (c->lost || stream_unsent(&c->stream) == 0)) {
        client_finish(c);
        return;
    }
    buf_consume_secret(&c->stream.in, buf_len(&c->stream.in));
    if (stream_unsent(&c->stream) == 0)
        stream_shutdown(&c->stream);
    stream_read(&c->stream, true);
    client_set_timer(c, WAIT_OTHER, LINGER_WAIT);
}

void client_refuse(struct client *c, const struct smtp_reply *reply, enum close_reason reason)
{
    buf_append_span(stream_out(&c->stream), reply->wire);
    stream_wrote(&c->stream);
    c->smtp.errors++;
    trace_reply(c->trace, SIDE_CLIENT, 0, reply, c->loop->mono - c->totals.opened);
    client_leave(c, reason);
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
    c->reason = reason;
    smtp_server_close(&c->smtp, reply, SMTP_CLOSE_NONE);
    client_leave(c, reason);
}

void client_end(struct client *c, enum close_reason reason)
{
    c->smtp.state = SMTP_SERVER_CLOSED;
    client_leave(c, reason);
}

void client_kill(struct client *c, enum close_reason reason)
{
    c->lost = true;
    client_leave(c, reason);
    client_finish(c);
}

void client_linger_readable(struct client *c)
{
    c->drained += buf_len(&c->stream.in);
    buf_consume_secret(&c->stream.in, buf_len(&c->stream.in));
    bool ended = c->stream.eof && stream_unsent(&c->stream) == 0; /* it may still read */
    if (ended || c->drained > LINGER_BYTES)
        client_finish(c);
}

void client_linger_drained(struct client *c)
{
    if (stream_unsent(&c->stream) > 0)
        return;
    if (c->stream.eof)
        client_finish(c);
    else
        stream_shutdown(&c->stream);
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
