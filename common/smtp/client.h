/* The client role of SMTP: steps in, bytes out, replies in, each matched to the step that asked for it.
 *
 *   GREETING --220--> EHLO --2xx--> READY --354--> BODY --end--> READY --BDAT--> CHUNK --its last octet--> READY
 *                        ^--220-- XCLIENT <--identify-- READY
 *                       +--500/502/504--> HELO --2xx--> READY      any fault --> DEAD
 *                                                READY --334 to AUTH--> AUTH --response--> READY
 *
 * Steps go out at once where the server offers PIPELINING, else one by one; DATA, BDAT, the end of data and QUIT are
 * never given while others are open, nor is AUTH: behind a 334 only a response may be said. A step's text is kept until
 * its reply came, so that it can be said again to another server. No I/O, no clock. */
#ifndef COMMON_SMTP_CLIENT_H
#define COMMON_SMTP_CLIENT_H

#include "common/list.h"
#include "common/smtp/command.h"
#include "common/smtp/reply.h"

enum smtp_step_kind {
    SMTP_STEP_XCLIENT,
    SMTP_STEP_XFORWARD,
    SMTP_STEP_GREETING,
    SMTP_STEP_EHLO,
    SMTP_STEP_HELO,
    SMTP_STEP_STARTTLS,
    SMTP_STEP_MAIL,
    SMTP_STEP_RCPT,
    SMTP_STEP_DATA,
    SMTP_STEP_END,
    SMTP_STEP_BDAT, /* a chunk */
    SMTP_STEP_LAST, /* the last one */
    SMTP_STEP_RSET,
    SMTP_STEP_AUTH,     /* its text is secret, as is that of a response */
    SMTP_STEP_RESPONSE, /* to a 334, or "*"; without one it is never said */
    SMTP_STEP_PASS,
    SMTP_STEP_QUIT
};

/* What the owner wants to know again when the reply comes. */
struct smtp_tag {
    unsigned slot; /* of the client leg */
    unsigned txn;  /* number of the transaction in its session; 0: none */
    unsigned rcpt; /* index of the recipient */
};

struct smtp_step {
    struct list node;
    enum smtp_step_kind kind;
    enum smtp_verb verb;
    struct smtp_tag tag;
    usec_t since; /* monotonic: when it was written */
    bool sent;
    unsigned replies; /* still to come: of LMTP's end of data one for each recipient, else 1 */
    size_t len;
    char text[]; /* the line without its line end */
};

enum smtp_client_state {
    SMTP_CLIENT_GREETING,
    SMTP_CLIENT_EHLO,
    SMTP_CLIENT_HELO,
    SMTP_CLIENT_STARTTLS,
    SMTP_CLIENT_HANDSHAKE, /* 220 to STARTTLS: nothing may be read or written until smtp_client_secured() */
    SMTP_CLIENT_XCLIENT,   /* the client's identity is being told; then EHLO is said again */
    SMTP_CLIENT_READY,
    SMTP_CLIENT_AUTH, /* 334 was said */
    SMTP_CLIENT_BODY,
    SMTP_CLIENT_CHUNK, /* the octets of a BDAT are due */
    SMTP_CLIENT_DEAD
};

/* Whether STARTTLS is said (RFC 3207). */
enum smtp_client_tls { SMTP_CLIENT_TLS_NEVER, SMTP_CLIENT_TLS_IF_OFFERED, SMTP_CLIENT_TLS_REQUIRED };

/* Why the server can't be used any more; the owner knows the words of the log for it. */
enum smtp_client_fault {
    SMTP_CLIENT_BAD_GREETING,
    SMTP_CLIENT_BAD_EHLO,
    SMTP_CLIENT_BAD_REPLY,   /* not a reply, or of a class that the step can't have */
    SMTP_CLIENT_UNSOLICITED, /* nobody asked */
    SMTP_CLIENT_NO_TLS,      /* required, and not offered or refused */
    SMTP_CLIENT_JUDGED,      /* XCLIENT, or the hello behind it, was refused: it judges our client */
    SMTP_CLIENT_NO_XCLIENT,  /* it was not understood: that judges us, or the server */
    SMTP_CLIENT_TLS_RESIDUE, /* bytes behind the 220 to STARTTLS: they might pass for the server's in TLS (T7) */
};

struct smtp_client_ops {
    /* For the log: a line leaves. */
    void (*command)(void *owner, const struct smtp_step *step);
    /* For the log: a reply was read; what it means comes next. step: NULL where nobody asked; then a secret in it is
     * hidden. */
    void (*said)(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
    /* The reply of a step; 2xx to EHLO or HELO means ready; to AUTH and its responses it is 235, 334, 4xx or 5xx. The
     * step is freed afterwards, but where step->replies says that there are more to come. */
    void (*reply)(void *owner, const struct smtp_step *step, const struct smtp_reply *reply);
    /* A reply in the body or a chunk, before its end (D5). */
    void (*early)(void *owner, const struct smtp_reply *reply);
    /* It is dead now. reply: what it said, or NULL; for the log, so a secret in it is hidden. */
    void (*fault)(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply);
};

struct smtp_client {
    const struct smtp_client_ops *ops;
    void *owner;
    const char *hostname; /* for EHLO; borrowed */
    enum smtp_client_state state;
    enum smtp_client_tls tls;
    bool lmtp;              /* LHLO is said, and nothing else tried */
    bool secured;           /* the connection speaks TLS */
    bool identified;        /* the server was told of our client: EHLO says its name */
    bool pipelining;        /* the server offers it */
    bool unread;            /* there is input behind the reply that is being taken */
    bool unsent;            /* set by the owner: some of what was written has surely not reached the server */
    bool before_end;        /* it was so when the reply began that is being read */
    bool too_soon;          /* a reply began before the end of data was sent: it can't be the answer to it */
    struct list steps;      /* in order; the sent ones first */
    unsigned open;          /* sent and not answered */
    uint64_t due;           /* CHUNK: octets */
    struct smtp_step *told; /* answered, and may hold a secret that the server repeats; until its input is read */
    bool told_secret;       /* what was answered last was one */
    struct smtp_reply_parser parser;
};

/* It waits for the greeting. */
void smtp_client_init(struct smtp_client *c, const char *hostname, const struct smtp_client_ops *ops, void *owner,
                      struct buf_pool *pool, usec_t now);
void smtp_client_free(struct smtp_client *c);
/* A step on the heap, for smtp_client_add(); text: without line end. */
struct smtp_step *smtp_step_new(enum smtp_step_kind kind, struct smtp_tag tag, struct span text) MUST_CHECK;
/* Frees it; what may be a secret is wiped. */
void smtp_step_free(struct smtp_step *step);
void smtp_steps_free(struct list *steps);
static inline bool smtp_step_is_secret(const struct smtp_step *step)
{
    return step->kind == SMTP_STEP_AUTH || step->kind == SMTP_STEP_RESPONSE;
}
/* Its reply answers octets of a message: a yes to it says that they have arrived. */
static inline bool smtp_step_ends_octets(const struct smtp_step *step)
{
    return step->kind == SMTP_STEP_END || step->kind == SMTP_STEP_LAST || step->kind == SMTP_STEP_BDAT;
}
/* What the log may see of its line: "AUTH PLAIN *", "*" for responses. */
enum { SMTP_STEP_SHOWN = 64 };
struct span smtp_step_shown(const struct smtp_step *step, char out[SMTP_STEP_SHOWN]);
/* The log must not have the text of its reply: a challenge, or one that repeats what was sent. */
bool smtp_step_must_hide(const struct smtp_step *step, const struct smtp_reply *reply);
/* The TLS handshake has succeeded: EHLO is said again (T8's counterpart). Not for implicit TLS, where it comes first.
 */
void smtp_client_secured(struct smtp_client *c, struct buf *out, usec_t now);
/* Tells the server who the client is: these XCLIENT lines (struct smtp_step, taken over), each answered 220, then EHLO
 * with this name, then it is ready again. Only when it is ready, before anything else was said. */
void smtp_client_identify(struct smtp_client *c, struct list *lines, const char *hostname, struct buf *out, usec_t now);
/* Adds a step and takes it over; its bytes go to out at once or when its turn comes. A response goes before the others.
 */
void smtp_client_add(struct smtp_client *c, struct smtp_step *step, struct buf *out, usec_t now);
/* The end of data: writes the dot. Only in the body. replies: how many it will have. */
void smtp_client_end(struct smtp_client *c, struct smtp_tag tag, unsigned replies, struct buf *out, usec_t now);
/* Begins a chunk of so many octets: writes the BDAT line. Only where no step is open. */
void smtp_client_chunk(struct smtp_client *c, struct smtp_tag tag, uint64_t octets, bool last, unsigned replies,
                       struct buf *out, usec_t now);
/* So many octets of the chunk were written. */
void smtp_client_wrote(struct smtp_client *c, uint64_t octets);
/* Replies of the server: takes one at the most; returns how many bytes were taken. Call until it returns 0 or all is
 * taken. */
size_t smtp_client_feed(struct smtp_client *c, struct span in, struct buf *out, usec_t now) MUST_CHECK;
/* The oldest step that waits for its reply, or NULL. */
const struct smtp_step *smtp_client_waiting(const struct smtp_client *c);
/* Takes the steps that were not answered, in order, unsent again; the greeting's, the handshake's and XFORWARD are not
 * among them.
 */
void smtp_client_take_steps(struct smtp_client *c, struct list *steps);

#endif
