/* What an upstream's EHLO offered, parsed once for all sessions that got the same words, and what we offer because of
 * it. */
#ifndef PROXY_RELAY_OFFER_H
#define PROXY_RELAY_OFFER_H

#include "common/smtp/caps.h"
#include "common/smtp/reply.h"
#include "proxy/settings.h"

/* What sets sessions of a listener apart, as bits. VERIFIED: the EHLO was said in TLS by a server whose certificate
 * verified. XCLIENT, XFORWARD: the peer is permitted. RECEIVED: a message grows by ours. From bit MECHANISMS on: the
 * mechanisms of logins that are decided here, a sasl_set. */
enum { OFFER_VERIFIED = 1, OFFER_XCLIENT = 2, OFFER_XFORWARD = 4, OFFER_RECEIVED = 8, OFFER_MECHANISMS = 16 };

/* A counted reference; never changed once made. One thread. */
struct offer {
    unsigned refs;
    struct span key;                    /* the upstream's reply without its first line; owned */
    const struct listener_settings *of; /* compared as an address only */
    unsigned traits;                    /* of the sessions it is for: OFFER_* */
    struct smtp_caps upstream;          /* what it has */
    struct offer_view {
        struct smtp_caps caps; /* what we offer */
        struct smtp_offer_rules rules;
        char *lines; /* "250-PIPELINING\r\n250 SIZE\r\n": behind the first line of our reply; owned */
        size_t lines_len;
        char auth[256]; /* of rules.auth */
    } view[2][2];       /* to clients in clear, and in TLS; to those that logged in */
};

enum { OFFER_CACHE = 8 };
struct offer_cache {
    struct offer *slot[OFFER_CACHE]; /* the newest first; a reference each */
};

/* What this build can do; the others are withheld. */
smtp_cap_set offer_built_in(void);
/* The offer for sessions with these traits of a listener whose upstream answered EHLO or HELO with this. The caller has
 * one reference. */
struct offer *offer_get(struct offer_cache *cache, const struct listener_settings *ls, unsigned traits,
                        const struct smtp_reply *ehlo);
/* The same offer for sessions with other traits. */
struct offer *offer_again(struct offer_cache *cache, const struct listener_settings *ls, unsigned traits,
                          const struct offer *o);
struct offer *offer_ref(struct offer *o);
void offer_unref(struct offer **o);
void offer_cache_free(struct offer_cache *cache);

#endif
