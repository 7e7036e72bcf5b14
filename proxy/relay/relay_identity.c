/* Who the client is: by its connection, by a PROXY header. */
#include "proxy/relay/relay_impl.h"

/* The address by which the client is known from now on: in records too. */
static void take_address(struct session *s, const struct netaddr *peer)
{
    s->peer = *peer;
    s->client.peer.remote = *peer;
    netaddr_print_ip(peer, s->trace.host);
}

void relay_identified(void *owner, const struct proxyhdr *header)
{
    struct session *s = owner;
    if (!header->real) {
        take_address(s, &header->from);
        s->dest = header->to;
    }
    s->trace.quiet = cidr_list_contains(&s->settings->log.ignore_clients, &s->peer);
    relay_admit(s);
    s->client.peer.hostname = s->hostname;
}

/* Those who are refused may hold a handshake each, but not without end. */
static bool far_too_many(const struct session *s)
{
    unsigned sum = 0, most = s->settings->limits.max_connections;
    for (unsigned i = 0; i < s->w->all_count; i++)
        sum += worker_sessions(&s->w->all[i]);
    return sum > most + most / 8 + 8;
}

void relay_welcome(void *owner)
{
    struct session *s = owner;
    bool implicit = s->set->server.tls == SERVER_TLS_IMPLICIT;
    if (s->verdict != LIMITS_OK && implicit && far_too_many(s))
        client_kill(&s->client, CLOSE_LIMIT);
    else
        client_begin(&s->client);
}

void relay_turn_away(struct session *s)
{
    bool full = s->verdict == LIMITS_FULL;
    client_refuse(&s->client, smtp_reply_own(full ? SMTP_OWN_TOO_MANY_CONNECTIONS : SMTP_OWN_CLIENT_LIMIT),
                  CLOSE_LIMIT);
}
