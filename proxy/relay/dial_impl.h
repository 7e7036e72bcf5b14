/* What the files of the dial share; nobody else includes this. */
#ifndef PROXY_RELAY_DIAL_IMPL_H
#define PROXY_RELAY_DIAL_IMPL_H

#include "proxy/net/dns.h"
#include "proxy/relay/balance.h"
#include "proxy/relay/dial.h"
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
    char *greeting; /* the last refusal at the greeting, the whole reply */
    size_t order[];
};

/* The server that is tried now. */
static inline const struct upstream_server *dial_server_now(const struct dial *d)
{
    return &d->set->server[d->order[d->pos]];
}

static inline struct balance_server *dial_health_now(const struct dial *d)
{
    return balance_find(d->w->balance, dial_server_now(d)->text);
}

/* dial.c */
void dial_end(struct dial *d);
/* Goes on: with the address that is next, the one behind the last attempt's, the next server's first. */
void dial_next(struct dial *d);
void dial_next_address(struct dial *d);
void dial_next_server(struct dial *d);
/* The next server when the loop comes round. */
void dial_skip_server(struct dial *d);

/* dial_address.c */
/* True: the addresses of the server are known now; else it goes on by itself. */
bool dial_find_addresses(struct dial *d) MUST_CHECK;
/* The server's name gave none: recorded. */
void dial_note_no_name(struct dial *d, enum dns_result result);

/* dial_ready.c */
/* What comes first on each connection. */
struct upstream_proxy dial_header(const struct dial *d);
/* A server that greets knows for whom we come. */
bool dial_is_foretold(const struct dial *d);
/* True: XCLIENT is said, or will be; ops->ready comes again. */
bool dial_introduce(struct dial *d);
/* For upstream_ops. */
void dial_ready(void *owner, const struct smtp_reply *ehlo);
void dial_login_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);

/* dial_fail.c */
/* No server is left. */
void dial_fail(struct dial *d);
/* The server that is tried now can't be used: recorded, counted against it. */
void dial_note_failure(struct dial *d, enum record_error err, const char *stage, const char *detail);
/* No connect() could be begun. */
void dial_note_no_socket(struct dial *d, int err);
/* The time of the whole is over. */
void dial_note_late(struct dial *d);
/* A reply's first line, for the log. */
void dial_print_line(char *to, size_t size, const struct smtp_reply *reply);
/* For upstream_ops. */
void dial_lost(void *owner, const struct upstream_loss *loss);

#endif
