/* A mail server for tests: takes any mail and throws it away, or keeps it as files. The second backend of the server
 * engine, beside the relay. */
#ifndef PROXY_SINK_SINK_H
#define PROXY_SINK_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/smtp/caps.h"
#include "proxy/sink/rules.h"
#include "proxy/sink/store.h"
#include "proxy/worker.h"

/* A message whose end of data was answered. Good during the call. */
struct sink_message {
    const char *id;
    const char *client;             /* its address */
    struct span mail_from, rcpt_to; /* the first recipient */
    unsigned rcpt_count;
    uint64_t size;
    bool accepted;
    usec_t real;
};
/* Appends a line about it, or nothing. On a worker's thread. */
typedef void sink_print(void *arg, struct buf *out, const struct sink_message *m);

/* Lines of one worker on their way to stdout. */
struct sink_lane {
    struct sink *sink;
    struct buf lines;
    struct timer flush;
};

enum { SINK_WORKERS_MAX = 64 };
struct sink {
    struct sink_rules rules;
    int store; /* a directory, or -1 */
    sink_print *print;
    void *print_arg;
    bool line_by_line; /* stdout is a terminal */
    struct sink_lane lane[SINK_WORKERS_MAX];
    /* Replies and names made once. */
    char run[9];
    struct smtp_caps caps;
    char *helo_wire, *ehlo_wire; /* owned */
    struct smtp_reply helo, ehlo;
    atomic_ullong ids, connections, accepted, refused, recipients, octets;
    atomic_bool mute; /* stdout is gone */
};

/* rules, store, print and line_by_line are set by the caller; hostname is that of the greeting. */
void sink_init(struct sink *s, const char *hostname);
void sink_free(struct sink *s);
void sink_report(struct sink *s, struct worker *w, const struct sink_message *m);
/* What waits for stdout leaves. No worker may run any more. */
void sink_flush(struct sink *s);
/* A new one; unique across machines. */
void sink_make_id(struct sink *s, char out[SINK_ID_MAX]);

/* worker.ops_arg is the struct sink. */
extern const struct worker_ops sink_worker_ops;

#endif
