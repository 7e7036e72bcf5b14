/* What a login takes from TLS: channel bindings for SCRAM, and the name in the client's certificate for EXTERNAL. */
#ifndef PROXY_NET_TLS_LOGIN_H
#define PROXY_NET_TLS_LOGIN_H

#include "common/base.h"

struct ssl_st;

enum { TLS_LOGIN_NAME = 256, TLS_EXPORTER = 32, TLS_END_POINT_MAX = 64 };

/* A length of 0: there is none. exporter: RFC 9266, of TLS 1.3 (what TLS 1.2 gives is not the same everywhere).
 * end_point: RFC 5929 section 4, of the server's certificate that this connection was shown. */
struct tls_bindings {
    unsigned char exporter[TLS_EXPORTER], end_point[TLS_END_POINT_MAX];
    size_t exporter_len, end_point_len;
};

/* Of a connection after its handshake, at either end; ssl NULL: none at all. */
void tls_bindings(struct ssl_st *ssl, struct tls_bindings *out);
/* The user that a verified client certificate names: its first rfc822Name (subjectAltName), else its last common name.
 * False: there is no certificate, it did not verify, or it has no such name, or one that is no text without control
 * characters. */
bool tls_cert_login_name(struct ssl_st *ssl, char out[TLS_LOGIN_NAME]) MUST_CHECK;

#endif
