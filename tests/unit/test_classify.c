/* classify_reply() against the tables of real replies, and where they are silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/record/classify.h"
#include "tests/unit/replies_tsv.h"

#define WORD(id, word) word,
static const char *const words[] = { RECORD_CLASSES(WORD) };

static unsigned check_table(const char *name, enum txn_stage from, enum txn_stage to, unsigned *wrong)
{
    struct tsv_row row;
    unsigned refusals = 0;
    FILE *f = tsv_open(name);
    while (tsv_next(f, &row)) {
        const char *want = strcmp(row.class, "accepted") == 0 ? "" : row.class;
        refusals += want[0] != '\0';
        for (int stage = (int)from; stage <= (int)to; stage++) {
            const char *got = words[classify_reply(&row.reply, (enum txn_stage)stage)];
            if (strcmp(got, want) != 0) {
                print_error("%s, stage %d: %s, not %s: %s\n", name, stage, got, want, row.text);
                ++*wrong;
            }
        }
    }
    fclose(f);
    return refusals;
}

/* The text of these tells the reason, so the command does not matter. */
static void test_table(void **state)
{
    unsigned wrong = 0;
    (void)state;
    assert_true(check_table("replies.tsv", STAGE_MAIL, STAGE_END, &wrong) >= 290);
    assert_int_equal(wrong, 0);
}

static void test_more(void **state)
{
    unsigned wrong = 0;
    (void)state;
    assert_true(check_table("replies_more.tsv", STAGE_RCPT, STAGE_RCPT, &wrong) >= 1100);
    assert_int_equal(wrong, 0);
}

static const struct {
    const char *text;
    enum txn_stage stage;
    enum reply_class class;
} silent[] = {
    { "550 ", STAGE_RCPT, CLASS_UNKNOWN_USER },
    { "550 ", STAGE_MAIL, CLASS_BAD_SENDER },
    { "550 ", STAGE_END, CLASS_CONTENT },
    { "550 ", STAGE_DATA, CLASS_OTHER },
    { "552 ", STAGE_MAIL, CLASS_SIZE },
    { "552 ", STAGE_RCPT, CLASS_MAILBOX_FULL },
    { "552 ", STAGE_END, CLASS_SIZE },
    { "554 ", STAGE_END, CLASS_CONTENT },
    { "554 ", STAGE_RCPT, CLASS_OTHER },
    { "450 ", STAGE_RCPT, CLASS_GREYLISTED },
    { "450 ", STAGE_END, CLASS_LOCAL },
    { "421 ", STAGE_RCPT, CLASS_LOCAL },
    { "451 4.7.1 ", STAGE_RCPT, CLASS_GREYLISTED },
    { "451 ", STAGE_END, CLASS_LOCAL },
    { "454 ", STAGE_MAIL, CLASS_TLS },
    { "500 ", STAGE_MAIL, CLASS_PROTOCOL },
    { "521 ", STAGE_MAIL, CLASS_OTHER },
    { "530 ", STAGE_MAIL, CLASS_RELAY_DENIED },
    { "555 ", STAGE_MAIL, CLASS_PROTOCOL },
    { "550 5.1.1 ", STAGE_END, CLASS_UNKNOWN_USER },
    { "550 5.1.8 ", STAGE_RCPT, CLASS_BAD_SENDER },
    { "550 5.1.10 ", STAGE_RCPT, CLASS_UNKNOWN_USER },
    { "452 4.2.2 ", STAGE_END, CLASS_MAILBOX_FULL },
    { "552 5.3.4 ", STAGE_RCPT, CLASS_SIZE },
    { "451 4.4.1 ", STAGE_RCPT, CLASS_NETWORK },
    { "554 5.4.6 ", STAGE_END, CLASS_OTHER },
    { "452 4.5.3 ", STAGE_RCPT, CLASS_RATE_LIMIT },
    { "550 5.6.0 ", STAGE_RCPT, CLASS_CONTENT },
    { "550 5.7.8 ", STAGE_RCPT, CLASS_RELAY_DENIED },
    { "550 5.7.25 ", STAGE_RCPT, CLASS_REPUTATION },
    { "550 5.7.26 ", STAGE_RCPT, CLASS_AUTH_POLICY },
    { "550 5.7.27 ", STAGE_RCPT, CLASS_BAD_SENDER },
    { "550 5.7.30 ", STAGE_RCPT, CLASS_TLS },
    { "550 5.7.31 ", STAGE_RCPT, CLASS_AUTH_POLICY },
    { "550 5.1.5 ", STAGE_END, CLASS_UNKNOWN_USER },
    { "550 5.0.350 said 550 5.2.2", STAGE_END, CLASS_MAILBOX_FULL },
    { "535 busy", STAGE_MAIL, CLASS_RELAY_DENIED },
    { "501 invalid address", STAGE_RCPT, CLASS_PROTOCOL },
    { "550 invalid address", STAGE_RCPT, CLASS_UNKNOWN_USER },
    { "550 5.7.620 ", STAGE_RCPT, CLASS_REPUTATION },
    { "250 Ok", STAGE_RCPT, CLASS_NONE },
    { "354 Go on", STAGE_DATA, CLASS_NONE },
    { "220 5.1.1 User unknown", STAGE_RCPT, CLASS_NONE },
};

static void test_silent(void **state)
{
    char wire[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
        struct smtp_reply r = smtp_reply_read(tsv_wire(silent[i].text, wire));
        enum reply_class got = classify_reply(&r, silent[i].stage);
        if (got != silent[i].class)
            print_error("%s at %d: %s, not %s\n", silent[i].text, silent[i].stage, words[got], words[silent[i].class]);
        assert_int_equal(got, silent[i].class);
    }
}

/* What an address, a URL or a host's name happens to hold is no reason. */
static void test_misleading(void **state)
{
    static const char *const texts[] = {
        "550 5.1.1 <spam@example.com>: Recipient address rejected: User unknown",
        "550 5.1.1 <mailbox-full@dkim.example.com> user unknown",
        "550 user unknown; see https://example.com/dictionary/tls-relay-virus.html",
        "550 User unknown (mx1.virus.example.com)",
        "550 greylisting@example.com: no such user",
    };
    char wire[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct smtp_reply r = smtp_reply_read(tsv_wire(texts[i], wire));
        assert_string_equal(words[classify_reply(&r, STAGE_END)], "unknown-user");
    }
}

/* A reply far longer than what is read costs no more, and ends in a class. */
static void test_long(void **state)
{
    static char wire[60000];
    size_t n = 0;
    (void)state;
    while (n < sizeof(wire) - 128)
        n +=
            (size_t)snprintf(wire + n, 64, "550-%s\r\n", n == 0 ? "5.7.1 Message contains a virus" : "a b c d e f g h");
    n += (size_t)snprintf(wire + n, 64, "550 the end\r\n");
    struct smtp_reply r = smtp_reply_read(span_of(wire, n));
    assert_int_equal(classify_reply(&r, STAGE_END), CLASS_CONTENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_more), cmocka_unit_test(test_silent),
        cmocka_unit_test(test_misleading), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
