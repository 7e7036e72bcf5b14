/* The client leg: a stream and the server engine, with greeting, deadlines, the log's brake, lingering close, and the
 * records of this leg. What the commands mean is the backend's: the relay, or the sink.
 *
 *   [PROXY header] --> [TLS, implicit] --> HELD --> [DELAY, greet_delay] --> OPEN --> LINGER --> GONE
 *                                                                          OPEN <--> TLS, after STARTTLS
 *
 * In LINGER the FIN is sent, and input is thrown away.
 *
 * Backends get `gone` once, when the dialogue is over (before LINGER); `closed` when the connection is. */
#ifndef PROXY_RELAY_CLIENT_H
#define PROXY_RELAY_CLIENT_H

#include "common/smtp/proxyhdr.h"
#include "common/smtp/server.h"
#include "proxy/net/stream.h"
#include "proxy/relay/trace.h"
#include "proxy/settings.h"

enum client_phase { CLIENT_PROXY, CLIENT_HELD, CLIENT_TLS, CLIENT_DELAY, CLIENT_OPEN, CLIENT_LINGER, CLIENT_GONE };

struct client_ops {
    /* A PROXY header came: the owner takes from it who the client is, into the client's peer and trace too. */
    void (*identified)(void *owner, const struct proxyhdr *header);
    /* That was recorded: the owner goes on with client_begin() or client_refuse(). Both may be NULL where
     * server.proxy_protocol is empty. */
    void (*welcome)(void *owner);
    /* The client can be greeted: at once, or after the handshake of implicit TLS. */
    void (*opened)(void *owner);
    /* The dialogue is over; no reply can be given any more. */
    void (*gone)(void *owner, enum close_reason reason);
    /* The socket is closed, the close record written; the owner may go. */
    void (*closed)(void *owner);
};

struct client {
    struct loop *loop;
    struct trace *trace;
    const struct listener_settings *set;
    const struct client_ops *ops;
    void *owner;
    struct stream stream;
    struct smtp_server smtp;
    struct timer timer;
    struct trace_peer peer;
    struct trace_totals totals;
    enum client_phase phase;
    enum close_reason reason;
    enum client_wait { WAIT_NONE, WAIT_COMMAND, WAIT_DATA, WAIT_OTHER } wait; /* what the timer bounds */
    unsigned wait_mark;                                                       /* lines that had ended when it was set */
    usec_t data_began; /* the window in which a body must bring 1 KiB, and bytes_in at its begin */
    uint64_t data_mark;
    struct ssl_st *ssl_next;              /* the handshake that begins when the 220 to STARTTLS has left; owned */
    const char *tls_version, *tls_cipher; /* static text; NULL: in clear */
    usec_t tls_began;
    bool header_timed;   /* timeouts.greeting runs since the connection came, for header and handshake */
    bool announced;      /* the connection record is written */
    bool paused;         /* the backend's far side is congested */
    bool running, again; /* client_run() is under way, was asked for once more */
    bool lost;           /* the peer is known to be gone: replies reach nobody */
    struct list blocked; /* the worker's list of those that wait for the log */
    size_t drained;      /* bytes thrown away while lingering */
};

/* Takes the socket of an accepted client. The greeting is sent by client_greet(). A client that must begin with a PROXY
 * header is in CLIENT_PROXY then, until ops->identified. */
void client_open(struct client *c, struct loop *loop, int fd, struct trace *trace, const struct trace_peer *peer,
                 const struct listener_settings *set, const struct smtp_server_config *config,
                 const struct smtp_server_ops *smtp_ops, const struct client_ops *ops, void *owner);
/* Whether a peer must begin with a PROXY header on this listener (protocol.md Q1). */
bool client_awaits_header(const struct listener_settings *set, const struct netaddr *peer);
/* Writes the connection record, if that was not done. */
void client_announce(struct client *c);
/* Begins: TLS first where it is implicit; then ops->opened. */
void client_begin(struct client *c);
/* For smtp_server_ops.starttls. */
void client_starttls(struct client *c, smtp_slot slot);
/* What the greeting says; in line, of 600 octets. */
struct smtp_reply client_greeting(const struct client *c, char *line, size_t size);
/* 220, after greet_delay. */
void client_greet(struct client *c);
/* A 4xx or 5xx in place of the greeting, then close. */
void client_refuse(struct client *c, const struct smtp_reply *reply, enum close_reason reason);
/* Reads on: call after slots were filled, congestion ended, or the log has room again. */
void client_run(struct client *c);
void client_pause(struct client *c, bool on);
/* Says a 421 and closes. */
void client_bye(struct client *c, const struct smtp_reply *reply, enum close_reason reason);
/* Closes behind what was said. */
void client_end(struct client *c, enum close_reason reason);
/* Why the session ends; CLOSE_NONE while it doesn't. */
enum close_reason client_reason(const struct client *c);
/* For smtp_server_ops.command and .sent: the records, and the bytes. */
void client_log_command(struct client *c, unsigned txn, const char *verb_name, struct span line);
void client_send_reply(struct client *c, unsigned txn, const struct smtp_reply *reply, usec_t since);
/* The same where the record may not have the reply's text. */
void client_send_hidden(struct client *c, unsigned txn, const struct smtp_reply *reply, usec_t since);
/* Whether the client can still take a reply that is given now; writes what waits first. */
bool client_is_there(struct client *c);
/* Closes without a word (the worker stops). */
void client_kill(struct client *c, enum close_reason reason);
void client_free(struct client *c);

#endif
