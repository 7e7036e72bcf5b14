/* Streams of replies, each whole, byte by byte and cut at every point; the table of own replies through the parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/reply.h"

#define IN(s) SPAN_LIT(s)

static struct span text_of(const struct buf *b) { return buf_empty(b) ? SPAN_NONE : buf_span(b); }

struct row {
    struct span in;
    const char *wire;  /* of all replies, one behind the other */
    const char *heads; /* "code enhanced lines;" of each, and '!' if the stream ends in BAD */
};

static const struct row rows[] = {
    { IN("250 2.0.0 Ok\r\n"), "250 2.0.0 Ok\r\n", "250 2.0.0 1;" },
    { IN("250-a\r\n250-b\r\n250 c\r\n"), "250-a\r\n250-b\r\n250 c\r\n", "250  3;" },
    { IN("250\r\n250 \r\n250-\r\n250\r\n"), "250\r\n250 \r\n250-\r\n250\r\n", "250  1;250  1;250  2;" },
    { IN("250 a\r\n354 b\r\n"), "250 a\r\n354 b\r\n", "250  1;354  1;" },
    { IN("250 a\n550-5.1.1 b\n550 5.1.1 c\n"), "250 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n", "250  1;550 5.1.1 2;" },
    { IN("250-a\r\n250 b\n250 c\r\n"), "250-a\r\n250 b\r\n250 c\r\n", "250  2;250  1;" },
    { IN("250 a\rb\r\r\n"), "250 a?b?\r\n", "250  1;" },
    { IN("250 a\0b\x1b\x7f\tc\xc3\xa9\r\n"), "250 a?b??\tc\xc3\xa9\r\n", "250  1;" },
    { IN("250\tok\r\n"), "250 ok\r\n", "250  1;" },
    { IN("250 a\r\n25"), "250 a\r\n", "250  1;" },
    { IN("250-a\r\n250 b\r"), "", "" },
    { IN("250\r"), "", "" },
    /* Enhanced codes. */
    { IN("550 5.7.26 x\r\n421 4.123.456\r\n"), "550 5.7.26 x\r\n421 4.123.456\r\n", "550 5.7.26 1;421 4.123.456 1;" },
    { IN("550 4.7.1 x\r\n250 2.1 x\r\n"), "550 4.7.1 x\r\n250 2.1 x\r\n", "550  1;250  1;" },
    { IN("250 2.1.5x\r\n250 2.1234.5\r\n"), "250 2.1.5x\r\n250 2.1234.5\r\n", "250  1;250  1;" },
    { IN("354 3.0.0 x\r\n250 2..0\r\n"), "354 3.0.0 x\r\n250 2..0\r\n", "354  1;250  1;" },
    { IN("250-x\r\n250 2.0.0 y\r\n"), "250-x\r\n250 2.0.0 y\r\n", "250  2;" },
    /* What is no reply. */
    { IN("250 a\r\n\r\n"), "250 a\r\n", "250  1;!" },
    { IN("\n"), "", "!" },
    { IN("2\r\n"), "", "!" },
    { IN("25\r\n"), "", "!" },
    { IN("150 a\r\n"), "", "!" },
    { IN("600 a\r\n"), "", "!" },
    { IN("571 5.7.1 a\r\n"), "571 5.7.1 a\r\n", "571 5.7.1 1;" },
    { IN("25x a\r\n"), "", "!" },
    { IN("SSH-2.0\r\n"), "", "!" },
    { IN("SSH-2.0"), "", "!" },
    { IN("250x\r\n"), "", "!" },
    { IN("250\r\r\n"), "", "!" },
    { IN("250\0\r\n"), "", "!" },
    { IN("2500 a\r\n"), "", "!" },
    { IN("250-a\r\n251 b\r\n"), "", "!" },
    { IN("250-a\r\n251"), "", "!" },
    { IN("250-a\r\n\r\n250 b\r\n"), "", "!" },
    { IN("250-a\r\n b\r\n250 c\r\n"), "", "!" },
    { IN("599 a\r\n200 b\r\n199 c\r\n"), "599 a\r\n200 b\r\n", "599  1;200  1;!" },
};

struct stream {
    struct smtp_reply_parser parser;
    struct buf wire, heads;
    bool bad;
};

static void feed(struct stream *s, struct span in)
{
    struct smtp_reply r;
    while (!s->bad) {
        const char *end = in.p + in.n;
        enum smtp_reply_result result = smtp_reply_parse(&s->parser, &in, &r);
        assert_ptr_equal(in.p + in.n, end);
        if (result == SMTP_REPLY_MORE) {
            assert_int_equal(in.n, 0);
            return;
        }
        if (result == SMTP_REPLY_BAD) {
            buf_append(&s->heads, "!", 1);
            s->bad = true;
            return;
        }
        buf_append_span(&s->wire, r.wire);
        buf_printf(&s->heads, "%d %s %u;", r.code, r.enhanced, r.lines);
        struct smtp_reply again = smtp_reply_read(r.wire);
        assert_int_equal(again.code, r.code);
        assert_int_equal(again.lines, r.lines);
        assert_string_equal(again.enhanced, r.enhanced);
    }
}

static void check(const struct row *row, size_t first, size_t step)
{
    struct stream s = { .bad = false };
    struct span in = row->in;
    smtp_reply_parser_init(&s.parser, NULL);
    for (size_t n = first; in.n > 0; in = span_skip(in, n), n = step) {
        /* In memory of its own, so that a read beyond a segment is seen. */
        struct span part = span_head(in, n);
        char *copy = malloc(part.n);
        assert_non_null(copy);
        memcpy(copy, part.p, part.n);
        feed(&s, span_of(copy, part.n));
        free(copy);
    }
    if (!span_eq(text_of(&s.wire), span_str(row->wire)) || !span_eq(text_of(&s.heads), span_str(row->heads)))
        print_error("'%.*s' cut %zu/%zu: '%.*s' '%.*s'\n", SPAN_ARG(row->in), first, step, SPAN_ARG(text_of(&s.wire)),
                    SPAN_ARG(text_of(&s.heads)));
    assert_true(span_eq(text_of(&s.wire), span_str(row->wire)));
    assert_true(span_eq(text_of(&s.heads), span_str(row->heads)));
    smtp_reply_parser_free(&s.parser);
    buf_free(&s.wire);
    buf_free(&s.heads);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(&rows[i], 1, 1);
        for (size_t cut = 1; cut <= rows[i].in.n; cut++)
            check(&rows[i], cut, rows[i].in.n);
    }
}

static void test_in_place(void **state)
{
    (void)state;
    static const char text[] = "250-a\r\n250 b\r\n354 go\r\n250 x\n";
    struct span in = SPAN_LIT(text);
    struct smtp_reply_parser p;
    struct smtp_reply r;
    smtp_reply_parser_init(&p, NULL);
    assert_int_equal(smtp_reply_parse(&p, &in, &r), SMTP_REPLY_DONE);
    assert_ptr_equal(r.wire.p, text);
    assert_int_equal(r.wire.n, 14);
    assert_int_equal(smtp_reply_parse(&p, &in, &r), SMTP_REPLY_DONE);
    assert_ptr_equal(r.wire.p, text + 14);
    assert_null(p.partial.base);
    assert_int_equal(smtp_reply_parse(&p, &in, &r), SMTP_REPLY_DONE);
    assert_true(span_eq(r.wire, SPAN_LIT("250 x\r\n")));
    assert_non_null(p.partial.base);
    assert_int_equal(smtp_reply_parse(&p, &in, &r), SMTP_REPLY_MORE);
    assert_null(p.partial.base);
    smtp_reply_parser_free(&p);
}

/* A reply of `lines` lines with n octets in all is taken up to SMTP_REPLY_MAX. */
static void check_size(size_t n, unsigned lines, bool bare, size_t step)
{
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    for (unsigned i = 0; i < lines; i++)
        memcpy(text + n / lines * i, i + 1 < lines ? "\r\n250-" : "\r\n250 ", 6);
    memcpy(text, lines > 1 ? "250-xx" : "250 xx", 6);
    memcpy(text + n - 2, "\r\n", 2);
    struct span in = span_of(text, n);
    if (bare)
        text[--in.n - 1] = '\n';
    struct smtp_reply_parser p;
    struct smtp_reply r;
    smtp_reply_parser_init(&p, NULL);
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    while (in.n > 0 && result == SMTP_REPLY_MORE) {
        struct span part = span_head(in, step);
        in = span_skip(in, step);
        result = smtp_reply_parse(&p, &part, &r);
        assert_true(p.partial.cap <= 2 * BUF_BLOCK);
    }
    assert_int_equal(result, n <= SMTP_REPLY_MAX ? SMTP_REPLY_DONE : SMTP_REPLY_BAD);
    if (result == SMTP_REPLY_DONE)
        assert_true(r.wire.n == n && r.lines == lines);
    smtp_reply_parser_free(&p);
    free(text);
}

static void test_size(void **state)
{
    (void)state;
    for (int over = -1; over <= 2; over++) {
        for (unsigned lines = 1; lines <= 64; lines *= 8) {
            static const size_t steps[] = { 1, 1000, SMTP_REPLY_MAX - 1, SMTP_REPLY_MAX * 2 };
            for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                check_size((size_t)(SMTP_REPLY_MAX + over), lines, false, steps[i]);
                check_size((size_t)(SMTP_REPLY_MAX + over), lines, true, steps[i]);
            }
        }
    }
}

/* A peer that never ends its line is found out without waiting for the end. */
static void test_endless(void **state)
{
    (void)state;
    char text[4096];
    memset(text, '2', sizeof(text));
    memcpy(text, "250 ", 4);
    struct smtp_reply_parser p;
    struct smtp_reply r;
    smtp_reply_parser_init(&p, NULL);
    for (size_t fed = sizeof(text);; fed += sizeof(text)) {
        struct span in = span_of(text, sizeof(text));
        enum smtp_reply_result result = smtp_reply_parse(&p, &in, &r);
        assert_int_equal(result, fed < SMTP_REPLY_MAX ? SMTP_REPLY_MORE : SMTP_REPLY_BAD);
        if (result == SMTP_REPLY_BAD)
            break;
    }
    assert_true(buf_empty(&p.partial));
    smtp_reply_parser_free(&p);
}

static void check_lines(const char *wire, bool skip_enhanced, const char *want)
{
    struct smtp_reply r = smtp_reply_read(span_str(wire));
    struct buf got;
    struct span text;
    size_t pos = 0;
    buf_init(&got, NULL);
    while (smtp_reply_line(&r, &pos, skip_enhanced, &text))
        buf_printf(&got, "%.*s|", SPAN_ARG(text));
    assert_true(span_eq(text_of(&got), span_str(want)));
    buf_free(&got);
}

static void test_lines(void **state)
{
    (void)state;
    check_lines("250-mail\r\n250-SIZE 1\r\n250 DSN\r\n", true, "mail|SIZE 1|DSN|");
    check_lines("550-5.7.1 a\r\n550-5.7.1\r\n550-x\r\n550 5.1.1 \r\n", true, "a||x||");
    check_lines("550-5.7.1 a\r\n550-5.7.1\r\n550 4.0.0 b\r\n", false, "5.7.1 a|5.7.1|4.0.0 b|");
    check_lines("550 4.0.0 b\r\n", true, "4.0.0 b|");
    check_lines("250\r\n", true, "|");
    check_lines("250 \r\n", false, "|");
    check_lines("250 2.0.0  two\r\n", true, " two|");
}

static void check_text(const char *wire, const char *want)
{
    struct smtp_reply r = smtp_reply_read(span_str(wire));
    struct buf got;
    buf_init(&got, NULL);
    buf_append(&got, "=", 1);
    smtp_reply_text(&got, &r);
    assert_true(span_eq(span_skip(text_of(&got), 1), span_str(want)));
    buf_free(&got);
}

static void test_text(void **state)
{
    (void)state;
    check_text("250 2.0.0 Ok: queued as 1A2B\r\n", "250 2.0.0 Ok: queued as 1A2B");
    check_text("550-a\r\n550-\r\n550 b\r\n", "550-a / 550- / 550 b");
    check_text("250\r\n", "250");
}

static void test_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SMTP_OWN_COUNT; i++) {
        const struct smtp_reply *own = smtp_reply_own((enum smtp_own)i);
        struct smtp_reply_parser p;
        struct smtp_reply r;
        struct span in = own->wire;
        smtp_reply_parser_init(&p, NULL);
        assert_int_equal(smtp_reply_parse(&p, &in, &r), SMTP_REPLY_DONE);
        assert_int_equal(in.n, 0);
        assert_ptr_equal(r.wire.p, own->wire.p);
        assert_int_equal(r.wire.n, own->wire.n);
        assert_int_equal(r.code, own->code);
        assert_string_equal(r.enhanced, own->enhanced);
        assert_int_equal(own->lines, 1);
        assert_int_equal(own->enhanced[0] == '\0', smtp_reply_is(own, 3));
        assert_true(own->wire.n <= 512);
        smtp_reply_parser_free(&p);
    }
    assert_true(span_eq(smtp_reply_own(SMTP_OWN_OK)->wire, SPAN_LIT("250 2.0.0 Ok\r\n")));
    assert_true(
        span_eq(smtp_reply_own(SMTP_OWN_START_MAIL)->wire, SPAN_LIT("354 End data with <CR><LF>.<CR><LF>\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),   cmocka_unit_test(test_in_place), cmocka_unit_test(test_size),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_lines),    cmocka_unit_test(test_text),
        cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
