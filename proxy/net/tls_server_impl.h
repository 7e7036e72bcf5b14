/* The two halves of a server: made once by tls_server_new.c, used by any thread in tls_server.c and never changed. */
#ifndef PROXY_NET_TLS_SERVER_IMPL_H
#define PROXY_NET_TLS_SERVER_IMPL_H

#include "proxy/net/tls_private.h"

/* At most one certificate of each key type: what one SSL_CTX can hold. */
enum { KEY_TYPES = 6 };
struct pair_set {
    size_t pair[KEY_TYPES];
    unsigned count;
};

struct server_context {
    SSL_CTX *ctx;
    struct pair_set pairs;
};

struct server_name {
    char *name; /* lower case; may begin with "*." */
    size_t context;
};

struct tls_server {
    atomic_uint refs;
    struct server_context *context;
    size_t contexts, fallback;
    struct server_name *name; /* sorted */
    size_t names;
    int64_t *not_after; /* of each certificate of the settings */
    size_t certificates;
    enum tls_verify_client verify_client;
};

/* Makes a context ask the server which certificate a client gets. */
void tls_server_attach(struct tls_server *t, SSL_CTX *ctx);

#endif
