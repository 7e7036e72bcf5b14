/* The running program: listeners, log, workers; what the signals ask of it. One a process. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "proxy/restart.h"
#include "proxy/worker.h"

struct server {
    struct settings *settings;
    struct listener **listener; /* one an entry of settings->listener */
    struct worker *worker;
    unsigned workers;
    struct log *log;
    struct logger *logger; /* the main thread's */
    struct balance balance;
    struct limits *limits;
    struct auth_shared *auth;
    int wake_fd; /* an eventfd: the log's state changed */
    const struct worker_ops *ops;
    void *ops_arg;
    bool stopping, handed_over;
    usec_t stop_by; /* monotonic: when timeouts.shutdown has passed since the stop */
    struct passed passed;
    struct restart restart;
};

/* Ignores SIGPIPE, blocks the signals that server_wait() handles (threads inherit that), raises the limit of
 * descriptors. */
void server_prepare_process(void);
/* Binds, drops privileges, opens the log, starts the workers, writes the `listen` records. Takes over the reference to
 * settings, also on failure; faults are reported. */
bool server_start(struct server *s, struct settings *settings, const struct worker_ops *ops, void *ops_arg,
                  settings_fault *fault, void *arg) MUST_CHECK;
/* What SIGHUP does: called on the main thread; returns a new reference, or NULL with the faults reported. */
typedef struct settings *server_reload_fn(settings_fault *fault, void *fault_arg, void *arg);
/* Serves until a signal ends it. Returns the exit status. Everything of s is freed. Does not return, but ends the
 * process with that status, where a hash hangs that the exit handlers must not meet. */
int server_wait(struct server *s, server_reload_fn *reload, void *arg);

#endif
