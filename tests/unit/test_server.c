/* The server engine's commands: dialogues against a scripted backend, rule by rule (protocol.md G, H, M, C, D, B, L).
 */
#include "tests/unit/server_rig.h"

#define EHLO "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define MAILED EHLO MAIL RCPT
#define BODY "x\r\n.\r\n"
#define IN(s) SPAN_LIT(s)
#define SET(...) .config = { __VA_ARGS__ }
#define LENIENT SET(.lenient_addresses = true)
#define C_EHLO "EHLO c.example"
#define C_MAIL C_EHLO "|MAIL a@b.example"
#define C_RCPT C_MAIL "|RCPT c@d.example"

static const struct rig_case greetings[] = {
    { .name = "G6 http", IN("GET / HTTP/1.0\r\nHost: x\r\n\r\n"), "421 4.7.0", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "G6 post later", IN(EHLO "POST /\r\nNOOP\r\n"), "250, 421 4.7.0", C_EHLO, .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "G6 all of them", IN("connect x:25\r\n"), "421 4.7.0", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "G6 tls", IN("\x16\x03\x01\x02\n\x00\x01"), "421 4.7.0", "", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "G6 tls later is a line", IN(EHLO "\x16\x03\r\n"), "250, 500 5.5.1" },
    { .name = "Q2 proxy verb",
      IN("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO x\r\n"),
      "421 4.7.0",
      "",
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "H1", IN(EHLO), "250", C_EHLO, "EHLO EHLO c.example" },
    { .name = "H2", IN("helo c.example\r\n"), "250", "HELO c.example", "HELO helo c.example" },
    { .name = "H3 no argument", IN("EHLO\r\nHELO \r\nEHLO\t\r\n"), "501 5.5.4, 501 5.5.4, 501 5.5.4", "" },
    { .name = "H3 control bytes",
      IN("EHLO a\x01\r\nEHLO a\x7f\r\nEHLO a\tb\r\n"),
      "501 5.5.4, 501 5.5.4, 501 5.5.4",
      "" },
    { .name = "H3 odd names",
      IN("EHLO [192.0.2.1]\r\nEHLO _\r\nEHLO a b\r\n"),
      "250, 250, 250",
      "EHLO [192.0.2.1]|EHLO _|EHLO a b" },
    { .name = "H4",
      IN(MAIL RCPT "DATA\r\nBDAT 2\r\nx\nAUTH PLAIN\r\nSTARTTLS\r\nETRN x\r\n"),
      "503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1, 503 5.5.1",
      "MAIL!503 FROM:<a@b.example>" },
    { .name = "H4 the rest works",
      IN("NOOP\r\nRSET\r\nHELP\r\nVRFY x\r\nQUIT\r\n"),
      "250 2.0.0, 250 2.0.0, 214 2.0.0, 252 2.5.0, 221 2.0.0",
      "",
      .closed = SMTP_CLOSE_QUIT },
    { .name = "H5", IN(MAILED "EHLO d\r\n" RCPT), "250, 250, 250, 250, 503 5.5.1", C_RCPT "|-HELO|EHLO d" },
    { .name = "H5 a bad one resets nothing",
      IN(MAILED "EHLO\r\n" RCPT),
      "250, 250, 250, 501 5.5.4, 250",
      C_RCPT "|RCPT c@d.example" },
    { .name = "H6", IN("LHLO c\r\n" MAIL), "500 5.5.1, 503 5.5.1", "MAIL!503 FROM:<a@b.example>" },
    { .name = "H7 a refused one is none",
      IN(EHLO MAIL),
      "451, 503 5.5.1",
      C_EHLO "|MAIL!503 FROM:<a@b.example>",
      .answers = "HELO=451" },
    { .name = "H8 MAILMAX",
      IN(EHLO MAIL "RSET\r\n" MAIL),
      "250, 250, 250 2.0.0, 451 4.5.3",
      C_MAIL "|-RSET|MAIL!451 a@b.example",
      .mailmax = 1 },
    { .name = "H8 RCPTMAX",
      IN(MAILED RCPT "RSET\r\n" MAIL RCPT),
      "250, 250, 250, 452 4.5.3, 250 2.0.0, 250, 250",
      C_RCPT "|RCPT!452 c@d.example|-RSET|MAIL a@b.example|RCPT c@d.example",
      .rcptmax = 1 },
};

static const struct rig_case mails[] = {
    { .name = "M1 nested", IN(EHLO MAIL MAIL), "250, 250, 503 5.5.1", C_MAIL },
    { .name = "M1 outside", IN(EHLO RCPT), "250, 503 5.5.1", C_EHLO },
    { .name = "M2",
      IN(EHLO "MAIL\r\nMAIL TO:<a>\r\nMAIL FROM <a>\r\nMAIL FROM:<a@\r\n"),
      "250, 501 5.1.7, 501 5.1.7, 501 5.1.7, 501 5.1.7",
      C_EHLO "|MAIL!501|MAIL!501 TO:<a>|MAIL!501 FROM <a>|MAIL!501 FROM:<a@" },
    { .name = "M2 rcpt",
      IN(EHLO MAIL "RCPT\r\nRCPT FROM:<a@b>\r\nRCPT TO:<>\r\n"),
      "250, 250, 501 5.1.3, 501 5.1.3, 501 5.1.3",
      C_MAIL "|RCPT!501|RCPT!501 FROM:<a@b>|RCPT!501 TO:<>" },
    { .name = "M3",
      IN(EHLO "MAIL FROM:<a@b> FOO=1\r\nMAIL FROM:<a@b> BODY=8BITMIME\r\n" MAIL "RCPT TO:<a@b> SIZE=1\r\n"),
      "250, 555 5.5.4, 555 5.5.4, 250, 555 5.5.4",
      C_EHLO "|MAIL!555 a@b|MAIL!555 a@b|MAIL a@b.example|RCPT!555 a@b" },
    { .name = "M4",
      IN(EHLO "MAIL FROM:<a@b> SIZE=1 SIZE=1\r\nMAIL FROM:<a@b> SIZE=x\r\n"),
      "250, 501 5.5.4, 501 5.5.4",
      .offer = SMTP_CAP_BIT(SIZE) },
    { .name = "M5",
      IN(EHLO "MAIL FROM:<a@b> SIZE=101\r\nMAIL FROM:<a@b> SIZE=100\r\n"),
      "250, 552 5.3.4, 250",
      C_EHLO "|MAIL!552 a@b|MAIL a@b + SIZE=100",
      .offer = SMTP_CAP_BIT(SIZE),
      .size = 100 },
    { .name = "M5 no limit",
      IN(EHLO "MAIL FROM:<a@b> SIZE=18446744073709551615\r\n"),
      "250, 250",
      .offer = SMTP_CAP_BIT(SIZE) },
    { .name = "M6",
      IN(EHLO "MAIL FROM:<a@b> BODY=8BITMIME\r\n"),
      "250, 250",
      C_EHLO "|MAIL a@b + BODY=8BITMIME",
      .offer = SMTP_CAP_BIT(8BITMIME) },
    { .name = "M7",
      IN(EHLO "MAIL FROM:<a@b> RET=HDRS ENVID=x+2B\r\nRCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;c@d\r\n"
              "RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\n"),
      "250, 250, 250, 501 5.5.4",
      .offer = SMTP_CAP_BIT(DSN) },
    { .name = "M9 strict", IN(EHLO "MAIL FROM:<\xc3\xa4@b>\r\n"), "250, 553 5.6.7" },
    { .name = "M9 lenient", IN(EHLO "MAIL FROM:<\xc3\xa4@b>\r\nRCPT TO:<\xc3\xa4@b>\r\n"), "250, 250, 250", LENIENT },
    { .name = "M9 not utf-8", IN(EHLO "MAIL FROM:<\xe4@b>\r\n"), "250, 553 5.6.7", LENIENT },
    { .name = "M9 offered",
      IN(EHLO "MAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\nRCPT TO:<\xc3\xa4@b>\r\nRSET\r\n" MAIL "RCPT TO:<\xc3\xa4@b>\r\n"),
      "250, 250, 250, 250 2.0.0, 250, 553 5.6.7",
      .offer = SMTP_CAP_BIT(SMTPUTF8) },
    { .name = "M11",
      IN(MAILED RCPT RCPT),
      "250, 250, 250, 250, 452 4.5.3",
      C_RCPT "|RCPT c@d.example|RCPT!452 c@d.example",
      SET(.max_recipients = 2) },
    { .name = "M11 refused ones don't count",
      IN(MAILED RCPT),
      "250, 250, 550, 250",
      SET(.max_recipients = 1),
      .answers = "RCPT=550,250",
      .at_once_only = true },
    { .name = "M12",
      IN(EHLO MAIL RCPT RCPT "DATA\r\n"),
      "250, 550, 503 5.5.1, 503 5.5.1, 503 5.5.1",
      C_MAIL,
      .answers = "MAIL=550" },
    { .name = "M12 another one",
      IN(EHLO MAIL RCPT MAIL RCPT),
      "250, 450, 503 5.5.1, 250, 250",
      C_MAIL "|MAIL a@b.example|RCPT c@d.example",
      .answers = "MAIL=450,250" },
    { .name = "M13",
      IN("HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n"),
      "250, 250",
      "HELO c|MAIL a@b + SIZE=1",
      .offer = SMTP_CAP_BIT(SIZE) },
    { .name = "MAIL disabled",
      IN(EHLO MAIL),
      "250, 502 5.5.1",
      C_EHLO "|MAIL!502 FROM:<a@b.example>",
      SET(.disabled_commands = 1U << SMTP_VERB_MAIL) },
    { .name = "P4 route", IN(EHLO "MAIL FROM:<@x,@y:a@b>\r\n"), "250, 250", C_EHLO "|MAIL a@b" },
    { .name = "P5 strict", IN(EHLO "MAIL FROM:<a>\r\nMAIL FROM:a@b\r\n"), "250, 501 5.1.7, 501 5.1.7" },
    { .name = "P5 lenient",
      IN(EHLO "MAIL FROM:<a>\r\nRCPT TO: c@d\r\n"),
      "250, 250, 250",
      C_EHLO "|MAIL a|RCPT c@d",
      LENIENT },
    { .name = "P9",
      IN(EHLO "MAIL FROM:<a\x01@b>\r\nMAIL FROM:<\"a\x1b\"@b>\r\n"),
      "250, 501 5.1.7, 501 5.1.7",
      LENIENT },
    { .name = "P10", IN(EHLO "MAIL FROM:<a@b>x\r\nMAIL FROM:<\"a@b>\r\n"), "250, 501 5.1.7, 501 5.1.7", LENIENT },
};

static const struct rig_case commands[] = {
    { .name = "C1",
      IN("RSET x\r\n" MAILED "RSET\r\nRSET\r\n"),
      "501 5.5.4, 250, 250, 250, 250 2.0.0, 250 2.0.0",
      C_RCPT "|-RSET" },
    { .name = "C2", IN("NOOP\r\nNOOP x y\r\n"), "250 2.0.0, 250 2.0.0", "" },
    { .name = "C3", IN("VRFY a\r\nVRFY\r\n"), "252 2.5.0, 501 5.5.4", "" },
    { .name = "C5",
      IN("EXPN a\r\nTURN\r\nSEND x\r\nSOML x\r\nSAML x\r\n"),
      "502 5.5.1, 502 5.5.1, 502 5.5.1, 502 5.5.1, 502 5.5.1",
      "" },
    { .name = "C5 disabled",
      IN("NOOP\r\nHELP\r\n"),
      "502 5.5.1, 214 2.0.0",
      SET(.disabled_commands = 1U << SMTP_VERB_NOOP) },
    { .name = "C6",
      IN(EHLO "ETRN x.example\r\nETRN\r\nETRN a\x01\r\n" MAIL "ETRN x\r\n"),
      "250, 250, 501 5.5.4, 501 5.5.4, 250, 503 5.5.1",
      C_EHLO "|PASS ETRN x.example|MAIL a@b.example",
      .offer = SMTP_CAP_BIT(ETRN) },
    { .name = "C6 not offered", IN(EHLO "ETRN x\r\n"), "250, 502 5.5.1", C_EHLO },
    { .name = "C6 refused",
      IN(EHLO "ETRN x\r\nNOOP\r\n"),
      "250, 459, 250 2.0.0",
      .answers = "PASS=459",
      .offer = SMTP_CAP_BIT(ETRN) },
    { .name = "C7", IN("QUIT\r\nNOOP\r\n"), "221 2.0.0", "", .closed = SMTP_CLOSE_QUIT },
    { .name = "C7 in a transaction",
      IN(MAILED "QUIT x\r\nQUIT\r\n"),
      "250, 250, 250, 501 5.5.4, 221 2.0.0",
      C_RCPT "|-QUIT",
      .closed = SMTP_CLOSE_QUIT },
    { .name = "C8", IN("XYZZY\r\n\r\n\xc3\xa4\r\n"), "500 5.5.1, 500 5.5.1, 500 5.5.1", "", "? XYZZY|?|? \xc3\xa4" },
    { .name = "C10",
      IN("A\r\nB\r\n C\r\nNOOP\r\nD\r\nNOOP\r\n"),
      "500 5.5.1, 500 5.5.1, 500 5.5.2, 250 2.0.0, 421 4.7.0",
      SET(.max_unrecognized_commands = 3),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "C11",
      IN(" NOOP\r\n\tNOOP\r\nNOOP\tx\r\nVRFY\t x\r\n"),
      "500 5.5.2, 500 5.5.2, 250 2.0.0, 252 2.5.0",
      "" },
    { .name = "C12",
      IN(EHLO "DATA x\r\nRSET x\r\nQUIT x\r\nSTARTTLS x\r\n"),
      "250, 501 5.5.4, 501 5.5.4, 501 5.5.4, 501 5.5.4",
      C_EHLO },
    { .name = "T3", IN(EHLO "STARTTLS\r\nNOOP\r\n"), "250, 502 5.5.1, 250 2.0.0", C_EHLO },
    { .name = "A1", IN(EHLO "AUTH PLAIN AGEAYg==\r\nNOOP\r\n"), "250, 502 5.5.1, 250 2.0.0", C_EHLO },
    { .name = "X1", IN(EHLO "XCLIENT NAME=x\r\nXFORWARD NAME=x\r\n"), "250, 550 5.7.0, 550 5.7.0", C_EHLO },
    { .name = "N2", IN("NOOP\nEHLO x\nRSET\r\n"), "250 2.0.0, 250, 250 2.0.0", "EHLO x" },
    { .name = "N2 reject",
      IN("NOOP\r\nNOOP\nNOOP\r\n"),
      "250 2.0.0, 550 5.5.2",
      "",
      SET(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "N2 reject MAIL",
      IN(EHLO "MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\r\n"),
      "250, 550 5.5.2",
      C_EHLO "|MAIL!550 FROM:<a@b.example>",
      SET(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "N2 reject RCPT",
      IN(EHLO MAIL "RCPT TO:<c@d.example>\n"),
      "250, 250, 550 5.5.2",
      C_MAIL,
      SET(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL,
      .at_once_only = true },
    { .name = "N4 N6", IN("NO\rOP\r\nNOOP\r\r\nNO\0OP\r\n\0\r\n"), "500 5.5.2, 500 5.5.2, 500 5.5.2, 500 5.5.2", "" },
};

static const struct rig_case data_starts[] = {
    { .name = "D1 none given", IN(EHLO MAIL "DATA\r\n" RCPT), "250, 250, 503 5.5.1, 250", C_RCPT },
    { .name = "D1 all refused",
      IN(EHLO MAIL RCPT RCPT "DATA\r\nRSET\r\n"),
      "250, 250, 550, 451, 554 5.5.1, 250 2.0.0",
      C_RCPT "|RCPT c@d.example|-DATA 554",
      .answers = "RCPT=550,451" },
    { .name = "D1 all refused here",
      IN(EHLO MAIL "RCPT TO:<>\r\nDATA\r\n" MAIL),
      "250, 250, 501 5.1.3, 554 5.5.1, 250",
      C_MAIL "|RCPT!501 TO:<>|-DATA 554|MAIL a@b.example" },
    { .name = "D1 outside", IN(EHLO "DATA\r\n"), "250, 503 5.5.1", C_EHLO },
    { .name = "D2", IN(MAILED "DATA\r\n" BODY), "250, 250, 250, 354, 250", C_RCPT "|DATA|BODY x\r\n|END 3" },
    { .name = "D2 refused",
      IN(MAILED "DATA\r\nx\r\n.\r\nRSET\r\n" MAIL),
      "250, 250, 250, 451, 500 5.5.1, 500 5.5.1, 250 2.0.0, 250",
      C_RCPT "|DATA|MAIL a@b.example",
      .answers = "DATA=451" },
    { .name = "D2 two messages",
      IN(MAILED "DATA\r\n" BODY MAIL RCPT "DATA\r\ny\r\n.\r\nQUIT\r\n"),
      "250, 250, 250, 354, 250, 250, 250, 354, 550, 221 2.0.0",
      C_RCPT "|DATA|BODY x\r\n|END 3|MAIL a@b.example|RCPT c@d.example|DATA|BODY y\r\n|END 3",
      .answers = "END=250,550",
      .closed = SMTP_CLOSE_QUIT },
    { .name = "D2 some refused",
      IN(EHLO MAIL RCPT RCPT "DATA\r\n" BODY),
      "250, 250, 550, 250, 354, 250",
      .answers = "RCPT=550,250" },
    { .name = "D6 after the end: none",
      IN(MAILED "DATA\r\n" BODY RCPT "DATA\r\n"),
      "250, 250, 250, 354, 554, 503 5.5.1, 503 5.5.1",
      .answers = "END=554" },
    { .name = "D2 with an argument",
      IN(MAILED "DATA x\r\nDATA\r\n" BODY),
      "250, 250, 250, 501 5.5.4, 354, 250",
      C_RCPT "|DATA|BODY x\r\n|END 3" },
    { .name = "D2 disabled",
      IN(MAILED "DATA\r\n"),
      "250, 250, 250, 502 5.5.1",
      C_RCPT "|-DATA 502",
      SET(.disabled_commands = 1U << SMTP_VERB_DATA) },
};

static const struct rig_case bdats[] = {
    { .name = "B1",
      IN(MAILED "BDAT 12\r\nQUIT\r\nQUIT\r\nNOOP\r\n"),
      "250, 250, 250, 502 5.5.1, 250 2.0.0",
      C_RCPT "|-DATA 502" },
    { .name = "B1 none",
      IN(EHLO "BDAT 0\r\nBDAT 0 LAST\r\nbdat 2 last\r\n\r\nBDAT 2\t LAST\r\n\n\nNOOP\r\n"),
      "250, 502 5.5.1, 502 5.5.1, 502 5.5.1, 502 5.5.1, 250 2.0.0",
      C_EHLO },
    { .name = "B1 cut off", IN(MAILED "BDAT 12\r\nQUIT\r\n"), "250, 250, 250", C_RCPT, .at_once_only = true },
    { .name = "B2 before HELO", IN("BDAT 6\r\nQUIT\r\nNOOP\r\n"), "503 5.5.1, 250 2.0.0", "" },
    { .name = "B7 none", IN(EHLO "BDAT\r\nNOOP\r\n"), "250, 521 5.5.4", C_EHLO, .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 faulty", IN(" BDAT 5\r\nNOOP\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 sign", IN("BDAT -1\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 hex", IN("BDAT 0x10\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 third word", IN("BDAT 1 FIRST\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 fourth word", IN("BDAT 1 LAST x\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 glued", IN("BDAT 1LAST\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 2^63", IN("BDAT 9223372036854775808\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 2^64+1", IN("BDAT 18446744073709551617\r\n"), "521 5.5.4", "", .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "B7 2^63-1 is good", IN("BDAT 9223372036854775807\r\nNOOP\r\n"), "", "" },
    { .name = "B1 disabled",
      IN(EHLO "BDAT 6\r\nNOOP\r\nNOOP\r\n"),
      "250, 502 5.5.1, 250 2.0.0",
      SET(.disabled_commands = 1U << SMTP_VERB_BDAT) },
};

static const struct rig_case groups[] = {
    { .name = "L in order",
      IN(EHLO MAIL RCPT "RCPT TO:<>\r\n" RCPT "DATA\r\n" BODY "NOOP\r\nQUIT\r\n"),
      "250, 250, 550, 501 5.1.3, 250, 354, 250, 250 2.0.0, 221 2.0.0",
      C_RCPT "|RCPT!501 TO:<>|RCPT c@d.example|DATA|BODY x\r\n|END 3",
      .answers = "RCPT=550,250",
      .closed = SMTP_CLOSE_QUIT },
    { .name = "L message behind a refused DATA",
      IN(MAILED "DATA\r\nSubject: x\r\n\r\n.\r\nNOOP\r\n"),
      "250, 250, 250, 451, 500 5.5.1, 500 5.5.1, 500 5.5.1, 250 2.0.0",
      .answers = "DATA=451" },
    { .name = "L bounded",
      IN(MAILED "DATA\r\na\r\nb\r\nc\r\nd\r\n"),
      "250, 250, 250, 554, 500 5.5.1, 500 5.5.1, 421 4.7.0",
      SET(.max_unrecognized_commands = 2),
      .answers = "DATA=554",
      .closed = SMTP_CLOSE_LIMIT },
};

static void test_greetings(void **state)
{
    (void)state;
    rig_check_all(greetings, ARRAY_LEN(greetings));
}
static void test_mails(void **state)
{
    (void)state;
    rig_check_all(mails, ARRAY_LEN(mails));
}
static void test_commands(void **state)
{
    (void)state;
    rig_check_all(commands, ARRAY_LEN(commands));
}
static void test_data_starts(void **state)
{
    (void)state;
    rig_check_all(data_starts, ARRAY_LEN(data_starts));
}
static void test_bdats(void **state)
{
    (void)state;
    rig_check_all(bdats, ARRAY_LEN(bdats));
}
static void test_groups(void **state)
{
    (void)state;
    rig_check_all(groups, ARRAY_LEN(groups));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greetings),   cmocka_unit_test(test_mails), cmocka_unit_test(test_commands),
        cmocka_unit_test(test_data_starts), cmocka_unit_test(test_bdats), cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
