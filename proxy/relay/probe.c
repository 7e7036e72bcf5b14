/* A probe ends when its server rests no more, and is freed when its last connection is gone: that uses its trace and
 * settings. Probes make no records: the failure that sent the server to rest has one. */
#include "proxy/relay/probe.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/relay/dial.h"

struct probe {
    struct grave grave;
    struct list node; /* worker->probes */
    struct worker *w;
    struct settings *settings; /* a reference, for set */
    const struct upstream_settings *set;
    size_t server;
    struct balance_server *health;
    struct trace trace;
    struct timer timer;
    struct dial *dial;
    unsigned upstreams;
    bool ended, freed;
};

static void on_done(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo, unsigned attempts);
static void on_failed(void *owner, const struct dial_failure *why);
static void on_opened(void *owner);
static void on_freed(void *owner);
static const struct dial_ops ops = { .done = on_done, .failed = on_failed, .opened = on_opened, .freed = on_freed };

static void free_probe(struct grave *g)
{
    struct probe *p = CONTAINER_OF(g, struct probe, grave);
    struct worker *w = p->w;
    settings_unref(&p->settings);
    free(p);
    worker_probe_ended(w);
}

static void check_end(struct probe *p)
{
    if (!p->ended || p->freed || p->upstreams > 0)
        return;
    p->freed = true;
    loop_bury(&p->w->loop, &p->grave, free_probe);
}

static void end(struct probe *p)
{
    if (p->ended)
        return;
    p->ended = true;
    atomic_store(&p->health->probing, false);
    timer_clear(&p->timer);
    list_remove(&p->node);
    dial_cancel(&p->dial);
    check_end(p);
}

static void on_opened(void *owner)
{
    struct probe *p = owner;
    p->upstreams++;
}

static void on_freed(void *owner)
{
    struct probe *p = owner;
    p->upstreams--;
    check_end(p);
}

static void on_done(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo, unsigned attempts)
{
    struct probe *p = owner;
    (void)server;
    (void)ehlo;
    (void)attempts;
    p->dial = NULL;
    upstream_quit(&u);
    end(p);
}

static void on_failed(void *owner, const struct dial_failure *why)
{
    struct probe *p = owner;
    (void)why;
    p->dial = NULL;
    loop_timer(&p->w->loop, &p->timer, p->set->health.probe);
}

/* A reload may have taken the server away. */
static bool is_configured(const struct worker *w, const char *name)
{
    for (size_t i = 0; i < w->settings->listeners; i++) {
        const struct upstream_settings *set = &w->settings->listener[i].upstream;
        for (size_t k = 0; k < set->servers; k++) {
            if (strcmp(set->server[k].text, name) == 0)
                return true;
        }
    }
    return false;
}

static void on_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (atomic_load(&p->health->failures) == 0 || !is_configured(p->w, p->health->name))
        end(p);
    else
        p->dial = dial_server(p->w, &p->trace, p->set, p->server, &ops, p);
}

/* A session may still have older settings; what they name is no more our business. */
static bool is_current(const struct worker *w, const struct upstream_settings *set)
{
    for (size_t i = 0; i < w->settings->listeners; i++) {
        if (&w->settings->listener[i].upstream == set)
            return true;
    }
    return false;
}

void probe_start(struct worker *w, const struct upstream_settings *set, size_t server)
{
    struct balance_server *health = balance_find(w->balance, set->server[server].text);
    if (w->draining || !is_current(w, set) || !balance_rests(health, w->loop.mono) ||
        atomic_exchange(&health->probing, true))
        return;
    struct probe *p = calloc(1, sizeof(*p));
    if (p == NULL)
        abort();
    *p =
        (struct probe){ .w = w, .settings = settings_ref(w->settings), .set = set, .server = server, .health = health };
    p->trace = (struct trace){ .log = w->logger, .loop = &w->loop, .quiet = true };
    list_append(&w->probes, &p->node);
    w->probe_count++;
    timer_init(&p->timer, on_timer);
    loop_timer(&w->loop, &p->timer, set->health.probe);
}

void probe_stop_all(struct worker *w)
{
    struct list *first;
    while ((first = list_first(&w->probes)) != NULL)
        end(LIST_ENTRY(first, struct probe, node));
}
