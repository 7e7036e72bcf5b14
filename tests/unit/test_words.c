/* words_add(): what a reply's text looks like as words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/record/words.h"

/* Words parted by blanks: "//" before a name's, ADDR, IP, and enhanced codes as they are. */
static void show(const struct words *w, char *out, size_t size)
{
    static const char *const kinds[] = { "", "//", "ADDR", "IP", "" };
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < w->count; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s%.*s", i ? " " : "", kinds[w->word[i].kind],
                              SPAN_ARG(w->word[i].text));
}

static const struct {
    const char *text, *words;
} table[] = {
    { "", "" },
    { "  ...  ", "" },
    { "User Unknown", "user unknown" },
    { "doesn't, isn\xe2\x80\x99t; user's", "doesnt isnt user" },
    { "e-mail E-Mails non-existent", "email emails non existent" },
    { "<a@example.com>: rejected", "ADDR rejected" },
    { "a@example.com: rejected", "ADDR rejected" },
    { "from [192.0.2.1] or IP=192.0.2.1:25, 2001:db8::1", "from IP or ip IP 25 IP" },
    { "1.2.3.4.5 1.2.3", "//1 //2 //3 //4 //5 //1 //2 //3" },
    { "5.7.1 (#4.2.2) 5.7.1x", ".7.1 .2.2 //5 //7 //1x" },
    { "see https://www.Example.com/a?b=Spam now", "see https //www //example //com //a //b //spam now" },
    { "mx1.example.com said.Please wait", "//mx1 //example //com said please wait" },
    { "Empf\xc3\xa4nger Gr\xc3\xb6\xc3\x9f"
      "e \xc3\x9c",
      "empfaenger groesse ue" },
    { "re\xc3\xa7u Re\xcc\x81sum\xc3\x89", "recu resume" },
    { "\xc5\x82\xc4\x8d\xc5\xa1 \xc8\x99", "lcs s" },
    { "pr\xe9sent", "present" },
    { "\xd0\x9f\xd0\x98\xd0\xa1\xd0\xac \xd0\x81\xd0\xb6", "\xd0\xbf\xd0\xb8\xd1\x81\xd1\x8c \xd0\xb5\xd0\xb6" },
    { "\xe5\xae\xb9\xe9\x87\x8f\xe3\x80\x82x", "\xe5\xae\xb9 \xe9\x87\x8f x" },
    { "\xef\xbc\xb3\xef\xbd\x90\xef\xbd\x81\xef\xbd\x8d", "spam" },
    { "_is_blocked.For", "is blocked for" },
};

static void test_table(void **state)
{
    static struct words w;
    char got[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        words_begin(&w);
        words_add(&w, span_str(table[i].text));
        show(&w, got, sizeof(got));
        assert_string_equal(got, table[i].words);
    }
}

static void test_limits(void **state)
{
    static struct words w;
    static char text[4 * WORDS_OCTETS];
    (void)state;
    memset(text, 0xe4, sizeof(text));
    words_begin(&w);
    words_add(&w, span_of(text, 1));
    words_add(&w, span_of(text, sizeof(text)));
    words_add(&w, span_of(text, sizeof(text)));
    assert_int_equal(w.count, 2);
    assert_int_equal(w.used, 2 * WORDS_OCTETS);
    assert_true(w.used <= sizeof(w.buf));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? ' ' : 'a';
    words_begin(&w);
    words_add(&w, span_of(text, sizeof(text)));
    assert_int_equal(w.count, WORDS_MAX);
}

static void test_key(void **state)
{
    (void)state;
    assert_int_equal(words_key(SPAN_LIT("grey")), words_key(SPAN_LIT("greylisted")));
    assert_int_not_equal(words_key(SPAN_LIT("gre")), words_key(SPAN_LIT("grey")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
