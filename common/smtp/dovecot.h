/* Dovecot's auth protocol, version 1, the client's side (doc.dovecot.org, "Dovecot Authentication Protocol"): lines
 * made, lines read. Many exchanges share one connection, told apart by an id.
 *
 *   we:     VERSION 1 3, CPID
 *   server: VERSION, MECH..., SPID, CUID, COOKIE, DONE (in any order but DONE)        --> DOVECOT_READY
 *   we:     AUTH id mechanism ... resp=    server: CONT id challenge | OK id ... | FAIL id ...
 *   we:     CONT id response, CANCEL id
 *
 * A `secured` AUTH, an OK with `nologin` or `proxy` (no leave to log in here): the rules are in dovecot.c. */
#ifndef COMMON_SMTP_DOVECOT_H
#define COMMON_SMTP_DOVECOT_H

#include "common/buf.h"
#include "common/netaddr.h"
#include "common/smtp/sasl.h"

/* Dovecot's own limit of a line is 16384. */
enum { DOVECOT_LINE_MAX = 16384, DOVECOT_BINDING_TYPE_MAX = 32 };

enum dovecot_event {
    DOVECOT_MORE,  /* no whole line is there */
    DOVECOT_READY, /* the handshake is over; its mechanisms are known */
    DOVECOT_CONT,
    DOVECOT_OK,
    DOVECOT_FAIL,
    DOVECOT_BROKEN /* this is not the protocol: close */
};

/* Why an exchange failed: only what asks for another answer than "wrong credentials". */
enum dovecot_failure { DOVECOT_DENIED, DOVECOT_TEMPORARY, DOVECOT_MALFORMED };

/* Good until the next dovecot_next() of the same reader. */
struct dovecot_reply {
    uint32_t id;
    struct span data; /* CONT: the challenge, decoded */
    bool out_of_band; /* CONT: no challenge for the client; to be answered by us with the binding alone */
    char binding[DOVECOT_BINDING_TYPE_MAX]; /* CONT: the channel binding asked for ("tls-exporter"); "": none */
    enum dovecot_failure failure;
    const char *username, *authzid; /* OK, FAIL: who it was, and as whom; NULL: not told */
};

struct dovecot {
    bool version_seen, ready;
    sasl_set mechanisms, binding; /* all that may be offered; those of them that need a channel binding */
    char *scratch;                /* owned; the line at hand, unescaped */
    struct buf decoded;
    const char *problem; /* BROKEN: what was wrong; static text */
};

void dovecot_init(struct dovecot *d);
void dovecot_free(struct dovecot *d);
/* Takes one line from `in`, or more where the first mean nothing to us. */
enum dovecot_event dovecot_next(struct dovecot *d, struct buf *in, struct dovecot_reply *reply);

/* The lines that we send. pid: of this connection alone. */
void dovecot_put_hello(struct buf *out, uint32_t pid);

struct dovecot_request {
    uint32_t id;
    enum sasl_mechanism mechanism;
    const char *session; /* NULL: none */
    const struct netaddr *remote, *local;
    bool tls;
    const char *cert_name;      /* of a verified client certificate; NULL: none */
    const struct span *initial; /* raw; NULL: none */
};
void dovecot_put_auth(struct buf *out, const struct dovecot_request *r);
/* response: raw; NULL: the answer to what was out of band. binding: SPAN_NONE where none was asked for. */
void dovecot_put_cont(struct buf *out, uint32_t id, const struct span *response, struct span binding);
void dovecot_put_cancel(struct buf *out, uint32_t id);

#endif
