/* TLS on the upstream leg: which servers must have it, the handshake, by STARTTLS or at once, and the records of both.
 *
 * Invariant: where logins go upstream, nothing is said in clear but to peers on this machine. */
#include <stdio.h>

#include "proxy/net/tls.h"
#include "proxy/relay/upstream_impl.h"

enum upstream_tls upstream_tls_with(const struct upstream_settings *set, const struct endpoint *at,
                                    const struct netaddr *addr)
{
    bool local = at->kind == ENDPOINT_UNIX || netaddr_is_loopback(addr);
    if (!set->tls_guarded)
        return set->tls;
    return local ? UPSTREAM_TLS_OPPORTUNISTIC : UPSTREAM_TLS_REQUIRED;
}

enum smtp_client_tls upstream_tls_mode(const struct upstream_settings *set, const struct endpoint *at,
                                       const struct netaddr *addr, bool clear)
{
    switch (upstream_tls_with(set, at, addr)) {
    case UPSTREAM_TLS_OPPORTUNISTIC:
        return clear ? SMTP_CLIENT_TLS_NEVER : SMTP_CLIENT_TLS_IF_OFFERED;
    case UPSTREAM_TLS_REQUIRED:
        return SMTP_CLIENT_TLS_REQUIRED;
    case UPSTREAM_TLS_NONE:
    case UPSTREAM_TLS_IMPLICIT:
        break;
    }
    return SMTP_CLIENT_TLS_NEVER;
}

bool upstream_would_leak(const struct upstream_settings *set, const struct endpoint *at, const struct netaddr *addr)
{
    return set->credentials && set->tls == UPSTREAM_TLS_NONE && at->kind == ENDPOINT_NAME && !netaddr_is_loopback(addr);
}

static struct ssl_st *new_ssl(const struct upstream *u)
{
    char ip[NETADDR_STRLEN];
    const char *name = "";
    if (u->at->kind == ENDPOINT_NAME)
        name = u->at->host;
    else if (u->at->kind == ENDPOINT_IP)
        name = netaddr_print_ip(&u->peer.remote, ip);
    return tls_client_ssl(u->set->tls_client, u->server, name);
}

bool upstream_begin_tls(struct upstream *u)
{
    struct ssl_st *ssl = new_ssl(u);
    u->tls_began = u->loop->mono;
    if (ssl != NULL)
        stream_start_tls(&u->stream, ssl);
    return ssl != NULL;
}

void upstream_start_tls(struct upstream *u)
{
    if (!upstream_begin_tls(u)) {
        struct upstream_loss loss = { .err = ERR_TLS_HANDSHAKE, .why = "no TLS session can be made" };
        upstream_lose(u, &loss, CLOSE_TLS);
        return;
    }
    upstream_arm(u);
}

void upstream_begin_implicit(struct upstream *u)
{
    u->tls_waits = false;
    upstream_note_connected(u);
    upstream_start_tls(u);
}

void upstream_secured(void *owner, const char *why)
{
    struct upstream *u = owner;
    struct tls_info info;
    if (u->closed)
        return;
    if (why != NULL) {
        bool connected = u->connected || tls_has_begun(u->stream.ssl) || upstream_socket_connected(u->stream.fd);
        if (connected)
            upstream_note_connected(u);
        struct upstream_loss loss = { .err = connected ? ERR_TLS_HANDSHAKE : ERR_UPSTREAM_CONNECT, .why = why };
        upstream_lose(u, &loss, CLOSE_TLS);
        return;
    }
    upstream_note_connected(u);
    tls_describe(u->stream.ssl, &info);
    u->tls_version = info.version;
    u->tls_cipher = info.cipher;
    u->verified = info.verified;
    trace_starttls(u->trace, SIDE_UPSTREAM, &info, u->implicit, u->loop->mono - u->tls_began);
    smtp_client_secured(&u->smtp, stream_out(&u->stream), u->loop->mono);
    stream_wrote(&u->stream);
    upstream_arm(u);
}

void upstream_note_refused_tls(const struct upstream *u, const struct smtp_reply *reply)
{
    char text[256];
    size_t pos = 0;
    struct span line;
    if (reply->code == 220 || !smtp_reply_line(reply, &pos, false, &line))
        return;
    snprintf(text, sizeof(text), "%d %.*s", reply->code, SPAN_ARG(span_head(line, sizeof(text) - 5)));
    trace_error(u->trace, SIDE_UPSTREAM, 0, ERR_UPSTREAM_NO_TLS, "starttls", u->server, text);
}
