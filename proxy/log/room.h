/* How full an output is, and what that means for sessions: one count of octets for all of its queues, and the state
 * that follows from it and from `log.overflow`.
 *
 *         used + reserved > size             full for block_timeout
 *   OPEN ------------------------> BLOCKED -------------------------> TEMPFAIL
 *    ^  \_______(overflow tempfail)_________________________________^    |
 *    |                                |                                  |
 *    +--------------------------------+---------- half empty ------------+
 *
 * A disk that is nearly full is short, too (log.sync). With overflow `drop` the state is always OPEN. Reservations
 * count as half of the size at the most, so without lines waiting nobody is blocked. */
#ifndef PROXY_LOG_ROOM_H
#define PROXY_LOG_ROOM_H

#include "proxy/log/log.h"
#include "proxy/log/queue.h"

struct room {
    size_t size;
    enum log_overflow overflow;
    int notice;                  /* an eventfd, written when one of the flags below was set or the state changed */
    const atomic_long *reserved; /* of all loggers */
    _Alignas(CACHE_LINE) atomic_long used;
    /* enum log_state in the low two bits, above them since when (monotonic): so one exchange changes both. */
    _Alignas(CACHE_LINE) atomic_uint_least64_t state;
    atomic_bool closed;   /* the output is gone */
    atomic_bool changed;  /* the state: loggers must be told */
    atomic_bool refusing; /* TEMPFAIL began */
    /* With log.sync: octets that the disk is sure to take; false `starved`: enough of them. */
    atomic_long ahead;
    atomic_bool starved;
};

/* How much a line is worth where room is short: dialogue (command, send, data) is lost first; what was promised by a
 * reservation is kept even where there is no room, for there is an end to it: nothing is reserved any more. */
enum line_worth { LINE_DIALOGUE, LINE_PLAIN, LINE_PROMISED };

void room_init(struct room *r, const struct output_settings *set, const atomic_long *reserved, int notice);

static inline enum log_state room_state(const struct room *r)
{
    return (enum log_state)(atomic_load_explicit(&r->state, memory_order_relaxed) & 3);
}
/* May a line be put, after which `octets` more are used? */
bool room_allows(const struct room *r, size_t octets, enum line_worth worth);
void room_use(struct room *r, size_t octets);
void room_free(struct room *r, size_t octets);
/* The reservations have changed. */
void room_reserved(struct room *r);
/* So many octets more find room in the queue now; on the disk, behind all that is queued and reserved. */
bool room_fits(const struct room *r, size_t octets);
bool room_on_disk(const struct room *r, size_t octets);
/* The writer's: what should be free on the disk; what is; how much of it was written. */
size_t room_demand(const struct room *r);
void room_set_ahead(struct room *r, long ahead, bool starved);
void room_wrote(struct room *r, size_t octets);
/* The output is gone: no line is allowed any more, and nobody waits for it. */
void room_close(struct room *r);
/* BLOCKED for `timeout` becomes TEMPFAIL. Returns when to call this again, 0: when there is notice. */
usec_t room_expire(struct room *r, usec_t mono, usec_t timeout);

#endif
