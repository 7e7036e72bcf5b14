/* Starting and stopping. Everything that threads share is made before the first one and freed after the last one; a
 * writer that hangs in a write() that nobody can end keeps its log for ever. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/log/clock.h"
#include "proxy/log/log_impl.h"

/* How long a writer has to end after it was told to give up. */
enum { GIVE_UP_GRACE = 200 * USEC_PER_MSEC };

static void *alloc_zeroed(size_t count, size_t size)
{
    void *p = aligned_alloc(CACHE_LINE, (count * size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (p == NULL)
        abort();
    return memset(p, 0, count * size);
}

static void log_make_run(char run[LOG_RUN_LEN + 1])
{
    unsigned char octet[LOG_RUN_LEN];
    if (getrandom(octet, sizeof(octet), 0) != sizeof(octet))
        abort();
    for (unsigned i = 0; i < LOG_RUN_LEN; i++)
        run[i] = "0123456789abcdefghijklmnopqrstuv"[octet[i] & 31];
    run[LOG_RUN_LEN] = '\0';
}

static void log_free(struct log **log)
{
    struct log *l = *log;
    *log = NULL;
    for (size_t i = 0; i < l->writers; i++)
        writer_free(&l->writer[i]);
    for (unsigned i = 0; i < l->loggers; i++) {
        redact_free(&l->logger[i].redact);
        buf_free(&l->logger[i].line);
        buf_pool_free(&l->logger[i].pool);
    }
    if (l->notice >= 0)
        close(l->notice);
    pthread_mutex_destroy(&l->lock);
    free(l->writer);
    free(l->logger);
    free((char *)l->component.p);
    free(l);
}

static struct log *log_new(const struct log_settings *set, unsigned loggers)
{
    struct log *log = alloc_zeroed(1, sizeof(*log));
    char *component = strdup(set->component);
    if (component == NULL)
        abort();
    log_make_run(log->run);
    log->component = span_str(component);
    log->max_record = set->max_record;
    log->block_timeout = set->block_timeout;
    log->chained = set->integrity_key.n > 0;
    log->loggers = loggers + 1;
    log->logger = alloc_zeroed(log->loggers, sizeof(*log->logger));
    for (unsigned i = 0; i < log->loggers; i++) {
        struct logger *l = &log->logger[i];
        l->log = log;
        l->index = i;
        buf_init(&l->line, &l->pool);
        if (redact_wanted(&set->redact))
            l->redact = redact_new(&set->redact, span_of(set->redact_key.p, set->redact_key.n));
    }
    log->writer = alloc_zeroed(set->outputs, sizeof(*log->writer));
    log->notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&log->lock, NULL);
    return log;
}

/* From a writer: what logger i waits for. */
static void log_served(void *arg, unsigned i)
{
    struct log *log = arg;
    struct logger *l = &log->logger[i];
    pthread_mutex_lock(&log->lock);
    if (l->wake != NULL)
        l->wake(l->arg);
    pthread_mutex_unlock(&log->lock);
}

static void tell_unopened(const struct output_settings *set, size_t i, const char *why, settings_fault *fault,
                          void *arg)
{
    char *text;
    if ((set->place != NULL ? asprintf(&text, "%s: %s", set->place, why)
                            : asprintf(&text, "log.outputs[%zu]: %s", i, why)) < 0)
        abort();
    fault(arg, text);
    free(text);
}

/* Opens all outputs, to report each that can't be. */
static bool log_open(struct log *log, const struct log_settings *set, settings_fault *fault, void *arg)
{
    const struct writer_context of = { .run = log->run,
                                       .component = log->component.p,
                                       .chain_key = span_of(set->integrity_key.p, set->integrity_key.n),
                                       .max_record = log->max_record,
                                       .queues = log->loggers,
                                       .reserved = &log->reserved,
                                       .notice = log->notice,
                                       .served = log_served,
                                       .served_arg = log };
    char why[OUTPUT_WHY_MAX];
    bool good = true;
    log->grain = SIZE_MAX;
    for (size_t i = 0; i < set->outputs; i++) {
        struct log_writer *w = &log->writer[log->writers++];
        if (!writer_init(w, &set->output[i], &of, why)) {
            tell_unopened(&set->output[i], i, why, fault, arg);
            good = false;
        }
        log->level = w->level > log->level ? w->level : log->level;
        log->level_end[w->format] = (unsigned)max_size(log->level_end[w->format], w->level + 1);
        log->grain = min_size(log->grain, w->grain);
        log->syncs |= w->tickets.sync != SYNC_NONE;
    }
    return good;
}

/* The threads take no signals: those are main's. */
static int log_run_threads(struct log *log)
{
    sigset_t all, before;
    int error = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < log->writers && error == 0; i++)
        error = writer_start(&log->writer[i]);
    if (error == 0)
        error = watch_start(log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct log *log_start(const struct log_settings *set, unsigned loggers, settings_fault *fault, void *arg)
{
    char text[128];
    struct log *log = log_new(set, loggers);
    if (!log_open(log, set, fault, arg)) {
        log_free(&log);
        return NULL;
    }
    int error = log->notice >= 0 ? log_run_threads(log) : EMFILE;
    if (error != 0) {
        snprintf(text, sizeof(text), "log: its threads can't be started: %s", strerror(error));
        fault(arg, text);
        log_stop(&log, 0);
    }
    return log;
}

struct logger *log_logger(struct log *log, unsigned i, log_wake *wake, void *arg)
{
    pthread_mutex_lock(&log->lock);
    log->logger[i].wake = wake;
    log->logger[i].arg = arg;
    pthread_mutex_unlock(&log->lock);
    return &log->logger[i];
}

const char *log_run(const struct log *log) { return log->run; }

void log_reopen(struct log *log)
{
    for (size_t i = 0; i < log->writers; i++) {
        atomic_store(&log->writer[i].reopen, true);
        writer_kick(&log->writer[i]);
    }
}

void log_share(pid_t with) { output_share(with); }

bool log_all_gone(const struct log *log)
{
    for (size_t i = 0; i < log->writers; i++) {
        if (!atomic_load(&log->writer[i].room.closed))
            return false;
    }
    return true;
}

static bool log_is_finished(const struct log *log)
{
    for (size_t i = 0; i < log->writers; i++) {
        if (log->writer[i].started && !atomic_load(&log->writer[i].finished))
            return false;
    }
    return true;
}

/* True if all writers have ended by then. The watch is gone, so the notices are ours. */
static bool log_wait(struct log *log, usec_t end)
{
    struct pollfd p = { .fd = log->notice, .events = POLLIN };
    eventfd_t count;
    for (;;) {
        eventfd_read(log->notice, &count);
        usec_t left = end - clock_mono();
        if (log_is_finished(log))
            return true;
        if (left <= 0)
            return false;
        poll(&p, 1, (int)min_size((size_t)(left / USEC_PER_MSEC) + 1, 3600 * 1000));
    }
}

static void log_ask(struct log *log, bool give_up)
{
    for (size_t i = 0; i < log->writers; i++) {
        struct log_writer *w = &log->writer[i];
        if (give_up)
            atomic_store(&w->give_up, true);
        atomic_store(&w->stop, true);
        writer_kick(w);
    }
}

/* False if one hangs: it is left to itself. */
static bool log_join(struct log *log)
{
    bool all = true;
    for (size_t i = 0; i < log->writers; i++) {
        struct log_writer *w = &log->writer[i];
        if (!w->started)
            continue;
        if (atomic_load(&w->finished)) {
            pthread_join(w->thread, NULL);
        } else {
            pthread_detach(w->thread);
            all = false;
        }
    }
    return all;
}

uint64_t log_stop(struct log **log, usec_t limit)
{
    static struct log *hanging;
    struct log *l = *log;
    uint64_t unwritten = 0;
    usec_t end = clock_mono() + limit;
    *log = NULL;
    watch_stop(l);
    log_ask(l, limit <= 0);
    if (!log_wait(l, end)) {
        log_ask(l, true);
        log_wait(l, clock_mono() + GIVE_UP_GRACE);
    }
    bool joined = log_join(l);
    for (size_t i = 0; i < l->writers; i++)
        unwritten += writer_unwritten(&l->writer[i]);
    if (joined) {
        log_free(&l);
    } else {
        l->hanging = hanging;
        hanging = l;
    }
    return unwritten;
}
