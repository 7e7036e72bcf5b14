/* Questions wait in a list; the first one's work is copied into a job. When that is done, all that ask the same are
 * answered, and the next one's turn comes. A job outlives who asked for it, for others may need it too.
 *
 * Invariant: while questions wait, a job is under way or the timer runs that tries to push one again. */
#include "proxy/relay/own_hash.h"

#include <stdlib.h>

#include "proxy/net/loop.h"
#include "proxy/net/offload.h"

#define AGAIN (50 * USEC_PER_MSEC)

struct own_hashes {
    struct loop *loop;
    struct offload_port *port;
    struct sasl_client_cache cache;
    struct list waiting; /* struct own_hash */
    struct hash_job *job;
    struct timer again; /* the pool's queue was full */
};

struct hash_job {
    struct offload_job job;
    struct own_hashes *hs; /* the loop's thread alone looks at it */
    struct sasl_work *work;
};

static void work(struct offload_job *j) { sasl_work_run(CONTAINER_OF(j, struct hash_job, job)->work); }

static void free_job(struct offload_job *base)
{
    struct hash_job *j = CONTAINER_OF(base, struct hash_job, job);
    sasl_work_free(&j->work);
    free(j);
}

static void forget(struct own_hash *h)
{
    list_remove(&h->node);
    sasl_work_free(&h->work);
}

static void start(struct own_hashes *hs);

/* Who is called may cancel others, and ask anew. */
static void answer(struct own_hashes *hs, const struct sasl_work *result)
{
    struct list same, *next;
    list_init(&same);
    for (struct list *n = hs->waiting.next; n != &hs->waiting; n = next) {
        next = n->next;
        if (!sasl_work_same(LIST_ENTRY(n, struct own_hash, node)->work, result))
            continue;
        list_remove(n);
        list_append(&same, n);
    }
    while ((next = list_first(&same)) != NULL) {
        struct own_hash *h = LIST_ENTRY(next, struct own_hash, node);
        forget(h);
        h->done(h, result);
    }
}

static void done(struct offload_job *base)
{
    struct hash_job *j = CONTAINER_OF(base, struct hash_job, job);
    if (j->hs == NULL)
        return;
    j->hs->job = NULL;
    answer(j->hs, j->work);
    start(j->hs);
}

static void start(struct own_hashes *hs)
{
    struct list *first = list_first(&hs->waiting);
    if (first == NULL || hs->job != NULL)
        return;
    struct hash_job *j = calloc(1, sizeof(*j));
    if (j == NULL)
        abort();
    j->job = (struct offload_job){ .work = work, .done = done, .free = free_job };
    j->hs = hs;
    j->work = sasl_work_copy(LIST_ENTRY(first, struct own_hash, node)->work);
    if (offload_push(hs->port, &j->job)) {
        hs->job = j;
        return;
    }
    free_job(&j->job);
    loop_timer(hs->loop, &hs->again, AGAIN);
}

static void on_again(struct timer *t) { start(CONTAINER_OF(t, struct own_hashes, again)); }

struct own_hashes *own_hashes_new(struct loop *loop, struct offload_port *port)
{
    struct own_hashes *hs = calloc(1, sizeof(*hs));
    if (hs == NULL)
        abort();
    hs->loop = loop;
    hs->port = port;
    list_init(&hs->waiting);
    timer_init(&hs->again, on_again);
    return hs;
}

void own_hashes_free(struct own_hashes **hsp)
{
    struct own_hashes *hs = *hsp;
    *hsp = NULL;
    if (hs == NULL)
        return;
    timer_clear(&hs->again);
    if (hs->job != NULL) {
        hs->job->hs = NULL;
        offload_drop(&hs->job->job);
    }
    explicit_bzero(&hs->cache, sizeof(hs->cache));
    free(hs);
}

struct sasl_client_cache *own_hashes_cache(struct own_hashes *hs) { return &hs->cache; }

void own_hash_init(struct own_hash *h, void (*done_cb)(struct own_hash *h, const struct sasl_work *work))
{
    list_init(&h->node);
    h->work = NULL;
    h->done = done_cb;
}

void own_hash_ask(struct own_hashes *hs, struct own_hash *h, struct sasl_work *wanted)
{
    h->work = wanted;
    list_append(&hs->waiting, &h->node);
    start(hs);
}

void own_hash_cancel(struct own_hash *h) { forget(h); }
