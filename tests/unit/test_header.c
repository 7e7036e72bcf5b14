/* Header sections, each whole, byte by byte and cut at every point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/header.h"

#define IN(s) SPAN_LIT(s)

static const struct smtp_header_want want = { { "message-id", "subject", "from" }, 3 };

struct row {
    struct span in;
    const char *values; /* "message-id|subject|from", '-' for what was not there */
    unsigned received;
    bool done;
};

static const struct row rows[] = {
    { IN("Subject: hello\r\nMessage-ID: <a@b>\r\n\r\nFrom: x\r\n"), "<a@b>|hello|-", 0, true },
    { IN("MESSAGE-ID:<a@b>\r\nsubject:\t x y \t\r\n"), "<a@b>|x y|-", 0, false },
    { IN("Subject: a\r\n b\r\n\tc\r\nFrom: d\r\n\r\n"), "-|a\r\n b\r\n\tc|d", 0, true },
    { IN("Subject:\r\n folded\r\n\r\n"), "-|folded|-", 0, true },
    { IN("Subject: a\r\n \r\nFrom: b\r\n\r\n"), "-|a|b", 0, true },
    { IN("Subject:\r\nFrom: \r\n\r\n"), "-||", 0, true },
    { IN("Subject: first\r\nSubject: second\r\n third\r\n\r\n"), "-|first|-", 0, true },
    { IN("Subject:\r\nSubject: second\r\n\r\n"), "-||-", 0, true },
    { IN("Received: a\r\n\tReceived: b\r\nRECEIVED : c\r\nreceived:d\r\nReceived-SPF: e\r\n\r\n"), "-|-|-", 3, true },
    /* Obsolete syntax: blanks before the colon. */
    { IN("Subject : a\r\nFrom \t : b\r\n\r\n"), "-|a|b", 0, true },
    /* What ends the section. */
    { IN("\r\nSubject: a\r\n"), "-|-|-", 0, true },
    { IN("\nSubject: a\r\n"), "-|-|-", 0, true },
    { IN(" Subject: a\r\n"), "-|-|-", 0, true },
    { IN(": a\r\nSubject: a\r\n"), "-|-|-", 0, true },
    { IN("From: x\r\nno colon\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\nno\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\nno word: b\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\nSub\xc3\xa9: b\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\nSub\0: b\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\nSub\x7f: b\r\nSubject: a\r\n"), "-|-|x", 0, true },
    { IN("From: x\r\n..dot: b\r\nSubject: a\r\n"), "-|a|x", 0, false },
    /* Cut short, and line ends as BDAT may bring them. */
    { IN("Subject"), "-|-|-", 0, false },
    { IN("From: x\r\nSubject: a b"), "-|a b|x", 0, false },
    { IN("From: x\nSubject: a\n b\n\nMessage-ID: c\n"), "-|a\n b|x", 0, true },
    { IN("From: a\rb:c\r\r\nSubject: d\r\n\r\n"), "-|d|a\rb:c", 0, true },
    { IN("Message-IDs: a\r\nMessage-I: b\r\nX-Message-ID: c\r\n\r\n"), "-|-|-", 0, true },
};

static void feed_copy(struct smtp_header *h, struct span part)
{
    char *copy = malloc(part.n);
    assert_non_null(copy);
    memcpy(copy, part.p, part.n);
    smtp_header_feed(h, span_of(copy, part.n));
    free(copy);
}

static void feed_cut(struct smtp_header *h, struct span in, size_t first, size_t step)
{
    for (size_t n = first; in.n > 0; in = span_skip(in, n), n = step)
        feed_copy(h, span_head(in, n));
}

static void check(const struct row *row, size_t first, size_t step)
{
    struct smtp_header h;
    struct buf got;
    struct span value;
    buf_init(&got, NULL);
    smtp_header_init(&h, &want, NULL);
    feed_cut(&h, row->in, first, step);
    for (unsigned i = 0; i < want.count; i++) {
        if (i > 0)
            buf_append(&got, "|", 1);
        buf_append_span(&got, smtp_header_value(&h, i, &value) ? value : SPAN_LIT("-"));
    }
    if (!span_eq(buf_span(&got), span_str(row->values)))
        print_error("'%.*s' cut %zu/%zu: '%.*s'\n", SPAN_ARG(row->in), first, step, SPAN_ARG(buf_span(&got)));
    assert_true(span_eq(buf_span(&got), span_str(row->values)));
    assert_int_equal(h.received, row->received);
    assert_int_equal(h.done, row->done);
    smtp_header_free(&h);
    buf_free(&got);
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

static void test_value_max(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 7, 2049, 100000 };
    char text[3 * SMTP_HEADER_VALUE_MAX];
    memset(text, 'x', sizeof(text));
    memcpy(text, "Subject: ", 9);
    memcpy(text + sizeof(text) / 2, "\r\n ", 3);
    memcpy(text + sizeof(text) - 11, "\r\nFrom: a\r\n", 11);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct smtp_header h;
        struct span value;
        smtp_header_init(&h, &want, NULL);
        feed_cut(&h, span_of(text, sizeof(text)), steps[i], steps[i]);
        assert_true(smtp_header_value(&h, 1, &value));
        assert_true(span_eq(value, span_of(text + 9, SMTP_HEADER_VALUE_MAX)));
        assert_true(smtp_header_is_cut(&h, 1));
        assert_true(smtp_header_value(&h, 2, &value));
        assert_true(span_eq(value, SPAN_LIT("a")));
        assert_false(smtp_header_is_cut(&h, 2));
        smtp_header_free(&h);
    }
}

/* White space behind it is not of it. */
static void test_value_of_the_most(void **state)
{
    (void)state;
    char text[SMTP_HEADER_VALUE_MAX + 32];
    for (size_t more = 0; more < 2; more++) {
        for (size_t step = 1; step < 3000; step += 700) {
            struct smtp_header h;
            size_t n = SMTP_HEADER_VALUE_MAX + more;
            memcpy(text, "Subject:", 8);
            memset(text + 8, 'x', n);
            memcpy(text + 8 + n, " \r\n \r\n\r\n", 8);
            smtp_header_init(&h, &want, NULL);
            feed_cut(&h, span_of(text, n + 16), step, step);
            assert_int_equal(smtp_header_is_cut(&h, 1), more);
            smtp_header_free(&h);
        }
    }
}

/* All that may be wanted at its greatest length still fits one block, so that values never move. */
static void test_full(void **state)
{
    (void)state;
    static char name[SMTP_HEADER_WANT_MAX][8], text[SMTP_HEADER_VALUE_MAX + 100];
    struct smtp_header_want many = { .count = SMTP_HEADER_WANT_MAX };
    struct smtp_header h;
    struct span first, value;
    smtp_header_init(&h, &many, NULL);
    for (unsigned i = 0; i < many.count; i++) {
        memcpy(name[i], "x-aa", 5);
        name[i][2] = (char)('a' + i / 8);
        name[i][3] = (char)('a' + i % 8);
        many.name[i] = name[i];
        memset(text, 'a' + (int)i % 26, sizeof(text));
        feed_copy(&h, span_str(name[i]));
        feed_copy(&h, IN(":"));
        feed_copy(&h, span_of(text, sizeof(text)));
        feed_copy(&h, IN("\r\n"));
        if (i == 0)
            assert_true(smtp_header_value(&h, 0, &first));
    }
    for (unsigned i = 0; i < many.count; i++) {
        assert_true(smtp_header_value(&h, i, &value));
        assert_true(value.n == SMTP_HEADER_VALUE_MAX && value.p[0] == 'a' + (int)i % 26);
        assert_true(value.p[value.n - 1] == value.p[0]);
    }
    assert_true(smtp_header_value(&h, 0, &value) && value.p == first.p);
    assert_true(h.values.cap <= BUF_BLOCK);
    assert_false(smtp_header_value(&h, SMTP_HEADER_WANT_MAX, &value));
    smtp_header_free(&h);
}

/* A name that is too long to keep is a field all the same, and no other field's name. */
static void test_long_name(void **state)
{
    (void)state;
    char line[200];
    for (size_t n = 78; n <= 83; n++) {
        char wanted[100] = "";
        memset(wanted, 'n', n);
        struct smtp_header_want one = { { wanted, "subject" }, 2 };
        struct smtp_header h;
        struct span value;
        memset(line, 'N', n);
        memcpy(line + n, ": v\r\nSubject: s\r\n", 17);
        for (size_t more = 0; more < 2; more++) {
            smtp_header_init(&h, &one, NULL);
            if (more > 0)
                feed_copy(&h, IN("N"));
            feed_cut(&h, span_of(line, n + 17), 50, 7);
            assert_int_equal(smtp_header_value(&h, 0, &value), more == 0 && n <= sizeof(h.name));
            assert_true(smtp_header_value(&h, 1, &value));
            smtp_header_free(&h);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_value_max), cmocka_unit_test(test_value_of_the_most),
        cmocka_unit_test(test_full),  cmocka_unit_test(test_long_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
