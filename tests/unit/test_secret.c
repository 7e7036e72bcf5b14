/* Which replies repeat a secret, and what the log gets instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/secret.h"

static void test_echoes(void **state)
{
    (void)state;
    /* "\0user\0hunter2", "hunter2", "user=u\1auth=Bearer tok3n\1\1" */
    static const char PLAIN[] = "AHVzZXIAaHVudGVyMg==", LOGIN[] = "aHVudGVyMg==",
                      OAUTH[] = "dXNlcj11AWF1dGg9QmVhcmVyIHRvazNuAQE=";
    static const struct {
        const char *reply, *response;
        bool echoes;
    } ROWS[] = {
        { "535 5.7.8 bad password\r\n", PLAIN, false },
        { "500 what is AHVzZXIAaHVudGVyMg==?\r\n", PLAIN, true },
        { "500 what is AHVzZXIAaHVu...?\r\n", PLAIN, true },
        { "500 what is ...XIAaHVudGVyMg==?\r\n", PLAIN, false }, /* less than a piece */
        { "501 can't decode '...IHRvazNuAQE='\r\n", OAUTH, true },
        { "535-5.7.8 no\r\n535 5.7.8 not hunter2\r\n", PLAIN, true },
        { "535 5.7.8 user: no\r\n", PLAIN, true },
        { "535 5.7.8 hunt\r\n", LOGIN, false },
        { "535 5.7.8 hunter\r\n", LOGIN, true }, /* a piece */
        { "535-5.7.8 Wv8Upstrea\r\n535 5.7.8 mSecretPw5\r\n", "AGJvYgBXdjhVcHN0cmVhbVNlY3JldFB3NQ==", true },
        { "535 5.7.8 nobody of example.org here\r\n", "AGJvYkBleGFtcGxlLm9yZwBodW50ZXIy", false },
        { "535 5.7.8 'hunter2'\r\n", LOGIN, true },
        { "535 auth=Bearer tok3n\r\n", OAUTH, true },
        { "535 a\r\n", "YQ==", false },
        { "535 =\r\n", "=", false },
        { "535 x\r\n", "", false },
        { "535 !!!\r\n", "!!!", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct smtp_reply reply = smtp_reply_read(span_str(ROWS[i].reply));
        assert_int_equal(smtp_reply_echoes(&reply, span_str(ROWS[i].response)), ROWS[i].echoes);
    }
}

static void test_tells(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        bool tells;
    } ROWS[] = {
        { "535 5.7.8 no\r\n", false },
        { "535 5.7.8 wrong password OwnLoginSecretPw66\r\n", true },
        { "535-5.7.8 OwnLogin\r\n535 5.7.8 SecretPw66\r\n", true },
        { "535 5.7.8 T3duTG9naW5TZWNyZXRQdzY2\r\n", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct smtp_reply reply = smtp_reply_read(span_str(ROWS[i].reply));
        assert_int_equal(smtp_reply_tells(&reply, SPAN_LIT("OwnLoginSecretPw66")), ROWS[i].tells);
    }
}

static void test_hidden(void **state)
{
    (void)state;
    static const char *const ROWS[][2] = { { "334 c2VjcmV0\r\n", "334 *\r\n" },
                                           { "334 \r\n", "334 *\r\n" },
                                           { "535-5.7.8 a\r\n535 5.7.8 b\r\n", "535 5.7.8 *\r\n" },
                                           { "535 5.999.999 b\r\n", "535 5.999.999 *\r\n" } };
    char out[SMTP_HIDDEN_LEN];
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct smtp_reply reply = smtp_reply_read(span_str(ROWS[i][0]));
        struct smtp_reply hidden = smtp_reply_hidden(&reply, out);
        assert_true(span_eq(hidden.wire, span_str(ROWS[i][1])));
        assert_int_equal(hidden.code, reply.code);
        assert_string_equal(hidden.enhanced, reply.enhanced);
        assert_int_equal(hidden.lines, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_echoes), cmocka_unit_test(test_tells),
                                        cmocka_unit_test(test_hidden) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
