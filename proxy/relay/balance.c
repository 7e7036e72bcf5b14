/* Failover: the first server that doesn't rest. The list only grows, so that it is read without a lock. */
#include "proxy/relay/balance.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { REST_MAX = 60 * USEC_PER_SEC };

static pthread_mutex_t grow = PTHREAD_MUTEX_INITIALIZER;

static struct balance_server *look_up(struct balance *b, const char *name)
{
    struct balance_server *s = atomic_load_explicit(&b->first, memory_order_acquire);
    while (s != NULL && strcmp(s->name, name) != 0)
        s = s->next;
    return s;
}

struct balance_server *balance_find(struct balance *b, const char *name)
{
    struct balance_server *s = look_up(b, name);
    if (s != NULL)
        return s;
    pthread_mutex_lock(&grow);
    s = look_up(b, name);
    if (s == NULL) {
        s = calloc(1, sizeof(*s));
        if (s == NULL || (s->name = strdup(name)) == NULL)
            abort();
        s->next = atomic_load(&b->first);
        atomic_store_explicit(&b->first, s, memory_order_release);
    }
    pthread_mutex_unlock(&grow);
    return s;
}

void balance_free(struct balance *b)
{
    struct balance_server *s = atomic_exchange(&b->first, NULL);
    while (s != NULL) {
        struct balance_server *next = s->next;
        free(s->name);
        free(s);
        s = next;
    }
}

void balance_succeeded(struct balance_server *s)
{
    if (atomic_load_explicit(&s->failures, memory_order_relaxed) == 0)
        return;
    atomic_store(&s->failures, 0);
    atomic_store(&s->rest, 0);
    atomic_store(&s->rest_until, 0);
}

void balance_failed(struct balance_server *s, const struct upstream_settings *set, usec_t now)
{
    if (atomic_fetch_add(&s->failures, 1) + 1 < set->health.failures || balance_rests(s, now))
        return;
    usec_t rest = atomic_load(&s->rest);
    rest = rest == 0 ? set->health.rest : rest * 2;
    usec_t most = set->health.rest > REST_MAX ? set->health.rest : REST_MAX;
    rest = rest > most ? most : rest;
    atomic_store(&s->rest, rest);
    atomic_store(&s->rest_until, now + rest);
}

bool balance_identity(struct balance_server *s, enum balance_identity offered)
{
    unsigned now = 1 + (unsigned)offered, before = atomic_load(&s->identity);
    while (now > before && !atomic_compare_exchange_weak(&s->identity, &before, now))
        ;
    return now >= before;
}

static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;

void balance_remember(struct balance_server *s, const struct netaddr *addr, size_t count)
{
    pthread_mutex_lock(&names);
    s->known_count = min_size(count, BALANCE_ADDRESSES);
    memcpy(s->known, addr, s->known_count * sizeof(*addr));
    pthread_mutex_unlock(&names);
}

size_t balance_recall(struct balance_server *s, struct netaddr *to)
{
    pthread_mutex_lock(&names);
    size_t count = s->known_count;
    memcpy(to, s->known, count * sizeof(*to));
    pthread_mutex_unlock(&names);
    return count;
}

bool balance_rests(const struct balance_server *s, usec_t now)
{
    return atomic_load_explicit(&s->rest_until, memory_order_relaxed) > now;
}

void balance_order(struct balance *b, const struct upstream_settings *set, size_t skip, usec_t now, size_t *order)
{
    size_t n = 0;
    for (int resting = 0; resting <= 1; resting++) {
        size_t skipped = set->servers;
        for (size_t i = 0; i < set->servers; i++) {
            if (balance_rests(balance_find(b, set->server[i].text), now) != resting)
                continue;
            if (i == skip)
                skipped = i;
            else
                order[n++] = i;
        }
        if (skipped < set->servers)
            order[n++] = skipped;
    }
}
