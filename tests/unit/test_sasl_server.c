/* The verifying side: each mechanism, each fault at each step, and users that aren't there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sasl_rig.h"

#define NONCES "AAECAwQFBgcICQoLDA0ODxARZGVmZ2hpamtsbW5vcHFyc3R1"
#define FIRST "n=user,r=AAECAwQFBgcICQoLDA0ODxAR"
#define SERVER_FIRST_SCRAM "r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define PROOF "p=Rsml1AVl56vKl8CpuHLOJte/+Fhr7sxmv6QTQFRIbcs="
#define FINAL "c=biws,r=" NONCES "," PROOF
#define FINAL_EXPORTER                                                                                                 \
    "c=cD10bHMtZXhwb3J0ZXIsLEVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVF,r=" NONCES                                     \
    ",p=qxCcsBodDuQUD6ebgrBzVzr9PzaJ8ZYWm1i01NUlKoU="
#define FINAL_END_POINT                                                                                                \
    "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFA=,r=" NONCES                         \
    ",p=gqq+CbD9FWQjrFpv/blIDwHxEXZU5c4HzuT3JF7KvVY="
#define JSON "{\"status\":\"invalid_token\"}"
#define JSON_XOAUTH2 "{\"status\":\"401\",\"schemes\":\"bearer\"}"
#define CRAM_CHALLENGE "<ZGVmZ2hpamtsbW5vcHFyc3R1.1700000000@mx.example.com>"
#define CRAM_GOOD "89a421aebc12bb5f4bdf7f2c0e728e0b"
#define CRAM_UPPER "89A421AEBC12BB5F4BDF7F2C0E728E0B"

enum { STEPS = 4 };
#define SAID(text)                                                                                                     \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

/* -PLUS was offered; these channel bindings are there. */
enum { OFFERED = 1, EXPORTS = 2, ENDS = 4 };

/* What the client says, first the initial response (p NULL: none), and what comes back, up to the end. */
struct server_case {
    enum sasl_mechanism m;
    const char *secret; /* of "user", the one there is */
    struct span says[STEPS];
    const char *hears[STEPS];
    enum sasl_step end;
    const char *username, *authzid;
    unsigned tls; /* of OFFERED, EXPORTS, ENDS */
    const char *external;
};

static void case_params(const struct server_case *c, struct sasl_server_params *p)
{
    *p = rig_params();
    p->plus_offered = (c->tls & OFFERED) != 0;
    p->bindings.exporter = (c->tls & EXPORTS) != 0 ? SPAN_LIT(EXPORTER) : SPAN_NONE;
    p->bindings.end_point = (c->tls & ENDS) != 0 ? SPAN_LIT(END_POINT) : SPAN_NONE;
    p->external_name = c->external;
}

static bool text_is(const char *got, const char *want)
{
    return got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;
}

static void check_case(const struct server_case *c, size_t number)
{
    struct sasl_server_params params;
    struct sasl_server s;
    struct buf b;
    buf_init(&b, NULL);
    case_params(c, &params);
    sasl_server_init(&s, c->m, &params);
    enum sasl_step step = sasl_server_start(&s, c->says[0].p != NULL ? &c->says[0] : NULL, &b);
    for (size_t i = 0;; i++) {
        step = rig_settle(&s, step, "user", c->secret, &b);
        if (step != SASL_CHALLENGE)
            break;
        if (c->hears[i] == NULL || !span_eq(buf_span(&b), span_str(c->hears[i])))
            fail_msg("case %zu, challenge %zu is \"%.*s\"", number, i, SPAN_ARG(buf_span(&b)));
        buf_free(&b);
        assert_in_range(i + 1, 1, STEPS - 1);
        step = sasl_server_step(&s, c->says[i + 1], &b);
    }
    if (step != c->end || !text_is(s.username, c->username) || !text_is(s.authzid, c->authzid))
        fail_msg("case %zu ends in %d, \"%s\" \"%s\"", number, (int)step, s.username ? s.username : "-",
                 s.authzid ? s.authzid : "-");
    assert_true(buf_empty(&b));
    assert_int_equal(sasl_server_step(&s, SPAN_LIT("more"), &b), SASL_FAIL);
    assert_int_equal(sasl_server_secret(&s, SPAN_LIT(SECRET_PLAIN), &b), SASL_FAIL);
    assert_int_equal(sasl_server_verified(&s, NULL, &b), SASL_FAIL);
    assert_true(buf_empty(&b));
    sasl_server_free(&s);
    sasl_server_free(&s);
}

static void check_cases(const struct server_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_case(&cases[i], i);
}

static void plain(void **state)
{
    (void)state;
#define PLAIN_CASE(secret, text, end, user, authzid)                                                                   \
    {                                                                                                                  \
        SASL_PLAIN, secret, { SAID(text) }, { NULL }, end, user, authzid, 0, NULL                                      \
    }
    static const struct server_case cases[] = {
        PLAIN_CASE(SECRET_PLAIN, "\0user\0pencil", SASL_OK, "user", NULL),
        PLAIN_CASE(SECRET_SCRAM, "\0user\0pencil", SASL_OK, "user", NULL),
        PLAIN_CASE(SECRET_CRYPT, "\0user\0pencil", SASL_OK, "user", NULL),
        PLAIN_CASE(SECRET_PLAIN, "user\0user\0pencil", SASL_OK, "user", "user"),
        { SASL_PLAIN, SECRET_PLAIN, { { NULL, 0 }, SAID("\0user\0pencil") }, { "" }, SASL_OK, "user", NULL, 0, NULL },
        PLAIN_CASE(SECRET_PLAIN, "boss\0user\0pencil", SASL_FAIL, "user", "boss"),
        PLAIN_CASE(SECRET_PLAIN, "\0user\0Pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE(SECRET_SCRAM, "\0user\0Pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE(SECRET_CRYPT, "\0user\0Pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE("", "\0user\0pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE("{SSHA}pencil", "\0user\0pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE("{PLAIN}", "\0user\0", SASL_FAIL, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "\0nobody\0nobody", SASL_FAIL, "nobody", NULL),
        PLAIN_CASE(SECRET_PLAIN, "\0\0pencil", SASL_FAIL, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "\0us\ter\0pencil", SASL_FAIL, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN,
                   "\0us\xff"
                   "er\0pencil",
                   SASL_FAIL, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "bo\rss\0user\0pencil", SASL_FAIL, "user", NULL),
        PLAIN_CASE(SECRET_PLAIN, "user\0pencil", SASL_MALFORMED, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "user", SASL_MALFORMED, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "", SASL_MALFORMED, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "\0user\0pencil\0", SASL_MALFORMED, NULL, NULL),
        PLAIN_CASE(SECRET_PLAIN, "\0user\0pen\0cil", SASL_MALFORMED, NULL, NULL),
    };
    check_cases(cases, ARRAY_LEN(cases));
}

static void login(void **state)
{
    (void)state;
#define LOGIN_CASE(secret, name, password, end, user, authzid)                                                         \
    {                                                                                                                  \
        SASL_LOGIN, secret, { { NULL, 0 }, SAID(name), SAID(password) }, { "Username:", "Password:" }, end, user,      \
            authzid, 0, NULL                                                                                           \
    }
    static const struct server_case cases[] = {
        LOGIN_CASE(SECRET_PLAIN, "user", "pencil", SASL_OK, "user", NULL),
        LOGIN_CASE(SECRET_SCRAM, "user", "pencil", SASL_OK, "user", NULL),
        LOGIN_CASE(SECRET_CRYPT, "user", "pencil", SASL_OK, "user", NULL),
        { SASL_LOGIN, SECRET_PLAIN, { SAID("user"), SAID("pencil") }, { "Password:" }, SASL_OK, "user", NULL, 0, NULL },
        LOGIN_CASE(SECRET_PLAIN, "user", "pen", SASL_FAIL, "user", NULL),
        LOGIN_CASE(SECRET_CRYPT, "user", "pen", SASL_FAIL, "user", NULL),
        LOGIN_CASE(SECRET_PLAIN, "user", "", SASL_FAIL, "user", NULL),
        LOGIN_CASE(SECRET_PLAIN, "user", "pencil\0", SASL_FAIL, "user", NULL),
        LOGIN_CASE(SECRET_PLAIN, "other", "pencil", SASL_FAIL, "other", NULL),
        LOGIN_CASE(SECRET_PLAIN, "", "", SASL_FAIL, NULL, NULL),
        LOGIN_CASE(SECRET_PLAIN, "\0user\0pencil", "", SASL_FAIL, NULL, NULL),
        { SASL_LOGIN, SECRET_PLAIN, { SAID("") }, { NULL }, SASL_FAIL, NULL, NULL, 0, NULL },
    };
    check_cases(cases, ARRAY_LEN(cases));
}

static void cram(void **state)
{
    (void)state;
#define CRAM_CASE(secret, text, end, user, authzid)                                                                    \
    {                                                                                                                  \
        SASL_CRAM_MD5, secret, { { NULL, 0 }, SAID(text) }, { CRAM_CHALLENGE }, end, user, authzid, 0, NULL            \
    }
    static const struct server_case cases[] = {
        CRAM_CASE(SECRET_PLAIN, "user " CRAM_GOOD, SASL_OK, "user", NULL),
        CRAM_CASE(SECRET_PLAIN, "user " CRAM_UPPER, SASL_OK, "user", NULL),
        CRAM_CASE(SECRET_SCRAM, "user " CRAM_GOOD, SASL_FAIL, "user", NULL),
        CRAM_CASE(SECRET_CRYPT, "user " CRAM_GOOD, SASL_FAIL, "user", NULL),
        /* what stands in for a password that can't be had */
        CRAM_CASE(SECRET_SCRAM, "user bf05558f46d0a36887d77ec37b17429a", SASL_FAIL, "user", NULL),
        CRAM_CASE("", "user " CRAM_GOOD, SASL_FAIL, "user", NULL),
        CRAM_CASE(SECRET_PLAIN, "other " CRAM_GOOD, SASL_FAIL, "other", NULL),
        CRAM_CASE(SECRET_PLAIN, "user b913a602c7eda7a495b4e6e7334d3890", SASL_FAIL, "user", NULL),
        CRAM_CASE(SECRET_PLAIN, "us\ner " CRAM_GOOD, SASL_FAIL, NULL, NULL),
        CRAM_CASE(SECRET_PLAIN, " " CRAM_GOOD, SASL_MALFORMED, NULL, NULL),
        CRAM_CASE(SECRET_PLAIN, "user pencil", SASL_MALFORMED, NULL, NULL),
        CRAM_CASE(SECRET_PLAIN, "user " CRAM_GOOD "0", SASL_MALFORMED, NULL, NULL),
        CRAM_CASE(SECRET_PLAIN, "user", SASL_MALFORMED, NULL, NULL),
        CRAM_CASE(SECRET_PLAIN, "", SASL_MALFORMED, NULL, NULL),
        { SASL_CRAM_MD5, SECRET_PLAIN, { SAID("user " CRAM_GOOD) }, { NULL }, SASL_MALFORMED, NULL, NULL, 0, NULL },
        { SASL_CRAM_MD5, SECRET_PLAIN, { SAID("") }, { NULL }, SASL_MALFORMED, NULL, NULL, 0, NULL },
    };
    check_cases(cases, ARRAY_LEN(cases));
}

#define SERVER_LAST "v=8fjC8yQpg4g8aOfPcE1HxYO+6Ks9gmmb3JIdW+1dJw4="

static void scram(void **state)
{
    (void)state;
#define SCRAM_CASE(first, final, ack, end, user, authzid, tls)                                                         \
    {                                                                                                                  \
        SASL_SCRAM_SHA_256, SECRET_SCRAM, { SAID(first), SAID(final), SAID(ack) },                                     \
            { SERVER_FIRST_SCRAM, SERVER_LAST }, end, user, authzid, tls, NULL                                         \
    }
    static const struct server_case cases[] = {
        SCRAM_CASE("n,," FIRST, FINAL, "", SASL_OK, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, FINAL, "x", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,a=boss," FIRST, "", "", SASL_FAIL, "user", "boss", 0),
        SCRAM_CASE("n,a=us=00er," FIRST, "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("p=tls-exporter,," FIRST, "", "", SASL_FAIL, "user", NULL, OFFERED | EXPORTS | ENDS),
        SCRAM_CASE("y,," FIRST, "", "", SASL_FAIL, "user", NULL, OFFERED | EXPORTS | ENDS),
        SCRAM_CASE("n,,n=us\x01"
                   "er,r=AAEC",
                   "", "", SASL_FAIL, NULL, NULL, 0),
        SCRAM_CASE("", "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n", "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n,,", "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n,,n=user", "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n,,r=AAEC,n=user", "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n,,m=1," FIRST, "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("p=,," FIRST, "", "", SASL_MALFORMED, NULL, NULL, 0),
        SCRAM_CASE("n,," FIRST, "", "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, PROOF, "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws," PROOF, "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES, "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "r=" NONCES ",c=biws," PROOF, "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES ",m=1," PROOF, "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES ",p=AAAA", "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES ",p=", "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, FINAL ",x=1", "", SASL_MALFORMED, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES ",x=1," PROOF, "", SASL_FAIL, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=eSws,r=" NONCES "," PROOF, "", SASL_FAIL, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES "x," PROOF, "", SASL_FAIL, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=AAECAwQFBgcICQoLDA0ODxAR," PROOF, "", SASL_FAIL, "user", NULL, 0),
        /* the right proof of a message that leaves our part of the nonce out */
        SCRAM_CASE("n,," FIRST, "c=biws,r=AAECAwQFBgcICQoLDA0ODxAR,p=Pq9QZQzGQai4PywOdsEBXXJcZXGhuEwi2y3VK+c8FJE=", "",
                   SASL_FAIL, "user", NULL, 0),
        SCRAM_CASE("n,," FIRST, "c=biws,r=" NONCES ",p=AAAAAAVl56vKl8CpuHLOJte/+Fhr7sxmv6QTQFRIbcs=", "", SASL_FAIL,
                   "user", NULL, 0),
        { SASL_SCRAM_SHA_256,
          SECRET_SCRAM,
          { { NULL, 0 }, SAID("n,," FIRST), SAID(FINAL), SAID("") },
          { "", SERVER_FIRST_SCRAM, SERVER_LAST },
          SASL_OK,
          "user",
          NULL,
          0,
          NULL },
    };
    check_cases(cases, ARRAY_LEN(cases));
}

static void scram_plus(void **state)
{
    (void)state;
#define PLUS_CASE(flag, final, last, end, tls)                                                                         \
    {                                                                                                                  \
        SASL_SCRAM_SHA_256_PLUS, SECRET_SCRAM, { SAID(flag ",," FIRST), SAID(final), SAID("") },                       \
            { SERVER_FIRST_SCRAM, last }, end, "user", NULL, tls, NULL                                                 \
    }
#define LAST_EXPORTER "v=kSUkQ0KW2mjpb6R5O6uczHgEebVf+uQLs3mBNGcgihY="
#define LAST_END_POINT "v=zw7mFzEkXnH6dexUbSaS0/GV+WuHY5duswQnplUfVaI="
    static const struct server_case cases[] = {
        PLUS_CASE("p=tls-exporter", FINAL_EXPORTER, LAST_EXPORTER, SASL_OK, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("p=tls-server-end-point", FINAL_END_POINT, LAST_END_POINT, SASL_OK, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("p=tls-server-end-point", FINAL_END_POINT, LAST_END_POINT, SASL_OK, OFFERED | ENDS),
        PLUS_CASE("p=tls-exporter", "", NULL, SASL_FAIL, OFFERED | ENDS),
        PLUS_CASE("p=tls-server-end-point", "", NULL, SASL_FAIL, OFFERED | EXPORTS),
        PLUS_CASE("p=tls-unique", "", NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("n", "", NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("y", "", NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("p=tls-exporter", FINAL_END_POINT, NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("p=tls-server-end-point", FINAL_EXPORTER, NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
        PLUS_CASE("p=tls-exporter", FINAL, NULL, SASL_FAIL, OFFERED | EXPORTS | ENDS),
    };
    check_cases(cases, ARRAY_LEN(cases));
}

static void tokens(void **state)
{
    (void)state;
#define TOKEN_CASE(m, first, json, end, user, authzid)                                                                 \
    {                                                                                                                  \
        m, "", { SAID(first), SAID("\1") }, { json }, end, user, authzid, 0, NULL                                      \
    }
    static const struct server_case cases[] = {
        TOKEN_CASE(SASL_XOAUTH2, "user=tim\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_OK, "tim", NULL),
        TOKEN_CASE(SASL_XOAUTH2, "user=tim\1auth=Bearer bad\1\1", JSON_XOAUTH2, SASL_FAIL, "tim", NULL),
        TOKEN_CASE(SASL_XOAUTH2, "user=\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_FAIL, NULL, NULL),
        TOKEN_CASE(SASL_XOAUTH2, "user=tim\1auth=Bearer " GOOD_TOKEN "\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_XOAUTH2, "user=tim\1auth=" GOOD_TOKEN "\1\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_XOAUTH2, "user=tim\1\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_XOAUTH2, "", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_OK, "tim", NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "y,a=t=2Cm,\1port=25\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_OK, "t,m", NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,,\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_OK, "token-owner", NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,\1auth=Bearer bad\1\1", JSON, SASL_FAIL, "tim", NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,,\1auth=Bearer bad\1\1", JSON, SASL_FAIL, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,\1auth=\1\1", JSON, SASL_FAIL, "tim", NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=t\tm,\1auth=Bearer bad\1\1", NULL, SASL_FAIL, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "p=x,,\1auth=Bearer " GOOD_TOKEN "\1\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,\1auth=Bearer " GOOD_TOKEN "\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,\1\1", NULL, SASL_MALFORMED, NULL, NULL),
        TOKEN_CASE(SASL_OAUTHBEARER, "n,a=tim,auth=Bearer x\1\1", NULL, SASL_MALFORMED, NULL, NULL),
    };
    check_cases(cases, ARRAY_LEN(cases));
}

static void external(void **state)
{
    (void)state;
#define EXTERNAL_CASE(secret, text, end, user, authzid, name)                                                          \
    {                                                                                                                  \
        SASL_EXTERNAL, secret, { SAID(text) }, { NULL }, end, user, authzid, 0, name                                   \
    }
    static const struct server_case cases[] = {
        EXTERNAL_CASE("*", "", SASL_OK, "user", NULL, "user"),
        EXTERNAL_CASE(SECRET_SCRAM, "user", SASL_OK, "user", "user", "user"),
        EXTERNAL_CASE("*", "boss", SASL_FAIL, "user", "boss", "user"),
        EXTERNAL_CASE("*", "", SASL_FAIL, NULL, NULL, NULL),
        EXTERNAL_CASE("*", "user", SASL_FAIL, NULL, "user", NULL),
        EXTERNAL_CASE("*", "", SASL_FAIL, "other", NULL, "other"),
        EXTERNAL_CASE("", "", SASL_FAIL, "user", NULL, "user"),
        EXTERNAL_CASE("*", "us\0er", SASL_FAIL, NULL, NULL, "user"),
        EXTERNAL_CASE("*", "", SASL_FAIL, NULL, NULL, "us\ter"),
        { SASL_EXTERNAL, "*", { { NULL, 0 }, SAID("") }, { "" }, SASL_OK, "user", NULL, 0, "user" },
    };
    check_cases(cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),      cmocka_unit_test(login),  cmocka_unit_test(cram),     cmocka_unit_test(scram),
        cmocka_unit_test(scram_plus), cmocka_unit_test(tokens), cmocka_unit_test(external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
