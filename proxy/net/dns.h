/* Names and addresses without waiting: one `struct dns` a worker, on its loop, shared with nobody. Answers are cached,
 * and equal questions that are under way share one lookup.
 *
 * A question returns NULL when its answer is in *now already: from the cache, the hosts file, because nothing had to be
 * asked (a numeric address, an impossible name, a unix peer), or TEMPFAIL because too many questions are open. Else it
 * returns a handle, *now is untouched, and done() is called exactly once, later, from the loop, never from inside the
 * question; the handle is gone by then. dns_cancel() takes a handle back; then done() is never called.
 *
 * A timeout is a value of the configuration, not what is left of another: each distinct one makes a queue (timer.h).
 * done() may ask and cancel anything, but must not call dns_free(). */
#ifndef PROXY_NET_DNS_H
#define PROXY_NET_DNS_H

#include "common/netaddr.h"

struct loop;
struct dns;
struct dns_query;

enum dns_result {
    DNS_FOUND,
    DNS_NONE,    /* there is no such name or no (confirmed) address */
    DNS_TEMPFAIL /* not known now: no server answered in time, or it could not find out */
};

enum {
    DNS_ADDRS_MAX = 16,    /* of a name; more are left out */
    DNS_NAME_SIZE = 256,   /* with its NUL */
    DNS_LOOKUPS_MAX = 256, /* under way, of each kind: a flood of reverse lookups leaves room for the upstream's name */
    DNS_QUERIES_MAX = 16384 /* handles */
};

struct dns_answer {
    enum dns_result result;
    usec_t ttl; /* how long the answer may still be used */
    /* dns_resolve: one or more if FOUND, ports are 0. Those that this machine has a route to come first; within these
     * IPv6 and IPv4 take turns. */
    unsigned count;
    struct netaddr addr[DNS_ADDRS_MAX];
    /* dns_reverse: the name if FOUND. Letters, digits, '-', '_' and '.' only, no dot at the end. */
    char name[DNS_NAME_SIZE];
};

typedef void dns_done(void *arg, const struct dns_answer *answer);

struct dns_options {
    /* "192.0.2.1", "192.0.2.1:53", "[2001:db8::1]:53"; all may be asked. None: those of resolv.conf (read again when it
     * changes), with its search list, and the hosts file is asked first. Copied. */
    char *const *servers;
    size_t count;
    const char *resolv_conf, *hosts; /* NULL: /etc/resolv.conf, /etc/hosts */
    uint16_t port;                   /* of resolv.conf's servers; 0: 53 */
};

/* NULL and *why (static text) if a server can't be read or c-ares can't start. The loop outlives it. */
struct dns *dns_new(struct loop *loop, const struct dns_options *opt, const char **why) MUST_CHECK;
/* No question may be open. */
void dns_free(struct dns **d);

/* The addresses of a name. Positive answers are cached for their TTL (1 second to 1 day), negative ones for 5 seconds,
 * failures for 1. If only one family's addresses are there when the time is over, these are the answer. */
struct dns_query *dns_resolve(struct dns *d, const char *host, usec_t timeout, struct dns_answer *now, dns_done *done,
                              void *arg) MUST_CHECK;
/* The name of an address (PTR), only if that name has this address (up to 3 names are tried). Whoever controls the
 * address writes the PTR record, so its TTL counts from 5 seconds to 10 minutes. */
struct dns_query *dns_reverse(struct dns *d, const struct netaddr *addr, usec_t timeout, struct dns_answer *now,
                              dns_done *done, void *arg) MUST_CHECK;
/* Sets *q to NULL; *q may be NULL. */
void dns_cancel(struct dns_query **q);

#endif
