/* What a login takes from TLS: the client and we must come to the same bindings, and a certificate names one user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/net/tls_login.h"
#include "proxy/net/tls_private.h"
#include "tests/unit/tls_rig.h"

static struct rig_issued ca, ec, rsa;
static char ca_file[128], ec_file[128], rsa_file[128];

static int make_all(void **state)
{
    (void)state;
    rig_dir_make();
    ca = rig_issue("Test CA", NULL, NULL);
    ec = rig_issue("mx.example.com", NULL, &ca);
    rsa = rig_issue_for("RSA", "mx.example.com", NULL, &ca, -1, 90);
    snprintf(ca_file, sizeof ca_file, "%s", rig_write("ca.pem", ca.cert, NULL, NULL));
    snprintf(ec_file, sizeof ec_file, "%s", rig_file("ec.pem", &ec));
    snprintf(rsa_file, sizeof rsa_file, "%s", rig_file("rsa.pem", &rsa));
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    rig_free(&ca);
    rig_free(&ec);
    rig_free(&rsa);
    rig_dir_free();
    return 0;
}

static struct tls_server *make_server(bool both, enum tls_verify_client verify)
{
    struct tls_certificate c[] = { { .cert = ec_file, .key = ec_file }, { .cert = rsa_file, .key = rsa_file } };
    struct tls_settings set = rig_settings(c, both ? 2 : 1);
    set.verify_client = verify;
    set.client_ca = verify != VERIFY_CLIENT_NONE ? ca_file : NULL;
    return rig_server(&set);
}

/* A client with this certificate and at this version; ALL of them may be left out. */
static void shake(struct rig_pair *p, struct tls_server *t, const struct rig_issued *cert, int version,
                  const char *sigalgs, SSL_SESSION *session)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ctx);
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, cert->cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
    }
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL *client = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_connect_state(client);
    if (sigalgs != NULL)
        assert_int_equal(SSL_set1_sigalgs_list(client, sigalgs), 1);
    if (session != NULL)
        assert_int_equal(SSL_set_session(client, session), 1);
    rig_shake(p, tls_server_ssl(t), client);
}

static void check_exporter(const struct rig_pair *p, const struct tls_bindings *b)
{
    unsigned char theirs[TLS_EXPORTER];
    assert_int_equal(b->exporter_len, TLS_EXPORTER);
    assert_int_equal(
        SSL_export_keying_material(p->client.ssl, theirs, sizeof(theirs), "EXPORTER-Channel-Binding", 24, NULL, 0, 0),
        1);
    assert_memory_equal(theirs, b->exporter, TLS_EXPORTER);
}

/* What the client saw. */
static void check_end_point(const struct rig_pair *p, const struct tls_bindings *b)
{
    unsigned char theirs[TLS_END_POINT_MAX];
    unsigned n = 0;
    X509 *seen = SSL_get0_peer_certificate(p->client.ssl);
    assert_int_equal(X509_digest(seen, EVP_sha256(), theirs, &n), 1);
    assert_int_equal(b->end_point_len, n);
    assert_memory_equal(theirs, b->end_point, n);
}

static void test_bindings(void **state)
{
    (void)state;
    struct tls_server *t = make_server(false, VERIFY_CLIENT_NONE);
    struct rig_pair p;
    struct tls_bindings b;
    shake(&p, t, NULL, TLS1_3_VERSION, NULL, NULL);
    tls_bindings(p.server.ssl, &b);
    check_exporter(&p, &b);
    check_end_point(&p, &b);
    rig_pair_free(&p);
    shake(&p, t, NULL, TLS1_2_VERSION, NULL, NULL);
    tls_bindings(p.server.ssl, &b);
    assert_int_equal(b.exporter_len, 0);
    check_end_point(&p, &b);
    rig_pair_free(&p);
    tls_bindings(NULL, &b);
    assert_true(b.exporter_len == 0 && b.end_point_len == 0);
    tls_server_unref(&t);
}

/* Of two certificates of one name, the one that this client was shown. */
static void test_shown_certificate(void **state)
{
    (void)state;
    static const char *const ALGORITHMS[] = { "ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256" };
    struct tls_server *t = make_server(true, VERIFY_CLIENT_NONE);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
            struct rig_pair p;
            struct tls_bindings b;
            shake(&p, t, NULL, version, ALGORITHMS[i], NULL);
            assert_true(p.client.done);
            tls_bindings(p.server.ssl, &b);
            check_end_point(&p, &b);
            rig_pair_free(&p);
        }
    }
    tls_server_unref(&t);
}

static void resume(bool both)
{
    struct tls_server *t = make_server(both, VERIFY_CLIENT_NONE);
    struct rig_pair p;
    struct tls_bindings b;
    shake(&p, t, NULL, TLS1_3_VERSION, NULL, NULL);
    SSL_SESSION *session = SSL_get1_session(p.client.ssl);
    rig_pair_free(&p);
    shake(&p, t, NULL, TLS1_3_VERSION, NULL, session);
    assert_true(p.server.info.resumed);
    tls_bindings(p.server.ssl, &b);
    check_exporter(&p, &b);
    if (both)
        assert_int_equal(b.end_point_len, 0);
    else
        check_end_point(&p, &b);
    rig_pair_free(&p);
    SSL_SESSION_free(session);
    tls_server_unref(&t);
}

/* Which of two it was at the first handshake is not known any more. */
static void test_resumed(void **state)
{
    (void)state;
    resume(false);
    resume(true);
}

static const struct {
    const char *cn, *alt, *name; /* name NULL: none */
} NAMES[] = {
    { "alice", NULL, "alice" },
    { "alice", "email:alice@example.com", "alice@example.com" },
    { "alice", "DNS:host.example.com", "alice" },
    { "alice", "DNS:host.example.com,email:first@example.com,email:second@example.com", "first@example.com" },
    { "j\xc3\xb6rg", NULL, "j\xc3\xb6rg" },
    { "two words", NULL, "two words" },
    { "line\nbreak", NULL, NULL },
    { "", NULL, NULL },
};

static void test_certificate_names(void **state)
{
    (void)state;
    struct tls_server *t = make_server(false, VERIFY_CLIENT_OPTIONAL);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct rig_issued cert = rig_issue(NAMES[i].cn, NAMES[i].alt, &ca);
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct rig_pair p;
            char name[TLS_LOGIN_NAME] = "";
            shake(&p, t, &cert, version, NULL, NULL);
            assert_true(p.server.done);
            assert_int_equal(tls_cert_login_name(p.server.ssl, name), NAMES[i].name != NULL);
            assert_string_equal(name, NAMES[i].name != NULL ? NAMES[i].name : "");
            rig_pair_free(&p);
        }
        rig_free(&cert);
    }
    tls_server_unref(&t);
}

/* A name with a NUL in it could be read as another one. */
static void test_nul_in_name(void **state)
{
    (void)state;
    struct tls_server *t = make_server(false, VERIFY_CLIENT_OPTIONAL);
    struct rig_issued cert = rig_issue("", NULL, &ca);
    X509_NAME *subject = X509_NAME_new();
    struct rig_pair p;
    char name[TLS_LOGIN_NAME];
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)"alice\0.evil", 11, -1, 0);
    X509_set_subject_name(cert.cert, subject);
    X509_NAME_free(subject);
    assert_true(X509_sign(cert.cert, ca.key, EVP_sha256()) > 0);
    shake(&p, t, &cert, TLS1_3_VERSION, NULL, NULL);
    assert_true(p.server.done);
    assert_false(tls_cert_login_name(p.server.ssl, name));
    rig_pair_free(&p);
    rig_free(&cert);
    tls_server_unref(&t);
}

static void test_unverified(void **state)
{
    (void)state;
    struct tls_server *optional = make_server(false, VERIFY_CLIENT_OPTIONAL);
    struct tls_server *none = make_server(false, VERIFY_CLIENT_NONE);
    struct rig_issued stranger = rig_issue("alice", NULL, NULL), good = rig_issue("alice", NULL, &ca);
    struct rig_pair p;
    char name[TLS_LOGIN_NAME];
    shake(&p, optional, &stranger, TLS1_3_VERSION, NULL, NULL);
    assert_false(tls_cert_login_name(p.server.ssl, name));
    rig_pair_free(&p);
    shake(&p, optional, NULL, TLS1_3_VERSION, NULL, NULL);
    assert_false(tls_cert_login_name(p.server.ssl, name));
    rig_pair_free(&p);
    shake(&p, none, &good, TLS1_3_VERSION, NULL, NULL);
    assert_false(tls_cert_login_name(p.server.ssl, name));
    rig_pair_free(&p);
    assert_false(tls_cert_login_name(NULL, name));
    rig_free(&stranger);
    rig_free(&good);
    tls_server_unref(&optional);
    tls_server_unref(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bindings),    cmocka_unit_test(test_shown_certificate),
        cmocka_unit_test(test_resumed),     cmocka_unit_test(test_certificate_names),
        cmocka_unit_test(test_nul_in_name), cmocka_unit_test(test_unverified),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
