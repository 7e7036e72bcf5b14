/* What the files of the backends share; nobody else includes this but the tests. */
#ifndef PROXY_RELAY_AUTH_IMPL_H
#define PROXY_RELAY_AUTH_IMPL_H

#include "common/record/record.h"
#include "common/smtp/dovecot.h"
#include "proxy/net/offload.h"
#include "proxy/net/tls_login.h"
#include "proxy/relay/auth.h"
#include "proxy/relay/auth_backends.h"
#include "proxy/settings.h"

struct logger;
struct loop;

/* One a process. */
struct auth_shared {
    struct offload *pool;
    unsigned char key[SASL_KEY]; /* random: what is made up for unknown users stays the same */
};

/* One a worker. */
struct auth_backends {
    struct loop *loop;
    struct logger *logger;
    struct auth_shared *shared;
    struct offload_port *port;
    struct list servers; /* struct auth_server: connections to Dovecot */
};

/* How one backend's exchanges go on; both are called with the exchange of that backend. */
struct auth_kind {
    void (*respond)(struct auth_exchange *x, struct span response);
    /* Frees it. */
    void (*cancel)(struct auth_exchange *x);
};

struct auth_exchange {
    const struct auth_kind *kind;
    struct auth_backends *b;
    const struct auth_exchange_ops *ops;
    void *owner;
};

/* An `error` record that belongs to no session. host: what it is about, or NULL. */
void auth_tell(const struct auth_backends *b, enum record_error err, const char *host, const char *detail);

/* auth_file.c */
sasl_set auth_file_mechanisms(const struct listener_settings *ls);
/* offered: what this client was offered. */
struct auth_exchange *auth_file_start(struct auth_backends *b, const struct listener_settings *ls,
                                      const struct auth_about *about, enum sasl_mechanism m, sasl_set offered,
                                      const struct span *initial);

/* auth_dovecot.c */
struct auth_exchange *auth_dovecot_start(struct auth_backends *b, const struct listener_settings *ls,
                                         const struct auth_about *about, enum sasl_mechanism m,
                                         const struct span *initial);

/* auth_server.c: connections to Dovecot, a connection a socket. */
struct auth_server;
/* What the server can do, as far as it is known; never known: all. */
sasl_set auth_server_mechanisms(struct auth_backends *b, const char *path);
/* Opens those that the settings name, and closes those that they don't, when they are idle. */
void auth_servers_configure(struct auth_backends *b, const struct settings *settings);
void auth_servers_free(struct auth_backends *b);

/* An exchange's place on a connection. The answers come from the loop. */
struct auth_call {
    struct list node;
    struct auth_server *server;
    uint32_t id;
    bool sent;
    struct buf line; /* what waits for the server to be ready; holds secrets */
    enum sasl_mechanism mechanism;
    /* event: CONT, OK, FAIL, or BROKEN: the server is lost, or never had that mechanism; after all but CONT the call is
     * in no list any more. reply is NULL with BROKEN. */
    void (*answer)(struct auth_call *c, enum dovecot_event event, const struct dovecot_reply *reply);
};
/* False: the server can't be reached now, or has too many calls open. c->id is given; c->line is to be filled and
 * auth_call_send() called. */
bool auth_call_open(struct auth_call *c, struct auth_backends *b, const char *path, enum sasl_mechanism m) MUST_CHECK;
/* Sends c->line, now or when the server is ready, and wipes it. */
void auth_call_send(struct auth_call *c);
/* Gives it up; the server is told. May be called at any time, also where it was never opened. */
void auth_call_end(struct auth_call *c);

#endif
