/* Mechanisms by name; the names in a relayed exchange. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/sasl.h"

static void test_names(void **state)
{
    (void)state;
    enum sasl_mechanism m;
    for (unsigned i = 0; i < SASL_COUNT; i++) {
        assert_true(sasl_find(span_str(sasl_name((enum sasl_mechanism)i)), &m));
        assert_int_equal(m, i);
    }
    assert_true(sasl_find(SPAN_LIT("cram-md5"), &m));
    assert_int_equal(m, SASL_CRAM_MD5);
    static const char *const UNKNOWN[] = { "", "PLAI", "PLAIN ", "GSSAPI", "SCRAM-SHA-1" };
    for (size_t i = 0; i < ARRAY_LEN(UNKNOWN); i++)
        assert_false(sasl_find(span_str(UNKNOWN[i]), &m));
    assert_true(sasl_client_first(SASL_PLAIN));
    assert_false(sasl_client_first(SASL_LOGIN));
    assert_false(sasl_client_first(SASL_CRAM_MD5));
    assert_true(sasl_takes_initial(SASL_PLAIN));
    assert_true(sasl_takes_initial(SASL_LOGIN));
    assert_false(sasl_takes_initial(SASL_CRAM_MD5));
}

#define HEX32 "b913a602c7eda7a495b4e6e7334d3890"
#define DIGEST_TAIL "realm=\"elwood\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,qop=auth,response="

struct names_case {
    const char *mechanism;
    struct span text;
    const char *username, *authzid;
};

static const struct names_case CASES[] = {
    { "PLAIN", SPAN_LIT("\0tim\0secret"), "tim", "" },
    { "plain", SPAN_LIT("boss\0tim\0secret"), "tim", "boss" },
    { "PLAIN", SPAN_LIT("\0t\xc3\xafm\0secret"), "t\xc3\xafm", "" },
    { "PLAIN", SPAN_LIT("\0t\xefm\0secret"), "t\xef\xbf\xbdm", "" },
    { "PLAIN", SPAN_LIT("tim\0secret"), "", "" },
    { "PLAIN", SPAN_LIT("tim secret"), "", "" },
    { "PLAIN", SPAN_LIT("\0tim\0sec\0ret"), "", "" },
    { "PLAIN", SPAN_LIT("\0tim\0secret\0"), "", "" },
    { "PLAIN", SPAN_LIT("tim\0secret\0"), "", "" },
    { "PLAIN", SPAN_LIT("\0\0secret"), "", "" },
    { "PLAIN", SPAN_LIT("boss\0\0secret"), "boss", "boss" },
    { "PLAIN", SPAN_LIT("boss\0\0"), "", "" },
    { "PLAIN", SPAN_LIT("\0user=tim\1auth=Bearer secret\1\1\0x"), "", "" },
    { "PLAIN", SPAN_LIT("bo\1ss\0tim\0secret"), "tim", "bo\1ss" },
    { "PLAIN", SPAN_LIT("boss\0tim\r\n\0secret"), "tim\r\n", "boss" },
    { "PLAIN", SPAN_LIT(""), "", "" },
    { "LOGIN", SPAN_LIT("tim"), "tim", "" },
    { "LOGIN", SPAN_LIT("\0tim\0secret"), "", "" },
    { "LOGIN", SPAN_LIT("user=tim\1auth=Bearer secret\1\1"), "", "" },
    { "LOGIN", SPAN_LIT("t\1i\x1bm\x7f\xff\r\n"), "t\1i\x1bm\x7f\xef\xbf\xbd\r\n", "" },
    { "LOGIN", SPAN_LIT("tim\nsecret"), "", "" },
    { "LOGIN", SPAN_LIT("tim\xc2\x85secret"), "", "" },
    { "LOGIN", SPAN_LIT(""), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim " HEX32), "tim", "" },
    { "CRAM-MD5", SPAN_LIT("tim o'brien " HEX32), "tim o'brien", "" },
    { "CRAM-MD5", SPAN_LIT("tim secret"), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim secret" HEX32), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim " HEX32 "0"), "tim", "" },
    { "CRAM-MD5", SPAN_LIT("t\1m cafe"), "t\1m", "" },
    { "CRAM-MD5", SPAN_LIT("t\1m " HEX32), "t\1m", "" },
    { "CRAM-MD5", SPAN_LIT("tim "), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim secret cafe"), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim o'brien " HEX32 "0"), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim\nsecret " HEX32), "", "" },
    { "CRAM-MD5", SPAN_LIT("tim g" HEX32), "", "" },
    { "CRAM-MD5", SPAN_LIT(" " HEX32), "", "" },
    { "CRAM-MD5", SPAN_LIT("\0tim\0secret " HEX32), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), "user", "" },
    { "SCRAM-SHA-1", SPAN_LIT("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"), "user", "" },
    { "SCRAM-SHA-512-PLUS", SPAN_LIT("p=tls-exporter,,n=user,r=fyko"), "user", "" },
    { "SCRAM-SHA-256", SPAN_LIT("y,a=boss,n=us=2Cer=3D,r=fyko,x=more"), "us,er=", "boss" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=us=2cer,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user,r="), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user,r=fyko,"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user,r=fy ko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,m=x,n=user,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,,n=user,r=fyko,m=x"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,boss,n=user,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n,a=,n=user,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("x,,n=user,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("n=user,r=fyko"), "", "" },
    { "SCRAM-SHA-256", SPAN_LIT("\0user\0secret"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=tim@example.com\1auth=Bearer ya29.secret\1\1"), "tim@example.com", "" },
    { "XOAUTH2", SPAN_LIT("user=tim\1auth=bearer ya29.secret\1\1"), "tim", "" },
    { "XOAUTH2", SPAN_LIT("user=tim\1auth=Bearer ya29.secret\1"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=tim\1auth=ya29.secret\1\1"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=ya29.secret"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=ya29.secret\1\1"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=timauth=Bearer ya29.secret\1\1"), "", "" },
    { "XOAUTH2", SPAN_LIT("auth=Bearer ya29.secret\1user=tim\1\1"), "", "" },
    { "XOAUTH2", SPAN_LIT("user=tim^Aauth=Bearer ya29.secret^A^A"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim@example.com,\1host=server.example.com\1port=587\1auth=Bearer secret\1\1"),
      "tim@example.com", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=ti=2Cm,\1auth=Bearer secret\1\1"), "ti,m", "" },
    { "OAUTHBEARER", SPAN_LIT("n,,\1auth=Bearer secret\1\1"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim\1auth=Bearer secret\1\1"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim,auth=Bearer secret\1\1"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim,\1auth=Bearer secret\1auth=Bearer b\1\1"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim,\1secret\1auth=Bearer b\1\1"), "", "" },
    { "OAUTHBEARER", SPAN_LIT("n,a=tim,\1auth=Bearer secret\1\1more"), "", "" },
    { "EXTERNAL", SPAN_LIT(""), "", "" },
    { "EXTERNAL", SPAN_LIT("tim"), "", "tim" },
    { "EXTERNAL", SPAN_LIT("\0tim\0secret"), "", "" },
    { "DIGEST-MD5", SPAN_LIT("charset=utf-8,username=\"chris\"," DIGEST_TAIL HEX32), "chris", "" },
    { "DIGEST-MD5", SPAN_LIT("username = \"ch\\\"r\\\\is\" , authzid=\"boss\", " DIGEST_TAIL HEX32), "ch\"r\\is",
      "boss" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris\",username=\"b\"," DIGEST_TAIL HEX32), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris," DIGEST_TAIL HEX32), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris\"" DIGEST_TAIL HEX32), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=chris," DIGEST_TAIL HEX32), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris\"," DIGEST_TAIL "secret"), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris\""), "", "" },
    { "DIGEST-MD5", SPAN_LIT("username=\"chris\"," DIGEST_TAIL HEX32 "\0"), "", "" },
    { "NTLM", SPAN_LIT("NTLMSSP\0\1\0\0\0tim"), "", "" },
    { "GSSAPI", SPAN_LIT("tim"), "", "" },
    { "ANONYMOUS", SPAN_LIT("tim"), "", "" },
    { "X-LOGIN", SPAN_LIT("tim"), "", "" },
    { "", SPAN_LIT("tim"), "", "" },
};

static void names_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const struct names_case *c = &CASES[i];
        struct sasl_names n = { 0 };
        sasl_names_feed_named(&n, span_str(c->mechanism), 0, c->text);
        if (strcmp(n.username, c->username) != 0 || strcmp(n.authzid, c->authzid) != 0)
            fail_msg("case %zu: %s gives \"%s\" \"%s\"", i, c->mechanism, n.username, n.authzid);
        enum sasl_mechanism m;
        struct sasl_names by_id = { 0 };
        if (!sasl_find(span_str(c->mechanism), &m))
            continue;
        sasl_names_feed(&by_id, m, 0, c->text);
        assert_memory_equal(&by_id, &n, sizeof(n));
    }
}

/* A later response, say LOGIN's password, adds nothing and takes nothing away. */
static void names_of_step_0_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct sasl_names n = { "kept", "too" };
        sasl_names_feed_named(&n, span_str(CASES[i].mechanism), 1, CASES[i].text);
        sasl_names_feed_named(&n, span_str(CASES[i].mechanism), 7, CASES[i].text);
        assert_string_equal(n.username, "kept");
        assert_string_equal(n.authzid, "too");
    }
}

/* No part of a message shows what stands where the secret was. A LOGIN or EXTERNAL message is all name, and the end of
 * CRAM-MD5's may have any name before it. */
static void names_never_a_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct span mechanism = span_str(CASES[i].mechanism), text = CASES[i].text;
        if (span_eq(mechanism, SPAN_LIT("LOGIN")) || span_eq(mechanism, SPAN_LIT("EXTERNAL")))
            continue;
        size_t starts = span_eq(mechanism, SPAN_LIT("CRAM-MD5")) ? 1 : text.n;
        for (size_t from = 0; from < starts; from++) {
            for (size_t to = from; to <= text.n; to++) {
                struct sasl_names n = { 0 };
                sasl_names_feed_named(&n, mechanism, 0, span_of(text.p + from, to - from));
                assert_null(strstr(n.username, "secret"));
                assert_null(strstr(n.authzid, "secret"));
            }
        }
    }
}

static void names_bounded(void **state)
{
    (void)state;
    char text[9000];
    memset(text, 'x', sizeof(text));
    struct sasl_names n = { 0 };
    sasl_names_feed(&n, SASL_LOGIN, 0, span_of(text, sizeof(text)));
    assert_int_equal(strlen(n.username), SASL_NAME_MAX);
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    sasl_names_feed(&n, SASL_LOGIN, 0, span_of(text, sizeof(text)));
    assert_int_equal(strlen(n.username), SASL_NAME_MAX - 1);
    memset(text, '\xff', sizeof(text));
    sasl_names_feed(&n, SASL_LOGIN, 0, span_of(text, sizeof(text)));
    assert_int_equal(strlen(n.username), SASL_NAME_MAX);
    assert_memory_equal(n.username + SASL_NAME_MAX - 3, "\xef\xbf\xbd", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),           cmocka_unit_test(names_read),    cmocka_unit_test(names_of_step_0_only),
        cmocka_unit_test(names_never_a_secret), cmocka_unit_test(names_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
