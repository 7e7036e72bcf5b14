/* Service extensions: an upstream's EHLO read, what is offered of it (H8), what is shown, and why the rest is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/smtp/caps.h"

#define BIT(id) SMTP_CAP_BIT(id)

/* What the callbacks saw, a line each. */
struct seen {
    char text[4096];
};

static void see(struct seen *seen, struct span a, const char *between, const char *b)
{
    size_t n = strlen(seen->text);

    snprintf(seen->text + n, sizeof(seen->text) - n, "%.*s%s%s\n", SPAN_ARG(a), between, b);
}
static void see_line(void *arg, struct span text) { see(arg, text, "", ""); }
static void see_withheld(void *arg, struct span keyword, const char *reason) { see(arg, keyword, ": ", reason); }

/* Lines of `text`, each ended by '\n'. */
static struct smtp_caps parse(const char *text)
{
    struct smtp_caps caps = { 0 };

    while (*text) {
        size_t n = strcspn(text, "\n");

        smtp_caps_parse_line(&caps, span_of(text, n));
        text += n + (text[n] == '\n');
    }
    return caps;
}

static void test_keywords(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMTP_CAP_COUNT; i++) {
        enum smtp_cap cap = (enum smtp_cap)i;
        const char *name = smtp_cap_name(cap);
        char lower[32];
        size_t n = strlen(name);

        for (size_t k = 0; k < n; k++)
            lower[k] = name[k] >= 'A' && name[k] <= 'Z' ? (char)(name[k] | 0x20) : name[k];
        assert_int_equal(smtp_cap_find(span_str(name)), cap);
        assert_int_equal(smtp_cap_find(span_of(lower, n)), cap);
        assert_int_equal(smtp_cap_find(span_of(name, n - 1)), SMTP_CAP_COUNT);
        assert_int_equal(parse(name).set, (smtp_cap_set)1 << i);
    }
    assert_int_equal(smtp_cap_find(SPAN_NONE), SMTP_CAP_COUNT);
    assert_int_equal(smtp_cap_find(SPAN_LIT("HELP")), SMTP_CAP_COUNT);
}

static void test_size(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        { "SIZE", 0 },
        { "SIZE 0", 0 },
        { "size  10240000 ", 10240000 },
        { "SIZE\t52428800", 52428800 },
        { "SIZE 18446744073709551615", UINT64_MAX },
        { "SIZE 18446744073709551616", 0 },
        { "SIZE 10k", 0 },
        { "SIZE -1", 0 },
        { "SIZE 1 2", 0 },
        { "SIZE 100\nSIZE 200", 200 },
        { "SIZE 100\nSIZE", 0 },
        { "SIZE 100\nSIZE x", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_caps caps = parse(cases[i].text);

        assert_int_equal(caps.set, BIT(SIZE));
        assert_true(caps.size == cases[i].size);
    }
    assert_int_equal(parse("SIZE=100").set, 0);
}

static void test_limits(void **state)
{
    static const struct {
        const char *text;
        uint32_t rcpt, mail, domain;
    } cases[] = {
        { "LIMITS", 0, 0, 0 },
        { "LIMITS RCPTMAX=100", 100, 0, 0 },
        { "limits mailmax=5 rcptmax=7 RcptDomainMax=1", 7, 5, 1 },
        { "LIMITS RCPTMAX=999999", 999999, 0, 0 },
        { "LIMITS RCPTMAX=1000000 MAILMAX=3", 0, 3, 0 },
        { "LIMITS RCPTMAX=0", 0, 0, 0 },
        { "LIMITS RCPTMAX=007", 0, 0, 0 },
        { "LIMITS RCPTMAX= MAILMAX =3", 0, 0, 0 },
        { "LIMITS RCPTMAX=-1", 0, 0, 0 },
        { "LIMITS RCPTMAX OTHER=3 XRCPTMAX=4 MAILMAX=2", 0, 2, 0 },
        { "LIMITS RCPTMAX=5\nLIMITS MAILMAX=6", 0, 6, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_caps caps = parse(cases[i].text);

        assert_int_equal(caps.set, BIT(LIMITS));
        assert_int_equal(caps.rcptmax, cases[i].rcpt);
        assert_int_equal(caps.mailmax, cases[i].mail);
        assert_int_equal(caps.rcptdomainmax, cases[i].domain);
    }
}

static void test_lists(void **state)
{
    static const struct {
        const char *text, *auth;
    } cases[] = {
        { "AUTH", "" },
        { "AUTH PLAIN LOGIN", "PLAIN LOGIN" },
        { "AUTH=PLAIN LOGIN", "PLAIN LOGIN" },
        { "AUTH=", "" },
        { "auth=plain\tlogin ", "PLAIN LOGIN" },
        { "AUTH PLAIN LOGIN\nAUTH=LOGIN PLAIN", "PLAIN LOGIN" },
        { "AUTH=LOGIN\nAUTH PLAIN LOGIN CRAM-MD5", "LOGIN PLAIN CRAM-MD5" },
        { "AUTH PLAIN plain PLAIN", "PLAIN" },
        { "AUTH PLAIN PL@IN \x01 SCRAM-SHA-256-PLUS", "PLAIN SCRAM-SHA-256-PLUS" },
        { "AUTH ABCDEFGHIJKLMNOPQRSTU X_1", "X_1" },
    };
    struct smtp_caps caps;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        caps = parse(cases[i].text);
        assert_int_equal(caps.set, BIT(AUTH));
        assert_string_equal(caps.auth, cases[i].auth);
    }
    caps = parse("XCLIENT NAME ADDR\nXFORWARD NAME\nxclient name addr Port REVERSE_NAME name");
    assert_int_equal(caps.set, BIT(XCLIENT) | BIT(XFORWARD));
    assert_string_equal(caps.xclient, "NAME ADDR PORT REVERSE_NAME");
    assert_string_equal(caps.xforward, "NAME");
    assert_string_equal(caps.auth, "");
}

/* Lists stay inside their arrays, and whole. */
static void test_long_lists(void **state)
{
    char line[2000] = "XCLIENT";
    struct smtp_caps caps = { 0 };

    (void)state;
    for (int i = 0; i < 300; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " A%d", i);
    smtp_caps_parse_line(&caps, span_str(line));
    assert_int_equal(strncmp(caps.xclient, line + 8, strlen(caps.xclient)), 0);
    assert_in_range(strlen(caps.xclient), sizeof(caps.xclient) - 6, sizeof(caps.xclient) - 1);
    memcpy(line, "AUTH   ", 7);
    smtp_caps_parse_line(&caps, span_str(line));
    assert_in_range(strlen(caps.auth), sizeof(caps.auth) - 6, sizeof(caps.auth) - 1);
    assert_string_equal(caps.raw, "");
}

static void test_raw(void **state)
{
    static const char postfix[] = "PIPELINING\nSIZE 10240000\nVRFY\nETRN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nCHUNKING";
    struct smtp_caps caps = parse(postfix);
    char line[600];

    (void)state;
    assert_string_equal(caps.raw, postfix);
    assert_int_equal(caps.set, BIT(PIPELINING) | BIT(SIZE) | BIT(ETRN) | BIT(ENHANCEDSTATUSCODES) | BIT(8BITMIME) |
                                   BIT(DSN) | BIT(CHUNKING));
    caps = (struct smtp_caps){ 0 };
    smtp_caps_parse_line(&caps, SPAN_LIT("  X-a\0b\nc\x7f  "));
    smtp_caps_parse_line(&caps, SPAN_LIT(""));
    smtp_caps_parse_line(&caps, SPAN_LIT("  "));
    assert_string_equal(caps.raw, "X-a?b?c?");

    memset(line, 'x', sizeof(line));
    caps = (struct smtp_caps){ 0 };
    smtp_caps_parse_line(&caps, span_of(line, 600));
    smtp_caps_parse_line(&caps, span_of(line, 423)); /* 600 + 1 + 423 = 1024: one too many for the NUL */
    assert_int_equal(strlen(caps.raw), 600);
    smtp_caps_parse_line(&caps, span_of(line, 422));
    assert_int_equal(strlen(caps.raw), 1023);
    smtp_caps_parse_line(&caps, SPAN_LIT("DSN"));
    assert_int_equal(strlen(caps.raw), 1023);
    assert_int_equal(caps.set, BIT(DSN));
}

#define FULL                                                                                                           \
    "PIPELINING\nSIZE 10240000\n8BITMIME\nSMTPUTF8\nDSN\nETRN\nCHUNKING\nBINARYMIME\nREQUIRETLS\n"                     \
    "LIMITS MAILMAX=20 RCPTMAX=50\nSTARTTLS\nAUTH PLAIN\nXCLIENT NAME\nXFORWARD NAME\nENHANCEDSTATUSCODES\nHELP\n"
#define ALL_XCLIENT "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\n"
#define ALL_XFORWARD "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\n"
#define PERMITS (BIT(XCLIENT) | BIT(XFORWARD) | BIT(STARTTLS))

static const struct offer_case {
    const char *upstream;
    struct smtp_offer_rules rules;
    const char *shown, *withheld;
} offer_cases[] = {
    { "", { 0 }, "PIPELINING\nSTARTTLS\n" ALL_XCLIENT ALL_XFORWARD, "" },
    { "", { .forbidden = PERMITS }, "PIPELINING\n", "" },
    { FULL,
      { .auth = "plain LOGIN" },
      "PIPELINING\nSIZE 10240000\n8BITMIME\nSMTPUTF8\nDSN\nETRN\nCHUNKING\nBINARYMIME\nREQUIRETLS\n"
      "LIMITS RCPTMAX=50 MAILMAX=20\nSTARTTLS\nAUTH PLAIN LOGIN\n" ALL_XCLIENT ALL_XFORWARD "ENHANCEDSTATUSCODES\n",
      "HELP: unknown\n" },
    { FULL,
      { .forbidden = (1U << SMTP_CAP_COUNT) - 1, .auth = "PLAIN", .max_message_size = 5, .max_recipients = 5 },
      "",
      "PIPELINING: disabled or not supported\nSIZE: disabled or not supported\n8BITMIME: disabled or not "
      "supported\nSMTPUTF8: disabled or not supported\nDSN: disabled or not supported\nETRN: disabled or not "
      "supported\n"
      "CHUNKING: disabled or not supported\nBINARYMIME: disabled or not supported\nREQUIRETLS: needs TLS on both "
      "sides, or disabled\nLIMITS: disabled or not supported\n"
      "STARTTLS: no certificate, already in TLS, or disabled\nAUTH: disabled\n"
      "XCLIENT: client not permitted, or disabled\nXFORWARD: client not permitted, or disabled\n"
      "ENHANCEDSTATUSCODES: disabled or not supported\nHELP: unknown\n" },
    { "8BITMIME\nDSN",
      { .forbidden = PERMITS, .hidden = BIT(DSN) | BIT(SMTPUTF8) },
      "PIPELINING\n8BITMIME\n",
      "DSN: hidden\n" },
    { "8BITMIME\nDSN",
      { .forbidden = PERMITS | BIT(DSN), .hidden = BIT(DSN) },
      "PIPELINING\n8BITMIME\n",
      "DSN: disabled or not supported\n" },
    /* SIZE: least of ours and theirs less what we add */
    { "SIZE 1000", { .forbidden = PERMITS, .max_message_size = 2000 }, "PIPELINING\nSIZE 1000\n", "" },
    { "SIZE 3000", { .forbidden = PERMITS, .max_message_size = 2000 }, "PIPELINING\nSIZE 2000\n", "" },
    { "SIZE 5000", { .forbidden = PERMITS, .size_reserve = 2048 }, "PIPELINING\nSIZE 2952\n", "" },
    { "SIZE 3000",
      { .forbidden = PERMITS, .max_message_size = 2000, .size_reserve = 2048 },
      "PIPELINING\nSIZE 952\n",
      "" },
    { "SIZE 9000",
      { .forbidden = PERMITS, .max_message_size = 2000, .size_reserve = 2048 },
      "PIPELINING\nSIZE 2000\n",
      "" },
    /* no room for what we add: no limit can be told, and the upstream judges */
    { "SIZE 2049", { .forbidden = PERMITS, .size_reserve = 2048 }, "PIPELINING\nSIZE 1\n", "" },
    { "SIZE 2048", { .forbidden = PERMITS, .size_reserve = 2048 }, "PIPELINING\nSIZE\n", "" },
    { "SIZE 100", { .forbidden = PERMITS, .size_reserve = 2048 }, "PIPELINING\nSIZE\n", "" },
    { "SIZE 100",
      { .forbidden = PERMITS, .max_message_size = 5000, .size_reserve = 2048 },
      "PIPELINING\nSIZE 5000\n",
      "" },
    { "SIZE", { .forbidden = PERMITS, .size_reserve = 2048 }, "PIPELINING\nSIZE\n", "" },
    { "SIZE 0", { .forbidden = PERMITS, .max_message_size = 7 }, "PIPELINING\nSIZE 7\n", "" },
    { "", { .forbidden = PERMITS, .max_message_size = 7, .size_reserve = 2048 }, "PIPELINING\nSIZE 7\n", "" },
    { "SIZE 18446744073709551615", { .forbidden = PERMITS }, "PIPELINING\nSIZE 18446744073709551615\n", "" },
    { "SIZE 9",
      { .forbidden = PERMITS | BIT(SIZE), .max_message_size = 7 },
      "PIPELINING\n",
      "SIZE: disabled or not supported\n" },
    { "SIZE 9", { .forbidden = PERMITS, .hidden = BIT(SIZE) }, "PIPELINING\n", "SIZE: hidden\n" },
    /* LIMITS */
    { "", { .forbidden = PERMITS, .max_recipients = 1000 }, "PIPELINING\nLIMITS RCPTMAX=1000\n", "" },
    { "LIMITS RCPTMAX=100 RCPTDOMAINMAX=1",
      { .forbidden = PERMITS, .max_recipients = 1000 },
      "PIPELINING\nLIMITS RCPTMAX=100 RCPTDOMAINMAX=1\n",
      "" },
    { "LIMITS RCPTMAX=100 MAILMAX=2",
      { .forbidden = PERMITS, .max_recipients = 1 },
      "PIPELINING\nLIMITS RCPTMAX=1 MAILMAX=2\n",
      "" },
    { "LIMITS X=1", { .forbidden = PERMITS }, "PIPELINING\n", "LIMITS: no limit known here\n" },
    { "LIMITS MAILMAX=9", { .forbidden = PERMITS, .max_recipients = 1000000 }, "PIPELINING\nLIMITS MAILMAX=9\n", "" },
    { "LIMITS MAILMAX=9",
      { .forbidden = PERMITS | BIT(LIMITS), .max_recipients = 10 },
      "PIPELINING\n",
      "LIMITS: disabled or not supported\n" },
    /* BINARYMIME goes with CHUNKING */
    { "BINARYMIME", { .forbidden = PERMITS }, "PIPELINING\n", "BINARYMIME: needs CHUNKING\n" },
    { "CHUNKING", { .forbidden = PERMITS }, "PIPELINING\nCHUNKING\n", "" },
    { "CHUNKING\nBINARYMIME",
      { .forbidden = PERMITS | BIT(CHUNKING) },
      "PIPELINING\n",
      "CHUNKING: disabled or not supported\nBINARYMIME: needs CHUNKING\n" },
    { "CHUNKING\nBINARYMIME",
      { .forbidden = PERMITS, .hidden = BIT(CHUNKING) },
      "PIPELINING\n",
      "CHUNKING: hidden\nBINARYMIME: needs CHUNKING\n" },
    { "CHUNKING\nBINARYMIME",
      { .forbidden = PERMITS, .hidden = BIT(BINARYMIME) },
      "PIPELINING\nCHUNKING\n",
      "BINARYMIME: hidden\n" },
    /* AUTH, and lines that repeat */
    { "AUTH GSSAPI\nAUTH=GSSAPI",
      { .forbidden = PERMITS, .auth = "" },
      "PIPELINING\n",
      "AUTH: no mechanism in common\n" },
    { "AUTH GSSAPI", { .forbidden = PERMITS, .auth = "PLAIN" }, "PIPELINING\nAUTH PLAIN\n", "" },
    { "VRFY\nx-thing a b\nVRFY",
      { .forbidden = PERMITS },
      "PIPELINING\n",
      "VRFY: unknown\nx-thing: unknown\nVRFY: unknown\n" },
};

static void test_offer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(offer_cases); i++) {
        const struct offer_case *c = &offer_cases[i];
        struct smtp_caps upstream = parse(c->upstream), offer;
        struct seen shown = { "" }, withheld = { "" };

        smtp_caps_offer(&offer, &upstream, &c->rules);
        smtp_caps_print(&offer, c->rules.hidden, see_line, &shown);
        smtp_caps_withheld(&upstream, &offer, &c->rules, see_withheld, &withheld);
        assert_string_equal(shown.text, c->shown);
        assert_string_equal(withheld.text, c->withheld);
        assert_int_equal(offer.set & c->rules.forbidden, 0);
    }
}

/* Hidden is still honoured; what is forbidden has no value that somebody could enforce. */
static void test_honoured(void **state)
{
    struct smtp_offer_rules rules = { .hidden = BIT(DSN) | BIT(SIZE) | BIT(CHUNKING), .max_message_size = 9 };
    struct smtp_caps upstream = parse(FULL), offer;

    (void)state;
    smtp_caps_offer(&offer, &upstream, &rules);
    assert_int_equal(offer.set & (BIT(DSN) | BIT(SIZE) | BIT(CHUNKING) | BIT(BINARYMIME)),
                     BIT(DSN) | BIT(SIZE) | BIT(CHUNKING) | BIT(BINARYMIME));
    assert_int_equal(offer.size, 9);
    rules.forbidden = BIT(SIZE) | BIT(LIMITS) | BIT(AUTH) | BIT(XCLIENT) | BIT(XFORWARD);
    rules.auth = "PLAIN";
    smtp_caps_offer(&offer, &upstream, &rules);
    assert_int_equal(offer.size, 0);
    assert_int_equal(offer.rcptmax | offer.mailmax | offer.rcptdomainmax, 0);
    assert_string_equal(offer.auth, "");
    assert_string_equal(offer.xclient, "");
    assert_string_equal(offer.xforward, "");
    /* in place */
    rules = (struct smtp_offer_rules){ .forbidden = PERMITS };
    smtp_caps_offer(&upstream, &upstream, &rules);
    assert_int_equal(upstream.rcptmax, 50);
}

static void test_relayed_auth(void **state)
{
    static const struct {
        const char *wanted, *upstream, *out;
    } cases[] = {
        { "PLAIN LOGIN", "AUTH LOGIN PLAIN", "PLAIN LOGIN" },
        { "PLAIN LOGIN", "AUTH=LOGIN", "LOGIN" },
        { "PLAIN", "", "" },
        { NULL, "AUTH PLAIN", "" },
        { "EXTERNAL ANONYMOUS external PLAIN", "AUTH EXTERNAL ANONYMOUS PLAIN", "PLAIN" },
        { "SCRAM-SHA-256-PLUS", "AUTH SCRAM-SHA-256-PLUS", "" },
        { "SCRAM-SHA-256", "AUTH SCRAM-SHA-256", "SCRAM-SHA-256" },
        { "SCRAM-SHA-256 PLAIN", "AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "PLAIN" },
        { "SCRAM-SHA-1 SCRAM-SHA-256", "AUTH SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "SCRAM-SHA-1" },
        { "plain PLAIN", "auth plain", "PLAIN" },
        { "XOAUTH2 OAUTHBEARER CRAM-MD5", "AUTH CRAM-MD5 XOAUTH2", "XOAUTH2 CRAM-MD5" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_caps upstream = parse(cases[i].upstream);
        char out[256];

        smtp_caps_relayed_auth(out, cases[i].wanted, &upstream);
        assert_string_equal(out, cases[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords), cmocka_unit_test(test_size),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lists),    cmocka_unit_test(test_long_lists), cmocka_unit_test(test_raw),
        cmocka_unit_test(test_offer),    cmocka_unit_test(test_honoured),   cmocka_unit_test(test_relayed_auth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
