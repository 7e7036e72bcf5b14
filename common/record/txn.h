/* A mail transaction (RFC 5321 section 3.3) as it is remembered until its `rcpt` and `message` records are written.
 * It owns copies of what it is told, in one bounded arena: replies are cut to 512 octets, addresses are whole. */
#ifndef COMMON_RECORD_TXN_H
#define COMMON_RECORD_TXN_H

#include "common/record/record.h"
#include "common/smtp/header.h"
#include "common/smtp/params.h"
#include "common/smtp/path.h"

/* What the session knows; borrowed, must outlive the transaction. Empty spans are left out, but hostname, which is
 * null. */
struct txn_session {
    struct span component, cid, user, host, hostname, helo, listener;
    const char *protocol;                 /* RFC 3848 word: "SMTP", "ESMTP", ... */
    const char *tls_version, *tls_cipher; /* NULL: not in TLS */
    const struct mailboxes *mailboxes;    /* for redaction; NULL: none are known */
};
/* The upstream connection that the transaction used; strings are copied by txn_upstream(). */
struct txn_upstream {
    struct span server, host; /* as configured; its address */
    uint16_t port;
    const char *tls_version, *tls_cipher; /* NULL: not in TLS */
    const char *identity;
    bool reused;
    unsigned attempts;
};
/* Phases of `timing`. Each is a duration; phases that did not happen are left out. connect: until the upstream was
 * ready, where this transaction waited for it; mail, rcpt, data: from command to reply, rcpt over all; transfer: 354 to
 * the end of data; end: end of data to its reply. total: MAIL to the end. */
enum txn_phase { PHASE_CONNECT, PHASE_MAIL, PHASE_RCPT, PHASE_DATA, PHASE_TRANSFER, PHASE_END, PHASE_COUNT };

struct txn; /* opaque */

/* n: the number of the transaction in its session, from 1; mono: monotonic now. */
struct txn *txn_new(unsigned n, usec_t mono) MUST_CHECK;
void txn_free(struct txn **t);
/* "<cid>.<n>" is made by the caller's session and txn: appended to out. */
void txn_print_tid(const struct txn *t, struct span cid, char out[48]);

/* path may be NULL where the argument can't be read: then arg is mail_from. params may be NULL. */
void txn_mail(struct txn *t, const struct smtp_path *path, struct span arg, const struct smtp_mail_params *params);
/* Adds a recipient as given; returns its index. */
unsigned txn_rcpt_add(struct txn *t, const struct smtp_path *path, struct span arg);
void txn_rcpt_reply(struct txn *t, unsigned index, const struct smtp_reply *reply, enum txn_by by);
bool txn_rcpt_was_accepted(const struct txn *t, unsigned index);
unsigned txn_rcpt_count(const struct txn *t);
unsigned txn_rcpt_accepted(const struct txn *t);
/* RCPTs whose reply is not known yet. */
unsigned txn_rcpt_pending(const struct txn *t);
void txn_set_upstream(struct txn *t, const struct txn_upstream *up);
void txn_phase_add(struct txn *t, enum txn_phase phase, usec_t duration);
/* A word of `anomalies`, static; each once. */
void txn_anomaly(struct txn *t, const char *word);
void txn_size(struct txn *t, uint64_t octets);
/* Copies what the message's header had. */
void txn_headers(struct txn *t, const struct smtp_header *header);
/* LMTP: the reply at the end of data of the i-th recipient (index as of txn_rcpt_add). */
void txn_rcpt_final(struct txn *t, unsigned index, const struct smtp_reply *reply, enum txn_by by);

/* How it ended. */
struct txn_end {
    enum txn_status status;
    enum txn_stage stage;
    enum txn_by by;
    const struct smtp_reply *reply; /* that decided; NULL: none */
    bool client_replied;
    usec_t mono, realtime;
};
/* Calls emit() for a `rcpt` record for each recipient, then for the `message` record. Where no recipient was accepted
 * and at least one was refused, a status of reset, aborted or rejected/deferred by DATA's own 503/554 gives way to
 * deferred (if any refusal was 4xx) or rejected, stage rcpt, with the last reply of that kind and who gave it. A
 * recipient whose reply never came has the message's status. A refused MAIL (deferred or rejected, stage mail) has no
 * recipients: those that were pipelined behind it came when the transaction was over. */
void txn_write(const struct txn *t, const struct txn_session *s, const struct txn_end *end,
               void (*emit)(void *arg, const struct record *r), void *arg);

#endif
