/* The order that nothing is missed by: who waits sets `awaited` after its lines are put, then looks whether they are
 * safe; the writer publishes `safe`, then looks at `awaited`. `urgent` is set last, and cleared by the writer before it
 * looks at the queues. All of it is sequentially consistent. Below: the same for a logger with all its outputs. */
#include "proxy/log/ticket.h"

#include <stdlib.h>

#include "proxy/log/log_impl.h"

void tickets_init(struct tickets *t, enum log_sync sync, unsigned desks)
{
    memset(t, 0, sizeof(*t));
    t->sync = sync;
    t->desks = desks;
    if (sync == SYNC_NONE)
        return;
    t->desk = aligned_alloc(CACHE_LINE, desks * sizeof(*t->desk));
    if (t->desk == NULL)
        abort();
    memset(t->desk, 0, desks * sizeof(*t->desk));
}

void tickets_free(struct tickets *t)
{
    free(t->desk);
    t->desk = NULL;
}

bool tickets_failed(const struct tickets *t, unsigned i, uint64_t ticket)
{
    return ticket <= atomic_load(&t->desk[i].failed);
}

/* `failed` is stored before `safe`. */
bool tickets_safe(const struct tickets *t, unsigned i, uint64_t ticket)
{
    return atomic_load(&t->desk[i].safe) >= ticket && !tickets_failed(t, i, ticket);
}

void tickets_await(struct tickets *t, unsigned i)
{
    atomic_store(&t->desk[i].awaited, true);
    atomic_store(&t->urgent, true);
}

bool tickets_awaited(const struct tickets *t)
{
    for (unsigned i = 0; i < t->desks; i++) {
        if (atomic_load(&t->desk[i].awaited))
            return true;
    }
    return false;
}

void tickets_pass(struct tickets *t, const struct queue *queue, bool good, void (*wake)(void *arg, unsigned i),
                  void *arg)
{
    for (unsigned i = 0; i < t->desks; i++) {
        struct ticket_desk *d = &t->desk[i];
        if (!good)
            atomic_store(&d->failed, queue[i].taken);
        atomic_store(&d->safe, queue[i].taken);
        if (atomic_exchange(&d->awaited, false))
            wake(arg, i);
    }
}

bool logger_syncs(const struct logger *l) { return l->log->syncs; }

/* Its queue takes what is to come, but where it loses records, or is to be spared. */
static bool queue_secures(const struct room *r, size_t octets)
{
    if (room_state(r) == LOG_TEMPFAIL)
        return false;
    return r->overflow != OVERFLOW_DROP || room_fits(r, min_size(octets, r->size / 2));
}

bool logger_secures(struct logger *l, size_t octets)
{
    for (size_t i = 0; i < l->log->writers; i++) {
        const struct log_writer *w = &l->log->writer[i];
        if (w->tickets.sync != SYNC_NONE && (!queue_secures(&w->room, octets) || !room_on_disk(&w->room, octets)))
            return false;
    }
    return true;
}

uint64_t logger_missed(const struct logger *l)
{
    uint64_t missed = 0;
    for (size_t i = 0; i < l->log->writers; i++) {
        const struct log_writer *w = &l->log->writer[i];
        if (w->tickets.sync != SYNC_NONE)
            missed += atomic_load_explicit(&w->queue[l->index].lost, memory_order_relaxed);
    }
    return missed;
}

void logger_draw(struct logger *l, struct log_ticket *out)
{
    for (size_t i = 0; i < l->log->writers; i++) {
        const struct log_writer *w = &l->log->writer[i];
        bool counts = w->tickets.sync != SYNC_NONE && w->level >= LEVEL_INFO;
        out->at[i] = counts ? atomic_load_explicit(&w->queue[l->index].published, memory_order_relaxed) : 0;
    }
}

enum log_fate logger_fate(const struct logger *l, const struct log_ticket *ticket)
{
    enum log_fate fate = LOG_SAFE;
    for (size_t i = 0; i < l->log->writers; i++) {
        const struct log_writer *w = &l->log->writer[i];
        if (ticket->at[i] == 0 || tickets_safe(&w->tickets, l->index, ticket->at[i]))
            continue;
        if (tickets_failed(&w->tickets, l->index, ticket->at[i]))
            return LOG_UNSAFE;
        fate = LOG_WAITING;
    }
    return fate;
}

void logger_await(struct logger *l)
{
    for (size_t i = 0; i < l->log->writers; i++) {
        struct log_writer *w = &l->log->writer[i];
        if (w->tickets.sync != SYNC_NONE && w->level >= LEVEL_INFO)
            writer_await(w, l->index);
    }
}
