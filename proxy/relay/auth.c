/* Which backend it is, and what all of them share. */
#include "proxy/relay/auth.h"

#include <stdlib.h>
#include <sys/random.h>

#include "proxy/log/log.h"
#include "proxy/net/loop.h"
#include "proxy/relay/auth_impl.h"
#include "proxy/worker.h"

/* Jobs that wait for a thread. A hash takes a tenth of a second or more: who comes later than that would wait longer
 * than clients do. */
enum { JOBS_MAX = 256 };

static void *alloc(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        abort();
    return p;
}

void auth_random(void *out, size_t n)
{
    unsigned char *to = out;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0)
            continue; /* a signal: blocked in all threads, so this ends */
        to += got;
        n -= (size_t)got;
    }
}

struct auth_shared *auth_shared_new(void)
{
    struct auth_shared *s = alloc(sizeof(*s));
    auth_random(s->key, sizeof(s->key));
    s->pool = offload_new(0, JOBS_MAX);
    return s;
}

bool auth_shared_free(struct auth_shared **sp, usec_t limit)
{
    struct auth_shared *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return true;
    bool ended = offload_free(&s->pool, limit);
    explicit_bzero(s->key, sizeof(s->key));
    free(s);
    return ended;
}

struct auth_backends *auth_backends_new(struct auth_shared *s, struct loop *loop, struct logger *logger)
{
    struct auth_backends *b = alloc(sizeof(*b));
    b->loop = loop;
    b->logger = logger;
    b->shared = s;
    b->port = offload_port_open(s->pool, loop);
    list_init(&b->servers);
    return b;
}

void auth_backends_configure(struct auth_backends *b, const struct settings *settings)
{
    auth_servers_configure(b, settings);
}

struct offload_port *auth_backends_port(struct auth_backends *b) { return b->port; }

void auth_backends_free(struct auth_backends **bp)
{
    struct auth_backends *b = *bp;
    *bp = NULL;
    if (b == NULL)
        return;
    auth_servers_free(b);
    offload_port_close(&b->port);
    free(b);
}

void auth_tell(const struct auth_backends *b, enum record_error err, const char *host, const char *detail)
{
    struct record r;
    const char *text = detail != NULL ? detail : record_error_text(err);
    record_begin(&r, TNX_ERROR, b->loop->real);
    if (host != NULL)
        record_cstr(&r, KEY_HOST, host);
    record_open(&r, KEY_ERR);
    record_cstr(&r, KEY_CODE, record_error_code(err));
    record_cstr(&r, KEY_MESSAGE, text);
    record_close(&r);
    record_cstr(&r, KEY_STAGE, "auth");
    struct span msg[] = { SPAN_LIT("auth "), span_str(host != NULL ? host : ""),
                          host != NULL ? SPAN_LIT(": ") : SPAN_LIT(""), span_str(text) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(b->logger, &r);
}

/* What this client's connection allows: EXTERNAL needs a certificate, -PLUS something to bind to. */
static sasl_set allowed(const struct listener_settings *ls, const struct auth_about *about)
{
    sasl_set set = ls->auth.mechanisms;
    struct tls_bindings bindings;
    if (about->cert_name == NULL)
        set &= ~SASL_BIT(EXTERNAL);
    if ((set & SASL_BIT(SCRAM_SHA_256_PLUS)) == 0)
        return set;
    tls_bindings(about->ssl, &bindings);
    if (bindings.exporter_len == 0 && bindings.end_point_len == 0)
        set &= ~SASL_BIT(SCRAM_SHA_256_PLUS);
    return set;
}

sasl_set auth_backend_mechanisms(struct worker *w, const struct listener_settings *ls, const struct auth_about *about)
{
    sasl_set set = allowed(ls, about);
    switch (ls->auth.backend) {
    case AUTH_BACKEND_FILE:
        return set & auth_file_mechanisms(ls);
    case AUTH_BACKEND_DOVECOT:
        return set & auth_server_mechanisms(w->auth, ls->auth.socket.host);
    case AUTH_BACKEND_UPSTREAM:
        break;
    }
    return 0;
}

struct auth_exchange *auth_start(struct worker *w, const struct listener_settings *ls, const struct auth_about *about,
                                 enum sasl_mechanism m, const struct span *initial, const struct auth_exchange_ops *ops,
                                 void *owner)
{
    bool dovecot = ls->auth.backend == AUTH_BACKEND_DOVECOT;
    struct auth_exchange *x =
        dovecot ? auth_dovecot_start(w->auth, ls, about, m, initial)
                : auth_file_start(w->auth, ls, about, m, auth_backend_mechanisms(w, ls, about), initial);
    x->b = w->auth;
    x->ops = ops;
    x->owner = owner;
    return x;
}

void auth_respond(struct auth_exchange *x, struct span response) { x->kind->respond(x, response); }

void auth_cancel(struct auth_exchange **xp)
{
    struct auth_exchange *x = *xp;
    *xp = NULL;
    if (x != NULL)
        x->kind->cancel(x);
}
