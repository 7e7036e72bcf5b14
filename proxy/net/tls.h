/* TLS by OpenSSL 3: contexts made from the settings, one SSL object a connection, and what the records say of it.
 * Streams own the SSL objects and do the I/O (stream.h). No other files but this and stream.c see OpenSSL.
 *
 * Contexts are counted and never changed: a reload makes new ones, sessions keep theirs. Ticket keys belong to the
 * process, are shared by all contexts and workers, and rotate. Any thread. */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include "proxy/settings.h"

struct ssl_st; /* OpenSSL's SSL */
struct tls_server;
struct tls_client;

/* A listener's context: its certificates chosen by SNI (exact, then wildcard, then the first), several key types a
 * name. Reports every fault with the file's name; NULL if there was one, or if a certificate or key is not named at
 * all, which the caller tells of. The caller has one reference. */
struct tls_server *tls_server_new(const struct tls_settings *set, const char *where, settings_fault *fault,
                                  void *arg) MUST_CHECK;
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server **t);
/* An upstream's context: verification, CA, client certificate. where: the path of its section for faults. One of
 * tls_cert and tls_key alone is as above. */
struct tls_client *tls_client_new(const struct upstream_settings *set, const char *where, settings_fault *fault,
                                  void *arg) MUST_CHECK;
struct tls_client *tls_client_ref(struct tls_client *t);
void tls_client_unref(struct tls_client **t);

/* When the settings' i-th certificate, or the client certificate, ends, in seconds of Unix time. A context without a
 * client certificate: false. */
int64_t tls_server_not_after(const struct tls_server *t, size_t certificate);
bool tls_client_not_after(const struct tls_client *t, int64_t *out);

/* A connection's SSL in accept or connect state, to be given to stream_start_tls(). NULL: out of memory or a broken
 * context. name: of the upstream server, for SNI and (where verified, if tls_name is not set) for the check; a numeric
 * address is checked as such and not sent as SNI. Sessions are resumed per server. */
struct ssl_st *tls_server_ssl(struct tls_server *t) MUST_CHECK;
struct ssl_st *tls_client_ssl(struct tls_client *t, const char *server, const char *name) MUST_CHECK;

/* For one that was never given to a stream. */
void tls_ssl_free(struct ssl_st **ssl);

/* Whether bytes of the handshake have left: then there was a connection. */
bool tls_has_begun(struct ssl_st *ssl);

/* What is known after (or of a failed) handshake. Static and inline memory only; strings are "" where unknown. */
struct tls_info {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    bool resumed;
    char servername[256];                          /* SNI as the client sent it, cut to printable ASCII */
    bool matched;                                  /* a certificate had that name */
    bool verified;                                 /* the peer's certificate was given and verified */
    char subject[256], issuer[256], not_after[32]; /* of the peer's certificate; not_after as RFC 3339 */
    char verify_error[128];                        /* why it did not verify */
};
void tls_describe(struct ssl_st *ssl, struct tls_info *out);
/* OpenSSL's reason for the last failure on this thread, in plain words; the error queue is emptied. */
void tls_reason(struct ssl_st *ssl, int result, char *out, size_t size);
/* The same for an error taken from the queue. */
void tls_print_error(unsigned long e, char *out, size_t size);

#endif
