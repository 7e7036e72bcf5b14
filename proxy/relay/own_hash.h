/* The hashes of our own logins at upstream servers, made off the loop. One at a time for each worker: sessions that
 * come together mostly need the same one, and are all answered by it. */
#ifndef PROXY_RELAY_OWN_HASH_H
#define PROXY_RELAY_OWN_HASH_H

#include "common/list.h"
#include "common/smtp/sasl.h"

struct loop;
struct offload_port;
struct own_hashes;

/* A question; the owner sets `done`, and keeps it in place until that was called or own_hash_cancel(). */
struct own_hash {
    struct list node;
    struct sasl_work *work;
    /* From the loop, once; work is good during the call. */
    void (*done)(struct own_hash *h, const struct sasl_work *work);
};

/* The port outlives it. */
struct own_hashes *own_hashes_new(struct loop *loop, struct offload_port *port);
/* No question may be open. */
void own_hashes_free(struct own_hashes **hs);
/* Of all logins of the worker. */
struct sasl_client_cache *own_hashes_cache(struct own_hashes *hs);

void own_hash_init(struct own_hash *h, void (*done)(struct own_hash *h, const struct sasl_work *work));
/* work is taken over. Never calls back before it returns. */
void own_hash_ask(struct own_hashes *hs, struct own_hash *h, struct sasl_work *work);
/* Nobody waits any more; also where nothing was asked. */
void own_hash_cancel(struct own_hash *h);

#endif
