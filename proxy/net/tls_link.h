/* A TLS connection for one who polls by himself: a non-blocking socket and an SSL, no loop. The calls return what the
 * system's own would: octets, 0 at the other side's end, or a negative errno; -EAGAIN: wait for *events. -EPROTO: `why`
 * has OpenSSL's reason. */
#ifndef PROXY_NET_TLS_LINK_H
#define PROXY_NET_TLS_LINK_H

#include <sys/types.h>

#include "proxy/net/tls.h"

enum { TLS_LINK_WHY = 160 };

/* A verifying client's context. ca, cert and key may be NULL; where: stands before the key in the faults. */
struct tls_client *tls_link_client(const char *ca, const char *cert, const char *key, const char *where,
                                   settings_fault *fault, void *arg) MUST_CHECK;
/* NULL: out of memory, or nothing to verify the other side by. `name` is whom we want to talk to. */
struct ssl_st *tls_link_new(struct tls_client *client, int fd, const char *name) MUST_CHECK;
/* 1 when it is done. */
ssize_t tls_link_shake(struct ssl_st *ssl, short *events, char why[TLS_LINK_WHY]) MUST_CHECK;
ssize_t tls_link_read(struct ssl_st *ssl, char *to, size_t n, short *events, char why[TLS_LINK_WHY]) MUST_CHECK;
/* A write that said -EAGAIN must be asked for again with the same octets, and perhaps more behind them. */
ssize_t tls_link_write(struct ssl_st *ssl, const char *p, size_t n, short *events, char why[TLS_LINK_WHY]) MUST_CHECK;
/* Octets that the socket has carried. */
uint64_t tls_link_wire(struct ssl_st *ssl);
/* Says goodbye, as far as that goes without waiting; reading goes on. */
void tls_link_end(struct ssl_st *ssl);
/* The same, and frees it. */
void tls_link_free(struct ssl_st **ssl);

#endif
