/* When a line that somebody waits for is safe: in the kernel (`log.sync` write) or on the disk (fsync).
 *
 * A ticket is a place in a queue: the number of lines that its logger had put when it was drawn. The writer publishes
 * how many lines of each queue are safe; who waits says so first, and gets one wake-up for all that became safe in one
 * round. A failed fsync leaves open what is on the disk: tickets up to there are never safe, however well the next one
 * goes. */
#ifndef PROXY_LOG_TICKET_H
#define PROXY_LOG_TICKET_H

#include <stdatomic.h>

#include "proxy/log/queue.h"
#include "proxy/settings.h"

/* Of one logger at one output. */
struct ticket_desk {
    _Alignas(CACHE_LINE) atomic_uint_least64_t safe;
    atomic_uint_least64_t failed; /* tickets up to here are not, and won't be */
    atomic_bool awaited;          /* by the logger's worker, which wants to be woken */
};

struct tickets {
    enum log_sync sync;
    unsigned desks;
    struct ticket_desk *desk; /* owned; NULL where sync is none */
    _Alignas(CACHE_LINE) atomic_bool urgent;
};

void tickets_init(struct tickets *t, enum log_sync sync, unsigned desks);
void tickets_free(struct tickets *t);

/* Producer: the ticket is safe; it never will be. */
bool tickets_safe(const struct tickets *t, unsigned i, uint64_t ticket);
bool tickets_failed(const struct tickets *t, unsigned i, uint64_t ticket);
/* Asks to be woken, and for haste. The lines were put before. */
void tickets_await(struct tickets *t, unsigned i);

/* Writer: does anybody wait? */
bool tickets_awaited(const struct tickets *t);
/* All lines taken from the queues are safe, or (good false) can't be called so. Calls wake for each logger that waits.
 */
void tickets_pass(struct tickets *t, const struct queue *queue, bool good, void (*wake)(void *arg, unsigned i),
                  void *arg);

#endif
