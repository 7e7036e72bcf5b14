/* A question is a waiter on an entry of the cache. An entry is pending while its lookup runs, and then has an answer
 * until it expires or is the least recently used of too many:
 *
 *   ask -> [pending] --lookup ends--> [ready, in the lru] --expired, then asked again--> [pending] ...
 *             |                            |
 *             +- a waiter's time is over   +- evicted: freed
 *
 * A pending entry is never freed: its lookup points to it. A waiter's end does not end the lookup, whose answer is kept
 * for the next who asks. The lookup is bounded by c-ares' own tries. */
#include "proxy/net/dns.h"

#include <assert.h>
#include <stdlib.h>

#include "proxy/net/dns_hosts.h"
#include "proxy/net/dns_lookup.h"
#include "proxy/net/loop.h"

enum { KINDS = 2, BUCKETS = 1024 };
static const unsigned cache_max[KINDS] = { [DNS_FORWARD] = 256, [DNS_REVERSE] = 2048 };

/* An answer that needed no lookup may be asked for again as soon as the hosts file is looked at again. */
#define TTL_HERE USEC_PER_SEC

struct entry {
    struct list hash, lru;
    struct list waiters;
    struct dns *dns;
    struct dns_key key;
    struct dns_lookup *lookup; /* NULL: ready */
    usec_t expires;
    struct dns_answer answer;
};

struct dns_query {
    struct list node;
    struct dns *dns;
    struct timer timer;
    struct entry *entry;
    dns_done *done;
    void *arg;
};

struct dns {
    struct loop *loop;
    struct dns_wire *wire;
    struct dns_hosts *hosts; /* NULL: not asked */
    struct list bucket[BUCKETS];
    struct list lru[KINDS]; /* the least recently used first */
    unsigned ready[KINDS], lookups[KINDS], queries;
    uint32_t seed;
};

static void *alloc(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        abort();
    return p;
}

static uint32_t hash_bytes(uint32_t h, const void *p, size_t n)
{
    const uint8_t *at = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ at[i]) * 16777619u;
    return h;
}

static struct list *bucket_of(struct dns *d, const struct dns_key *k)
{
    uint32_t h = d->seed + (uint32_t)k->kind;
    h = k->kind == DNS_REVERSE ? hash_bytes(h, k->addr.ip, sizeof(k->addr.ip))
                               : hash_bytes(h, k->host, strlen(k->host));
    return &d->bucket[(h ^ h >> 16) % BUCKETS];
}

static bool key_equal(const struct dns_key *a, const struct dns_key *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == DNS_REVERSE ? netaddr_eq_ip(&a->addr, &b->addr) : strcmp(a->host, b->host) == 0;
}

static struct entry *entry_find(struct dns *d, const struct dns_key *k)
{
    struct list *bucket = bucket_of(d, k);
    for (struct list *n = bucket->next; n != bucket; n = n->next) {
        struct entry *e = LIST_ENTRY(n, struct entry, hash);
        if (key_equal(&e->key, k))
            return e;
    }
    return NULL;
}

static struct entry *entry_new(struct dns *d, const struct dns_key *k)
{
    struct entry *e = alloc(sizeof(*e));
    e->dns = d;
    e->key = *k;
    list_init(&e->lru);
    list_init(&e->waiters);
    list_append(bucket_of(d, k), &e->hash);
    return e;
}

static void entry_free(struct entry *e)
{
    list_remove(&e->hash);
    list_remove(&e->lru);
    dns_lookup_free(&e->lookup);
    free(e);
}

/* Into the lru as the one used last. */
static void entry_ready(struct entry *e)
{
    struct dns *d = e->dns;
    enum dns_kind kind = e->key.kind;
    list_append(&d->lru[kind], &e->lru);
    if (++d->ready[kind] <= cache_max[kind])
        return;
    d->ready[kind]--;
    entry_free(LIST_ENTRY(d->lru[kind].next, struct entry, lru));
}

static void entry_unready(struct entry *e)
{
    list_remove(&e->lru);
    e->dns->ready[e->key.kind]--;
}

/* Waiters are told one by one from a list of their own; each may cancel others and ask anew. */
static void tell_waiters(struct list *waiters, const struct dns_answer *answer)
{
    struct list *first;
    while ((first = list_first(waiters)) != NULL) {
        struct dns_query *q = LIST_ENTRY(first, struct dns_query, node);
        dns_done *done = q->done;
        void *arg = q->arg;
        dns_cancel(&q);
        done(arg, answer);
    }
}

static void on_lookup(void *arg, const struct dns_answer *answer)
{
    struct entry *e = arg;
    struct list waiters;
    e->answer = *answer;
    e->expires = e->dns->loop->mono + answer->ttl;
    e->lookup = NULL;
    e->dns->lookups[e->key.kind]--;
    list_init(&waiters);
    for (struct list *n; (n = list_first(&e->waiters)) != NULL;) {
        list_remove(n);
        list_append(&waiters, n);
    }
    entry_ready(e); /* which a waiter may then push out of the cache */
    tell_waiters(&waiters, answer);
}

/* May end at once. */
static void entry_ask(struct entry *e)
{
    e->dns->lookups[e->key.kind]++;
    e->lookup = dns_lookup_new(e->dns->wire, &e->key, on_lookup, e);
    dns_lookup_start(e->lookup);
}

/* One family's addresses are enough to go on with. */
static void on_timeout(struct timer *t)
{
    struct dns_query *q = CONTAINER_OF(t, struct dns_query, timer);
    struct dns_answer answer = { .result = DNS_TEMPFAIL };
    dns_done *done = q->done;
    void *arg = q->arg;
    if (dns_lookup_partial(q->entry->lookup, &answer))
        answer.ttl = 0;
    dns_cancel(&q);
    done(arg, &answer);
}

static struct dns_query *answer_now(struct dns_answer *now, enum dns_result result)
{
    *now = (struct dns_answer){ .result = result };
    return NULL;
}

static struct dns_query *wait_for(struct entry *e, usec_t timeout, dns_done *done, void *arg)
{
    struct dns_query *q = alloc(sizeof(*q));
    *q = (struct dns_query){ .dns = e->dns, .entry = e, .done = done, .arg = arg };
    list_append(&e->waiters, &q->node);
    timer_init(&q->timer, on_timeout);
    loop_timer(e->dns->loop, &q->timer, timeout);
    e->dns->queries++;
    return q;
}

/* An entry, or NULL if it would need one lookup too many. */
static struct entry *entry_lookup(struct dns *d, const struct dns_key *k)
{
    struct entry *e = entry_find(d, k);
    bool stale = e != NULL && e->lookup == NULL && e->expires <= d->loop->mono;
    if (e != NULL && !stale)
        return e;
    if (d->lookups[k->kind] >= DNS_LOOKUPS_MAX)
        return NULL;
    if (stale)
        entry_unready(e);
    else
        e = entry_new(d, k);
    entry_ask(e);
    return e;
}

static struct dns_query *ask(struct dns *d, const struct dns_key *k, usec_t timeout, struct dns_answer *now,
                             dns_done *done, void *arg)
{
    struct entry *e = entry_lookup(d, k);
    if (e == NULL || (e->lookup != NULL && d->queries >= DNS_QUERIES_MAX))
        return answer_now(now, DNS_TEMPFAIL);
    if (e->lookup != NULL)
        return wait_for(e, timeout, done, arg);
    *now = e->answer;
    now->ttl = e->expires - d->loop->mono;
    entry_unready(e);
    entry_ready(e);
    return NULL;
}

/* A dot at the end stays: it keeps the search list away. */
static void lower_host(char out[DNS_NAME_SIZE], const char *host)
{
    size_t i = 0;
    for (; host[i] != '\0'; i++)
        out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 'a' - 'A') : host[i];
    out[i] = '\0';
}

/* Names that need no name server: numbers, the hosts file's, and localhost, which is this machine (RFC 6761). */
static bool resolve_here(struct dns *d, const char *host, struct dns_answer *now)
{
    char name[DNS_NAME_SIZE];
    size_t n = strlen(host);
    *now = (struct dns_answer){ .result = DNS_FOUND, .ttl = TTL_HERE };
    if (netaddr_parse_ip(&now->addr[0], span_of(host, n))) {
        now->count = 1;
        return true;
    }
    memcpy(name, host, n + 1);
    if (n > 1 && name[n - 1] == '.')
        name[n - 1] = '\0';
    if (d->hosts != NULL)
        now->count = dns_hosts_addrs(d->hosts, d->loop->mono, name, now->addr, DNS_ADDRS_MAX);
    if (now->count == 0 && strcmp(name, "localhost") == 0) {
        now->addr[0] = (struct netaddr){ .family = NETADDR_IPV4, .ip = { 127, 0, 0, 1 } };
        now->addr[1] = (struct netaddr){ .family = NETADDR_IPV6, .ip = { [15] = 1 } };
        now->count = 2;
    }
    return now->count > 0;
}

struct dns_query *dns_resolve(struct dns *d, const char *host, usec_t timeout, struct dns_answer *now, dns_done *done,
                              void *arg)
{
    struct dns_key k = { .kind = DNS_FORWARD };
    struct span text = span_str(host);
    struct netaddr ip;
    if (!netaddr_is_hostname(text) && !netaddr_parse_ip(&ip, text))
        return answer_now(now, DNS_NONE);
    lower_host(k.host, host);
    struct dns_answer here;
    if (resolve_here(d, k.host, &here)) {
        *now = here;
        return NULL;
    }
    return ask(d, &k, timeout, now, done, arg);
}

struct dns_query *dns_reverse(struct dns *d, const struct netaddr *addr, usec_t timeout, struct dns_answer *now,
                              dns_done *done, void *arg)
{
    struct dns_key k = { .kind = DNS_REVERSE, .addr = { .family = addr->family } };
    if (addr->family != NETADDR_IPV4 && addr->family != NETADDR_IPV6)
        return answer_now(now, DNS_NONE);
    memcpy(k.addr.ip, addr->ip, addr->family == NETADDR_IPV4 ? 4 : 16);
    const char *name = d->hosts != NULL ? dns_hosts_name(d->hosts, d->loop->mono, &k.addr) : NULL;
    if (name != NULL) {
        *now = (struct dns_answer){ .result = DNS_FOUND, .ttl = TTL_HERE };
        memcpy(now->name, name, strlen(name) + 1);
        return NULL;
    }
    return ask(d, &k, timeout, now, done, arg);
}

void dns_cancel(struct dns_query **query)
{
    struct dns_query *q = *query;
    if (q == NULL)
        return;
    *query = NULL;
    list_remove(&q->node);
    timer_clear(&q->timer);
    q->dns->queries--;
    free(q);
}

struct dns *dns_new(struct loop *loop, const struct dns_options *opt, const char **why)
{
    struct dns *d = alloc(sizeof(*d));
    d->loop = loop;
    d->seed = 2166136261u ^ (uint32_t)loop->real;
    for (int i = 0; i < BUCKETS; i++)
        list_init(&d->bucket[i]);
    for (int i = 0; i < KINDS; i++)
        list_init(&d->lru[i]);
    d->wire = dns_wire_new(loop, opt, why);
    if (d->wire == NULL) {
        free(d);
        return NULL;
    }
    if (opt->count == 0)
        d->hosts = dns_hosts_new(opt->hosts != NULL ? opt->hosts : "/etc/hosts");
    return d;
}

void dns_free(struct dns **dns)
{
    struct dns *d = *dns;
    if (d == NULL)
        return;
    assert(d->queries == 0);
    dns_wire_free(&d->wire);
    dns_hosts_free(&d->hosts);
    for (int i = 0; i < BUCKETS; i++)
        while (!list_empty(&d->bucket[i]))
            entry_free(LIST_ENTRY(list_first(&d->bucket[i]), struct entry, hash));
    free(d);
    *dns = NULL;
}
