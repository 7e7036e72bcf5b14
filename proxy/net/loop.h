/* What everything on one worker's loop shares: the libev loop, its clock, its timers, its memory, the streams that have
 * something to write, and the graveyard. One thread; nothing here is locked. */
#ifndef PROXY_NET_LOOP_H
#define PROXY_NET_LOOP_H

#include <ev.h>

#include "common/buf.h"
#include "common/list.h"
#include "proxy/net/timer.h"

/* What is buried is freed when the loop comes round, so that nothing frees its caller. */
struct grave {
    struct list node;
    void (*free)(struct grave *g);
};

/* Something that says good-bye and may be cut short when the program has no more time. */
struct closing {
    struct list node;
    void (*cut)(struct closing *c);
};

struct loop {
    struct ev_loop *ev;
    usec_t mono, real;       /* the clock when the current callback began: monotonic, and microseconds since 1970 */
    usec_t offset, compared; /* between the two, and when that was last looked at */
    struct timers timers;
    struct buf_pool pool;
    struct list dirty;   /* streams with unsent bytes */
    struct list ready;   /* streams whose TLS holds bytes that were not read yet */
    struct list closing; /* struct closing */
    struct list graves;
    ev_prepare prepare;
    ev_idle awake; /* while `ready` is not empty */
    ev_timer alarm;
    usec_t alarm_at;
};

void loop_init(struct loop *l);
void loop_run(struct loop *l);
/* Makes loop_run() return. */
void loop_break(struct loop *l);
/* Frees what is buried and the loop; nothing else may use it any more. */
void loop_free(struct loop *l);
/* Reads the clocks; each entry from libev does this first. */
void loop_tick(struct loop *l);
void loop_bury(struct loop *l, struct grave *g, void (*free)(struct grave *g));
/* Cuts all that is closing. */
void loop_cut_closing(struct loop *l);
static inline void loop_timer(struct loop *l, struct timer *t, usec_t duration)
{
    timer_set(&l->timers, t, l->mono, duration);
}

#endif
