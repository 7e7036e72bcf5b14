/* XCLIENT and XFORWARD: what is taken, what is refused, and what is said to an upstream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/smtp/xattr.h"

#define TEN "xxxxxxxxxx"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define X250 HUNDRED HUNDRED TEN TEN TEN TEN TEN
/* 30 octets as xtext that stand for 10 */
#define TEN_ODD "+3D+3D+3D+3D+3D+3D+3D+3D+3D+3D"
#define HUNDRED_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD TEN_ODD

enum { C = 1, F = 2, BOTH = 3 };

/* want: "NAME=text ..." in the order of the table, decoded; NULL: refused. */
static const struct {
    unsigned commands;
    const char *arg, *want;
} cases[] = {
    { BOTH, "NAME=spike.example ADDR=168.100.189.2", "NAME=spike.example ADDR=168.100.189.2" },
    { BOTH, "addr=192.0.2.1\tname=a", "NAME=a ADDR=192.0.2.1" },
    { BOTH, "  ADDR=192.0.2.1   ", "ADDR=192.0.2.1" },
    { BOTH, "ADDR=IPV6:2001:db8::1 PORT=65535", "PORT=65535 ADDR=IPV6:2001:db8::1" },
    { BOTH, "ADDR=ipv6:2001:DB8::1", "ADDR=ipv6:2001:DB8::1" },
    { BOTH, "ADDR=IPv6:::ffff:192.0.2.1", "ADDR=IPv6:::ffff:192.0.2.1" },
    { BOTH, "NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[Unavailable] PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE]",
      "NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE] ADDR=[UNAVAILABLE]" },
    { BOTH, "NAME=[tempUNAVAIL]", "NAME=[TEMPUNAVAIL]" },
    { BOTH, "ADDR=[TEMPUNAVAIL]", NULL },
    { BOTH, "PORT=0", "PORT=0" },
    { C, "DESTADDR=192.0.2.9 DESTPORT=25 LOGIN=a+20b+2Bc+3D", "DESTADDR=192.0.2.9 DESTPORT=25 LOGIN=a b+c=" },
    { F, "DESTADDR=192.0.2.9", NULL },
    { F, "LOGIN=a", NULL },
    { F, "IDENT=4F2a SOURCE=local PROTO=QMQP NAME=not_dns!", "NAME=not_dns! PROTO=QMQP IDENT=4F2a SOURCE=local" },
    { C, "IDENT=4F2a", NULL },
    { C, "SOURCE=LOCAL", NULL },
    { F, "SOURCE=ELSEWHERE", NULL },
    { C, "PROTO=esmtp HELO=odd+20name", "PROTO=esmtp HELO=odd name" },
    { C, "PROTO=LMTP", NULL },
    { F, "PROTO=" TEN TEN TEN TEN TEN TEN "12345", NULL },
    { F, "PROTO=" TEN TEN TEN TEN TEN TEN "1234", "PROTO=" TEN TEN TEN TEN TEN TEN "1234" },
    { BOTH, "REVERSE_NAME=a", NULL },
    { BOTH, "HELO=" X250 "12345", "HELO=" X250 "12345" },
    { BOTH, "HELO=" X250 "123456", NULL },
    { BOTH, "HELO=" HUNDRED_ODD HUNDRED_ODD HUNDRED_ODD, NULL },
    /* X3 */
    { BOTH, "", NULL },
    { BOTH, "   ", NULL },
    { BOTH, "NAME", NULL },
    { BOTH, "NAME=", NULL },
    { BOTH, "=a", NULL },
    { BOTH, "FOO=a", NULL },
    { BOTH, "NAME=a FOO=a", NULL },
    { BOTH, "NAME=a NAME=a", NULL },
    { C, "NAME=192.0.2.1", NULL },
    { C, "NAME=a..b", NULL },
    { BOTH, "NAME=a+20b", NULL },
    { BOTH, "ADDR=192.0.2.256", NULL },
    { BOTH, "ADDR=192.0.2", NULL },
    { BOTH, "ADDR=[192.0.2.1]", NULL },
    { BOTH, "ADDR=2001:db8::1", NULL },
    { BOTH, "ADDR=IPV6:192.0.2.1", NULL },
    { BOTH, "ADDR=IPV6:", NULL },
    { BOTH, "PORT=65536", NULL },
    { BOTH, "PORT=025", NULL },
    { BOTH, "PORT=+20", NULL },
    { BOTH, "PORT=-1", NULL },
    { BOTH, "HELO=a+0Db", NULL },
    { BOTH, "HELO=a+0Ab", NULL },
    { BOTH, "HELO=a+00b", NULL },
    { C, "LOGIN=a+0D+0AMAIL", NULL },
    { C, "LOGIN=a+E2+80+8Bb", NULL },
    { BOTH, "HELO=a+", NULL },
    { BOTH, "HELO=a+2", NULL },
    { BOTH, "HELO=a+GG", NULL },
    { BOTH, "HELO=a=b", NULL },
};

static void show(char *out, size_t size, const struct smtp_xattrs *x)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        enum smtp_xattr attr = (enum smtp_xattr)i;
        if (x->value[i].state == SMTP_XATTR_ABSENT)
            continue;
        struct span text = smtp_xattr_shown(x, attr);
        at += (size_t)snprintf(out + at, size - at, "%s%s=%.*s", at > 0 ? " " : "", smtp_xattr_name(attr),
                               SPAN_ARG(text));
    }
}

static void what_is_taken_and_what_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned command = 0; command < 2; command++) {
            struct smtp_xattrs x;
            char got[2000];
            if (!(cases[i].commands >> command & 1))
                continue;
            bool ok = smtp_xattrs_parse(&x, span_str(cases[i].arg), (enum smtp_xattr_command)command);
            if (ok != (cases[i].want != NULL))
                fail_msg("\"%s\" was %s", cases[i].arg, ok ? "taken" : "refused");
            if (!ok)
                continue;
            show(got, sizeof(got), &x);
            assert_string_equal(got, cases[i].want);
        }
    }
}

static void addresses_with_ports(void **state)
{
    (void)state;
    static const struct {
        const char *arg, *want;
    } rows[] = {
        { "ADDR=192.0.2.1 PORT=25", "192.0.2.1:25" },
        { "ADDR=192.0.2.1", "192.0.2.1:0" },
        { "ADDR=IPV6:::ffff:192.0.2.1 PORT=[UNAVAILABLE]", "192.0.2.1:0" },
        { "ADDR=IPV6:2001:db8::1 PORT=1", "[2001:db8::1]:1" },
    };
    struct smtp_xattrs x;
    char text[NETADDR_PORT_STRLEN];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(smtp_xattrs_parse(&x, span_str(rows[i].arg), SMTP_XCLIENT));
        struct netaddr a = smtp_xattr_address(&x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT);
        assert_string_equal(netaddr_print(&a, text), rows[i].want);
    }
    assert_true(smtp_xattrs_parse(&x, SPAN_LIT("ADDR=[UNAVAILABLE] PORT=25"), SMTP_XCLIENT));
    struct netaddr a = smtp_xattr_address(&x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT);
    assert_int_equal(a.family, NETADDR_NONE);
}

static void take_line(void *arg, struct span text)
{
    struct buf *out = arg;
    assert_true(text.n <= SMTP_XATTR_LINE_MAX);
    if (!buf_empty(out))
        buf_append(out, "\n", 1);
    buf_append_span(out, text);
}

static void client(struct smtp_xattrs *x)
{
    struct netaddr from = { .family = NETADDR_IPV6, .ip = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, .port = 40000 };
    struct netaddr to = { .family = NETADDR_IPV4, .ip = { 192, 0, 2, 9 }, .port = 25 };
    *x = (struct smtp_xattrs){ 0 };
    smtp_xattr_set(x, SMTP_XATTR_NAME, SPAN_LIT("c.example"));
    smtp_xattr_set_unavailable(x, SMTP_XATTR_REVERSE_NAME);
    smtp_xattr_set_address(x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT, &from);
    smtp_xattr_set(x, SMTP_XATTR_PROTO, SPAN_LIT("ESMTP"));
    smtp_xattr_set(x, SMTP_XATTR_HELO, SPAN_LIT("odd name+"));
    smtp_xattr_set_address(x, SMTP_XATTR_DESTADDR, SMTP_XATTR_DESTPORT, &to);
    smtp_xattr_set_unavailable(x, SMTP_XATTR_LOGIN);
}

static void assert_said(const struct smtp_xattrs *x, const char *offered, enum smtp_xattr_command command,
                        const char *want)
{
    struct buf out;
    unsigned lines = want[0] != '\0';
    buf_init(&out, NULL);
    for (const char *p = want; *p != '\0'; p++)
        lines += *p == '\n';
    assert_int_equal(smtp_xattrs_print(x, offered, command, take_line, &out), lines);
    if (!span_eq(buf_span(&out), span_str(want)))
        fail_msg("said \"%.*s\" instead of \"%s\"", SPAN_ARG(buf_span(&out)), want);
    buf_free(&out);
}

static void what_is_said_follows_the_offer(void **state)
{
    struct smtp_xattrs x;
    (void)state;
    client(&x);
    assert_said(&x, "", SMTP_XCLIENT, "");
    assert_said(&x, "FOO IDENT", SMTP_XCLIENT, "");
    assert_said(&x, "ADDR", SMTP_XCLIENT, "XCLIENT ADDR=IPV6:2001:db8::1");
    assert_said(&x, "LOGIN ADDR NAME FOO", SMTP_XCLIENT,
                "XCLIENT NAME=c.example ADDR=IPV6:2001:db8::1 LOGIN=[UNAVAILABLE]");
    assert_said(&x, "NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT", SMTP_XCLIENT,
                "XCLIENT NAME=c.example REVERSE_NAME=[UNAVAILABLE] PORT=40000 PROTO=ESMTP HELO=odd+20name+2B "
                "DESTADDR=192.0.2.9 DESTPORT=25 ADDR=IPV6:2001:db8::1 LOGIN=[UNAVAILABLE]");
    smtp_xattr_set(&x, SMTP_XATTR_IDENT, SPAN_LIT("0123456789abcdef.1"));
    assert_said(&x, "IDENT ADDR", SMTP_XFORWARD, "XFORWARD IDENT=0123456789abcdef.1 ADDR=IPV6:2001:db8::1");
}

static void long_values_make_more_lines(void **state)
{
    struct smtp_xattrs x;
    struct buf want;
    (void)state;
    client(&x);
    smtp_xattr_set(&x, SMTP_XATTR_NAME, SPAN_LIT(X250));
    smtp_xattr_set(&x, SMTP_XATTR_HELO, SPAN_LIT(X250));
    smtp_xattr_set(&x, SMTP_XATTR_LOGIN, SPAN_LIT("u@d.example"));
    assert_said(&x, "NAME HELO ADDR LOGIN", SMTP_XCLIENT,
                "XCLIENT NAME=" X250 "\nXCLIENT HELO=" X250 " ADDR=IPV6:2001:db8::1 LOGIN=u@d.example");
    smtp_xattr_set(&x, SMTP_XATTR_LOGIN, SPAN_LIT(X250));
    assert_said(&x, "NAME HELO ADDR LOGIN", SMTP_XCLIENT,
                "XCLIENT NAME=" X250 "\nXCLIENT HELO=" X250 "\nXCLIENT ADDR=IPV6:2001:db8::1 LOGIN=" X250);
    buf_init(&want, NULL);
    for (int i = 0; i < 250; i++)
        buf_append(&want, "=", 1);
    smtp_xattr_set(&x, SMTP_XATTR_LOGIN, buf_span(&want)); /* 750 octets of xtext: can't stand beside ADDR */
    assert_said(&x, "ADDR LOGIN", SMTP_XCLIENT, "XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=[UNAVAILABLE]");
    smtp_xattr_set(&x, SMTP_XATTR_HELO, buf_span(&want));
    assert_said(&x, "HELO", SMTP_XFORWARD, "XFORWARD HELO=[UNAVAILABLE]");
    buf_free(&want);
    smtp_xattr_set(&x, SMTP_XATTR_LOGIN, SPAN_LIT(X250 "123456")); /* 256 octets */
    assert_said(&x, "LOGIN", SMTP_XCLIENT, "XCLIENT LOGIN=[UNAVAILABLE]");
}

static void what_is_said_is_taken(void **state)
{
    struct smtp_xattrs x, again;
    struct buf out;
    char before[2000], after[2000];
    (void)state;
    client(&x);
    x.value[SMTP_XATTR_REVERSE_NAME].state = SMTP_XATTR_ABSENT;
    buf_init(&out, NULL);
    smtp_xattrs_print(&x, "NAME ADDR PROTO HELO PORT LOGIN DESTADDR DESTPORT", SMTP_XCLIENT, take_line, &out);
    assert_true(smtp_xattrs_parse(&again, span_skip(buf_span(&out), 8), SMTP_XCLIENT));
    show(before, sizeof(before), &x);
    show(after, sizeof(after), &again);
    assert_string_equal(after, before);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_and_what_refused), cmocka_unit_test(addresses_with_ports),
        cmocka_unit_test(what_is_said_follows_the_offer), cmocka_unit_test(long_values_make_more_lines),
        cmocka_unit_test(what_is_said_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
