/* The trace field: its form, and that nothing a client gives can end it, break its line or comment its parts away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/received.h"

#define BY "\r\n\tby tap.example (smtptap) with ESMTP id c1.1"
#define DATE "; Fri, 20 Nov 2026 09:51:00 +0000\r\n"
#define NOV_20 1795168260
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A250 A50 A50 A50 A50 A50

struct row {
    const char *helo, *name, *ip, *rcpt;
    bool smtputf8;
    const char *tls;
    const char *want; /* up to DATE */
};

static const struct row rows[] = {
    { "c.example", "c.example", "192.0.2.1", "b@d", false, NULL,
      "Received: from c.example (c.example [192.0.2.1])" BY "\r\n\tfor <b@d>" },
    { "c.example", "", "2001:db8::1", "", false, NULL, "Received: from c.example (unknown [IPv6:2001:db8::1])" BY },
    { "c", "", "192.0.2.1", "", false, "TLSv1.3",
      "Received: from c (unknown [192.0.2.1])\r\n\t(using TLSv1.3 with cipher AES)" BY },
    { "", "", "", "", false, NULL, "Received: from unknown (unknown [unknown])" BY },
    { "[192.0.2.9]", "", "192.0.2.1", "", false, NULL, "Received: from [192.0.2.9] (unknown [192.0.2.1])" BY },
    { "a b(c)\\\"\t\x7f", "", "192.0.2.1", "", false, NULL, "Received: from a?b?c????? (unknown [192.0.2.1])" BY },
    { "a\r\nX: y\n", "n)(\r\n", "192.0.2.1", "", false, NULL, "Received: from a??X:?y? (n\?\?\?\? [192.0.2.1])" BY },
    { "h\xc3\xa4", "", "192.0.2.1", "j\xc3\xb6@d", false, NULL,
      "Received: from h?? (unknown [192.0.2.1])" BY "\r\n\tfor <j??@d>" },
    { "h\xc3\xa4", "", "192.0.2.1", "j\xc3\xb6@d", true, NULL,
      "Received: from h\xc3\xa4 (unknown [192.0.2.1])" BY "\r\n\tfor <j\xc3\xb6@d>" },
    { "h\xe4\xc2\x85\xe2\x80\x8b\xc3", "", "192.0.2.1", "", true, NULL,
      "Received: from h???? (unknown [192.0.2.1])" BY },
    { "c", "", "192.0.2.1", "\"q \\\"x\\\" (y)\"@b", false, NULL,
      "Received: from c (unknown [192.0.2.1])" BY "\r\n\tfor <\"q?\\\"x\\\"??y?\"@b>" },
    { "c", "", "192.0.2.1", "\"\\\\\\(\\>\"@b", false, NULL,
      "Received: from c (unknown [192.0.2.1])" BY "\r\n\tfor <\"\\\\\\?\\>\"@b>" },
    { "c", "", "192.0.2.1", "a\\@b", false, NULL, "Received: from c (unknown [192.0.2.1])" BY "\r\n\tfor <a?@b>" },
    { A250 "bbbbbcc", "", "192.0.2.1", A250 "@bbbbb", false, NULL,
      "Received: from " A250 "bbbbb (unknown [192.0.2.1])" BY },
    { A250 "bbbb\xc3\xa4", "", "192.0.2.1", A250 "@bbbb", true, NULL,
      "Received: from " A250 "bbbb (unknown [192.0.2.1])" BY "\r\n\tfor <" A250 "@bbbb>" },
};

static void test_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct smtp_received r = { .helo = span_str(row->helo),
                                   .name = span_str(row->name),
                                   .hostname = "tap.example",
                                   .protocol = "ESMTP",
                                   .id = "c1.1",
                                   .rcpt = span_str(row->rcpt),
                                   .smtputf8 = row->smtputf8,
                                   .when = NOV_20,
                                   .tls_version = row->tls,
                                   .tls_cipher = "AES" };
        bool known = netaddr_parse_ip(&r.client, span_str(row->ip));
        assert_int_equal(known, row->ip[0] != '\0');
        struct buf out, want;
        buf_init(&out, NULL);
        buf_init(&want, NULL);
        smtp_received_print(&out, &r);
        buf_printf(&want, "%s" DATE, row->want);
        if (!span_eq(buf_span(&out), buf_span(&want)))
            fail_msg("row %zu:\n%.*s\ninstead of\n%.*s", i, SPAN_ARG(buf_span(&out)), SPAN_ARG(buf_span(&want)));
        buf_free(&out);
        buf_free(&want);
    }
}

/* All octets in all places: two folded lines, each line printable. */
static void test_all_octets(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 512; c++) {
        char text[3] = { 'a', (char)c, 'b' };
        struct span s = span_of(text, 3);
        struct smtp_received r = { .helo = s,
                                   .name = s,
                                   .rcpt = s,
                                   .smtputf8 = c > 255,
                                   .hostname = "t",
                                   .protocol = "SMTP",
                                   .id = "i",
                                   .when = 0,
                                   .client = { .family = NETADDR_UNIX } };
        struct buf out;
        unsigned parens = 0;
        buf_init(&out, NULL);
        smtp_received_print(&out, &r);
        struct span got = buf_span(&out);
        for (size_t i = 0; i < got.n; i++) {
            assert_true((got.p[i] >= ' ' && got.p[i] < 0x7f) || got.p[i] == '\t' || got.p[i] == '\r' ||
                        got.p[i] == '\n');
            assert_true(got.p[i] != '\n' || i == got.n - 1 || got.p[i + 1] == '\t');
            parens += got.p[i] == '(' || got.p[i] == ')';
        }
        assert_int_equal(parens, 4);
        buf_free(&out);
    }
}

struct date {
    int64_t when;
    const char *text;
};
static const struct date dates[] = {
    { 0, "Thu, 1 Jan 1970 00:00:00 +0000" },           { 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
    { 1709251199, "Thu, 29 Feb 2024 23:59:59 +0000" }, { 4102444799, "Thu, 31 Dec 2099 23:59:59 +0000" },
    { NOV_20, "Fri, 20 Nov 2026 09:51:00 +0000" },
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct buf out;
        buf_init(&out, NULL);
        smtp_date_print(&out, dates[i].when);
        assert_int_equal(buf_len(&out), strlen(dates[i].text));
        assert_memory_equal(buf_span(&out).p, dates[i].text, buf_len(&out));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_all_octets),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
