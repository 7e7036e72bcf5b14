#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/sink/envelope.h"
#include "proxy/sink/rules.h"
#include "proxy/sink/store.h"

static void rules_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sink_stage stage;
        unsigned share;
        enum sink_action action;
        usec_t delay;
        const char *wire;
    } cases[] = {
        { "rcpt=450 4.2.1 busy", SINK_RCPT, 10000, SINK_REPLY, 0, "450 4.2.1 busy\r\n" },
        { "RCPT%25=450 a=b%c", SINK_RCPT, 2500, SINK_REPLY, 0, "450 a=b%c\r\n" },
        { "mail=550", SINK_MAIL, 10000, SINK_REPLY, 0, "550 5.0.0 As the rule says\r\n" },
        { "data=599 x", SINK_DATA, 10000, SINK_REPLY, 0, "599 x\r\n" },
        { "end%0.5=drop", SINK_END, 50, SINK_DROP, 0, NULL },
        { "body%100=hang", SINK_BODY, 10000, SINK_HANG, 0, NULL },
        { "helo%0.01=delay:500ms", SINK_HELO, 1, SINK_DELAY, 500 * USEC_PER_MSEC, NULL },
        { "greeting=delay:1h", SINK_GREETING, 10000, SINK_DELAY, 3600 * USEC_PER_SEC, NULL },
        { "greeting=421 4.3.2 no", SINK_GREETING, 10000, SINK_REPLY, 0, "421 4.3.2 no\r\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sink_rules rules = { .count = 0 };
        char why[200] = "";
        bool good = sink_rules_add(&rules, cases[i].text, why, sizeof(why));
        assert_string_equal(why, "");
        assert_true(good);
        const struct sink_rule *r = &rules.rule[0];
        assert_int_equal(r->stage, cases[i].stage);
        assert_int_equal(r->share, cases[i].share);
        assert_int_equal(r->action, cases[i].action);
        assert_int_equal(r->delay, cases[i].delay);
        if (cases[i].wire != NULL)
            assert_string_equal(r->wire, cases[i].wire);
        sink_rules_free(&rules);
    }
}

static void bad_rules_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "STAGE[%SHARE]=ACTION" },
        { "rcpt", "STAGE[%SHARE]=ACTION" },
        { "foo=drop", "greeting, helo, mail" },
        { "=drop", "greeting, helo, mail" },
        { "rcpt%=drop", "from 0.01 to 100" },
        { "rcpt%0=drop", "from 0.01 to 100" },
        { "rcpt%.=drop", "from 0.01 to 100" },
        { "rcpt%101=drop", "from 0.01 to 100" },
        { "rcpt%0.001=drop", "from 0.01 to 100" },
        { "rcpt%99999999999=drop", "from 0.01 to 100" },
        { "rcpt%-5=drop", "from 0.01 to 100" },
        { "rcpt=", "delay:2s, drop, hang" },
        { "rcpt=199 x", "200 to 599" },
        { "rcpt=600 x", "200 to 599" },
        { "rcpt=45", "200 to 599" },
        { "rcpt=4500", "200 to 599" },
        { "rcpt=450-x", "200 to 599" },
        { "rcpt=450 a\nb", "without control" },
        { "rcpt=450 \xff", "without control" },
        { "rcpt=delay:2", "duration" },
        { "rcpt=delay:2h", "duration" },
        { "greeting=220 hi", "4xx or 5xx" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sink_rules rules = { .count = 0 };
        char why[200] = "";
        assert_false(sink_rules_add(&rules, cases[i].text, why, sizeof(why)));
        assert_non_null(strstr(why, cases[i].why));
        assert_int_equal(rules.count, 0);
    }
}

/* The events, as letters: '.' ordinary, '0' + i the rule that decided. */
static void check_spread(const char *const *texts, size_t n, const char *want)
{
    struct sink_rules rules = { .count = 0 };
    char why[200];
    for (size_t i = 0; i < n; i++)
        assert_true(sink_rules_add(&rules, texts[i], why, sizeof(why)));
    for (size_t i = 0; want[i] != '\0'; i++) {
        struct sink_verdict v = sink_rules_meet(&rules, SINK_RCPT);
        char got = v.rule != NULL ? (char)('0' + (v.rule - rules.rule)) : v.delay > 0 ? 'd' : '.';
        assert_int_equal(got, want[i]);
    }
    sink_rules_free(&rules);
}

static void shares_are_spread_evenly(void **state)
{
    (void)state;
    static const char *const quarter[] = { "rcpt%25=450 x" }, *const third[] = { "rcpt%33.34=450 x" };
    static const char *const all[] = { "rcpt=450 x" }, *const other[] = { "mail=450 x" };
    static const char *const two[] = { "rcpt%50=450 x", "rcpt%50=550 x" };
    static const char *const delayed[] = { "rcpt%50=delay:1s", "rcpt%25=550 x" };
    check_spread(quarter, 1, "...0...0...0");
    check_spread(third, 1, "..0..0..0");
    check_spread(all, 1, "0000");
    check_spread(other, 1, "....");
    check_spread(two, 2, ".010.010");
    check_spread(delayed, 2, ".d.1.d.1");
}

static void a_share_is_exact_over_many(void **state)
{
    (void)state;
    struct sink_rules rules = { .count = 0 };
    char why[200];
    unsigned hits = 0;
    assert_true(sink_rules_add(&rules, "end%12.5=drop", why, sizeof(why)));
    for (unsigned i = 0; i < 8000; i++)
        hits += sink_rules_meet(&rules, SINK_END).rule != NULL;
    assert_int_equal(hits, 1000);
    assert_int_equal(atomic_load(&rules.rule[0].hit), 1000);
    assert_int_equal(atomic_load(&rules.rule[0].met), 8000);
}

static void rules_have_a_bound(void **state)
{
    (void)state;
    struct sink_rules rules = { .count = 0 };
    char why[200];
    for (unsigned i = 0; i < SINK_RULES_MAX; i++)
        assert_true(sink_rules_add(&rules, "rcpt=450 x", why, sizeof(why)));
    assert_false(sink_rules_add(&rules, "rcpt=450 x", why, sizeof(why)));
    sink_rules_free(&rules);
}

static void an_envelope_has_what_was_accepted(void **state)
{
    (void)state;
    struct sink_envelope e;
    struct buf out;
    struct sink_sidecar about = { .id = "1", .host = "::1", .helo = "h", .size = 7 };
    sink_envelope_init(&e, NULL);
    buf_init(&out, NULL);
    sink_envelope_try(&e, SPAN_NONE);
    sink_envelope_settle(&e, true, false);
    sink_envelope_try(&e, SPAN_LIT("no@x"));
    sink_envelope_settle(&e, false, true);
    sink_envelope_try(&e, SPAN_LIT("\"q\\\"\"@x"));
    sink_envelope_settle(&e, true, true);
    sink_envelope_try(&e, SPAN_LIT("b@x"));
    sink_envelope_settle(&e, true, true);
    assert_int_equal(e.rcpts, 2);
    assert_int_equal(sink_envelope_sender(&e).n, 0);
    assert_true(span_eq(sink_envelope_first_rcpt(&e), SPAN_LIT("\"q\\\"\"@x")));
    sink_envelope_print(&e, &about, &out);
    buf_append(&out, "", 1);
    assert_non_null(
        strstr(buf_span(&out).p, "\"mail_from\":\"\",\"rcpt_to\":[\"\\\"q\\\\\\\"\\\"@x\",\"b@x\"],\"size\":7}\n"));
    sink_envelope_clear(&e);
    assert_int_equal(sink_envelope_sender(&e).n, 0);
    buf_free(&out);
}

static char *read_all(int dir, const char *name)
{
    char *text = calloc(1, 4096);
    int fd = openat(dir, name, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, 4095) >= 0);
    close(fd);
    return text;
}

static void a_message_is_kept_as_it_was(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *content;
    } cases[] = {
        { "", "" },
        { "a\r\n", "a\r\n" },
        { "..\r\n..a\r\n...\r\nb.\r\n..", ".\r\n.a\r\n..\r\nb.\r\n." },
        { "\r\n..x..y\r\n", "\r\n.x..y\r\n" },
    };
    char path[] = "/tmp/smtptap-sink-XXXXXX";
    assert_non_null(mkdtemp(path));
    int dir = sink_store_open(path);
    assert_true(dir >= 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = strlen(cases[i].wire);
        for (size_t cut = 0; cut <= n + 1; cut++) { /* n + 1: byte by byte */
            struct sink_file f;
            sink_file_begin(&f, dir, "id", NULL);
            for (size_t b = 0; cut > n && b < n; b++)
                sink_file_add(&f, span_of(cases[i].wire + b, 1));
            if (cut <= n) {
                sink_file_add(&f, span_of(cases[i].wire, cut));
                sink_file_add(&f, span_of(cases[i].wire + cut, n - cut));
            }
            assert_int_equal(faccessat(dir, "id.eml", F_OK, 0), -1);
            assert_true(sink_file_commit(&f, SPAN_LIT("{}\n")));
            char *message = read_all(dir, "id.eml"), *envelope = read_all(dir, "id.json");
            assert_string_equal(message, cases[i].content);
            assert_string_equal(envelope, "{}\n");
            free(message);
            free(envelope);
            unlinkat(dir, "id.eml", 0);
            unlinkat(dir, "id.json", 0);
        }
    }
    close(dir);
    assert_int_equal(rmdir(path), 0); /* nothing else was left in it */
}

static void what_fails_leaves_nothing(void **state)
{
    (void)state;
    char path[] = "/tmp/smtptap-sink-XXXXXX";
    struct sink_file f;
    assert_non_null(mkdtemp(path));
    int dir = sink_store_open(path);
    sink_file_begin(&f, dir, "a", NULL);
    sink_file_add(&f, SPAN_LIT("text\r\n"));
    sink_file_discard(&f);
    sink_file_begin(&f, dir, "b", NULL);
    assert_int_equal(mkdirat(dir, "b.json", 0700), 0);
    assert_false(sink_file_commit(&f, SPAN_LIT("{}\n")));
    assert_int_equal(f.error, EISDIR);
    assert_int_equal(unlinkat(dir, "b.json", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(path), 0);
    sink_file_begin(&f, dir, "c", NULL);
    assert_false(sink_file_commit(&f, SPAN_LIT("{}\n")));
    assert_int_equal(f.error, ENOENT);
    close(dir);
    assert_int_equal(sink_store_open("/dev/null/x"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(bad_rules_are_explained),
        cmocka_unit_test(shares_are_spread_evenly),
        cmocka_unit_test(a_share_is_exact_over_many),
        cmocka_unit_test(rules_have_a_bound),
        cmocka_unit_test(an_envelope_has_what_was_accepted),
        cmocka_unit_test(a_message_is_kept_as_it_was),
        cmocka_unit_test(what_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
