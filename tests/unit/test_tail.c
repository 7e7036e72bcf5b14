#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"

static const struct term PLAIN = { 0 };
static const struct term UTF8 = { .utf8 = true };

static char *take(struct buf *b)
{
    char *text = strndup(b->base != NULL ? b->base + b->head : "", buf_len(b));
    buf_free(b);
    return text;
}

static char *safe(const struct term *t, struct span text)
{
    struct buf b;
    buf_init(&b, NULL);
    term_text(t, &b, text);
    return take(&b);
}

static void text_is_harmless(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *ascii, *utf8;
    } cases[] = {
        { SPAN_LIT("plain ~ text"), "plain ~ text", "plain ~ text" },
        { SPAN_LIT("a\033[31mb"), "a\\x1b[31mb", "a\\x1b[31mb" },
        { SPAN_LIT("a\0b\r\n\t\177"), "a\\x00b\\x0d\\x0a\\t\\x7f", "a\\x00b\\x0d\\x0a\\t\\x7f" },
        { SPAN_LIT("\xc2\x9b"
                   "31m"),
          "\\x9b31m", "\\x9b31m" },
        { SPAN_LIT("\x9b"
                   "31m"),
          "?31m",
          "\xef\xbf\xbd"
          "31m" },
        { SPAN_LIT("j\xc3\xb6rg"), "j\\xf6rg", "j\xc3\xb6rg" },
        { SPAN_LIT("\xe2\x80\xae"
                   "fdp"),
          "\\u202efdp", "\\u202efdp" },
        { SPAN_LIT("\xe2\x80\x8b\xe2\x80\xa8"), "\\u200b\\u2028", "\\u200b\\u2028" },
        { SPAN_LIT("\xf0\x9f\x98\x80"), "\\u1f600", "\xf0\x9f\x98\x80" },
        { SPAN_LIT("\xf3\xa0\x81\x81"), "\\ue0041", "\\ue0041" },
        { SPAN_LIT("cut \xe2\x80"), "cut ?", "cut \xef\xbf\xbd" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *ascii = safe(&PLAIN, cases[i].in), *utf8 = safe(&UTF8, cases[i].in);
        assert_string_equal(ascii, cases[i].ascii);
        assert_string_equal(utf8, cases[i].utf8);
        free(ascii);
        free(utf8);
    }
}

static void colour_is_for_terminals_that_want_it(void **state)
{
    (void)state;
    static const struct {
        bool tty;
        const char *no_color, *term;
        bool colour;
    } cases[] = {
        { true, NULL, "xterm", true },  { false, NULL, "xterm", false }, { true, "1", "xterm", false },
        { true, "", "xterm", true },    { true, NULL, "dumb", false },   { true, NULL, NULL, false },
        { false, "1", "xterm", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct term t;
        term_decide(&t, cases[i].tty, cases[i].no_color, cases[i].term, "UTF-8");
        assert_int_equal(t.colour, cases[i].colour);
        assert_true(t.utf8);
    }
    struct term t;
    term_decide(&t, true, NULL, "xterm", "ANSI_X3.4-1968");
    assert_false(t.utf8);
}

static char *print(struct tail_printer *p, const char *line)
{
    struct buf b;
    buf_init(&b, NULL);
    struct json_object *record = tail_parse(span_str(line));
    if (record != NULL)
        tail_print(p, &b, record);
    else
        tail_print_raw(p, &b, span_str(line));
    json_object_put(record);
    return take(&b);
}

#define HEAD "{\"time\":\"2026-03-03T10:30:15.100000Z\",\"level\":\"debug\",\"cid\":\"0b1k2f9s00000004d\","
#define SHOWN "10:30:15.100 00004d  "

static void records_are_shown_as_dialogue(void **state)
{
    (void)state;
    static const struct {
        const char *line, *shown;
    } cases[] = {
        { HEAD "\"tnx\":\"command\",\"side\":\"client\",\"command\":\"MAIL\",\"line\":\"MAIL FROM:<a@b>\"}",
          SHOWN "-> MAIL FROM:<a@b>\n" },
        { HEAD "\"tnx\":\"command\",\"side\":\"upstream\",\"command\":\"MAIL\",\"line\":\"MAIL FROM:<a@b>\"}",
          SHOWN "     => MAIL FROM:<a@b>\n" },
        { HEAD "\"tnx\":\"send\",\"side\":\"upstream\",\"code\":250,\"enhanced\":\"2.1.0\",\"lines\":[\"Ok\"],"
               "\"ms\":1.26}",
          SHOWN "     <= 250 2.1.0 Ok  1.3 ms\n" },
        { HEAD "\"tnx\":\"send\",\"side\":\"client\",\"code\":250,\"lines\":[\"mx\",\"SIZE\"],\"ms\":0}",
          SHOWN "<- 250 mx / SIZE  0.0 ms\n" },
        { HEAD "\"tnx\":\"data\",\"side\":\"client\",\"bytes\":77,\"ms\":2}",
          SHOWN "-> (message of 77 bytes)  2.0 ms\n" },
        { HEAD
          "\"tnx\":\"connection\",\"side\":\"client\",\"host\":\"192.0.2.1\",\"port\":99,\"hostname\":\"c.example\","
          "\"listener\":\"mx\"}",
          SHOWN "* connected: 192.0.2.1 port 99 (c.example), listener mx\n" },
        { HEAD "\"tnx\":\"close\",\"side\":\"client\",\"reason\":\"quit\",\"commands\":5,\"messages\":1,"
               "\"duration_ms\":8.5}",
          SHOWN "o closed: quit, 5 commands, 1 accepted  8.5 ms\n" },
        { HEAD "\"tnx\":\"message\",\"mail_from\":\"\",\"rcpt_to\":[\"b@c\",\"d@e\"],\"rcpt_count\":2,"
               "\"rcpt_accepted\":1,\"status\":\"accepted\",\"client_replied\":true,\"queue_id\":\"1A\",\"size\":10,"
               "\"anomalies\":[\"nul\"],\"timing\":{\"total\":5}}",
          SHOWN "# accepted from <> to <b@c>, <d@e> (1 of 2), 10 bytes as 1A, odd: nul  5.0 ms\n" },
        { HEAD "\"tnx\":\"message\",\"mail_from\":\"a@b\",\"rcpt_to\":[\"1\",\"2\",\"3\",\"4\",\"5\"],\"rcpt_count\":5,"
               "\"rcpt_accepted\":5,\"status\":\"accepted\",\"client_replied\":false}",
          SHOWN "# accepted from <a@b> to <1>, <2>, <3> and 2 more, but the client was gone: it may send it again\n" },
        { HEAD "\"tnx\":\"message\",\"mail_from\":\"a@b\",\"rcpt_to\":[],\"rcpt_count\":0,\"rcpt_accepted\":0,"
               "\"status\":\"rejected\",\"stage\":\"mail\",\"decided_by\":\"upstream\",\"smtp_response\":\"550 no\","
               "\"class\":\"bad-sender\"}",
          SHOWN "# rejected from <a@b> at mail by upstream: 550 no [bad-sender]\n" },
        { HEAD "\"tnx\":\"rcpt\",\"rcpt_to\":\"x@y\",\"status\":\"deferred\",\"stage\":\"rcpt\","
               "\"smtp_response\":\"450 later\"}",
          SHOWN "+ deferred <x@y> at rcpt: 450 later\n" },
        { HEAD "\"tnx\":\"rcpt\",\"rcpt_to\":\"x@y\",\"status\":\"accepted\"}", "" },
        { HEAD "\"tnx\":\"caps\",\"withheld\":[]}", "" },
        { HEAD "\"tnx\":\"caps\",\"withheld\":[{\"keyword\":\"X\",\"reason\":\"unknown\"}]}",
          SHOWN "  not offered: X (unknown)\n" },
        { HEAD "\"tnx\":\"error\",\"err\":{\"code\":\"ECONNREFUSED\",\"message\":\"refused\"},\"stage\":\"connect\","
               "\"host\":\"192.0.2.9\"}",
          SHOWN "! error ECONNREFUSED at connect, 192.0.2.9: refused\n" },
        { HEAD "\"tnx\":\"policy\",\"msg\":\"Policy says\"}", SHOWN "  policy Policy says\n" },
        { "{\"@timestamp\":\"2026-03-03T10:30:15.100Z\",\"message\":\"x\"}", "10:30:15.100          x\n" },
        { "{}", "{}\n" },
        { "{\"tnx\":7,\"cid\":[],\"time\":{}}", "{\"tnx\":7,\"cid\":[],\"time\":{}}\n" },
        { "not a record \033[2J", "not a record \\x1b[2J\n" },
        { "{\"cut\":", "{\"cut\":\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tail_printer p = { .term = PLAIN, .day = "2026-03-03" };
        char *shown = print(&p, cases[i].line);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
}

static void a_new_day_is_told_once(void **state)
{
    (void)state;
    struct tail_printer p = { .term = PLAIN };
    static const char line[] = HEAD "\"tnx\":\"command\",\"side\":\"client\",\"line\":\"QUIT\"}";
    char *first = print(&p, line), *second = print(&p, line);
    assert_string_equal(first, "2026-03-03 UTC\n" SHOWN "-> QUIT\n");
    assert_string_equal(second, SHOWN "-> QUIT\n");
    free(first);
    free(second);
}

/* Every escape in the output is a colour of ours: ESC [ digits m. */
static void check_escapes(const char *shown)
{
    for (const char *p = shown; (p = strchr(p, '\033')) != NULL;) {
        size_t digits = strspn(p + 2, "0123456789");
        assert_int_equal(p[1], '[');
        assert_in_range(digits, 1, 2);
        assert_int_equal(p[2 + digits], 'm');
        p += 3 + digits;
    }
    for (const char *p = shown; *p != '\0'; p++)
        assert_true((unsigned char)*p >= ' ' || *p == '\n' || *p == '\033');
}

static void no_record_can_steer_the_terminal(void **state)
{
    (void)state;
    static const char *const kinds[] = { "command", "send",  "data", "connection", "close",     "message",
                                         "rcpt",    "error", "caps", "policy",     "\\u001b[2J" };
    static const char *const texts[] = { "\\u001b]0;x\\u0007", "\\u009b31m", "\\r\\n", "\\u202e", "\\u0000" };
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
            char line[2048];
            const char *x = texts[t];
            struct tail_printer p = { .term = { .colour = true, .utf8 = true } };
            snprintf(
                line, sizeof(line),
                "{\"time\":\"%s2026-03-03T10:30:15.100000Z\",\"tnx\":\"%s\",\"cid\":\"%sx\",\"line\":\"%s\","
                "\"side\":\"%s\",\"code\":250,\"enhanced\":\"%s\",\"lines\":[\"%s\"],\"host\":\"%s\","
                "\"hostname\":\"%s\",\"listener\":\"%s\",\"reason\":\"%s\",\"mail_from\":\"%s\","
                "\"rcpt_to\":[\"%s\"],\"rcpt_count\":1,\"status\":\"%s\",\"stage\":\"%s\",\"smtp_response\":\"%s\","
                "\"class\":\"%s\",\"queue_id\":\"%s\",\"anomalies\":[\"%s\"],\"err\":{\"code\":\"%s\","
                "\"message\":\"%s\"},\"withheld\":[{\"keyword\":\"%s\",\"reason\":\"%s\"}],\"msg\":\"%s\"}",
                x, kinds[k], x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x);
            char *shown = print(&p, line);
            assert_true(strstr(shown, "\033[") != NULL);
            check_escapes(shown);
            free(shown);
        }
    }
}

static const char MESSAGE[] =
    "{\"level\":\"info\",\"tnx\":\"message\",\"cid\":\"aaaaaaaa00000001\",\"tid\":"
    "\"aaaaaaaa00000001.2\",\"host\":\"10.1.2.3\",\"hostname\":\"pc.example.org\",\"mail_from\":"
    "\"a@Sub.Example.COM\",\"rcpt_to\":[\"b@x.example\",\"c@y.example\"],\"status\":\"rejected\"}";
static const char COMMAND[] = "{\"level\":\"debug\",\"tnx\":\"command\",\"cid\":\"aaaaaaaa00000001\",\"host\":"
                              "\"10.1.2.3\",\"side\":\"upstream\"}";

static bool takes(struct tail_filter *f, const char *line)
{
    struct json_object *record = tail_parse(span_str(line));
    assert_non_null(record);
    bool taken = tail_filter_takes(f, record);
    json_object_put(record);
    return taken;
}

static void filters_take_what_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
        bool message, command;
    } cases[] = {
        { "cid", "aaaaaaaa00000001", true, true },
        { "cid", "00001", true, true },
        { "cid", "00002", false, false },
        { "cid", "00001.2", true, false },
        { "cid", "00001.1", false, false },
        { "client", "10.1.2.3", true, true },
        { "client", "10.0.0.0/8", true, true },
        { "client", "10.1.2.4", false, false },
        { "client", "example.org", true, true },
        { "client", "ample.org", false, false },
        { "client", "unix", false, false },
        { "status", "rejected", true, false },
        { "status", "accepted,rejected", true, false },
        { "status", "accepted", false, false },
        { "domain", "example.com", true, false },
        { "domain", "@y.example", true, false },
        { "domain", "y.exampl", false, false },
        { "domain", "ub.example.com", false, false },
        { "level", "info", true, false },
        { "level", "debug", true, true },
        { "level", "error", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tail_filter f = { .level = LEVEL_DEBUG };
        const char *why = NULL, *o = cases[i].option;
        bool good = true;
        assert_true(tail_filter_is_open(&f));
        if (strcmp(o, "cid") == 0)
            f.cid = cases[i].value;
        else if (strcmp(o, "client") == 0)
            good = tail_filter_client(&f, cases[i].value, &why);
        else if (strcmp(o, "status") == 0)
            good = tail_filter_status(&f, cases[i].value, &why);
        else if (strcmp(o, "domain") == 0)
            good = tail_filter_domain(&f, cases[i].value, &why);
        else
            good = tail_filter_level(&f, cases[i].value, &why);
        assert_true(good);
        assert_int_equal(takes(&f, MESSAGE), cases[i].message);
        assert_int_equal(takes(&f, COMMAND), cases[i].command);
    }
}

static void filters_refuse_what_is_no_value(void **state)
{
    (void)state;
    struct tail_filter f = { 0 };
    const char *why = NULL;
    assert_false(tail_filter_status(&f, "acepted", &why));
    assert_non_null(strstr(why, "accepted"));
    assert_false(tail_filter_status(&f, "accepted,", &why));
    assert_false(tail_filter_level(&f, "warn", &why));
    assert_false(tail_filter_client(&f, "10.0.0.0/99", &why));
    assert_false(tail_filter_domain(&f, "@", &why));
}

/* Following a file. */

struct place {
    char dir[64], log[96], old[96];
    struct tail_file file;
    struct buf in;
};

static void append(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    snprintf(p->dir, sizeof(p->dir), "/tmp/smtptap-tail-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->log, sizeof(p->log), "%s/log", p->dir);
    snprintf(p->old, sizeof(p->old), "%s/log.1", p->dir);
    buf_init(&p->in, NULL);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    tail_file_close(&p->file);
    buf_free(&p->in);
    remove(p->log);
    remove(p->old);
    remove(p->dir);
    free(p);
    return 0;
}

/* Reads until twice in a row nothing came; cuts are shown as '|'. */
static void check_read(struct place *p, const char *want)
{
    for (int nothing = 0; nothing < 2;) {
        ssize_t n = tail_file_read(&p->file, &p->in);
        assert_true(n >= 0);
        if (p->file.cut)
            buf_append(&p->in, "|", 1);
        nothing = n > 0 || p->file.cut ? 0 : nothing + 1;
    }
    char *got = take(&p->in);
    assert_string_equal(got, want);
    free(got);
}

static void the_last_lines_come_first(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *text;
        unsigned long lines;
        const char *want;
    } cases[] = { { "a\nb\nc\n", 2, "b\nc\n" },
                  { "a\nb\nc", 2, "b\nc" },
                  { "a\nb\n", 0, "" },
                  { "a\nb\n", 9, "a\nb\n" },
                  { "", 3, "" },
                  { "\n\n\n", 2, "\n\n" },
                  { "a\nb", 0, "b" },
                  { "a", 1, "a" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        remove(p->log);
        append(p->log, cases[i].text);
        assert_true(tail_file_open(&p->file, p->log));
        tail_file_seek_last(&p->file, cases[i].lines);
        check_read(p, cases[i].want);
        if (i + 1 < ARRAY_LEN(cases))
            tail_file_close(&p->file);
    }
}

static void many_lines_are_found_across_blocks(void **state)
{
    struct place *p = *state;
    char want[128];
    FILE *f = fopen(p->log, "w");
    for (unsigned i = 0; i < 20000; i++)
        fprintf(f, "line %u\n", i);
    fclose(f);
    assert_true(tail_file_open(&p->file, p->log));
    tail_file_seek_last(&p->file, 12345);
    assert_true(tail_file_read(&p->file, &p->in) > 0);
    snprintf(want, sizeof(want), "line %u\n", 20000 - 12345);
    assert_memory_equal(buf_span(&p->in).p, want, strlen(want));
}

static void a_rotated_file_is_read_to_its_end(void **state)
{
    struct place *p = *state;
    append(p->log, "one\n");
    assert_true(tail_file_open(&p->file, p->log));
    check_read(p, "one\n");
    assert_int_equal(rename(p->log, p->old), 0);
    append(p->old, "two\n");
    check_read(p, "two\n");
    append(p->log, "");
    append(p->old, "three\n");
    check_read(p, "three\n");
    append(p->old, "four\n");
    append(p->log, "five\n");
    check_read(p, "four\n|five\n");
    append(p->log, "six\n");
    check_read(p, "six\n");
}

static void a_cut_file_is_read_from_its_begin(void **state)
{
    struct place *p = *state;
    append(p->log, "one\ntwo\nthr");
    assert_true(tail_file_open(&p->file, p->log));
    check_read(p, "one\ntwo\nthr");
    assert_int_equal(truncate(p->log, 0), 0);
    append(p->log, "new\n");
    check_read(p, "|new\n");
}

static void a_removed_file_may_come_back(void **state)
{
    struct place *p = *state;
    append(p->log, "one\n");
    assert_true(tail_file_open(&p->file, p->log));
    check_read(p, "one\n");
    assert_int_equal(remove(p->log), 0);
    check_read(p, "");
    append(p->log, "two\n");
    check_read(p, "|two\n");
}

static void what_is_no_file_is_refused(void **state)
{
    struct place *p = *state;
    assert_false(tail_file_open(&p->file, p->dir));
    assert_false(tail_file_open(&p->file, p->log));
    assert_true(tail_file_open(&p->file, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_harmless),
        cmocka_unit_test(colour_is_for_terminals_that_want_it),
        cmocka_unit_test(records_are_shown_as_dialogue),
        cmocka_unit_test(a_new_day_is_told_once),
        cmocka_unit_test(no_record_can_steer_the_terminal),
        cmocka_unit_test(filters_take_what_they_name),
        cmocka_unit_test(filters_refuse_what_is_no_value),
        cmocka_unit_test_setup_teardown(the_last_lines_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_lines_are_found_across_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rotated_file_is_read_to_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_file_is_read_from_its_begin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_file_may_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
