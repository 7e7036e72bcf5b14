/* The main thread speaks to a worker by flags and one ev_async; everything else happens on the worker's own thread.
 *
 * A reload swaps the settings for new sessions; a stop closes the watches, says good-bye to the idle, waits for the
 * others until timeouts.shutdown, then kills them; the loop ends when the last session has. */
#include "proxy/worker.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/dns.h"
#include "proxy/relay/auth_backends.h"

#include "proxy/relay/client.h"
#include "proxy/relay/own_hash.h"
#include "proxy/relay/probe.h"

/* After a crowd has left, its memory goes back to the system. */
enum { TRIM_FROM = 1000 };

static void each_session(struct worker *w, void (*act)(struct list *node))
{
    struct list *next;
    for (struct list *n = w->sessions.next; n != &w->sessions; n = next) {
        next = n->next;
        act(n);
    }
}

static void end_if_drained(struct worker *w)
{
    if (w->draining && list_empty(&w->sessions) && w->probe_count == 0)
        loop_break(&w->loop);
}

static void stop_accepting(struct worker *w)
{
    for (unsigned i = 0; i < w->watches; i++)
        listener_watch_stop(&w->watch[i]);
}

static void end_now(struct worker *w)
{
    each_session(w, w->ops->kill);
    loop_cut_closing(&w->loop);
    end_if_drained(w);
}

static void on_drain_limit(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, drain_limit);
    end_now(w);
}

static void begin_drain(struct worker *w)
{
    if (w->draining)
        return;
    for (unsigned i = 0; i < w->watches; i++)
        listener_watch_end(&w->watch[i], atomic_load(&w->handed_over));
    w->draining = true;
    probe_stop_all(w);
    each_session(w, w->ops->shutdown);
    loop_timer(&w->loop, &w->drain_limit, w->settings->timeouts.shutdown);
    end_if_drained(w);
}

static void take_reload(struct worker *w)
{
    struct settings *fresh = atomic_exchange(&w->reload, NULL);
    if (fresh == NULL)
        return;
    offer_cache_free(&w->offers);
    settings_unref(&w->settings);
    w->settings = fresh;
    auth_backends_configure(w->auth, fresh);
}

static void set_paused(struct worker *w, bool paused)
{
    w->paused = paused;
    for (unsigned i = 0; i < w->watches; i++)
        listener_watch_pause(&w->watch[i], paused);
}

/* The log has room again, or its state changed: those that waited go on; those that must wait come back into the list.
 */
static void resume_blocked(struct worker *w)
{
    struct list waiting;
    list_init(&waiting);
    list_move_all(&waiting, &w->blocked);
    if (w->paused && !w->draining && logger_state(w->logger) != LOG_BLOCKED)
        set_paused(w, false);
    while (!list_empty(&waiting)) {
        struct list *node = list_first(&waiting);
        list_remove(node);
        client_run(LIST_ENTRY(node, struct client, blocked));
    }
}

static void on_wake(struct ev_loop *ev, ev_async *a, int events)
{
    (void)ev;
    (void)events;
    struct worker *w = a->data;
    loop_tick(&w->loop);
    take_reload(w);
    if (atomic_exchange(&w->log_woke, false)) {
        resume_blocked(w);
        if (w->ops->served != NULL)
            w->ops->served(w);
    }
    if (atomic_load(&w->stop))
        begin_drain(w);
    if (atomic_load(&w->stop_now)) {
        end_now(w);
    }
}

static void log_woke(void *arg)
{
    struct worker *w = arg;
    atomic_store(&w->log_woke, true);
    ev_async_send(w->loop.ev, &w->wake);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    loop_run(&w->loop);
    atomic_store(&w->done, true);
    return NULL;
}

bool worker_done(const struct worker *w) { return atomic_load(&w->done); }

static bool start_thread(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&w->thread, NULL, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

static void watch_listeners(struct worker *w, struct listener *const *listeners)
{
    unsigned most = 0;
    for (unsigned i = 0; i < w->settings->listeners; i++)
        most += listeners[i]->fds / w->all_count + 1;
    w->watch = calloc(most, sizeof(*w->watch));
    if (w->watch == NULL)
        abort();
    for (unsigned i = 0; i < w->settings->listeners; i++) {
        for (unsigned slot = w->id; slot < listeners[i]->fds; slot += w->all_count)
            listener_watch_start(&w->watch[w->watches++], w, listeners[i], i, slot);
    }
}

static void free_parts(struct worker *w)
{
    log_logger(w->log, w->id, NULL, NULL); /* which may still wake us */
    offer_cache_free(&w->offers);
    free(w->watch);
    settings_unref(&w->settings);
    struct settings *unread = atomic_exchange(&w->reload, NULL);
    settings_unref(&unread);
    ev_async_stop(w->loop.ev, &w->wake);
    own_hashes_free(&w->own_hashes);
    auth_backends_free(&w->auth);
    dns_free(&w->dns);
    loop_free(&w->loop);
}

bool worker_start(struct worker *w, const struct worker_parts *parts, const char **why)
{
    w->ops = parts->ops;
    w->ops_arg = parts->ops_arg;
    w->id = parts->id;
    w->log = parts->log;
    w->balance = parts->balance;
    w->limits = parts->limits;
    w->settings = settings_ref(parts->settings);
    list_init(&w->sessions);
    list_init(&w->blocked);
    list_init(&w->waits);
    list_init(&w->probes);
    w->all = parts->all;
    w->all_count = parts->all_count;
    loop_init(&w->loop);
    atomic_store_explicit(&w->counts, true, memory_order_release);
    timer_init(&w->drain_limit, on_drain_limit);
    ev_async_init(&w->wake, on_wake);
    w->wake.data = w;
    ev_async_start(w->loop.ev, &w->wake);
    w->logger = log_logger(parts->log, parts->id, log_woke, w);
    struct dns_options dns = { .servers = w->settings->dns_servers, .count = w->settings->dns_server_count };
    w->dns = dns_new(&w->loop, &dns, why);
    if (w->dns == NULL) {
        free_parts(w);
        return false;
    }
    w->auth = auth_backends_new(parts->auth, &w->loop, w->logger);
    auth_backends_configure(w->auth, w->settings);
    w->own_hashes = own_hashes_new(&w->loop, auth_backends_port(w->auth));
    watch_listeners(w, parts->listeners);
    if (start_thread(w))
        return true;
    stop_accepting(w);
    free_parts(w);
    *why = "a thread can't be started";
    return false;
}

void worker_reload(struct worker *w, struct settings *settings)
{
    struct settings *old = atomic_exchange(&w->reload, settings_ref(settings));
    settings_unref(&old);
    ev_async_send(w->loop.ev, &w->wake);
}

void worker_stop(struct worker *w, bool now)
{
    atomic_store(&w->stop, true);
    if (now)
        atomic_store(&w->stop_now, true);
    ev_async_send(w->loop.ev, &w->wake);
}

void worker_hand_over(struct worker *w)
{
    atomic_store(&w->handed_over, true);
    worker_stop(w, false);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    free_parts(w);
}

unsigned worker_sessions(const struct worker *w)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < w->all_count; i++)
        sum += atomic_load(&w->all[i].session_count);
    return sum;
}

size_t worker_memory(const struct worker *w)
{
    size_t sum = 0;
    for (unsigned i = 0; i < w->all_count; i++) {
        if (atomic_load_explicit(&w->all[i].counts, memory_order_acquire))
            sum += atomic_load_explicit(&w->all[i].loop.pool.lent, memory_order_relaxed);
    }
    return sum;
}

void worker_session_began(struct worker *w, struct list *node)
{
    list_append(&w->sessions, node);
    unsigned count = atomic_fetch_add(&w->session_count, 1) + 1;
    w->session_peak = count > w->session_peak ? count : w->session_peak;
}

void worker_session_ended(struct worker *w, struct list *node)
{
    list_remove(node);
    unsigned count = atomic_fetch_sub(&w->session_count, 1) - 1;
    if (w->session_peak >= TRIM_FROM && count < w->session_peak / 8) {
        w->session_peak = count;
        malloc_trim(0);
    }
    end_if_drained(w);
}

void worker_probe_ended(struct worker *w)
{
    w->probe_count--;
    end_if_drained(w);
}

void worker_wait_for_log(struct worker *w, struct list *node)
{
    list_append(&w->blocked, node);
    worker_pause_for_log(w);
}

void worker_accept_failed(struct worker *w, const char *listener, int err)
{
    static const usec_t quiet = 60 * USEC_PER_SEC;
    struct record r;
    if (w->accept_told > 0 && w->loop.mono - w->accept_told < quiet)
        return;
    w->accept_told = w->loop.mono;
    record_begin(&r, TNX_ERROR, w->loop.real);
    record_cstr(&r, KEY_LISTENER, listener);
    record_open(&r, KEY_ERR);
    record_cstr(&r, KEY_CODE, record_error_code(ERR_ACCEPT));
    record_cstr(&r, KEY_MESSAGE, strerror(err));
    record_close(&r);
    struct span msg[] = { span_str(record_error_text(ERR_ACCEPT)), SPAN_LIT(": "), span_str(strerror(err)) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(w->logger, &r);
}

void worker_pause_for_log(struct worker *w)
{
    if (!w->paused && !w->draining)
        set_paused(w, true);
}

static void base32(char *out, unsigned chars, uint64_t v)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    for (unsigned i = chars; i > 0; i--, v >>= 5)
        out[i - 1] = digits[v & 31];
}

/* The run's 8 characters, 7 that count (34 thousand million sessions), 2 for the worker. */
void worker_make_cid(struct worker *w, char *out)
{
    memcpy(out, log_run(w->log), LOG_RUN_LEN);
    base32(out + LOG_RUN_LEN, 7, ++w->session_next);
    base32(out + LOG_RUN_LEN + 7, 2, w->id);
    out[LOG_RUN_LEN + 9] = '\0';
}
