/* Logins that are decided here: auth.backend `file` (local users) and `dovecot` (Dovecot's auth socket). With backend
 * `upstream` nothing of this is used.
 *
 * An exchange belongs to one worker's loop. It answers from the loop alone, never from inside the call that asked:
 *
 *   auth_start -> challenge() -> auth_respond -> ... -> done()
 *        |            |               |
 *        +------------+---------------+--> auth_cancel: nothing is called any more
 *
 * At most one answer is outstanding: auth_respond() may be called once for each challenge(). Nothing here waits for a
 * hash or for Dovecot on the loop, and no session waits for one in order to die. What the client sent is wiped where it
 * was copied to. */
#ifndef PROXY_RELAY_AUTH_H
#define PROXY_RELAY_AUTH_H

#include "common/netaddr.h"
#include "common/smtp/sasl.h"

struct listener_settings;
struct ssl_st;
struct worker;
struct auth_exchange;

enum auth_result {
    AUTH_OK,
    AUTH_FAIL,      /* 535: wrong credentials, whatever was wrong with them */
    AUTH_TEMPFAIL,  /* 454: the backend can't decide now */
    AUTH_MALFORMED, /* 501: what the client sent is no message of this mechanism */
};

/* The names are good during the call; NULL: none is known. With AUTH_OK username is never NULL. They are what the
 * client or Dovecot said, and no secret; the log repairs and cuts them. */
struct auth_outcome {
    enum auth_result result;
    const char *username, *authzid;
};

struct auth_exchange_ops {
    /* Raw octets, not base64; good during the call. May call auth_respond() or auth_cancel(). */
    void (*challenge)(void *owner, struct span text);
    /* The last call; the exchange is freed after it, so the owner forgets its pointer and doesn't cancel. */
    void (*done)(void *owner, const struct auth_outcome *outcome);
};

/* Who logs in, and through what. Read during the call only. */
struct auth_about {
    const char *hostname; /* ours, as in the banner */
    const struct netaddr *remote, *local;
    bool secured;          /* TLS on the client's connection */
    const char *cert_name; /* of a verified client certificate (tls_cert_login_name), or NULL */
    struct ssl_st *ssl;    /* for channel binding; NULL: none */
    const char *cid;
};

/* What the listener's backend can offer now: auth.mechanisms cut to what the backend, TLS and the certificate allow.
 * Never waits. A file that can't be read any more, or a Dovecot that has gone, still offers what it did; a Dovecot that
 * was never reached offers all of them, for what it lacks is not known. Such a login fails for now (454), which a
 * client survives; without an AUTH line many give up for good. */
sasl_set auth_backend_mechanisms(struct worker *w, const struct listener_settings *ls, const struct auth_about *about);

/* Begins an exchange. initial: NULL, none was given; an empty span is "=". m is one of auth_backend_mechanisms(). */
struct auth_exchange *auth_start(struct worker *w, const struct listener_settings *ls, const struct auth_about *about,
                                 enum sasl_mechanism m, const struct span *initial, const struct auth_exchange_ops *ops,
                                 void *owner) MUST_CHECK;
/* The client's answer to the challenge, decoded. */
void auth_respond(struct auth_exchange *x, struct span response);
/* The session died or the client sent "*". Sets *x to NULL; *x may be NULL. */
void auth_cancel(struct auth_exchange **x);

#endif
