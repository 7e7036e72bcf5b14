/* What the log and the backend's records may see of lines that can be secrets or the message's text (A15, "Never in a
 * record"). */
#include "tests/unit/server_rig.h"

#define E "EHLO c\r\n"
#define L_E "EHLO EHLO c|"
#define TXN E "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define L_TXN L_E "MAIL MAIL FROM:<a@b>|RCPT RCPT TO:<c@d>|"
#define MAIL_RCPT "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define L_MAIL_RCPT "MAIL MAIL FROM:<a@b>|RCPT RCPT TO:<c@d>|"
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
    ROW("lenient addresses in brackets", E "MAIL FROM:<plain>\r\nRCPT TO:<login>\r\nRSET\r\nsecret\r\n",
        L_E "MAIL MAIL FROM:<plain>|RCPT RCPT TO:<login>|RSET RSET|? secret",
        .calls = "EHLO c|MAIL plain|RCPT login|-RSET", .config.lenient_addresses = true),
    ROW("a refused MAIL may show its argument", E "AUTH PLAIN\r\nMAIL x\r\n", L_E "AUTH AUTH PLAIN|MAIL MAIL x",
        .calls = "EHLO c|MAIL!501 x"),
};

#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
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
    ROW("behind a mistyped DATA",
        TXN "DTAA\r\nSubject: hi\r\n\r\nHelp me\r\nRcpt of secret\r\ndata\r\nx\r\n.\r\nx\r\nQUIT\r\n",
        L_TXN "? DTAA|? *|? *|HELP *|RCPT *|DATA data|? *|QUIT QUIT", .closed = SMTP_CLOSE_QUIT),
    ROW("what else is mistyped",
        TXN "RCTP TO:<secret@b>\r\nRCPT TO:<e@f>\r\ndat\r\nNOOP\r\nDATTA x\r\nNOOP\r\nATA\r\nNOOP\r\nDATS\r\nNOOP\r\n"
            "Starttsl\r\nNOOP\r\nXFORWARDS\tx\r\nRSET\r\nRCTP TO:<secret@b>\r\n",
        L_TXN "? RCTP *|RCPT RCPT TO:<e@f>|? dat|NOOP NOOP|? DATTA *|NOOP NOOP|? ATA|NOOP NOOP|? DATS|NOOP NOOP|"
              "? Starttsl|NOOP NOOP|? XFORWARDS *|RSET RSET|? RCTP TO:<secret@b>"),
    ROW("what is no verb mistyped",
        TXN "Dear you\r\nNOOP\r\nDate: x\r\nNOOP\r\nDTTAA\r\nNOOP\r\nATAD\r\nNOOP\r\n\r\nNOOP\r\n DTAA\r\nNOOP\r\n"
            "pots\r\nNOOP\r\nXFORWARDSS\r\nNOOP x\r\nx\r\n",
        L_TXN "? *|NOOP NOOP|? *|NOOP NOOP|? *|NOOP NOOP|? *|NOOP NOOP|? *|NOOP NOOP|? *|NOOP NOOP|? *|NOOP NOOP|? *|"
              "NOOP *|? *"),
    ROW("before a recipient nothing is the message's", E "RCTP x\r\nMAIL FROM:<a@b>\r\nRCTP TO:<c@d>\r\nDTAA x\r\n",
        L_E "? RCTP x|MAIL MAIL FROM:<a@b>|? RCTP TO:<c@d>|? DTAA x"),
    ROW("a recipient that was refused, and pipelining", TXN "DTAA\r\nsecret\r\n", L_TXN "? DTAA|? *",
        .answers = "RCPT=550"),
    ROW("no transaction, but a recipient", E "RCPT TO:<c@d>\r\nDTAA\r\nsecret\r\n",
        L_E "RCPT RCPT TO:<c@d>|? DTAA|? *"),
    ROW("a second MAIL in the transaction", TXN "MAIL FROM:<a@b>\r\nDTAA\r\nMAIL FROM:<a@b>\r\nx\r\n",
        L_TXN "MAIL MAIL FROM:<a@b>|? DTAA|MAIL MAIL FROM:<a@b>|? *"),
    ROW("a refused DATA behind a mistyped one", TXN "DTAA\r\nDATA\r\nNOOP\r\nRCPT TO:<c@d>\r\nx\r\nRSET\r\n",
        L_TXN "? DTAA|DATA DATA|NOOP *|RCPT *|? *|RSET RSET", .answers = "DATA=451"),
    ROW("AUTH behind a mistyped DATA", TXN "DTAA\r\nauth x\r\nauthor secret\r\nRSET\r\nDTAA\r\n",
        L_TXN "? DTAA|AUTH *|? *|RSET RSET|? *"),
    ROW("what looks like AUTH is no verb mistyped", TXN "AUTHO x\r\nsecret\r\n", L_TXN "? *|? *"),
    ROW("behind a chunk counted short", TXN "BDAT 3\r\nabcDTA\r\nNoop secret\r\nsecret\r\nNOOP\r\nx\r\n",
        L_TXN "BDAT BDAT 3|? *|NOOP *|? *|NOOP NOOP|? *", .offer = SMTP_CAP_BIT(CHUNKING)),
    ROW("behind the last one", TXN "BDAT 3 LAST\r\nabcdat\r\nsecret\r\nMAIL FROM:<a@b>\r\nx y\r\n",
        L_TXN "BDAT BDAT 3 LAST|? *|? *|MAIL MAIL FROM:<a@b>|? x y", .offer = SMTP_CAP_BIT(CHUNKING)),
    ROW("verbs as words of a chunk",
        TXN "BDAT 3\r\nabcHelp me\r\nRSET\r\n" MAIL_RCPT "BDAT 3\r\nabcSend secrets\r\nNOOP\r\nGet secret\r\n",
        L_TXN "BDAT BDAT 3|HELP *|RSET RSET|" L_MAIL_RCPT "BDAT BDAT 3|SEND *|NOOP NOOP|GET *",
        .offer = SMTP_CAP_BIT(CHUNKING), .closed = SMTP_CLOSE_PROTOCOL),
    ROW("commands between messages, after chunks",
        TXN
        "BDAT 3 LAST\r\nabcVRFY x\r\nHELP\r\nMAIL FROM:a@b\r\nMAIL x\r\nx\r\nMAIL FROM:a@b SIZE=5\r\nRCPT TO:c@d\r\n",
        L_TXN "BDAT BDAT 3 LAST|VRFY VRFY x|HELP HELP|MAIL MAIL FROM:a@b|MAIL MAIL x|? *|MAIL MAIL FROM:a@b SIZE=5|"
              "RCPT RCPT TO:c@d",
        .config.lenient_addresses = true, .offer = SMTP_CAP_BIT(CHUNKING) | SMTP_CAP_BIT(SIZE)),
    ROW("what is said between messages is done behind a stray line",
        TXN "DATA\r\n.\r\nFOO x\r\nXFORWARD NAME=x\r\nMAIL FROM:<a@b>\r\n",
        L_TXN "DATA DATA|? *|XFORWARD XFORWARD NAME=x|MAIL MAIL FROM:<a@b>", .permitted = true),
    ROW("behind a line of the text that ended it",
        TXN "DATA\r\nx\r\n.\r\nmore secret\r\nsecret\r\nMAIL FROM:<a@b>\r\nx y\r\n",
        L_TXN "DATA DATA|? *|? *|MAIL MAIL FROM:<a@b>|? x y"),
    ROW("behind a line too long to be a command", TXN LONG "\r\nsecret\r\n", L_TXN "? *|? *",
        .config.max_command_length = 64),
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
