/* Dovecot's auth protocol: each dialogue whole, byte by byte, and cut at every point gives the same events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/dovecot.h"

#define HELLO "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t7\nCUID\t1\nCOOKIE\t00ff\nDONE\n"

/* Events as text: "R<mechanisms>", "C<id>=<data>[!][@binding]", "O<id> user/authzid", "F<id><D|T|M> user", "B". */
struct story {
    char text[2048];
};

static void note(struct story *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct story *s, const char *fmt, ...)
{
    size_t at = strlen(s->text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->text + at, sizeof(s->text) - at, fmt, ap);
    va_end(ap);
}

static void note_event(struct story *s, const struct dovecot *d, enum dovecot_event event,
                       const struct dovecot_reply *r)
{
    static const char FAILURES[] = { [DOVECOT_DENIED] = 'D', [DOVECOT_TEMPORARY] = 'T', [DOVECOT_MALFORMED] = 'M' };
    switch (event) {
    case DOVECOT_MORE:
        break;
    case DOVECOT_READY:
        note(s, "R");
        for (int m = 0; m < SASL_COUNT; m++) {
            if ((d->mechanisms >> m & 1) != 0)
                note(s, "%s%s ", sasl_name((enum sasl_mechanism)m), (d->binding >> m & 1) != 0 ? "*" : "");
        }
        note(s, "|");
        break;
    case DOVECOT_CONT:
        note(s, "C%u=%.*s%s%s%s|", r->id, SPAN_ARG(r->data), r->out_of_band ? "!" : "",
             r->binding[0] != '\0' ? "@" : "", r->binding);
        break;
    case DOVECOT_OK:
        note(s, "O%u %s/%s|", r->id, r->username ? r->username : "-", r->authzid ? r->authzid : "-");
        break;
    case DOVECOT_FAIL:
        note(s, "F%u%c %s|", r->id, FAILURES[r->failure], r->username ? r->username : "-");
        break;
    case DOVECOT_BROKEN:
        assert_non_null(d->problem);
        note(s, "B|");
        break;
    }
}

/* Feeds pieces that end at `first`, and then every `step` octets. */
static void run(struct story *s, struct span text, size_t first, size_t step)
{
    struct dovecot d;
    struct buf in;
    struct dovecot_reply r;
    enum dovecot_event event = DOVECOT_MORE;
    *s = (struct story){ .text = "" };
    dovecot_init(&d);
    buf_init(&in, NULL);
    for (size_t at = 0; at < text.n && event != DOVECOT_BROKEN;) {
        size_t n = min_size(at == 0 && first > 0 ? first : step, text.n - at);
        buf_append(&in, text.p + at, n);
        at += n;
        do {
            event = dovecot_next(&d, &in, &r);
            note_event(s, &d, event, &r);
        } while (event != DOVECOT_MORE && event != DOVECOT_BROKEN);
    }
    buf_free(&in);
    dovecot_free(&d);
}

static const struct {
    struct span in;
    const char *story;
} CASES[] = {
    { SPAN_LIT(HELLO), "RPLAIN |" },
    { SPAN_LIT("VERSION\t1\t3\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tXOAUTH2\nMECH\tOAUTHBEARER\n"
               "MECH\tSCRAM-SHA-256\tdictionary\tmutual-auth\n"
               "MECH\tSCRAM-SHA-256-PLUS\tdictionary\tchannel-binding\nMECH\tEXTERNAL\nMECH\tCRAM-MD5\nMECH\tGSSAPI\n"
               "SPID\t1\nDONE\n"),
      "RPLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS* XOAUTH2 OAUTHBEARER EXTERNAL |" },
    { SPAN_LIT("VERSION\t1\t2\nMECH\tLOGIN\tprivate\nMECH\tPLAIN\tanonymous\nMECH\nDONE\n"), "R|" },
    { SPAN_LIT("VERSION\t1\t2\nMECH\tplain\nDONE\n"), "RPLAIN |" },
    { SPAN_LIT("VERSION\t1\t2\nNEWS\tx\ty\n\nMECH\tPLAIN\nDONE\n"), "RPLAIN |" },
    { SPAN_LIT("VERSION\t2\t0\n"), "B|" },
    { SPAN_LIT("VERSION\n"), "B|" },
    { SPAN_LIT("VERSION\tone\t2\n"), "B|" },
    { SPAN_LIT("MECH\tPLAIN\nDONE\n"), "B|" },
    { SPAN_LIT("VERSION\t1\t2\n\0\n"), "B|" },
    { SPAN_LIT(HELLO "CONT\t1\tVXNlcm5hbWU6\n"), "RPLAIN |C1=Username:|" },
    { SPAN_LIT(HELLO "CONT\t4294967295\t\n"), "RPLAIN |C4294967295=|" },
    { SPAN_LIT(HELLO "CONT\t7\n"), "RPLAIN |C7=|" },
    { SPAN_LIT(HELLO "CONT\t7\tAA=\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "CONT\tx\tAAAA\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "CONT\t4294967296\tAAAA\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "CONT\t-1\tAAAA\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "CONT\t3\teA==\tchannel_binding=tls-exporter\n"), "RPLAIN |C3=x@tls-exporter|" },
    { SPAN_LIT(HELLO "CONT\t3\t#\tchannel_binding=tls-exporter\n"), "RPLAIN |C3=!@tls-exporter|" },
    { SPAN_LIT(HELLO "CONT\t3\t#\tchannel_binding=0123456789012345678901234567890123456789\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a@example.com\n"), "RPLAIN |O1 a@example.com/-|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=\n"), "RPLAIN |O1 -/-|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=b\tauth_user=master\n"), "RPLAIN |O1 master/b|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=b\tauth_user=b\n"), "RPLAIN |O1 b/-|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a\001tb\001n\001r\0011\0010\001x\n"), "RPLAIN |O1 a\tb\n\r\001?x/-|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a\001\n"), "RPLAIN |O1 a\001/-|" },
    /* the credentials are right, and yet the user may not log in */
    { SPAN_LIT(HELLO "OK\t1\tuser=a\tnologin\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "OK\t1\tnologin=\tuser=a\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a\tnologin=Y\thost=h\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a\tproxy\thost=h\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=a\tproxy=y\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "OK\t1\tuser=nologin\tproxyish\n"), "RPLAIN |O1 nologin/-|" },
    { SPAN_LIT(HELLO "FAIL\t1\tuser=a\n"), "RPLAIN |F1D a|" },
    { SPAN_LIT(HELLO "FAIL\t1\n"), "RPLAIN |F1D -|" },
    { SPAN_LIT(HELLO "FAIL\t1\tuser=a\tcode=temp_fail\n"), "RPLAIN |F1T a|" },
    { SPAN_LIT(HELLO "FAIL\t1\ttemp\tuser=a\n"), "RPLAIN |F1T a|" },
    { SPAN_LIT(HELLO "FAIL\t1\tcode=authz_fail\n"), "RPLAIN |F1D -|" },
    { SPAN_LIT(HELLO "FAIL\t1\tcode=user_disabled\treason=temp\n"), "RPLAIN |F1D -|" },
    { SPAN_LIT(HELLO "FAIL\t1\tcode=invalid_base64\n"), "RPLAIN |F1M -|" },
    { SPAN_LIT(HELLO "FAIL\n"), "RPLAIN |B|" },
    { SPAN_LIT(HELLO "NEWS\t1\n\nOK\t1\tuser=a\nFAIL\t2\nCONT\t3\tAAAA\n"), "RPLAIN |O1 a/-|F2D -|C3=|" },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct story whole, other;
        struct span in = CASES[i].in;
        run(&whole, in, 0, in.n);
        if (i != ARRAY_LEN(CASES) - 1) /* whose challenge is NULs */
            assert_string_equal(whole.text, CASES[i].story);
        run(&other, in, 0, 1);
        assert_string_equal(other.text, whole.text);
        for (size_t cut = 1; cut < in.n; cut++) {
            run(&other, in, cut, in.n);
            assert_string_equal(other.text, whole.text);
        }
    }
}

/* A line of n octets before its LF. */
static void run_long(struct story *s, size_t n, size_t step)
{
    struct span head = SPAN_LIT(HELLO "OK\t1\tuser=");
    char *text = malloc(head.n + n + 1);
    assert_non_null(text);
    memcpy(text, head.p, head.n);
    memset(text + head.n, 'u', n);
    size_t line = strlen("OK\t1\tuser=");
    text[head.n + n - line] = '\n';
    run(s, span_of(text, head.n + n - line + 1), 0, step);
    free(text);
}

static void test_long_lines(void **state)
{
    (void)state;
    struct story s;
    run_long(&s, DOVECOT_LINE_MAX, 100);
    assert_non_null(strstr(s.text, "|O1 uuu"));
    run_long(&s, DOVECOT_LINE_MAX + 1, 100);
    assert_string_equal(s.text, "RPLAIN |B|");
    run_long(&s, DOVECOT_LINE_MAX + 1, 1 << 20);
    assert_string_equal(s.text, "RPLAIN |B|");
}

/* A refusal can't be hidden behind more fields than are looked at. */
static void test_many_fields(void **state)
{
    (void)state;
    struct buf b;
    struct story s;
    buf_init(&b, NULL);
    buf_append_span(&b, SPAN_LIT(HELLO "OK\t1\tuser=a"));
    for (int i = 0; i < 300; i++)
        buf_append_span(&b, SPAN_LIT("\tx=y"));
    buf_append_span(&b, SPAN_LIT("\tnologin\n"));
    run(&s, buf_span(&b), 0, 1 << 20);
    assert_string_equal(s.text, "RPLAIN |B|");
    buf_free(&b);
}

static void check_put(struct buf *b, const char *text)
{
    struct span s = buf_span(b);
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
    buf_consume(b, s.n);
}

static void test_put(void **state)
{
    (void)state;
    struct buf b;
    struct span initial = SPAN_LIT("\0a\0b"), none = SPAN_NONE;
    struct netaddr remote, local;
    assert_true(netaddr_parse_ip(&remote, SPAN_LIT("2001:db8::1")) && netaddr_parse_ip(&local, SPAN_LIT("192.0.2.1")));
    remote.port = 4711;
    struct dovecot_request r = { .id = 1, .mechanism = SASL_PLAIN };
    buf_init(&b, NULL);
    dovecot_put_hello(&b, 12);
    check_put(&b, "VERSION\t1\t3\nCPID\t12\n");
    dovecot_put_auth(&b, &r);
    check_put(&b, "AUTH\t1\tPLAIN\tservice=smtp\n");
    r.initial = &none;
    dovecot_put_auth(&b, &r);
    check_put(&b, "AUTH\t1\tPLAIN\tservice=smtp\tresp=\n");
    r = (struct dovecot_request){ .id = 9,
                                  .mechanism = SASL_EXTERNAL,
                                  .session = "s1",
                                  .remote = &remote,
                                  .local = &local,
                                  .tls = true,
                                  .cert_name = "a\tb\n\001=c",
                                  .initial = &initial };
    dovecot_put_auth(&b, &r);
    check_put(&b, "AUTH\t9\tEXTERNAL\tservice=smtp\tsecured=tls\tvalid-client-cert\tcert_username=a\001tb\001n\0011=c"
                  "\tsession=s1\tlip=192.0.2.1\trip=2001:db8::1\trport=4711\tresp=AGEAYg==\n");
    remote.family = NETADDR_UNIX;
    r = (struct dovecot_request){ .id = 3, .mechanism = SASL_LOGIN, .remote = &remote };
    dovecot_put_auth(&b, &r);
    check_put(&b, "AUTH\t3\tLOGIN\tservice=smtp\n");
    dovecot_put_cont(&b, 3, &initial, SPAN_NONE);
    check_put(&b, "CONT\t3\tAGEAYg==\n");
    dovecot_put_cont(&b, 3, &none, SPAN_NONE);
    check_put(&b, "CONT\t3\t\n");
    dovecot_put_cont(&b, 3, &initial, SPAN_LIT("bind"));
    check_put(&b, "CONT\t3\tAGEAYg==\tchannel_binding=YmluZA==\n");
    dovecot_put_cont(&b, 3, NULL, SPAN_LIT("bind"));
    check_put(&b, "CONT\t3\t#\tchannel_binding=YmluZA==\n");
    dovecot_put_cancel(&b, 3);
    check_put(&b, "CANCEL\t3\n");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
