/* What the files of the relay share; nobody else includes this. */
#ifndef PROXY_RELAY_RELAY_IMPL_H
#define PROXY_RELAY_RELAY_IMPL_H

#include "common/record/txn.h"
#include "proxy/net/dns.h"
#include "proxy/relay/client.h"
#include "proxy/relay/dial.h"
#include "proxy/relay/limits.h"
#include "proxy/relay/offer.h"
#include "proxy/relay/relay.h"
#include "proxy/relay/upstream.h"
#include "proxy/worker.h"

/* What follows when replies that wait for their record have left: nothing, or the session ends, for the upstream said
 * 421 or the connection that the login hangs on is gone. */
enum sync_end { SYNC_END_NONE, SYNC_END_421, SYNC_END_LOGIN };

/* Where the open transaction is.
 *
 *   NONE --MAIL--> MAIL --2xx--> OPEN --DATA--> DATA --354--> BODY --end of data--> END --reply--> NONE
 *                                      --BDAT--> BODY --end of the chunk--> CHUNK --BDAT--> BODY --LAST's end--> END
 *                    any of them --the upstream is lost--> LOST (BODY: swallowing) --> NONE */
enum relay_state { RELAY_NONE, RELAY_MAIL, RELAY_OPEN, RELAY_DATA, RELAY_BODY, RELAY_CHUNK, RELAY_END, RELAY_LOST };

/* Why a connection is dialled. */
enum dial_purpose { DIAL_HELO, DIAL_MAIL, DIAL_GREETING };

struct session {
    struct grave grave;
    struct list node; /* of the worker */
    struct worker *w;
    struct settings *settings; /* a reference */
    const struct listener_settings *set;
    struct listener *listener;
    struct netaddr peer;       /* the real client; NETADDR_NONE: unknown, by XCLIENT; port 0: unknown */
    struct netaddr dest;       /* what it connected to */
    struct netaddr counted_as; /* in the limits */
    bool counted;
    enum limits_verdict verdict;
    struct trace trace;
    struct recorder recorder;
    struct client client;
    char *hostname;                /* verified reverse name, owned; NULL: none, or not known yet */
    char *helo;                    /* owned */
    bool name_told;                /* hostname is what XCLIENT gave */
    bool name_unsure;              /* it could not be looked up now */
    char *helo_told;               /* by XCLIENT; owned */
    const char *proto_told;        /* likewise: "SMTP", "ESMTP"; NULL: not told */
    struct smtp_xattrs *forwarded; /* what XFORWARD gave for the next message; owned */
    const char *protocol;
    bool client_gone, client_closed, dead;
    unsigned upstreams; /* connections that exist, also those on their way out */

    struct upstream *up;
    struct dial *dial;
    enum dial_purpose purpose;
    struct offer *offer;
    size_t server;  /* index of the upstream's */
    size_t dialled; /* of the one that session_dial_one() asked */
    unsigned attempts;
    usec_t dial_began, dial_took;
    struct list held; /* steps that wait for the upstream to be ready */
    struct dns_query *reverse;

    struct login *login; /* an exchange of AUTH; owned; NULL: none */
    char *user;          /* who logged in; owned; NULL: nobody, or without a name */
    bool logged_in;
    bool bound;      /* by a login to the upstream's connection */
    bool hide_reply; /* the text of the reply that leaves now is not for the log */

    unsigned wasted; /* upstream connections given up for what the client did; see relay_waste.c */
    bool helo_open;  /* a HELO waits for its reply: for the upstream, for the client's name */
    smtp_slot helo_slot;
    enum smtp_verb helo_verb;

    enum relay_state state;
    struct txn *txn;
    unsigned txn_number;
    bool retried;          /* MAIL went to a second server already */
    uint64_t passed;       /* servers that were asked already, as bits: one lacked what it needs */
    bool unasked;          /* another couldn't be */
    usec_t search_began;   /* for a server that has it */
    bool up_txn;           /* the upstream has a transaction open */
    bool received_done;    /* our Received was written, or isn't wanted */
    bool told_lost;        /* the client was told that the upstream is lost */
    bool chunks;           /* BDAT has begun */
    smtp_cap_set needs;    /* what the transaction uses of the upstream's offer */
    size_t mail_params_at; /* where the parameters begin in its MAIL line */
    bool txn_smtputf8, txn_8bit;
    char *first_rcpt; /* owned; for Received */
    smtp_slot end_slot;
    usec_t body_at;      /* 354, or the first BDAT */
    unsigned next_final; /* LMTP: where to look for the next recipient that has no reply at the end of data */
    bool took;           /* LMTP: one recipient's reply there was 2xx */
    bool put_off;        /* one was 4xx, by the upstream */
    bool leaving;        /* one was 421 */
    char *early;         /* a reply that came before the end of data, or what stands for it; owned */
    enum txn_by early_by;
    long reserved;          /* octets of room taken in the log */
    struct sync_wait *sync; /* replies that wait for the message's record; NULL: none */
};

/* relay.c */
extern const struct dial_ops relay_dial_ops;
void session_check_end(struct session *s);
void session_dial(struct session *s, enum dial_purpose purpose, size_t skip);
/* This server alone, for a transaction. */
void session_dial_one(struct session *s, size_t server);
void relay_reserve(struct session *s, long octets);

/* Counts the client in, by the address that it has now; its name is looked up if it may stay. */
void relay_admit(struct session *s);

/* relay_helo.c */
void relay_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain);
/* Answers the HELO that waits, if it need not wait any more. */
void relay_answer_helo(struct session *s);
/* What this upstream offers: what is offered to the client follows from it. */
void relay_learn_offer(struct session *s, const struct upstream *u, const struct smtp_reply *ehlo);
/* What is offered to this client as things stand. */
const struct offer_view *relay_offer(const struct session *s);
/* Whether messages through this upstream get a Received of ours. */
bool relay_adds_received(const struct session *s, const struct upstream *u);

/* relay_identity.c */
void relay_identified(void *owner, const struct proxyhdr *header);
void relay_welcome(void *owner);
/* A limit is passed: the 421 that says so, inside TLS where that is implicit (G5). */
void relay_turn_away(struct session *s);
/* What the client may do by its address. */
void relay_permit(struct session *s);
void relay_xclient(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs);
void relay_xforward(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs);
/* The user is another than the upstream was told of: a fresh connection is prepared, where that matters. For logins
 * that are decided here; outside a transaction. */
void relay_identity_changed(struct session *s);
/* What the client said of itself, what it told of another. */
void relay_forget_hello(struct session *s);
void relay_forget_forwarded(struct session *s);
/* What XCLIENT told of the client's own words: HELO, PROTO. */
void relay_forget_told(struct session *s);
/* For a HELO: the upstream that there is, told of the client, or a new one. */
void relay_find_upstream(struct session *s);
void relay_ends(void *owner, struct netaddr *from, struct netaddr *to);
enum dial_tell relay_tell(void *owner, struct smtp_xattrs *attrs, const char **hello);
/* Whether this upstream judges the client as what it is. */
bool relay_is_told(const struct session *s, const struct upstream *u);
/* Whether mail may not go to the session's upstream, because that would take a stranger for us. */
bool relay_is_untold(const struct session *s);
/* The same, recorded. */
bool relay_refuses_untold(const struct session *s);
/* XFORWARD for the open transaction, whose MAIL comes next. */
void relay_forward(struct session *s);

/* relay_txn.c */
void relay_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd);
void relay_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd);
void relay_data(void *owner, smtp_slot slot);
void relay_body(void *owner, const struct smtp_body_out *pieces);
void relay_poisoned(void *owner, const struct smtp_reply *reply);
void relay_end(void *owner, smtp_slot slot, const struct smtp_server_data *data);
void relay_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply);
void relay_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd);
/* Ends the transaction: its records are written. reply: NULL if none decided. */
void relay_finish(struct session *s, enum txn_status status, enum txn_stage stage, enum txn_by by,
                  const struct smtp_reply *reply);
/* The step with MAIL, which is taken over, as the upstream that the session has now can take it. */
struct smtp_step *relay_fit_mail(const struct session *s, struct smtp_step *step) MUST_CHECK;
/* The transaction goes to the upstream that the session has now. */
void relay_note_upstream(struct session *s);
enum txn_stage relay_stage(const struct session *s);
/* The client's connection ended with a transaction under way. */
void relay_client_gone(struct session *s);

/* Our Received for the message under way, once: nothing is printed where none is wanted, or it was done. */
void relay_print_received(struct session *s, struct buf *out);
/* What is known of the message; closes its `data` records. */
void relay_note_message(struct session *s, const struct smtp_server_data *data);
/* The end of data, or of a chunk, where the reply came before it. */
void relay_end_early(struct session *s, smtp_slot slot);

/* relay_need.c */
/* What this command uses of the offer that the client saw is missing at the upstream that the session has now. */
bool relay_lacks(const struct session *s, smtp_cap_set needs);
/* How a MAIL is refused for it. */
enum smtp_own relay_lack_reply(const struct session *s);
/* This server lacks it, which is an `error` record; those that were tried before it, as bits, could not be asked. */
void relay_note_lack(struct session *s, size_t server, uint64_t tried);
/* Dials a server that was not asked yet for this transaction; `server` was. False: there is none. */
bool relay_next_server(struct session *s, size_t server) MUST_CHECK;
/* The same in place of the upstream that the session has. */
bool relay_leave_server(struct session *s) MUST_CHECK;

/* relay_bdat.c */
void relay_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last);
void relay_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data);
void relay_anomaly(void *owner, const char *word);
void relay_chunk_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply);
/* A chunk was refused, the client was told, the transaction is over. */
void relay_leave_refuser(struct session *s);

/* relay_waste.c */
/* The upstream that the session has is given up for what the client did. */
void relay_note_waste(struct session *s);
/* True: it did so too often, and was told that this is the end. Where no reply to it is under way but one to HELO. */
bool relay_has_wasted(struct session *s);

/* relay_lmtp.c */
/* The word of RFC 3848 for the session as it is. */
const char *relay_protocol(const struct session *s);
/* The same before its HELO. */
const char *relay_first_protocol(const struct session *s);
/* How many replies the upstream gives to the end of data. */
unsigned relay_end_replies(const struct session *s);
/* A reply to the end of data; true: the last one. The client and the transaction are told. */
bool relay_final(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply);
/* The replies that are still to come are lost: this one stands for them (LM4). status: what became of the message
 * where no recipient's was 2xx or 4xx. */
void relay_finals_lost(struct session *s, enum txn_status status, const struct smtp_reply *reply);

/* relay_sync.c */
/* Room for the records of the open transaction is secured where log.sync asks for that; if not, the upstream may not
 * see an end of data. */
bool relay_sync_secures(const struct session *s) MUST_CHECK;
/* A reply to the end of data: goes to the client, or is kept until relay_sync_wait() and the record. */
void relay_say_final(struct session *s, smtp_slot slot, const struct smtp_reply *reply, bool last);
/* The records are made: what was kept waits for them. */
void relay_sync_wait(struct session *s);
/* True: a reply waits, and the session ends so when it has left. */
bool relay_sync_ends(struct session *s, enum sync_end end);
void relay_sync_served(struct worker *w);
/* What waits leaves without its record, which is told. */
void relay_sync_give_up(struct session *s);
/* The client is gone. */
void relay_sync_forget(struct session *s);

/* relay_auth.c */
void relay_auth(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd);
void relay_auth_response(void *owner, smtp_slot slot, struct span text);
void relay_auth_cancel(void *owner, const smtp_slot *slot);
void relay_auth_over(void *owner, const char *method, const struct smtp_reply *reply);
/* The step is a "*" whose reply nobody waits for. */
bool relay_is_unheard(const struct smtp_step *step);
/* The reply to a step of an exchange. */
void relay_auth_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply);
/* A step of an exchange that will never be answered. */
void relay_auth_unanswered(struct session *s, const struct smtp_step *step);
/* The client is gone: nobody waits for the exchange any more. */
void relay_auth_client_gone(struct session *s);
/* The upstream was lost; an exchange may have waited for the client. True: there was one. */
bool relay_auth_upstream_lost(struct session *s);
/* The mechanisms that can be offered to this client now, where logins are decided here. */
sasl_set relay_mechanisms(const struct session *s);
/* The upstream that the session has now offers what the client asked for. */
bool relay_auth_fits(const struct session *s);
/* Who the client is from now on, for the records; name may be NULL. */
void relay_set_user(struct session *s, bool logged_in, const char *name);
/* The connection that the session's login hangs on is gone: 421, close. */
void relay_login_gone(struct session *s);
/* The client is nobody again, and no connection that was told who it was is used any more. */
void relay_forget_login(struct session *s);
void relay_auth_free(struct session *s);

/* relay_up.c */
/* A reply for the client's end of data that is known before it. */
void relay_remember_early(struct session *s, const struct smtp_reply *reply, enum txn_by by);
/* The upstream said 421, and the client was told: nothing more comes from either (U6). */
void relay_close_after_421(struct session *s);
/* This connection is of no more use: what waits behind the reply that said so, a MAIL it may be, goes to another. */
void relay_replace_upstream(struct session *s, enum close_reason reason);
extern const struct upstream_ops relay_upstream_ops;
/* What a reply that decides makes of the message. */
enum txn_status relay_status(const struct smtp_reply *reply);
/* Gives a step to the upstream, or keeps it until there is one. */
void relay_step(struct session *s, enum smtp_step_kind kind, struct smtp_tag tag, struct span text);
void relay_take_upstream(struct session *s, struct upstream *u, size_t server, unsigned attempts);
/* The same where the open transaction can't use it. */
void relay_take_idle_upstream(struct session *s, struct upstream *u, size_t server, unsigned attempts);
/* The upstream refuses the client as such: 421 or 554 with its text, and the end. */
void relay_judged(struct session *s, const struct smtp_reply *reply);
/* The dial for a transaction failed, or what it found lacks what the transaction needs. */
void relay_no_upstream(struct session *s, enum smtp_own id);

#endif
