/* The server role of SMTP (RFC 5321): bytes in, calls to a backend out, replies back in the order of the commands.
 *
 *                      +--------- 2xx or refusal ----------+
 *                      v                                   |
 *   COMMANDS --DATA--> WAIT (a slot is not filled) --354--> BODY --end of data--> WAIT
 *      |  ^
 *      |  +--- AUTH (334 was said: the next line is a response, whatever it looks like)
 *      |  +--- SKIP_LINE (over-long), SKIP_CHUNK (refused BDAT): read away, then reply
 *      |  +--- CHUNK (BDAT): its octets to the backend, then reply
 *      +-----> CLOSED
 *
 * Every command takes a reply slot; slots are drained from the head, so replies leave in order by construction. A
 * command runs when no slot is open, but RCPT, which may run behind open MAIL and RCPT slots (RFC 2920 as the relay
 * needs it). No I/O, no clock: the owner passes bytes and the time. */
#ifndef COMMON_SMTP_SERVER_H
#define COMMON_SMTP_SERVER_H

#include "common/smtp/body.h"
#include "common/smtp/caps.h"
#include "common/smtp/command.h"
#include "common/smtp/header.h"
#include "common/smtp/params.h"
#include "common/smtp/path.h"
#include "common/smtp/reply.h"
#include "common/smtp/xattr.h"

/* What is fixed for a session; strings are borrowed. */
struct smtp_server_config {
    bool lenient_addresses;
    bool require_tls; /* before TLS most commands get 530 (T9) */
    bool auth, auth_required, auth_require_tls;
    const struct smtp_reply *need_auth; /* what A13 says; NULL: our own words */
    enum smtp_bare_newline bare_newline;
    uint32_t disabled_commands; /* bit 1 << enum smtp_verb */
    size_t max_command_length;
    bool lmtp; /* RFC 2033: LHLO, and a reply for each recipient at the end of data */
    unsigned max_unrecognized_commands, max_recipients, max_received;
    unsigned max_unauthenticated_commands, max_auth_failures; /* 0: no limit */
    uint64_t max_message_size;
    const struct smtp_header_want *headers;
};

/* What MAIL and RCPT bring. Pointers are good during the call only. */
struct smtp_envelope_command {
    struct span arg;                     /* behind the verb, as text */
    const struct smtp_path *path;        /* NULL: it can't be read */
    struct span params_text;             /* behind the path */
    const struct smtp_mail_params *mail; /* MAIL: NULL if not parsed */
    const struct smtp_rcpt_params *rcpt; /* RCPT: likewise */
    const struct smtp_reply *refusal;    /* set: the engine refuses it with this; the backend only takes note */
};

/* An AUTH command that passed A1 to A9. Good during the call only. */
struct smtp_auth_command {
    struct span mechanism;      /* upper case, one of those offered */
    const struct span *initial; /* base64, or "=" for an empty one; NULL: none */
};

/* Why a transaction is given up. */
enum smtp_abandon { SMTP_ABANDON_RSET, SMTP_ABANDON_HELO, SMTP_ABANDON_QUIT, SMTP_ABANDON_DATA };

/* Which reply; counts up from 0 in a session and may wrap. */
typedef unsigned smtp_slot;
struct smtp_server_data;

/* The backend. Slots handed over are filled by smtp_server_reply(), at once or later. */
struct smtp_server_ops {
    /* A well-formed HELO, EHLO, LHLO; any transaction was abandoned before. On 2xx the engine takes the offer set by
     * smtp_server_offer(). */
    void (*helo)(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain);
    /* MAIL outside a transaction; RCPT inside one. Those with `refusal` have their slot filled already. */
    void (*mail)(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd);
    void (*rcpt)(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd);
    /* DATA with at least one accepted recipient: 354 begins the body. */
    void (*data)(void *owner, smtp_slot slot);
    /* A BDAT with at least one accepted recipient: so many octets, at most 2^63-1, follow by `body`, unchanged. Its
     * slot is filled after `chunk_end`, that of the last chunk after `end`. A refusal ends the transaction. */
    void (*chunk)(void *owner, smtp_slot slot, uint64_t octets, bool last);
    /* A chunk that is not the last was read; data->poison as for `end`. */
    void (*chunk_end)(void *owner, smtp_slot slot, const struct smtp_server_data *data);
    /* Message content: of DATA in canonical wire form, of BDAT as it came. Not called once the message is poisoned. */
    void (*body)(void *owner, const struct smtp_body_out *pieces);
    /* The message became one that must not be delivered; the rest is swallowed, and `end` comes with this reply, or
     * another if a graver rule is broken before. */
    void (*poisoned)(void *owner, const struct smtp_reply *reply);
    /* The end of data, or of the last chunk, was read. data->poison: what poisoned it, or NULL; if set the slot gets
     * that reply. data is good until the slot is filled. In LMTP smtp_server_reply() gives the reply to each recipient
     * that has none yet, smtp_server_reply_one() to the next. */
    void (*end)(void *owner, smtp_slot slot, const struct smtp_server_data *data);
    /* The open transaction ends before its end of data. For DATA: with the reply that refused it. */
    void (*abandon)(void *owner, enum smtp_abandon why, const struct smtp_reply *reply);
    /* STARTTLS may be granted: fills the slot with 220 or 454 and, after 220, begins the handshake; the input behind
     * the command must be thrown away first (T7). smtp_server_secured() tells of its success. */
    void (*starttls)(void *owner, smtp_slot slot);
    /* AUTH: an exchange begins. 334 goes on with it, every other reply ends it; 2xx is success. At max_auth_failures
     * a 5xx becomes 421 (A12); a 50x to "*" is none that counts. */
    void (*auth)(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd);
    /* The answer to the last 334: base64, may be empty. */
    void (*auth_response)(void *owner, smtp_slot slot, struct span text);
    /* The exchange ends: by the client's "*", whose slot is to be filled with a refusal; or (slot NULL) it broke a rule
     * and is answered here. Not called where the session ends. */
    void (*auth_cancel)(void *owner, const smtp_slot *slot);
    /* For the log: an AUTH command has come to its end, whether `auth` was called for it or not. Once for each line
     * whose first word is AUTH, also one that is malformed or too long. method: what it named, if that is the name of a
     * mechanism; NULL: it may be anything. reply: what ends it, just before it leaves; NULL: the client is gone before
     * (smtp_server_gone()). May be NULL. */
    void (*auth_over)(void *owner, const char *method, const struct smtp_reply *reply);
    /* XCLIENT of a permitted peer, outside a transaction: what it tells of the client is taken, and the slot filled
     * with 220 (HELO is needed again then). XFORWARD likewise, with 250. Only where may_xclient, may_xforward are ever
     * set. */
    void (*xclient)(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs);
    void (*xforward)(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs);
    /* A command that is relayed as it stands (ETRN; NOOP and RSET of bound sessions). */
    void (*pass)(void *owner, smtp_slot slot, const struct smtp_command *cmd);
    /* For the log: a word of `anomalies` for the open transaction. May be NULL. */
    void (*anomaly)(void *owner, const char *word);
    /* For the log: a line was read. `line` has its secrets masked. Returns a tag that `sent` gets with the reply. */
    unsigned (*command)(void *owner, enum smtp_verb verb, const char *verb_name, struct span line);
    /* For the log and the wire: the reply at the head of the queue leaves. since: when its command came. */
    void (*sent)(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since);
};

enum smtp_server_state {
    SMTP_SERVER_COMMANDS,
    SMTP_SERVER_BODY,
    SMTP_SERVER_AUTH,
    SMTP_SERVER_SKIP_LINE,
    SMTP_SERVER_SKIP_CHUNK,
    SMTP_SERVER_CHUNK,
    SMTP_SERVER_CLOSED
};
/* Why the engine closed. */
enum smtp_close {
    SMTP_CLOSE_NONE,
    SMTP_CLOSE_QUIT,
    SMTP_CLOSE_PROTOCOL,
    SMTP_CLOSE_LIMIT,
    SMTP_CLOSE_UPSTREAM,
    SMTP_CLOSE_SHUTDOWN,
    SMTP_CLOSE_TIMEOUT
};
enum smtp_txn_state { SMTP_TXN_NONE, SMTP_TXN_MAIL, SMTP_TXN_OPEN };
/* Of the message's chunks: one was taken; one was refused, so that no other may be. */
enum smtp_bdat_state { SMTP_BDAT_NONE, SMTP_BDAT_BEGUN, SMTP_BDAT_FAILED };

/* A reply slot. */
struct smtp_slot_entry {
    usec_t since;
    enum smtp_verb verb;
    unsigned tag;
    bool filled;
    bool end;     /* the end of data, not the DATA command; BDAT with LAST */
    bool relayed; /* DATA or BDAT that was not refused by the engine */
    bool counted; /* RCPT that is in rcpt_pending */
    enum { SMTP_NO_EXCHANGE, SMTP_EXCHANGE, SMTP_EXCHANGE_CANCELLED } auth;
    int code;
    char *wire; /* owned; a filled slot that is not at the head */
    size_t len;
};

/* The message under way; exists between 354, or the first chunk, and the reply to the end of data. */
struct smtp_server_data {
    struct smtp_body body;
    struct smtp_header header;
    const struct smtp_reply *poison;
    bool swallow; /* the backend wants no more of it */
};

/* Whether a line that is no command may be the message's text: a recipient was given; behind a chunk. */
enum smtp_text_due { SMTP_TEXT_NOT_DUE, SMTP_TEXT_DUE, SMTP_TEXT_REST };

struct smtp_server {
    const struct smtp_server_ops *ops;
    void *owner;
    struct smtp_server_config config;
    struct buf_pool *pool;
    enum smtp_server_state state;
    enum smtp_txn_state txn;
    enum smtp_verb greeted; /* HELO, EHLO, LHLO; UNKNOWN: not yet */
    struct {
        smtp_cap_set set;
        uint64_t size;
        uint32_t rcptmax, mailmax;
        char *auth; /* mechanisms as in smtp_caps.auth; owned; NULL: none */
    } offer;
    bool may_xclient, may_xforward; /* set by the owner */
    bool auth_open;                 /* an AUTH command is not at its end */
    const char *auth_method;        /* that it named; static; NULL: none that is known */
    bool authenticated;
    bool auth_failed;     /* the exchange under way has */
    bool bound;           /* NOOP and RSET go to the backend */
    bool secret;          /* what the last step took may hold a secret: the owner wipes it */
    bool secured;         /* the client speaks TLS */
    bool auth_seen;       /* an AUTH line was read: unknown lines may be secrets (A15) */
    bool masked;          /* DATA or BDAT was refused, or such a line came: lines may be the message's text */
    bool text_stray;      /* masked is for such a line alone: any whole command ends it */
    bool line_masked;     /* the line under way is such a one */
    bool line_cut;        /* the line under way may hold a secret behind the word AUTH */
    struct span line_arg; /* its argument as a record may have it; good while it runs */
    bool shutdown;        /* 421 as soon as nothing is under way */
    bool spared;          /* but not before its first transaction; set by the owner */
    bool tempfail;        /* set by the owner: MAIL, RCPT, DATA, BDAT get 451 4.3.0, for the log has no room */
    bool smtputf8;        /* given with MAIL */
    bool binary;          /* BODY=BINARYMIME, likewise */
    bool lost;            /* the backend lost the transaction's upstream: DATA gets 451 4.4.2 (U3) */
    enum smtp_text_due text_due;
    enum smtp_close close_reason;
    bool bare_lf; /* the command under way ended in LF alone */
    unsigned rcpt_given, rcpt_accepted, rcpt_pending, mails, last_tag;
    unsigned unrecognized, unauthenticated, auth_failures, long_lines, commands, errors;
    size_t scanned; /* bytes of an unfinished line that hold no LF */
    enum smtp_bdat_state bdat;
    bool chunk_last;     /* the chunk under way has LAST */
    unsigned end_left;   /* replies that the end of data still has; 1 but in LMTP */
    uint64_t skip;       /* CHUNK, SKIP_CHUNK: octets left */
    smtp_slot skip_slot; /* SKIP_*: what is filled then, and with what */
    enum smtp_own skip_reply;
    struct smtp_slot_entry *slots; /* ring of slot_cap entries, a power of two */
    unsigned slot_cap, slot_head, slot_tail;
    struct smtp_server_data *data;
};

enum { SMTP_SLOTS_MAX = 128, SMTP_AUTH_LINE_MAX = 12288 };
enum smtp_server_want {
    SMTP_WANT_STEP,  /* something was done; call again with the rest */
    SMTP_WANT_INPUT, /* more bytes are needed */
    SMTP_WANT_REPLY, /* a slot must be filled first */
    SMTP_WANT_CLOSE, /* the session is over: send what is queued and close */
};

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config, const struct smtp_server_ops *ops,
                      void *owner, struct buf_pool *pool);
void smtp_server_free(struct smtp_server *s);
/* Reads at most one command, or a part of the body, from `in`; returns how many bytes were taken. now: monotonic. */
size_t smtp_server_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want) MUST_CHECK;
/* Fills a slot. Draws the engine's conclusions (MAIL accepted, 354, ...) and drains the queue through ops->sent. */
void smtp_server_reply(struct smtp_server *s, smtp_slot slot, const struct smtp_reply *reply);
void smtp_server_own(struct smtp_server *s, smtp_slot slot, enum smtp_own id);
/* LMTP: the reply of the next recipient at the end of data; the slot is filled with the last one's. */
void smtp_server_reply_one(struct smtp_server *s, smtp_slot slot, const struct smtp_reply *reply);
/* What HELO's backend found that may be used from now on. */
void smtp_server_offer(struct smtp_server *s, const struct smtp_caps *offer);
/* The session is somebody's, or is not any more, by other ways than AUTH. */
void smtp_server_authenticated(struct smtp_server *s, bool on);
/* The 334 that is given next tells of a failure (an error of OAuth's or SCRAM's): whatever ends the exchange now, if it
 * is a 5xx it counts to max_auth_failures, which a cancelled or broken exchange doesn't. */
void smtp_server_auth_failed(struct smtp_server *s);
/* From now on NOOP and RSET are relayed: what the session is hangs on the upstream's connection (A). */
void smtp_server_bind(struct smtp_server *s);
/* The client speaks TLS now: what it said before is forgotten (T8), also its login, but not that it sent AUTH lines. */
void smtp_server_secured(struct smtp_server *s);
/* The upstream of the open transaction is lost: what follows until RSET or MAIL gets 451 4.4.2. */
void smtp_server_lost(struct smtp_server *s);
/* The rest of the body is read away, no more `body` calls; the backend fills the slot at `end`. */
void smtp_server_swallow(struct smtp_server *s);
/* Sends a 421: as the reply of the first open slot (the others are forgotten), else unasked; and closes. */
void smtp_server_close(struct smtp_server *s, const struct smtp_reply *reply, enum smtp_close reason);
/* The client's connection is gone: nothing leaves any more. */
void smtp_server_gone(struct smtp_server *s);
/* 421 now if nothing is under way, else when the transaction has ended (G7). */
void smtp_server_shutdown(struct smtp_server *s);
static inline bool smtp_server_idle(const struct smtp_server *s)
{
    return s->slot_head == s->slot_tail && s->state != SMTP_SERVER_BODY;
}
static inline bool smtp_server_in_txn(const struct smtp_server *s) { return s->txn != SMTP_TXN_NONE; }

#endif
