/* Both are of one connection only; nothing is kept. A name with a NUL in it could be read as another one: it is none.
 */
#include "proxy/net/tls_login.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/codec.h"

static void export_keys(SSL *ssl, struct tls_bindings *out)
{
    static const char LABEL[] = "EXPORTER-Channel-Binding";
    if (SSL_version(ssl) < TLS1_3_VERSION || SSL_is_init_finished(ssl) != 1)
        return;
    if (SSL_export_keying_material(ssl, out->exporter, TLS_EXPORTER, LABEL, sizeof(LABEL) - 1, NULL, 0, 0) == 1)
        out->exporter_len = TLS_EXPORTER;
}

/* MD5 and SHA-1 are replaced by SHA-256; where the signature has no hash of its own (Ed25519) there is no binding. */
static const EVP_MD *end_point_digest(X509 *cert)
{
    int digest = NID_undef;
    if (X509_get_signature_info(cert, &digest, NULL, NULL, NULL) != 1 || digest == NID_undef)
        return NULL;
    return digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
}

/* A resumed connection was shown a certificate at its first handshake: which, is known where there is only one. */
static bool is_ambiguous(SSL *ssl)
{
    return SSL_session_reused(ssl) == 1 && SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST) == 1 &&
           SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT) == 1;
}

/* That of the server, whichever end we are. */
static X509 *server_certificate(SSL *ssl)
{
    if (SSL_is_server(ssl) == 0)
        return SSL_get0_peer_certificate(ssl);
    return is_ambiguous(ssl) ? NULL : SSL_get_certificate(ssl);
}

static void hash_certificate(SSL *ssl, struct tls_bindings *out)
{
    unsigned n = 0;
    X509 *cert = server_certificate(ssl);
    const EVP_MD *md = cert != NULL ? end_point_digest(cert) : NULL;
    if (md != NULL && EVP_MD_get_size(md) <= TLS_END_POINT_MAX && X509_digest(cert, md, out->end_point, &n) == 1)
        out->end_point_len = n;
}

void tls_bindings(struct ssl_st *ssl, struct tls_bindings *out)
{
    *out = (struct tls_bindings){ .exporter_len = 0 };
    if (ssl == NULL)
        return;
    export_keys(ssl, out);
    hash_certificate(ssl, out);
    ERR_clear_error();
}

static bool take_name(const unsigned char *text, int length, char out[TLS_LOGIN_NAME])
{
    struct span s = span_of((const char *)text, length > 0 ? (size_t)length : 0);
    uint32_t c;
    if (s.n == 0 || s.n >= TLS_LOGIN_NAME || !codec_utf8_valid(s))
        return false;
    for (size_t i = 0, n; i < s.n; i += n) {
        n = codec_utf8_step(s.p + i, s.n - i, &c);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            return false;
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* 1: found; 0: it has none; -1: one that can't be used. */
static int take_mail_address(X509 *cert, char out[TLS_LOGIN_NAME])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    for (int i = 0; found == 0 && names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_EMAIL)
            found = take_name(ASN1_STRING_get0_data(name->d.rfc822Name), ASN1_STRING_length(name->d.rfc822Name), out)
                        ? 1
                        : -1;
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool take_common_name(X509 *cert, char out[TLS_LOGIN_NAME])
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    unsigned char *text = NULL;
    int last = -1;
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
        last = i;
    if (last < 0)
        return false;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    bool ok = n > 0 && take_name(text, n, out);
    OPENSSL_free(text);
    return ok;
}

bool tls_cert_login_name(struct ssl_st *ssl, char out[TLS_LOGIN_NAME])
{
    X509 *cert = ssl != NULL ? SSL_get0_peer_certificate(ssl) : NULL;
    if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    int found = take_mail_address(cert, out);
    bool ok = found > 0 || (found == 0 && take_common_name(cert, out));
    ERR_clear_error();
    return ok;
}
