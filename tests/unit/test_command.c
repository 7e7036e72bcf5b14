/* Command lines: verbs, words, faults; what counts as an AUTH line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/command.h"

static void assert_span(struct span got, const char *want)
{
    if (!span_eq(got, span_str(want)))
        fail_msg("got \"%.*s\", want \"%s\"", SPAN_ARG(got), want);
}

static void test_lines(void **state)
{
    static const struct {
        const char *line, *word, *arg;
        enum smtp_verb verb;
    } cases[] = {
        { "MAIL FROM:<a@b>", "MAIL", "FROM:<a@b>", SMTP_VERB_MAIL },
        { "mail from:<a@b> SIZE=1", "mail", "from:<a@b> SIZE=1", SMTP_VERB_MAIL },
        { "rCpT TO:<a@b>", "rCpT", "TO:<a@b>", SMTP_VERB_RCPT },
        { "MAIL\tFROM:<a@b>", "MAIL", "FROM:<a@b>", SMTP_VERB_MAIL },
        { "MAIL \t  FROM:<a@b> \t ", "MAIL", "FROM:<a@b>", SMTP_VERB_MAIL },
        { "MAILFROM:<a@b>", "MAILFROM:<a@b>", "", SMTP_VERB_UNKNOWN },
        { "MAIL", "MAIL", "", SMTP_VERB_MAIL },
        { "QUIT ", "QUIT", "", SMTP_VERB_QUIT },
        { "QUIT\t", "QUIT", "", SMTP_VERB_QUIT },
        { "QUIT now", "QUIT", "now", SMTP_VERB_QUIT },
        { "QUI", "QUI", "", SMTP_VERB_UNKNOWN },
        { "QUITS", "QUITS", "", SMTP_VERB_UNKNOWN },
        { "EHLO a b  c", "EHLO", "a b  c", SMTP_VERB_EHLO },
        { "STARTTLS", "STARTTLS", "", SMTP_VERB_STARTTLS },
        { "StartTls x", "StartTls", "x", SMTP_VERB_STARTTLS },
        { "STARTTLSX", "STARTTLSX", "", SMTP_VERB_UNKNOWN },
        { "AUTH PLAIN AGEAYg==", "AUTH", "PLAIN AGEAYg==", SMTP_VERB_AUTH },
        { "AUTHENTICATE x", "AUTHENTICATE", "x", SMTP_VERB_UNKNOWN },
        { "GET / HTTP/1.1", "GET", "/ HTTP/1.1", SMTP_VERB_GET },
        { "Host: a", "Host:", "a", SMTP_VERB_UNKNOWN },
        { "m\x01il x", "m\x01il", "x", SMTP_VERB_UNKNOWN },
        { "\xcd\xc1\xc9\xcc x", "\xcd\xc1\xc9\xcc", "x", SMTP_VERB_UNKNOWN },
        { "M@IL x", "M@IL", "x", SMTP_VERB_UNKNOWN },
        { "DAT\x01", "DAT\x01", "", SMTP_VERB_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_command cmd;

        smtp_command_parse(&cmd, span_str(cases[i].line));
        assert_int_equal(cmd.fault, SMTP_LINE_OK);
        assert_int_equal(cmd.verb, cases[i].verb);
        assert_span(cmd.line, cases[i].line);
        assert_span(cmd.word, cases[i].word);
        assert_span(cmd.arg, cases[i].arg);
    }
}

static void test_faults(void **state)
{
    static const struct {
        struct span line;
        enum smtp_line_fault fault;
        enum smtp_verb verb;
    } cases[] = {
        { SPAN_LIT(""), SMTP_LINE_EMPTY, SMTP_VERB_UNKNOWN },
        { SPAN_LIT(" "), SMTP_LINE_LEADING_BLANK, SMTP_VERB_UNKNOWN },
        { SPAN_LIT("\t"), SMTP_LINE_LEADING_BLANK, SMTP_VERB_UNKNOWN },
        { SPAN_LIT(" DATA"), SMTP_LINE_LEADING_BLANK, SMTP_VERB_DATA },
        { SPAN_LIT("\tDATA"), SMTP_LINE_LEADING_BLANK, SMTP_VERB_DATA },
        { SPAN_LIT("DATA\r"), SMTP_LINE_BARE_CR, SMTP_VERB_DATA },
        { SPAN_LIT("NOOP\rQUIT"), SMTP_LINE_BARE_CR, SMTP_VERB_NOOP },
        { SPAN_LIT("\rQUIT"), SMTP_LINE_BARE_CR, SMTP_VERB_UNKNOWN },
        { SPAN_LIT("NOOP\nQUIT"), SMTP_LINE_BARE_CR, SMTP_VERB_NOOP },
        { SPAN_LIT("MAIL FROM:<a\r@b>"), SMTP_LINE_BARE_CR, SMTP_VERB_MAIL },
        { SPAN_LIT("\0"), SMTP_LINE_NUL, SMTP_VERB_UNKNOWN },
        { SPAN_LIT("DATA\0"), SMTP_LINE_NUL, SMTP_VERB_DATA },
        { SPAN_LIT("MAIL FROM:<a\0@b>"), SMTP_LINE_NUL, SMTP_VERB_MAIL },
        { SPAN_LIT("DA\0TA"), SMTP_LINE_NUL, SMTP_VERB_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_command cmd;

        smtp_command_parse(&cmd, cases[i].line);
        assert_int_equal(cmd.fault, cases[i].fault);
        assert_int_equal(cmd.verb, cases[i].verb);
        assert_true(span_eq(cmd.line, cases[i].line));
    }
}

/* Each row of the table is found by its name in any case, and by nothing near it. */
static void test_verbs(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMTP_VERB_COUNT; i++) {
        enum smtp_verb verb = (enum smtp_verb)i;
        const char *name = smtp_verb_name(verb);
        size_t n = strlen(name);
        char word[16];

        assert_int_equal(smtp_verb_find(span_str(name)), verb);
        for (size_t k = 0; k < n; k++)
            word[k] = (char)(name[k] | 0x20);
        assert_int_equal(smtp_verb_find(span_of(word, n)), verb);
        for (size_t k = 0; k < n; k++) {
            memcpy(word, name, n);
            word[k] = (char)(name[k] ^ 0x40);
            assert_int_equal(smtp_verb_find(span_of(word, n)), SMTP_VERB_UNKNOWN);
            word[k] = (char)(name[k] ^ 0x80);
            assert_int_equal(smtp_verb_find(span_of(word, n)), SMTP_VERB_UNKNOWN);
        }
        assert_int_equal(smtp_verb_find(span_of(name, n - 1)), SMTP_VERB_UNKNOWN);
    }
    assert_int_equal(smtp_verb_find(SPAN_NONE), SMTP_VERB_UNKNOWN);
    assert_string_equal(smtp_verb_name(SMTP_VERB_UNKNOWN), "?");
    assert_string_equal(smtp_verb_name(SMTP_VERB_MAIL), "MAIL");
}

static void test_foreign(void **state)
{
    static const char *const foreign[] = { "GET",     "POST",   "PUT",   "HEAD", "CONNECT",
                                           "OPTIONS", "DELETE", "PATCH", "TRACE" };
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < SMTP_VERB_COUNT; i++)
        count += smtp_verb_is_foreign((enum smtp_verb)i);
    assert_int_equal(count, ARRAY_LEN(foreign));
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_true(smtp_verb_is_foreign(smtp_verb_find(span_str(foreign[i]))));
    assert_false(smtp_verb_is_foreign(SMTP_VERB_UNKNOWN));
}

static void test_auth_lines(void **state)
{
    static const struct {
        struct span line;
        bool is;
    } cases[] = {
        { SPAN_LIT("AUTH PLAIN x"), true },  { SPAN_LIT("auth"), true },
        { SPAN_LIT("aUtHx"), true },         { SPAN_LIT("  AUTH PLAIN"), true },
        { SPAN_LIT("\tauth"), true },        { SPAN_LIT("AUTH\0x"), true },
        { SPAN_LIT("\r\v\f auth x"), true }, { SPAN_LIT("\0AUTH x"), true },
        { SPAN_LIT("AUT"), false },          { SPAN_LIT(""), false },
        { SPAN_LIT("   "), false },          { SPAN_LIT("XAUTH"), false },
        { SPAN_LIT("MAIL AUTH=<>"), false }, { SPAN_LIT("AU TH"), false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(smtp_line_is_auth(cases[i].line), cases[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_faults),     cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_foreign), cmocka_unit_test(test_auth_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
