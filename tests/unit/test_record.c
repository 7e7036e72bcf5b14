/* Words of the closed sets as events.md spells them, and the adders of fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/record/record.h"

static void check_words(const char *want, const char *(*word)(unsigned i), unsigned count)
{
    char got[1024] = "";
    for (unsigned i = 0; i < count; i++) {
        strcat(got, word(i));
        strcat(got, " ");
    }
    assert_string_equal(got, want);
}

static const char *status_at(unsigned i) { return status_word((enum txn_status)i); }
static const char *stage_at(unsigned i) { return stage_word((enum txn_stage)i); }
static const char *by_at(unsigned i) { return by_word((enum txn_by)i); }
static const char *class_at(unsigned i) { return class_word((enum reply_class)i); }
static const char *close_at(unsigned i) { return close_reason_word((enum close_reason)i); }
static const char *tnx_at(unsigned i) { return tnx_word((enum tnx)i); }
static const char *tnx_level_at(unsigned i) { return level_word(tnx_level((enum tnx)i)); }

static void test_words(void **state)
{
    (void)state;
    check_words("accepted deferred rejected indeterminate aborted reset ", status_at, STATUS_COUNT);
    check_words("mail rcpt data transfer end ", stage_at, STAGE_COUNT);
    check_words("upstream smtptap policy client ", by_at, BY_COUNT);
    check_words(" unknown-user mailbox-full greylisted rate-limit reputation content auth-policy relay-denied "
                "bad-sender size tls protocol network local other ",
                class_at, CLASS_COUNT);
    check_words(" quit gone timeout tls protocol limit policy upstream shutdown ", close_at, CLOSE_REASON_COUNT);
    check_words("listen connection proxy sni starttls caps auth deauth xclient xforward command send data policy rcpt "
                "message error close dropped reload closing closed ",
                tnx_at, TNX_COUNT);
    check_words("info info info debug info debug info info info info debug debug debug info info info error info error "
                "info info info ",
                tnx_level_at, TNX_COUNT);
}

static void test_keys(void **state)
{
    (void)state;
    static const char *const first[] = { "time", "level", "component", "tnx", "cid", "tid", "side", "user", "host" };
    for (unsigned i = 0; i < ARRAY_LEN(first); i++)
        assert_true(span_eq(record_key_word((enum record_key)i), span_str(first[i])));
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        struct span word = record_key_word((enum record_key)i);
        assert_int_equal(strspn(word.p, "abcdefghijklmnopqrstuvwxyz_0123456789K"), word.n); /* xclientKey */
        for (unsigned k = 0; k < i; k++)
            assert_false(span_eq(word, record_key_word((enum record_key)k)));
    }
}

static void test_errors(void **state)
{
    (void)state;
    assert_string_equal(record_error_code(ERR_EARLY_TALKER), "early_talker");
    assert_string_equal(record_error_code(ERR_UPSTREAM_LOST), "upstream_lost");
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        assert_true(strlen(record_error_text((enum record_error)i)) > 10);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(record_error_code((enum record_error)i), record_error_code((enum record_error)k));
    }
}

static void test_fields(void **state)
{
    (void)state;
    static const struct span pieces[] = { SPAN_LIT("a"), SPAN_LIT("b") };
    static const struct record_rcpt rcpts[3];
    const struct smtp_reply *reply = smtp_reply_own(SMTP_OWN_OK);
    static const enum record_type types[] = { REC_STR,  REC_STR,   REC_CAT,        REC_STRS,    REC_INT,  REC_BOOL,
                                              REC_MS,   REC_NULL,  REC_REPLY,      REC_RCPT_TO, REC_STR,  REC_OPEN_LIST,
                                              REC_OPEN, REC_CLOSE, REC_CLOSE_LIST, REC_OPEN,    REC_CLOSE };
    struct record r;
    record_begin(&r, TNX_SEND, 17);
    record_side(&r, SIDE_NONE);
    record_side(&r, SIDE_UPSTREAM);
    record_cstr(&r, KEY_LINE, "QUIT");
    record_cat(&r, KEY_MSG, pieces, 2);
    record_strs(&r, KEY_OFFERED, pieces, 2);
    record_int(&r, KEY_CODE, -5);
    record_bool(&r, KEY_OK, true);
    record_ms(&r, KEY_MS, 1500);
    record_null(&r, KEY_QUEUE_ID);
    record_reply_lines(&r, KEY_LINES, reply);
    record_rcpts(&r, KEY_RCPT_TO, REC_RCPT_TO, rcpts, 3);
    record_named(&r, SPAN_LIT("x-a"), SPAN_LIT("v"));
    record_open_list(&r, KEY_WITHHELD);
    record_open_member(&r);
    record_close(&r);
    record_close_list(&r);
    record_open(&r, KEY_TLS);
    record_close(&r);
    assert_int_equal(r.count, ARRAY_LEN(types));
    for (unsigned i = 0; i < r.count; i++)
        assert_int_equal(r.field[i].type, types[i]);
    assert_true(span_eq(r.field[0].str, SPAN_LIT("upstream")));
    assert_true(span_eq(r.field[1].str, SPAN_LIT("QUIT")));
    assert_int_equal(r.field[2].strs.n, 2);
    assert_int_equal(r.field[4].num, -5);
    assert_ptr_equal(r.field[8].reply, reply);
    assert_int_equal(r.field[9].rcpts.n, 3);
    assert_true(span_eq(r.field[10].name, SPAN_LIT("x-a")));
    assert_int_equal(r.field[12].key, KEY_COUNT);
    assert_int_equal(r.time, 17);
}

static int exit_of_adding(unsigned fields)
{
    struct record r;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        record_begin(&r, TNX_SEND, 0);
        while (fields-- > 0)
            record_null(&r, KEY_CODE);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_too_many(void **state)
{
    (void)state;
    assert_int_equal(exit_of_adding(RECORD_FIELDS_MAX - RECORD_FIELDS_SPARE), 0);
    assert_int_equal(exit_of_adding(RECORD_FIELDS_MAX - RECORD_FIELDS_SPARE + 1), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),  cmocka_unit_test(test_keys),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_fields), cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
