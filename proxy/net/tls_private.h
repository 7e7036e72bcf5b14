/* What the files of net/tls share: contexts with what both sides want of them, certificates and keys from files, ticket
 * keys, OpenSSL's words. Whoever includes this sees OpenSSL. */
#ifndef PROXY_NET_TLS_PRIVATE_H
#define PROXY_NET_TLS_PRIVATE_H

#include "proxy/net/tls.h"

#include <openssl/ssl.h>

/* Where the faults of one context go, and whether there were any. */
struct tls_faults {
    const char *where; /* "tls": what stands before the key */
    settings_fault *tell;
    void *arg;
    bool any;
};
/* Tells "WHERE.KEY: text". */
void tls_fault(struct tls_faults *f, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* OpenSSL's reason for what just failed, in plain words; its queue of errors is emptied. Returns out. */
enum { TLS_WORDS = 256 };
const char *tls_words(char out[TLS_WORDS]);

/* A context with the modes and options that both sides want. NULL only where OpenSSL itself is broken (told). */
SSL_CTX *tls_context_new(const SSL_METHOD *method, struct tls_faults *f) MUST_CHECK;

/* A certificate with its chain and its key. */
struct tls_pair {
    X509 *leaf;
    STACK_OF(X509) * chain; /* without the leaf */
    EVP_PKEY *key;
};
/* Reads both files and tells what is wrong with them; false after a fault. A name that is NULL is a fault that was told
 * of by others. `out` is to be freed in either case. */
bool tls_pair_load(struct tls_pair *out, const char *cert_key, const char *cert, const char *key_key, const char *key,
                   struct tls_faults *f) MUST_CHECK;
/* Puts it into a context; false: OpenSSL does not want it, its errors are in the queue. */
bool tls_pair_use(const struct tls_pair *p, SSL_CTX *ctx) MUST_CHECK;
int64_t tls_pair_not_after(const struct tls_pair *p);
void tls_pair_free(struct tls_pair *p);
/* The certificates of a file as trusted ones; each is also added to `names` where that is not NULL. NULL: told. */
X509_STORE *tls_store_load(const char *key, const char *file, STACK_OF(X509_NAME) * names,
                           struct tls_faults *f) MUST_CHECK;

/* Makes a server's context seal its tickets with the process's keys. */
void tls_tickets_use(SSL_CTX *ctx);
/* Whether a client whose ticket was good gets a new one. */
bool tls_server_renews(SSL *ssl);
/* For tests: the keys are older by that. */
void tls_tickets_age(usec_t by);

/* The name that a client asked for ("" where none), and whether a certificate has it; of a client's SSL: NULL. */
const char *tls_server_asked(const SSL *ssl, bool *matched);
/* Whether the certificate of this client's peer was held against a name. */
bool tls_client_named(const SSL *ssl);

#endif
