/* Paths: every row of protocol.md's table P, in the strict and the lenient reading, and what must have one reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/smtp/path.h"

enum who { SENDER = 1, RCPT = 2, BOTH = 3 };
enum verdict { STRICT, LENIENT, REFUSED };

/* address NULL: the same as raw. */
struct path_case {
    enum who who;
    const char *arg;
    enum verdict verdict;
    const char *raw, *address, *local, *domain, *rest;
};

static const struct path_case good[] = {
    /* P1 */
    { BOTH, "<a@b.example>", STRICT, "a@b.example", NULL, "a", "b.example", "" },
    { BOTH, "<a@b>", STRICT, "a@b", NULL, "a", "b", "" },
    { BOTH, "<a.b-c+d@e-f.g--h.1>", STRICT, "a.b-c+d@e-f.g--h.1", NULL, "a.b-c+d", "e-f.g--h.1", "" },
    { BOTH, "<!#$%&'*+-/=?^_`{|}~@b>", STRICT, "!#$%&'*+-/=?^_`{|}~@b", NULL, "!#$%&'*+-/=?^_`{|}~", "b", "" },
    { BOTH, "<\"q \\\"x\\\" y\"@b>", STRICT, "\"q \\\"x\\\" y\"@b", NULL, "\"q \\\"x\\\" y\"", "b", "" },
    { BOTH, "<\"a>b\"@c> SIZE=1", STRICT, "\"a>b\"@c", NULL, "\"a>b\"", "c", "SIZE=1" },
    { BOTH, "<\"a@b\"@c>", STRICT, "\"a@b\"@c", NULL, "\"a@b\"", "c", "" },
    { BOTH, "<\"a\\>\"@c>", STRICT, "\"a\\>\"@c", NULL, "\"a\\>\"", "c", "" },
    { BOTH, "<\"a\\\\\"@c>", STRICT, "\"a\\\\\"@c", NULL, "\"a\\\\\"", "c", "" },
    { BOTH, "<\"(<>[]:;,\"@c>", STRICT, "\"(<>[]:;,\"@c", NULL, "\"(<>[]:;,\"", "c", "" },
    { BOTH, "<\"\"@c>", STRICT, "\"\"@c", NULL, "\"\"", "c", "" },
    { BOTH, "<a@[192.0.2.1]>", STRICT, "a@[192.0.2.1]", NULL, "a", "[192.0.2.1]", "" },
    { BOTH, "<a@[IPv6:2001:db8::1]>", STRICT, "a@[IPv6:2001:db8::1]", NULL, "a", "[IPv6:2001:db8::1]", "" },
    { BOTH, "<a@[ipv6:::]>", STRICT, "a@[ipv6:::]", NULL, "a", "[ipv6:::]", "" },
    { BOTH, "<a@[IPv6:::ffff:192.0.2.1]>", STRICT, "a@[IPv6:::ffff:192.0.2.1]", NULL, "a", "[IPv6:::ffff:192.0.2.1]",
      "" },
    { BOTH, "<a@[192.0.2.256]>", LENIENT, "a@[192.0.2.256]", NULL, "a", "[192.0.2.256]", "" },
    { BOTH, "<a@[192.0.2]>", LENIENT, "a@[192.0.2]", NULL, "a", "[192.0.2]", "" },
    { BOTH, "<a@[2001:db8::1]>", LENIENT, "a@[2001:db8::1]", NULL, "a", "[2001:db8::1]", "" },
    { BOTH, "<a@[IPv6:192.0.2.1]>", LENIENT, "a@[IPv6:192.0.2.1]", NULL, "a", "[IPv6:192.0.2.1]", "" },
    { BOTH, "<a@[IPv6:2001:db8::1::2]>", LENIENT, "a@[IPv6:2001:db8::1::2]", NULL, "a", "[IPv6:2001:db8::1::2]", "" },
    { BOTH, "<a@[IPv6:]>", LENIENT, "a@[IPv6:]", NULL, "a", "[IPv6:]", "" },
    { BOTH, "<a@[]>", LENIENT, "a@[]", NULL, "a", "[]", "" },
    { BOTH, "<a@[tag:text]>", LENIENT, "a@[tag:text]", NULL, "a", "[tag:text]", "" },
    { BOTH, "<a@[192.0.2.1].b>", LENIENT, "a@[192.0.2.1].b", NULL, "a", "[192.0.2.1].b", "" },
    { BOTH, "<a@[192.0.2.1][192.0.2.2]>", LENIENT, "a@[192.0.2.1][192.0.2.2]", NULL, "a", "[192.0.2.1][192.0.2.2]",
      "" },
    /* P2 */
    { SENDER, "<>", STRICT, "", NULL, "", "", "" },
    { SENDER, " <> BODY=7BIT", STRICT, "", NULL, "", "", "BODY=7BIT" },
    /* P3 */
    { RCPT, "<postmaster>", STRICT, "postmaster", NULL, "postmaster", "", "" },
    { RCPT, "<PostMaster> NOTIFY=NEVER", STRICT, "PostMaster", NULL, "PostMaster", "", "NOTIFY=NEVER" },
    { SENDER, "<postmaster>", LENIENT, "postmaster", NULL, "postmaster", "", "" },
    { RCPT, "<@a:postmaster>", LENIENT, "@a:postmaster", "postmaster", "postmaster", "", "" },
    { RCPT, "postmaster", LENIENT, "postmaster", NULL, "postmaster", "", "" },
    /* P4 */
    { BOTH, "<@a,@b:u@c>", STRICT, "@a,@b:u@c", "u@c", "u", "c", "" },
    { BOTH, "<@a.example:\"u v\"@c> X", STRICT, "@a.example:\"u v\"@c", "\"u v\"@c", "\"u v\"", "c", "X" },
    { BOTH, "<@a_b:u@c>", LENIENT, "@a_b:u@c", "u@c", "u", "c", "" },
    { BOTH, "<@[192.0.2.1]:u@c>", LENIENT, "@[192.0.2.1]:u@c", "u@c", "u", "c", "" },
    { BOTH, "<@[IPv6:::1],@b:u@c>", LENIENT, "@[IPv6:::1],@b:u@c", "u@c", "u", "c", "" },
    { BOTH, "@a,@b:u@c", LENIENT, "@a,@b:u@c", "u@c", "u", "c", "" },
    /* P5 */
    { BOTH, "<user>", LENIENT, "user", NULL, "user", "", "" },
    { BOTH, "<user@>", LENIENT, "user@", NULL, "user", "", "" },
    { BOTH, "<\"a b\">", LENIENT, "\"a b\"", NULL, "\"a b\"", "", "" },
    { BOTH, "<a=b>", LENIENT, "a=b", NULL, "a=b", "", "" },
    /* P6 */
    { BOTH, "   <a@b>", STRICT, "a@b", NULL, "a", "b", "" },
    { BOTH, "\t<a@b>\tX=1", STRICT, "a@b", NULL, "a", "b", "X=1" },
    { BOTH, "<a@b>   X=1 Y ", STRICT, "a@b", NULL, "a", "b", "X=1 Y " },
    /* P7 */
    { BOTH, "a@b", LENIENT, "a@b", NULL, "a", "b", "" },
    { BOTH, " a@b SIZE=1 BODY=7BIT", LENIENT, "a@b", NULL, "a", "b", "SIZE=1 BODY=7BIT" },
    { BOTH, "a@b\tSIZE=1", LENIENT, "a@b", NULL, "a", "b", "SIZE=1" },
    { BOTH, "\"a b\"@c X", LENIENT, "\"a b\"@c", NULL, "\"a b\"", "c", "X" },
    { BOTH, "a=b@c X", LENIENT, "a=b@c", NULL, "a=b", "c", "X" },
    { BOTH, "<a.@b>", LENIENT, "a.@b", NULL, "a.", "b", "" },
    { BOTH, "<.a@b>", LENIENT, ".a@b", NULL, ".a", "b", "" },
    { BOTH, "<a..b@c>", LENIENT, "a..b@c", NULL, "a..b", "c", "" },
    { BOTH, "<.@b>", LENIENT, ".@b", NULL, ".", "b", "" },
    { BOTH, "<a@b_c.example>", LENIENT, "a@b_c.example", NULL, "a", "b_c.example", "" },
    { BOTH, "<a@b.>", LENIENT, "a@b.", NULL, "a", "b.", "" },
    { BOTH, "<a@.b>", LENIENT, "a@.b", NULL, "a", ".b", "" },
    { BOTH, "<a@b..c>", LENIENT, "a@b..c", NULL, "a", "b..c", "" },
    { BOTH, "<a@-b>", LENIENT, "a@-b", NULL, "a", "-b", "" },
    { BOTH, "<a@b->", LENIENT, "a@b-", NULL, "a", "b-", "" },
    { BOTH, "<a@b-.c>", LENIENT, "a@b-.c", NULL, "a", "b-.c", "" },
    { BOTH, "<a@b@c>", LENIENT, "a@b@c", NULL, "a@b", "c", "" },
    { BOTH, "<\"a\".b@c>", LENIENT, "\"a\".b@c", NULL, "\"a\".b", "c", "" },
    { BOTH, "<a.\"b c\"@d>", LENIENT, "a.\"b c\"@d", NULL, "a.\"b c\"", "d", "" },
    { BOTH, "<a\"b\"c@d>", LENIENT, "a\"b\"c@d", NULL, "a\"b\"c", "d", "" },
    { BOTH, "<\"a\"\"b\"@c>", LENIENT, "\"a\"\"b\"@c", NULL, "\"a\"\"b\"", "c", "" },
    { BOTH, "<DOMAIN\\user@b>", LENIENT, "DOMAIN\\user@b", NULL, "DOMAIN\\user", "b", "" },
    { BOTH, "<a;b:c,d@e>", LENIENT, "a;b:c,d@e", NULL, "a;b:c,d", "e", "" },
    { BOTH, "<a[b]@c>", LENIENT, "a[b]@c", NULL, "a[b]", "c", "" },
    /* non-ASCII, M9 */
    { BOTH, "<\xc3\xa9@b>", STRICT, "\xc3\xa9@b", NULL, "\xc3\xa9", "b", "" },
    { BOTH, "<a@\xe4\xbe\x8b.example>", STRICT, "a@\xe4\xbe\x8b.example", NULL, "a", "\xe4\xbe\x8b.example", "" },
    { BOTH, "<\"\xf0\x9f\x93\xa7 x\"@b>", STRICT, "\"\xf0\x9f\x93\xa7 x\"@b", NULL, "\"\xf0\x9f\x93\xa7 x\"", "b", "" },
    { BOTH, "<\"\\\xc3\xa9\"@b>", LENIENT, "\"\\\xc3\xa9\"@b", NULL, "\"\\\xc3\xa9\"", "b", "" },
    { BOTH, "<\xe9@b>", LENIENT, "\xe9@b", NULL, "\xe9", "b", "" },
    { BOTH, "<a@b\xc3>", LENIENT, "a@b\xc3", NULL, "a", "b\xc3", "" },
    { BOTH, "\xc3\xa9", LENIENT, "\xc3\xa9", NULL, "\xc3\xa9", "", "" },
};

static void assert_span(const char *arg, struct span got, const char *want)
{
    if (!span_eq(got, span_str(want)))
        fail_msg("%s: got \"%.*s\", want \"%s\"", arg, SPAN_ARG(got), want);
}

static bool has_high(const char *s)
{
    while (*s && !(*s & 0x80))
        s++;
    return *s != '\0';
}

static void check_good(const struct path_case *c, enum smtp_path_kind kind)
{
    struct span arg = span_str(c->arg);
    struct smtp_path path;

    if (smtp_path_parse(&path, &arg, kind) != SMTP_PATH_OK)
        fail_msg("%s: refused", c->arg);
    if (path.strict != (c->verdict == STRICT))
        fail_msg("%s: strict is %d", c->arg, path.strict);
    assert_span(c->arg, path.raw, c->raw);
    assert_span(c->arg, path.address, c->address ? c->address : c->raw);
    assert_span(c->arg, path.local, c->local);
    assert_span(c->arg, path.domain, c->domain);
    assert_span(c->arg, arg, c->rest);
    assert_int_equal(path.non_ascii, has_high(c->raw));
    if (!path.non_ascii)
        assert_true(path.valid_utf8);
}

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (good[i].who & SENDER)
            check_good(&good[i], SMTP_REVERSE_PATH);
        if (good[i].who & RCPT)
            check_good(&good[i], SMTP_FORWARD_PATH);
    }
}

static const struct {
    enum who who;
    struct span arg;
} bad[] = {
    /* nothing there */
    { BOTH, SPAN_LIT("") },
    { BOTH, SPAN_LIT("  ") },
    { BOTH, SPAN_LIT("<") },
    { BOTH, SPAN_LIT(">") },
    { RCPT, SPAN_LIT("<>") },
    { RCPT, SPAN_LIT("<> X=1") },
    { BOTH, SPAN_LIT("< >") },
    { BOTH, SPAN_LIT(" SIZE=10") },
    { BOTH, SPAN_LIT("BODY=8BITMIME SIZE=10") },
    { BOTH, SPAN_LIT("@") },
    { BOTH, SPAN_LIT("<@>") },
    { BOTH, SPAN_LIT("<@b>") },
    { BOTH, SPAN_LIT("@b") },
    /* brackets */
    { BOTH, SPAN_LIT("<a@b") },
    { BOTH, SPAN_LIT("<a@b SIZE=1") },
    { BOTH, SPAN_LIT("<a@b SIZE=1>") },
    { BOTH, SPAN_LIT("a@b>") },
    { BOTH, SPAN_LIT("a@b> SIZE=1") },
    { BOTH, SPAN_LIT("<<a@b>>") },
    { BOTH, SPAN_LIT("<a<b@c>") },
    { BOTH, SPAN_LIT("Name<a@b>") },
    { BOTH, SPAN_LIT("<>>") },
    { BOTH, SPAN_LIT("<><>") },
    { BOTH, SPAN_LIT("<>X") },
    /* P10 */
    { BOTH, SPAN_LIT("<a>b@c>") },
    { BOTH, SPAN_LIT("<a b@c>") },
    { BOTH, SPAN_LIT("< a@b>") },
    { BOTH, SPAN_LIT("<a@b >") },
    { BOTH, SPAN_LIT("<a @b>") },
    { BOTH, SPAN_LIT("<a@b>SIZE=1") },
    { BOTH, SPAN_LIT("<a@b>>") },
    { BOTH, SPAN_LIT("<a@b>,<c@d>") },
    { BOTH, SPAN_LIT("<\"a@b>") },
    { BOTH, SPAN_LIT("<a\"@b>") },
    { BOTH, SPAN_LIT("<\"a\\\"@b>") },
    { BOTH, SPAN_LIT("<\"a\"\"@b>") },
    { BOTH, SPAN_LIT("<\"a") },
    { BOTH, SPAN_LIT("\"a") },
    { BOTH, SPAN_LIT("\"a\\") },
    { BOTH, SPAN_LIT("<\"a> SIZE=1") },
    { BOTH, SPAN_LIT("<\"a> SIZE=1 \"@b") },
    /* what a reader without, or with other, quoting would read otherwise */
    { BOTH, SPAN_LIT("<a\"b>c\"@d>") },
    { BOTH, SPAN_LIT("<a\"b c\"@d>") },
    { BOTH, SPAN_LIT("<a\".\"@d>") },
    { BOTH, SPAN_LIT("<a\"b.c\"@d>") },
    { BOTH, SPAN_LIT("<a\"b@c\"@d>") },
    { BOTH, SPAN_LIT("<a\"b\\\"c\"@d>") },
    { BOTH, SPAN_LIT("<a@\"b c\">") },
    { BOTH, SPAN_LIT("<a\\>b@c>") },
    { BOTH, SPAN_LIT("<a\\ b@c>") },
    { BOTH, SPAN_LIT("<a\\\"b@c>") },
    { BOTH, SPAN_LIT("<a\\\\b@c>") },
    { BOTH, SPAN_LIT("<a\\@b@c>") },
    { BOTH, SPAN_LIT("<a@b\\>") },
    { BOTH, SPAN_LIT("a@b\\") },
    { BOTH, SPAN_LIT("a@b\\ SIZE=1") },
    { BOTH, SPAN_LIT("<a(b@c>") },
    { BOTH, SPAN_LIT("<a(b)@c>") },
    { BOTH, SPAN_LIT("<a)b@c>") },
    { BOTH, SPAN_LIT("<a@[192.0.2.1>") },
    { BOTH, SPAN_LIT("<a@192.0.2.1]>") },
    { BOTH, SPAN_LIT("<a@[192.0.2.1 ]>") },
    { BOTH, SPAN_LIT("<a@[1>2]>") },
    { BOTH, SPAN_LIT("<a@[[1]]>") },
    { BOTH, SPAN_LIT("<a@[\"]>") },
    { BOTH, SPAN_LIT("<a@[\\]]>") },
    /* source routes */
    { BOTH, SPAN_LIT("<@a:>") },
    { BOTH, SPAN_LIT("<@a,@b>") },
    { BOTH, SPAN_LIT("<@a,b:u@c>") },
    { BOTH, SPAN_LIT("<@a,:u@c>") },
    { BOTH, SPAN_LIT("<@:u@c>") },
    { BOTH, SPAN_LIT("<@a:@b:u@c>") },
    { BOTH, SPAN_LIT("<@a:@c>") },
    { BOTH, SPAN_LIT("<@a u@c>") },
    { BOTH, SPAN_LIT("<@\"a\":u@c>") },
    { BOTH, SPAN_LIT("<@[a:u@c>") },
    { BOTH, SPAN_LIT("<@a,") },
    { BOTH, SPAN_LIT("<@a:") },
    /* P9 */
    { BOTH, SPAN_LIT("<a\0@b>") },
    { BOTH, SPAN_LIT("<a\r@b>") },
    { BOTH, SPAN_LIT("<a\n@b>") },
    { BOTH, SPAN_LIT("<a\t@b>") },
    { BOTH, SPAN_LIT("<\x01@b>") },
    { BOTH, SPAN_LIT("<a@b\x1f>") },
    { BOTH, SPAN_LIT("<a\x7f@b>") },
    { BOTH, SPAN_LIT("a\x7f@b") },
    { BOTH, SPAN_LIT("<\"a\tb\"@c>") },
    { BOTH, SPAN_LIT("<\"a\0b\"@c>") },
    { BOTH, SPAN_LIT("<\"a\r\nb\"@c>") },
    { BOTH, SPAN_LIT("<\"a\\\nb\"@c>") },
    { BOTH, SPAN_LIT("<\"a\\\x7f\"@c>") },
    { BOTH, SPAN_LIT("<\"\\\0\"@c>") },
    { BOTH, SPAN_LIT("<a\xc2\x80@b>") },
    { BOTH, SPAN_LIT("<a\xc2\x85@b>") },
    { BOTH, SPAN_LIT("<a\xc2\x9f@b>") },
    { BOTH, SPAN_LIT("<\"a\xc2\x85\"@b>") },
    { BOTH, SPAN_LIT("<\"a\\\xc2\x85\"@b>") },
    { BOTH, SPAN_LIT("<a\x80@b>") },
    { BOTH, SPAN_LIT("<a\x9f@b>") },
    { BOTH, SPAN_LIT("<a\xc0\x8a@b>") },
    { BOTH, SPAN_LIT("<a\xe2\x80\x8b@b>") },
    { BOTH, SPAN_LIT("<a@b\xe2\x81\xa0>") },
    { BOTH, SPAN_LIT("<\xef\xbb\xbf"
                     "a@b>") },
    { BOTH, SPAN_LIT("<\"\\\xe2\x80\x8b\"@b>") },
    { BOTH, SPAN_LIT("<\xe9\xe2\x80\x8b@b>") },
    { BOTH, SPAN_LIT("<@a\xe2\x80\x8b:u@c>") },
    { BOTH, SPAN_LIT("\xe2\x80\x8b"
                     "a@b") },
};

static void check_bad(struct span text, enum smtp_path_kind kind)
{
    struct span arg = text;
    struct smtp_path path;

    if (smtp_path_parse(&path, &arg, kind) != SMTP_PATH_SYNTAX)
        fail_msg("%.*s: accepted as \"%.*s\"", SPAN_ARG(text), SPAN_ARG(path.address));
    assert_ptr_equal(arg.p, text.p);
    assert_int_equal(arg.n, text.n);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (bad[i].who & SENDER)
            check_bad(bad[i].arg, SMTP_REVERSE_PATH);
        if (bad[i].who & RCPT)
            check_bad(bad[i].arg, SMTP_FORWARD_PATH);
    }
}

static void test_utf8_flag(void **state)
{
    static const struct {
        struct span arg;
        bool non_ascii, valid;
    } cases[] = {
        { SPAN_LIT("<a@b>"), false, true },          { SPAN_LIT("<\xc3\xa9@b>"), true, true },
        { SPAN_LIT("<\xe9@b>"), true, false },       { SPAN_LIT("<a@\xed\xa0\xc0>"), true, false },
        { SPAN_LIT("<@\xc3\xa9:a@b>"), true, true }, { SPAN_LIT("<>"), false, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span arg = cases[i].arg;
        struct smtp_path path;

        assert_int_equal(smtp_path_parse(&path, &arg, SMTP_REVERSE_PATH), SMTP_PATH_OK);
        assert_int_equal(path.non_ascii, cases[i].non_ascii);
        assert_int_equal(path.valid_utf8, cases[i].valid);
        assert_true(path.valid_utf8 || !path.strict);
    }
}

/* P8: "<local@domain>" with parts of these lengths. */
static void test_lengths(void **state)
{
    static const struct {
        int local, domain;
        bool strict;
    } cases[] = {
        { 64, 189, true }, { 65, 188, true }, { 100, 100, true }, { 64, 190, false }, { 1, 252, true },
        { 1, 253, false }, { 1, 256, false }, { 252, 1, true },   { 253, 1, false },  { 1500, 300, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[2048];
        struct smtp_path path;
        int n = cases[i].local + cases[i].domain + 3;
        struct span arg = span_of(text, (size_t)n);

        memset(text, 'a', sizeof(text));
        text[0] = '<';
        text[1 + cases[i].local] = '@';
        text[n - 1] = '>';
        assert_int_equal(smtp_path_parse(&path, &arg, SMTP_FORWARD_PATH), SMTP_PATH_OK);
        assert_int_equal(path.strict, cases[i].strict);
        assert_int_equal(path.local.n, cases[i].local);
        assert_int_equal(path.domain.n, cases[i].domain);
    }
}

static void test_text(void **state)
{
    static const struct {
        struct span text;
        bool control, helo;
    } cases[] = {
        { SPAN_LIT(""), false, false },
        { SPAN_LIT("client.example.com"), false, true },
        { SPAN_LIT("[192.0.2.1]"), false, true },
        { SPAN_LIT("a b_c\\d<>\"("), false, true },
        { SPAN_LIT("a\tb"), true, false },
        { SPAN_LIT("a\0"), true, false },
        { SPAN_LIT("\x1b[0m"), true, false },
        { SPAN_LIT("\x7f"), true, false },
        { SPAN_LIT("\xc3\xa9"), false, true },
        { SPAN_LIT("\xc2\xa0"), false, true },
        { SPAN_LIT("\xe9"), false, true },
        { SPAN_LIT("\xc2\x80"), true, false },
        { SPAN_LIT("\xc2\x9f"), true, false },
        { SPAN_LIT("\xe2\x80\x8b"), true, true },
        { SPAN_LIT("\xe2\x80\x8c"), false, true },
        { SPAN_LIT("\xe2\x81\xa0"), true, true },
        { SPAN_LIT("\xef\xbb\xbf"), true, true },
        { SPAN_LIT("\x83\x65\x83\x58"), true, true },
        { SPAN_LIT("\xe2\x80"), true, true },
        { SPAN_LIT("\xa0\xff"), false, true },
        { SPAN_LIT("\xe9\xef\xbb\xbf"), true, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(smtp_text_has_control(cases[i].text), cases[i].control);
        assert_int_equal(smtp_helo_valid(cases[i].text), cases[i].helo);
    }
}

static void test_helo_length(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(smtp_helo_valid(span_of(name, 255)));
    assert_false(smtp_helo_valid(span_of(name, 256)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused), cmocka_unit_test(test_utf8_flag),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_text),    cmocka_unit_test(test_helo_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
