/* The main thread sleeps on signals. The order of the start: bind (may need root), become the user, open the log, go.
 * The end: close the listeners, drain the workers, write `closed`, flush the log. */
#include "proxy/server.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "proxy/log/clock.h"
#include "proxy/notify.h"
#include "proxy/relay/auth_backends.h"
#include "proxy/reload.h"

static void handled_signals(sigset_t *set)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(set, signals[i]);
}

void server_prepare_process(void)
{
    sigset_t set;
    struct rlimit files;
    restart_remember();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    handled_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static usec_t realtime(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

static void trace_listen(struct server *s, const struct listener *l, const struct listener_settings *set)
{
    struct record r;
    char host[NETADDR_STRLEN], at[NETADDR_PORT_STRLEN];
    record_begin(&r, TNX_LISTEN, realtime());
    record_cstr(&r, KEY_HOST, l->path != NULL ? l->path : netaddr_print_ip(&l->bound, host));
    if (l->path == NULL)
        record_int(&r, KEY_PORT, l->bound.port);
    record_bool(&r, KEY_SECURE, set->server.tls == SERVER_TLS_IMPLICIT);
    const char *protocol = set->server.protocol == PROTOCOL_LMTP ? "LMTP" : "SMTP";
    record_cstr(&r, KEY_PROTOCOL, protocol);
    struct span msg[] = { span_str(protocol), SPAN_LIT(" server listening on "),
                          span_str(l->path != NULL ? l->path : netaddr_print(&l->bound, at)) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(s->logger, &r);
}

static void trace_text(struct server *s, enum tnx tnx, const char *msg, const char *err, int64_t pending)
{
    struct record r;
    record_begin(&r, tnx, realtime());
    if (tnx == TNX_RELOAD) {
        record_bool(&r, KEY_OK, err == NULL);
        if (err != NULL) {
            record_open(&r, KEY_ERR);
            record_cstr(&r, KEY_CODE, "config");
            record_cstr(&r, KEY_MESSAGE, err);
            record_close(&r);
        }
    } else if (tnx == TNX_CLOSING) {
        record_int(&r, KEY_PENDING, pending);
    }
    record_cstr(&r, KEY_MSG, msg);
    logger_write(s->logger, &r);
}

static bool open_listeners(struct server *s, settings_fault *fault, void *arg)
{
    char why[512], text[640];
    bool ok = true;
    s->listener = calloc(s->settings->listeners, sizeof(struct listener *));
    if (s->listener == NULL)
        abort();
    for (size_t i = 0; i < s->settings->listeners; i++) {
        s->listener[i] = listener_open(&s->settings->listener[i], s->workers, &s->passed, why, sizeof(why));
        if (s->listener[i] != NULL)
            continue;
        ok = false;
        snprintf(text, sizeof(text), "smtptap: listeners[%zu].address: can't listen on %s", i, why);
        fault(arg, text);
    }
    return ok;
}

/* Root is given up for good: groups first, then the user. */
static bool become_user(const struct settings *set, settings_fault *fault, void *arg)
{
    const struct passwd *pw = set->user ? getpwnam(set->user) : NULL;
    const struct group *gr = set->group ? getgrnam(set->group) : NULL;
    if ((set->user == NULL && set->group == NULL) || geteuid() != 0)
        return true;
    gid_t gid = gr ? gr->gr_gid : pw ? pw->pw_gid : getgid();
    bool ok = setgid(gid) == 0 && (pw == NULL ? setgroups(1, &gid) == 0 : initgroups(pw->pw_name, gid) == 0);
    if (ok && pw != NULL)
        ok = setuid(pw->pw_uid) == 0;
    if (!ok)
        fault(arg, "smtptap: user: root can't be given up");
    return ok;
}

static void on_log_change(void *arg)
{
    struct server *s = arg;
    uint64_t one = 1;
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it will wake all the same */
}

static bool start_workers(struct server *s, settings_fault *fault, void *arg)
{
    s->worker = calloc(s->workers, sizeof(*s->worker));
    if (s->worker == NULL)
        abort();
    for (unsigned i = 0; i < s->workers; i++) {
        const char *why = "";
        struct worker_parts parts = { .id = i,
                                      .settings = s->settings,
                                      .listeners = s->listener,
                                      .log = s->log,
                                      .balance = &s->balance,
                                      .limits = s->limits,
                                      .auth = s->auth,
                                      .all = s->worker,
                                      .all_count = s->workers,
                                      .ops = s->ops,
                                      .ops_arg = s->ops_arg };
        if (worker_start(&s->worker[i], &parts, &why))
            continue;
        char text[256];
        snprintf(text, sizeof(text), "smtptap: worker: %s", why);
        fault(arg, text);
        s->workers = i;
        return false;
    }
    return true;
}

static void stop_workers(struct server *s)
{
    for (unsigned i = 0; i < s->workers; i++)
        worker_stop(&s->worker[i], false);
    for (unsigned i = 0; i < s->workers; i++)
        worker_join(&s->worker[i]);
}

/* False: a thread is left to itself (offload.h). */
static bool free_parts(struct server *s)
{
    for (size_t i = 0; s->listener != NULL && i < s->settings->listeners; i++)
        listener_close(&s->listener[i]);
    free(s->listener);
    free(s->worker);
    passed_free(&s->passed);
    bool ended = auth_shared_free(&s->auth, s->stop_by - clock_mono());
    limits_free(&s->limits);
    balance_free(&s->balance);
    settings_unref(&s->settings);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    return ended;
}

static unsigned worker_count(const struct settings *set)
{
    if (set->workers > 0)
        return set->workers;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

bool server_start(struct server *s, struct settings *settings, const struct worker_ops *ops, void *ops_arg,
                  settings_fault *fault, void *arg)
{
    *s = (struct server){ .settings = settings, .ops = ops, .ops_arg = ops_arg, .workers = worker_count(settings) };
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    passed_init(&s->passed);
    if (s->passed.ready_fd >= 0)
        log_share(getppid());
    s->limits = limits_new();
    s->auth = auth_shared_new();
    if (!open_listeners(s, fault, arg) || !become_user(settings, fault, arg) ||
        (s->log = log_start(&settings->log, s->workers + 1, fault, arg)) == NULL) {
        (void)!free_parts(s);
        return false;
    }
    s->logger = log_logger(s->log, s->workers, on_log_change, s);
    if (!start_workers(s, fault, arg)) {
        stop_workers(s);
        log_stop(&s->log, 0);
        (void)!free_parts(s); /* no session came, so there was no hash */
        return false;
    }
    for (size_t i = 0; i < settings->listeners; i++)
        trace_listen(s, s->listener[i], &settings->listener[i]);
    passed_say_ready(&s->passed);
    passed_free(&s->passed);
    notify_systemd("READY=1");
    return true;
}

struct first_fault {
    char text[512];
    unsigned count;
};

static void keep_fault(void *arg, const char *text)
{
    struct first_fault *f = arg;
    fprintf(stderr, "%s\n", text);
    if (f->count++ == 0)
        snprintf(f->text, sizeof(f->text), "%s", text);
}

/* The record has room for one; stderr has them all. */
static void tell_refused(struct server *s, const struct first_fault *f)
{
    char text[sizeof(f->text) + 64];
    if (f->count > 1)
        snprintf(text, sizeof(text), "%s (and %u more, all on stderr)", f->text, f->count - 1);
    else
        snprintf(text, sizeof(text), "%s", f->text);
    trace_text(s, TNX_RELOAD, "Configuration not reloaded, the running one stays", text, 0);
}

static void do_reload(struct server *s, server_reload_fn *reload, void *arg)
{
    struct first_fault faults = { .text = "" };
    struct settings *fresh = reload(keep_fault, &faults, arg);
    if (fresh != NULL && !reload_allowed(s->settings, fresh, keep_fault, &faults))
        settings_unref(&fresh);
    if (fresh == NULL) {
        tell_refused(s, &faults);
        return;
    }
    for (unsigned i = 0; i < s->workers; i++)
        worker_reload(&s->worker[i], fresh);
    settings_unref(&s->settings);
    s->settings = fresh;
    trace_text(s, TNX_RELOAD, "Configuration reloaded", NULL, 0);
}

static void begin_stop(struct server *s)
{
    char text[96];
    if (s->stopping) {
        for (unsigned i = 0; i < s->workers; i++)
            worker_stop(&s->worker[i], true);
        return;
    }
    s->stopping = true;
    s->stop_by = clock_mono() + s->settings->timeouts.shutdown;
    restart_cancel(&s->restart);
    if (!s->handed_over)
        notify_systemd("STOPPING=1");
    unsigned pending = worker_sessions(s->worker);
    snprintf(text, sizeof(text), "Server closing with %u pending connections", pending);
    trace_text(s, TNX_CLOSING, text, NULL, pending);
    for (unsigned i = 0; i < s->workers; i++) {
        if (s->handed_over)
            worker_hand_over(&s->worker[i]);
        else
            worker_stop(&s->worker[i], false);
    }
}

static void restart_failed(struct server *s, const char *why)
{
    struct record r;
    log_share(0);
    record_begin(&r, TNX_ERROR, realtime());
    record_open(&r, KEY_ERR);
    record_cstr(&r, KEY_CODE, record_error_code(ERR_RESTART));
    record_cstr(&r, KEY_MESSAGE, why);
    record_close(&r);
    struct span msg[] = { span_str(record_error_text(ERR_RESTART)), SPAN_LIT(": "), span_str(why) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(s->logger, &r);
    fprintf(stderr, "smtptap: %s: %s\n", record_error_text(ERR_RESTART), why);
}

static void begin_restart(struct server *s)
{
    const char *why;
    if (s->stopping || s->restart.pid != 0)
        return;
    log_share(getpid()); /* from before it lives until we are gone */
    if (!restart_begin(&s->restart, s->listener, s->settings->listeners, &why))
        restart_failed(s, why);
}

/* The new process is the one that is served and supervised from now on. */
static void look_at_restart(struct server *s)
{
    const char *why;
    char text[64];
    switch (restart_look(&s->restart, &why)) {
    case RESTART_NONE:
    case RESTART_PENDING:
        break;
    case RESTART_FAILED:
        restart_failed(s, why);
        break;
    case RESTART_READY:
        snprintf(text, sizeof(text), "MAINPID=%ld", (long)s->restart.pid);
        s->restart.pid = 0;
        notify_systemd(text);
        for (size_t i = 0; i < s->settings->listeners; i++)
            s->listener[i]->foreign = true;
        s->handed_over = true;
        begin_stop(s);
        break;
    }
}

static void on_signal(struct server *s, int signo, server_reload_fn *reload, void *arg)
{
    if (signo == SIGHUP) {
        do_reload(s, reload, arg);
        log_reopen(s->log);
    } else if (signo == SIGUSR1) {
        log_reopen(s->log);
    } else if (signo == SIGUSR2) {
        begin_restart(s);
    } else {
        begin_stop(s);
    }
}

static bool workers_done(const struct server *s)
{
    for (unsigned i = 0; i < s->workers; i++) {
        if (!worker_done(&s->worker[i]))
            return false;
    }
    return true;
}

static void serve(struct server *s, int signals, server_reload_fn *reload, void *arg)
{
    struct pollfd p[] = { { .fd = signals, .events = POLLIN },
                          { .fd = s->wake_fd, .events = POLLIN },
                          { .fd = -1, .events = POLLIN } };
    while (!s->stopping || !workers_done(s)) {
        p[2].fd = s->restart.pid != 0 ? s->restart.ready_fd : -1;
        if (poll(p, ARRAY_LEN(p), s->stopping ? 10 : s->restart.pid != 0 ? 1000 : -1) < 0 && errno != EINTR)
            return;
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            on_signal(s, (int)info.ssi_signo, reload, arg);
        look_at_restart(s);
        uint64_t count;
        if (read(s->wake_fd, &count, sizeof(count)) > 0 && log_all_gone(s->log) && !s->stopping)
            begin_stop(s);
    }
}

int server_wait(struct server *s, server_reload_fn *reload, void *arg)
{
    sigset_t set;
    handled_signals(&set);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    serve(s, signals, reload, arg);
    close(signals);
    stop_workers(s);
    bool gone = log_all_gone(s->log);
    trace_text(s, TNX_CLOSED, "Server closed", NULL, 0);
    uint64_t lost = log_stop(&s->log, s->settings->timeouts.shutdown);
    if (lost > 0)
        fprintf(stderr, "smtptap: %llu records were not written\n", (unsigned long long)lost);
    int status = lost > 0 || gone ? 1 : 0;
    if (free_parts(s))
        return status;
    fflush(NULL);
    _exit(status);
}
