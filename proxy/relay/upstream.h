/* A connection to an upstream server: a stream and the client engine, with the timeouts of each step and the records of
 * this leg. It knows nothing of clients.
 *
 * An upstream ends in one of three ways: the owner quits it (QUIT is said, 221 and FIN awaited for 2 s), the owner
 * drops it (closed at once), or it is lost (ops->lost; it is closed then). In each case it buries itself. */
#ifndef PROXY_RELAY_UPSTREAM_H
#define PROXY_RELAY_UPSTREAM_H

#include <stdatomic.h>

#include "common/smtp/client.h"
#include "common/smtp/xattr.h"
#include "proxy/net/stream.h"
#include "proxy/relay/trace.h"
#include "proxy/settings.h"

/* Why an upstream was lost. */
struct upstream_loss {
    enum record_error err;
    int sys;                        /* an errno where a system call said so; else 0 */
    const char *why;                /* OpenSSL's reason where TLS failed; or NULL */
    const struct smtp_reply *reply; /* a greeting or EHLO that refused us, a 421 that nobody asked for; or NULL */
};

/* The PROXY header that comes first on a connection. */
struct upstream_proxy {
    unsigned version; /* 1, 2; 0: none */
    bool own;         /* of this connection itself: nobody is behind it */
    struct netaddr from, to;
};

struct upstream;
struct upstream_ops {
    /* Greeted, and EHLO or HELO accepted: steps may be given. ehlo is the reply. */
    void (*ready)(void *owner, const struct smtp_reply *ehlo);
    void (*reply)(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
    /* In the body, before the end of data. */
    void (*early)(void *owner, const struct smtp_reply *reply);
    void (*drained)(void *owner); /* may be NULL */
    /* Unanswered steps can still be taken from u->smtp in this call. */
    void (*lost)(void *owner, const struct upstream_loss *loss);
    /* All bytes of one read were handled. */
    void (*settled)(void *owner);
};

struct upstream {
    struct grave grave;
    struct closing closing; /* while QUIT is on its way */
    struct loop *loop;
    const struct trace *trace;
    const struct upstream_settings *set;
    const struct upstream_ops *ops;
    void *owner;        /* NULL: it is on its way out */
    const char *server; /* as configured */
    const struct endpoint *at;
    struct stream stream;
    struct smtp_client smtp;
    struct timer timer;
    struct trace_peer peer;
    struct trace_totals totals;
    bool connected, ready, quitting, closed, implicit;
    bool asked_tls;                       /* STARTTLS was said */
    bool tls_waits;                       /* for the PROXY header to leave */
    const char *tls_version, *tls_cipher; /* static text; NULL: in clear */
    usec_t tls_began;
    bool verified;     /* its certificate */
    bool refused_yes;  /* what is still on its way to it must not arrive: we say that it was not taken */
    bool took;         /* it accepted the message under way, for one recipient at least */
    unsigned said;     /* replies that it gave */
    uint64_t progress; /* bytes written when the body's timer was set */
    usec_t ready_at;
    enum upstream_identity identity; /* how it is told of the client; never IDENTITY_AUTO once it is ready */
    bool untold;                     /* XCLIENT is still to be said */
    bool login_told;                 /* by XCLIENT: another login would be one too many */
    char hello[256];                 /* the name said after XCLIENT */
    char xclient[128];               /* what its EHLO takes by XCLIENT, as in smtp_caps */
    unsigned txns;                   /* transactions begun on it */
    atomic_uint *count;              /* counted down when it is closed or lost; may be NULL */
    void (*freed)(void *arg);        /* told then; may be NULL */
    void *freed_arg;
};

/* The mode of TLS with this server: where logins go upstream, opportunistic is required, but for peers on this machine;
 * and none is not to be had (settings refuse it, but for names, whose addresses they don't know). */
enum upstream_tls upstream_tls_with(const struct upstream_settings *set, const struct endpoint *at,
                                    const struct netaddr *addr);
/* Connects. NULL: the connect() failed at once, errno says why. trace, set and at must outlive it. clear: TLS has
 * failed with this server where it is opportunistic, so none is tried. proxy: what it is told first. */
struct upstream *upstream_open(struct loop *loop, const struct trace *trace, const struct upstream_settings *set,
                               const char *server, const struct endpoint *at, const struct netaddr *addr, bool clear,
                               const struct upstream_proxy *proxy, const struct upstream_ops *ops, void *owner);
/* Says XCLIENT with what its EHLO takes, then EHLO with the name `hello`; ops->ready comes again. Only when it
 * is ready. */
void upstream_identify(struct upstream *u, const struct smtp_xattrs *attrs, const char *hello);
/* Whether the log may not have the text of this reply: it repeats what is secret of the step, or of our own login.
 * step: NULL if nobody asked for it. */
bool upstream_must_hide(const struct upstream_settings *set, const struct smtp_step *step,
                        const struct smtp_reply *reply);
/* Gives a step, which is taken over. */
void upstream_add(struct upstream *u, struct smtp_step *step);
/* Message bytes: in canonical form, or octets of the chunk under way; see stream_write_pieces. */
void upstream_body(struct upstream *u, const struct span *pieces, unsigned count);
/* The end of data; replies: how many it will have. */
void upstream_end(struct upstream *u, struct smtp_tag tag, unsigned replies);
/* Begins a chunk; its octets follow by upstream_body(). */
void upstream_chunk(struct upstream *u, struct smtp_tag tag, uint64_t octets, bool last, unsigned replies);
static inline bool upstream_in_body(const struct upstream *u)
{
    return u->smtp.state == SMTP_CLIENT_BODY || u->smtp.state == SMTP_CLIENT_CHUNK;
}
static inline bool upstream_congested(const struct upstream *u) { return stream_unsent(&u->stream) > STREAM_HIGH; }
/* The three ends; *u becomes NULL. reason: of the close record. */
void upstream_quit(struct upstream **u);
void upstream_drop(struct upstream **u, enum close_reason reason);
/* Quits it for another in its place, which is not one too many while this one goes. */
void upstream_leave(struct upstream **u);

#endif
