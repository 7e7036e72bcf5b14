/* Connections are counted over all and per listener by atomics; per client address in a table behind one mutex, which
 * is touched only where a limit per client is configured, or was when connections that still live came in.
 *
 * limits_leave() knows no settings, and a reload may switch limits on or off while connections live. So an entry keeps
 * a tag for each connection that it counts: one that leaves without a tag was never counted.
 *
 * Invariants: an entry is in the idle list if and only if it counts no connection; it is there only for its rate, and
 * for a minute at the most; at most IDLE_MAX are. So memory is bounded by the connections that live, whatever addresses
 * come. */
#include "proxy/relay/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { WINDOW = 60, IDLE_MAX = 65536, BUCKETS_FIRST = 64, EXPIRE_BATCH = 16 };

struct client_key {
    enum netaddr_family family;
    uint64_t net;
};

struct entry {
    struct entry *next;
    struct list idle;
    struct client_key key;
    uint32_t *tag; /* owned; one a connection */
    size_t tags, tag_cap;
    bool rated;
    usec_t second;           /* of the last connection */
    uint16_t opened[WINDOW]; /* connections in each of the last seconds, by second modulo WINDOW */
};

struct limits {
    atomic_uint connections;
    atomic_size_t entries; /* written under the mutex */
    pthread_mutex_t mutex;
    struct entry **bucket; /* owned; a power of two of them */
    size_t buckets;
    struct list idle; /* in the order in which they became idle */
    size_t idle_count;
    uint64_t secret[4];
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct limits *limits_new(void)
{
    struct limits *l = must(calloc(1, sizeof(*l)));
    l->buckets = BUCKETS_FIRST;
    l->bucket = must(calloc(l->buckets, sizeof(struct entry *)));
    list_init(&l->idle);
    if (pthread_mutex_init(&l->mutex, NULL) != 0 || getrandom(l->secret, sizeof(l->secret), 0) != sizeof(l->secret))
        abort();
    return l;
}

static void entry_free(struct entry *e)
{
    free(e->tag);
    free(e);
}

void limits_free(struct limits **l)
{
    if (*l == NULL)
        return;
    for (size_t i = 0; i < (*l)->buckets; i++) {
        struct entry *e;
        while ((e = (*l)->bucket[i]) != NULL) {
            (*l)->bucket[i] = e->next;
            entry_free(e);
        }
    }
    pthread_mutex_destroy(&(*l)->mutex);
    free((*l)->bucket);
    free(*l);
    *l = NULL;
}

/* Multiply-add-shift with secret 128-bit numbers: nobody outside can choose addresses that meet in a bucket. */
static uint64_t hash(const struct limits *l, uint64_t x)
{
    unsigned __int128 a = (unsigned __int128)l->secret[0] << 64 | l->secret[1];
    unsigned __int128 b = (unsigned __int128)l->secret[2] << 64 | l->secret[3];
    return (uint64_t)((a * x + b) >> 64);
}

static uint64_t read_big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* IPv4 by the address, IPv6 by its /64. */
static struct client_key key_of(const struct netaddr *client)
{
    return (struct client_key){ client->family, read_big_endian(client->ip, client->family == NETADDR_IPV4 ? 4 : 8) };
}

/* What tells the connections of one entry apart. */
static uint32_t tag_of(const struct limits *l, const struct listener *listener, const struct netaddr *client)
{
    uint64_t host = client->family == NETADDR_IPV6 ? read_big_endian(client->ip + 8, 8) : 0;
    return (uint32_t)(hash(l, hash(l, host + client->port) ^ (uintptr_t)listener) >> 32);
}

static size_t bucket_of(const struct limits *l, const struct client_key *key)
{
    return (size_t)(hash(l, key->net) >> 20) & (l->buckets - 1);
}

static struct entry **find(const struct limits *l, const struct client_key *key)
{
    struct entry **at = &l->bucket[bucket_of(l, key)];
    while (*at != NULL && ((*at)->key.net != key->net || (*at)->key.family != key->family))
        at = &(*at)->next;
    return at;
}

static void forget(struct limits *l, struct entry *e)
{
    struct entry **at = find(l, &e->key);
    *at = e->next;
    if (!list_empty(&e->idle)) {
        list_remove(&e->idle);
        l->idle_count--;
    }
    atomic_fetch_sub_explicit(&l->entries, 1, memory_order_relaxed);
    entry_free(e);
}

/* Few at a time, so that nobody waits for the mutex long; more than one connection can add. */
static void expire(struct limits *l, usec_t now)
{
    usec_t second = now / USEC_PER_SEC;
    for (int i = 0; i < EXPIRE_BATCH; i++) {
        struct list *first = list_first(&l->idle);
        if (first == NULL)
            return;
        struct entry *e = LIST_ENTRY(first, struct entry, idle);
        if (l->idle_count <= IDLE_MAX && second - e->second < WINDOW)
            return;
        forget(l, e);
    }
}

static void grow(struct limits *l)
{
    struct entry **old = l->bucket;
    size_t n = l->buckets;
    l->buckets = n * 2;
    l->bucket = must(calloc(l->buckets, sizeof(struct entry *)));
    for (size_t i = 0; i < n; i++) {
        struct entry *e;
        while ((e = old[i]) != NULL) {
            old[i] = e->next;
            struct entry **to = &l->bucket[bucket_of(l, &e->key)];
            e->next = *to;
            *to = e;
        }
    }
    free(old);
}

static struct entry *find_or_add(struct limits *l, const struct client_key *key)
{
    struct entry **at = find(l, key);
    if (*at != NULL)
        return *at;
    struct entry *e = must(calloc(1, sizeof(*e)));
    e->key = *key;
    list_init(&e->idle);
    *at = e;
    if (atomic_fetch_add_explicit(&l->entries, 1, memory_order_relaxed) >= l->buckets)
        grow(l);
    return e;
}

static void tag_add(struct limits *l, struct entry *e, uint32_t tag)
{
    if (e->tags == e->tag_cap) {
        e->tag_cap = e->tag_cap > 0 ? e->tag_cap * 2 : 2;
        e->tag = must(realloc(e->tag, e->tag_cap * sizeof(*e->tag)));
    }
    e->tag[e->tags++] = tag;
    if (!list_empty(&e->idle)) {
        list_remove(&e->idle);
        l->idle_count--;
    }
}

static bool tag_remove(struct entry *e, uint32_t tag)
{
    for (size_t i = 0; i < e->tags; i++) {
        if (e->tag[i] != tag)
            continue;
        e->tag[i] = e->tag[--e->tags];
        return true;
    }
    return false;
}

/* Counts one more and returns how many there were in the last minute. Workers' clocks may differ by a moment. */
static unsigned rate(struct entry *e, usec_t now)
{
    usec_t second = now / USEC_PER_SEC;
    if (!e->rated)
        e->second = second;
    e->rated = true;
    if (second - e->second >= WINDOW)
        memset(e->opened, 0, sizeof(e->opened));
    else
        for (usec_t s = e->second + 1; s <= second; s++)
            e->opened[s % WINDOW] = 0;
    if (second > e->second)
        e->second = second;
    uint16_t *cell = &e->opened[e->second % WINDOW];
    if (*cell < UINT16_MAX)
        (*cell)++;
    unsigned sum = 0;
    for (size_t i = 0; i < WINDOW; i++)
        sum += e->opened[i];
    return sum;
}

static enum limits_verdict enter_client(struct limits *l, const struct listener *listener, const struct netaddr *client,
                                        const struct limits_settings *set, usec_t now)
{
    struct client_key key = key_of(client);
    enum limits_verdict verdict = LIMITS_OK;
    pthread_mutex_lock(&l->mutex);
    struct entry *e = find_or_add(l, &key);
    tag_add(l, e, tag_of(l, listener, client));
    if (set->max_rate_per_client > 0 && rate(e, now) > set->max_rate_per_client)
        verdict = LIMITS_RATE;
    if (set->max_connections_per_client > 0 && e->tags > set->max_connections_per_client)
        verdict = LIMITS_CLIENT;
    expire(l, now);
    pthread_mutex_unlock(&l->mutex);
    return verdict;
}

static bool over(unsigned before, unsigned max) { return max > 0 && before >= max; }

/* A peer without an address has no limit of its own. */
static bool has_address(const struct netaddr *client)
{
    return client->family == NETADDR_IPV4 || client->family == NETADDR_IPV6;
}

enum limits_verdict limits_enter(struct limits *l, struct listener *listener, const struct netaddr *client,
                                 const struct limits_settings *global, const struct limits_settings *set, usec_t now)
{
    enum limits_verdict verdict = LIMITS_OK;
    bool full = over(atomic_fetch_add_explicit(&l->connections, 1, memory_order_relaxed), global->max_connections);
    full |= over(atomic_fetch_add_explicit(&listener->connections, 1, memory_order_relaxed), set->max_connections);
    if (has_address(client) && (set->max_connections_per_client > 0 || set->max_rate_per_client > 0)) {
        verdict = enter_client(l, listener, client, set, now);
    } else if (UNLIKELY(atomic_load_explicit(&l->entries, memory_order_relaxed) > 0)) {
        pthread_mutex_lock(&l->mutex);
        expire(l, now);
        pthread_mutex_unlock(&l->mutex);
    }
    return full ? LIMITS_FULL : verdict;
}

static void leave_client(struct limits *l, const struct listener *listener, const struct netaddr *client)
{
    struct client_key key = key_of(client);
    pthread_mutex_lock(&l->mutex);
    struct entry *e = *find(l, &key);
    if (e != NULL && tag_remove(e, tag_of(l, listener, client)) && e->tags == 0) {
        if (e->rated) {
            list_append(&l->idle, &e->idle);
            l->idle_count++;
        } else {
            forget(l, e);
        }
    }
    pthread_mutex_unlock(&l->mutex);
}

void limits_leave(struct limits *l, struct listener *listener, const struct netaddr *client)
{
    atomic_fetch_sub_explicit(&l->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&listener->connections, 1, memory_order_relaxed);
    if (has_address(client) && atomic_load_explicit(&l->entries, memory_order_relaxed) > 0)
        leave_client(l, listener, client);
}
