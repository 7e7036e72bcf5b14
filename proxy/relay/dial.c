/* A dial, one attempt at a time: servers in their order, addresses in theirs, within one deadline. Invariants: `u` is
 * set while an attempt is under way, `query` while a name is; after dial_end() neither is, and nothing calls the owner.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/dns.h"
#include "proxy/relay/dial_impl.h"
#include "proxy/relay/own_login.h"

enum { BACKLOG_WAIT = 20 * USEC_PER_MSEC };

static void on_settled(void *owner) { (void)owner; }
static const struct upstream_ops attempt_ops = {
    .ready = dial_ready, .reply = dial_login_reply, .lost = dial_lost, .settled = on_settled
};

static void free_dial(struct grave *g)
{
    struct dial *d = CONTAINER_OF(g, struct dial, grave);
    free(d->greeting);
    free(d);
}

void dial_end(struct dial *d)
{
    d->ended = true;
    timer_clear(&d->deadline);
    timer_clear(&d->soon);
    dns_cancel(&d->query);
    own_login_free(&d->login);
    upstream_drop(&d->u, CLOSE_UPSTREAM);
    loop_bury(&d->w->loop, &d->grave, free_dial);
}

static void leave_server(struct dial *d)
{
    d->pos++;
    d->addrs = d->next_addr = 0;
    d->full_since = 0;
}

void dial_next_server(struct dial *d)
{
    leave_server(d);
    dial_next(d);
}

void dial_skip_server(struct dial *d)
{
    leave_server(d);
    loop_timer(&d->w->loop, &d->soon, 0);
}

void dial_next_address(struct dial *d)
{
    if (d->next_addr < d->addrs)
        dial_next(d);
    else
        dial_next_server(d);
}

static bool server_is_full(struct dial *d)
{
    unsigned most = d->set->max_connections;
    return most > 0 && atomic_load(&dial_health_now(d)->open) >= most;
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
    const struct upstream_server *server = dial_server_now(d);
    struct upstream_proxy header = dial_header(d);
    d->attempts++;
    d->u = upstream_open(&d->w->loop, d->trace, d->set, server->text, &server->at, &d->addr[d->next_addr++], d->clear,
                         &header, &attempt_ops, d);
    d->in_clear = d->clear;
    d->clear = false;
    if (d->u == NULL && errno == EAGAIN && server->at.kind == ENDPOINT_UNIX && wait_for_backlog(d))
        return;
    if (d->u == NULL) {
        dial_note_no_socket(d, errno);
        if (d->next_addr >= d->addrs)
            dial_skip_server(d);
        else
            loop_timer(&d->w->loop, &d->soon, 0);
        return;
    }
    d->u->count = &dial_health_now(d)->open;
    atomic_fetch_add(d->u->count, 1);
    d->u->freed = d->ops->freed;
    d->u->freed_arg = d->owner;
    d->ops->opened(d->owner);
}

/* Once a server's addresses are known it is being tried: our own last attempt may be what fills it. */
void dial_next(struct dial *d)
{
    while (d->pos < d->servers && d->addrs == 0 && server_is_full(d)) {
        d->pos++;
        d->skipped_busy++;
    }
    if (d->pos >= d->servers)
        loop_timer(&d->w->loop, &d->soon, 0);
    else if (dial_find_addresses(d))
        attempt(d);
}

static void on_soon(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, soon);
    if (d->pos >= d->servers)
        dial_fail(d);
    else
        dial_next(d);
}

static void on_deadline(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, deadline);
    dial_note_late(d);
    dial_fail(d);
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
    dial_next(d);
    return d;
}

struct dial *dial_server(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                         size_t server, const struct dial_ops *ops, void *owner)
{
    struct dial *d = dial_new(w, trace, set, ops, owner);
    d->servers = 1;
    d->order[0] = server;
    dial_next(d);
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
    dial_introduce(d);
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
        dial_end(d);
}
