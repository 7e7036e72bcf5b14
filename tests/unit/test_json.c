/* json-c reads back what was written; a slow model says how it must have been written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "common/json.h"
#include "tests/unit/json_c.h"
#include "tests/unit/json_model.h"

static struct json_object *parse(struct span text)
{
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *got = json_tokener_parse_ex(tok, text.p, (int)text.n);
    if (json_tokener_get_error(tok) == json_tokener_continue) /* a number at the end */
        got = json_tokener_parse_ex(tok, "", -1);
    assert_int_equal(json_tokener_get_error(tok), json_tokener_success);
    json_tokener_free(tok);
    return got;
}

static void check_written(struct json *j, const char *want)
{
    struct buf *b = j->out;
    json_end(j);
    assert_int_equal(buf_len(b), strlen(want));
    assert_memory_equal(buf_span(b).p, want, strlen(want));
    buf_free(b);
}

/* Writes s once as one string, once in two pieces; both against the model and json-c. */
static void check_string(struct span s)
{
    char *written = malloc(6 * s.n + 8), *repaired = malloc(6 * s.n + 8);
    size_t w = 1, r = 0;
    struct buf b;
    struct json j = { .out = &b };
    written[0] = '"';
    json_model(s, written, &w, repaired, &r);
    written[w++] = '"';
    buf_init(&b, NULL);
    /* an exact copy, so that the sanitizer sees a read past the end */
    char *exact = malloc(s.n);
    memcpy(exact, s.p, s.n);
    json_str(&j, span_of(exact, s.n));
    free(exact);
    json_end(&j);
    assert_int_equal(buf_len(&b), w);
    assert_memory_equal(buf_span(&b).p, written, w);
    json_open(&j, '[');
    json_cat(&j, (struct span[]){ s, SPAN_NONE, SPAN_LIT("|") }, 3);
    json_close(&j, ']');
    json_end(&j);
    struct json_object *one = parse(span_head(buf_span(&b), w)), *list = parse(span_skip(buf_span(&b), w));
    assert_int_equal(json_object_get_string_len(one), r);
    assert_memory_equal(json_object_get_string(one), repaired, r);
    struct json_object *two = json_object_array_get_idx(list, 0);
    assert_int_equal(json_object_get_string_len(two), r + 1);
    assert_memory_equal(json_object_get_string(two), repaired, r);
    assert_int_equal(json_object_get_string(two)[r], '|');
    json_object_put(one);
    json_object_put(list);
    buf_free(&b);
    free(written);
    free(repaired);
}

static void strings_by_example(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *out;
    } cases[] = {
        { { NULL, 0 }, "\"\"" },
        { { "", 0 }, "\"\"" },
        { { "plain", 5 }, "\"plain\"" },
        { { "a\"b\\c/d", 7 }, "\"a\\\"b\\\\c/d\"" },
        { { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"" },
        { { "\0\x1f\x7f", 3 }, "\"\\u0000\\u001f\\u007f\"" },
        { { "gr\xc3\xbc\xc3\x9f", 6 }, "\"gr\xc3\xbc\xc3\x9f\"" },
        { { "\xe2\x82\xac \xf0\x9f\x98\x80", 8 }, "\"\xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { { "\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0", 8 }, "\"\\u0080\\u0085\\u009f\xc2\xa0\"" },
        { { "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 12 }, "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"" },
        /* each maximal ill-formed subsequence is one U+FFFD */
        { { "\xff", 1 }, "\"\xef\xbf\xbd\"" },
        { { "\xe2\x82", 2 }, "\"\xef\xbf\xbd\"" },
        { { "\xe2\x82\"", 3 }, "\"\xef\xbf\xbd\\\"\"" },
        { { "\xc0\xaf", 2 }, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "\xed\xa0\x80", 3 }, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "\xf4\x90\x80\x80", 4 }, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "\xf0\x9f\x98x", 4 }, "\"\xef\xbf\xbdx\"" },
        { { "\xf4\x8f\xbf\xbf\xef\xbf\xbf", 7 }, "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        struct json j = { .out = &b };
        buf_init(&b, NULL);
        json_str(&j, cases[i].in);
        json_end(&j);
        check_written(&j, cases[i].out);
        if (cases[i].in.n > 0)
            check_string(cases[i].in);
    }
}

/* Each byte at each place of a clean run, so that each way of copying meets it. */
static void each_byte_at_each_place(void **state)
{
    (void)state;
    char text[41];
    struct buf b;
    struct json j = { .out = &b };
    for (unsigned c = 0; c < 256; c++) {
        for (size_t n = 1; n < sizeof(text); n += 1 + n / 20) {
            for (size_t at = 0; at < n; at++) {
                char written[6 * sizeof(text) + 8], repaired[6 * sizeof(text) + 8];
                size_t w = 0, r = 0;
                memset(text, 'x', sizeof(text));
                text[at] = (char)c;
                buf_init(&b, NULL);
                json_str(&j, span_of(text, n));
                json_end(&j);
                json_model(span_of(text, n), written, &w, repaired, &r);
                assert_int_equal(buf_len(&b), w + 2);
                assert_memory_equal(buf_span(&b).p + 1, written, w);
                buf_free(&b);
            }
        }
    }
}

/* Each length that a way of copying begins or ends at; what needs care at each place of it, alone and with another. */
static void each_length(void **state)
{
    (void)state;
    static const char specials[] = "\"\\\n\x1f\x7f\x80\xc2\xe2\xff";
    for (size_t n = 1; n <= 70; n++) {
        char text[70];
        memset(text, '~', n);
        memset(text, ' ', n / 2);
        check_string(span_of(text, n));
        for (size_t at = 0; at < n; at++) {
            char clean = text[at], end = text[n - 1];
            text[at] = specials[(at + n) % (sizeof(specials) - 1)];
            check_string(span_of(text, n));
            text[n - 1] = specials[at % (sizeof(specials) - 1)];
            check_string(span_of(text, n));
            text[n - 1] = end;
            text[at] = clean;
        }
    }
}

/* All pairs of bytes, and all characters' encodings right and wrong behind three lead bytes of each kind. */
static void pairs_of_bytes(void **state)
{
    (void)state;
    static const char *const before[] = { "", "\xe2", "\xf0\x9f", "\xe2\x80" };
    for (size_t k = 0; k < ARRAY_LEN(before); k++) {
        for (unsigned v = 0; v < 65536; v += k == 0 ? 1 : 7) {
            char text[8], written[64], repaired[64];
            size_t n = strlen(before[k]), w = 0, r = 0;
            memcpy(text, before[k], n);
            text[n++] = (char)(v >> 8);
            text[n++] = (char)v;
            struct buf b;
            struct json j = { .out = &b };
            buf_init(&b, NULL);
            json_str(&j, span_of(text, n));
            json_end(&j);
            json_model(span_of(text, n), written, &w, repaired, &r);
            assert_int_equal(buf_len(&b), w + 2);
            assert_memory_equal(buf_span(&b).p + 1, written, w);
            buf_free(&b);
        }
    }
}

/* Around the size at which a string is written in chunks, with characters across the borders, and far beyond. */
static void long_strings(void **state)
{
    (void)state;
    static const char *const tiles[] = { "x",
                                         "\x01",
                                         "\xff",
                                         "\xc3\xbc",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\xe2\x82",
                                         "\xf0\x9f\x98",
                                         "\xc2\x85",
                                         "ab\"\xf0\x9f\x98\x80" };
    static const size_t sizes[] = { 1022, 1023, 1024, 1025, 1026, 1027, 1028, 2047, 2048, 2049, 70000 };
    char *text = malloc(80000);
    for (size_t t = 0; t < ARRAY_LEN(tiles); t++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                text[k] = tiles[t][k % strlen(tiles[t])];
            check_string(span_of(text, sizes[i]));
        }
    }
    free(text);
}

static void integers(void **state)
{
    (void)state;
    static const int64_t edges[] = {
        INT64_MIN, INT64_MIN + 1, -100, -99,       -10,           -9,       -1, 0, 1, 9, 10, 11,
        99,        100,           101,  INT32_MAX, INT64_MAX - 1, INT64_MAX
    };
    struct buf b;
    struct json j = { .out = &b };
    char want[32];
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        buf_init(&b, NULL);
        json_int(&j, edges[i]);
        snprintf(want, sizeof(want), "%lld", (long long)edges[i]);
        check_written(&j, want);
    }
    for (int64_t v = 1; v < INT64_MAX / 7; v = v * 3 + 1) {
        buf_init(&b, NULL);
        json_int(&j, -v);
        snprintf(want, sizeof(want), "%lld", (long long)-v);
        check_written(&j, want);
    }
}

static void milliseconds(void **state)
{
    (void)state;
    static const struct {
        usec_t us;
        const char *want;
    } cases[] = {
        { 0, "0" },
        { 1, "0.001" },
        { 10, "0.01" },
        { 100, "0.1" },
        { 999, "0.999" },
        { 1000, "1" },
        { 1234, "1.234" },
        { 1200, "1.2" },
        { 1050, "1.05" },
        { 5000, "5" },
        { 10000, "10" },
        { 100001, "100.001" },
        { -1, "-0.001" },
        { -1500, "-1.5" },
        { INT64_MAX, "9223372036854775.807" },
        { INT64_MIN, "-9223372036854775.808" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        struct json j = { .out = &b };
        buf_init(&b, NULL);
        json_ms(&j, cases[i].us);
        json_end(&j);
        struct json_object *o = parse(buf_span(&b));
        assert_true(json_object_get_double(o) == strtod(cases[i].want, NULL));
        json_object_put(o);
        check_written(&j, cases[i].want);
    }
}

static void check_time(usec_t t, struct json_time_cache *cache)
{
    char want[64], text[32];
    time_t second = (time_t)(t / USEC_PER_SEC);
    struct tm tm;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &tm));
    snprintf(want, sizeof(want), "\"%s.%06dZ\"", text, (int)(t % USEC_PER_SEC));
    struct buf b;
    struct json j = { .out = &b };
    buf_init(&b, NULL);
    json_time(&j, t, cache);
    check_written(&j, want);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        usec_t t;
        const char *want;
    } cases[] = {
        { INT64_C(1772533815100000), "\"2026-03-03T10:30:15.100000Z\"" },
        { 0, "\"1970-01-01T00:00:00.000000Z\"" },
        { 1, "\"1970-01-01T00:00:00.000001Z\"" },
        { INT64_C(951782400000000), "\"2000-02-29T00:00:00.000000Z\"" },
        { INT64_C(4107542399999999), "\"2100-02-28T23:59:59.999999Z\"" },
        { INT64_C(253402300799999999), "\"9999-12-31T23:59:59.999999Z\"" },
        { INT64_C(253402300800000000), "\"9999-12-31T23:59:59.999999Z\"" },
        { INT64_MAX, "\"9999-12-31T23:59:59.999999Z\"" },
        { -1, "\"1970-01-01T00:00:00.000000Z\"" },
        { INT64_MIN, "\"1970-01-01T00:00:00.000000Z\"" },
    };
    struct json_time_cache shared = { 0, { 0 } };
    struct buf b;
    struct json j = { .out = &b };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_time_cache fresh = { 0, { 0 } };
        buf_init(&b, NULL);
        json_time(&j, cases[i].t, &fresh);
        check_written(&j, cases[i].want);
        buf_init(&b, NULL);
        json_time(&j, cases[i].t, &shared);
        check_written(&j, cases[i].want);
    }
    /* forward, backward and within one second, over leap days */
    for (usec_t t = 0; t < 200 * 366 * (86400 * USEC_PER_SEC); t += 86399 * USEC_PER_SEC + 999 * USEC_PER_MSEC) {
        check_time(t, &shared);
        check_time(t + 5, &shared);
    }
    check_time(5, &shared);
}

/* The second is not formatted again while it lasts. */
static void time_uses_its_cache(void **state)
{
    (void)state;
    struct json_time_cache cache = { 0, { 0 } };
    struct buf b;
    struct json j = { .out = &b };
    buf_init(&b, NULL);
    json_time(&j, 7 * USEC_PER_SEC, &cache);
    json_end(&j);
    buf_free(&b);
    assert_int_equal(cache.second, 7);
    cache.text[0] = '9';
    json_time(&j, 7 * USEC_PER_SEC + 1, &cache);
    check_written(&j, "\"9970-01-01T00:00:07.000001Z\"");
    json_time(&j, 8 * USEC_PER_SEC, &cache);
    check_written(&j, "\"1970-01-01T00:00:08.000000Z\"");
}

static void commas(void **state)
{
    (void)state;
    struct buf b;
    struct json j = { .out = &b };
    struct json_time_cache cache = { 0, { 0 } };
    buf_init(&b, NULL);
    json_open(&j, '{');
    json_key(&j, SPAN_LIT("s"));
    json_str(&j, SPAN_LIT("{[:,"));
    json_key(&j, SPAN_LIT("i"));
    json_int(&j, 1);
    json_key(&j, SPAN_LIT("b"));
    json_bool(&j, true);
    json_key(&j, SPAN_LIT("o"));
    json_open(&j, '{');
    json_close(&j, '}');
    json_key(&j, SPAN_LIT("a"));
    json_open(&j, '[');
    json_ms(&j, 1);
    json_null(&j);
    json_bool(&j, false);
    json_str(&j, SPAN_LIT(","));
    json_str(&j, SPAN_LIT(""));
    json_time(&j, 0, &cache);
    json_open(&j, '[');
    json_close(&j, ']');
    json_open(&j, '{');
    json_key(&j, SPAN_LIT("x"));
    json_cat(&j, (struct span[]){ SPAN_LIT("p"), SPAN_LIT("q") }, 2);
    json_close(&j, '}');
    json_cat(&j, NULL, 0);
    json_close(&j, ']');
    json_close(&j, '}');
    json_end(&j);
    buf_append(&b, "\n", 1);
    json_open(&j, '{');
    json_close(&j, '}');
    json_end(&j);
    buf_append(&b, "\n@cee: ", 7);
    json_open(&j, '{');
    json_close(&j, '}');
    check_written(&j, "{\"s\":\"{[:,\",\"i\":1,\"b\":true,\"o\":{},\"a\":[0.001,null,false,\",\",\"\","
                      "\"1970-01-01T00:00:00.000000Z\",[],{\"x\":\"pq\"},\"\"]}\n{}\n@cee: {}");
}

/* A record's text stays whole where the buffer moves and grows while it is written. */
static void survives_growth(void **state)
{
    (void)state;
    struct buf b;
    struct json j = { .out = &b };
    char text[500];
    memset(text, 'q', sizeof(text));
    buf_init(&b, NULL);
    json_open(&j, '[');
    for (int i = 0; i < 1000; i++)
        json_str(&j, span_of(text, (size_t)(i % 500)));
    json_close(&j, ']');
    json_end(&j);
    struct json_object *o = parse(buf_span(&b));
    assert_int_equal(json_object_array_length(o), 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(json_object_get_string_len(json_object_array_get_idx(o, i)), i % 500);
    json_object_put(o);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_by_example),  cmocka_unit_test(each_byte_at_each_place),
        cmocka_unit_test(each_length),         cmocka_unit_test(pairs_of_bytes),
        cmocka_unit_test(long_strings),        cmocka_unit_test(integers),
        cmocka_unit_test(milliseconds),        cmocka_unit_test(times),
        cmocka_unit_test(time_uses_its_cache), cmocka_unit_test(commas),
        cmocka_unit_test(survives_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
