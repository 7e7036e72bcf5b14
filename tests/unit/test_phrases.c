/* phrases_find(): what a phrase fits, and which of several wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/record/phrases.h"

static const struct {
    const char *text;
    int code;
    enum reply_class class;
} table[] = {
    { "", 550, CLASS_NONE },
    { "qwerty uiop", 550, CLASS_NONE },
    { "user unknown", 550, CLASS_UNKNOWN_USER },
    { "userunknown", 550, CLASS_NONE },
    { "superuser unknowns", 550, CLASS_NONE },
    { "USER-UNKNOWN", 550, CLASS_UNKNOWN_USER },
    { "greylistings", 450, CLASS_GREYLISTED },               /* a prefix */
    { "no relay: user unknown", 550, CLASS_UNKNOWN_USER },   /* the higher rank */
    { "user a b c d e not found", 550, CLASS_UNKNOWN_USER }, /* a gap of five */
    { "user a b c d e f not found", 550, CLASS_NONE },
    { "a@b.example unknown", 550, CLASS_UNKNOWN_USER }, /* ADDR */
    { "try again later", 450, CLASS_LOCAL },            /* of 4xx only */
    { "try again later", 550, CLASS_NONE },
    { "zen.spamhaus.org", 550, CLASS_REPUTATION }, /* in a name */
    { "see https://tls.example.com/virus", 550, CLASS_NONE },
    { "受信者のメールボックスが満杯です", 552, CLASS_MAILBOX_FULL },
    { "почтовый ящик переполнен", 552, CLASS_MAILBOX_FULL },
};

static void test_table(void **state)
{
    static struct words w;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        words_begin(&w);
        words_add(&w, span_str(table[i].text));
        struct phrase_hit hit = phrases_find(&w, table[i].code);
        if (hit.class != table[i].class)
            print_error("%s: class %d\n", table[i].text, (int)hit.class);
        assert_int_equal(hit.class, table[i].class);
        assert_true((hit.class == CLASS_NONE) == (hit.rank == 0));
    }
}

/* The order of lines is the order of words: a phrase may go over a line's end. */
static void test_lines(void **state)
{
    static struct words w;
    (void)state;
    words_begin(&w);
    words_add(&w, SPAN_LIT("the user is"));
    words_add(&w, SPAN_LIT("not known; relay"));
    words_add(&w, SPAN_LIT("access denied"));
    assert_int_equal(phrases_find(&w, 550).class, CLASS_RELAY_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_lines) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
