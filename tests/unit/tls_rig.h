/* What the tests of TLS share: certificates made on the spot in a directory of their own, and handshakes in memory. */
#ifndef TESTS_UNIT_TLS_RIG_H
#define TESTS_UNIT_TLS_RIG_H

#include "proxy/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RIG_DAY = 24 * 3600 };

struct rig_issued {
    X509 *cert;
    EVP_PKEY *key;
};

static char rig_dir[64];

static inline void rig_dir_make(void)
{
    snprintf(rig_dir, sizeof rig_dir, "/tmp/test_tls.XXXXXX");
    assert_non_null(mkdtemp(rig_dir));
}

static inline void rig_dir_free(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", rig_dir);
    assert_int_equal(system(command), 0);
}

/* A path in the directory; a few can be in use at once. */
static inline char *rig_path(const char *name)
{
    static char path[16][128];
    static unsigned next;
    char *p = path[next++ % ARRAY_LEN(path)];
    snprintf(p, sizeof path[0], "%s/%s", rig_dir, name);
    return p;
}

static inline void rig_free(struct rig_issued *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    *i = (struct rig_issued){ .cert = NULL };
}

static inline void rig_extend(X509 *x, const X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, (X509 *)(uintptr_t)issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* type: "EC", "RSA"; alt as in openssl.cnf, NULL: none; ca NULL: signs itself, as a CA does; days from now. */
static inline struct rig_issued rig_issue_for(const char *type, const char *cn, const char *alt,
                                              const struct rig_issued *ca, int from, int to)
{
    static long serial = 1;
    struct rig_issued i = { .cert = X509_new(),
                            .key = strcmp(type, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256") };
    assert_true(i.cert != NULL && i.key != NULL);
    const struct rig_issued *by = ca != NULL ? ca : &i;
    X509_set_version(i.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(i.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(i.cert), (long)from * RIG_DAY);
    X509_gmtime_adj(X509_getm_notAfter(i.cert), (long)to * RIG_DAY);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(i.cert), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1,
                               0);
    X509_set_issuer_name(i.cert, X509_get_subject_name(by->cert));
    X509_set_pubkey(i.cert, i.key);
    rig_extend(i.cert, by->cert, NID_basic_constraints, ca == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (alt != NULL)
        rig_extend(i.cert, by->cert, NID_subject_alt_name, alt);
    assert_true(X509_sign(i.cert, by->key, EVP_sha256()) > 0);
    return i;
}

static inline struct rig_issued rig_issue(const char *cn, const char *alt, const struct rig_issued *ca)
{
    return rig_issue_for("EC", cn, alt, ca, -1, 90);
}

/* Both in one file; either may be NULL. Returns the path. */
static inline char *rig_write(const char *name, X509 *cert, EVP_PKEY *key, const char *passphrase)
{
    char *path = rig_path(name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    if (cert != NULL)
        assert_int_equal(PEM_write_X509(f, cert), 1);
    if (key != NULL)
        assert_int_equal(PEM_write_PrivateKey(f, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                              (void *)(uintptr_t)passphrase),
                         1);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline char *rig_write_text(const char *name, const char *text)
{
    char *path = rig_path(name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* A certificate with its key, in a file that serves as both. */
static inline char *rig_file(const char *name, const struct rig_issued *i)
{
    return rig_write(name, i->cert, i->key, NULL);
}

/* How a handshake went; `why` is "" where it went well. */
struct rig_end {
    SSL *ssl;
    bool done, failed;
    char why[256];
    struct tls_info info;
};
struct rig_pair {
    struct rig_end server, client;
};

static inline void rig_step(struct rig_end *e)
{
    if (e->done || e->failed)
        return;
    ERR_clear_error();
    int n = SSL_do_handshake(e->ssl);
    int error = SSL_get_error(e->ssl, n);
    e->done = n == 1;
    e->failed = n != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    if (e->failed)
        tls_reason(e->ssl, n, e->why, sizeof e->why);
}

/* In TLS 1.3 a client learns only now of tickets, and of what the server thinks of its certificate. */
static inline void rig_settle(struct rig_end *e)
{
    char none[16];
    ERR_clear_error();
    int n = e->done ? SSL_read(e->ssl, none, sizeof none) : -1;
    if (!e->done || SSL_get_error(e->ssl, n) == SSL_ERROR_WANT_READ)
        return;
    e->failed = true;
    e->done = false;
    tls_reason(e->ssl, n, e->why, sizeof e->why);
}

static inline void rig_join(struct rig_pair *p)
{
    BIO *a, *b;
    assert_int_equal(BIO_new_bio_pair(&a, 1 << 17, &b, 1 << 17), 1);
    SSL_set_bio(p->server.ssl, a, a);
    SSL_set_bio(p->client.ssl, b, b);
}

static inline void rig_shake(struct rig_pair *p, SSL *server, SSL *client)
{
    assert_true(server != NULL && client != NULL);
    *p = (struct rig_pair){ .server = { .ssl = server }, .client = { .ssl = client } };
    rig_join(p);
    for (int i = 0; i < 10; i++) {
        rig_step(&p->client);
        rig_step(&p->server);
    }
    rig_settle(&p->client);
    tls_describe(server, &p->server.info);
    tls_describe(client, &p->client.info);
}

static inline void rig_pair_free(struct rig_pair *p)
{
    if (p->server.done && p->client.done) {
        SSL_shutdown(p->client.ssl);
        SSL_shutdown(p->server.ssl);
    }
    SSL_free(p->server.ssl);
    SSL_free(p->client.ssl);
    ERR_clear_error();
}

struct rig_told {
    char text[8192];
    unsigned count;
};

static inline void rig_tell(void *arg, const char *text)
{
    struct rig_told *t = arg;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s%s", n > 0 ? "\n" : "", text);
    t->count++;
}

static inline struct tls_server *rig_server(const struct tls_settings *set)
{
    struct rig_told told = { .count = 0 };
    struct tls_server *t = tls_server_new(set, "tls", rig_tell, &told);
    assert_string_equal(told.text, "");
    assert_non_null(t);
    return t;
}

static inline struct tls_client *rig_client(const struct upstream_settings *set)
{
    struct rig_told told = { .count = 0 };
    struct tls_client *t = tls_client_new(set, "upstream", rig_tell, &told);
    assert_string_equal(told.text, "");
    assert_non_null(t);
    return t;
}

/* The settings of one certificate in one file, with the defaults. */
static inline struct tls_settings rig_settings(struct tls_certificate *c, size_t count)
{
    return (struct tls_settings){
        .certificate = c, .certificates = count, .min_version = TLS1_2_VERSION, .session_tickets = true
    };
}

#endif
