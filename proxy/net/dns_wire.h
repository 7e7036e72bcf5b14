/* One question to the name servers, over c-ares, on our loop. No cache, no hosts file. */
#ifndef PROXY_NET_DNS_WIRE_H
#define PROXY_NET_DNS_WIRE_H

#include "proxy/net/dns.h"
#include "proxy/net/loop.h"

enum dns_type { DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_PTR };
enum { DNS_PTRS_MAX = 3 };

struct dns_records {
    enum dns_result result; /* FOUND: count > 0 */
    uint32_t ttl;           /* the least of the chain's, seconds */
    unsigned count;
    union {
        struct netaddr addr[DNS_ADDRS_MAX];
        char name[DNS_PTRS_MAX][DNS_NAME_SIZE]; /* any bytes, as c-ares escapes them */
    };
};

struct dns_wire;
typedef void dns_wire_done(void *arg, const struct dns_records *got);

struct dns_wire *dns_wire_new(struct loop *loop, const struct dns_options *opt, const char **why) MUST_CHECK;
/* Questions under way are forgotten. */
void dns_wire_free(struct dns_wire **w);
/* Asks for an absolute name. done() is called exactly once, and may be called before this returns. */
void dns_wire_ask(struct dns_wire *w, const char *name, enum dns_type type, dns_wire_done *done, void *arg);
/* The i-th name that `host` may mean by the search list, without a dot at the end, empty if it is too long; false if
 * there are no more. */
bool dns_wire_candidate(const struct dns_wire *w, const char *host, unsigned i, char out[DNS_NAME_SIZE]);

#endif
