/* The server engine and the client engine joined in memory: what comes from a client and from an upstream goes in as
 * bytes, what leaves for either comes out as bytes. It relays as the program does, but has no sockets, no clock, no
 * records and one upstream. */
#ifndef TESTS_SCENARIO_BRIDGE_H
#define TESTS_SCENARIO_BRIDGE_H

#include "common/smtp/client.h"
#include "common/smtp/server.h"

enum bridge_upstream { BRIDGE_UNCONNECTED, BRIDGE_OPEN, BRIDGE_DROPPED };

struct bridge {
    struct smtp_server server;
    struct smtp_client client;
    struct buf_pool pool;
    struct buf from_client, from_upstream; /* not yet taken by the engines */
    struct buf to_client, to_upstream, log;
    struct smtp_offer_rules rules;
    char auth[256]; /* rules.auth met with the upstream's */
    struct smtp_caps upstream_caps, offer;
    enum bridge_upstream upstream;
    bool ready;     /* the upstream answered EHLO */
    bool helo_open; /* a HELO waits for that */
    bool up_txn;    /* the upstream has a transaction open */
    bool mail_refused, body, end_open, took;
    bool lmtp;      /* the upstream speaks it */
    bool chunks;    /* BDAT has begun */
    unsigned rcpts; /* accepted by the upstream */
    smtp_slot helo_slot, end_slot;
    enum smtp_verb helo_verb;
    unsigned auths, overs; /* AUTH commands, and those that came to their end: one each, or it aborts */
    int over_code;         /* of the reply that ends one and is to leave next */
    char *early;           /* what the client gets at its end of data; owned */
};

void bridge_init(struct bridge *b, const struct smtp_server_config *config, const struct smtp_offer_rules *rules);
void bridge_free(struct bridge *b);
void bridge_from_client(struct bridge *b, struct span bytes);
void bridge_from_upstream(struct bridge *b, struct span bytes);
/* The upstream's connection ends. */
void bridge_lose_upstream(struct bridge *b);
/* Goes on with what is there, as after a change of the engine's flags. */
void bridge_run(struct bridge *b);

#endif
