/* The upstream servers' health and load, shared by all workers. Servers are known by their configured address; what is
 * known of one outlives reloads. Any thread. */
#ifndef PROXY_RELAY_BALANCE_H
#define PROXY_RELAY_BALANCE_H

#include <stdatomic.h>

#include "proxy/settings.h"

enum { BALANCE_ADDRESSES = 8 };

struct balance_server {
    struct balance_server *next;
    char *name;
    atomic_uint open;                        /* connections */
    atomic_uint failures;                    /* in a row */
    atomic_llong rest_until, rest;           /* monotonic; how long the last rest was */
    atomic_uint identity;                    /* the most that it offered: 1 + enum balance_identity; 0: never seen */
    atomic_bool probing;                     /* some worker tries whether it is back */
    struct netaddr known[BALANCE_ADDRESSES]; /* of a name: the last that were found; under a lock */
    size_t known_count;
};

struct balance {
    _Atomic(struct balance_server *) first; /* only ever grows at the front */
};

void balance_free(struct balance *b);
struct balance_server *balance_find(struct balance *b, const char *name);
/* It can be used: its rest, if any, is over. */
void balance_succeeded(struct balance_server *s);
/* It could not be used; after `failures` in a row it rests, each time twice as long, up to a minute. */
void balance_failed(struct balance_server *s, const struct upstream_settings *set, usec_t now);
/* What a server's EHLO offers for telling it of clients (upstream.identity `auto`), the least first. */
enum balance_identity { BALANCE_TELL_NOTHING, BALANCE_TELL_LOG, BALANCE_TELL_ALL };
/* Takes note of it. False: it is less than before, which must not be believed. */
bool balance_identity(struct balance_server *s, enum balance_identity offered) MUST_CHECK;
/* The addresses of a name, for when no name server answers; to has room for BALANCE_ADDRESSES. */
void balance_remember(struct balance_server *s, const struct netaddr *addr, size_t count);
size_t balance_recall(struct balance_server *s, struct netaddr *to);
bool balance_rests(const struct balance_server *s, usec_t now);
/* The order in which to try the servers of `set`, the resting ones last (they are better than a refusal); order has
 * room for set->servers. skip: the index of a server to put last among its kind, or set->servers. */
void balance_order(struct balance *b, const struct upstream_settings *set, size_t skip, usec_t now, size_t *order);

#endif
