/* The server engine's message phase: the body's way to the backend, what poisons it, long lines, slots, close and
 * shutdown. */
#include "tests/unit/server_rig.h"

#define START "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define C_START "EHLO c|MAIL a@b|RCPT c@d|DATA"
#define W_START "250, 250, 250, 354"
#define IN(s) SPAN_LIT(s)
#define MODE(m) .config.bare_newline = SMTP_BARE_##m

static const struct rig_case bodies[] = {
    { .name = "D3 stuffing",
      IN(START "..\r\n.x\r\n..y\r\n.\r\n"),
      W_START ", 250",
      C_START "|BODY ..\r\nx\r\n..y\r\n|END 10" },
    { .name = "D3 octets", IN(START "\xff\0\x80\r\n.\r\n"), W_START ", 250", NULL },
    { .name = "D3 empty", IN(START ".\r\n"), W_START ", 250", C_START "|END 0" },
    { .name = "D3 header",
      IN(START "Message-Id: <1@x>\r\n\r\nb\r\n.\r\n"),
      W_START ", 250",
      C_START "|BODY Message-Id: <1@x>\r\n\r\nb\r\n|END 24 <1@x>" },
    { .name = "D6 refused", IN(START "x\r\n.\r\nNOOP\r\n"), W_START ", 550, 250 2.0.0", .answers = "END=550" },
    { .name = "D4",
      IN(START "12345678\r\n9\r\n.\r\nNOOP\r\n"),
      W_START ", 552 5.3.4, 250 2.0.0",
      C_START "|POISON|END! 13",
      .config.max_message_size = 10 },
    { .name = "D4 not quite",
      IN(START "12345678\r\n.\r\n"),
      W_START ", 250",
      C_START "|BODY 12345678\r\n|END 10",
      .config.max_message_size = 10 },
    { .name = "D4 dots don't count",
      IN(START "..345678\r\n.\r\n"),
      W_START ", 250",
      NULL,
      .config.max_message_size = 9 },
    { .name = "R loop",
      IN(START "Received: a\r\nReceived: b\r\n\r\n.\r\n"),
      W_START ", 554 5.4.6",
      C_START "|POISON|END! 28",
      .config.max_received = 1 },
    { .name = "R not quite",
      IN(START "Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n.\r\n"),
      W_START ", 250",
      NULL,
      .config.max_received = 2 },
    { .name = "R no limit", IN(START "Received: a\r\n\r\n.\r\n"), W_START ", 250", NULL, .config.max_received = 0 },
    { .name = "N3 normalize",
      IN(START "a\nb\r\n.\n.\r\n.\r\n"),
      W_START ", 250",
      C_START "|BODY a\r\nb\r\n..\r\n..\r\n|END 12" },
    { .name = "N5 normalize", IN(START "a\rb\r\n.\r\n"), W_START ", 250", C_START "|BODY a b\r\n|END 5" },
    { .name = "N3 smuggling",
      IN(START "a\n.\nMAIL FROM:<x@y>\r\n.\r\nNOOP\r\n"),
      W_START ", 250, 250 2.0.0",
      C_START "|BODY a\r\n..\r\nMAIL FROM:<x@y>\r\n|END 23" },
    { .name = "N3 reject",
      IN(START "a\n.\nMAIL FROM:<x@y>\r\n.\r\nNOOP\r\n"),
      W_START ", 550 5.5.2, 250 2.0.0",
      C_START "|POISON|END!*",
      MODE(REJECT) },
    { .name = "N5 reject", IN(START "a\rb\r\n.\r\n"), W_START ", 550 5.5.2", C_START "|POISON|END!*", MODE(REJECT) },
    { .name = "N7 reject", IN(START "a\0b\r\n.\r\n"), W_START ", 550 5.5.2", C_START "|POISON|END!*", MODE(REJECT) },
    { .name = "N1 accept",
      IN(START "a\n.\nNOOP\n"),
      W_START ", 250, 250 2.0.0",
      C_START "|BODY a\r\n|END 3",
      MODE(ACCEPT) },
    { .name = "N1 accept, DATA with LF",
      IN("EHLO c\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n.\nNOOP\n"),
      W_START ", 250, 250 2.0.0",
      NULL,
      MODE(ACCEPT) },
    { .name = "N1 the line end of DATA is the first",
      IN("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\n.\r\nx\r\n.\r\n"),
      W_START ", 250",
      C_START "|BODY ..\r\nx\r\n|END 6" },
    /* What poisons a message first may depend on the segments; what the client is told may not. */
    { .name = "too big, then odd",
      IN(START "123456\r\n7890\r\na\nb\r\n.\r\n"),
      W_START ", 550 5.5.2",
      C_START "|POISON|END!*",
      MODE(REJECT),
      .config.max_message_size = 10 },
    { .name = "odd, then too big",
      IN(START "a\nb\r\n1234567890\r\n.\r\n"),
      W_START ", 550 5.5.2",
      C_START "|POISON|END!*",
      MODE(REJECT),
      .config.max_message_size = 10 },
    { .name = "loop, then too big",
      IN(START "Received: a\r\n\r\n1234567890\r\n.\r\n"),
      W_START ", 552 5.3.4",
      C_START "|POISON|END!*",
      .config.max_message_size = 20,
      .config.max_received = 0 },
    { .name = "loops, then too big",
      IN(START "Received: a\r\nReceived: a\r\n\r\n1234567890\r\n.\r\n"),
      W_START ", 552 5.3.4",
      C_START "|POISON|END!*",
      .config.max_message_size = 30,
      .config.max_received = 1 },
    { .name = "poisoned, and its header is read",
      IN(START "a: b\r\nMessage-Id: <1@x>\r\n\r\n.\r\n"),
      W_START ", 552 5.3.4",
      C_START "|POISON|END! 27 <1@x>",
      .config.max_message_size = 5 },
};

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A512 A64 A64 A64 A64 A64 A64 A64 A64
#define B64 "                                                                "
#define B512 B64 B64 B64 B64 B64 B64 B64 B64
/* "NOOP " and CR LF: 505 + 7. */
#define A505 A64 A64 A64 A64 A64 A64 A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct rig_case long_lines[] = {
    { .name = "C9",
      IN(A512 "\r\nNOOP\r\n" A512 A512 "\r\nNOOP\r\n"),
      "500 5.5.2, 250 2.0.0, 421 4.7.0",
      "",
      "? *|NOOP NOOP|? *",
      .closed = SMTP_CLOSE_LIMIT,
      .config.max_command_length = 512 },
    { .name = "C9 the longest",
      IN("NOOP " A505 "\r\nNOOP a" A505 "\r\n"),
      "250 2.0.0, 500 5.5.2",
      "",
      NULL,
      .config.max_command_length = 512 },
    { .name = "C9 no end", IN(A512 A512), "", "", "? *", .config.max_command_length = 512 },
    { .name = "C9 behind MAIL",
      IN("EHLO c\r\nMAIL FROM:<a@b>\r\n" A512 "\r\nRCPT TO:<c@d>\r\n"),
      "250, 250, 500 5.5.2, 250",
      "EHLO c|MAIL a@b|RCPT c@d",
      NULL,
      .config.max_command_length = 512 },
    { .name = "A10 lines of AUTH may be longer",
      IN("EHLO c\r\nAUTH PLAIN " A512 "\r\n"),
      "250, 502 5.5.1",
      "EHLO c",
      "EHLO EHLO c|AUTH AUTH PLAIN *",
      .config.max_command_length = 512 },
    { .name = "A15 blanks before AUTH",
      IN("EHLO c\r\n" B512 "AUTH PLAIN x\r\nc2VjcmV0\r\n"),
      "250, 500 5.5.2, 500 5.5.1",
      "EHLO c",
      "EHLO EHLO c|? *|? *",
      .config.max_command_length = 512 },
    { .name = "an over-long DATA line",
      IN("DATA " A512 "\r\nmy text\r\nRSET\r\nmy text\r\n"),
      "500 5.5.2, 500 5.5.1, 250 2.0.0, 500 5.5.1",
      "",
      "? *|? *|RSET RSET|? my text",
      .config.max_command_length = 512 },
};

static void test_bodies(void **state)
{
    (void)state;
    rig_check_all(bodies, ARRAY_LEN(bodies));
}
static void test_long_lines(void **state)
{
    (void)state;
    rig_check_all(long_lines, ARRAY_LEN(long_lines));
}

/* A dialogue that the test leads by hand. */
struct talk {
    struct rig r;
    struct rig_case c;
    struct buf in;
};

static void talk_begin(struct talk *t, enum rig_mode mode)
{
    *t = (struct talk){ .c = { .name = "talk" } };
    rig_init(&t->r, &t->c, mode);
    buf_init(&t->in, NULL);
}

static bool say(struct talk *t, const char *text, bool last)
{
    buf_append(&t->in, text, strlen(text));
    return rig_work(&t->r, &t->in, last);
}

static void talk_end(struct talk *t, const char *wire, const char *calls)
{
    rig_flush_body(&t->r);
    rig_check_text(&t->r, "wire", &t->r.wire, wire, 0);
    rig_check_text(&t->r, "calls", &t->r.calls, calls, 0);
    rig_free(&t->r);
    buf_free(&t->in);
}

static void test_lost_upstream(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_AT_ONCE);
    assert_true(say(&t, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", true));
    smtp_server_lost(&t.r.s);
    assert_true(say(&t, "RCPT TO:<e@f>\r\nRCPT TO:<>\r\nDATA\r\nNOOP\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", true));
    talk_end(&t, "250, 250, 250, 451 4.4.2, 501 5.1.3, 451 4.4.2, 250 2.0.0, 250, 250",
             "EHLO c|MAIL a@b|RCPT c@d|RCPT!451 e@f|RCPT!501 TO:<>|-DATA 451|MAIL a@b|RCPT c@d");
    talk_begin(&t, RIG_AT_ONCE);
    assert_true(say(&t, "EHLO c\r\nMAIL FROM:<a@b>\r\n", true));
    smtp_server_lost(&t.r.s);
    assert_true(say(&t, "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", true));
    talk_end(&t, "250, 250, 250 2.0.0, 250, 250", "EHLO c|MAIL a@b|-RSET|MAIL a@b|RCPT c@d");
}

/* The log has no room: nothing that must be recorded begins, and what is under way ends in a 4xx. */
static void test_tempfail(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_AT_ONCE);
    assert_true(say(&t, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", true));
    t.r.s.tempfail = true;
    assert_true(say(&t, "RCPT TO:<e@f>\r\nDATA\r\nMAIL FROM:<a@b>\r\nNOOP\r\n", true));
    t.r.s.tempfail = false;
    assert_true(say(&t, "MAIL FROM:<a@b>\r\n", true));
    talk_end(&t, "250, 250, 250, 451 4.3.0, 451 4.3.0, 451 4.3.0, 250 2.0.0, 250",
             "EHLO c|MAIL a@b|RCPT c@d|RCPT!451 TO:<e@f>|-DATA 451|MAIL!451 a@b|MAIL a@b");
}

/* D5: the backend has the upstream's refusal before the client's end of data. */
static void test_swallow(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_AT_ONCE);
    t.c.answers = "END=552";
    t.c.config.max_message_size = 0;
    assert_true(say(&t, START "one\r\n", true));
    smtp_server_swallow(&t.r.s);
    assert_true(say(&t, "Message-ID: <late@x>\r\ntwo\r\n.\r\nNOOP\r\n", true));
    talk_end(&t, W_START ", 552, 250 2.0.0", C_START "|BODY one\r\n|END 32");
    talk_begin(&t, RIG_AT_ONCE);
    smtp_server_swallow(&t.r.s); /* without a message: nothing */
    assert_true(say(&t, "NOOP\r\n", true));
    talk_end(&t, "250 2.0.0", "");
}

static void test_swallowed_header_is_read(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_AT_ONCE);
    t.c.answers = "END=552";
    assert_true(say(&t, START "a: b\r\n", true));
    smtp_server_swallow(&t.r.s);
    assert_true(say(&t, "Message-ID: <late@x>\r\n\r\n.\r\n", true));
    talk_end(&t, W_START ", 552", C_START "|BODY a: b\r\n|END 30 <late@x>");
}

struct shut_row {
    const char *before, *after, *wire;
    bool open; /* still open when the shutdown was told */
};
static const struct shut_row shuts[] = {
    { "", "", "421 4.3.2", false },
    { "EHLO c\r\n", "", "250, 421 4.3.2", false },
    { "EHLO c\r\nMAIL FROM:<a@b>\r\n", "RSET\r\n", "250, 250, 250 2.0.0, 421 4.3.2", true },
    { "EHLO c\r\nMAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n",
      "250, 250, 250, 354, 250, 421 4.3.2", true },
    { START "x\r\n", "y\r\n.\r\nMAIL FROM:<a@b>\r\n", W_START ", 250, 421 4.3.2", true },
    { "EHLO c\r\nMAIL FROM:<a@b>\r\n", "QUIT\r\n", "250, 250, 221 2.0.0", true },
    { "NOO", "", "421 4.3.2", false },
    { "BDAT 5\r\nab", "cde", "503 5.5.1, 421 4.3.2", true },
};

static void test_shutdown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shuts); i++) {
        struct talk t;
        talk_begin(&t, RIG_AT_ONCE);
        assert_true(say(&t, shuts[i].before, true));
        smtp_server_shutdown(&t.r.s);
        assert_int_equal(t.r.s.state != SMTP_SERVER_CLOSED, shuts[i].open);
        assert_false(say(&t, shuts[i].after, true));
        talk_end(&t, shuts[i].wire, NULL);
    }
}

static void test_shutdown_waits_for_replies(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_IN_ORDER);
    assert_true(say(&t, "EHLO c\r\n", false));
    smtp_server_shutdown(&t.r.s);
    assert_int_equal(t.r.s.state, SMTP_SERVER_COMMANDS);
    assert_false(say(&t, "NOOP\r\n", true));
    assert_int_equal(t.r.s.close_reason, SMTP_CLOSE_SHUTDOWN);
    talk_end(&t, "250, 421 4.3.2", "EHLO c");
}

/* A 421 takes the place of the oldest reply that is due; the rest are forgotten, and late answers too. */
static void test_close(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_IN_ORDER);
    t.c.answers = "RCPT=550";
    assert_true(say(&t, "EHLO c\r\n", true));
    assert_true(say(&t, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<>\r\n", false));
    smtp_server_close(&t.r.s, smtp_reply_own(SMTP_OWN_IDLE), SMTP_CLOSE_TIMEOUT);
    smtp_server_close(&t.r.s, smtp_reply_own(SMTP_OWN_IDLE), SMTP_CLOSE_UPSTREAM);
    smtp_server_shutdown(&t.r.s);
    rig_fill_all(&t.r);
    assert_false(say(&t, "NOOP\r\n", true));
    assert_int_equal(t.r.s.close_reason, SMTP_CLOSE_TIMEOUT);
    assert_int_equal(t.r.last_tag, 2);
    assert_true(smtp_server_in_txn(&t.r.s));
    talk_end(&t, "250, 421 4.4.2", "EHLO c|MAIL a@b|RCPT c@d|RCPT!501 TO:<>");
    talk_begin(&t, RIG_AT_ONCE);
    assert_true(say(&t, START "x\r\n", true));
    smtp_server_close(&t.r.s, smtp_reply_own(SMTP_OWN_IDLE), SMTP_CLOSE_TIMEOUT);
    assert_false(say(&t, ".\r\n", true));
    talk_end(&t, W_START ", 421 4.4.2", C_START "|BODY x\r\n");
}

/* RCPTs are run behind open ones up to a bound; what is filled out of order leaves in order. */
static void test_many_slots(void **state)
{
    (void)state;
    for (int mode = 0; mode < RIG_MODES; mode++) {
        struct talk t;
        talk_begin(&t, (enum rig_mode)mode);
        assert_true(say(&t, "EHLO c\r\nMAIL FROM:<a@b>\r\n", true));
        for (int i = 0; i < 500; i++)
            assert_true(say(&t, "RCPT TO:<c@d>\r\n", i == 499));
        assert_int_equal(t.r.replies, 502);
        assert_true(t.r.s.slot_cap <= SMTP_SLOTS_MAX);
        assert_int_equal(t.r.s.rcpt_accepted, 500);
        talk_end(&t, NULL, NULL);
    }
}

/* The slot number may wrap. */
static void test_slots_wrap(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, RIG_BACKWARDS);
    t.r.s.slot_head = t.r.s.slot_tail = UINT32_MAX - 6;
    assert_true(say(&t, "EHLO c\r\nMAIL FROM:<a@b>\r\n", true));
    for (int i = 0; i < 20; i++)
        assert_true(say(&t, "RCPT TO:<c@d>\r\n", i == 19));
    assert_int_equal(t.r.replies, 22);
    talk_end(&t, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_lost_upstream), cmocka_unit_test(test_tempfail),
        cmocka_unit_test(test_swallow),       cmocka_unit_test(test_swallowed_header_is_read),
        cmocka_unit_test(test_shutdown),      cmocka_unit_test(test_shutdown_waits_for_replies),
        cmocka_unit_test(test_close),         cmocka_unit_test(test_many_slots),
        cmocka_unit_test(test_slots_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
