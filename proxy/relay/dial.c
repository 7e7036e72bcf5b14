/* One attempt at a time. Invariants: `u` is set while an attempt is under way, `query` while a name is; after end()
 * neither is, and nothing calls the owner. */
#include "proxy/relay/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/dns.h"
#include "proxy/relay/balance.h"
#include "proxy/relay/own_login.h"
#include "proxy/relay/probe.h"
#include "proxy/relay/tell.h"
#include "proxy/worker.h"

struct dial {
    struct grave grave;
    struct worker *w;
    const struct trace *trace;
    const struct upstream_settings *set;
    const struct dial_ops *ops;
    void *owner;
    struct timer deadline, soon; /* `soon` carries on where something failed at once */
    struct upstream *u;
    struct own_login *login; /* under way on u; NULL: none */
    struct dns_query *query;
    struct netaddr addr[BALANCE_ADDRESSES];
    size_t addrs, next_addr; /* of the server at order[pos] */
    size_t pos, servers;     /* of order[] */
    bool clear, in_clear;    /* without TLS, for it has failed: the next attempt, this one */
    usec_t full_since;       /* its backlog */
    unsigned attempts, skipped_busy;
    bool ended;
    bool waiting;   /* until it is known what to tell by XCLIENT */
    bool unjudged;  /* a server failed by other things than a greeting of 5xx */
    char *greeting; /* the last refusal at the greeting, or of XCLIENT, whole reply */
    size_t order[];
};

enum { BACKLOG_WAIT = 20 * USEC_PER_MSEC };

static void on_ready(void *owner, const struct smtp_reply *ehlo);
static void on_lost(void *owner, const struct upstream_loss *loss);
static void on_settled(void *owner) { (void)owner; }
static void on_login_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
static const struct upstream_ops attempt_ops = {
    .ready = on_ready, .reply = on_login_reply, .lost = on_lost, .settled = on_settled
};

static void next(struct dial *d);

static const struct upstream_server *server_now(const struct dial *d) { return &d->set->server[d->order[d->pos]]; }

static struct balance_server *health_now(const struct dial *d)
{
    return balance_find(d->w->balance, server_now(d)->text);
}

static void free_dial(struct grave *g)
{
    struct dial *d = CONTAINER_OF(g, struct dial, grave);
    free(d->greeting);
    free(d);
}

static void end(struct dial *d)
{
    d->ended = true;
    timer_clear(&d->deadline);
    timer_clear(&d->soon);
    dns_cancel(&d->query);
    own_login_free(&d->login);
    upstream_drop(&d->u, CLOSE_UPSTREAM);
    loop_bury(&d->w->loop, &d->grave, free_dial);
}

/* Nobody stands behind the connection. */
static bool is_probe(const struct dial *d) { return d->ops->ends == NULL; }

static bool is_ip(const struct netaddr *a) { return a->family == NETADDR_IPV4 || a->family == NETADDR_IPV6; }

/* What comes first on each connection. */
static struct upstream_proxy header_of(const struct dial *d)
{
    struct upstream_proxy header = { .version = tell_proxy_version(d->set), .own = is_probe(d) };
    if (header.version > 0 && !header.own)
        d->ops->ends(d->owner, &header.from, &header.to);
    return header;
}

/* A server that greets knows for whom we come. */
static bool is_foretold(const struct dial *d)
{
    struct upstream_proxy header = header_of(d);
    return header.version > 0 && is_ip(&header.from);
}

/* H7: the servers knew whom they refused. */
static bool was_judged(const struct dial *d, const struct smtp_reply *greeting)
{
    return is_foretold(d) && !d->unjudged && d->skipped_busy == 0 && smtp_reply_is(greeting, 5);
}

static void fail(struct dial *d)
{
    if (d->ended)
        return;
    struct smtp_reply greeting = { 0 };
    if (d->greeting != NULL)
        greeting = smtp_reply_read(span_str(d->greeting));
    struct dial_failure why = { .busy = d->attempts == 0 && d->skipped_busy > 0 };
    if (why.busy)
        trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_UPSTREAM_BUSY, "connect", d->set->server[d->order[0]].text, NULL);
    if (d->greeting != NULL)
        why.greeting = &greeting;
    if (d->greeting != NULL && was_judged(d, &greeting))
        why.judged = &greeting;
    end(d);
    d->ops->failed(d->owner, &why);
}

static void tell_failure(struct dial *d, enum record_error err, const char *stage, const char *detail)
{
    d->unjudged |= err != ERR_UPSTREAM_GREETING;
    trace_error(d->trace, SIDE_UPSTREAM, 0, err, stage, server_now(d)->text, detail);
}

static void note_failure(struct dial *d, enum record_error err, const char *stage, const char *detail)
{
    balance_failed(health_now(d), d->set, d->w->loop.mono);
    probe_start(d->w, d->set, d->order[d->pos]);
    tell_failure(d, err, stage, detail);
}

/* What we ourselves are short of says nothing about the server. */
static void note_no_socket(struct dial *d, int err)
{
    d->unjudged = true;
    if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM)
        trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_SOCKET, "connect", server_now(d)->text, strerror(err));
    else
        note_failure(d, ERR_UPSTREAM_CONNECT, "connect", strerror(err));
}

static void next_server(struct dial *d)
{
    d->pos++;
    d->addrs = d->next_addr = 0;
    d->full_since = 0;
    next(d);
}

/* True: XCLIENT is said, or will be; ops->ready comes again. */
static bool identify(struct dial *d)
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
        identify(d);
    }
}

static void next_address(struct dial *d)
{
    if (d->next_addr < d->addrs)
        next(d);
    else
        next_server(d);
}

/* The server can be used. */
static void finish(struct dial *d, const struct smtp_reply *ehlo)
{
    struct upstream *u = d->u;
    struct own_login *login = d->login; /* ehlo may be its */
    balance_succeeded(health_now(d));
    d->u = NULL;
    d->login = NULL;
    end(d);
    d->ops->done(d->owner, u, d->order[d->pos], ehlo, d->attempts);
    own_login_free(&login);
}

/* U1: a server that doesn't let us in is a failed one. */
static void fail_login(struct dial *d, const char *why)
{
    own_login_free(&d->login);
    upstream_drop(&d->u, CLOSE_UPSTREAM);
    note_failure(d, ERR_UPSTREAM_AUTH, "auth", why);
    next_address(d);
}

/* The first EHLO says how the server can be told of the client. True: it is told of, or need not be. */
static bool is_told(struct dial *d, const struct smtp_reply *ehlo)
{
    struct upstream *u = d->u;
    const char *why;
    if (u->identity != IDENTITY_AUTO)
        return true;
    if (!tell_choose(&u->identity, u->xclient, d->set, health_now(d), ehlo, &why)) {
        upstream_quit(&d->u);
        note_failure(d, ERR_UPSTREAM_IDENTITY, "identity", why);
        next_address(d);
        return false;
    }
    u->untold = u->identity == IDENTITY_XCLIENT;
    return !u->untold || !identify(d);
}

static void on_ready(void *owner, const struct smtp_reply *ehlo)
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

/* The first line, for the log. */
static void print_line(char *to, size_t size, const struct smtp_reply *reply)
{
    struct span line = span_head(reply->wire, size - 1);
    const char *cr = memchr(line.p, '\r', line.n);
    snprintf(to, size, "%.*s", (int)(cr ? (size_t)(cr - line.p) : line.n), line.p);
}

static void on_login_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
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
        print_line(text, sizeof(text), reply);
        if (why == NULL)
            why = upstream_must_hide(d->set, step, reply) ? NULL : text;
        fail_login(d, why);
        break;
    }
}

static const char *stage_of(const struct dial *d, enum record_error err)
{
    if (!d->u->connected)
        return "connect";
    if (d->login != NULL)
        return "auth";
    if (err == ERR_TLS_HANDSHAKE || err == ERR_UPSTREAM_NO_TLS || err == ERR_UPSTREAM_TLS_RESIDUE)
        return "starttls";
    if (d->u->identity == IDENTITY_XCLIENT && !d->u->untold)
        return "identity";
    return d->u->totals.commands == 0 ? "greeting" : "ehlo";
}

/* T10: opportunistic TLS that fails is logged, and the same server tried without. */
static bool go_on_in_clear(struct dial *d, const struct upstream *u, const struct upstream_loss *loss)
{
    bool by_tls = loss->err == ERR_TLS_HANDSHAKE || (loss->err == ERR_UPSTREAM_LOST && u->asked_tls);
    enum upstream_tls mode = upstream_tls_with(d->set, &server_now(d)->at, &u->peer.remote);
    if (mode != UPSTREAM_TLS_OPPORTUNISTIC || d->in_clear || !by_tls)
        return false;
    trace_error(d->trace, SIDE_UPSTREAM, 0, loss->err, "starttls", server_now(d)->text, loss->why);
    d->clear = true;
    d->next_addr--;
    next(d);
    return true;
}

/* The refusal stands for all servers: it is about the client. */
static void judge(struct dial *d, const struct smtp_reply *reply)
{
    char text[512];
    print_line(text, sizeof(text), reply);
    trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_XCLIENT_REFUSED, "identity", server_now(d)->text, text);
    struct dial_failure why = { .judged = reply };
    end(d);
    d->ops->failed(d->owner, &why);
}

/* A value that it brought may be what XCLIENT is refused for. */
static bool is_about_client(const struct dial *d, const struct upstream_loss *loss)
{
    if (loss->err == ERR_UPSTREAM_IDENTITY)
        return true;
    return loss->err == ERR_UPSTREAM_GREETING && loss->reply != NULL && loss->reply->code >= 500 && is_foretold(d);
}

static void on_lost(void *owner, const struct upstream_loss *loss)
{
    struct dial *d = owner;
    d->waiting = false;
    if (loss->err == ERR_XCLIENT_REFUSED) {
        d->u = NULL;
        judge(d, loss->reply);
        return;
    }
    char text[512] = "";
    const char *stage = stage_of(d, loss->err);
    struct upstream *u = d->u;
    d->u = NULL;
    own_login_free(&d->login);
    if (go_on_in_clear(d, u, loss))
        return;
    if (loss->reply != NULL) {
        if (loss->err != ERR_UPSTREAM_NO_TLS || loss->reply->code >= 300) /* else it is of EHLO, and says nothing */
            print_line(text, sizeof(text), loss->reply);
        d->unjudged |= loss->reply->code < 500;
        if (loss->err == ERR_UPSTREAM_GREETING && loss->reply->code >= 400) {
            free(d->greeting);
            d->greeting = strndup(loss->reply->wire.p, loss->reply->wire.n);
        }
    } else if (loss->why != NULL) {
        strncpy(text, loss->why, sizeof(text) - 1);
    } else if (loss->sys != 0) {
        strncpy(text, strerror(loss->sys), sizeof(text) - 1);
    }
    const char *detail = text[0] != '\0' ? text : NULL;
    if (is_about_client(d, loss)) /* a stranger must not have the server rested for all */
        tell_failure(d, loss->err, stage, detail);
    else
        note_failure(d, loss->err, stage, detail);
    next_address(d);
}

static const char *name_fault(enum dns_result result)
{
    return result == DNS_NONE ? "the name has no address" : "the name can't be looked up now";
}

/* A name server that is away leaves us with what it said last. False: there are none. */
static bool take_addresses(struct dial *d, const struct dns_answer *answer)
{
    if (answer->result == DNS_FOUND)
        balance_remember(health_now(d), answer->addr, answer->count);
    d->addrs = answer->result == DNS_NONE ? 0 : balance_recall(health_now(d), d->addr);
    if (d->addrs == 0) {
        note_failure(d, ERR_UPSTREAM_NAME, "connect", name_fault(answer->result));
        return false;
    }
    for (size_t i = 0; i < d->addrs; i++)
        d->addr[i].port = server_now(d)->at.addr.port;
    return true;
}

static void on_names(void *arg, const struct dns_answer *answer)
{
    struct dial *d = arg;
    d->query = NULL;
    if (take_addresses(d, answer))
        next(d);
    else
        next_server(d);
}

/* Goes on with the next server when the loop comes round. */
static void skip_server(struct dial *d)
{
    d->pos++;
    d->addrs = d->next_addr = 0;
    d->full_since = 0;
    loop_timer(&d->w->loop, &d->soon, 0);
}

/* True: the addresses of the server are known now. */
static bool find_addresses(struct dial *d)
{
    const struct endpoint *at = &server_now(d)->at;
    if (d->addrs > 0)
        return true;
    d->next_addr = 0;
    if (at->kind != ENDPOINT_NAME) {
        d->addr[0] = at->addr;
        d->addrs = 1;
        return true;
    }
    struct dns_answer now;
    d->query = dns_resolve(d->w->dns, at->host, d->set->timeouts.connect, &now, on_names, d);
    if (d->query != NULL)
        return false;
    if (take_addresses(d, &now))
        return true;
    skip_server(d);
    return false;
}

static bool server_is_full(struct dial *d)
{
    unsigned most = d->set->max_connections;
    return most > 0 && atomic_load(&health_now(d)->open) >= most;
}

/* The backlog of a unix socket is full: where TCP would go on trying, so do we. False: for long enough. */
static bool wait_for_backlog(struct dial *d)
{
    usec_t now = d->w->loop.mono;
    if (d->full_since == 0)
        d->full_since = now;
    if (now - d->full_since >= d->set->timeouts.connect)
        return false;
    d->attempts--;
    d->next_addr--;
    d->clear = d->in_clear;
    loop_timer(&d->w->loop, &d->soon, BACKLOG_WAIT);
    return true;
}

static void attempt(struct dial *d)
{
    const struct upstream_server *server = server_now(d);
    struct upstream_proxy header = header_of(d);
    d->attempts++;
    d->u = upstream_open(&d->w->loop, d->trace, d->set, server->text, &server->at, &d->addr[d->next_addr++], d->clear,
                         &header, &attempt_ops, d);
    d->in_clear = d->clear;
    d->clear = false;
    if (d->u == NULL && errno == EAGAIN && server->at.kind == ENDPOINT_UNIX && wait_for_backlog(d))
        return;
    if (d->u == NULL) {
        note_no_socket(d, errno);
        if (d->next_addr >= d->addrs)
            skip_server(d);
        else
            loop_timer(&d->w->loop, &d->soon, 0);
        return;
    }
    d->u->count = &health_now(d)->open;
    atomic_fetch_add(d->u->count, 1);
    d->u->freed = d->ops->freed;
    d->u->freed_arg = d->owner;
    d->ops->opened(d->owner);
}

/* Once a server's addresses are known it is being tried: our own last attempt may be what fills it. */
static void next(struct dial *d)
{
    while (d->pos < d->servers && d->addrs == 0 && server_is_full(d)) {
        d->pos++;
        d->skipped_busy++;
    }
    if (d->pos >= d->servers)
        loop_timer(&d->w->loop, &d->soon, 0);
    else if (find_addresses(d))
        attempt(d);
}

static void on_soon(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, soon);
    if (d->pos >= d->servers)
        fail(d);
    else
        next(d);
}

static void note_late(struct dial *d)
{
    enum record_error err = d->u->connected ? ERR_UPSTREAM_TIMEOUT : ERR_UPSTREAM_CONNECT;
    const char *stage = stage_of(d, d->u->stream.handshaking ? ERR_TLS_HANDSHAKE : err);
    note_failure(d, err, stage, "not ready within upstream.timeouts.prepare");
}

static void on_deadline(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, deadline);
    if (d->u != NULL)
        note_late(d);
    else if (d->pos < d->servers && d->next_addr < d->addrs)
        note_failure(d, ERR_UPSTREAM_CONNECT, "connect", strerror(EAGAIN));
    else if (d->query != NULL)
        note_failure(d, ERR_UPSTREAM_NAME, "connect", name_fault(DNS_TEMPFAIL));
    fail(d);
}

static struct dial *dial_new(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                             const struct dial_ops *ops, void *owner)
{
    struct dial *d = calloc(1, sizeof(*d) + set->servers * sizeof(d->order[0]));
    if (d == NULL)
        abort();
    d->w = w;
    d->trace = trace;
    d->set = set;
    d->ops = ops;
    d->owner = owner;
    timer_init(&d->deadline, on_deadline);
    timer_init(&d->soon, on_soon);
    loop_timer(&w->loop, &d->deadline, set->timeouts.prepare);
    return d;
}

struct dial *dial_start(struct worker *w, const struct trace *trace, const struct upstream_settings *set, size_t skip,
                        const struct dial_ops *ops, void *owner)
{
    struct dial *d = dial_new(w, trace, set, ops, owner);
    d->servers = set->servers;
    balance_order(w->balance, set, skip, w->loop.mono, d->order);
    next(d);
    return d;
}

struct dial *dial_server(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                         size_t server, const struct dial_ops *ops, void *owner)
{
    struct dial *d = dial_new(w, trace, set, ops, owner);
    d->servers = 1;
    d->order[0] = server;
    next(d);
    return d;
}

/* That server first, as if it had just been tried, then the others. */
struct dial *dial_identify(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                           struct upstream *u, size_t server, const struct dial_ops *ops, void *owner)
{
    struct dial *d = dial_new(w, trace, set, ops, owner);
    size_t n = 0;
    d->servers = set->servers;
    balance_order(w->balance, set, server, w->loop.mono, d->order);
    while (d->order[n] != server)
        n++;
    memmove(d->order + 1, d->order, n * sizeof(d->order[0]));
    d->order[0] = server;
    d->attempts = 1;
    d->u = u;
    u->ops = &attempt_ops;
    u->owner = d;
    identify(d);
    return d;
}

uint64_t dial_tried(const struct dial *d)
{
    uint64_t tried = 0;
    for (size_t i = 0; i < d->pos; i++)
        tried |= UINT64_C(1) << d->order[i];
    return tried;
}

void dial_cancel(struct dial **dp)
{
    struct dial *d = *dp;
    *dp = NULL;
    if (d != NULL && !d->ended)
        end(d);
}
