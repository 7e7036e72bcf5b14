/* TLS on the client leg: at once, or by STARTTLS.
 *
 * Invariant (T7): what came in clear behind STARTTLS is never read as a command. The handshake begins when the engine
 * has come to rest and the 220 has left; what was read by then is thrown away. */
#include "proxy/net/tls.h"
#include "proxy/relay/client_impl.h"

static void start_tls(struct client *c, struct ssl_st *ssl)
{
    c->phase = CLIENT_TLS;
    c->tls_began = c->loop->mono;
    if (!c->header_timed) /* one time for the header and the handshake */
        client_set_timer(c, WAIT_OTHER, c->set->timeouts.greeting);
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

void client_starttls(struct client *c, smtp_slot slot)
{
    c->ssl_next = tls_server_ssl(c->set->tls_server);
    smtp_server_own(&c->smtp, slot, c->ssl_next != NULL ? SMTP_OWN_TLS_READY : SMTP_OWN_TLS_UNAVAILABLE);
}

bool client_begin_starttls(struct client *c)
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

void client_note_broken_tls(const struct client *c)
{
    char why[128];
    tls_print_error(c->stream.tls_error, why, sizeof(why));
    trace_error(c->trace, SIDE_CLIENT, 0, ERR_TLS_BROKEN, NULL, NULL, c->stream.tls_error != 0 ? why : NULL);
}

/* G5: a handshake that fails is not answered in words. */
void client_secured(void *owner, const char *why)
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
    client_clear_timer(c);
    smtp_server_secured(&c->smtp);
    c->phase = implicit ? CLIENT_HELD : CLIENT_OPEN;
    if (implicit) {
        c->ops->opened(c->owner);
        return;
    }
    client_run(c);
}
