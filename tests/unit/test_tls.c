/* TLS in memory: which certificate a client gets, who is verified and who is not, which sessions resume, and what is
 * told of it all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/net/tls_private.h"
#include "tests/unit/tls_rig.h"

#include <pthread.h>

/* What most tests use: a CA, a certificate by it, and both as files. */
static struct rig_issued ca, mx;
static char ca_file[128], mx_file[128];

static int make_all(void **state)
{
    (void)state;
    rig_dir_make();
    ca = rig_issue("Test CA", NULL, NULL);
    mx = rig_issue("mx.example.com", "DNS:mx.example.com,DNS:*.example.net,IP:192.0.2.1,IP:2001:db8::1", &ca);
    snprintf(ca_file, sizeof ca_file, "%s", rig_write("ca.pem", ca.cert, NULL, NULL));
    snprintf(mx_file, sizeof mx_file, "%s", rig_file("mx.pem", &mx));
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    rig_free(&ca);
    rig_free(&mx);
    rig_dir_free();
    return 0;
}

static struct tls_server *mx_server(void)
{
    struct tls_certificate c = { .cert = mx_file, .key = mx_file };
    struct tls_settings set = rig_settings(&c, 1);
    return rig_server(&set);
}

static struct tls_client *plain_client(void)
{
    struct upstream_settings set = { .tls = UPSTREAM_TLS_OPPORTUNISTIC };
    return rig_client(&set);
}

/* Names and certificates. */

static void expect_chosen(struct tls_server *t, struct tls_client *c, const char *asked, const char *subject,
                          bool matched)
{
    struct rig_pair p;
    SSL *client = tls_client_ssl(c, "s", "");
    if (asked[0] != '\0')
        assert_int_equal(SSL_set_tlsext_host_name(client, asked), 1);
    SSL_set_session(client, NULL);
    rig_shake(&p, tls_server_ssl(t), client);
    assert_true(p.server.done && p.client.done);
    assert_string_equal(p.client.info.subject, subject);
    assert_string_equal(p.server.info.servername, asked);
    assert_int_equal(p.server.info.matched, matched);
    rig_pair_free(&p);
}

static void test_names(void **state)
{
    (void)state;
    struct rig_issued a = rig_issue("a", "DNS:mx.example.com,DNS:Two.Example.com,email:x@example.com", &ca);
    struct rig_issued wild = rig_issue("wild", "DNS:*.example.org", &ca);
    struct rig_issued exact = rig_issue("exact", "DNS:own.example.org", &ca);
    struct rig_issued bare = rig_issue("cn.example.com", NULL, &ca), named = rig_issue("named", "DNS:alt.example", &ca);
    char *files[] = { rig_file("a.pem", &a), rig_file("w.pem", &wild), rig_file("e.pem", &exact),
                      rig_file("b.pem", &bare), rig_file("n.pem", &named) };
    char given[] = "Given.example", given_wild[] = "*.given.example", *names[] = { given, given_wild };
    struct tls_certificate c[5];
    for (size_t i = 0; i < 5; i++)
        c[i] = (struct tls_certificate){ .cert = files[i], .key = files[i] };
    c[4].name = names;
    c[4].names = 2;
    struct tls_settings set = rig_settings(c, 5);
    struct tls_server *t = rig_server(&set);
    struct tls_client *client = plain_client();
    static const struct {
        const char *asked, *subject;
        bool matched;
    } CASES[] = {
        { "", "CN=a", false },
        { "mx.example.com", "CN=a", true },
        { "MX.Example.COM", "CN=a", true },
        { "two.example.com", "CN=a", true },
        { "mx.example.com.", "CN=a", true },
        { "x.mx.example.com", "CN=a", false },
        { "unknown.example", "CN=a", false },
        { "mail.example.org", "CN=wild", true },
        { "a.mail.example.org", "CN=a", false },
        { "example.org", "CN=a", false },
        { "*.example.org", "CN=a", false },
        { "own.example.org", "CN=exact", true },
        { "cn.example.com", "CN=cn.example.com", true },
        { "given.example", "CN=named", true },
        { "x.given.example", "CN=named", true },
        { "alt.example", "CN=a", false },
        { "x@example.com", "CN=a", false },
        { "com", "CN=a", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_chosen(t, client, CASES[i].asked, CASES[i].subject, CASES[i].matched);
    tls_server_unref(&t);
    tls_client_unref(&client);
    struct rig_issued *all[] = { &a, &wild, &exact, &bare, &named };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        rig_free(all[i]);
}

static void expect_key(struct tls_server *t, const char *asked, const char *sigalgs, int version, int type,
                       const char *subject)
{
    struct rig_pair p;
    struct tls_client *c = plain_client();
    SSL *client = tls_client_ssl(c, "s", asked);
    assert_int_equal(SSL_set1_sigalgs_list(client, sigalgs), 1);
    SSL_set_max_proto_version(client, version);
    rig_shake(&p, tls_server_ssl(t), client);
    assert_true(p.server.done && p.client.done);
    assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(client))), type);
    assert_string_equal(p.client.info.subject, subject);
    rig_pair_free(&p);
    tls_client_unref(&c);
}

static void test_two_keys_for_one_name(void **state)
{
    (void)state;
    struct rig_issued rsa = rig_issue_for("RSA", "rsa", "DNS:one.example,DNS:rsa.example", &ca, -1, 9);
    struct rig_issued ec = rig_issue("ec", "DNS:one.example", &ca);
    struct rig_issued late = rig_issue("late", "DNS:one.example,DNS:late.example", &ca);
    struct tls_certificate c[3] = { { .cert = rig_file("rsa.pem", &rsa), .key = rig_path("rsa.pem") },
                                    { .cert = rig_file("ec.pem", &ec), .key = rig_path("ec.pem") },
                                    { .cert = rig_file("late.pem", &late), .key = rig_path("late.pem") } };
    struct tls_settings set = rig_settings(c, 3);
    struct tls_server *t = rig_server(&set);
    static const char RSA[] = "RSA-PSS+SHA256:RSA+SHA256", EC[] = "ECDSA+SHA256",
                      BOTH[] = "RSA-PSS+SHA256:ECDSA+SHA256";
    static const char *const ASKED[] = { "one.example", "", "unknown.example" };
    static const int VERSIONS[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    for (size_t v = 0; v < ARRAY_LEN(VERSIONS); v++) {
        for (size_t i = 0; i < ARRAY_LEN(ASKED); i++) {
            expect_key(t, ASKED[i], RSA, VERSIONS[v], EVP_PKEY_RSA, "CN=rsa");
            expect_key(t, ASKED[i], EC, VERSIONS[v], EVP_PKEY_EC, "CN=ec");
        }
        expect_key(t, "rsa.example", BOTH, VERSIONS[v], EVP_PKEY_RSA, "CN=rsa");
        expect_key(t, "late.example", BOTH, VERSIONS[v], EVP_PKEY_EC, "CN=late");
    }
    tls_server_unref(&t);
    rig_free(&rsa);
    rig_free(&ec);
    rig_free(&late);
}

static void test_chain(void **state)
{
    (void)state;
    struct rig_issued middle = rig_issue("Middle", NULL, NULL), leaf;
    X509_set_issuer_name(middle.cert, X509_get_subject_name(ca.cert));
    assert_true(X509_sign(middle.cert, ca.key, EVP_sha256()) > 0);
    leaf = rig_issue("leaf", "DNS:leaf.example", &middle);
    char *path = rig_file("leaf.pem", &leaf);
    FILE *f = fopen(path, "ae");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, middle.cert), 1);
    fclose(f);
    struct tls_certificate c = { .cert = path, .key = path };
    struct tls_settings set = rig_settings(&c, 1);
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *t = rig_server(&set);
    struct tls_client *client = rig_client(&up);
    struct rig_pair p;
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(client, "s", "leaf.example"));
    assert_string_equal(p.client.why, "");
    assert_true(p.client.info.verified);
    assert_string_equal(p.client.info.issuer, "CN=Middle");
    rig_pair_free(&p);
    tls_server_unref(&t);
    tls_client_unref(&client);
    rig_free(&middle);
    rig_free(&leaf);
}

/* Versions and ciphers. */

static SSL *client_of_versions(struct tls_client *c, int least, int most)
{
    SSL *ssl = tls_client_ssl(c, "s", "mx.example.com");
    SSL_set_security_level(ssl, 0);
    SSL_set_cipher_list(ssl, "ALL:@SECLEVEL=0");
    SSL_set_min_proto_version(ssl, least);
    SSL_set_max_proto_version(ssl, most);
    SSL_set_session(ssl, NULL);
    return ssl;
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        unsigned least;
        int client;
        const char *version; /* NULL: refused */
    } CASES[] = {
        { TLS1_2_VERSION, TLS1_VERSION, NULL },        { TLS1_2_VERSION, TLS1_1_VERSION, NULL },
        { TLS1_2_VERSION, TLS1_2_VERSION, "TLSv1.2" }, { TLS1_2_VERSION, TLS1_3_VERSION, "TLSv1.3" },
        { TLS1_3_VERSION, TLS1_2_VERSION, NULL },      { TLS1_3_VERSION, TLS1_3_VERSION, "TLSv1.3" },
        { TLS1_VERSION, TLS1_VERSION, "TLSv1" },       { TLS1_VERSION, TLS1_1_VERSION, "TLSv1.1" },
        { TLS1_1_VERSION, TLS1_VERSION, NULL },        { TLS1_1_VERSION, TLS1_1_VERSION, "TLSv1.1" },
    };
    struct tls_client *client = plain_client();
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct tls_certificate c = { .cert = mx_file, .key = mx_file };
        struct tls_settings set = rig_settings(&c, 1);
        struct rig_pair p;
        set.min_version = CASES[i].least;
        struct tls_server *t = rig_server(&set);
        rig_shake(&p, tls_server_ssl(t), client_of_versions(client, CASES[i].client, CASES[i].client));
        if (CASES[i].version != NULL) {
            assert_string_equal(p.server.why, "");
            assert_string_equal(p.client.why, "");
            assert_string_equal(p.server.info.version, CASES[i].version);
            assert_string_equal(p.client.info.version, CASES[i].version);
        } else {
            assert_string_equal(p.server.why, "the peer offers only TLS versions that are not allowed here");
            assert_string_equal(p.client.why, "the peer refused: protocol version");
            assert_string_equal(p.server.info.version, "");
            assert_string_equal(p.server.info.cipher, "");
        }
        rig_pair_free(&p);
        tls_server_unref(&t);
    }
    tls_client_unref(&client);
}

static void expect_cipher(const struct tls_settings *set, const char *offered, int version, const char *cipher)
{
    struct rig_pair p;
    struct tls_server *t = rig_server(set);
    struct tls_client *c = plain_client();
    SSL *client = client_of_versions(c, version, version);
    if (version == TLS1_3_VERSION)
        assert_int_equal(SSL_set_ciphersuites(client, offered), 1);
    else
        assert_int_equal(SSL_set_cipher_list(client, offered), 1);
    rig_shake(&p, tls_server_ssl(t), client);
    assert_string_equal(p.server.why, cipher != NULL ? "" : "there is no cipher that both sides allow");
    assert_string_equal(p.server.info.cipher, cipher != NULL ? cipher : "");
    rig_pair_free(&p);
    tls_client_unref(&c);
    tls_server_unref(&t);
}

static void test_ciphers(void **state)
{
    (void)state;
    char strong[] = "ECDHE-ECDSA-AES256-GCM-SHA384", suite[] = "TLS_AES_128_GCM_SHA256";
    struct tls_certificate c = { .cert = mx_file, .key = mx_file };
    struct tls_settings set = rig_settings(&c, 1);
    /* by default: forward secrecy and AEAD, in our order */
    expect_cipher(&set, "ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256", TLS1_2_VERSION, NULL);
    expect_cipher(&set, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION,
                  "ECDHE-ECDSA-AES256-GCM-SHA384");
    expect_cipher(&set, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION,
                  "ECDHE-ECDSA-CHACHA20-POLY1305");
    set.ciphers = strong;
    expect_cipher(&set, "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, NULL);
    set.ciphersuites = suite;
    expect_cipher(&set, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256");
    char group[] = "P-384";
    struct rig_pair p;
    set.groups = group;
    struct tls_server *t = rig_server(&set);
    struct tls_client *client = plain_client();
    SSL *ssl = tls_client_ssl(client, "s", "");
    SSL_set1_groups_list(ssl, "X25519:P-256");
    rig_shake(&p, tls_server_ssl(t), ssl);
    assert_string_equal(p.server.why, "there is no key-exchange group that both sides allow");
    rig_pair_free(&p);
    tls_client_unref(&client);
    tls_server_unref(&t);
}

/* Certificates of clients. */

static void test_client_certificates(void **state)
{
    (void)state;
    struct rig_issued other = rig_issue("Other CA", NULL, NULL);
    struct rig_issued good = rig_issue("good", NULL, &ca), foreign = rig_issue("foreign", NULL, &other);
    struct rig_issued old = rig_issue_for("EC", "old", NULL, &ca, -9, -2);
    char *none = NULL, *good_file = rig_file("good.pem", &good), *foreign_file = rig_file("foreign.pem", &foreign),
         *old_file = rig_file("old.pem", &old);
    const struct {
        enum tls_verify_client mode;
        char *file;
        const char *subject, *error, *why;
    } CASES[] = {
        { VERIFY_CLIENT_NONE, good_file, "", "", "" },
        { VERIFY_CLIENT_OPTIONAL, none, "", "", "" },
        { VERIFY_CLIENT_OPTIONAL, good_file, "CN=good", "", "" },
        { VERIFY_CLIENT_OPTIONAL, foreign_file, "CN=foreign", "unable to get local issuer certificate", "" },
        { VERIFY_CLIENT_OPTIONAL, old_file, "CN=old", "certificate has expired", "" },
        { VERIFY_CLIENT_REQUIRED, none, "", "", "the client gave no certificate" },
        { VERIFY_CLIENT_REQUIRED, good_file, "CN=good", "", "" },
        { VERIFY_CLIENT_REQUIRED, foreign_file, NULL, NULL,
          "the peer's certificate did not verify: unable to get local issuer certificate" },
        { VERIFY_CLIENT_REQUIRED, old_file, NULL, NULL,
          "the peer's certificate did not verify: certificate has expired" },
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(CASES); i++) {
        size_t k = i / 2;
        struct tls_certificate c = { .cert = mx_file, .key = mx_file };
        struct tls_settings set = rig_settings(&c, 1);
        struct upstream_settings up = { .tls_cert = CASES[k].file, .tls_key = CASES[k].file };
        struct rig_pair p;
        set.client_ca = ca_file;
        set.verify_client = CASES[k].mode;
        struct tls_server *t = rig_server(&set);
        struct tls_client *client = rig_client(&up);
        for (int again = 0; again < 2; again++) { /* the second time resumed, with the same knowledge */
            SSL *ssl = tls_client_ssl(client, "s", "");
            SSL_set_max_proto_version(ssl, i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
            rig_shake(&p, tls_server_ssl(t), ssl);
            assert_string_equal(p.server.why, CASES[k].why);
            assert_int_equal(p.server.done, CASES[k].why[0] == '\0');
            assert_int_equal(p.client.done, CASES[k].why[0] == '\0');
            assert_int_equal(p.server.info.resumed, again == 1 && p.server.done);
            if (CASES[k].subject != NULL) {
                assert_string_equal(p.server.info.subject, CASES[k].subject);
                assert_string_equal(p.server.info.verify_error, CASES[k].error);
                assert_int_equal(p.server.info.verified, CASES[k].subject[0] != '\0' && CASES[k].error[0] == '\0');
            }
            rig_pair_free(&p);
        }
        tls_server_unref(&t);
        tls_client_unref(&client);
    }
    rig_free(&other);
    rig_free(&good);
    rig_free(&foreign);
    rig_free(&old);
}

/* Sessions. */

static bool resumes(struct tls_server *t, struct tls_client *c, const char *server, int version)
{
    struct rig_pair p;
    SSL *client = tls_client_ssl(c, server, "mx.example.com");
    SSL_set_max_proto_version(client, version);
    rig_shake(&p, tls_server_ssl(t), client);
    assert_string_equal(p.server.why, "");
    assert_string_equal(p.client.why, "");
    assert_int_equal(p.server.info.resumed, p.client.info.resumed);
    assert_string_equal(p.server.info.servername, "mx.example.com");
    assert_true(p.server.info.matched);
    assert_true(p.client.info.verified);
    assert_string_equal(p.client.info.subject, "CN=mx.example.com");
    bool resumed = p.server.info.resumed;
    rig_pair_free(&p);
    return resumed;
}

static void test_resumption(void **state)
{
    (void)state;
    static const int VERSIONS[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    const usec_t hour = 3600 * USEC_PER_SEC;
    for (size_t v = 0; v < ARRAY_LEN(VERSIONS); v++) {
        int version = VERSIONS[v];
        struct tls_server *a = mx_server(), *b = mx_server();
        struct tls_client *c = rig_client(&up);
        tls_tickets_age(4 * hour); /* what is left of other tests */
        assert_false(resumes(a, c, "s", version));
        assert_true(resumes(a, c, "s", version));
        assert_true(resumes(b, c, "s", version)); /* another context: another listener, or a reload */
        assert_true(resumes(b, c, "s", version));
        assert_false(resumes(b, c, "other", version));
        assert_true(resumes(a, c, "other", version));
        tls_tickets_age(hour); /* "s" gets a ticket by the next key, "other" keeps that by the first */
        assert_true(resumes(a, c, "s", version));
        tls_tickets_age(2 * hour - 60 * USEC_PER_SEC);
        assert_true(resumes(b, c, "other", version));
        tls_tickets_age(120 * USEC_PER_SEC); /* the first has ended; OpenSSL's client keeps no renewed 1.2 ticket */
        assert_int_equal(resumes(b, c, "s", version), version == TLS1_3_VERSION);
        assert_int_equal(resumes(b, c, "other", version), version == TLS1_3_VERSION);
        tls_tickets_age(3 * hour);
        assert_false(resumes(a, c, "s", version));
        assert_true(resumes(b, c, "s", version));
        tls_server_unref(&a);
        tls_server_unref(&b);
        tls_client_unref(&c);
    }
}

static void test_no_tickets(void **state)
{
    (void)state;
    struct tls_certificate cert = { .cert = mx_file, .key = mx_file };
    struct tls_settings set = rig_settings(&cert, 1);
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    set.session_tickets = false;
    struct tls_server *t = rig_server(&set), *with = mx_server();
    struct tls_client *c = rig_client(&up);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_false(resumes(t, c, "s", version));
        assert_false(resumes(t, c, "s", version));
        assert_false(resumes(with, c, "s", version));
        assert_false(resumes(t, c, "s", version));
    }
    tls_server_unref(&t);
    tls_server_unref(&with);
    tls_client_unref(&c);
}

/* A ticket from where nobody is verified opens nothing where clients are. */
static void test_tickets_keep_to_their_kind(void **state)
{
    (void)state;
    struct rig_issued good = rig_issue("good", NULL, &ca), other = rig_issue("Other CA", NULL, NULL);
    char *file = rig_file("good.pem", &good), *other_file = rig_write("other.pem", other.cert, NULL, NULL);
    struct tls_certificate cert = { .cert = mx_file, .key = mx_file };
    struct tls_settings set = rig_settings(&cert, 1);
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file, .tls_cert = file, .tls_key = file };
    struct tls_server *open = rig_server(&set), *asks, *closed, *others;
    set.client_ca = ca_file;
    set.verify_client = VERIFY_CLIENT_OPTIONAL;
    asks = rig_server(&set);
    set.verify_client = VERIFY_CLIENT_REQUIRED;
    closed = rig_server(&set);
    set.client_ca = other_file;
    set.verify_client = VERIFY_CLIENT_OPTIONAL;
    others = rig_server(&set);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *c = rig_client(&up);
        assert_false(resumes(open, c, "s", version));
        assert_false(resumes(asks, c, "s", version));
        assert_false(resumes(closed, c, "s", version));
        assert_true(resumes(closed, c, "s", version));
        assert_false(resumes(others, c, "s", version));
        assert_false(resumes(open, c, "s", version));
        assert_true(resumes(open, c, "s", version));
        tls_client_unref(&c);
    }
    tls_server_unref(&open);
    tls_server_unref(&asks);
    tls_server_unref(&closed);
    tls_server_unref(&others);
    rig_free(&good);
    rig_free(&other);
}

static void test_failed_session_is_forgotten(void **state)
{
    (void)state;
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *t = mx_server();
    struct tls_client *c = rig_client(&up);
    assert_false(resumes(t, c, "s", TLS1_3_VERSION));
    SSL *broken = tls_client_ssl(c, "s", "mx.example.com");
    tls_ssl_free(&broken);
    assert_null(broken);
    assert_false(resumes(t, c, "s", TLS1_3_VERSION));
    assert_true(resumes(t, c, "s", TLS1_3_VERSION));
    tls_server_unref(&t);
    tls_client_unref(&c);
}

/* More servers than there is room for: the oldest give way, none is mistaken for another. */
static void test_many_servers(void **state)
{
    (void)state;
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *t = mx_server();
    struct tls_client *c = rig_client(&up);
    char name[16];
    for (int i = 0; i < 130; i++) {
        snprintf(name, sizeof name, "s%d", i);
        assert_false(resumes(t, c, name, TLS1_3_VERSION));
    }
    assert_true(resumes(t, c, "s129", TLS1_3_VERSION));
    assert_true(resumes(t, c, "s2", TLS1_3_VERSION));
    assert_false(resumes(t, c, "s0", TLS1_3_VERSION));
    tls_server_unref(&t);
    tls_client_unref(&c);
}

struct crowd {
    struct tls_server *server[2];
    struct tls_client *client;
    unsigned id;
    unsigned resumed;
};

enum { CROWD = 4, ROUNDS = 60 };

static void *run_crowd(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int version = i % 3 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
        c->resumed += resumes(c->server[(i + c->id) % 2], c->client, i % 5 == 0 ? "a" : "b", version);
        if (c->id == 0 && i % 10 == 9)
            tls_tickets_age(1800 * USEC_PER_SEC);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *a = mx_server(), *b = mx_server();
    struct tls_client *client = rig_client(&up);
    struct crowd crowd[CROWD];
    pthread_t thread[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = (struct crowd){ .server = { a, b }, .client = client, .id = i };
        assert_int_equal(pthread_create(&thread[i], NULL, run_crowd, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(crowd[i].resumed > ROUNDS / 4);
    }
    tls_server_unref(&a);
    tls_server_unref(&b);
    tls_client_unref(&client);
}

/* An SSL outlives the snapshot that it came from. */
static void test_references(void **state)
{
    (void)state;
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *t = mx_server(), *more = tls_server_ref(t);
    struct tls_client *c = rig_client(&up), *more_c = tls_client_ref(c);
    struct rig_pair p;
    SSL *server = tls_server_ssl(t), *client = tls_client_ssl(c, "s", "mx.example.com");
    tls_server_unref(&t);
    tls_server_unref(&more);
    tls_client_unref(&c);
    tls_client_unref(&more_c);
    assert_null(t);
    tls_server_unref(&t);
    tls_client_unref(&c);
    rig_shake(&p, server, client);
    assert_true(p.server.done && p.client.done && p.server.info.matched);
    rig_pair_free(&p);
}

/* The upstream's certificate. */

struct peer_case {
    char *file, *ca, *tls_name;
    const char *name, *error; /* NULL: verified */
};

static void expect_verified(const struct peer_case *k, bool verify)
{
    struct tls_certificate cert = { .cert = k->file, .key = k->file };
    struct tls_settings set = rig_settings(&cert, 1);
    struct upstream_settings up = { .tls_verify = verify, .tls_ca = k->ca, .tls_name = k->tls_name };
    struct rig_pair p;
    char why[256];
    struct tls_server *t = rig_server(&set);
    struct tls_client *c = rig_client(&up);
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(c, "s", k->name));
    snprintf(why, sizeof why, "the peer's certificate did not verify: %s", k->error != NULL ? k->error : "");
    bool fails = verify && k->error != NULL;
    assert_string_equal(p.client.why, fails ? why : "");
    assert_int_equal(p.client.done, !fails);
    if (!fails) {
        assert_int_equal(p.client.info.verified, k->error == NULL);
        assert_string_equal(p.client.info.verify_error, k->error != NULL ? k->error : "");
        assert_int_equal(strncmp(p.client.info.subject, "CN=", 3), 0);
    }
    rig_pair_free(&p);
    tls_server_unref(&t);
    tls_client_unref(&c);
}

static void test_verification(void **state)
{
    (void)state;
    struct rig_issued other = rig_issue("Other CA", NULL, NULL), part = rig_issue("p", "DNS:mx*.example.com", &ca);
    struct rig_issued old = rig_issue_for("EC", "old", "DNS:mx.example.com", &ca, -9, -2);
    struct rig_issued early = rig_issue_for("EC", "early", "DNS:mx.example.com", &ca, 2, 9);
    struct rig_issued self = rig_issue("self", "DNS:mx.example.com", NULL);
    char *other_file = rig_write("other.pem", other.cert, NULL, NULL), *part_file = rig_file("part.pem", &part),
         *old_file = rig_file("old.pem", &old), *early_file = rig_file("early.pem", &early),
         *self_file = rig_file("self.pem", &self);
    char mx_name[] = "mx.example.com", wrong_name[] = "wrong.example.com", ip_name[] = "192.0.2.1";
    static const char UNKNOWN[] = "unable to get local issuer certificate", WRONG[] = "hostname mismatch",
                      WRONG_IP[] = "IP address mismatch";
    const struct peer_case CASES[] = {
        { mx_file, ca_file, NULL, "mx.example.com", NULL },
        { mx_file, ca_file, NULL, "MX.example.com", NULL },
        { mx_file, ca_file, NULL, "mx.example.com.", NULL },
        { mx_file, ca_file, NULL, "any.example.net", NULL },
        { mx_file, ca_file, NULL, "a.b.example.net", WRONG },
        { mx_file, ca_file, NULL, "example.com", WRONG },
        { mx_file, ca_file, NULL, "192.0.2.1", NULL },
        { mx_file, ca_file, NULL, "192.0.2.2", WRONG_IP },
        { mx_file, ca_file, NULL, "2001:db8::1", NULL },
        { mx_file, ca_file, NULL, "::1", WRONG_IP },
        { mx_file, ca_file, mx_name, "10.0.0.1", NULL },
        { mx_file, ca_file, mx_name, "", NULL },
        { mx_file, ca_file, ip_name, "localhost", NULL },
        { mx_file, ca_file, wrong_name, "mx.example.com", WRONG },
        { mx_file, other_file, NULL, "mx.example.com", UNKNOWN },
        { mx_file, NULL, NULL, "mx.example.com", UNKNOWN }, /* the system's */
        { mx_file, mx_file, NULL, "mx.example.com", NULL }, /* trusted as it is */
        { self_file, ca_file, NULL, "mx.example.com", "self-signed certificate" },
        { self_file, self_file, NULL, "mx.example.com", NULL },
        { part_file, ca_file, NULL, "mx1.example.com", WRONG },
        { old_file, ca_file, NULL, "mx.example.com", "certificate has expired" },
        { early_file, ca_file, NULL, "mx.example.com", "certificate is not yet valid" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        expect_verified(&CASES[i], true);
        expect_verified(&CASES[i], false);
    }
    struct rig_issued *all[] = { &other, &part, &old, &early, &self };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        rig_free(all[i]);
}

static void test_no_name(void **state)
{
    (void)state;
    struct upstream_settings up = { .tls_ca = ca_file };
    struct tls_server *t = mx_server();
    struct tls_client *c = rig_client(&up);
    struct rig_pair p;
    for (int i = 0; i < 2; i++) {
        rig_shake(&p, tls_server_ssl(t), tls_client_ssl(c, "unix:/s", i == 0 ? "" : NULL));
        assert_true(p.client.done);
        assert_false(p.client.info.verified);
        assert_string_equal(p.client.info.verify_error, "there is no name to hold it against");
        assert_string_equal(p.server.info.servername, "");
        rig_pair_free(&p);
    }
    tls_client_unref(&c);
    up.tls_verify = true;
    c = rig_client(&up);
    assert_null(tls_client_ssl(c, "unix:/s", ""));
    tls_client_unref(&c);
    tls_server_unref(&t);
}

/* What is sent as SNI. */
static void test_client_sni(void **state)
{
    (void)state;
    char name[] = "mx.example.com", ip[] = "192.0.2.1";
    const struct {
        char *tls_name;
        const char *name, *sni;
    } CASES[] = {
        { NULL, "a.example", "a.example" },
        { NULL, "192.0.2.1", "" },
        { NULL, "2001:db8::1", "" },
        { name, "a.example", "mx.example.com" },
        { name, "192.0.2.1", "mx.example.com" },
        { ip, "a.example", "" },
    };
    struct tls_server *t = mx_server();
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct upstream_settings up = { .tls_name = CASES[i].tls_name };
        struct tls_client *c = rig_client(&up);
        struct rig_pair p;
        rig_shake(&p, tls_server_ssl(t), tls_client_ssl(c, "s", CASES[i].name));
        assert_string_equal(p.server.info.servername, CASES[i].sni);
        assert_string_equal(p.client.info.servername, CASES[i].sni);
        rig_pair_free(&p);
        tls_client_unref(&c);
    }
    tls_server_unref(&t);
}

/* Words. */

static void test_describe(void **state)
{
    (void)state;
    char long_name[65], want[256];
    memset(long_name, 'x', sizeof long_name);
    long_name[64] = '\0';
    struct rig_issued odd = rig_issue("b\xc3\xbc\x01,r", "DNS:odd.example", &ca);
    X509_NAME *name = X509_get_subject_name(odd.cert);
    for (int i = 0; i < 6; i++)
        X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (unsigned char *)long_name, -1, -1, 0);
    assert_true(X509_sign(odd.cert, ca.key, EVP_sha256()) > 0);
    char *file = rig_file("odd.pem", &odd);
    struct tls_certificate c[2] = { { .cert = mx_file, .key = mx_file }, { .cert = file, .key = file } };
    struct tls_settings set = rig_settings(c, 2);
    struct upstream_settings up = { .tls_verify = true, .tls_ca = ca_file };
    struct tls_server *t = rig_server(&set);
    struct tls_client *client = rig_client(&up);
    struct rig_pair p;
    struct tm tm;
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(client, "s", "mx.example.com"));
    assert_string_equal(p.client.info.version, "TLSv1.3");
    assert_string_equal(p.client.info.cipher, "TLS_AES_256_GCM_SHA384");
    assert_string_equal(p.client.info.subject, "CN=mx.example.com");
    assert_string_equal(p.client.info.issuer, "CN=Test CA");
    ASN1_TIME_to_tm(X509_get0_notAfter(mx.cert), &tm);
    strftime(want, sizeof want, "%FT%TZ", &tm);
    assert_string_equal(p.client.info.not_after, want);
    assert_true(tls_server_not_after(t, 0) == (int64_t)timegm(&tm));
    assert_true(p.client.info.verified);
    assert_string_equal(p.client.info.verify_error, "");
    assert_string_equal(p.server.info.subject, "");
    assert_false(p.server.info.verified);
    rig_pair_free(&p);
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(client, "s", "odd.example"));
    assert_int_equal(strlen(p.client.info.subject), 255);
    assert_int_equal(strncmp(p.client.info.subject, "OU=xxxx", 7), 0);
    rig_pair_free(&p);
    tls_client_unref(&client);
    tls_server_unref(&t);
    rig_free(&odd);
    odd = rig_issue("b\xc3\xbc\x01,r", "DNS:odd.example", &ca);
    file = rig_file("odd.pem", &odd);
    c[0] = c[1] = (struct tls_certificate){ .cert = file, .key = file };
    t = rig_server(&set);
    client = rig_client(&up);
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(client, "s", "odd.example"));
    assert_string_equal(p.client.info.subject, "CN=b\xc3\xbc\\01\\,r");
    rig_pair_free(&p);
    tls_client_unref(&client);
    tls_server_unref(&t);
    rig_free(&odd);
}

static void test_odd_sni(void **state)
{
    (void)state;
    struct tls_server *t = mx_server();
    struct tls_client *c = plain_client();
    struct rig_pair p;
    SSL *ssl = tls_client_ssl(c, "s", "");
    SSL_set_tlsext_host_name(ssl, "a\x01 b\xff");
    rig_shake(&p, tls_server_ssl(t), ssl);
    assert_string_equal(p.server.info.servername, "a??b?");
    assert_false(p.server.info.matched);
    rig_pair_free(&p);
    /* a TLS 1.2 session that is resumed under another name: what is recorded is what was asked */
    for (int i = 0; i < 2; i++) {
        ssl = tls_client_ssl(c, "s", "");
        const char *asked = i == 0 ? "mx.example.com" : "unknown.example";
        SSL_set_tlsext_host_name(ssl, asked);
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
        if (i == 0)
            SSL_set_session(ssl, NULL);
        rig_shake(&p, tls_server_ssl(t), ssl);
        assert_int_equal(p.server.info.matched, i == 0);
        assert_string_equal(p.server.info.servername, asked);
        rig_pair_free(&p);
    }
    tls_client_unref(&c);
    tls_server_unref(&t);
}

static void expect_reason(struct tls_server *t, const char *said, const char *why)
{
    struct rig_end e = { .ssl = tls_server_ssl(t) };
    BIO *in = BIO_new_mem_buf(said, (int)strlen(said)), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(e.ssl, in, out);
    BIO_set_mem_eof_return(in, 0);
    rig_step(&e);
    assert_true(e.failed);
    assert_string_equal(e.why, why);
    assert_int_equal(ERR_peek_error(), 0);
    SSL_free(e.ssl);
}

static void test_reasons(void **state)
{
    (void)state;
    struct tls_server *t = mx_server();
    expect_reason(t, "EHLO a.example\r\n", "the peer does not speak TLS, or no version that we know");
    expect_reason(t, "GET / HTTP/1.0\r\n\r\n", "the peer speaks HTTP, not TLS");
    expect_reason(t, "", "the peer closed the connection");
    expect_reason(t, "\x16\x03\x01", "the peer closed the connection");
    tls_server_unref(&t);
}

/* Data. */

static void test_data(void **state)
{
    (void)state;
    struct tls_server *t = mx_server();
    struct tls_client *c = plain_client();
    struct rig_pair p;
    static char data[70000], got[70000];
    memset(data, 'x', sizeof data);
    rig_shake(&p, tls_server_ssl(t), tls_client_ssl(c, "s", ""));
    assert_int_equal(SSL_write(p.client.ssl, data, sizeof data), 16384); /* partial writes, a record each */
    for (int i = 0; i < 3; i++)
        assert_int_equal(SSL_write(p.client.ssl, data, sizeof data), 16384);
    size_t total = 0;
    int n;
    while ((n = SSL_read(p.server.ssl, got, sizeof got)) > 0)
        total += (size_t)n;
    assert_int_equal(SSL_get_error(p.server.ssl, n), SSL_ERROR_WANT_READ);
    assert_int_equal(total, 4 * 16384);
    assert_false(SSL_has_pending(p.server.ssl));
    /* no renegotiation, by neither side */
    assert_true(SSL_get_options(p.server.ssl) & SSL_OP_NO_RENEGOTIATION);
    assert_true(SSL_get_options(p.client.ssl) & SSL_OP_NO_RENEGOTIATION);
    assert_true(SSL_get_mode(p.server.ssl) & SSL_MODE_RELEASE_BUFFERS);
    rig_pair_free(&p);
    tls_client_unref(&c);
    tls_server_unref(&t);
}

/* Files. */

static void expect_server_faults(const struct tls_settings *set, const char *faults)
{
    struct rig_told told = { .count = 0 };
    struct tls_server *t = tls_server_new(set, "listeners[3]", rig_tell, &told);
    char want[2048] = "";
    /* "%" stands for the directory */
    for (; *faults != '\0'; faults++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%.*s", *faults == '%' ? 256 : 1,
                 *faults == '%' ? rig_dir : faults);
    assert_string_equal(told.text, want);
    assert_null(t);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct rig_issued other = rig_issue("o", NULL, &ca);
    char junk_text[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    char junk_key_text[] = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    char *missing = rig_path("missing"), *text = rig_write_text("text", "hello\n"),
         *empty = rig_write_text("empty", ""), *junk = rig_write_text("junk", junk_text),
         *junk_key = rig_write_text("junk_key", junk_key_text),
         *locked = rig_write("locked", other.cert, other.key, "secret"),
         *cert = rig_write("cert", other.cert, NULL, NULL), *key = rig_write("key", NULL, other.key, NULL);
    static char null[] = "/dev/zero";
    const struct {
        char *cert, *key;
        const char *faults;
    } CASES[] = {
        { missing, key, "listeners[3].certificates[0].cert: %/missing: No such file or directory" },
        { cert, missing, "listeners[3].certificates[0].key: %/missing: No such file or directory" },
        { missing, text,
          "listeners[3].certificates[0].cert: %/missing: No such file or directory\n"
          "listeners[3].certificates[0].key: %/text: has no private key in PEM form" },
        { rig_dir, null,
          "listeners[3].certificates[0].cert: %: Is a directory\n"
          "listeners[3].certificates[0].key: /dev/zero: is not a regular file of at most 4 MiB" },
        { text, empty,
          "listeners[3].certificates[0].cert: %/text: has no certificate in PEM form\n"
          "listeners[3].certificates[0].key: %/empty: has no private key in PEM form" },
        { key, cert,
          "listeners[3].certificates[0].cert: %/key: has no certificate in PEM form\n"
          "listeners[3].certificates[0].key: %/cert: has no private key in PEM form" },
        { cert, locked,
          "listeners[3].certificates[0].key: %/locked: is locked with a passphrase, which can't be given here" },
        { cert, mx_file, "listeners[3].certificates[0].key: %/mx.pem: does not fit the certificate" },
        { junk, junk_key,
          "listeners[3].certificates[0].cert: %/junk: certificate 1 can't be read: header too long\n"
          "listeners[3].certificates[0].key: %/junk_key: the key can't be read: unsupported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct tls_certificate c = { .cert = CASES[i].cert, .key = CASES[i].key };
        struct tls_settings set = rig_settings(&c, 1);
        expect_server_faults(&set, CASES[i].faults);
    }
    /* all at once, in whatever they lie */
    char bad[] = "NOPE";
    struct tls_certificate c[2] = { { .cert = cert, .key = key }, { .cert = cert, .key = mx_file } };
    struct tls_settings set = rig_settings(c, 2);
    set.ciphers = set.ciphersuites = set.groups = bad;
    set.client_ca = text;
    expect_server_faults(&set, "listeners[3].client_ca: %/text: has no certificate in PEM form\n"
                               "listeners[3].ciphers: \"NOPE\": OpenSSL knows no such cipher\n"
                               "listeners[3].ciphersuites: \"NOPE\": OpenSSL knows no such cipher\n"
                               "listeners[3].groups: \"NOPE\": OpenSSL knows no such list of groups\n"
                               "listeners[3].certificates[1].key: %/mx.pem: does not fit the certificate");
    set = rig_settings(c, 1);
    set.verify_client = VERIFY_CLIENT_REQUIRED;
    expect_server_faults(&set, "listeners[3].verify_client: \"required\" needs client_ca");
    set = rig_settings(c, 0);
    expect_server_faults(&set, "listeners[3].certificates: must not be empty");
    rig_free(&other);
}

static void test_weak_certificate(void **state)
{
    (void)state;
    struct rig_issued weak = { .cert = X509_dup(mx.cert), .key = EVP_RSA_gen(512) };
    X509_set_pubkey(weak.cert, weak.key);
    assert_true(X509_sign(weak.cert, ca.key, EVP_sha256()) > 0);
    char *file = rig_file("weak.pem", &weak);
    struct tls_certificate c = { .cert = file, .key = file };
    struct tls_settings set = rig_settings(&c, 1);
    expect_server_faults(&set, "listeners[3].certificates[0].cert: %/weak.pem: the certificate's key is too short");
    set.min_version = TLS1_VERSION; /* the security level goes with it */
    struct tls_server *t = rig_server(&set);
    tls_server_unref(&t);
    rig_free(&weak);
}

static void test_client_files(void **state)
{
    (void)state;
    char *missing = rig_path("missing");
    struct upstream_settings up = { .tls_ca = missing, .tls_cert = ca_file, .tls_key = mx_file };
    struct rig_told told = { .count = 0 };
    char want[512];
    assert_null(tls_client_new(&up, "upstream", rig_tell, &told));
    snprintf(want, sizeof want,
             "upstream.tls_ca: %s: No such file or directory\nupstream.tls_key: %s: does not fit the certificate",
             missing, mx_file);
    assert_string_equal(told.text, want);
    int64_t end = 1;
    up = (struct upstream_settings){ .tls_cert = mx_file, .tls_key = mx_file };
    struct tls_client *c = rig_client(&up);
    assert_true(tls_client_not_after(c, &end));
    assert_true(end > time(NULL) + 89 * RIG_DAY && end <= time(NULL) + 90 * RIG_DAY);
    tls_client_unref(&c);
    c = plain_client();
    assert_false(tls_client_not_after(c, &end));
    tls_client_unref(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_two_keys_for_one_name),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_ciphers),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_no_tickets),
        cmocka_unit_test(test_tickets_keep_to_their_kind),
        cmocka_unit_test(test_failed_session_is_forgotten),
        cmocka_unit_test(test_many_servers),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_verification),
        cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_client_sni),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_odd_sni),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_weak_certificate),
        cmocka_unit_test(test_client_files),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
