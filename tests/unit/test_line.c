/* Reading a finished record back: paths in both formats, what is passed over, escapes, and what is no record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/record/line.h"

static void expect(const struct line *l, enum line_value v, const char *want)
{
    if (want == NULL) {
        assert_null(l->value[v].p);
        return;
    }
    assert_int_equal(l->value[v].n, strlen(want));
    assert_memory_equal(l->value[v].p, want, strlen(want));
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum line_value value;
        const char *want;
    } CASES[] = {
        { "{\"time\":\"t\"}", LINE_TIME, "t" },
        { "{\"@timestamp\":\"t\"}", LINE_TIME, "t" },
        { "{\"a\":1,\"cid\":\"x\"}", LINE_CID, "x" },
        { "{\"smtptap.cid\":\"x\"}", LINE_CID, "x" },
        { "{\"smtptap\":{\"cid\":\"x\"}}", LINE_CID, "x" },
        { "{\"smtptap\":{\"response\":{\"code\":250}}}", LINE_CODE, "250" },
        { "{\"smtptap.response\":{\"code\":-1.5e3}}", LINE_CODE, "-1.5e3" },
        { "{\"seq\":18446744073709551615}\n", LINE_SEQ, "18446744073709551615" },
        { " { \"seq\" : 7 , \"msg\" : \"a b\" } ", LINE_MSG, "a b" },
        { "{\"msg\":\"\"}", LINE_MSG, "" },
        { "{\"msg\":\"a\\\"b\\\\\"}", LINE_MSG, "a\\\"b\\\\" },
        /* not at the top */
        { "{\"err\":{\"code\":\"x\",\"cid\":\"y\"}}", LINE_CODE, NULL },
        { "{\"err\":{\"code\":\"x\"},\"code\":5}", LINE_CODE, "5" },
        { "{\"recipients\":[{\"status\":\"x\"}]}", LINE_STATUS, NULL },
        { "{\"recipients\":[{\"status\":\"x\"}],\"status\":\"y\"}", LINE_STATUS, "y" },
        { "{\"rcpt_to\":[\"a\"]}", LINE_RCPT_TO, NULL },
        { "{\"queue_id\":null}", LINE_QUEUE_ID, NULL },
        { "{\"status\":true}", LINE_STATUS, NULL },
        { "{\"a\":{\"cid\":\"x\"}}", LINE_CID, NULL },
        { "{}", LINE_CID, NULL },
        /* the first one counts */
        { "{\"cid\":\"x\",\"cid\":\"y\"}", LINE_CID, "x" },
        /* paths that are too long */
        { "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":{\"cid\":\"x\"},\"cid\":"
          "\"y\"}",
          LINE_CID, "y" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct line l;
        assert_true(line_scan(&l, span_str(CASES[i].text)));
        expect(&l, CASES[i].value, CASES[i].want);
    }
}

static void test_no_record(void **state)
{
    (void)state;
    static const char *const CASES[] = {
        "",           " ",     "{",    "}",    "[]",       "1",         "\"a\"",       "{\"a\"}",      "{\"a\":}",
        "{\"a\":1,}", "{a:1}", "{}{}", "{} x", "{\"a\":1", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[1,]}", "{\"a\":[}",
        "{\"a\":{]}", "{,}"
    };
    struct line l;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (line_scan(&l, span_str(CASES[i])))
            fail_msg("taken: %s", CASES[i]);
    }
    char deep[200];
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"a\":", 5);
    assert_false(line_scan(&l, span_of(deep, sizeof(deep))));
}

/* A record cut anywhere is no record. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char TEXT[] =
        "{\"time\":\"2026\",\"a\":[1,{\"b\":\"\\u00e9\\\\\"}],\"tls\":{\"used\":true},\"seq\":12}";
    struct line l;
    for (size_t n = 0; n < sizeof(TEXT) - 1; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, TEXT, n);
        assert_false(line_scan(&l, span_of(copy, n)));
        free(copy);
    }
    assert_true(line_scan(&l, span_of(TEXT, sizeof(TEXT) - 1)));
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } CASES[] = {
        { "", "" },
        { "plain", "plain" },
        { "a\\\"b\\\\c\\/d", "a\"b\\c/d" },
        { "\\b\\f\\n\\r\\t", "\b\f\n\r\t" },
        { "\\u0041\\u00e9\\u2028", "A\303\251\342\200\250" },
        { "\\ud83d\\udce7", "\360\237\223\247" },
        { "\\ud83dx", "\357\277\275x" },
        { "\\udce7", "\357\277\275" },
        { "\\ud83d\\u0041", "\357\277\275A" },
        { "\\u12", "\357\277\27512" },
        { "\\u", "\357\277\275" },
        { "\\", "\\" },
        { "x\\", "x\\" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct buf out;
        buf_init(&out, NULL);
        line_unescape(&out, span_str(CASES[i].in));
        buf_append(&out, "", 1);
        assert_string_equal(buf_span(&out).p, CASES[i].want);
        buf_free(&out);
    }
}

/* What the writer of JSON writes is read back. */
static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x3000; c += c < 0x100 ? 1 : 37) {
        char text[8];
        struct buf line, back;
        struct json j = { .out = &line };
        struct line l;
        size_t n = 0;
        if (c >= 0x800) {
            text[n++] = (char)(0xe0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        } else if (c >= 0x80) {
            text[n++] = (char)(0xc0 | c >> 6);
        }
        text[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        buf_init(&line, NULL);
        buf_init(&back, NULL);
        json_open(&j, '{');
        json_key(&j, SPAN_LIT("msg"));
        json_str(&j, span_of(text, n));
        json_close(&j, '}');
        json_end(&j);
        assert_true(line_scan(&l, buf_span(&line)));
        line_unescape(&back, l.value[LINE_MSG]);
        assert_int_equal(buf_len(&back), n);
        assert_memory_equal(buf_span(&back).p, text, n);
        buf_free(&line);
        buf_free(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_no_record),  cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_unescape), cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
