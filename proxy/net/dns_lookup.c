/* Forward: both types of one candidate name at a time. Reverse: the PTR, then the names that it gives one by one, each
 * of which must have the address. Answers may come while they are being asked for. */
#include "proxy/net/dns_lookup.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TTL_NONE (5 * USEC_PER_SEC)
#define TTL_TEMPFAIL USEC_PER_SEC

static const struct {
    usec_t min, max;
} ttl_range[] = {
    [DNS_FORWARD] = { USEC_PER_SEC, 86400 * USEC_PER_SEC },
    [DNS_REVERSE] = { 5 * USEC_PER_SEC, 600 * USEC_PER_SEC },
};

struct dns_lookup {
    struct dns_wire *wire;
    const struct dns_key *key;
    dns_lookup_done *done;
    void *arg;
    unsigned step; /* of candidate names, or of the PTR's names */
    unsigned open; /* questions */
    bool failed;   /* one of this step (forward) or of all (reverse) was not answered */
    uint32_t ttl;
    char name[DNS_NAME_SIZE];
    struct dns_records a, aaaa, ptr;
};

static usec_t clamp_ttl(enum dns_kind kind, uint32_t seconds)
{
    usec_t ttl = (usec_t)seconds * USEC_PER_SEC;
    return ttl < ttl_range[kind].min ? ttl_range[kind].min : ttl > ttl_range[kind].max ? ttl_range[kind].max : ttl;
}

static void end(struct dns_lookup *l, const struct dns_answer *answer)
{
    l->done(l->arg, answer);
    free(l);
}

static void end_empty(struct dns_lookup *l, bool failed)
{
    struct dns_answer answer = { .result = failed ? DNS_TEMPFAIL : DNS_NONE, .ttl = failed ? TTL_TEMPFAIL : TTL_NONE };
    end(l, &answer);
}

/* Whether the system would send to this address: connect() of a datagram socket asks for the route and sends nothing.
 */
static bool has_route(const struct netaddr *a)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    bool v4 = a->family == NETADDR_IPV4;
    memcpy(v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr, a->ip, v4 ? 4 : 16);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int rc = v4 ? connect(fd, (const struct sockaddr *)&in, sizeof(in))
                : connect(fd, (const struct sockaddr *)&in6, sizeof(in6));
    close(fd);
    return rc == 0;
}

/* First those with a route, then the others, the families in turns. */
static void order_addrs(struct dns_answer *out, const struct dns_records *aaaa, const struct dns_records *a)
{
    const struct netaddr *turn[2 * DNS_ADDRS_MAX];
    bool route[2 * DNS_ADDRS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < DNS_ADDRS_MAX; i++) {
        if (i < aaaa->count)
            turn[n++] = &aaaa->addr[i];
        if (i < a->count)
            turn[n++] = &a->addr[i];
    }
    for (unsigned i = 0; i < n; i++)
        route[i] = has_route(turn[i]);
    for (int wanted = 1; wanted >= 0; wanted--)
        for (unsigned i = 0; i < n && out->count < DNS_ADDRS_MAX; i++)
            if (route[i] == wanted)
                out->addr[out->count++] = *turn[i];
}

static void forward_answer(const struct dns_lookup *l, struct dns_answer *out)
{
    uint32_t ttl = UINT32_MAX;
    *out = (struct dns_answer){ .result = DNS_FOUND };
    if (l->a.count > 0)
        ttl = l->a.ttl;
    if (l->aaaa.count > 0 && l->aaaa.ttl < ttl)
        ttl = l->aaaa.ttl;
    out->ttl = clamp_ttl(DNS_FORWARD, ttl);
    order_addrs(out, &l->aaaa, &l->a);
}

static void forward_step(struct dns_lookup *l);

/* A candidate that could not be asked ends the search: the next one might be another machine. */
static void forward_done(struct dns_lookup *l)
{
    if (--l->open > 0)
        return;
    bool found = l->a.count + l->aaaa.count > 0;
    if (!found && l->failed) {
        end_empty(l, true);
    } else if (!found) {
        l->step++;
        forward_step(l);
    } else {
        struct dns_answer answer;
        forward_answer(l, &answer);
        if (l->failed && answer.ttl > TTL_NONE)
            answer.ttl = TTL_NONE;
        end(l, &answer);
    }
}

static void on_a(void *arg, const struct dns_records *got)
{
    struct dns_lookup *l = arg;
    l->a = *got;
    l->failed |= got->result == DNS_TEMPFAIL;
    forward_done(l);
}

static void on_aaaa(void *arg, const struct dns_records *got)
{
    struct dns_lookup *l = arg;
    l->aaaa = *got;
    l->failed |= got->result == DNS_TEMPFAIL;
    forward_done(l);
}

/* open counts this function too, so that the lookup outlives it. */
static void forward_step(struct dns_lookup *l)
{
    struct dns_wire *wire = l->wire;
    if (!dns_wire_candidate(wire, l->key->host, l->step, l->name)) {
        end_empty(l, false);
        return;
    }
    l->open = 1;
    if (l->name[0] != '\0') {
        l->open = 3;
        dns_wire_ask(wire, l->name, DNS_TYPE_AAAA, on_aaaa, l);
        dns_wire_ask(wire, l->name, DNS_TYPE_A, on_a, l);
    }
    forward_done(l);
}

static void reverse_step(struct dns_lookup *l);

/* Only the family of the address is asked for: the other can't have it. */
static void on_confirm(void *arg, const struct dns_records *got)
{
    struct dns_lookup *l = arg;
    l->failed |= got->result == DNS_TEMPFAIL;
    for (unsigned i = 0; i < got->count; i++) {
        if (!netaddr_eq_ip(&got->addr[i], &l->key->addr))
            continue;
        struct dns_answer answer = { .result = DNS_FOUND };
        answer.ttl = clamp_ttl(DNS_REVERSE, got->ttl < l->ttl ? got->ttl : l->ttl);
        memcpy(answer.name, l->name, sizeof(answer.name));
        end(l, &answer);
        return;
    }
    reverse_step(l);
}

/* Asks for the next name of the PTR that is a name at all. */
static void reverse_step(struct dns_lookup *l)
{
    while (l->step < l->ptr.count) {
        const char *name = l->ptr.name[l->step++];
        size_t n = strlen(name);
        if (n == 0 || name[n - 1] == '.' || !netaddr_is_hostname(span_of(name, n)))
            continue;
        memcpy(l->name, name, n + 1);
        bool v4 = l->key->addr.family == NETADDR_IPV4;
        dns_wire_ask(l->wire, l->name, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, on_confirm, l);
        return;
    }
    end_empty(l, l->failed);
}

static void on_ptr(void *arg, const struct dns_records *got)
{
    struct dns_lookup *l = arg;
    l->ptr = *got;
    l->ttl = got->ttl;
    l->failed = got->result == DNS_TEMPFAIL;
    reverse_step(l);
}

static void print_arpa(const struct netaddr *a, char out[DNS_NAME_SIZE])
{
    char *to = out;
    if (a->family == NETADDR_IPV4) {
        sprintf(out, "%u.%u.%u.%u.in-addr.arpa", a->ip[3], a->ip[2], a->ip[1], a->ip[0]);
        return;
    }
    for (int i = 15; i >= 0; i--)
        to += sprintf(to, "%x.%x.", a->ip[i] & 15u, a->ip[i] >> 4);
    memcpy(to, "ip6.arpa", sizeof("ip6.arpa"));
}

struct dns_lookup *dns_lookup_new(struct dns_wire *wire, const struct dns_key *key, dns_lookup_done *done, void *arg)
{
    struct dns_lookup *l = calloc(1, sizeof(*l));
    if (l == NULL)
        abort();
    l->wire = wire;
    l->key = key;
    l->done = done;
    l->arg = arg;
    return l;
}

void dns_lookup_start(struct dns_lookup *l)
{
    switch (l->key->kind) {
    case DNS_FORWARD:
        forward_step(l);
        break;
    case DNS_REVERSE:
        print_arpa(&l->key->addr, l->name);
        dns_wire_ask(l->wire, l->name, DNS_TYPE_PTR, on_ptr, l);
        break;
    }
}

bool dns_lookup_partial(const struct dns_lookup *l, struct dns_answer *out)
{
    if (l->key->kind == DNS_REVERSE || l->a.count + l->aaaa.count == 0)
        return false;
    forward_answer(l, out);
    return true;
}

void dns_lookup_free(struct dns_lookup **l)
{
    free(*l);
    *l = NULL;
}
