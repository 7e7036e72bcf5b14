/* See log_impl.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "proxy/log/clock.h"
#include "proxy/log/log_impl.h"

static void watch_error(struct log *log, const struct log_writer *w, const struct output_note *note)
{
    struct logger *own = &log->logger[log->loggers - 1];
    enum record_error err = note->err;
    struct span text = span_str(record_error_text(err)), name = span_str(w->output->name), reason = span_str(note->why);
    struct span message[] = { text, SPAN_LIT(": "), reason };
    struct span msg[] = { text, SPAN_LIT(": "), name, SPAN_LIT(": "), reason };
    size_t pieces = reason.n > 0 ? 0 : 2;
    struct record r;
    record_begin(&r, TNX_ERROR, clock_real());
    record_str(&r, KEY_OUTPUT, name);
    record_open(&r, KEY_ERR);
    record_cstr(&r, KEY_CODE, record_error_code(err));
    record_cat(&r, KEY_MESSAGE, message, ARRAY_LEN(message) - pieces);
    record_close(&r);
    if (note->records > 0)
        record_int(&r, KEY_RECORDS, (int64_t)note->records);
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg) - pieces);
    logger_write(own, &r);
    /* The log may be just what nobody can read now. */
    fprintf(stderr, "smtptap: log output %s: %s%s%s\n", w->output->name, record_error_text(err),
            reason.n > 0 ? ": " : "", note->why);
}

static void watch_wake(struct log *log)
{
    for (unsigned i = 0; i < log->loggers; i++) {
        struct logger *l = &log->logger[i];
        pthread_mutex_lock(&log->lock);
        if (l->wake != NULL)
            l->wake(l->arg);
        pthread_mutex_unlock(&log->lock);
    }
}

static void watch_trouble(struct log *log, struct log_writer *w)
{
    struct output_note note;
    while (writer_take_note(w, &note))
        watch_error(log, w, &note);
    if (atomic_exchange(&w->room.refusing, false))
        watch_error(log, w, &(struct output_note){ .err = ERR_LOG_BLOCKED });
}

/* Returns for how many milliseconds there is nothing to do, -1: until notice. */
static int watch_look(struct log *log)
{
    usec_t now = clock_mono(), next = 0;
    bool changed = false;
    for (size_t i = 0; i < log->writers; i++) {
        struct log_writer *w = &log->writer[i];
        usec_t end = room_expire(&w->room, now, log->block_timeout);
        if (end != 0 && (next == 0 || end < next))
            next = end;
        watch_trouble(log, w);
        changed |= atomic_exchange(&w->room.changed, false);
    }
    if (changed)
        watch_wake(log);
    if (next == 0)
        return -1;
    usec_t ms = (next - now) / USEC_PER_MSEC + 1;
    return ms < 3600 * 1000 ? (int)ms : 3600 * 1000;
}

static void *watch_main(void *arg)
{
    struct log *log = arg;
    struct pollfd p = { .fd = log->notice, .events = POLLIN };
    eventfd_t count;
    for (bool stopping = false; !stopping;) {
        stopping = atomic_load(&log->stopping);
        int timeout = watch_look(log);
        if (!stopping) {
            poll(&p, 1, timeout);
            eventfd_read(log->notice, &count);
        }
    }
    return NULL;
}

int watch_start(struct log *log)
{
    int error = pthread_create(&log->watch, NULL, watch_main, log);
    log->watched = error == 0;
    if (log->watched)
        pthread_setname_np(log->watch, "log-watch");
    return error;
}

void watch_stop(struct log *log)
{
    if (!log->watched)
        return;
    atomic_store(&log->stopping, true);
    eventfd_write(log->notice, 1);
    pthread_join(log->watch, NULL);
    log->watched = false;
}
