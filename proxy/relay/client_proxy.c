/* The header is taken from the socket octet by octet exact, so that what follows it, a ClientHello perhaps, is still
 * there for whoever reads next. A refused header is answered by nothing: the sender is a load balancer, not a client.
 */
#include "proxy/relay/client_impl.h"

static enum proxyhdr_result parse(const struct client *c, struct span in, struct proxyhdr *header, size_t *used,
                                  const char **why)
{
    return proxyhdr_parse(header, in, c->set->limits.proxy_header, used, why);
}

/* Of what is there, what belongs to the header; all of what can't be one. */
static size_t header_part(void *owner, struct span in)
{
    struct proxyhdr header;
    const char *why;
    size_t used;
    return parse(owner, in, &header, &used, &why) == PROXYHDR_DONE ? used : in.n;
}

bool client_awaits_header(const struct listener_settings *set, const struct netaddr *peer)
{
    return cidr_list_contains(&set->server.proxy_protocol, peer);
}

void client_proxy_begin(struct client *c)
{
    c->phase = CLIENT_PROXY;
    c->header_timed = true;
    stream_sip(&c->stream, header_part);
    loop_timer(c->loop, &c->timer, c->set->timeouts.greeting);
}

void client_announce(struct client *c)
{
    if (!c->announced)
        trace_connection(c->trace, &c->peer);
    c->announced = true;
}

static void refuse(struct client *c, const char *why, enum close_reason reason)
{
    trace_proxy(c->trace, &c->peer.remote, NULL, why);
    client_kill(c, reason);
}

void client_proxy_late(struct client *c) { refuse(c, "not whole within timeouts.greeting", CLOSE_TIMEOUT); }

static void take(struct client *c, const struct proxyhdr *header, size_t used)
{
    struct netaddr sender = c->peer.remote;
    stream_sip(&c->stream, NULL);
    c->phase = CLIENT_HELD;
    if (c->set->server.tls != SERVER_TLS_IMPLICIT) {
        c->header_timed = false;
        timer_clear(&c->timer);
    }
    c->ops->identified(c->owner, header);
    trace_proxy(c->trace, &sender, header, NULL);
    client_announce(c);
    buf_consume(&c->stream.in, used);
    c->ops->welcome(c->owner);
}

void client_proxy_readable(struct client *c)
{
    struct proxyhdr header;
    const char *why;
    size_t used;
    switch (parse(c, buf_span(&c->stream.in), &header, &used, &why)) {
    case PROXYHDR_MORE:
        if (c->stream.eof && buf_empty(&c->stream.in))
            client_kill(c, CLOSE_GONE);
        else if (c->stream.eof)
            refuse(c, "the connection ended before it was whole", CLOSE_GONE);
        break;
    case PROXYHDR_BAD:
        refuse(c, why, CLOSE_PROTOCOL);
        break;
    case PROXYHDR_DONE:
        take(c, &header, used);
        break;
    }
}
