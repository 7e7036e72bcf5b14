/* Deadlines. One ordered queue per duration: setting a timer appends it to the queue of its duration, so that each
 * queue is ordered by construction and nothing is ever sorted. */
#ifndef PROXY_NET_TIMER_H
#define PROXY_NET_TIMER_H

#include "common/list.h"

struct timer_queue;
struct timer {
    struct list node;
    usec_t deadline; /* monotonic */
    struct timer_queue *queue;
    void (*fire)(struct timer *t);
};

struct timers {
    struct timer_queue *queues; /* owned; a list: there are as many as distinct durations in the configuration */
};

void timer_init(struct timer *t, void (*fire)(struct timer *t));
/* Sets, or sets again. The timer must not be moved or freed while it is set. */
void timer_set(struct timers *ts, struct timer *t, usec_t now, usec_t duration);
void timer_clear(struct timer *t);
static inline bool timer_is_set(const struct timer *t) { return !list_empty(&t->node); }
/* Fires what is due (a fired timer is cleared first). Returns the next deadline, or 0 if none is set. */
usec_t timers_run(struct timers *ts, usec_t now);
usec_t timers_next(const struct timers *ts);
void timers_free(struct timers *ts);

#endif
