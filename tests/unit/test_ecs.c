/* Lines of format ecs: exact text of some, and of every kind of record that all of it is there, under listed fields
 * with their types. json-c reads every line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/record/ecs.h"
#include "tests/unit/ecs_model.h"
#include "tests/unit/record_lines.h"
#include "tests/unit/record_samples.h"

#define ECS_TAIL ",\"smtptap.run\":\"0b1k2f9s\",\"event.sequence\":42}"
#define HEAD "{\"@timestamp\":\"2026-03-03T10:30:30.500123Z\",\"log.level\":"
#define KIND(category, type, dataset, tnx)                                                                             \
    ",\"ecs.version\":\"9.4.0\",\"observer.product\":\"smtptap\",\"observer.type\":\"proxy\",\"event.kind\":"          \
    "\"event\","                                                                                                       \
    "\"event.category\":[" category "],\"event.type\":[" type "],\"event.dataset\":\"smtptap." dataset                 \
    "\",\"event.action\":\"" tnx "\",\"smtptap.tnx\":\"" tnx "\",\"observer.name\":\"smtptap\""

static void ecs_make(struct buf *out, const struct record *r, size_t max_record, size_t tail_max)
{
    struct json_time_cache cache = { 0 };
    record_ecs.write(out, r, max_record, tail_max, &cache);
    assert_true(buf_len(out) + tail_max <= max_size(max_record, RECORD_ECS_MIN_MAX) || max_record == SIZE_MAX);
    buf_append(out, ECS_TAIL, sizeof(ECS_TAIL));
}

static void check_line(const struct record *r, const char *want)
{
    struct buf b;
    buf_init(&b, NULL);
    ecs_make(&b, r, 8000, RECORD_ECS_TAIL_PLAIN);
    assert_string_equal(buf_span(&b).p, want);
    json_object_put(line_parse(&b));
    buf_free(&b);
}

static void begin(struct record *r, enum tnx tnx)
{
    record_begin(r, tnx, INT64_C(1772533830500123));
    record_cstr(r, KEY_COMPONENT, "smtptap");
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
    check_line(&r, HEAD "\"debug\",\"message\":\"C: MAIL FROM:<a@b>\"" KIND(
                       "\"network\"", "\"protocol\"", "dialogue",
                       "command") ",\"smtptap.cid\":\"0b1k2f9s8d7a6c5e\",\"transaction.id\":\"0b1k2f9s8d7a6c5e.1\","
                                  "\"smtptap.side\":\"client\",\"user.name\":\"joe\",\"related.user\":[\"joe\"],"
                                  "\"source.address\":\"203.0.113.45\",\"client.address\":\"203.0.113.45\","
                                  "\"source.ip\":\"203.0.113.45\",\"client.ip\":\"203.0.113.45\",\"related.ip\":[\"203."
                                  "0.113.45\"],"
                                  "\"network.type\":\"ipv4\",\"smtptap.command\":\"MAIL\",\"smtptap.line\":\"MAIL "
                                  "FROM:<a@b>\"" ECS_TAIL);
}

/* What a host may be other than an address stands in no `ip` field. */
static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *want;
    } row[] = {
        { "unix", ",\"source.address\":\"unix\",\"client.address\":\"unix\"" },
        { "", ",\"source.address\":\"\",\"client.address\":\"\"" },
        { "1.2.3.4.5", ",\"source.address\":\"1.2.3.4.5\",\"client.address\":\"1.2.3.4.5\"" },
        { "1.2.3.4\"", ",\"source.address\":\"1.2.3.4\\\"\",\"client.address\":\"1.2.3.4\\\"\"" },
        { "2001:db8::1", ",\"source.address\":\"2001:db8::1\",\"client.address\":\"2001:db8::1\","
                         "\"source.ip\":\"2001:db8::1\",\"client.ip\":\"2001:db8::1\","
                         "\"related.ip\":[\"2001:db8::1\"],\"network.type\":\"ipv6\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        char want[1024];
        struct record r;
        begin(&r, TNX_CLOSED);
        record_cstr(&r, KEY_HOST, row[i].host);
        record_cstr(&r, KEY_MSG, "x");
        snprintf(want, sizeof(want), "%s%s%s%s",
                 HEAD "\"info\",\"message\":\"x\"" KIND("\"process\"", "\"end\"", "server", "closed"), row[i].want,
                 ECS_TAIL, "");
        check_line(&r, want);
    }
}

static const char *outcome_of(const struct record *r)
{
    static char kept[16];
    struct buf b;
    buf_init(&b, NULL);
    ecs_make(&b, r, 8000, RECORD_ECS_TAIL_PLAIN);
    struct json_object *o = line_parse(&b);
    assert_non_null(o);
    struct json_object *v;
    snprintf(kept, sizeof(kept), "%s",
             json_object_object_get_ex(o, "event.outcome", &v) ? json_object_get_string(v) : "-");
    json_object_put(o);
    buf_free(&b);
    return kept;
}

static void test_outcome(void **state)
{
    (void)state;
    static const char *const want[STATUS_COUNT] = {
        [STATUS_ACCEPTED] = "success", [STATUS_DEFERRED] = "failure",      [STATUS_REJECTED] = "failure",
        [STATUS_ABORTED] = "failure",  [STATUS_INDETERMINATE] = "unknown", [STATUS_RESET] = "unknown"
    };
    struct record r;
    for (enum txn_status s = 0; s < STATUS_COUNT; s++) {
        begin(&r, TNX_MESSAGE);
        record_cstr(&r, KEY_STATUS, status_word(s));
        record_int(&r, KEY_CODE, 250);
        assert_string_equal(outcome_of(&r), want[s]);
    }
    for (int code = 250; code < 600; code += 100) {
        begin(&r, TNX_SEND);
        record_int(&r, KEY_CODE, code);
        assert_string_equal(outcome_of(&r), code < 400 ? "success" : "failure");
    }
    begin(&r, TNX_ERROR);
    assert_string_equal(outcome_of(&r), "failure");
    begin(&r, TNX_CLOSE);
    assert_string_equal(outcome_of(&r), "-");
}

static struct span plain_text(void *arg, enum record_key key)
{
    (void)arg;
    return key == KEY_HOST      ? SPAN_LIT("203.0.113.45")
           : key == KEY_LINES   ? SPAN_LIT("250-2.1.0 one\r\n250 2.1.0 two\r\n")
           : key == KEY_MESSAGE ? SPAN_LIT("it broke")
                                : record_key_word(key);
}

static void check_no_doubles(struct span line)
{
    static char keys[16384];
    char seen[16384] = " ";
    line_keys(line, keys);
    for (char *save, *key = strtok_r(keys, " ", &save); key != NULL; key = strtok_r(NULL, " ", &save)) {
        char as_word[128];
        snprintf(as_word, sizeof(as_word), " %s ", key);
        if (strstr(seen, as_word) != NULL)
            fail_msg("%s stands twice", key);
        strcat(seen, as_word + 1);
    }
}

static void check_kind(enum tnx tnx, enum side side)
{
    struct sample s = { .source = plain_text };
    struct buf native, ecs;
    buf_init(&native, NULL);
    buf_init(&ecs, NULL);
    sample_make(&s, tnx, side);
    line_make(&native, &s.r, SIZE_MAX, RECORD_TAIL_PLAIN);
    ecs_make(&ecs, &s.r, SIZE_MAX, RECORD_ECS_TAIL_PLAIN);
    check_no_doubles(buf_span(&ecs));
    struct json_object *a = line_parse(&native), *b = line_parse(&ecs);
    assert_non_null(a);
    assert_non_null(b);
    ecs_check_fields(b);
    ecs_check_map(a, b);
    json_object_put(a);
    json_object_put(b);
    buf_free(&native);
    buf_free(&ecs);
}

static void test_all_kinds(void **state)
{
    (void)state;
    for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++) {
        check_kind(tnx, SIDE_NONE);
        check_kind(tnx, SIDE_CLIENT);
        check_kind(tnx, SIDE_UPSTREAM);
    }
}

/* Rows that no kind of record uses would be slips. */
static void test_rows_are_listed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ecs_rows); i++) {
        if (ecs_field_find(ecs_rows[i].field) == NULL)
            fail_msg("%s is not in ecs_fields.tsv", ecs_rows[i].field);
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(ecs_rows[i].scope, ecs_rows[k].scope) == 0 &&
                         strcmp(ecs_rows[i].key, ecs_rows[k].key) == 0);
    }
}

/* No field is both a value and an object. */
static void test_no_field_is_an_object_too(void **state)
{
    (void)state;
    ecs_fields_load();
    for (size_t i = 0; i < ecs_field_count; i++) {
        size_t n = strlen(ecs_field[i].name);
        for (size_t k = 0; k < ecs_field_count; k++)
            assert_false(strncmp(ecs_field[k].name, ecs_field[i].name, n) == 0 && ecs_field[k].name[n] == '.');
    }
}

static char long_text[70000];
static struct span hostile_text(void *arg, enum record_key key)
{
    size_t n = *(const size_t *)arg;
    return key == KEY_LINES ? SPAN_LIT("250 ok\r\n") : span_of(long_text, n);
}

/* However long everything is, a line is cut until it fits, and still has only fields of the list. */
static void test_cut(void **state)
{
    (void)state;
    static const size_t lengths[] = { 10, 300, 1000, 5000, 60000 };
    for (size_t fill = 0; fill < 3; fill++) {
        for (size_t i = 0; i < sizeof(long_text); i++)
            long_text[i] = fill == 0 ? 'x' : fill == 1 ? '\x01' : (char)(0x80 + i % 64);
        for (size_t i = 0; i < ARRAY_LEN(lengths) * TNX_COUNT; i++) {
            size_t n = lengths[i / TNX_COUNT];
            struct sample s = { .source = hostile_text, .arg = &n };
            struct buf b;
            buf_init(&b, NULL);
            sample_make(&s, (enum tnx)(i % TNX_COUNT), SIDE_CLIENT);
            for (size_t max = 100; max < 100000; max = max * 3 / 2) {
                ecs_make(&b, &s.r, max, RECORD_ECS_TAIL_MAX);
                struct json_object *o = line_parse(&b);
                assert_non_null(o);
                ecs_check_fields(o);
                assert_non_null(json_object_object_get(o, "smtptap.cid"));
                json_object_put(o);
                buf_free(&b);
            }
        }
    }
}

/* The cut's last step leaves what joins records, each as long as it may be. */
static void test_last_cut_fits(void **state)
{
    (void)state;
    static const enum record_key keys[] = { KEY_COMPONENT,  KEY_CID,      KEY_TID,  KEY_SIDE, KEY_HOST,
                                            KEY_STATUS,     KEY_QUEUE_ID, KEY_CODE, KEY_USER, KEY_LINE,
                                            KEY_MESSAGE_ID, KEY_HOSTNAME, KEY_MSG };
    memset(long_text, '"', sizeof(long_text));
    for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++) {
        struct record r;
        struct buf b;
        record_begin(&r, tnx, 0);
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            record_str(&r, keys[i], span_of(long_text, sizeof(long_text)));
        buf_init(&b, NULL);
        ecs_make(&b, &r, 0, RECORD_ECS_TAIL_MAX);
        json_object_put(line_parse(&b));
        buf_free(&b);
    }
}

static void test_tails(void **state)
{
    (void)state;
    static const struct record_format *const formats[] = { &record_native, &record_ecs };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const struct record_format *f = formats[i];
        size_t plain = strlen(f->run) + strlen(f->seq) + 2 * sizeof(",\"\":") + strlen("\"12345678\"") + 20;
        size_t chain = strlen(f->hash) + strlen(f->prev) + 2 * (sizeof(",\"\":") + 66);
        assert_true(plain <= f->tail_plain);
        assert_true(plain + chain <= f->tail_max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_rows_are_listed),
        cmocka_unit_test(test_no_field_is_an_object_too),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_last_cut_fits),
        cmocka_unit_test(test_tails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
