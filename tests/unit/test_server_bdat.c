/* The server engine's chunks and LMTP: dialogues against a scripted backend, rule by rule (protocol.md B, LM). */
#include "tests/unit/server_rig.h"

#define IN(s) SPAN_LIT(s)
#define CHUNKING .offer = SMTP_CAP_BIT(CHUNKING) | SMTP_CAP_BIT(BINARYMIME)
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define MAILED "EHLO c\r\n" MAIL RCPT
#define C_MAIL "EHLO c|MAIL a@b.example"
#define C_RCPT C_MAIL "|RCPT c@d.example"
#define W_RCPT "250, 250, 250"

static const struct rig_case bdats[] = {
    { .name = "B4 one chunk",
      IN(MAILED "BDAT 5 LAST\r\na\r\n.\rNOOP\r\n"),
      W_RCPT ", 250, 250 2.0.0",
      C_RCPT "|BDAT 5 LAST|BODY a\r\n.\r|END 5",
      CHUNKING },
    { .name = "B4 two, and one of nothing",
      IN(MAILED "BDAT 3\r\n.\r\nbdat 0\r\nBDAT 4\tLast\r\n\0\n.\nNOOP\r\n"),
      W_RCPT ", 250, 250, 250, 250 2.0.0",
      NULL,
      CHUNKING },
    { .name = "B4 nothing at all",
      IN(MAILED "BDAT 0 LAST\r\nNOOP\r\n"),
      W_RCPT ", 250, 250 2.0.0",
      C_RCPT "|BDAT 0 LAST|END 0",
      CHUNKING },
    { .name = "B4 octets are never commands",
      IN(MAILED "BDAT 12\r\nQUIT\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
      W_RCPT ", 250, 250, 250 2.0.0",
      C_RCPT "|BDAT 12|BODY QUIT\r\nQUIT\r\n|CHUNK|BDAT 6 LAST|BODY QUIT\r\n|END 18",
      CHUNKING },
    { .name = "B4 the header is read over chunks",
      IN(MAILED "BDAT 10\r\nMessage-IdBDAT 9 LAST\r\n: <1@x>\r\nNOOP\r\n"),
      W_RCPT ", 250, 250, 250 2.0.0",
      C_RCPT "|BDAT 10|BODY Message-Id|CHUNK|BDAT 9 LAST|BODY : <1@x>\r\n|END 19 <1@x>",
      CHUNKING },
    { .name = "B4 bare newlines are no matter, whatever is set",
      IN(MAILED "BDAT 4 LAST\r\na\nb\rNOOP\r\n"),
      W_RCPT ", 250, 250 2.0.0",
      C_RCPT "|BDAT 4 LAST|BODY a\nb\r|END 4",
      .config.bare_newline = SMTP_BARE_REJECT,
      CHUNKING },
    { .name = "B2 nothing begun",
      IN("EHLO c\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
      "250, 503 5.5.1, 250 2.0.0",
      "EHLO c",
      CHUNKING },
    { .name = "B2 no recipient: the chunk is missing, so that no other is taken",
      IN("EHLO c\r\n" MAIL "BDAT 2\r\n\r\n" RCPT "DATA\r\nBDAT 2\r\n\r\nBDAT 2 LAST\r\n\r\n" RCPT
         "BDAT 1 LAST\r\nxNOOP\r\n"),
      "250, 250, 503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1, 250, 250, 250 2.0.0",
      C_MAIL "|ODD bdat_after_error|ODD bdat_after_error|RCPT c@d.example|BDAT 1 LAST|BODY x|"
             "END 1",
      CHUNKING },
    { .name = "B2 all refused",
      IN(MAILED "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
      "250, 250, 550, 554 5.5.1, 250 2.0.0",
      C_RCPT "|-DATA 554",
      .answers = "RCPT=550",
      CHUNKING },
    { .name = "B3",
      IN(MAILED "BDAT 1\r\nxMAIL FROM:<>\r\n" RCPT "DATA\r\nBDAT 1 LAST\r\ny"
                "BDAT 1\r\nzDATA\r\n"),
      W_RCPT ", 250, 503 5.5.1, 503 5.5.1, 503 5.5.1, 250, 503 5.5.1, 503 5.5.1",
      C_RCPT "|BDAT 1|BODY x|CHUNK|BDAT 1 LAST|BODY y|END 2",
      CHUNKING },
    { .name = "B5 until LAST",
      IN(MAILED "BDAT 1\r\nxBDAT 1\r\nyBDAT 1 LAST\r\nzBDAT 1\r\nw" MAIL RCPT "BDAT 0 LAST\r\n"),
      W_RCPT ", 452, 503 5.5.1, 503 5.5.1, 503 5.5.1, 250, 250, 250",
      C_RCPT "|BDAT 1|BODY x|CHUNK|MAIL a@b.example|RCPT c@d.example|BDAT 0 LAST|END 0",
      .answers = "BDAT=452,250",
      CHUNKING },
    { .name = "B5 until RSET",
      IN(MAILED "BDAT 1\r\nxRSET\r\n" MAIL RCPT "BDAT 1\r\nyBDAT 0 LAST\r\n"),
      W_RCPT ", 552, 250 2.0.0, 250, 250, 250, 250",
      NULL,
      .answers = "BDAT=552,250",
      CHUNKING },
    { .name = "B5 until a new MAIL",
      IN(MAILED "BDAT 1\r\nx" MAIL RCPT "BDAT 1 LAST\r\ny"),
      W_RCPT ", 552, 250, 250, 250",
      NULL,
      .answers = "BDAT=552",
      CHUNKING },
    { .name = "B5 what the log sees",
      IN(MAILED "BDAT 1\r\nxVRFY secret\r\nBDAT 2\r\n\r\nRSET\r\nVRFY x\r\n"),
      W_RCPT ", 552, 252 2.5.0, 503 5.5.1, 250 2.0.0, 252 2.5.0",
      NULL,
      "EHLO EHLO c|MAIL MAIL FROM:<a@b.example>|RCPT RCPT TO:<c@d.example>|BDAT BDAT 1|VRFY *|BDAT *|RSET RSET|VRFY "
      "VRFY x",
      .answers = "BDAT=552",
      CHUNKING },
    { .name = "B6",
      IN(MAILED "BDAT 6\r\nabcdefBDAT 5\r\nQUIT\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"),
      W_RCPT ", 250, 552 5.3.4, 500 5.5.1, 503 5.5.1, 250 2.0.0",
      C_RCPT "|BDAT 6|BODY abcdef|CHUNK|-DATA 552",
      .config.max_message_size = 10,
      CHUNKING },
    { .name = "B6 just as much",
      IN(MAILED "BDAT 6\r\nabcdefBDAT 4 LAST\r\nghijNOOP\r\n"),
      W_RCPT ", 250, 250, 250 2.0.0",
      NULL,
      .config.max_message_size = 10,
      CHUNKING },
    { .name = "B6 more than BDAT can say",
      IN(MAILED "BDAT 1\r\nxBDAT 9223372036854775807 LAST\r\nNOOP\r\n"),
      W_RCPT ", 250",
      C_RCPT "|BDAT 1|BODY x|CHUNK",
      .at_once_only = true,
      CHUNKING },
    { .name = "B7 between chunks",
      IN(MAILED "BDAT 1\r\nxBDAT x\r\nNOOP\r\n"),
      W_RCPT ", 250, 521 5.5.4",
      C_RCPT "|BDAT 1|BODY x|CHUNK|-DATA 521",
      CHUNKING,
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B8",
      IN("EHLO c\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\n" RCPT "DATA\r\nBDAT 1 LAST\r\nx"),
      W_RCPT ", 503 5.5.1, 250",
      NULL,
      CHUNKING },
    { .name = "a loop within a chunk",
      IN(MAILED "BDAT 28\r\nReceived: a\r\nReceived: b\r\n\r\nBDAT 1 LAST\r\nxNOOP\r\n"),
      W_RCPT ", 554 5.4.6, 503 5.5.1, 250 2.0.0",
      C_RCPT "|BDAT 28|POISON|CHUNK!",
      .config.max_received = 1,
      CHUNKING },
    { .name = "a loop in the last chunk",
      IN(MAILED "BDAT 12\r\nReceived: a\rBDAT 16 LAST\r\n\nReceived: b\r\n\r\nNOOP\r\n"),
      W_RCPT ", 250, 554 5.4.6, 250 2.0.0",
      C_RCPT "|BDAT 12|BODY Received: a\r|CHUNK|BDAT 16 LAST|POISON|END! 28",
      .config.max_received = 1,
      CHUNKING },
    { .name = "RSET, EHLO, QUIT between chunks",
      IN(MAILED "BDAT 1\r\nxRSET\r\nBDAT 1 LAST\r\ny" MAIL RCPT "BDAT 1\r\nxEHLO c\r\n" MAIL RCPT
                "BDAT 1\r\nxQUIT\r\n"),
      W_RCPT ", 250, 250 2.0.0, 503 5.5.1, 250, 250, 250, 250, 250, 250, 250, 221 2.0.0",
      NULL,
      CHUNKING,
      .closed = SMTP_CLOSE_QUIT },
    { .name = "T9",
      IN(MAILED "BDAT 6\r\nQUIT\r\nNOOP\r\n"),
      "250, 530 5.7.0, 530 5.7.0, 530 5.7.0, 250 2.0.0",
      NULL,
      .config.require_tls = true,
      CHUNKING },
};

#define LMTP .config.lmtp = true, CHUNKING
#define L_MAIL "LHLO c\r\n" MAIL RCPT
#define L_TWO L_MAIL "RCPT TO:<e@f.example>\r\n"
#define W_TWO W_RCPT ", 250"

static const struct rig_case lmtps[] = {
    { .name = "H6",
      IN("HELO c\r\nEHLO c\r\nLHLO\r\nLHLO c\r\nNOOP\r\n"),
      "500 5.5.1, 500 5.5.1, 501 5.5.4, 250, 250 2.0.0",
      "LHLO c",
      LMTP },
    { .name = "LM1 DATA",
      IN(L_TWO "DATA\r\nx\r\n.\r\nNOOP\r\n"),
      W_TWO ", 354, 250, 550, 250 2.0.0",
      NULL,
      .answers = "END=250,550",
      LMTP,
      .at_once_only = true },
    { .name = "LM1 BDAT",
      IN(L_TWO "BDAT 1\r\nxBDAT 1 LAST\r\nyNOOP\r\n"),
      W_TWO ", 250, 550, 250, 250 2.0.0",
      NULL,
      .answers = "END=550,250",
      LMTP,
      .at_once_only = true },
    { .name = "LM1 a refused recipient has none",
      IN(L_TWO RCPT "DATA\r\n.\r\nNOOP\r\n"),
      "250, 250, 250, 550, 250, 354, 250, 250, 250 2.0.0",
      NULL,
      .answers = "RCPT=250,550,250",
      LMTP },
    { .name = "LM1 one's own refusal is each one's",
      IN(L_TWO "DATA\r\n12345678\r\n.\r\n" MAIL RCPT RCPT "BDAT 6 LAST\r\n123456NOOP\r\n"),
      W_TWO ", 354, 552 5.3.4, 552 5.3.4, 250, 250, 250, 552 5.3.4, 552 5.3.4, 250 2.0.0",
      NULL,
      .config.max_message_size = 5,
      LMTP },
    { .name = "LM1 a chunk has one reply",
      IN(L_TWO "BDAT 6\r\n123456BDAT 1 LAST\r\nxNOOP\r\n"),
      W_TWO ", 552 5.3.4, 503 5.5.1, 250 2.0.0",
      NULL,
      .config.max_message_size = 5,
      LMTP },
    { .name = "LM5",
      IN(L_MAIL "DATA\r\nBDAT 1 LAST\r\nx" RCPT "DATA\r\n.\r\n"),
      "250, 250, 550, 503 5.5.1, 503 5.5.1, 250, 354, 250",
      "LHLO c|MAIL a@b.example|RCPT c@d.example|RCPT c@d.example|DATA|END 0",
      .answers = "RCPT=550,250",
      LMTP },
};

static void test_bdats(void **state)
{
    (void)state;
    rig_check_all(bdats, ARRAY_LEN(bdats));
}

static void test_lmtps(void **state)
{
    (void)state;
    rig_check_all(lmtps, ARRAY_LEN(lmtps));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bdats), cmocka_unit_test(test_lmtps) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
