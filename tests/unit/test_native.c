/* Lines of format native: exact text, strings that want to break out, and the bound on length. json-c reads every
 * line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/record/native.h"
#include "tests/unit/json_model.h"
#include "tests/unit/record_lines.h"
#include "tests/unit/record_model.h"

#define TIME INT64_C(1772533830500123) /* 2026-03-03T10:30:30.500123Z */
#define HEAD(level, tnx)                                                                                               \
    "{\"time\":\"2026-03-03T10:30:30.500123Z\",\"level\":\"" level "\",\"component\":\"smtptap\",\"tnx\":\"" tnx "\""

static void begin(struct record *r, enum tnx tnx)
{
    record_begin(r, tnx, TIME);
    record_cstr(r, KEY_COMPONENT, "smtptap");
}

static void check_line(const struct record *r, const char *want)
{
    struct buf b;
    buf_init(&b, NULL);
    line_make(&b, r, 8000, RECORD_TAIL_PLAIN);
    assert_int_equal(buf_len(&b), strlen(want) + sizeof(LINE_TAIL));
    assert_memory_equal(buf_span(&b).p, want, strlen(want));
    struct json_object *o = line_parse(&b);
    assert_non_null(o);
    json_object_put(o);
    buf_free(&b);
}

static void test_command(void **state)
{
    (void)state;
    static const struct span msg[] = { SPAN_LIT("C: "), SPAN_LIT("MAIL FROM:<a@b>") };
    struct record r;
    begin(&r, TNX_COMMAND);
    record_cstr(&r, KEY_CID, "0b1k2f9s8d7a6c5e");
    record_cstr(&r, KEY_TID, "0b1k2f9s8d7a6c5e.1");
    record_side(&r, SIDE_CLIENT);
    record_cstr(&r, KEY_USER, "joe");
    record_cstr(&r, KEY_HOST, "203.0.113.45");
    record_cstr(&r, KEY_COMMAND, "MAIL");
    record_str(&r, KEY_LINE, msg[1]);
    record_cat(&r, KEY_MSG, msg, 2);
    check_line(&r, HEAD("debug", "command") ",\"cid\":\"0b1k2f9s8d7a6c5e\",\"tid\":\"0b1k2f9s8d7a6c5e.1\","
                                            "\"side\":\"client\",\"user\":\"joe\",\"host\":\"203.0.113.45\","
                                            "\"command\":\"MAIL\",\"line\":\"MAIL FROM:<a@b>\","
                                            "\"msg\":\"C: MAIL FROM:<a@b>\"");
}

static void test_send(void **state)
{
    (void)state;
    struct smtp_reply reply = smtp_reply_read(SPAN_LIT("250-2.1.0 one\r\n250-\r\n250 2.1.0 two \"2\"\r\n"));
    struct record r;
    begin(&r, TNX_SEND);
    record_int(&r, KEY_CODE, reply.code);
    record_cstr(&r, KEY_ENHANCED, reply.enhanced);
    record_reply_lines(&r, KEY_LINES, &reply);
    record_ms(&r, KEY_MS, 1250);
    record_cstr(&r, KEY_MSG, "S: 250 one");
    check_line(&r,
               HEAD("debug", "send") ",\"code\":250,\"enhanced\":\"2.1.0\",\"lines\":[\"one\",\"\",\"two \\\"2\\\"\"],"
                                     "\"ms\":1.25,\"msg\":\"S: 250 one\"");
}

static void test_nesting(void **state)
{
    (void)state;
    static const struct span offered[] = { SPAN_LIT("SIZE"), SPAN_LIT("DSN") };
    static const struct record_rcpt rcpts[] = {
        { SPAN_LIT("a@b"), STATUS_ACCEPTED, 250, SPAN_LIT("2.1.5"), SPAN_LIT("Ok"), false },
        { SPAN_LIT("c@d"), STATUS_REJECTED, 550, SPAN_LIT(""), SPAN_LIT(""), false },
        { SPAN_LIT("e@f"), STATUS_RESET, 0, SPAN_LIT(""), SPAN_LIT(""), false },
    };
    struct record r;
    begin(&r, TNX_CAPS);
    record_strs(&r, KEY_OFFERED, offered, 2);
    record_strs(&r, KEY_UPSTREAM, NULL, 0);
    record_open_list(&r, KEY_WITHHELD);
    for (int i = 0; i < 2; i++) {
        record_open_member(&r);
        record_cstr(&r, KEY_KEYWORD, "CHUNKING");
        record_bool(&r, KEY_OK, i == 0);
        record_close(&r);
    }
    record_close_list(&r);
    record_rcpts(&r, KEY_RCPT_TO, REC_RCPT_TO, rcpts, 3);
    record_rcpts(&r, KEY_RECIPIENTS, REC_RECIPIENTS, rcpts, 3);
    record_null(&r, KEY_QUEUE_ID);
    record_open(&r, KEY_HEADERS);
    record_named(&r, SPAN_LIT("x-\"quoted"), SPAN_LIT("v"));
    record_named(&r, SPAN_LIT("from"), SPAN_LIT(""));
    record_close(&r);
    record_open(&r, KEY_UPSTREAM);
    record_open(&r, KEY_TLS);
    record_close(&r);
    record_int(&r, KEY_PORT, -1);
    record_close(&r);
    check_line(&r, HEAD("debug", "caps") ",\"offered\":[\"SIZE\",\"DSN\"],\"upstream\":[],"
                                         "\"withheld\":[{\"keyword\":\"CHUNKING\",\"ok\":true},"
                                         "{\"keyword\":\"CHUNKING\",\"ok\":false}],"
                                         "\"rcpt_to\":[\"a@b\",\"c@d\",\"e@f\"],\"recipients\":["
                                         "{\"address\":\"a@b\",\"status\":\"accepted\",\"code\":250,"
                                         "\"enhanced\":\"2.1.5\",\"reply\":\"Ok\"},"
                                         "{\"address\":\"c@d\",\"status\":\"rejected\",\"code\":550,\"reply\":\"\"},"
                                         "{\"address\":\"e@f\",\"status\":\"reset\"}],\"queue_id\":null,"
                                         "\"headers\":{\"x-\\\"quoted\":\"v\",\"from\":\"\"},"
                                         "\"upstream\":{\"tls\":{},\"port\":-1}");
}

static void test_levels(void **state)
{
    (void)state;
    struct record r;
    begin(&r, TNX_ERROR);
    check_line(&r, HEAD("error", "error"));
    begin(&r, TNX_CLOSED);
    check_line(&r, HEAD("info", "closed"));
    record_begin(&r, TNX_CLOSED, TIME);
    record_cstr(&r, KEY_MSG, "Bye");
    check_line(&r, "{\"time\":\"2026-03-03T10:30:30.500123Z\",\"level\":\"info\",\"tnx\":\"closed\",\"msg\":\"Bye\"");
}

/* What was in the buffer stays, also where the record is written more than once to fit. */
static void test_behind_others(void **state)
{
    (void)state;
    static char big[9000];
    struct record r;
    struct buf b;
    memset(big, 'x', sizeof(big));
    begin(&r, TNX_ERROR);
    record_str(&r, KEY_MSG, span_of(big, sizeof(big)));
    buf_init(&b, NULL);
    buf_append(&b, "gone}kept\n", 10);
    buf_consume(&b, 5);
    line_make(&b, &r, 8000, RECORD_TAIL_PLAIN);
    assert_memory_equal(buf_span(&b).p, "kept\n{\"time\"", 12);
    buf_consume(&b, 5);
    struct json_object *o = line_parse(&b);
    assert_non_null(o);
    assert_int_equal(strlen(line_text(o, "msg")), 1024);
    json_object_put(o);
    buf_free(&b);
}

/* Each string at every place that takes one: reads back repaired, and no key comes of it. */
static void check_hostile(struct span s)
{
    char written[256], repaired[256], keys[256];
    size_t w = 0, n = 0;
    struct record_rcpt rcpt = { s, STATUS_ACCEPTED, 250, s, s, false };
    struct record r;
    struct buf b;
    json_model(s, written, &w, repaired, &n);
    begin(&r, TNX_MESSAGE);
    record_str(&r, KEY_HELO, s);
    record_strs(&r, KEY_OFFERED, &s, 1);
    record_rcpts(&r, KEY_RCPT_TO, REC_RCPT_TO, &rcpt, 1);
    record_rcpts(&r, KEY_RECIPIENTS, REC_RECIPIENTS, &rcpt, 1);
    record_open(&r, KEY_HEADERS);
    record_named(&r, SPAN_LIT("x-a"), s);
    record_close(&r);
    record_cat(&r, KEY_MSG, &s, 1);
    buf_init(&b, NULL);
    line_make(&b, &r, 8000, RECORD_TAIL_PLAIN);
    for (size_t i = 0; i + 1 < buf_len(&b); i++)
        assert_true((unsigned char)buf_span(&b).p[i] >= 0x20 && buf_span(&b).p[i] != 0x7f);
    line_keys(buf_span(&b), keys);
    assert_string_equal(keys, "time level component tnx helo offered rcpt_to recipients headers msg run seq ");
    struct json_object *o = line_parse(&b);
    assert_non_null(o);
    static const char *const places[] = {
        "helo", "offered.0", "rcpt_to.0", "recipients.0.address", "recipients.0.reply", "headers.x-a", "msg"
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct json_object *at = line_at(o, places[i]);
        assert_int_equal(json_object_get_string_len(at), n);
        assert_memory_equal(json_object_get_string(at), repaired, n);
    }
    json_object_put(o);
    buf_free(&b);
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct span strings[] = {
        SPAN_LIT("x\",\"tid\":\"forged"),
        SPAN_LIT("\\\",\"seq\":1}\n{\"time\":0"),
        SPAN_LIT("a\r\nb\0c\x1b[31mred\x7f"),
        SPAN_LIT("\xff\xfe\xc3(\xe2\x82 \xf0\x9f\x92\xc2\x9b\xe2\x80\xa8"),
        SPAN_LIT("J\xc3\xb6rg \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80\\"),
        SPAN_LIT("ends in a lead byte\xe2\x80"),
        SPAN_LIT(""),
    };
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        check_hostile(strings[i]);
}

/* Numbers that look like chance and are the same every time. */
static unsigned chance(unsigned below)
{
    static uint64_t state = 42;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % below;
}

enum { TEXT_MAX = 3000, TEXTS = 64 };
static char texts[TEXTS][TEXT_MAX];
static unsigned texts_used;

/* Mostly clean and short, as in life. */
static struct span any_text(void)
{
    static const char *const specials[] = { "\"",   "\\",   "\n",       "\x1f",         "\x7f",     "\x80",
                                            "\xc3", "\xff", "\xc2\x85", "\xe2\x80\xa8", "\xf0\x9f", "\xc3\xbc" };
    char *text = texts[texts_used++ % TEXTS];
    size_t n = chance(40) == 0 ? chance(TEXT_MAX) : chance(4) == 0 ? 1020 + chance(10) : chance(71);
    n = n > 1000 && chance(4) > 0 ? chance(71) : n;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(' ' + 1 + i % 90 + (i % 90 == 1 || i % 90 == 59)); /* neither quote nor backslash */
    for (unsigned k = chance(3) == 0 ? 1 + chance(6) : 0; k > 0 && n > 0; k--) {
        const char *special = specials[chance(ARRAY_LEN(specials))];
        size_t at = chance((unsigned)n);
        memcpy(text + at, special, min_size(strlen(special), n - at));
    }
    return span_of(text, n);
}

static int64_t any_number(void)
{
    static const int64_t tens[] = { 1, 10, 100, 1000, 1000000, INT64_C(1000000000000), INT64_MAX / 4 };
    int64_t v = tens[chance(ARRAY_LEN(tens))] + (int64_t)chance(3) - 1;
    return chance(4) > 0 ? v * (1 + (int64_t)chance(2)) : -v;
}

static const struct span *any_list(size_t *n)
{
    static struct span lists[8][4];
    static unsigned used;
    struct span *list = lists[used++ % ARRAY_LEN(lists)];
    *n = chance(5);
    for (size_t i = 0; i < *n; i++)
        list[i] = any_text();
    return list;
}

static const struct record_rcpt *any_rcpts(size_t *n)
{
    static struct record_rcpt lists[8][4];
    static unsigned used;
    struct record_rcpt *list = lists[used++ % ARRAY_LEN(lists)];
    *n = chance(5);
    for (size_t i = 0; i < *n; i++)
        list[i] = (struct record_rcpt){ .address = any_text(),
                                        .status = (enum txn_status)chance(STATUS_COUNT),
                                        .code = chance(2) ? 250 : 0,
                                        .enhanced = chance(2) ? SPAN_LIT("2.1.5") : SPAN_NONE,
                                        .reply = chance(2) ? any_text() : SPAN_NONE,
                                        .hidden = chance(4) == 0 };
    return list;
}

static void add_value(struct record *r, enum record_key key, const struct smtp_reply *reply)
{
    size_t n;
    switch (chance(10)) {
    case 0:
        record_int(r, key, any_number());
        break;
    case 1:
        record_ms(r, key, any_number());
        break;
    case 2:
        record_bool(r, key, chance(2));
        break;
    case 3:
        record_null(r, key);
        break;
    case 4:
        record_reply_lines(r, key, reply);
        break;
    case 5: {
        const struct record_rcpt *list = any_rcpts(&n);
        record_rcpts(r, key, chance(2) ? REC_RCPT_TO : REC_RECIPIENTS, list, n);
        break;
    }
    case 6:
    case 7: {
        const struct span *list = any_list(&n);
        (chance(2) ? record_cat : record_strs)(r, key, list, n);
        break;
    }
    default:
        record_str(r, key, any_text());
    }
}

static enum record_key any_key(void) { return (enum record_key)(KEY_CID + chance(KEY_TRUNCATED - KEY_CID)); }

static void add_object(struct record *r, const struct smtp_reply *reply)
{
    for (unsigned i = chance(4); i > 0; i--)
        add_value(r, any_key(), reply);
    record_open(r, any_key());
    record_close(r);
    if (chance(2))
        record_named(r, SPAN_LIT("x-\"\xff"), any_text());
}

/* Values of each kind at the top, in objects, and in lists of objects; empty ones of each. */
static void make_any(struct record *r, const struct smtp_reply *reply)
{
    record_begin(r, (enum tnx)chance(TNX_COUNT), TIME + chance(2000000));
    if (chance(4) > 0)
        record_str(r, KEY_COMPONENT, any_text());
    for (unsigned i = chance(12); i > 0; i--) {
        unsigned kind = chance(12);
        if (kind == 0) {
            record_open(r, any_key());
            add_object(r, reply);
            record_close(r);
        } else if (kind == 1) {
            record_open_list(r, any_key());
            for (unsigned k = chance(4); k > 0; k--) {
                record_open_member(r);
                if (chance(3) > 0)
                    add_object(r, reply);
                record_close(r);
            }
            record_close_list(r);
        } else {
            add_value(r, any_key(), reply);
        }
    }
    if (chance(4) > 0)
        record_str(r, KEY_MSG, any_text());
}

static void check_against_model(const struct record *r, size_t max_record, size_t tail_max)
{
    struct json_time_cache cache = { 0 };
    struct buf line, want;
    buf_init(&line, NULL);
    buf_init(&want, NULL);
    record_write_native(&line, r, max_record, tail_max, &cache);
    model_line(&want, r, max_record, tail_max);
    assert_int_equal(buf_len(&line), buf_len(&want));
    assert_memory_equal(buf_span(&line).p, buf_span(&want).p, buf_len(&want));
    buf_free(&line);
    buf_free(&want);
}

/* Also cut: just fitting, one octet too long, and to any length. */
static void test_any_record(void **state)
{
    (void)state;
    struct smtp_reply reply = smtp_reply_read(SPAN_LIT("250-2.1.0 one\r\n250-\r\n250 2.1.0 t\xc3\xbc \"2\"\r\n"));
    struct record r;
    for (unsigned i = 0; i < 4000; i++) {
        struct buf whole;
        make_any(&r, &reply);
        check_against_model(&r, 1 << 20, RECORD_TAIL_PLAIN);
        buf_init(&whole, NULL);
        model_whole(&whole, &r);
        size_t exact = buf_len(&whole) + RECORD_TAIL_PLAIN;
        buf_free(&whole);
        check_against_model(&r, exact, RECORD_TAIL_PLAIN);
        check_against_model(&r, exact - 1, RECORD_TAIL_PLAIN);
        check_against_model(&r, RECORD_MIN_MAX + chance(3000), RECORD_TAIL_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),    cmocka_unit_test(test_send),          cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_levels),     cmocka_unit_test(test_behind_others), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_any_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
