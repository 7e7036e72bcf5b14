#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/codec.h"
#include "tests/unit/utf8_model.h"

/* Each output begins with text of others, which must stay. */
static const char before[] = "before|";

static void out_init(struct buf *b)
{
    buf_init(b, NULL);
    buf_append(b, before, strlen(before));
}

static void check_out(struct buf *b, struct span want)
{
    struct span got = buf_span(b);
    assert_int_equal(got.n, strlen(before) + want.n);
    assert_memory_equal(got.p, before, strlen(before));
    if (want.n > 0)
        assert_memory_equal(got.p + strlen(before), want.p, want.n);
    buf_free(b);
}

static void base64_both_ways(void **state)
{
    (void)state;
    static const struct {
        struct span plain;
        const char *text;
    } cases[] = {
        { { "", 0 }, "" },
        { { "f", 1 }, "Zg==" },
        { { "fo", 2 }, "Zm8=" },
        { { "foo", 3 }, "Zm9v" },
        { { "foob", 4 }, "Zm9vYg==" },
        { { "fooba", 5 }, "Zm9vYmE=" },
        { { "foobar", 6 }, "Zm9vYmFy" },
        { { "\0user\0secret", 12 }, "AHVzZXIAc2VjcmV0" },
        { { "\0", 1 }, "AA==" },
        { { "\xff\xff\xff", 3 }, "////" },
        { { "\xfb\xef\xbe", 3 }, "++++" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        out_init(&b);
        codec_base64_encode(&b, cases[i].plain);
        check_out(&b, span_str(cases[i].text));
        out_init(&b);
        assert_true(codec_base64_decode(&b, span_str(cases[i].text)));
        check_out(&b, cases[i].plain);
    }
    struct buf b;
    out_init(&b);
    codec_base64_encode(&b, SPAN_NONE);
    assert_true(codec_base64_decode(&b, SPAN_NONE));
    check_out(&b, SPAN_NONE);
}

static void base64_faults(void **state)
{
    (void)state;
    static const struct span bad[] = {
        { "Z", 1 },    { "Zg", 2 },       { "Zg=", 3 },   { "Zm8", 3 },      { "=", 1 },        { "====", 4 },
        { "Z===", 4 }, { "Zg==Zg==", 8 }, { "Zm=v", 4 },  { "Zm9v\n", 5 },   { "Zm9v\r\n", 6 }, { " Zm9", 4 },
        { "Zm 9", 4 }, { "Zm9-", 4 },     { "Zm9_", 4 },  { "Zm9\0", 4 },    { "Zm9\xc3", 4 },  { "*", 1 },
        { "Zh==", 4 }, { "Zm9=", 4 },     { "Zm9v=", 5 }, { "Zm9v====", 8 }, { "Zm9vZg=", 7 },  { "=AAA", 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b;
        out_init(&b);
        assert_false(codec_base64_decode(&b, bad[i]));
        check_out(&b, SPAN_NONE);
        buf_init(&b, NULL);
        assert_false(codec_base64_decode(&b, bad[i]));
        assert_null(b.base);
    }
}

static void xtext_both_ways(void **state)
{
    (void)state;
    static const struct {
        struct span plain;
        const char *text;
    } cases[] = {
        { { "", 0 }, "" },
        { { "plain", 5 }, "plain" },
        { { "a+b=c", 5 }, "a+2Bb+3Dc" },
        { { "a b", 3 }, "a+20b" },
        { { "\0\xff\x7f\r\n", 5 }, "+00+FF+7F+0D+0A" },
        { { "!~", 2 }, "!~" },
        { { "+", 1 }, "+2B" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        out_init(&b);
        codec_xtext_encode(&b, cases[i].plain);
        check_out(&b, span_str(cases[i].text));
        out_init(&b);
        assert_true(codec_xtext_valid(span_str(cases[i].text)));
        assert_true(codec_xtext_decode(&b, span_str(cases[i].text)));
        check_out(&b, cases[i].plain);
    }
    struct buf b;
    out_init(&b);
    assert_true(codec_xtext_decode(&b, SPAN_LIT("+4a+4A+aA")));
    check_out(&b, SPAN_LIT("JJ\xaa"));
}

static void xtext_faults(void **state)
{
    (void)state;
    static const struct span bad[] = {
        { "+", 1 },    { "a+", 2 },         { "a+2", 3 },   { "+2G", 3 },  { "+ 20", 4 }, { "a=b", 3 },  { "a b", 3 },
        { "a\0b", 3 }, { "gr\xc3\xbc", 4 }, { "a\x7f", 2 }, { "++2B", 4 }, { "\t", 1 },   { "+2B+", 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b;
        out_init(&b);
        assert_false(codec_xtext_valid(bad[i]));
        assert_false(codec_xtext_decode(&b, bad[i]));
        check_out(&b, SPAN_NONE);
    }
}

static void check_utf8(const char *p, size_t n)
{
    bool good;
    uint32_t cp = 0;
    size_t want = utf8_model((const uint8_t *)p, n, &good);
    assert_int_equal(codec_utf8_step(p, n, &cp), want);
    assert_int_equal(cp != CODEC_UTF8_BAD, good);
    assert_int_equal(codec_utf8_next(p, n, &cp), good ? want : 0);
    if (want == n)
        assert_int_equal(codec_utf8_valid(span_of(p, n)), good);
}

/* All sequences of up to 4 bytes, over the bytes at which something changes. */
static void utf8_against_the_table(void **state)
{
    (void)state;
    static const uint8_t edge[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                    0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
    enum { EDGES = sizeof(edge) };
    for (size_t i = 0; i < (size_t)EDGES * EDGES * EDGES * EDGES; i++) {
        char text[4] = { (char)edge[i % EDGES], (char)edge[i / EDGES % EDGES], (char)edge[i / EDGES / EDGES % EDGES],
                         (char)edge[i / EDGES / EDGES / EDGES] };
        for (size_t n = i % 16 == 0 ? 1 : 4; n <= 4; n++)
            check_utf8(text, n);
    }
}

static void utf8_characters(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        uint32_t cp;
    } cases[] = {
        { { "\0", 1 }, 0 },
        { { "A", 1 }, 'A' },
        { { "\xc2\x80", 2 }, 0x80 },
        { { "\xdf\xbf", 2 }, 0x7ff },
        { { "\xe0\xa0\x80", 3 }, 0x800 },
        { { "\xed\x9f\xbf", 3 }, 0xd7ff },
        { { "\xee\x80\x80", 3 }, 0xe000 },
        { { "\xef\xbf\xbf", 3 }, 0xffff },
        { { "\xf0\x90\x80\x80", 4 }, 0x10000 },
        { { "\xf0\x9f\x98\x80", 4 }, 0x1f600 },
        { { "\xf4\x8f\xbf\xbf", 4 }, 0x10ffff },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t cp;
        assert_int_equal(codec_utf8_next(cases[i].text.p, cases[i].text.n, &cp), cases[i].text.n);
        assert_int_equal(cp, cases[i].cp);
    }
    assert_true(codec_utf8_valid(SPAN_NONE));
    assert_true(codec_utf8_valid(SPAN_LIT("gr\xc3\xbc\xc3\x9f dich, \xe2\x82\xac")));
    assert_false(codec_utf8_valid(SPAN_LIT("gr\xfc\xdf dich")));
    assert_false(codec_utf8_valid(SPAN_LIT("cut \xe2\x82")));
}

static void utf8_cuts(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t max, want;
    } cases[] = {
        { "abc", 3, 3 },
        { "abc", 9, 3 },
        { "abc", 2, 2 },
        { "abc", 0, 0 },
        { "\xc3\xbc", 1, 0 },
        { "a\xc3\xbc", 2, 1 },
        { "a\xc3\xbc", 3, 3 },
        { "a\xc3\xbcz", 3, 3 },
        { "\xe2\x82\xac", 2, 0 },
        { "\xe2\x82\xac", 1, 0 },
        { "\xf0\x9f\x98\x80", 3, 0 },
        { "ab\xf0\x9f\x98\x80", 3, 2 },
        { "ab\xf0\x9f\x98\x80", 5, 2 },
        { "ab\xf0\x9f\x98\x80", 6, 6 },
        /* what is no character is cut anywhere */
        { "\x80\x80\x80\x80\x80", 3, 3 },
        { "a\xe2\x82", 2, 2 },
        { "\xff\xff", 1, 1 },
        { "\xf0\x9f\x98\x80\x80\x80\x80", 6, 6 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span in = span_str(cases[i].in), cut = codec_utf8_cut(in, cases[i].max);
        assert_ptr_equal(cut.p, in.p);
        assert_int_equal(cut.n, cases[i].want);
    }
    assert_int_equal(codec_utf8_cut(SPAN_NONE, 5).n, 0);
}

static const struct {
    const char *in, *out;
} headers[] = {
    { "", "" },
    { " \t\r\n ", "" },
    { " plain text \r\n", "plain text" },
    { "two  blanks", "two  blanks" },
    { "folded\r\n line", "folded line" },
    { "folded\n\tline", "folded\tline" },
    { "folded \r\n \r\n line", "folded   line" },
    { "not\r\nfolded", "not\r\nfolded" },
    { "=?UTF-8?Q?gr=C3=BCn?=", "gr\xc3\xbcn" },
    { "=?utf-8?q?a_b=5Fc?=", "a b_c" },
    { "=?utf-8?B?Z3LDvG4=?=", "gr\xc3\xbcn" },
    { "=?utf-8?b?Z3LDvG4?=", "gr\xc3\xbcn" },
    { "=?utf-8*de?q?x?=", "x" },
    { "=?iso-8859-1?q?gr=FCn?=", "gr\xc3\xbcn" },
    { "=?ISO-8859-15?q?=A4=A6=A8=B4=B8=BC=BD=BE=FC?=",
      "\xe2\x82\xac\xc5\xa0\xc5\xa1\xc5\xbd\xc5\xbe\xc5\x92\xc5\x93\xc5\xb8\xc3\xbc" },
    { "=?windows-1252?q?=80=85=99=81=FC?=", "\xe2\x82\xac\xe2\x80\xa6\xe2\x84\xa2\xef\xbf\xbd\xc3\xbc" },
    { "=?us-ascii?q?plain?=", "plain" },
    { "a =?utf-8?q?b?= c", "a b c" },
    { "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
    { "=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab" },
    { "=?utf-8?q?a?=  \r\n\t =?utf-8?b?Yg==?= c", "ab c" },
    { "=?utf-8?q?a_?= =?utf-8?q?b?=", "a b" },
    { "=?utf-8?q?a?==?utf-8?q?b?=", "ab" },
    { "=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c" },
    /* a character cut in two by its encoder */
    { "=?utf-8?b?w7w=?= =?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xc3\xbc\xc3\xbc" },
    { "=?utf-8?q?"
      "?=",
      "" },
    { "=?utf-8?b?"
      "?=",
      "" },
    { "=?utf-8?q?a?= =?utf-8?q?"
      "?= =?utf-8?q?b?=",
      "ab" },
    { "\"=?utf-8?q?M=C3=BCller?=\" <m@example.com>", "\"M\xc3\xbcller\" <m@example.com>" },
    { "(=?utf-8?q?a?= b)", "(a b)" },
    { "=?utf-8?q?x=zz=4?=", "x=zz=4" },
    { "=?utf-8?q?=00=0A?=x", NULL },
    /* left as they are */
    { "=?koi8-r?q?=F0?=", "=?koi8-r?q?=F0?=" },
    { "=?utf-8?q?a?= =?koi8-r?q?=F0?=", "a =?koi8-r?q?=F0?=" },
    { "=?koi8-r?q?=F0?= =?utf-8?q?a?=", "=?koi8-r?q?=F0?= a" },
    { "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
    { "=?utf-8?qq?a?=", "=?utf-8?qq?a?=" },
    { "=?utf-8?b?*?=", "=?utf-8?b?*?=" },
    { "=?utf-8?b?Z?=", "=?utf-8?b?Z?=" },
    { "=?utf-8?q?a b?=", "=?utf-8?q?a b?=" },
    { "=?utf-8?q?a", "=?utf-8?q?a" },
    { "=?utf-8?q?a?", "=?utf-8?q?a?" },
    { "=?utf-8?q?a?b?=", "=?utf-8?q?a?b?=" },
    { "=?utf-8?q", "=?utf-8?q" },
    { "=?", "=?" },
    { "=", "=" },
    { "a = b =", "a = b =" },
    { "=?=?utf-8?q?a?=", "=?a" },
    { "====?utf-8?q?a?===", "===a==" },
    { "8bit gr\xfcn", "8bit gr\xfcn" },
};

static void header_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct buf b;
        out_init(&b);
        struct span in = span_str(headers[i].in);
        char *exact = malloc(in.n + 1);
        memcpy(exact, in.p, in.n);
        codec_header_decode(&b, span_of(exact, in.n));
        free(exact);
        check_out(&b, headers[i].out ? span_str(headers[i].out) : span_of("\0\nx", 3));
    }
    struct buf b;
    out_init(&b);
    codec_header_decode(&b, SPAN_NONE);
    check_out(&b, SPAN_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_both_ways), cmocka_unit_test(base64_faults),          cmocka_unit_test(xtext_both_ways),
        cmocka_unit_test(xtext_faults),     cmocka_unit_test(utf8_against_the_table), cmocka_unit_test(utf8_characters),
        cmocka_unit_test(utf8_cuts),        cmocka_unit_test(header_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
