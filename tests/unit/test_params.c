/* Parameters of MAIL and RCPT (M3 to M10): what is read, what is refused and how, what goes on to the upstream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/smtp/params.h"

#define ALL (((smtp_cap_set)1 << SMTP_CAP_COUNT) - 1)
#define BIT(id) SMTP_CAP_BIT(id)
#define OK SMTP_PARAM_OK
#define UNKNOWN SMTP_PARAM_UNKNOWN
#define MALFORMED SMTP_PARAM_MALFORMED
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

struct fault_case {
    const char *text;
    smtp_cap_set offered;
    enum smtp_param_fault fault;
};

static const struct fault_case mail_cases[] = {
    { "", ALL, OK },
    { " \t ", ALL, OK },
    /* M3 */
    { "FOO", ALL, UNKNOWN },
    { "FOO=bar", ALL, UNKNOWN },
    { "X-1=", ALL, UNKNOWN },
    { "SIZE=1 FOO=bar", ALL, UNKNOWN },
    { "NOTIFY=NEVER", ALL, UNKNOWN },
    { "ORCPT=rfc822;a@b", ALL, UNKNOWN },
    { "SIZE=1", ALL & ~BIT(SIZE), UNKNOWN },
    { "SIZE=x", ALL & ~BIT(SIZE), UNKNOWN },
    { "SMTPUTF8", ALL & ~BIT(SMTPUTF8), UNKNOWN },
    { "REQUIRETLS", ALL & ~BIT(REQUIRETLS), UNKNOWN },
    { "RET=FULL", ALL & ~BIT(DSN), UNKNOWN },
    { "ENVID=a", ALL & ~BIT(DSN), UNKNOWN },
    { "BODY=7BIT", 0, UNKNOWN },
    { "BODY=7BIT", BIT(8BITMIME), OK },
    { "BODY=7BIT", BIT(BINARYMIME), OK },
    { "BODY=8BITMIME", BIT(8BITMIME), OK },
    { "BODY=8BITMIME", BIT(BINARYMIME), UNKNOWN },
    { "BODY=BINARYMIME", BIT(BINARYMIME), OK },
    { "BODY=BINARYMIME", BIT(8BITMIME), UNKNOWN },
    /* M4: no keyword at all */
    { "=1", ALL, MALFORMED },
    { "=", ALL, MALFORMED },
    { "-X", ALL, MALFORMED },
    { "<c@d>", ALL, MALFORMED },
    { "X_Y=1", ALL, MALFORMED },
    { "\xc3\xa9=1", ALL, MALFORMED },
    { "X\x01=1", ALL, MALFORMED },
    /* M4: twice */
    { "SIZE=1 SIZE=1", ALL, MALFORMED },
    { "SIZE=1 size=2", ALL, MALFORMED },
    { "BODY=7BIT SMTPUTF8 BODY=7BIT", ALL, MALFORMED },
    { "SMTPUTF8 SMTPUTF8", ALL, MALFORMED },
    { "REQUIRETLS REQUIRETLS", ALL, MALFORMED },
    { "RET=FULL RET=HDRS", ALL, MALFORMED },
    { "ENVID=a ENVID=b", ALL, MALFORMED },
    { "AUTH=<> AUTH=<>", ALL, MALFORMED },
    { "SIZE=1 SIZE=1 FOO", ALL, MALFORMED },
    /* SIZE */
    { "SIZE", ALL, MALFORMED },
    { "SIZE=", ALL, MALFORMED },
    { "SIZE=-1", ALL, MALFORMED },
    { "SIZE=+1", ALL, MALFORMED },
    { "SIZE=1k", ALL, MALFORMED },
    { "SIZE=0x1", ALL, MALFORMED },
    { "SIZE=1=", ALL, MALFORMED },
    { "SIZE=0", ALL, OK },
    { "SIZE=00000000000000000001", ALL, OK },
    { "SIZE=99999999999999999999", ALL, OK },
    { "SIZE=000000000000000000001", ALL, MALFORMED },
    /* BODY */
    { "BODY", ALL, MALFORMED },
    { "BODY=", ALL, MALFORMED },
    { "BODY=8BIT", ALL, MALFORMED },
    { "BODY=7BITX", ALL, MALFORMED },
    { "body=8bitmime", ALL, OK },
    /* flags */
    { "SMTPUTF8=", ALL, MALFORMED },
    { "SMTPUTF8=1", ALL, MALFORMED },
    { "REQUIRETLS=YES", ALL, MALFORMED },
    { "smtputf8 RequireTLS", ALL, OK },
    /* RET, ENVID */
    { "RET", ALL, MALFORMED },
    { "RET=", ALL, MALFORMED },
    { "RET=BODY", ALL, MALFORMED },
    { "ret=hdrs", ALL, OK },
    { "ENVID", ALL, MALFORMED },
    { "ENVID=", ALL, MALFORMED },
    { "ENVID=" HUNDRED, ALL, OK },
    { "ENVID=" HUNDRED "x", ALL, MALFORMED },
    { "ENVID=a+20b+3D+2b", ALL, OK },
    { "ENVID=a=b", ALL, MALFORMED },
    { "ENVID=a+", ALL, MALFORMED },
    { "ENVID=a+2", ALL, MALFORMED },
    { "ENVID=a+2G", ALL, MALFORMED },
    { "ENVID=a++2B", ALL, MALFORMED },
    { "ENVID=a+0A", ALL, MALFORMED },
    { "ENVID=a+0d+0a", ALL, MALFORMED },
    { "ENVID=+00", ALL, MALFORMED },
    { "ENVID=+09", ALL, MALFORMED },
    { "ENVID=+7F", ALL, MALFORMED },
    { "ENVID=+C3+A9", ALL, MALFORMED },
    { "ENVID=\xc3\xa9", ALL, MALFORMED },
    { "ENVID=a\x01", ALL, MALFORMED },
    /* AUTH needs no offer */
    { "AUTH", 0, MALFORMED },
    { "AUTH=", 0, MALFORMED },
    { "AUTH=<>", 0, OK },
    { "AUTH=a@b", 0, OK },
    { "AUTH=e+3Dmc2@example.com", 0, OK },
    { "AUTH=+C3+A9@b", 0, OK },
    { "AUTH=a=b", 0, MALFORMED },
    { "AUTH=a+0Ab", 0, MALFORMED },
    { "AUTH=a+C2+85b", 0, MALFORMED },
    { "AUTH=a+85b", 0, MALFORMED },
    { "AUTH=a+E2+80+8Bb", 0, MALFORMED },
    { "AUTH=+EF+BB+BFa", 0, MALFORMED },
    { "AUTH=\xc3\xa9@b", 0, MALFORMED },
    { "AUTH=" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED, 0, OK },
    { "AUTH=" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED, 0, MALFORMED },
};

static const struct fault_case rcpt_cases[] = {
    { "", ALL, OK },
    { "SIZE=1", ALL, UNKNOWN },
    { "BODY=8BITMIME", ALL, UNKNOWN },
    { "SMTPUTF8", ALL, UNKNOWN },
    { "AUTH=<>", ALL, UNKNOWN },
    { "RET=FULL", ALL, UNKNOWN },
    { "FOO", ALL, UNKNOWN },
    { "NOTIFY=NEVER", ALL & ~BIT(DSN), UNKNOWN },
    { "ORCPT=rfc822;a", ALL & ~BIT(DSN), UNKNOWN },
    { "NOTIFY=NEVER NOTIFY=NEVER", ALL, MALFORMED },
    { "ORCPT=rfc822;a ORCPT=rfc822;a", ALL, MALFORMED },
    { "NOTIFY", ALL, MALFORMED },
    { "NOTIFY=", ALL, MALFORMED },
    { "NOTIFY=,", ALL, MALFORMED },
    { "NOTIFY=SUCCESS,", ALL, MALFORMED },
    { "NOTIFY=,SUCCESS", ALL, MALFORMED },
    { "NOTIFY=SUCCESS,,DELAY", ALL, MALFORMED },
    { "NOTIFY=SUCCES", ALL, MALFORMED },
    { "NOTIFY=NEVER,SUCCESS", ALL, MALFORMED },
    { "NOTIFY=DELAY,NEVER", ALL, MALFORMED },
    { "NOTIFY=SUCCESS;DELAY", ALL, MALFORMED },
    { "NOTIFY=SUCCESS, DELAY", ALL, MALFORMED },
    { "NOTIFY=never", ALL, OK },
    { "NOTIFY=success,Failure,DELAY", ALL, OK },
    { "NOTIFY=DELAY,DELAY", ALL, OK },
    { "ORCPT", ALL, MALFORMED },
    { "ORCPT=", ALL, MALFORMED },
    { "ORCPT=a@b", ALL, MALFORMED },
    { "ORCPT=;a@b", ALL, MALFORMED },
    { "ORCPT=rfc 822;a", ALL, MALFORMED },
    { "ORCPT=rf@c;a", ALL, MALFORMED },
    { "ORCPT=rfc\x01;a", ALL, MALFORMED },
    { "ORCPT=rfc822;a@b", ALL, OK },
    { "ORCPT=RFC822;a+2Bb@c", ALL, OK },
    { "ORCPT=x-unknown;+20", ALL, OK },
    { "ORCPT=rfc822;a;b", ALL, OK },
    { "ORCPT=rfc822;a\\x{b}", ALL, OK },
    { "ORCPT=rfc822;a=b", ALL, MALFORMED },
    { "ORCPT=rfc822;a+b", ALL, MALFORMED },
    { "ORCPT=rfc822;a+0D+0A", ALL, MALFORMED },
    { "ORCPT=rfc822;a+C2+80", ALL, MALFORMED },
    { "ORCPT=rfc822;a+E2+81+A0", ALL, MALFORMED },
    { "ORCPT=rfc822;+C3+A9@b", ALL, OK },
    { "ORCPT=rfc822;\xc3\xa9@b", ALL, MALFORMED },
    /* RFC 6533 */
    { "ORCPT=utf-8;\\x{E9}@b", ALL, OK },
    { "ORCPT=UTF-8;a\\x{1F4E7}\\x{2B}@b", ALL, OK },
    { "ORCPT=utf-8;\xc3\xa9@b", ALL, OK },
    { "ORCPT=utf-8;\xc3\xa9@b", ALL & ~BIT(SMTPUTF8), MALFORMED },
    { "ORCPT=utf-8;\\x{E9}@b", ALL & ~BIT(SMTPUTF8), OK },
    { "ORCPT=utf-8;\xe9@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\xc2\x85@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\xe2\x80\x8b@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{A}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{00000A}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{000000A}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{E9@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\u@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{200B}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{85}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{D800}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;\\x{110000}@b", ALL, MALFORMED },
    { "ORCPT=utf-8;a+0A", ALL, MALFORMED },
    { "ORCPT=utf-8;+C2+85", ALL, MALFORMED },
    /* 500 octets */
    { "ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN "xyz", ALL, OK },
    { "ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN "xyz1", ALL, MALFORMED },
    { "ORCPT=utf-8;" HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN "wxyz", ALL, OK },
};

static void test_mail_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mail_cases); i++) {
        struct smtp_mail_params p;
        enum smtp_param_fault fault = smtp_mail_params_parse(&p, span_str(mail_cases[i].text), mail_cases[i].offered);

        if (fault != mail_cases[i].fault)
            fail_msg("%s: %d", mail_cases[i].text, (int)fault);
    }
}

static void test_rcpt_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rcpt_cases); i++) {
        struct smtp_rcpt_params p;
        enum smtp_param_fault fault = smtp_rcpt_params_parse(&p, span_str(rcpt_cases[i].text), rcpt_cases[i].offered);

        if (fault != rcpt_cases[i].fault)
            fail_msg("%s: %d", rcpt_cases[i].text, (int)fault);
    }
}

static void test_nul(void **state)
{
    static const struct span texts[] = { SPAN_LIT("ENVID=a\0b"), SPAN_LIT("AUTH=\0"), SPAN_LIT("SIZE=1\0"),
                                         SPAN_LIT("\0"), SPAN_LIT("SIZ\0E=1") };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct smtp_mail_params p;

        assert_int_equal(smtp_mail_params_parse(&p, texts[i], ALL), SMTP_PARAM_MALFORMED);
    }
}

static void test_mail_values(void **state)
{
    static const char text[] = "  size=12345\tBODY=BinaryMIME  SMTPUTF8 RET=hdrs ENVID=QQ+31 AUTH=u+40@b REQUIRETLS ";
    struct smtp_mail_params p;

    (void)state;
    assert_int_equal(smtp_mail_params_parse(&p, span_str(text), ALL), SMTP_PARAM_OK);
    assert_true(p.has_size);
    assert_int_equal(p.size, 12345);
    assert_int_equal(p.body, SMTP_BODY_BINARYMIME);
    assert_true(p.smtputf8);
    assert_true(p.requiretls);
    assert_int_equal(p.ret, SMTP_RET_HDRS);
    assert_true(span_eq(p.envid, SPAN_LIT("QQ+31")));
    assert_true(p.has_auth);
    assert_true(span_eq(p.auth, SPAN_LIT("u+40@b")));

    assert_int_equal(smtp_mail_params_parse(&p, SPAN_LIT("RET=FULL AUTH=<> BODY=7BIT"), ALL), SMTP_PARAM_OK);
    assert_false(p.has_size || p.smtputf8 || p.requiretls);
    assert_int_equal(p.ret, SMTP_RET_FULL);
    assert_int_equal(p.body, SMTP_BODY_7BIT);
    assert_int_equal(p.envid.n, 0);
    assert_true(span_eq(p.auth, SPAN_LIT("<>")));

    assert_int_equal(smtp_mail_params_parse(&p, SPAN_NONE, 0), SMTP_PARAM_OK);
    assert_false(p.has_size || p.has_auth || p.smtputf8 || p.requiretls);
    assert_int_equal(p.body, SMTP_BODY_NONE);
    assert_int_equal(p.ret, SMTP_RET_NONE);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        { "SIZE=0", 0 },
        { "SIZE=9223372036854775807", INT64_MAX },
        { "SIZE=9999999999999999999", 9999999999999999999U },
        { "SIZE=18446744073709551615", UINT64_MAX },
        { "SIZE=18446744073709551616", UINT64_MAX },
        { "SIZE=99999999999999999999", UINT64_MAX },
        { "SIZE=00000000000000000042", 42 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_mail_params p;

        assert_int_equal(smtp_mail_params_parse(&p, span_str(cases[i].text), ALL), SMTP_PARAM_OK);
        assert_true(p.size == cases[i].size);
    }
}

static void test_rcpt_values(void **state)
{
    static const struct {
        const char *text;
        unsigned notify;
        const char *orcpt;
    } cases[] = {
        { "", 0, "" },
        { "NOTIFY=NEVER", SMTP_NOTIFY_NEVER, "" },
        { "NOTIFY=SUCCESS", SMTP_NOTIFY_SUCCESS, "" },
        { "notify=delay,success", SMTP_NOTIFY_DELAY | SMTP_NOTIFY_SUCCESS, "" },
        { "ORCPT=rfc822;a+2Bb@c NOTIFY=FAILURE,DELAY", SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, "rfc822;a+2Bb@c" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_rcpt_params p;

        assert_int_equal(smtp_rcpt_params_parse(&p, span_str(cases[i].text), ALL), SMTP_PARAM_OK);
        assert_int_equal(p.notify, cases[i].notify);
        assert_true(span_eq(p.orcpt, span_str(cases[i].orcpt)));
    }
}

static void test_copy(void **state)
{
    static const struct {
        const char *text, *drop, *want;
    } cases[] = {
        { "", NULL, "" },
        { "  ", "SIZE", "" },
        { "size=1 Body=8bitMIME", NULL, " size=1 Body=8bitMIME" },
        { "size=1 Body=8bitMIME", "", " size=1 Body=8bitMIME" },
        { "\tsize=1 \t Body=8bitMIME ", "SIZE", " Body=8bitMIME" },
        { "SIZE=1 AUTH=<> SMTPUTF8", "SIZE AUTH", " SMTPUTF8" },
        { "SIZE=1 AUTH=<> SMTPUTF8", "AUTH SIZE SMTPUTF8", "" },
        { "SIZES=1 AUT=x", "SIZE AUTH", " SIZES=1 AUT=x" },
        { "ENVID=SIZE+3D RET=FULL", "SIZE", " ENVID=SIZE+3D RET=FULL" },
        { "SIZE", "SIZE", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        buf_init(&out, NULL);
        buf_append(&out, "<a@b>", 5);
        smtp_params_copy(&out, span_str(cases[i].text), cases[i].drop);
        buf_consume(&out, 5);
        if (!span_eq(buf_span(&out), span_str(cases[i].want)))
            fail_msg("%s: got \"%.*s\"", cases[i].text, SPAN_ARG(buf_span(&out)));
        buf_free(&out);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(smtp_body_type_name(SMTP_BODY_NONE), "");
    assert_string_equal(smtp_body_type_name(SMTP_BODY_7BIT), "7BIT");
    assert_string_equal(smtp_body_type_name(SMTP_BODY_8BITMIME), "8BITMIME");
    assert_string_equal(smtp_body_type_name(SMTP_BODY_BINARYMIME), "BINARYMIME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_faults), cmocka_unit_test(test_rcpt_faults), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_mail_values), cmocka_unit_test(test_sizes),       cmocka_unit_test(test_rcpt_values),
        cmocka_unit_test(test_copy),        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
