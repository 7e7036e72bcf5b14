/* What the log and the backend's records may see of lines that can be secrets or the message's text (A15, "Never in a
 * record"). */
#include "tests/unit/server_rig.h"

#define E "EHLO c\r\n"
#define L_E "EHLO EHLO c|"
#define TXN E "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define L_TXN L_E "MAIL MAIL FROM:<a@b>|RCPT RCPT TO:<c@d>|"
#define ROW(n, bytes, l, ...)                                                                                          \
    {                                                                                                                  \
        .name = n, .in = SPAN_LIT(bytes), .log = l, ##__VA_ARGS__                                                      \
    }

static const struct rig_case secrets[] = {
    ROW("the mechanism is shown", E "AUTH\r\nauth plain\r\nAUTH LOGIN c2VjcmV0\r\nAuth\tcram-md5\tx y\r\n",
        L_E "AUTH AUTH|AUTH AUTH PLAIN|AUTH AUTH LOGIN *|AUTH AUTH CRAM-MD5 *"),
    ROW("an unknown mechanism may be a password", E "AUTH c2VjcmV0\r\nAUTH PLAIN=c2VjcmV0\r\nAUTH PLAINc2VjcmV0 x\r\n",
        L_E "AUTH AUTH *|AUTH AUTH *|AUTH AUTH *"),
    ROW("what only looks like AUTH",
        E "AUTHPLAIN c2VjcmV0\r\nauthenticate me secret\r\n AUTH PLAIN c2VjcmV0\r\n\t\x01 auth x\r\nAUTH PLA\0IN "
          "x\r\nAUTH\rPLAIN x\r\n",
        L_E "? *|? *|? *|? *|? *|? *"),
    ROW("before the first AUTH line", "secret\r\nNOOP x\r\n", "? secret|NOOP NOOP x"),
    ROW("from then on",
        E "AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n\r\nNOOP\r\nPASS secret\r\nMAIL FROM:<a@b>\r\nsecret\r\n",
        L_E "AUTH AUTH LOGIN|? *|? *|? *|NOOP NOOP|? *|MAIL MAIL FROM:<a@b>|? *"),
    ROW("also after EHLO and RSET", "AUTHX\r\n" E "RSET\r\nsecret\r\n", "? *|" L_E "RSET RSET|? *"),
    ROW("a line that can't be a command, from then on",
        E "AUTH PLAIN\r\n MAIL c2VjcmV0\r\nMAIL\0c2VjcmV0\r\nNOOP\rc2VjcmV0\r\n", L_E "AUTH AUTH PLAIN|? *|? *|? *"),
    ROW("AUTH mistyped", "AUHT PLAIN c2VjcmV0\r\nsecret\r\nNOOP x\r\n", "? *|? *|NOOP NOOP x"),
    ROW("and its mechanism too", "ATUH PLAN c2VjcmV0\r\nsecret\r\n", "? *|? *"),
    ROW("mistyped beyond knowing", "X LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n", "? *|? *|? *"),
    ROW("a mechanism alone", "PLAIN c2VjcmV0\r\nsecret\r\n", "? *|? *"),
    ROW("a blank before the verb", " MAIL XOAUTH2 c2VjcmV0\r\nsecret\r\n", "? *|? *"),
    ROW("behind other verbs",
        E "MAIL AUTH PLAIN c2VjcmV0\r\nMAIL AUTH c2VjcmV0\r\nMAIL FROM:AUTH PLAIN c2VjcmV0\r\nMAIL FROM:<a@b> auth "
          "plain c2VjcmV0\r\nMAIL FROM:<AUTH NTLM c2VjcmV0>\r\nHELP AUTH scram-sha-512 c2VjcmV0 x\r\nNOOP\tPLAIN\t"
          "c2VjcmV0\r\nsecret\r\n",
        L_E "MAIL MAIL AUTH PLAIN *|MAIL MAIL AUTH *|MAIL MAIL FROM:AUTH PLAIN *|MAIL MAIL FROM:<a@b> auth plain *|"
            "MAIL MAIL FROM:<AUTH NTLM *|HELP HELP AUTH scram-sha-512 *|NOOP NOOP\tPLAIN *|? *",
        .calls = "EHLO c|MAIL!501 AUTH PLAIN *|MAIL!501 AUTH *|MAIL!501 FROM:AUTH PLAIN *|MAIL!501 a@b|MAIL!501 "
                 "FROM:<AUTH NTLM *"),
    ROW("behind RCPT and EHLO",
        TXN "RCPT TO:<a@b> AUTH PLAIN c2VjcmV0\r\nRCPT AUTH PLAIN c2VjcmV0\r\nEHLO x AUTH "
            "PLAIN c2VjcmV0\r\nHELO AUTH LOGIN\r\nsecret\r\n",
        L_TXN
        "RCPT RCPT TO:<a@b> AUTH PLAIN *|RCPT RCPT AUTH PLAIN *|EHLO EHLO x AUTH PLAIN *|HELO HELO AUTH LOGIN|? *",
        .calls = "EHLO c|MAIL a@b|RCPT c@d|RCPT!555 a@b|RCPT!501 AUTH PLAIN *|*"),
    ROW("names that are no AUTH",
        "EHLO plain\r\nEHLO login.example external.example\r\nNOOP PLAIN\r\nHELP AUTH\r\nVRFY login\r\n"
        "MAIL FROM:<\"auth plain x\"@b> AUTH=<> X=PLAIN\r\nplainly said\r\n",
        "EHLO EHLO plain|EHLO EHLO login.example external.example|NOOP NOOP PLAIN|HELP HELP AUTH|VRFY VRFY login|"
        "MAIL MAIL FROM:<\"auth plain x\"@b> AUTH=<> X=PLAIN|? plainly said"),
    ROW("lenient addresses", E "MAIL FROM:plain SIZE=5\r\nsecret\r\n", L_E "MAIL MAIL FROM:plain *|? *",
        .calls = "EHLO c|MAIL!501 FROM:plain *", .config.lenient_addresses = true),
    ROW("lenient addresses in brackets", E "MAIL FROM:<plain>\r\nRCPT TO:<login>\r\nsecret\r\n",
        L_E "MAIL MAIL FROM:<plain>|RCPT RCPT TO:<login>|? secret", .calls = "EHLO c|MAIL plain|RCPT login",
        .config.lenient_addresses = true),
    ROW("a refused MAIL may show its argument", E "AUTH PLAIN\r\nMAIL x\r\n", L_E "AUTH AUTH PLAIN|MAIL MAIL x",
        .calls = "EHLO c|MAIL!501 x"),
};

#define TEXT "Subject: hi\r\n\r\nhello secret\r\n.\r\n"
#define L_TEXT "? *|? *|? *|? *"

static const struct rig_case texts[] = {
    ROW("behind a DATA that the upstream refused", TXN "DATA\r\n" TEXT "RSET\r\nhello\r\n",
        L_TXN "DATA DATA|" L_TEXT "|RSET RSET|? hello", .answers = "DATA=451"),
    ROW("behind a DATA in bad order", E "DATA\r\n" TEXT "QUIT\r\n", L_E "DATA DATA|" L_TEXT "|QUIT QUIT",
        .closed = SMTP_CLOSE_QUIT),
    ROW("behind a DATA with an argument", E "DATA now\r\n" TEXT, L_E "DATA DATA now|" L_TEXT),
    ROW("behind a DATA that is not well formed", E " DATA\r\nDATA\0\r\n" TEXT, NULL, .calls = "EHLO c"),
    ROW("behind a DATA without good recipients", TXN "DATA\r\n" TEXT, L_TXN "DATA DATA|" L_TEXT, .answers = "RCPT=550"),
    ROW("behind a disabled DATA", TXN "DATA\r\n" TEXT, L_TXN "DATA DATA|" L_TEXT,
        .config.disabled_commands = 1U << SMTP_VERB_DATA),
    ROW("behind a BDAT", TXN "BDAT 5\r\nabcde" TEXT "HELO d\r\nx\r\n", L_TXN "BDAT BDAT 5|" L_TEXT "|HELO HELO d|? x"),
    ROW("after a message that was taken", TXN "DATA\r\nx\r\n.\r\nhello\r\n", L_TXN "DATA DATA|? hello"),
    ROW("after a message that was refused", TXN "DATA\r\nx\r\n.\r\nhello\r\n", L_TXN "DATA DATA|? hello",
        .answers = "END=550"),
    ROW("known verbs keep their name",
        E "DATA\r\nNoop secret\r\nHelp me\r\nRcpt of goods\r\nData: x\r\nauth x\r\nAUTH PLAIN x\r\n",
        L_E "DATA DATA|NOOP *|HELP *|RCPT *|? *|AUTH *|AUTH *"),
    ROW("what only looks like AUTH", E "DATA\r\n auth x\r\nauthor: x\r\n", L_E "DATA DATA|? *|? *"),
    ROW("what ends it is well formed",
        E "DATA\r\nRset it\r\nQuit now\r\nEhlo my dear\r\nehlo\r\nMail me soon\r\nMAIL FROM: a@b\r\nMAIL FROM:<a@b> "
          "your secret\r\n"
          "MAIL FROM:<a@b> X=secret\r\nx\r\n",
        L_E "DATA DATA|RSET *|QUIT *|EHLO *|EHLO *|MAIL *|MAIL *|MAIL *|MAIL *|? *",
        .calls = "EHLO c|EHLO *|MAIL!501 *|MAIL!501 *|MAIL!555 *|MAIL!555 *"),
    ROW("MAIL ends it", E "DATA\r\nx\r\nMAIL FROM:<a@b> SIZE=5 BODY=8BITMIME\r\nx\r\n",
        L_E "DATA DATA|? *|MAIL MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME|? x",
        .offer = SMTP_CAP_BIT(SIZE) | SMTP_CAP_BIT(8BITMIME)),
    ROW("LHLO ends it", E "DATA\r\nLHLO d\r\nx\r\n", L_E "DATA DATA|LHLO LHLO d|? x"),
    ROW("a refused RCPT of the text", E "MAIL FROM:<a@b>\r\nDATA\r\nRcpt hello\r\nRCPT TO:<c@d>\r\n",
        L_E "MAIL MAIL FROM:<a@b>|DATA DATA|RCPT *|RCPT *", .calls = "EHLO c|MAIL a@b|RCPT!501 *|RCPT c@d"),
    ROW("lenient addresses", E "DATA\r\nMail from: my boss, secret\r\nMail from: boss it was\r\n",
        L_E "DATA DATA|MAIL *|MAIL *", .calls = "EHLO c|MAIL!501 *|MAIL!501 *", .config.lenient_addresses = true),
    ROW("both", E "AUTH PLAIN\r\nDATA\r\nx\r\nMAIL FROM:<a@b>\r\nx\r\n",
        L_E "AUTH AUTH PLAIN|DATA DATA|? *|MAIL MAIL FROM:<a@b>|? *"),
};

static void test_secrets(void **state)
{
    (void)state;
    rig_check_all(secrets, ARRAY_LEN(secrets));
}

static void test_texts(void **state)
{
    (void)state;
    rig_check_all(texts, ARRAY_LEN(texts));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_secrets), cmocka_unit_test(test_texts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
