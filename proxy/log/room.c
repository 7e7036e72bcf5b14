/* Whoever changes a count looks at the state afterwards, and whoever changes the state looks at the counts afterwards;
 * all of this is sequentially consistent, so a queue that is empty can't stay BLOCKED. */
#include "proxy/log/room.h"

#include <limits.h>
#include <sys/eventfd.h>

#include "proxy/log/clock.h"

static uint64_t state_word(enum log_state state, usec_t since) { return (uint64_t)since << 2 | state; }
static enum log_state word_state(uint64_t word) { return (enum log_state)(word & 3); }

void room_init(struct room *r, const struct output_settings *set, const atomic_long *reserved, int notice)
{
    *r = (struct room){ .size = set->queue_size, .overflow = set->overflow, .reserved = reserved, .notice = notice };
}

static void room_notify(struct room *r) { eventfd_write(r->notice, 1); }

static size_t room_used(const struct room *r)
{
    long used = atomic_load(&r->used);
    return used > 0 ? (size_t)used : 0;
}

/* Everything that wants room. */
static size_t room_wanted(const struct room *r, size_t used)
{
    long reserved = atomic_load(r->reserved);
    return used + (reserved > 0 ? min_size((size_t)reserved, r->size / 2) : 0);
}

static bool room_short(const struct room *r)
{
    if (UNLIKELY(atomic_load(&r->starved)))
        return true;
    size_t used = room_used(r);
    return used > 0 && room_wanted(r, used) > r->size;
}

static bool room_ample(const struct room *r)
{
    if (UNLIKELY(atomic_load(&r->starved)))
        return false;
    size_t used = room_used(r);
    return used <= r->size / 4 || room_wanted(r, used) <= r->size / 2;
}

static void room_reopen(struct room *r)
{
    uint64_t word = atomic_load(&r->state);
    while (word_state(word) != LOG_OPEN && (atomic_load(&r->closed) || room_ample(r))) {
        if (atomic_compare_exchange_weak(&r->state, &word, state_word(LOG_OPEN, 0))) {
            atomic_store(&r->changed, true);
            room_notify(r);
            return;
        }
    }
}

static __attribute__((noinline)) void room_shut(struct room *r)
{
    enum log_state state = r->overflow == OVERFLOW_BLOCK ? LOG_BLOCKED : LOG_TEMPFAIL;
    uint64_t word = state_word(LOG_OPEN, 0);
    if (!atomic_compare_exchange_strong(&r->state, &word, state_word(state, clock_mono())))
        return;
    if (state == LOG_TEMPFAIL)
        atomic_store(&r->refusing, true);
    atomic_store(&r->changed, true);
    room_notify(r);
    room_reopen(r);
}

static void room_check(struct room *r)
{
    if (r->overflow != OVERFLOW_DROP && room_state(r) == LOG_OPEN && UNLIKELY(room_short(r)))
        room_shut(r);
}

bool room_allows(const struct room *r, size_t octets, enum line_worth worth)
{
    bool dialogue = worth == LINE_DIALOGUE;
    if (UNLIKELY(atomic_load_explicit(&r->closed, memory_order_relaxed)))
        return false;
    if (LIKELY(r->overflow != OVERFLOW_DROP && room_state(r) != LOG_TEMPFAIL))
        return true;
    if (worth == LINE_PROMISED && r->overflow != OVERFLOW_DROP)
        return true;
    if (UNLIKELY(dialogue && atomic_load_explicit(&r->starved, memory_order_relaxed)))
        return false;
    size_t limit = dialogue ? r->size : r->size + r->size / 2;
    if (r->overflow == OVERFLOW_DROP)
        limit = dialogue ? r->size / 4 * 3 : r->size;
    return room_used(r) + octets <= limit;
}

void room_use(struct room *r, size_t octets)
{
    atomic_fetch_add(&r->used, (long)octets);
    room_check(r);
}

void room_free(struct room *r, size_t octets)
{
    atomic_fetch_sub(&r->used, (long)octets);
    room_reopen(r);
}

void room_reserved(struct room *r)
{
    room_check(r);
    room_reopen(r);
}

bool room_fits(const struct room *r, size_t octets) { return room_used(r) + octets <= r->size; }

static size_t room_reservations(const struct room *r)
{
    long reserved = atomic_load(r->reserved);
    return reserved > 0 ? (size_t)reserved : 0;
}

bool room_on_disk(const struct room *r, size_t octets)
{
    long ahead = atomic_load(&r->ahead);
    return ahead == LONG_MAX || (long)(room_used(r) + room_reservations(r) + octets) <= ahead;
}

size_t room_demand(const struct room *r) { return room_used(r) + room_reservations(r); }

void room_set_ahead(struct room *r, long ahead, bool starved)
{
    atomic_store(&r->ahead, ahead);
    if (atomic_exchange(&r->starved, starved) == starved)
        return;
    room_check(r);
    room_reopen(r);
}

void room_wrote(struct room *r, size_t octets)
{
    if (atomic_load_explicit(&r->ahead, memory_order_relaxed) != LONG_MAX)
        atomic_fetch_sub(&r->ahead, (long)octets);
}

void room_close(struct room *r)
{
    atomic_store(&r->closed, true);
    atomic_store(&r->state, state_word(LOG_OPEN, 0));
    atomic_store(&r->changed, true);
    room_notify(r);
}

usec_t room_expire(struct room *r, usec_t mono, usec_t timeout)
{
    uint64_t word = atomic_load(&r->state);
    if (word_state(word) != LOG_BLOCKED)
        return 0;
    usec_t end = (usec_t)(word >> 2) + timeout;
    if (mono < end)
        return end;
    if (atomic_compare_exchange_strong(&r->state, &word, state_word(LOG_TEMPFAIL, mono))) {
        atomic_store(&r->refusing, true);
        atomic_store(&r->changed, true);
        room_reopen(r);
    }
    return 0;
}
