/* XCLIENT and XFORWARD in the server engine (protocol.md X, T9): who may, when, and what is forgotten. */
#include "tests/unit/server_rig.h"

#define IN(s) .in = { (s), sizeof(s) - 1 }
#define EHLO "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define XCLIENT "XCLIENT ADDR=192.0.2.7 NAME=n.example\r\n"
#define C_XCLIENT "XCLIENT NAME=n.example ADDR=192.0.2.7"

static const struct rig_case rows[] = {
    { .name = "X1", IN(EHLO XCLIENT "XFORWARD ADDR=192.0.2.7\r\n"), "250, 550 5.7.0, 550 5.7.0", "EHLO c.example" },
    { .name = "X1 malformed too", IN("XCLIENT\r\nXFORWARD x\r\n"), "550 5.7.0, 550 5.7.0", "" },
    { .name = "X2",
      IN(EHLO MAIL XCLIENT "XFORWARD ADDR=192.0.2.7\r\n" RCPT XCLIENT "RSET\r\n" XCLIENT),
      "250, 250, 503 5.5.1, 503 5.5.1, 250, 503 5.5.1, 250 2.0.0, 220",
      "EHLO c.example|MAIL a@b.example|RCPT c@d.example|-RSET|" C_XCLIENT,
      .permitted = true },
    { .name = "X3",
      IN(EHLO "XCLIENT\r\nXCLIENT FOO=a\r\nXCLIENT ADDR\r\nXCLIENT ADDR=x\r\nXFORWARD LOGIN=a\r\nXFORWARD\r\n" MAIL),
      "250, 501 5.5.4, 501 5.5.4, 501 5.5.4, 501 5.5.4, 501 5.5.4, 501 5.5.4, 250",
      "EHLO c.example|MAIL a@b.example",
      .permitted = true },
    { .name = "X4 before HELO", IN(XCLIENT EHLO MAIL), "220, 250, 250", NULL, .permitted = true },
    { .name = "X4 HELO is needed again",
      IN(EHLO XCLIENT MAIL "RCPT TO:<c@d>\r\nETRN x\r\nNOOP\r\n" EHLO MAIL),
      "250, 220, 503 5.5.1, 503 5.5.1, 503 5.5.1, 250 2.0.0, 250, 250",
      "EHLO c.example|" C_XCLIENT "|MAIL!503 a@b.example|EHLO c.example|MAIL a@b.example",
      .permitted = true },
    { .name = "X4 what was offered is forgotten",
      IN(EHLO XCLIENT "STARTTLS\r\n"),
      "250, 220, 503 5.5.1",
      NULL,
      .offer = (smtp_cap_set)1 << SMTP_CAP_STARTTLS,
      .permitted = true },
    { .name = "X4 a refusal changes nothing",
      IN(EHLO XCLIENT MAIL),
      "250, 421, 250",
      NULL,
      .answers = "XCLIENT=421",
      .permitted = true },
    { .name = "X4 MAILMAX counts anew",
      IN(EHLO MAIL "RSET\r\n" XCLIENT EHLO MAIL),
      "250, 250, 250 2.0.0, 220, 250, 250",
      NULL,
      .mailmax = 1,
      .permitted = true },
    { .name = "X5",
      IN(EHLO "XFORWARD ADDR=192.0.2.7 IDENT=4f\r\nXFORWARD HELO=[UNAVAILABLE]\r\n" MAIL),
      "250, 250, 250, 250",
      "EHLO c.example|XFORWARD IDENT=4f ADDR=192.0.2.7|XFORWARD HELO=[UNAVAILABLE]|MAIL a@b.example",
      .permitted = true },
    { .name = "T9 permitted",
      IN(EHLO XCLIENT "XFORWARD ADDR=192.0.2.7\r\n" EHLO MAIL),
      "250, 220, 250, 250, 530 5.7.0",
      NULL,
      .config = { .require_tls = true },
      .permitted = true },
    { .name = "T9 not permitted",
      IN(XCLIENT "XFORWARD x\r\n"),
      "530 5.7.0, 530 5.7.0",
      "",
      .config = { .require_tls = true } },
    { .name = "disabled",
      IN(XCLIENT "XFORWARD ADDR=192.0.2.7\r\n"),
      "502 5.5.1, 250",
      NULL,
      .config = { .disabled_commands = 1U << SMTP_VERB_XCLIENT },
      .permitted = true },
    { .name = "the text of a refused message tells nothing",
      IN(EHLO "DATA\r\nXCLIENT ADDR=192.0.2.7\r\nXFORWARD IDENT=secret\r\nRSET\r\n" XCLIENT),
      "250, 503 5.5.1, 503 5.5.1, 503 5.5.1, 250 2.0.0, 220",
      "EHLO c.example|" C_XCLIENT,
      "EHLO EHLO c.example|DATA DATA|XCLIENT *|XFORWARD *|RSET RSET|XCLIENT XCLIENT ADDR=192.0.2.7 NAME=n.example",
      .permitted = true },
};

static void test_rows(void **state)
{
    (void)state;
    rig_check_all(rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
