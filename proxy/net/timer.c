/* The queues are few and never removed before the end, so that a timer can keep a pointer to its queue. */
#include "proxy/net/timer.h"

#include <stdlib.h>

struct timer_queue {
    struct timer_queue *next;
    usec_t duration;
    struct list timers;
};

void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
    *t = (struct timer){ .fire = fire };
    list_init(&t->node);
}

static struct timer_queue *queue_of(struct timers *ts, usec_t duration)
{
    struct timer_queue *q = ts->queues;
    while (q != NULL && q->duration != duration)
        q = q->next;
    if (q != NULL)
        return q;
    q = malloc(sizeof(*q));
    if (q == NULL)
        abort();
    *q = (struct timer_queue){ .next = ts->queues, .duration = duration };
    list_init(&q->timers);
    ts->queues = q;
    return q;
}

void timer_set(struct timers *ts, struct timer *t, usec_t now, usec_t duration)
{
    if (t->queue == NULL || t->queue->duration != duration)
        t->queue = queue_of(ts, duration);
    list_remove(&t->node);
    t->deadline = now + duration;
    list_append(&t->queue->timers, &t->node);
}

void timer_clear(struct timer *t) { list_remove(&t->node); }

/* What is due is set apart first: a timer that is set again for now waits for the next run. Those set apart are still
 * set, and may be cleared by others that fire. */
static void queue_run(struct timer_queue *q, usec_t now)
{
    struct list due, *first;
    list_init(&due);
    while ((first = list_first(&q->timers)) != NULL && LIST_ENTRY(first, struct timer, node)->deadline <= now) {
        list_remove(first);
        list_append(&due, first);
    }
    while ((first = list_first(&due)) != NULL) {
        struct timer *t = LIST_ENTRY(first, struct timer, node);
        timer_clear(t);
        t->fire(t);
    }
}

usec_t timers_run(struct timers *ts, usec_t now)
{
    for (struct timer_queue *q = ts->queues; q != NULL; q = q->next)
        queue_run(q, now);
    return timers_next(ts);
}

usec_t timers_next(const struct timers *ts)
{
    usec_t next = 0;
    for (const struct timer_queue *q = ts->queues; q != NULL; q = q->next) {
        const struct list *first = list_first(&q->timers);
        if (first == NULL)
            continue;
        usec_t deadline = LIST_ENTRY(first, struct timer, node)->deadline;
        if (next == 0 || deadline < next)
            next = deadline;
    }
    return next;
}

void timers_free(struct timers *ts)
{
    while (ts->queues != NULL) {
        struct timer_queue *q = ts->queues;
        ts->queues = q->next;
        free(q);
    }
}
