/* A producer publishes its line and then looks at `waiting`; the thread says that it waits and then looks for lines:
 * both sequentially consistent, so a line and a sleep can't miss each other. An error of the output is not the end of
 * anything: the batch stays, the queues fill, and room.h tells the sessions; only a closed stdout is final. */
#include "proxy/log/writer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proxy/log/clock.h"

enum { LINGER_MS = 20, BACKOFF_MIN_MS = 100, GRAIN_MAX = 4096, MANY_MAX = 1024 * 1024 };
/* One error record in this time, while the error stays the same. */
enum { TELL_PAUSE = 60 * USEC_PER_SEC };

/* Behind what is queued and reserved, so much is kept free on the disk for lines that nobody reserves. */
enum { DISK_AHEAD = 1024 * 1024 };

static void writer_secure(struct log_writer *w)
{
    if (LIKELY(w->tickets.sync == SYNC_NONE))
        return;
    size_t want = room_demand(&w->room) + DISK_AHEAD;
    if (w->head != NULL)
        want += want / 2; /* what the chain adds to lines, at the most */
    long ahead = w->output->ops->secure(w->output, want);
    room_set_ahead(&w->room, w->head != NULL ? ahead / 3 * 2 : ahead, ahead < (long)want);
}

bool writer_init(struct log_writer *w, const struct output_settings *set, const struct writer_context *of,
                 char why[OUTPUT_WHY_MAX])
{
    memset(w, 0, sizeof(*w));
    w->of = *of;
    w->level = set->level;
    w->format = set->format;
    w->wake = -1;
    pthread_mutex_init(&w->notes.lock, NULL);
    w->output =
        output_open(set, &(struct output_context){ .component = of->component, .max_record = of->max_record }, why);
    if (w->output == NULL)
        return false;
    if (of->chain_key.n > 0 && set->type == OUTPUT_FILE &&
        (w->head = head_open(set, of->chain_key, of->run, why)) == NULL)
        return false;
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0) {
        snprintf(why, OUTPUT_WHY_MAX, "%s", strerror(errno));
        return false;
    }
    room_init(&w->room, set, of->reserved, of->notice);
    w->grain = min_size(set->queue_size / 64, GRAIN_MAX);
    w->many = min_size(set->queue_size / 4, MANY_MAX);
    w->queue = aligned_alloc(CACHE_LINE, of->queues * sizeof(*w->queue));
    if (w->queue == NULL)
        abort();
    for (unsigned i = 0; i < of->queues; i++)
        queue_init(&w->queue[i]);
    w->merge = (struct merge){ .queue = w->queue,
                               .queues = of->queues,
                               .component = of->component,
                               .output = w->output->name,
                               .format = log_format(set->format),
                               .chain = w->head != NULL ? &w->head->chain : NULL,
                               .max_record = of->max_record };
    merge_init(&w->merge, of->run);
    tickets_init(&w->tickets, set->sync, of->queues);
    writer_secure(w);
    return true;
}

void writer_free(struct log_writer *w)
{
    if (w->queue != NULL) {
        for (unsigned i = 0; i < w->of.queues; i++)
            queue_free(&w->queue[i]);
        free(w->queue);
        merge_free(&w->merge);
    }
    batch_free(&w->batch);
    tickets_free(&w->tickets);
    if (w->wake >= 0)
        close(w->wake);
    output_free(&w->output);
    head_free(&w->head);
    pthread_mutex_destroy(&w->notes.lock);
}

void writer_kick(struct log_writer *w) { eventfd_write(w->wake, 1); }

/* Where nobody takes notes, the first ones say the most. */
static void writer_note(struct log_writer *w, const struct output_note *note)
{
    pthread_mutex_lock(&w->notes.lock);
    if (w->notes.count < WRITER_NOTES)
        w->notes.note[w->notes.count++] = *note;
    pthread_mutex_unlock(&w->notes.lock);
    eventfd_write(w->of.notice, 1);
}

bool writer_take_note(struct log_writer *w, struct output_note *out)
{
    pthread_mutex_lock(&w->notes.lock);
    bool any = w->notes.count > 0;
    if (any) {
        *out = w->notes.note[0];
        memmove(w->notes.note, w->notes.note + 1, --w->notes.count * sizeof(w->notes.note[0]));
    }
    pthread_mutex_unlock(&w->notes.lock);
    return any;
}

static void writer_tell(struct log_writer *w, const char *what, int error)
{
    struct output_note note = { .err = ERR_LOG_WRITE };
    const char *why = w->output->why[0] != '\0' ? w->output->why : strerror(error);
    snprintf(note.why, sizeof(note.why), "%s%s", what, why);
    writer_note(w, &note);
}

static void writer_tell_once(struct log_writer *w, const char *what, int error)
{
    usec_t now = clock_mono();
    if (error == w->told_error && now - w->told_at < TELL_PAUSE)
        return;
    w->told_error = error;
    w->told_at = now;
    writer_tell(w, what, error);
}

/* What the output has to say and to give up. */
static void writer_heed(struct log_writer *w)
{
    struct output *o = w->output;
    if (UNLIKELY(o->note.err != ERR_COUNT)) {
        writer_note(w, &o->note);
        o->note.err = ERR_COUNT;
    }
    if (UNLIKELY(o->lost > 0)) {
        batch_lose(&w->batch, &w->merge, o->lost);
        o->lost = 0;
    }
}

static bool writer_has_many(const struct log_writer *w) { return atomic_load(&w->room.used) >= (long)w->many; }

static bool writer_is_asked(const struct log_writer *w)
{
    return atomic_load(&w->reopen) || atomic_load(&w->stop) || atomic_load(&w->give_up);
}

static void writer_rouse(struct log_writer *w, enum writer_wait waiting)
{
    int was = (int)waiting;
    if (atomic_compare_exchange_strong(&w->waiting, &was, WAIT_NONE))
        writer_kick(w);
}

void writer_put(struct log_writer *w, unsigned i, usec_t time, struct span line, enum line_worth worth)
{
    struct queue *q = &w->queue[i];
    size_t octets = queue_octets(line.n);
    if (UNLIKELY(!room_allows(&w->room, q->unreported + octets, worth))) {
        queue_lose(q);
    } else {
        queue_put(q, time, line);
        q->unreported += octets;
        if (q->unreported >= w->grain) {
            room_use(&w->room, q->unreported);
            q->unreported = 0;
            if (atomic_load(&w->waiting) == WAIT_MANY && writer_has_many(w))
                writer_rouse(w, WAIT_MANY);
        }
    }
    if (UNLIKELY(atomic_load(&w->waiting) == WAIT_ANY))
        writer_rouse(w, WAIT_ANY);
}

void writer_await(struct log_writer *w, unsigned i)
{
    tickets_await(&w->tickets, i);
    int waiting = atomic_load(&w->waiting);
    if (waiting != WAIT_NONE)
        writer_rouse(w, (enum writer_wait)waiting);
}

/* False: give up. timeout < 0: what the output asks for, where it is waited for, else none. */
static bool writer_poll(struct log_writer *w, bool output, int timeout)
{
    struct pollfd p[2] = { { .fd = w->wake, .events = POLLIN },
                           { .fd = output ? w->output->fd : -1, .events = w->output->events } };
    eventfd_t count;
    if (output && timeout < 0)
        timeout = w->output->pause_ms;
    if (atomic_load(&w->give_up))
        return false;
    poll(p, ARRAY_LEN(p), timeout);
    eventfd_read(w->wake, &count);
    return true;
}

static void writer_wait(struct log_writer *w, enum writer_wait waiting, int timeout)
{
    atomic_store(&w->waiting, waiting);
    bool ready = waiting == WAIT_ANY ? merge_news(&w->merge) : writer_has_many(w);
    if (!ready && !atomic_load(&w->tickets.urgent) && !writer_is_asked(w))
        writer_poll(w, waiting == WAIT_ANY && w->output->ops->tend != NULL, timeout);
    atomic_store(&w->waiting, WAIT_NONE);
}

/* False: give up. */
static bool writer_trouble(struct log_writer *w, int error)
{
    const struct output_ops *ops = w->output->ops;
    size_t partial = batch_partial(&w->batch), longest = ops->backoff_max_ms > 0 ? ops->backoff_max_ms : BACKOFF_MAX_MS;
    if (partial > 0 && ops->cut != NULL && ops->cut(w->output, partial))
        batch_retract(&w->batch, partial);
    writer_tell_once(w, "", error);
    w->backoff_ms = w->backoff_ms == 0 ? BACKOFF_MIN_MS : (unsigned)min_size(2 * w->backoff_ms, longest);
    return writer_poll(w, false, (int)w->backoff_ms);
}

static void writer_tend(struct log_writer *w)
{
    w->output->why[0] = '\0';
    int error = w->output->ops->tend != NULL ? w->output->ops->tend(w->output) : 0;
    writer_heed(w);
    if (error < 0 && error != -EAGAIN && !writer_is_asked(w))
        writer_trouble(w, -error);
}

static void writer_sleep(struct log_writer *w)
{
    while (!merge_news(&w->merge) && !writer_is_asked(w) && !atomic_load(&w->tickets.urgent)) {
        bool starved = atomic_load(&w->room.starved);
        writer_wait(w, WAIT_ANY, starved ? BACKOFF_MAX_MS : -1);
        writer_tend(w);
        if (UNLIKELY(starved))
            writer_secure(w);
    }
    if (merge_news(&w->merge) && !atomic_load(&w->tickets.urgent))
        writer_wait(w, WAIT_MANY, LINGER_MS);
}

/* What was taken from the queues is written. What nobody waits for can become safe together with the next. */
static void writer_commit(struct log_writer *w)
{
    int error = 0;
    if (LIKELY(w->tickets.sync == SYNC_NONE))
        return;
    if (w->tickets.sync == SYNC_FSYNC) {
        if (!tickets_awaited(&w->tickets))
            return;
        error = w->output->ops->sync(w->output);
    }
    if (error != 0)
        writer_tell_once(w, "fsync: ", error);
    tickets_pass(&w->tickets, w->queue, error == 0, w->of.served, w->of.served_arg);
}

/* What is partly written in the old file is cut there and written whole into the new one. */
static void writer_reopen(struct log_writer *w)
{
    struct output *o = w->output;
    size_t partial = batch_partial(&w->batch);
    if (o->ops->reopen == NULL)
        return;
    bool cut = partial > 0 && o->ops->cut(o, partial);
    o->why[0] = '\0';
    int error = o->ops->reopen(o);
    if (error != 0)
        writer_tell(w, "it can't be opened again, the old one stays in use: ", error);
    else
        w->told_error = 0;
    writer_heed(w);
    if (cut || error == 0)
        batch_retract(&w->batch, partial);
}

static ssize_t writer_write(struct log_writer *w)
{
    struct batch *b = &w->batch;
    struct output *o = w->output;
    bool torn = o->torn;
    o->why[0] = '\0';
    ssize_t n = output_write(o, torn ? "\n" : b->data + b->off, torn ? 1 : b->len - b->off);
    writer_heed(w);
    if (n > 0) {
        w->backoff_ms = 0;
        room_wrote(&w->room, (size_t)n);
        if (torn)
            o->torn = false;
        else
            batch_advance(b, (size_t)n, &w->room);
    }
    return n != 0 ? n : -EIO;
}

/* False: give up. */
static bool writer_flush(struct log_writer *w)
{
    while (w->batch.off < w->batch.len && !atomic_load(&w->room.closed)) {
        if (atomic_exchange(&w->reopen, false))
            writer_reopen(w);
        ssize_t n = writer_write(w);
        if (n > 0 || n == -EINTR)
            continue;
        if (n == -EPIPE && w->output->ops->epipe_is_final) {
            writer_tell(w, "", EPIPE);
            room_close(&w->room);
        } else if (n == -EAGAIN) {
            if (!writer_poll(w, true, -1))
                return false;
        } else if (!writer_trouble(w, (int)-n)) {
            return false;
        }
    }
    return true;
}

/* Never newer than the file. */
static void writer_write_head(struct log_writer *w)
{
    if (w->head == NULL || w->batch.off < w->batch.len)
        return;
    int error = head_write(w->head);
    if (error != 0 && error != w->head_error) {
        struct output_note note = { .err = ERR_LOG_WRITE };
        snprintf(note.why, sizeof(note.why), "%s: %s", w->head->path, strerror(error));
        writer_note(w, &note);
    }
    w->head_error = error;
}

/* Asked to give up it still writes one batch, as far as that goes without waiting. */
static void writer_run(struct log_writer *w)
{
    bool more = false, going = true;
    while (going) {
        bool last = atomic_load(&w->stop);
        if (atomic_exchange(&w->reopen, false))
            writer_reopen(w);
        if (!more && !last)
            writer_sleep(w);
        if (w->tickets.sync != SYNC_NONE)
            atomic_store(&w->tickets.urgent, false);
        if (!batch_fill(&w->batch, &w->merge, &w->room, last) && last)
            return;
        more = w->batch.len >= BATCH_OCTETS;
        writer_secure(w);
        bool flushed = writer_flush(w);
        if (flushed)
            writer_commit(w);
        going = flushed && !atomic_load(&w->give_up);
        writer_write_head(w);
        batch_finish(&w->batch, &w->room);
    }
}

/* What the output holds at the end was not written. */
static void writer_finish(struct log_writer *w)
{
    struct output *o = w->output;
    int error = -EAGAIN;
    while (o->ops->finish != NULL && error != 0) {
        o->why[0] = '\0';
        error = o->ops->finish(o);
        writer_heed(w);
        if (error != 0 && !(error == -EAGAIN ? writer_poll(w, true, -1) : writer_trouble(w, -error)))
            break;
    }
    batch_unwrite(&w->batch, o->held);
}

static void *writer_main(void *arg)
{
    struct log_writer *w = arg;
    writer_heed(w);
    writer_run(w);
    writer_finish(w);
    atomic_store(&w->finished, true);
    eventfd_write(w->of.notice, 1);
    return NULL;
}

int writer_start(struct log_writer *w)
{
    int error = pthread_create(&w->thread, NULL, writer_main, w);
    w->started = error == 0;
    if (w->started)
        pthread_setname_np(w->thread, "log-writer");
    return error;
}

uint64_t writer_unwritten(struct log_writer *w)
{
    uint64_t made = 0;
    for (unsigned i = 0; i < w->of.queues; i++)
        made += queue_made(&w->queue[i]);
    return made - atomic_load(&w->batch.written) - atomic_load(&w->batch.told);
}
