/* Fingerprints of secrets: what is found in a text, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/codec.h"
#include "common/smtp/prints.h"

static const unsigned char KEY[SMTP_PRINT_KEY] = "any thirty-two octets will do";
#define NUL "\0"

static const struct {
    const char *mechanism;
    unsigned step;
    struct span message; /* not yet base64 */
    const char *text;
    bool found;
} ROWS[] = {
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "550 5.7.1 wonderland is no password", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "wonderland", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "xwonderland", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "wonderlandx", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "wonderlan", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "250 2.1.0 alice, welcome to WONDERLAND", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "what is AGFsaWNlAHdvbmRlcmxhbmQ=?", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "what is AGFsaWNlAHdvbmRlcmxhbmQ", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "wonderland"), "what is d29uZGVybGFuZA==?", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "two words"), "550 two words", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "two words"), "550 words", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "the"), "550 the end", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "the"), "550 dGhl", true },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL "then"), "550 and then", true },
    { "PLAIN", 0, SPAN_LIT("no NUL"), "550 no NUL", false },
    { "PLAIN", 0, SPAN_LIT(NUL "alice" NUL), "550 alice", false },
    { "LOGIN", 0, SPAN_LIT("alice"), "250 alice", false },
    { "LOGIN", 0, SPAN_LIT("alice"), "250 YWxpY2U=", true },
    { "LOGIN", 1, SPAN_LIT("a b c d"), "550 a b c d", true },
    { "XOAUTH2", 0, SPAN_LIT("user=alice\1auth=Bearer ya29.token\1\1"), "550 ya29.token expired", true },
    { "OAUTHBEARER", 0, SPAN_LIT("n,a=alice,\1host=x\1auth=Bearer ya29.token\1\1"), "550 ya29.token", true },
    { "OAUTHBEARER", 0, SPAN_LIT("n,a=alice,\1host=x\1auth=Bearer ya29.token\1\1"), "550 alice", false },
    { "CRAM-MD5", 0, SPAN_LIT("alice 0123456789abcdef0123456789abcdef"), "550 0123456789abcdef0123456789abcdef", true },
    { "CRAM-MD5", 0, SPAN_LIT("alice 0123456789abcdef0123456789abcdef"), "550 alice", false },
    { "EXTERNAL", 0, SPAN_LIT("alice"), "550 alice", false },
    { "X-UNKNOWN", 0, SPAN_LIT("alice hunter22"), "550 hunter22", true },
};

static struct smtp_prints *of_row(size_t i)
{
    struct smtp_prints *p = smtp_prints_new(KEY);
    struct buf response;
    buf_init(&response, NULL);
    codec_base64_encode(&response, ROWS[i].message);
    smtp_prints_add_response(p, span_str(ROWS[i].mechanism), ROWS[i].step, buf_span(&response));
    buf_free(&response);
    return p;
}

static void test_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct smtp_prints *p = of_row(i);
        if (smtp_prints_found(p, span_str(ROWS[i].text)) != ROWS[i].found)
            fail_msg("%s in \"%s\"", ROWS[i].mechanism, ROWS[i].text);
        smtp_prints_free(&p);
        assert_null(p);
    }
}

/* At each place of a text, for each length; and nothing else is found. */
static void test_places(void **state)
{
    (void)state;
    char text[240], secret[180];
    for (size_t n = SMTP_PRINT_MIN; n < sizeof(secret); n += n < 10 ? 1 : 13) {
        struct smtp_prints *p = smtp_prints_new(KEY);
        for (size_t i = 0; i < n; i++)
            secret[i] = (char)(i * 37 + n);
        smtp_prints_add(p, span_of(secret, n));
        for (size_t at = 0; at + n <= sizeof(text); at++) {
            memset(text, 'x', sizeof(text));
            assert_false(smtp_prints_found(p, span_of(text, sizeof(text))));
            memcpy(text + at, secret, n);
            assert_true(smtp_prints_found(p, span_of(text, sizeof(text))));
            text[at + n / 2] ^= 1; /* of a long one, the head alone counts */
            assert_int_equal(smtp_prints_found(p, span_of(text, sizeof(text))), n / 2 >= SMTP_PRINT_MAX);
        }
        smtp_prints_free(&p);
    }
}

/* The newest are kept; one that comes again takes no place. */
static void test_bounded(void **state)
{
    (void)state;
    char secret[32];
    struct smtp_prints *p = smtp_prints_new(KEY);
    for (int i = 0; i < 100; i++) {
        snprintf(secret, sizeof(secret), "secret-%03d", i);
        for (int again = 0; again < 20; again++)
            smtp_prints_add(p, span_str(secret));
        for (int back = 0; back < SMTP_PRINTS / 2 && back <= i; back++) {
            snprintf(secret, sizeof(secret), "secret-%03d", i - back);
            assert_true(smtp_prints_found(p, span_str(secret)));
        }
    }
    assert_false(smtp_prints_found(p, SPAN_LIT("secret-000")));
    smtp_prints_free(&p);
}

static void test_empty(void **state)
{
    (void)state;
    struct smtp_prints *p = smtp_prints_new(KEY);
    assert_false(smtp_prints_found(p, SPAN_LIT("250 2.0.0 Ok")));
    smtp_prints_add(p, SPAN_NONE);
    smtp_prints_add_response(p, SPAN_LIT("PLAIN"), 0, SPAN_LIT("="));
    smtp_prints_add_response(p, SPAN_LIT("PLAIN"), 0, SPAN_NONE);
    assert_false(smtp_prints_found(p, SPAN_LIT("250 2.0.0 Ok =")));
    assert_false(smtp_prints_found(p, SPAN_NONE));
    smtp_prints_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
