/* What has to be asked for one name or one address: steps over dns_wire, without cache. */
#ifndef PROXY_NET_DNS_LOOKUP_H
#define PROXY_NET_DNS_LOOKUP_H

#include "proxy/net/dns_wire.h"

enum dns_kind { DNS_FORWARD, DNS_REVERSE };

struct dns_key {
    enum dns_kind kind;
    struct netaddr addr;      /* DNS_REVERSE */
    char host[DNS_NAME_SIZE]; /* DNS_FORWARD: lower case */
};

struct dns_lookup;
/* answer->ttl is set: how long the answer may be kept. The lookup is freed when this returns. */
typedef void dns_lookup_done(void *arg, const struct dns_answer *answer);

/* The key must live as long as the lookup. */
struct dns_lookup *dns_lookup_new(struct dns_wire *wire, const struct dns_key *key, dns_lookup_done *done, void *arg);
/* done() is called exactly once, and may be called before this returns. */
void dns_lookup_start(struct dns_lookup *l);
/* What there is of an answer before the end; false if nothing. */
bool dns_lookup_partial(const struct dns_lookup *l, struct dns_answer *out);
/* Only after the wire was freed, which never calls back then. */
void dns_lookup_free(struct dns_lookup **l);

#endif
