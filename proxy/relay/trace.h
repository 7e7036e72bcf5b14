/* The records of a session, made where the thing happens. Masking was done before: what comes here may be logged; but
 * replies, which may repeat a secret at any time, are looked at here. */
#ifndef PROXY_RELAY_TRACE_H
#define PROXY_RELAY_TRACE_H

#include "common/netaddr.h"
#include "common/smtp/command.h"
#include "common/smtp/reply.h"
#include "common/smtp/secret.h"
#include "proxy/log/recorder.h"
#include "proxy/net/loop.h"

enum { CID_MAX = 24 };

/* Who the records are about. One a session, shared by its legs. */
struct trace {
    struct logger *log;
    struct loop *loop;
    struct span component;
    char cid[CID_MAX];
    char host[NETADDR_STRLEN];   /* the real client */
    const char *user;            /* who logged in; borrowed; NULL: nobody */
    char *tried;                 /* the name that was tried last to log in with; owned; NULL: none */
    char *const *hostname;       /* its verified name, NULL: none, or not known yet; may be NULL itself */
    bool quiet;                  /* log.ignore_clients */
    struct recorder *kept;       /* command, send and data records, until something goes wrong; NULL: none is kept */
    struct smtp_prints *prints;  /* of the client's secrets that were passed on; owned; NULL: none */
    struct mailboxes *mailboxes; /* of the session's transactions, where addresses are redacted; owned; NULL: none */
    const struct smtp_prints *own_prints; /* of our own; borrowed; NULL: none */
};

/* The ends of a connection as its records show them. */
struct trace_peer {
    enum side side;
    struct netaddr remote, local;
    const char *hostname, *listener, *server; /* NULL: left out */
};
struct trace_totals {
    usec_t opened;
    uint64_t bytes_in, bytes_out;
    unsigned commands, messages, errors;
};

/* A response of the client's goes to the upstream, which may repeat it in any reply from now on. */
void trace_remember(struct trace *t, struct span mechanism, unsigned step, struct span response);
/* Whether a text has a secret in it that an upstream knows. */
bool trace_is_secret(const struct trace *t, struct span text) MUST_CHECK;
/* The reply as the log may have it. */
struct smtp_reply trace_shown(const struct trace *t, const struct smtp_reply *reply,
                              char out[SMTP_HIDDEN_LEN]) MUST_CHECK;
/* A transaction begins; it names a mailbox (path: NULL where it can't be read), which replies may name too. */
void trace_begins(struct trace *t);
struct smtp_path;
void trace_mailbox(struct trace *t, const struct smtp_path *path);
bool trace_wants(const struct trace *t, enum level level);
void trace_connection(const struct trace *t, const struct trace_peer *peer);
void trace_close(const struct trace *t, const struct trace_peer *peer, const struct trace_totals *totals,
                 enum close_reason reason);
/* txn: the number of the transaction that it belongs to, or 0. */
void trace_command(const struct trace *t, enum side side, unsigned txn, const char *verb, struct span line);
void trace_reply(const struct trace *t, enum side side, unsigned txn, const struct smtp_reply *reply, usec_t took);
void trace_data(const struct trace *t, enum side side, unsigned txn, uint64_t bytes, usec_t took);
/* stage and detail may be NULL; without detail the code's own text is the message. host: NULL is the client's. */
void trace_error(const struct trace *t, enum side side, unsigned txn, enum record_error err, const char *stage,
                 const char *host, const char *detail);
/* How an AUTH command ended. What is empty is left out, as are a code of 0 and CLOSE_NONE. */
struct trace_login {
    const char *method, *username, *authzid, *result;
    int code;
    enum close_reason reason; /* the session's end, where that ended it */
};
void trace_auth(const struct trace *t, const struct trace_login *login);
struct tls_info;
/* A handshake that succeeded; info is of the side's peer. */
void trace_starttls(const struct trace *t, enum side side, const struct tls_info *info, bool implicit, usec_t took);
struct proxyhdr;
struct smtp_xattrs;
/* A PROXY header from this peer; header: NULL where it is refused, why then says so. */
void trace_proxy(const struct trace *t, const struct netaddr *peer, const struct proxyhdr *header, const char *why);
/* XCLIENT took the user away, who is still in t. */
/* by: the command that did it. */
void trace_deauth(const struct trace *t, const char *by);
/* TNX_XCLIENT or TNX_XFORWARD: a record for each attribute. */
void trace_xattrs(const struct trace *t, enum tnx tnx, const struct smtp_xattrs *attrs);
/* Something did not go well: the dialogue so far is written, and what is still to come. */
void trace_went_wrong(const struct trace *t);
/* Writes a record that somebody else has made. */
/* promised: room is reserved for it. */
void trace_emit(const struct trace *t, const struct record *r, bool promised);

#endif
