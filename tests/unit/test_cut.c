/* A record too long: one case for each step of events.md, and records that nothing sane would make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/record/cut.h"
#include "tests/unit/record_lines.h"

enum { RCPTS_MAX = 1000, TEXT_MAX = 66000 };
static char letters[TEXT_MAX], umlauts[TEXT_MAX], controls[TEXT_MAX], broken[TEXT_MAX];

static int fill(void **state)
{
    (void)state;
    memset(letters, 'x', sizeof(letters));
    memset(controls, 1, sizeof(controls));
    memset(broken, 0xff, sizeof(broken));
    for (size_t i = 0; i < sizeof(umlauts); i++)
        umlauts[i] = "\xc3\xa4"[i % 2];
    return 0;
}

/* Lengths of what a `message` record is made of; 0 leaves it out. */
struct shape {
    size_t msg, response, from, helo, header, rcpts, rcpt, anomalies, line, lines;
};

struct made {
    struct record r;
    struct record_rcpt rcpts[RCPTS_MAX];
    struct span anomalies[64];
    char reply[TEXT_MAX];
    struct smtp_reply lines;
};

static void put_text(struct record *r, enum record_key key, const char *text, size_t n)
{
    if (n > 0)
        record_str(r, key, span_of(text, n));
}

static void put_lists(struct made *m, const char *text, const struct shape *s)
{
    for (size_t i = 0; i < s->rcpts; i++)
        m->rcpts[i] = (struct record_rcpt){
            span_of(text, s->rcpt), STATUS_ACCEPTED, 250, SPAN_LIT("2.1.5"), span_of(text, s->response), false
        };
    for (size_t i = 0; i < s->anomalies; i++)
        m->anomalies[i] = SPAN_LIT("bare_lf_and_more");
    record_rcpts(&m->r, KEY_RCPT_TO, REC_RCPT_TO, m->rcpts, s->rcpts);
    record_int(&m->r, KEY_RCPT_COUNT, (int64_t)s->rcpts);
    record_rcpts(&m->r, KEY_RECIPIENTS, REC_RECIPIENTS, m->rcpts, s->rcpts);
    record_strs(&m->r, KEY_ANOMALIES, m->anomalies, s->anomalies);
}

/* In the order of a `message`, with the keys that join. */
static struct made *make(const char *text, const struct shape *s)
{
    struct made *m = malloc(sizeof(*m));
    struct record *r = &m->r;
    record_begin(r, TNX_MESSAGE, 0);
    record_cstr(r, KEY_COMPONENT, "smtptap");
    record_cstr(r, KEY_CID, "0b1k2f9s8d7a6c5e");
    record_cstr(r, KEY_TID, "0b1k2f9s8d7a6c5e.1");
    record_cstr(r, KEY_HOST, "2001:db8:1234:5678:9abc:def0:1234:5678");
    put_text(r, KEY_HELO, text, s->helo);
    put_text(r, KEY_MAIL_FROM, text, s->from);
    put_lists(m, text, s);
    record_cstr(r, KEY_STATUS, "accepted");
    record_int(r, KEY_CODE, 250);
    put_text(r, KEY_SMTP_RESPONSE, text, s->response);
    record_cstr(r, KEY_QUEUE_ID, "1A2B3C4D");
    record_cstr(r, KEY_MESSAGE_ID, "<x@example.com>");
    record_open(r, KEY_HEADERS);
    record_named(r, SPAN_LIT("from"), span_of(text, s->header));
    record_close(r);
    put_text(r, KEY_LINE, text, s->line);
    record_bool(r, KEY_SMTPUTF8, true);
    put_text(r, KEY_MSG, text, s->msg);
    return m;
}

/* The line of at most max octets with its plain tail, read. */
static struct json_object *cut_to(const struct record *r, size_t max, size_t tail_max)
{
    struct buf b;
    buf_init(&b, NULL);
    line_make(&b, r, max, tail_max);
    assert_true(buf_len(&b) - sizeof(LINE_TAIL) <= max - tail_max);
    struct json_object *o = line_parse(&b);
    assert_non_null(o);
    buf_free(&b);
    return o;
}

static size_t text_len(struct json_object *o, const char *path)
{
    struct json_object *at = line_at(o, path);
    return at != NULL ? (size_t)json_object_get_string_len(at) : 0;
}

static size_t list_len(struct json_object *o, const char *path)
{
    struct json_object *at = line_at(o, path);
    return at != NULL ? json_object_array_length(at) : 0;
}

static bool has_ellipsis(struct json_object *o, const char *path)
{
    size_t n = text_len(o, path);
    return n >= 3 && memcmp(line_text(o, path) + n - 3, "\xe2\x80\xa6", 3) == 0;
}

static void check_joined(struct json_object *o)
{
    assert_string_equal(line_text(o, "cid"), "0b1k2f9s8d7a6c5e");
    assert_string_equal(line_text(o, "tid"), "0b1k2f9s8d7a6c5e.1");
    assert_string_equal(line_text(o, "status"), "accepted");
    assert_string_equal(line_text(o, "code"), "250");
    assert_string_equal(line_text(o, "queue_id"), "1A2B3C4D");
    assert_string_equal(line_text(o, "message_id"), "<x@example.com>");
    assert_string_equal(line_text(o, "seq"), "42");
}

/* Octets of the whole line after the steps up to `step`. */
static size_t size_after(const struct record *r, unsigned step)
{
    struct arena mem;
    struct record cut;
    struct buf b;
    arena_init(&mem, NULL, 0);
    buf_init(&b, NULL);
    if (step > 0)
        record_cut(&cut, r, step, &mem);
    line_make(&b, step > 0 ? &cut : r, SIZE_MAX, RECORD_TAIL_PLAIN);
    size_t n = buf_len(&b) - sizeof(LINE_TAIL);
    buf_free(&b);
    arena_free(&mem);
    return n;
}

/* Everything over its limit. With a limit that just takes what i steps leave, i steps are made and no more: what is
 * left, and what `truncated_fields` says. */
static void test_order(void **state)
{
    (void)state;
    static const struct shape all = {
        .msg = 2000, .response = 700, .from = 500, .helo = 400, .header = 500, .rcpts = 40, .rcpt = 20, .anomalies = 40
    };
    static const struct {
        const char *name;
        size_t msg, response, from, helo, header, rcpts, recipients, anomalies;
        const char *marks;
    } cases[] = {
        { "whole", 2000, 700, 500, 400, 500, 40, 40, 40, "-" },
        { "msg", 1024, 700, 500, 400, 500, 40, 40, 40, "msg" },
        { "replies", 1024, 512, 500, 400, 500, 40, 40, 40, "recipients smtp_response msg" },
        { "addresses", 1024, 512, 320, 400, 500, 40, 40, 40, "mail_from recipients smtp_response msg" },
        { "names", 1024, 512, 320, 255, 500, 40, 40, 40, "helo mail_from recipients smtp_response msg" },
        { "headers", 1024, 512, 320, 255, 256, 40, 40, 40, "helo mail_from recipients smtp_response headers msg" },
        { "lists", 1024, 512, 320, 255, 256, 32, 32, 40,
          "helo mail_from rcpt_to recipients smtp_response headers msg" },
        { "no headers", 1024, 512, 320, 255, 0, 32, 32, 40,
          "helo mail_from rcpt_to recipients smtp_response headers msg" },
        { "no anomalies", 1024, 512, 320, 255, 0, 32, 32, 0,
          "helo mail_from rcpt_to recipients anomalies smtp_response headers msg" },
        { "no recipients", 1024, 512, 320, 255, 0, 32, 0, 0,
          "helo mail_from rcpt_to recipients anomalies smtp_response headers msg" },
    };
    struct made *m = make(letters, &all);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        char marks[256] = "";
        struct json_object *o = cut_to(&m->r, size_after(&m->r, i) + RECORD_TAIL_PLAIN, RECORD_TAIL_PLAIN);
        for (size_t k = 0; k < list_len(o, "truncated_fields"); k++) {
            strcat(marks, k > 0 ? " " : "");
            strcat(marks, json_object_get_string(json_object_array_get_idx(line_at(o, "truncated_fields"), k)));
        }
        assert_string_equal(marks[0] != '\0' ? marks : "-", cases[i].marks);
        assert_string_equal(line_text(o, "truncated"), i > 0 ? "true" : "-");
        assert_int_equal(text_len(o, "msg"), cases[i].msg);
        assert_int_equal(text_len(o, "smtp_response"), cases[i].response);
        assert_int_equal(text_len(o, "recipients.0.reply"), cases[i].recipients > 0 ? cases[i].response : 0);
        assert_int_equal(text_len(o, "mail_from"), cases[i].from);
        assert_int_equal(text_len(o, "helo"), cases[i].helo);
        assert_int_equal(text_len(o, "headers.from"), cases[i].header);
        assert_int_equal(list_len(o, "rcpt_to"), cases[i].rcpts);
        assert_int_equal(list_len(o, "recipients"), cases[i].recipients);
        assert_int_equal(list_len(o, "anomalies"), cases[i].anomalies);
        assert_string_equal(line_text(o, "rcpt_count"), "40");
        assert_int_equal(has_ellipsis(o, "msg"), i >= 1);
        assert_int_equal(has_ellipsis(o, "mail_from"), i >= 3);
        check_joined(o);
        json_object_put(o);
    }
    free(m);
}

/* The marks stand before `msg`, and nothing else moves. */
static void test_place_of_marks(void **state)
{
    (void)state;
    char keys[512];
    struct buf b;
    struct made *m = make(letters, &(struct shape){ .msg = 9000, .helo = 10, .from = 10, .rcpts = 1, .rcpt = 5 });
    buf_init(&b, NULL);
    line_make(&b, &m->r, 8000, RECORD_TAIL_PLAIN);
    line_keys(buf_span(&b), keys);
    assert_string_equal(keys,
                        "time level component tnx cid tid host helo mail_from rcpt_to rcpt_count recipients "
                        "anomalies status code queue_id message_id headers smtputf8 truncated truncated_fields msg "
                        "run seq ");
    buf_free(&b);
    free(m);
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t max;
        const char *want;
    } cases[] = {
        { "abcdef", 6, "abcdef" },
        { "abcdefg", 6, "abc\xe2\x80\xa6" },
        { "", 6, "" },
        { "\xc3\xa4\xc3\xb6\xc3\xbc", 6, "\xc3\xa4\xc3\xb6\xc3\xbc" },
        { "\xc3\xa4\xc3\xb6\xc3\xbcx", 6, "\xc3\xa4\xe2\x80\xa6" },
        { "ab\xf0\x9f\x98\x80xyz", 8, "ab\xe2\x80\xa6" },
        { "ab\xf0\x9f\x98\x80xyz", 9, "ab\xf0\x9f\x98\x80xyz" },
        { "\"\"\"", 6, "\"\"\"" },
        { "\"\"\"\"", 6, "\"\xe2\x80\xa6" },
        { "\x01\x02", 12, "\x01\x02" },
        { "\x01\x02", 11, "\x01\xe2\x80\xa6" },
        { "\xff\xff", 6, "\xff\xff" },
        { "\xff\xff", 5, "\xe2\x80\xa6" },
        { "\xe2\x80\xa8x", 7, "\xe2\x80\xa8x" },
        { "\xe2\x80\xa8x", 6, "\xe2\x80\xa6" },
    };
    struct arena mem;
    arena_init(&mem, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span got = record_cut_text(span_str(cases[i].in), cases[i].max, &mem);
        assert_int_equal(got.n, strlen(cases[i].want));
        assert_memory_equal(got.p, cases[i].want, got.n);
    }
    arena_free(&mem);
}

/* Every limit, each kind of text, each tail: valid, short enough, the join keys whole. */
static void test_absurd(void **state)
{
    (void)state;
    static const char *const texts[] = { letters, umlauts, controls, broken };
    static const size_t limits[] = { 1024, 1025, 1500, 2048, 4096, 8000, 65536, 300000 };
    static const struct shape shapes[] = {
        { .msg = 65000,
          .response = 61000,
          .from = 2000,
          .helo = 2000,
          .header = 4000,
          .rcpts = 1000,
          .rcpt = 2000,
          .anomalies = 64,
          .line = 12000 },
        { .rcpts = 1000, .rcpt = 10 },
        { .line = 65000, .msg = 65000 },
        { .header = 65000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts) * ARRAY_LEN(shapes); i++) {
        struct made *m = make(texts[i % ARRAY_LEN(texts)], &shapes[i / ARRAY_LEN(texts)]);
        for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
            struct json_object *o = cut_to(&m->r, limits[k], k % 2 ? RECORD_TAIL_PLAIN : RECORD_TAIL_MAX);
            check_joined(o);
            if (line_at(o, "rcpt_count") != NULL && limits[k] >= 8000)
                assert_int_equal(json_object_get_int(line_at(o, "rcpt_count")), i / ARRAY_LEN(texts) < 2 ? 1000 : 0);
            json_object_put(o);
        }
        free(m);
    }
}

/* The bound holds where even the join keys are nonsense; less than the least limit is the least limit. */
static void test_floor(void **state)
{
    (void)state;
    static const enum record_key keys[] = { KEY_COMPONENT, KEY_CID,     KEY_TID,      KEY_SIDE,     KEY_USER,
                                            KEY_HOST,      KEY_SUBJECT, KEY_STATUS,   KEY_QUEUE_ID, KEY_MESSAGE_ID,
                                            KEY_LINE,      KEY_HELO,    KEY_LISTENER, KEY_ADDRESS,  KEY_MAIL_FROM };
    const char *const texts[] = { letters, umlauts, controls, broken };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct record r;
        record_begin(&r, TNX_CONNECTION, INT64_MAX);
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            record_str(&r, keys[k], span_of(texts[i], 3000));
        record_int(&r, KEY_CODE, INT64_MIN);
        record_cat(&r, KEY_MSG, &(struct span){ texts[i], 3000 }, 1);
        for (size_t max = 0; max <= RECORD_MIN_MAX; max += 512) {
            struct buf b;
            buf_init(&b, NULL);
            line_make(&b, &r, max, RECORD_TAIL_MAX);
            assert_true(buf_len(&b) - sizeof(LINE_TAIL) <= RECORD_CUT_LAST);
            struct json_object *o = line_parse(&b);
            assert_non_null(o);
            assert_string_equal(line_text(o, "truncated"), "true");
            json_object_put(o);
            buf_free(&b);
        }
    }
}

/* A long reply with many lines. */
static void test_lines(void **state)
{
    (void)state;
    static char wire[65000];
    size_t n = 0, lines = 0;
    for (; n + 9 <= sizeof(wire); n += 9, lines++)
        memcpy(wire + n, "250-abc\r\n", 9);
    wire[n - 6] = ' ';
    struct smtp_reply reply = smtp_reply_read(span_of(wire, n));
    struct record r;
    record_begin(&r, TNX_SEND, 0);
    record_int(&r, KEY_CODE, 250);
    record_reply_lines(&r, KEY_LINES, &reply);
    record_cstr(&r, KEY_MSG, "S: 250 abc");
    struct json_object *o = cut_to(&r, 100000, RECORD_TAIL_PLAIN);
    assert_int_equal(list_len(o, "lines"), lines);
    assert_null(line_at(o, "truncated"));
    json_object_put(o);
    o = cut_to(&r, 8000, RECORD_TAIL_PLAIN);
    assert_int_equal(list_len(o, "lines"), 32);
    assert_string_equal(line_text(o, "truncated_fields.0"), "lines");
    assert_string_equal(line_text(o, "msg"), "S: 250 abc");
    json_object_put(o);
}

/* Marks that the maker put are kept once, beside those of the cut. */
static void test_marks_before(void **state)
{
    (void)state;
    static const struct span names[] = { SPAN_LIT("smtp_response"), SPAN_LIT("msg") };
    struct record r;
    record_begin(&r, TNX_RCPT, 0);
    record_str(&r, KEY_HELO, span_of(letters, 9000));
    record_cstr(&r, KEY_SMTP_RESPONSE, "250 ok");
    record_bool(&r, KEY_TRUNCATED, true);
    record_strs(&r, KEY_TRUNCATED_FIELDS, names, 2);
    record_str(&r, KEY_MSG, span_of(letters, 9000));
    struct json_object *o = cut_to(&r, 8000, RECORD_TAIL_PLAIN);
    assert_int_equal(list_len(o, "truncated_fields"), 3);
    assert_string_equal(line_text(o, "truncated_fields.0"), "helo");
    assert_string_equal(line_text(o, "truncated_fields.1"), "smtp_response");
    assert_string_equal(line_text(o, "truncated_fields.2"), "msg");
    json_object_put(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),        cmocka_unit_test(test_place_of_marks), cmocka_unit_test(test_text),
        cmocka_unit_test(test_absurd),       cmocka_unit_test(test_floor),          cmocka_unit_test(test_lines),
        cmocka_unit_test(test_marks_before),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
