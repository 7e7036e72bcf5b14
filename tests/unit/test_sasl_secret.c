/* Secrets of local users, and the sums of SCRAM and CRAM-MD5 against the vectors of their RFCs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/sasl_impl.h"
#include "tests/unit/sasl_rig.h"

static void kinds(void **state)
{
    (void)state;
    static const struct {
        struct span secret;
        enum sasl_secret_kind kind;
    } cases[] = {
        { SPAN_LIT(""), SASL_SECRET_BAD },
        { SPAN_LIT("{PLAIN}pencil"), SASL_SECRET_PLAIN },
        { SPAN_LIT("{plain}{PLAIN}"), SASL_SECRET_PLAIN },
        { SPAN_LIT("{PLAIN}"), SASL_SECRET_BAD },
        { SPAN_LIT("{PLAIN}pen\0cil"), SASL_SECRET_BAD },
        { SPAN_LIT("{PLAIN"), SASL_SECRET_BAD },
        { SPAN_LIT("{SSHA}abcd"), SASL_SECRET_BAD },
        { SPAN_LIT("$y$j9T$salt$hash"), SASL_SECRET_CRYPT },
        { SPAN_LIT("*"), SASL_SECRET_CRYPT },
        { SPAN_LIT(SECRET_SCRAM), SASL_SECRET_SCRAM },
        { SPAN_LIT("{scram-sha-256}" SECRET_SCRAM_BODY), SASL_SECRET_SCRAM },
        { SPAN_LIT("{SCRAM-SHA-1}" SECRET_SCRAM_BODY), SASL_SECRET_BAD },
        { SPAN_LIT(SECRET_SCRAM ","), SASL_SECRET_BAD },
        { SPAN_LIT(SECRET_SCRAM "\n"), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}0" SECRET_SCRAM_BODY), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}-" SECRET_SCRAM_BODY), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}9999" SECRET_SCRAM_BODY), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}4096,," SECRET_KEYS), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}4096,abc," SECRET_KEYS), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}1,AA==," SECRET_KEYS), SASL_SECRET_SCRAM },
        { SPAN_LIT("{SCRAM-SHA-256}1000000,AA==," SECRET_KEYS), SASL_SECRET_SCRAM },
        { SPAN_LIT("{SCRAM-SHA-256}1000001,AA==," SECRET_KEYS), SASL_SECRET_BAD },
        { SPAN_LIT("{SCRAM-SHA-256}99999999999999999999,AA==," SECRET_KEYS), SASL_SECRET_BAD },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (sasl_secret_kind(cases[i].secret) != cases[i].kind)
            fail_msg("case %zu: %.*s", i, SPAN_ARG(cases[i].secret));
    struct span whole = SPAN_LIT(SECRET_SCRAM);
    for (size_t n = 1; n < whole.n; n++)
        assert_int_equal(sasl_secret_kind(span_head(whole, n)), SASL_SECRET_BAD);
}

static void mechanisms(void **state)
{
    (void)state;
    const sasl_set any = SASL_BIT(PLAIN) | SASL_BIT(LOGIN) | SASL_BIT(EXTERNAL);
    const sasl_set scram = any | SASL_BIT(SCRAM_SHA_256) | SASL_BIT(SCRAM_SHA_256_PLUS);
    assert_int_equal(sasl_secret_mechanisms(SASL_SECRET_BAD), 0);
    assert_int_equal(sasl_secret_mechanisms(SASL_SECRET_CRYPT), any);
    assert_int_equal(sasl_secret_mechanisms(SASL_SECRET_SCRAM), scram);
    assert_int_equal(sasl_secret_mechanisms(SASL_SECRET_PLAIN), scram | SASL_BIT(CRAM_MD5));
}

static void checked(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *password;
        bool ok;
    } cases[] = {
        { "{PLAIN}pencil", "pencil", true },
        { "{PLAIN}pencil", "pencil ", false },
        { "{PLAIN}pencil", "penci", false },
        { "{PLAIN}pencil", "", false },
        { "{PLAIN}", "", false },
        { "{PLAIN} p ", " p ", true },
        { SECRET_SCRAM, "pencil", true },
        { SECRET_SCRAM, "Pencil", false },
        { SECRET_SCRAM, "", false },
        { "{SCRAM-SHA-256}1,c2FsdA==,ZLuasIkXZj0o2fqXcPLYzzpuBYpt3tJtvx/2hUNTwXo=,F4IbwS68ORUj5EQrkiAz/"
          "2EVcQ4SbxB346aV8BbbDbk=",
          "", false }, /* of the empty password */
        { SECRET_DOVEADM, "pencil", true },
        { SECRET_DOVEADM, "pencils", false },
        { "pencil", "pencil", false },
        { "", "", false },
        { "{SSHA}pencil", "{SSHA}pencil", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (sasl_secret_check(span_str(cases[i].secret), span_str(cases[i].password)) != cases[i].ok)
            fail_msg("case %zu: %s %s", i, cases[i].secret, cases[i].password);
}

/* RFC 7677 section 3. */
static void scram_vector(void **state)
{
    (void)state;
    struct sasl_secret secret;
    sasl_secret_read(SPAN_LIT(SECRET_SCRAM), &secret);
    assert_int_equal(secret.kind, SASL_SECRET_SCRAM);
    struct span auth = SPAN_LIT("n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    unsigned char salted[DIGEST_SHA256], proof[DIGEST_SHA256], signature[DIGEST_SHA256];
    digest_pbkdf2_sha256(SPAN_LIT("pencil"), sasl_octets(secret.salt.octets, secret.salt.n), 4096, salted);
    scram_proof_make(salted, auth, proof);
    char *text = sasl_base64(sasl_octets(proof, sizeof(proof)));
    assert_string_equal(text, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    sasl_forget(&text);
    struct scram_keys keys;
    scram_keys_make(salted, &keys);
    assert_memory_equal(&keys, &secret.keys, sizeof(keys));
    digest_hmac_sha256(sasl_octets(keys.server, sizeof(keys.server)), auth, signature);
    text = sasl_base64(sasl_octets(signature, sizeof(signature)));
    assert_string_equal(text, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    sasl_forget(&text);
    assert_true(scram_proof_check(&keys, auth, proof));
    for (size_t i = 0; i < sizeof(proof); i++) {
        proof[i] ^= 1;
        assert_false(scram_proof_check(&keys, auth, proof));
        proof[i] ^= 1;
    }
    assert_false(scram_proof_check(&keys, span_head(auth, auth.n - 1), proof));
}

/* RFC 2195 section 2. */
static void cram_vector(void **state)
{
    (void)state;
    char hex[CRAM_DIGEST + 1];
    assert_true(cram_digest(SPAN_LIT("tanstaaftanstaaf"), SPAN_LIT("<1896.697170952@postoffice.reston.mci.net>"), hex));
    assert_string_equal(hex, "b913a602c7eda7a495b4e6e7334d3890");
}

/* The work owns what it needs; run twice it says the same. */
static void work_alone(void **state)
{
    (void)state;
    struct scram_salt salt = { "salt", 4, 1 };
    char password[] = "passwd";
    struct sasl_work *work = sasl_work_hash(span_str(password), &salt);
    memset(password, 'x', sizeof(password));
    assert_false(work->ok);
    for (int i = 0; i < 2; i++) {
        char hex[2 * DIGEST_SHA256 + 1];
        sasl_work_run(work);
        assert_true(work->ok);
        digest_hex(work->salted, sizeof(work->salted), hex);
        assert_string_equal(hex, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    }
    sasl_work_free(&work);
    assert_null(work);
    sasl_work_free(&work);
    work = sasl_work_new(SASL_WORK_CRYPT, SPAN_LIT("p"), SPAN_LIT("$y$"), NULL);
    sasl_work_run(work);
    assert_false(work->ok);
    sasl_work_free(&work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),        cmocka_unit_test(mechanisms),  cmocka_unit_test(checked),
        cmocka_unit_test(scram_vector), cmocka_unit_test(cram_vector), cmocka_unit_test(work_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
