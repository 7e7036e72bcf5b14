/* A worker: a thread with a loop, its listeners' watches, its sessions. Workers share only what is counted or atomic.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/log/log.h"
#include "proxy/net/listener.h"
#include "proxy/net/loop.h"
#include "proxy/relay/balance.h"
#include "proxy/relay/limits.h"
#include "proxy/relay/offer.h"

struct auth_backends;
struct own_hashes;
struct auth_shared;
struct dns;
struct worker;

/* Whose sessions a worker runs: the relay's, or the sink's. */
struct worker_ops {
    void (*accept)(struct worker *w, const struct accepted *a);
    /* The program stops: say good-bye when nothing is under way (G7); the time for that is over. */
    void (*shutdown)(struct list *node);
    void (*kill)(struct list *node);
    /* The log has woken the worker: records that sessions wait for may be safe. May be NULL. */
    void (*served)(struct worker *w);
};

struct worker {
    struct loop loop; /* first: a loop's worker is found from it */
    const struct worker_ops *ops;
    void *ops_arg; /* the backend's own */
    unsigned id;
    pthread_t thread;
    struct log *log;
    struct logger *logger;
    struct settings *settings;         /* a reference; new sessions take it */
    _Atomic(struct settings *) reload; /* a reference for the worker to take over, or NULL */
    struct balance *balance;
    struct limits *limits;
    struct worker *all; /* the array of all workers, for sums over them */
    unsigned all_count;
    atomic_bool counts; /* its loop can be read by the others: they may run before it does */
    struct dns *dns;
    struct auth_backends *auth;
    struct own_hashes *own_hashes; /* of our own logins upstream */
    struct offer_cache offers;
    struct list sessions;
    atomic_uint session_count;
    unsigned session_peak; /* since memory was last given back */
    uint64_t session_next; /* for cids */
    struct listener_watch *watch;
    unsigned watches;
    unsigned probe_count; /* also of those that end */
    struct list probes;   /* of upstream servers that rest */
    struct list blocked;  /* clients that wait for the log */
    struct list waits;    /* the backend's: replies that wait for their record, in the order of their tickets */
    bool paused;          /* nothing is accepted until the log has room */
    usec_t accept_told;   /* when a failed accept() was last told of; 0: never */
    bool draining;
    atomic_bool stop, stop_now;
    atomic_bool handed_over; /* another process goes on with the listening sockets */
    ev_async wake;           /* reload, stop, room in the log */
    atomic_bool log_woke, done;
    struct timer drain_limit;
};

/* What a worker is made of. listeners: count of settings->listeners, in that order. */
struct worker_parts {
    unsigned id;
    struct settings *settings;
    struct listener *const *listeners;
    struct log *log;
    struct balance *balance;
    struct limits *limits;
    struct auth_shared *auth;
    struct worker *all;
    unsigned all_count;
    const struct worker_ops *ops;
    void *ops_arg;
};

/* Starts the thread; false, with a text in why (static), if it can't. */
bool worker_start(struct worker *w, const struct worker_parts *parts, const char **why) MUST_CHECK;
/* From any thread: new sessions use this from now on (a reference is taken). */
void worker_reload(struct worker *w, struct settings *settings);
/* From any thread: drain within the settings' timeouts.shutdown; now: at once. worker_join() waits for the end. */
void worker_stop(struct worker *w, bool now);
/* The same where another process serves from now on: nobody new is taken, and who has just come is not sent away. */
void worker_hand_over(struct worker *w);
void worker_join(struct worker *w);
/* Its thread has come to its end. From any thread. */
bool worker_done(const struct worker *w);
/* Sessions of all workers, from any thread. */
unsigned worker_sessions(const struct worker *w);

/* For sessions, on the worker's thread. */
void worker_session_began(struct worker *w, struct list *node);
void worker_session_ended(struct worker *w, struct list *node);
void worker_probe_ended(struct worker *w);
/* Puts a client's node into the list of those that are run again when the log has room. */
void worker_wait_for_log(struct worker *w, struct list *node);
/* Bytes that the session buffers of all workers hold now. */
size_t worker_memory(const struct worker *w);
/* accept() failed for want of descriptors or memory: an `error` record, of one shortage at most one a minute. */
void worker_accept_failed(struct worker *w, const char *listener, int err);
/* Nothing is accepted until then. */
void worker_pause_for_log(struct worker *w);
/* 17 characters and a NUL: the run's 8 first (events.md). */
void worker_make_cid(struct worker *w, char *out);

#endif
