/* Among the lines that wait when a batch is begun, each queue's order is kept, and between queues the older line goes
 * first. */
#include "proxy/log/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/log/clock.h"
#include "proxy/log/log.h"

enum { DROPPED_PAUSE = USEC_PER_SEC };

void merge_init(struct merge *m, const char *run)
{
    m->seq = 1;
    m->tail_len =
        (size_t)snprintf(m->tail, sizeof(m->tail), ",\"%s\":\"%s\",\"%s\":", m->format->run, run, m->format->seq);
    buf_init(&m->text, NULL);
}

void merge_free(struct merge *m) { buf_free(&m->text); }

bool merge_news(struct merge *m)
{
    if (m->lost > 0)
        return true;
    for (unsigned i = 0; i < m->queues; i++) {
        if (queue_news(&m->queue[i]))
            return true;
    }
    return false;
}

static void merge_lose(struct merge *m, uint64_t n)
{
    m->seq += n;
    m->lost += n;
    m->ever_lost |= n > 0;
}

/* *until: when the oldest line of the others was made; until there no other queue needs to be looked at. */
static struct queue *merge_oldest(struct merge *m, usec_t *until)
{
    struct queue *best = NULL;
    usec_t time = INT64_MAX;
    *until = INT64_MAX;
    for (unsigned i = 0; i < m->queues; i++) {
        const struct queue_entry *e = queue_head(&m->queue[i]);
        if (e == NULL)
            continue;
        if (best == NULL || e->time < time) {
            *until = time;
            best = &m->queue[i];
            time = e->time;
        } else if (e->time < *until) {
            *until = e->time;
        }
    }
    return best;
}

/* Once the output keeps up again, or now and then while it doesn't. */
static bool merge_must_tell(const struct merge *m, const struct room *room, bool last)
{
    if (LIKELY(m->lost == 0))
        return false;
    return last || atomic_load(&room->used) < (long)(room->size / 2) || clock_mono() - m->told_at >= DROPPED_PAUSE;
}

void batch_free(struct batch *b) { free(b->data); }

static char *batch_reserve(struct batch *b, size_t n)
{
    if (UNLIKELY(b->cap - b->len < n)) {
        b->cap = max_size(b->len + n, BATCH_OCTETS + BUF_BLOCK);
        b->data = realloc(b->data, b->cap);
        if (b->data == NULL)
            abort();
    }
    return b->data + b->len;
}

static void batch_put(struct batch *b, struct merge *m, const char *line, size_t len)
{
    char *start = batch_reserve(b, len + m->tail_len + JSON_DIGITS_MAX + CHAIN_TAIL_MAX + 2), *p = start;
    memcpy(p, line, len);
    memcpy(p + len, m->tail, m->tail_len);
    p = json_put_digits(p + len + m->tail_len, m->seq);
    if (UNLIKELY(m->chain != NULL))
        p = chain_append(m->chain, m->format, start, p, m->seq);
    else
        *p++ = '}';
    m->seq++;
    *p++ = '\n';
    b->len += (size_t)(p - start);
    b->lines++;
}

static void batch_put_dropped(struct batch *b, struct merge *m)
{
    struct record r;
    char msg[96];
    int n = snprintf(msg, sizeof(msg), "%llu records lost: the output did not take them", (unsigned long long)m->lost);
    record_begin(&r, TNX_DROPPED, clock_real());
    record_cstr(&r, KEY_COMPONENT, m->component);
    record_cstr(&r, KEY_OUTPUT, m->output);
    record_int(&r, KEY_RECORDS, (int64_t)m->lost);
    record_str(&r, KEY_MSG, span_of(msg, (size_t)n));
    m->format->write(&m->text, &r, m->max_record, m->chain != NULL ? m->format->tail_max : m->format->tail_plain,
                     &m->clock);
    batch_put(b, m, m->text.base + m->text.head, buf_len(&m->text));
    buf_consume(&m->text, buf_len(&m->text));
    b->dropped_end = b->len;
    b->dropped = m->lost;
    m->lost = 0;
    m->told_at = clock_mono();
}

/* `closed` is the last record: what was lost is told before it. Another line that has the word costs no more than an
 * early `dropped`. */
static void tell_before_closed(struct batch *b, struct merge *m, const struct queue_entry *e)
{
    static const char word[] = "\"closed\"";
    if (b->dropped_end > 0 || memmem(e->line, e->len, word, sizeof(word) - 1) == NULL)
        return;
    for (unsigned i = 0; i < m->queues; i++) {
        if (queue_head(&m->queue[i]) == NULL)
            merge_lose(m, queue_losses(&m->queue[i]));
    }
    if (m->lost > 0)
        batch_put_dropped(b, m);
}

static void batch_take(struct batch *b, struct merge *m, struct queue *q, const struct queue_entry *e)
{
    merge_lose(m, queue_losses_before(q, e));
    if (UNLIKELY(m->ever_lost))
        tell_before_closed(b, m, e);
    batch_put(b, m, e->line, e->len);
    b->room += queue_octets(e->len);
    queue_take(q);
}

static void batch_take_until(struct batch *b, struct merge *m, struct queue *q, usec_t until)
{
    const struct queue_entry *e = queue_head(q);
    do {
        batch_take(b, m, q, e);
        e = queue_head(q);
    } while (b->len < BATCH_OCTETS && e != NULL && e->time < until);
}

bool batch_fill(struct batch *b, struct merge *m, const struct room *room, bool last)
{
    struct queue *q;
    usec_t until;
    for (unsigned i = 0; i < m->queues; i++) {
        queue_look(&m->queue[i]);
        if (last)
            merge_lose(m, queue_losses(&m->queue[i]));
    }
    if (merge_must_tell(m, room, last))
        batch_put_dropped(b, m);
    while (b->len < BATCH_OCTETS && (q = merge_oldest(m, &until)) != NULL)
        batch_take_until(b, m, q, until);
    for (unsigned i = 0; i < m->queues; i++) {
        if (queue_head(&m->queue[i]) == NULL)
            merge_lose(m, queue_losses(&m->queue[i]));
    }
    return b->len > 0;
}

void batch_advance(struct batch *b, size_t n, struct room *room)
{
    b->off += n;
    size_t due = b->off == b->len ? b->room : (size_t)((double)b->room / (double)b->len * (double)b->off);
    if (due > b->freed) {
        room_free(room, due - b->freed);
        b->freed = due;
    }
}

size_t batch_partial(const struct batch *b)
{
    const char *end = b->off > 0 ? memrchr(b->data, '\n', b->off) : NULL;
    return end != NULL ? b->off - (size_t)(end + 1 - b->data) : b->off;
}

void batch_retract(struct batch *b, size_t n) { b->off -= n; }

/* The count may run below zero until the batch is finished. */
void batch_unwrite(struct batch *b, uint64_t n) { atomic_fetch_sub(&b->written, n); }

void batch_lose(struct batch *b, struct merge *m, uint64_t n)
{
    batch_unwrite(b, n);
    m->lost += n;
}

static uint64_t batch_lines_written(const struct batch *b)
{
    uint64_t n = 0;
    if (b->off == b->len)
        return b->lines;
    for (const char *p = b->data, *end = p + b->off; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        n++;
    return n;
}

void batch_finish(struct batch *b, struct room *room)
{
    uint64_t lines = batch_lines_written(b);
    if (b->dropped_end > 0 && b->off >= b->dropped_end) {
        lines--;
        atomic_fetch_add(&b->told, b->dropped);
    }
    atomic_fetch_add(&b->written, lines);
    if (b->room > b->freed)
        room_free(room, b->room - b->freed);
    b->len = b->off = b->room = b->freed = b->dropped_end = 0;
    b->lines = b->dropped = 0;
}
