/* A connection that is made ready: the server is told who the client is, by a PROXY header before all else or by
 * XCLIENT behind EHLO; then our own login. Invariant: XCLIENT comes before the login, which it would end. */
#include "proxy/relay/dial_impl.h"
#include "proxy/relay/own_login.h"
#include "proxy/relay/tell.h"

/* Nobody stands behind the connection. */
static bool is_probe(const struct dial *d) { return d->ops->ends == NULL; }

static bool is_ip(const struct netaddr *a) { return a->family == NETADDR_IPV4 || a->family == NETADDR_IPV6; }

struct upstream_proxy dial_header(const struct dial *d)
{
    struct upstream_proxy header = { .version = tell_proxy_version(d->set), .own = is_probe(d) };
    if (header.version > 0 && !header.own)
        d->ops->ends(d->owner, &header.from, &header.to);
    return header;
}

bool dial_is_foretold(const struct dial *d)
{
    struct upstream_proxy header = dial_header(d);
    return header.version > 0 && is_ip(&header.from);
}

bool dial_introduce(struct dial *d)
{
    struct smtp_xattrs attrs = { 0 };
    const char *hello = d->set->hostname;
    switch (d->ops->tell != NULL ? d->ops->tell(d->owner, &attrs, &hello) : DIAL_TELL_LATER) {
    case DIAL_TELL_NOW:
        upstream_identify(d->u, &attrs, hello);
        return true;
    case DIAL_TELL_WAIT:
        d->waiting = true;
        return true;
    case DIAL_TELL_LATER:
        break;
    }
    return false;
}

void dial_go_on(struct dial *d)
{
    if (d->waiting) {
        d->waiting = false;
        dial_introduce(d);
    }
}

/* The server can be used. */
static void finish(struct dial *d, const struct smtp_reply *ehlo)
{
    struct upstream *u = d->u;
    struct own_login *login = d->login; /* ehlo may be its */
    balance_succeeded(dial_health_now(d));
    d->u = NULL;
    d->login = NULL;
    dial_end(d);
    d->ops->done(d->owner, u, d->order[d->pos], ehlo, d->attempts);
    own_login_free(&login);
}

/* U1: a server that doesn't let us in is a failed one. */
static void fail_login(struct dial *d, const char *why)
{
    own_login_free(&d->login);
    upstream_drop(&d->u, CLOSE_UPSTREAM);
    dial_note_failure(d, ERR_UPSTREAM_AUTH, "auth", why);
    dial_next_address(d);
}

/* The first EHLO says how the server can be told of the client. True: it is told of, or need not be. */
static bool is_told(struct dial *d, const struct smtp_reply *ehlo)
{
    struct upstream *u = d->u;
    const char *why;
    if (u->identity != IDENTITY_AUTO)
        return true;
    if (!tell_choose(&u->identity, u->xclient, d->set, dial_health_now(d), ehlo, &why)) {
        upstream_quit(&d->u);
        dial_note_failure(d, ERR_UPSTREAM_IDENTITY, "identity", why);
        dial_next_address(d);
        return false;
    }
    u->untold = u->identity == IDENTITY_XCLIENT;
    return !u->untold || !dial_introduce(d);
}

void dial_ready(void *owner, const struct smtp_reply *ehlo)
{
    struct dial *d = owner;
    const char *why;
    if (!is_told(d, ehlo))
        return;
    bool enough = d->u->untold || d->u->login_told; /* XCLIENT would end a login; has told of one */
    if (d->set->username == NULL || is_probe(d) || enough) {
        finish(d, ehlo);
        return;
    }
    d->login = own_login_start(d->u, ehlo, d->w->own_hashes, &why);
    if (d->login == NULL)
        fail_login(d, why);
}

void dial_login_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct dial *d = owner;
    const char *why;
    char text[512];
    if (d->login == NULL)
        return;
    switch (own_login_reply(d->login, reply, &why)) {
    case OWN_LOGIN_GOES_ON:
        break;
    case OWN_LOGIN_DONE:
        finish(d, own_login_ehlo(d->login));
        break;
    case OWN_LOGIN_FAILED:
        dial_print_line(text, sizeof(text), reply);
        if (why == NULL)
            why = upstream_must_hide(d->set, step, reply) ? NULL : text;
        fail_login(d, why);
        break;
    }
}
