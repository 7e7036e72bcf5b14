/* Before the loop sleeps: what was written in this round leaves, the dead are freed, the next deadline is set. */
#include "proxy/net/loop.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/net/stream.h"

static usec_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* Reading both clocks each time would cost a percent of a message; a step of the wall clock is seen this soon. */
enum { COMPARE_EVERY = 10 * USEC_PER_MSEC };

void loop_tick(struct loop *l)
{
    l->mono = read_clock(CLOCK_MONOTONIC);
    if (l->mono - l->compared > COMPARE_EVERY || l->compared == 0) {
        l->offset = read_clock(CLOCK_REALTIME) - l->mono;
        l->compared = l->mono;
    }
    l->real = l->mono + l->offset;
}

static void flush_dirty(struct loop *l)
{
    struct list *first;
    while ((first = list_first(&l->dirty)) != NULL)
        stream_flush(LIST_ENTRY(first, struct stream, dirty));
}

/* Each once a round, and the loop polls in between, so that none starves the others. */
static void read_ready(struct loop *l)
{
    struct list now;
    struct list *first;
    list_init(&now);
    list_move_all(&now, &l->ready);
    while ((first = list_first(&now)) != NULL) {
        list_remove(first);
        stream_read_held(LIST_ENTRY(first, struct stream, ready));
    }
}

static void empty_graveyard(struct loop *l)
{
    struct list *first;
    while ((first = list_first(&l->graves)) != NULL) {
        struct grave *g = LIST_ENTRY(first, struct grave, node);
        list_remove(&g->node);
        g->free(g);
    }
}

/* The alarm may ring too early, never too late: it is moved only where a deadline comes before it. */
static void set_alarm(struct loop *l)
{
    usec_t next = timers_next(&l->timers);
    if (next == 0 || (l->alarm_at != 0 && l->alarm_at <= next))
        return;
    usec_t wait = next > l->mono ? next - l->mono : 0;
    ev_timer_stop(l->ev, &l->alarm);
    ev_timer_set(&l->alarm, (double)wait / (double)USEC_PER_SEC + 0.001, 0.);
    ev_now_update(l->ev);
    ev_timer_start(l->ev, &l->alarm);
    l->alarm_at = next;
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int events)
{
    (void)ev;
    (void)events;
    struct loop *l = w->data;
    read_ready(l);
    do {
        flush_dirty(l);
        empty_graveyard(l);
    } while (!list_empty(&l->dirty) || !list_empty(&l->graves));
    if (list_empty(&l->ready))
        ev_idle_stop(l->ev, &l->awake);
    else
        ev_idle_start(l->ev, &l->awake);
    set_alarm(l);
}

/* It is there to keep the loop from sleeping. */
static void on_awake(struct ev_loop *ev, ev_idle *w, int events)
{
    (void)ev;
    (void)w;
    (void)events;
}

static void on_alarm(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct loop *l = w->data;
    loop_tick(l);
    l->alarm_at = 0;
    timers_run(&l->timers, l->mono);
}

void loop_init(struct loop *l)
{
    *l = (struct loop){ .ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV) };
    if (l->ev == NULL)
        l->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (l->ev == NULL)
        abort();
    list_init(&l->dirty);
    list_init(&l->ready);
    list_init(&l->closing);
    list_init(&l->graves);
    ev_prepare_init(&l->prepare, on_prepare);
    l->prepare.data = l;
    ev_prepare_start(l->ev, &l->prepare);
    ev_unref(l->ev);
    ev_idle_init(&l->awake, on_awake);
    ev_timer_init(&l->alarm, on_alarm, 0., 0.);
    l->alarm.data = l;
    loop_tick(l);
}

void loop_run(struct loop *l) { ev_run(l->ev, 0); }

void loop_break(struct loop *l) { ev_break(l->ev, EVBREAK_ALL); }

void loop_bury(struct loop *l, struct grave *g, void (*free)(struct grave *g))
{
    g->free = free;
    list_append(&l->graves, &g->node);
}

void loop_cut_closing(struct loop *l)
{
    struct list *first;
    while ((first = list_first(&l->closing)) != NULL) {
        list_remove(first);
        struct closing *c = LIST_ENTRY(first, struct closing, node);
        c->cut(c);
    }
}

void loop_free(struct loop *l)
{
    empty_graveyard(l);
    ev_ref(l->ev);
    ev_prepare_stop(l->ev, &l->prepare);
    ev_idle_stop(l->ev, &l->awake);
    ev_timer_stop(l->ev, &l->alarm);
    timers_free(&l->timers);
    buf_pool_free(&l->pool);
    ev_loop_destroy(l->ev);
}
