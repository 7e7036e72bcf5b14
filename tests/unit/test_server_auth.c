/* AUTH in the server engine (protocol.md A): the order of checks, the exchange, the limits, what the log sees. */
#include "tests/unit/server_rig.h"

#define EHLO "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define IN(s) SPAN_LIT(s)
#define C_EHLO "EHLO c.example"
#define ALL "PLAIN LOGIN CRAM-MD5 XOAUTH2"
#define CONFIG(...) .config = { .auth = true, __VA_ARGS__ }, .auth = ALL
#define ON CONFIG(.auth_require_tls = false)

static const struct rig_case refusals[] = {
    { .name = "A1 off",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\n"),
      "250, 502 5.5.1",
      C_EHLO,
      "EHLO EHLO c.example|AUTH AUTH PLAIN *" },
    { .name = "A1 disabled",
      IN(EHLO "AUTH PLAIN\r\n"),
      "250, 502 5.5.1",
      C_EHLO,
      CONFIG(.disabled_commands = 1U << SMTP_VERB_AUTH) },
    { .name = "H4 before EHLO", IN("AUTH PLAIN\r\n"), "503 5.5.1", "", ON },
    { .name = "T9 comes first",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\n"),
      "250, 530 5.7.0",
      C_EHLO,
      CONFIG(.require_tls = true, .auth_require_tls = true) },
    { .name = "A2 in clear",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\nAUTH\r\nAUTH NOPE\r\n"),
      "250, 538 5.7.11, 538 5.7.11, 538 5.7.11",
      C_EHLO,
      CONFIG(.auth_require_tls = true) },
    { .name = "A3 unknown, not offered",
      IN(EHLO "AUTH NTLM\r\nAUTH SCRAM-SHA-256\r\nAUTH PLAI\r\nAUTH PLAIN-LOGIN\r\n"),
      "250, 504 5.5.4, 504 5.5.4, 504 5.5.4, 504 5.5.4",
      C_EHLO,
      "EHLO EHLO c.example|AUTH AUTH NTLM|AUTH AUTH SCRAM-SHA-256|AUTH AUTH *|AUTH AUTH *",
      ON },
    { .name = "A3 nothing offered", IN(EHLO "AUTH PLAIN\r\n"), "250, 504 5.5.4", C_EHLO, .config = { .auth = true } },
    { .name = "A4 arguments",
      IN(EHLO "AUTH\r\nAUTH \t \r\nAUTH PLAIN AGEAYg== x\r\nAUTH PLAIN = =\r\n"),
      "250, 501 5.5.4, 501 5.5.4, 501 5.5.4, 501 5.5.4",
      C_EHLO,
      ON },
    { .name = "A5 after success",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\nAUTH\r\n"),
      "250, 235, 503 5.5.1, 503 5.5.1",
      C_EHLO "|AUTH PLAIN + AGEAYg==",
      ON },
    { .name = "A5 in a transaction",
      IN(EHLO MAIL "AUTH PLAIN\r\nRSET\r\nAUTH PLAIN =\r\n"),
      "250, 250, 503 5.5.1, 250 2.0.0, 235",
      C_EHLO "|MAIL a@b.example|-RSET|AUTH PLAIN + =",
      ON },
    { .name = "A6 initial response",
      IN(EHLO "AUTH PLAIN AGEAYg=\r\nAUTH PLAIN !\r\nAUTH PLAIN A===\r\nAUTH PLAIN AB==\r\nAUTH PLAIN ==\r\n"),
      "250, 501 5.5.2, 501 5.5.2, 501 5.5.2, 501 5.5.2, 501 5.5.2",
      C_EHLO,
      "EHLO EHLO c.example|AUTH AUTH PLAIN *|AUTH AUTH PLAIN *|AUTH AUTH PLAIN *|AUTH AUTH PLAIN *|AUTH AUTH PLAIN *",
      ON },
    { .name = "A9",
      IN(EHLO "AUTH CRAM-MD5 YWFh\r\nAUTH CRAM-MD5 =\r\nAUTH LOGIN YWFh\r\n"),
      "250, 501 5.7.0, 501 5.7.0, 235",
      C_EHLO "|AUTH LOGIN + YWFh",
      ON },
    { .name = "A15 what looks like AUTH",
      IN(EHLO " AUTH PLAIN AGEAYg==\r\nAUTHPLAIN x\r\nAGEAYg==\r\nNOOP\r\nsecret\r\n"),
      "250, 500 5.5.2, 500 5.5.1, 500 5.5.1, 250 2.0.0, 500 5.5.1",
      C_EHLO,
      "EHLO EHLO c.example|? *|? *|? *|NOOP NOOP|? *",
      ON },
};

static const struct rig_case exchanges[] = {
    { .name = "initial response",
      IN(EHLO "auth plain AGEAYg==\r\n" MAIL),
      "250, 235, 250",
      C_EHLO "|AUTH PLAIN + AGEAYg==|MAIL a@b.example",
      "EHLO EHLO c.example|AUTH AUTH PLAIN *|MAIL MAIL FROM:<a@b.example>",
      ON },
    { .name = "A7", IN(EHLO "AUTH PLAIN =\r\n"), "250, 235", C_EHLO "|AUTH PLAIN + =", ON },
    { .name = "responses are not commands",
      IN(EHLO "AUTH LOGIN\r\nQUIT\r\nRSET\r\nRSET\r\nQUIT\r\n"),
      "250, 334, 334, 235, 250 2.0.0, 221 2.0.0",
      C_EHLO "|AUTH LOGIN|RESPONSE QUIT|RESPONSE RSET",
      "EHLO EHLO c.example|AUTH AUTH LOGIN|? *|? *|RSET RSET|QUIT QUIT",
      "AUTH=334,334,235",
      ON,
      .closed = SMTP_CLOSE_QUIT },
    { .name = "an empty response",
      IN(EHLO "AUTH PLAIN\r\n\r\nNOOP\r\n"),
      "250, 334, 235, 250 2.0.0",
      C_EHLO "|AUTH PLAIN|RESPONSE",
      "EHLO EHLO c.example|AUTH AUTH PLAIN|? *|NOOP NOOP",
      "AUTH=334,235",
      ON },
    { .name = "LF alone ends a line",
      IN(EHLO "AUTH PLAIN\nAGEAYg==\nNOOP\n"),
      "250, 334, 235, 250 2.0.0",
      C_EHLO "|AUTH PLAIN|RESPONSE AGEAYg==",
      NULL,
      "AUTH=334,235",
      ON },
    { .name = "N2 reject",
      IN(EHLO "AUTH PLAIN\r\nAGEAYg==\nNOOP\r\n"),
      "250, 334, 550 5.5.2",
      C_EHLO "|AUTH PLAIN|CANCEL!",
      "EHLO EHLO c.example|AUTH AUTH PLAIN|? *",
      "AUTH=334,235",
      CONFIG(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "A6 later",
      IN(EHLO "AUTH PLAIN\r\n*AGEAYg==\r\nAUTH PLAIN\r\n=\r\nAUTH PLAIN\r\nA\rAA\r\nAUTH PLAIN\r\nAGEA Yg==\r\n"
              "AUTH PLAIN\r\nAGE\0\r\nNOOP\r\n"),
      "250, 334, 501 5.5.2, 334, 501 5.5.2, 334, 501 5.5.2, 334, 501 5.5.2, 334, 501 5.5.2, 250 2.0.0",
      C_EHLO "|AUTH PLAIN|CANCEL!|AUTH PLAIN|CANCEL!|AUTH PLAIN|CANCEL!|AUTH PLAIN|CANCEL!|AUTH PLAIN|CANCEL!",
      "EHLO EHLO c.example|AUTH AUTH PLAIN|? *|AUTH AUTH PLAIN|? *|AUTH AUTH PLAIN|? *|AUTH AUTH PLAIN|? *|AUTH AUTH "
      "PLAIN|? *|NOOP NOOP",
      "AUTH=334",
      ON },
    { .name = "A8",
      IN(EHLO "AUTH LOGIN\r\n*\r\nNOOP\r\nAUTH LOGIN\r\n*\r\n"),
      "250, 334, 501, 250 2.0.0, 334, 501",
      C_EHLO "|AUTH LOGIN|CANCEL|AUTH LOGIN|CANCEL",
      NULL,
      "AUTH=334 CANCEL=501",
      CONFIG(.max_auth_failures = 1) },
    { .name = "a refused exchange leaves responses as commands",
      IN(EHLO "AUTH PLAIN\r\nAGEAYg==\r\nNOOP\r\n"),
      "250, 535, 500 5.5.1, 250 2.0.0",
      C_EHLO "|AUTH PLAIN",
      "EHLO EHLO c.example|AUTH AUTH PLAIN|? *|NOOP NOOP",
      "AUTH=535",
      ON },
    { .name = "T8",
      IN("STARTTLS\r\n" EHLO "AUTH PLAIN =\r\nSTARTTLS\r\n\fAUTH PLAIN =\r\n" EHLO "AUTH PLAIN =\r\n"),
      "503 5.5.1, 250, 235, 220, 503 5.5.1, 250, 235",
      C_EHLO "|AUTH PLAIN + =|STARTTLS|" C_EHLO "|AUTH PLAIN + =",
      ON,
      .offer = SMTP_CAP_BIT(STARTTLS) },
    { .name = "A2 in TLS",
      IN(EHLO "AUTH PLAIN =\r\nSTARTTLS\r\n\f" EHLO "AUTH PLAIN =\r\n"),
      "250, 538 5.7.11, 220, 250, 235",
      C_EHLO "|STARTTLS|" C_EHLO "|AUTH PLAIN + =",
      CONFIG(.auth_require_tls = true),
      .offer = SMTP_CAP_BIT(STARTTLS) },
};

static const struct rig_case limits[] = {
    { .name = "A12",
      IN(EHLO "AUTH PLAIN =\r\nAUTH PLAIN =\r\nAUTH PLAIN =\r\nNOOP\r\n"),
      "250, 535, 454, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=535,454,535",
      CONFIG(.max_auth_failures = 2),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A12 in an exchange",
      IN(EHLO "AUTH LOGIN\r\nYWFh\r\nYWFh\r\nNOOP\r\n"),
      "250, 334, 334, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=334,334,535",
      CONFIG(.max_auth_failures = 1),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A12 failed, then cancelled",
      IN(EHLO "AUTH LOGIN\r\nYWFh\r\n*\r\nAUTH LOGIN\r\nZmFpbA==\r\n*\r\nAUTH LOGIN\r\nYWFh\r\n*\r\n"
              "AUTH LOGIN\r\nZmFpbA==\r\n*\r\nNOOP\r\n"),
      "250, 334, 334, 501, 334, 334, 501, 334, 334, 501, 334, 334, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=334 CANCEL=501",
      CONFIG(.max_auth_failures = 2),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A12 failed, then broken",
      IN(EHLO "AUTH LOGIN\r\nYWFh\r\n!\r\nAUTH LOGIN\r\nZmFpbA==\r\n!\r\nNOOP\r\n"),
      "250, 334, 334, 501 5.5.2, 334, 334, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=334",
      CONFIG(.max_auth_failures = 1),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A12 a refusal to a star",
      IN(EHLO "AUTH LOGIN\r\n*\r\nNOOP\r\n"),
      "250, 334, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=334 CANCEL=535",
      CONFIG(.max_auth_failures = 1),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A12 no limit",
      IN(EHLO "AUTH PLAIN =\r\nAUTH PLAIN =\r\n"),
      "250, 535, 535",
      NULL,
      NULL,
      "AUTH=535",
      ON },
    { .name = "A13 before any 503",
      IN("MAIL FROM:<a@b>\r\n" RCPT "DATA\r\nETRN x\r\nBDAT 4\r\nQUIT" EHLO MAIL "VRFY x\r\nNOOP\r\nHELP\r\n"),
      "530 5.7.0, 530 5.7.0, 530 5.7.0, 530 5.7.0, 530 5.7.0, 250, 530 5.7.0, 252 2.5.0, 250 2.0.0, 214 2.0.0",
      "MAIL!530 a@b|EHLO c.example|MAIL!530 a@b.example",
      CONFIG(.auth_required = true) },
    { .name = "A13 behind a disabled verb, before syntax",
      IN(EHLO "ETRN x\r\nMAIL nonsense\r\n"),
      "250, 502 5.5.1, 530 5.7.0",
      C_EHLO "|MAIL!530 nonsense",
      CONFIG(.auth_required = true, .disabled_commands = 1U << SMTP_VERB_ETRN) },
    { .name = "A13 after T9",
      IN(EHLO MAIL),
      "250, 530 5.7.0",
      C_EHLO "|MAIL!530 a@b.example",
      CONFIG(.auth_required = true, .require_tls = true) },
    { .name = "A13 done",
      IN(EHLO MAIL "AUTH PLAIN =\r\n" MAIL RCPT "DATA\r\nx\r\n.\r\n"),
      "250, 530 5.7.0, 235, 250, 250, 354, 250",
      C_EHLO "|MAIL!530 a@b.example|AUTH PLAIN + =|MAIL a@b.example|RCPT c@d.example|DATA|BODY x\r\n|END 3",
      CONFIG(.auth_required = true) },
    { .name = "what may be a message is not shown",
      IN(EHLO "DATA\r\nSubject: secret\r\nRSET\r\n"),
      "250, 530 5.7.0, 500 5.5.1, 250 2.0.0",
      C_EHLO,
      "EHLO EHLO c.example|DATA DATA|? *|RSET RSET",
      CONFIG(.auth_required = true) },
    { .name = "A13 limit",
      IN(EHLO "NOOP\r\n" EHLO "AUTH PLAIN =\r\nRSET\r\nXX\r\nNOOP\r\nNOOP\r\n"),
      "250, 250 2.0.0, 250, 454, 250 2.0.0, 500 5.5.1, 421 4.7.0",
      NULL,
      NULL,
      "AUTH=454",
      CONFIG(.auth_required = true, .max_unauthenticated_commands = 3),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A13 limit counts no more",
      IN(EHLO "NOOP\r\nAUTH PLAIN =\r\nNOOP\r\nNOOP\r\nNOOP\r\n"),
      "250, 250 2.0.0, 235, 250 2.0.0, 250 2.0.0, 250 2.0.0",
      NULL,
      NULL,
      NULL,
      CONFIG(.auth_required = true, .max_unauthenticated_commands = 1) },
    { .name = "A13 limit where optional",
      IN(EHLO "NOOP\r\nNOOP\r\n"),
      "250, 250 2.0.0, 250 2.0.0",
      NULL,
      NULL,
      NULL,
      CONFIG(.max_unauthenticated_commands = 1) },
};

/* Each AUTH command comes to one end, whatever becomes of it, and what is told of it is what the client gets. */
static const struct rig_case ends[] = {
    { .name = "off", IN(EHLO "AUTH PLAIN AGEAYg==\r\n"), .overs = "PLAIN 502" },
    { .name = "disabled",
      IN(EHLO "AUTH LOGIN\r\n"),
      .overs = "LOGIN 502",
      CONFIG(.disabled_commands = 1U << SMTP_VERB_AUTH) },
    { .name = "before EHLO, behind a bad one",
      IN("AUTH PLAIN\r\nEHLO\r\nauth x\r\n"),
      .overs = "PLAIN 503, ? 503",
      ON },
    { .name = "T9, A2",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\n"),
      .overs = "PLAIN 530",
      CONFIG(.require_tls = true, .auth_require_tls = true) },
    { .name = "A2",
      IN(EHLO "AUTH PLAIN AGEAYg==\r\nAUTH\r\n"),
      .overs = "PLAIN 538, ? 538",
      CONFIG(.auth_require_tls = true) },
    { .name = "A3, A4",
      IN(EHLO "AUTH NTLM\r\nAUTH AGEAYg==\r\nAUTH\r\nAUTH PLAIN a b\r\n"),
      .overs = "NTLM 504, ? 504, ? 501, PLAIN 501",
      ON },
    { .name = "A5",
      IN(EHLO MAIL "AUTH PLAIN\r\nRSET\r\nAUTH PLAIN =\r\nAUTH LOGIN\r\n"),
      .overs = "PLAIN 503, PLAIN 235, LOGIN 503",
      ON },
    { .name = "A6, A9",
      IN(EHLO "AUTH PLAIN !\r\nAUTH CRAM-MD5 YWFh\r\nAUTH LOGIN\r\n!\r\nNOOP\r\n"),
      .overs = "PLAIN 501, CRAM-MD5 501, LOGIN 501",
      .answers = "AUTH=334",
      ON },
    { .name = "A8",
      IN(EHLO "AUTH LOGIN\r\n*\r\nAUTH PLAIN =\r\n"),
      .overs = "LOGIN 501, PLAIN 454",
      .answers = "AUTH=334,454 CANCEL=501",
      ON },
    { .name = "what looks like AUTH, and what looks like it in an exchange",
      IN(EHLO " AUTH PLAIN AGEAYg==\r\nAUTHPLAIN x\r\nAUTH\0PLAIN\r\nAUTH LOGIN\r\nAUTH PLAIN\r\nNOOP\r\n"),
      .overs = "PLAIN 500, ? 500, LOGIN 501",
      .answers = "AUTH=334",
      ON },
    { .name = "N2 reject, the command",
      IN(EHLO "AUTH PLAIN =\n"),
      .overs = "PLAIN 550",
      CONFIG(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "N2 reject, the response",
      IN(EHLO "AUTH PLAIN\r\nAGEAYg==\n"),
      .overs = "PLAIN 550",
      .answers = "AUTH=334",
      CONFIG(.bare_newline = SMTP_BARE_REJECT),
      .closed = SMTP_CLOSE_PROTOCOL },
    { .name = "A12",
      IN(EHLO "AUTH PLAIN =\r\nAUTH LOGIN\r\nYWFh\r\n"),
      .overs = "PLAIN 535, LOGIN 421",
      .answers = "AUTH=535,334,535",
      CONFIG(.max_auth_failures = 2),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "A13 counts none of them, the line in between is too many",
      IN(EHLO "NOOP\r\nAUTH PLAIN =\r\nNOOP\r\n"),
      .overs = "PLAIN 454",
      .answers = "AUTH=454",
      CONFIG(.auth_required = true, .max_unauthenticated_commands = 1),
      .closed = SMTP_CLOSE_LIMIT },
    { .name = "the client goes in the exchange",
      IN(EHLO "AUTH LOGIN\r\n"),
      .overs = "LOGIN gone",
      .answers = "AUTH=334",
      ON },
    { .name = "the client goes in a response",
      IN(EHLO "AUTH LOGIN\r\nYWF"),
      .overs = "LOGIN gone",
      .answers = "AUTH=334",
      ON },
    { .name = "the client goes in the command", IN(EHLO "AUTH LOGIN"), .overs = "", ON },
    { .name = "what may be the message's text names nothing",
      IN(EHLO "DATA\r\nAUTH PLAIN\r\nAUTH to ask is hers\r\n"),
      .overs = "? 535, ? 501",
      .answers = "AUTH=535",
      ON },
};

static void test_ends(void **state)
{
    (void)state;
    rig_check_all(ends, ARRAY_LEN(ends));
}

static void test_refusals(void **state)
{
    (void)state;
    rig_check_all(refusals, ARRAY_LEN(refusals));
}

static void test_exchanges(void **state)
{
    (void)state;
    rig_check_all(exchanges, ARRAY_LEN(exchanges));
}

static void test_limits(void **state)
{
    (void)state;
    rig_check_all(limits, ARRAY_LEN(limits));
}

/* A10: lines of so many octets, with their line end. */
static void check_long(bool command, size_t octets, const char *wire, const char *log, const char *overs)
{
    static const char *const begins[] = { EHLO "AUTH PLAIN\r\n", EHLO "AUTH PLAIN " };
    size_t head = command ? strlen("AUTH PLAIN ") : 0, digits = octets - head - 2;
    struct buf in;
    buf_init(&in, NULL);
    buf_append_span(&in, span_str(begins[command]));
    memset(buf_reserve(&in, digits), 'A', digits);
    buf_commit(&in, digits);
    buf_append_span(&in, SPAN_LIT("\r\nNOOP\r\n"));
    struct rig_case c = {
        .name = "A10", .wire = wire, .log = log, .overs = overs, .answers = command ? "AUTH=454" : "AUTH=334,454", ON
    };
    c.in = buf_span(&in);
    rig_check(&c);
    buf_free(&in);
}

static void test_long_lines(void **state)
{
    (void)state;
    static const char RESPONSE[] = "EHLO EHLO c.example|AUTH AUTH PLAIN|? *|NOOP NOOP";
    check_long(false, 12286, "250, 334, 454, 250 2.0.0", RESPONSE, "PLAIN 454");
    check_long(false, 12290, "250, 334, 500 5.5.6, 250 2.0.0", RESPONSE, "PLAIN 500");
    check_long(false, 20002, "250, 334, 500 5.5.6, 250 2.0.0", RESPONSE, "PLAIN 500");
    check_long(true, 12285, "250, 454, 250 2.0.0", "EHLO EHLO c.example|AUTH AUTH PLAIN *|NOOP NOOP", "PLAIN 454");
    check_long(true, 12289, "250, 500 5.5.6, 250 2.0.0", "EHLO EHLO c.example|? *|NOOP NOOP", "PLAIN 500");
}

/* What the listener's own text is, and that it is said everywhere. */
static void test_required_message(void **state)
{
    (void)state;
    struct smtp_reply own = smtp_reply_read(SPAN_LIT("530 5.7.9 Log in\r\n"));
    static const char IN_TEXT[] = MAIL "RCPT TO:<a@b>\r\nDATA\r\nBDAT 0\r\nETRN x\r\n";
    struct rig_case c = { .name = "required_message",
                          .in = SPAN_LIT(IN_TEXT),
                          .auth = ALL,
                          .wire = "530 5.7.9, 530 5.7.9, 530 5.7.9, 530 5.7.9, 530 5.7.9" };
    c.config.auth = c.config.auth_required = true;
    c.config.need_auth = &own;
    rig_check(&c);
}

/* The owner wipes what held a secret, and only that. */
static void test_secret_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool secret;
    } LINES[] = { { EHLO, false },       { "XX\r\n", false },     { "AUTH LOGIN\r\n", true }, { "YWFh\r\n", true },
                  { "NOOP\r\n", false }, { "hunter2\r\n", true }, { " NOOP\r\n", true },      { MAIL, false } };
    struct rig_case c = { .name = "secret", .answers = "AUTH=334,535", ON };
    struct rig r;
    rig_init(&r, &c, RIG_AT_ONCE);
    for (size_t i = 0; i < ARRAY_LEN(LINES); i++) {
        enum smtp_server_want wanted;
        struct span line = span_str(LINES[i].line);
        assert_int_equal(smtp_server_step(&r.s, line, 0, &wanted), line.n);
        assert_int_equal(r.s.secret, LINES[i].secret);
    }
    rig_free(&r);
}

/* Sessions bound to their upstream: NOOP and RSET are the backend's. */
static void test_bound(void **state)
{
    (void)state;
    struct rig_case c = { .name = "bound", ON };
    struct rig r;
    struct span in = SPAN_LIT(EHLO "NOOP\r\n" MAIL "RSET\r\nNOOP x\r\nRSET x\r\nNOOP \001\r\n");
    rig_init(&r, &c, RIG_AT_ONCE);
    smtp_server_bind(&r.s);
    rig_run(&r, in, in.n, 1);
    rig_check_text(&r, "calls", &r.calls, C_EHLO "|PASS NOOP|MAIL a@b.example|-RSET|PASS RSET|PASS NOOP x", 0);
    rig_check_text(&r, "wire", &r.wire, "250, 250, 250, 250, 250, 501 5.5.4, 250 2.0.0", 0);
    rig_free(&r);
}

/* 421 in an exchange, at once. */
static void test_shutdown(void **state)
{
    (void)state;
    struct rig_case c = { .name = "shutdown", .answers = "AUTH=334", ON };
    for (int waiting = 0; waiting <= 1; waiting++) {
        struct rig r;
        rig_init(&r, &c, waiting ? RIG_IN_ORDER : RIG_AT_ONCE);
        struct buf in;
        buf_init(&in, NULL);
        buf_append_span(&in, SPAN_LIT(EHLO));
        assert_true(rig_work(&r, &in, true));
        buf_append_span(&in, SPAN_LIT("AUTH LOGIN\r\n"));
        assert_true(rig_work(&r, &in, false));
        smtp_server_shutdown(&r.s);
        assert_int_equal(r.s.state == SMTP_SERVER_CLOSED, !waiting);
        if (waiting) {
            rig_fill_all(&r);
            assert_false(rig_work(&r, &in, true));
        }
        assert_int_equal(r.s.close_reason, SMTP_CLOSE_SHUTDOWN);
        buf_free(&in);
        rig_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),         cmocka_unit_test(test_refusals),   cmocka_unit_test(test_exchanges),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_long_lines), cmocka_unit_test(test_required_message),
        cmocka_unit_test(test_secret_lines), cmocka_unit_test(test_bound),      cmocka_unit_test(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
