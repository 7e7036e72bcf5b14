/* What a handshake came to, and why one failed, in words for records. Names from certificates and from clients are
 * foreign text: printable, and cut to fit. */
#include "proxy/net/tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

/* OpenSSL's reasons that say little to whoever reads a log. */
static const struct {
    int lib, reason;
    const char *words;
} REASONS[] = {
    { ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS, or no version that we know" },
    { ERR_LIB_SSL, SSL_R_HTTP_REQUEST, "the peer speaks HTTP, not TLS" },
    { ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL, "the peer offers only TLS versions that are not allowed here" },
    { ERR_LIB_SSL, SSL_R_VERSION_TOO_LOW, "the peer offers only TLS versions that are not allowed here" },
    { ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER, "there is no cipher that both sides allow" },
    { ERR_LIB_SSL, SSL_R_NO_SUITABLE_KEY_SHARE, "there is no key-exchange group that both sides allow" },
    { ERR_LIB_SSL, SSL_R_NO_SUITABLE_GROUPS, "there is no key-exchange group that both sides allow" },
    { ERR_LIB_SSL, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "there is no signature algorithm that both sides allow" },
    { ERR_LIB_SSL, SSL_R_NO_CIPHER_MATCH, "OpenSSL knows no such cipher" },
    { ERR_LIB_SSL, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client gave no certificate" },
    { ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer closed the connection" },
    { ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL, "the certificate's key is too short" },
    { ERR_LIB_SSL, SSL_R_CA_KEY_TOO_SMALL, "the key of a CA in the chain is too short" },
    { ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK, "a certificate is signed with a hash that is too weak" },
    { ERR_LIB_SSL, SSL_R_DH_KEY_TOO_SMALL, "the peer's Diffie-Hellman key is too short" },
};

void tls_print_error(unsigned long e, char *out, size_t size)
{
    int lib = ERR_GET_LIB(e), reason = ERR_GET_REASON(e);
    for (size_t i = 0; i < ARRAY_LEN(REASONS); i++) {
        if (REASONS[i].lib == lib && REASONS[i].reason == reason) {
            snprintf(out, size, "%s", REASONS[i].words);
            return;
        }
    }
    const char *text = ERR_reason_error_string(e);
    if (lib == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        snprintf(out, size, "the peer refused: %s", SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (lib == ERR_LIB_SYS)
        snprintf(out, size, "%s", strerror(reason));
    else
        snprintf(out, size, "%s", text != NULL ? text : "unknown reason");
}

const char *tls_words(char out[TLS_WORDS])
{
    /* The first is the cause, the others are what came of it. */
    tls_print_error(ERR_peek_error(), out, TLS_WORDS);
    ERR_clear_error();
    return out;
}

void tls_reason(struct ssl_st *ssl, int result, char *out, size_t size)
{
    int error = errno, what = SSL_get_error(ssl, result);
    unsigned long e = ERR_peek_error();
    long verify = SSL_get_verify_result(ssl);
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
        snprintf(out, size, "the peer's certificate did not verify: %s", X509_verify_cert_error_string(verify));
    else if (e != 0)
        tls_print_error(e, out, size);
    else if (what == SSL_ERROR_SYSCALL && error != 0)
        snprintf(out, size, "%s", strerror(error));
    else if (what == SSL_ERROR_SYSCALL || what == SSL_ERROR_ZERO_RETURN)
        snprintf(out, size, "the peer closed the connection");
    else
        snprintf(out, size, "unknown reason");
    ERR_clear_error();
}

void tls_ssl_free(struct ssl_st **ssl)
{
    SSL_free(*ssl);
    *ssl = NULL;
}

/* Cut between two characters of UTF-8. */
static void copy_text(char *out, size_t size, const char *text, size_t n)
{
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

static void print_name(const X509_NAME *name, char *out, size_t size)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return;
    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        if (n > 0) /* a subject may be empty */
            copy_text(out, size, text, (size_t)n);
    }
    BIO_free(bio);
    ERR_clear_error();
}

static void describe_peer(SSL *ssl, X509 *peer, struct tls_info *out)
{
    struct tm tm;
    long result = SSL_get_verify_result(ssl);
    print_name(X509_get_subject_name(peer), out->subject, sizeof out->subject);
    print_name(X509_get_issuer_name(peer), out->issuer, sizeof out->issuer);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(peer), &tm) == 1)
        strftime(out->not_after, sizeof out->not_after, "%Y-%m-%dT%H:%M:%SZ", &tm);
    out->verified = result == X509_V_OK && (SSL_is_server(ssl) || tls_client_named(ssl));
    if (!out->verified)
        snprintf(out->verify_error, sizeof out->verify_error, "%s",
                 result == X509_V_OK ? "there is no name to hold it against" : X509_verify_cert_error_string(result));
}

static void describe_name(SSL *ssl, struct tls_info *out)
{
    const char *name = tls_server_asked(ssl, &out->matched);
    if (name == NULL)
        name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (size_t i = 0; name != NULL && name[i] != '\0' && i < sizeof out->servername - 1; i++)
        out->servername[i] = name[i];
    for (char *p = out->servername; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            *p = '?';
    }
}

void tls_describe(struct ssl_st *ssl, struct tls_info *out)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    X509 *peer = SSL_get0_peer_certificate(ssl);
    *out = (struct tls_info){ .version = "", .cipher = "" };
    if (cipher != NULL) {
        out->version = SSL_get_version(ssl);
        out->cipher = SSL_CIPHER_get_name(cipher);
        out->resumed = SSL_session_reused(ssl) == 1;
    }
    describe_name(ssl, out);
    if (peer != NULL)
        describe_peer(ssl, peer, out);
}

bool tls_has_begun(struct ssl_st *ssl) { return BIO_number_written(SSL_get_wbio(ssl)) > 0; }
