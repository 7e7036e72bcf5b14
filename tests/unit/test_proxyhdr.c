/* PROXY headers: each case whole, byte by byte and cut at every point, with the client's bytes behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/smtp/proxyhdr.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\xc0\0\2\1\xc6\x33\x64\2\xde\xad\0\x19"
#define TCP6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2\xff\xff\0\0"
#define SSL_OK "\x20\0\x1c\7\0\0\0\0\x21\0\7TLSv1.3\x22\0\2cn\x23\0\5AESxx"

struct header_case {
    struct span in;
    const char *want; /* what show() makes of it; "more" */
};

static const struct header_case cases[] = {
    /* Q3 */
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 57005 25\r\n"), "v1 192.0.2.1:57005 198.51.100.2:25" },
    { SPAN_LIT("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "v1 0.0.0.0:0 255.255.255.255:65535" },
    { SPAN_LIT("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n"), "v1 [2001:db8::1]:65535 [2001:db8::2]:0" },
    { SPAN_LIT("PROXY TCP6 ::1:2 2001:db8:0:1:1:1:1:1 1 2\r\n"), "v1 [::1:2]:1 [2001:db8:0:1:1:1:1:1]:2" },
    { SPAN_LIT("PROXY TCP6 ::0.1.0.2 :: 1 2\r\n"), "v1 [::1:2]:1 [::]:2" },
    { SPAN_LIT("PROXY TCP6 2001:DB8::1 2001:db8::2 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 2001:db8::1 2001:db8:0:0:0:0:0:2 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 2001:0db8::1 2001:db8::2 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 2001:db8::1:1:1:1:1 2001:db8::2 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 ::FFFF:192.0.2.1 ::1 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 ::ffff:c000:201 ::1 1 2\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"), "v1 192.0.2.1:1 192.0.2.2:2" },
    { SPAN_LIT("PROXY UNKNOWN\r\n"), "v1 real" },
    { SPAN_LIT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
               "65535\r\n"),
      "v1 real" },
    { SPAN_LIT("PROXY UNKNOWN  \t what ever\r\n"), "v1 real" },
    { SPAN_LIT("PROXY UNKNOWNS\r\n"), "bad neither" },
    { SPAN_LIT("PROXY unknown\r\n"), "bad neither" },
    { SPAN_LIT("proxy TCP4 192.0.2.1 198.51.100.2 1 25\r\n"), "bad no PROXY" },
    { SPAN_LIT("PROXY tcp4 192.0.2.1 198.51.100.2 1 25\r\n"), "bad neither" },
    { SPAN_LIT("PROXY TCP5 192.0.2.1 198.51.100.2 1 25\r\n"), "bad neither" },
    { SPAN_LIT("PROXY  TCP4 192.0.2.1 198.51.100.2 1 25\r\n"), "bad neither" },
    { SPAN_LIT("PROXY\tTCP4 192.0.2.1 198.51.100.2 1 25\r\n"), "bad no PROXY" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1  198.51.100.2 1 25\r\n"), "bad not two" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 25 \r\n"), "bad not two" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n"), "bad not two" },
    { SPAN_LIT("PROXY TCP4\r\n"), "bad neither" },
    { SPAN_LIT("PROXY TCP4 \r\n"), "bad not two" },
    { SPAN_LIT("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP4 192.0.2.01 198.51.100.2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP4 192.0.2 198.51.100.2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 256.51.100.2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP6 [2001:db8::1] 2001:db8::2 1 25\r\n"), "bad an address" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 01 25\r\n"), "bad a port" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n"), "bad a port" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"), "bad a port" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 2x\r\n"), "bad a port" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\n"), "bad the line" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\rX"), "bad the line" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\r\r\n"), "bad the line" },
    { SPAN_LIT("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
               "xxxxxxxxx"),
      "bad no CRLF" },
    { SPAN_LIT("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
               "xxxxxx\r\n"),
      "v1 real" },
    { SPAN_LIT("EHLO client.example\r\n"), "bad no PROXY" },
    { SPAN_LIT("\x16\x03\x01"), "bad no PROXY" },
    { SPAN_LIT("PROXY"), "more" },
    { SPAN_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\r"), "more" },
    /* Q4 */
    { SPAN_LIT(SIG "\x21\x11\0\xc" TCP4), "v2 192.0.2.1:57005 198.51.100.2:25" },
    { SPAN_LIT(SIG "\x21\x21\0\x24" TCP6), "v2 [2001:db8::1]:65535 [2001:db8::2]:0" },
    { SPAN_LIT(SIG
               "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\2\0\1\0\2"),
      "v2 192.0.2.1:1 192.0.2.2:2" },
    { SPAN_LIT(SIG "\x20\0\0\0"), "v2 real" },
    { SPAN_LIT(SIG "\x20\xff\0\3abc"), "v2 real" },
    { SPAN_LIT(SIG "\x20\x11\0\xc" TCP4), "v2 real" },
    { SPAN_LIT(SIG "\x21\0\0\0"), "v2 real" },
    { SPAN_LIT(SIG "\x21\0\0\2xy"), "bad a TLV" },
    { SPAN_LIT(SIG "\x21\0\0\3\1\xff\xff"), "bad a TLV" },
    { SPAN_LIT(SIG "\x21\0\0\4\x20\0\1\1"), "bad the TLV" },
    { SPAN_LIT(SIG "\x21\1\0\0"), "v2 real" },
    { SPAN_LIT(SIG "\x21\x10\0\xc" TCP4), "v2 real" },
    { SPAN_LIT(SIG "\x21\x12\0\xc" TCP4), "v2 real" },
    { SPAN_LIT(SIG "\x21\x22\0\x24" TCP6), "v2 real" },
    { SPAN_LIT(SIG "\x11\x11\0\xc" TCP4), "bad not version" },
    { SPAN_LIT(SIG "\x31\x11\0\xc" TCP4), "bad not version" },
    { SPAN_LIT(SIG "\x22\x11\0\xc" TCP4), "bad neither LOCAL" },
    { SPAN_LIT(SIG "\x21\x41\0\xc" TCP4), "bad an address family" },
    { SPAN_LIT(SIG "\x21\x13\0\xc" TCP4), "bad an address family" },
    { SPAN_LIT(SIG "\x21\x11\0\xc"
                   "\xc0\0\2\1"),
      "more" },
    { SPAN_LIT("\r\n\r\n\0\r\nQUIT\r"), "bad no PROXY" },
    /* Q5 */
    { SPAN_LIT(SIG "\x21\x11\0\xb" TCP4), "bad shorter" },
    { SPAN_LIT(SIG "\x21\x12\0\xb" TCP4), "bad shorter" },
    { SPAN_LIT(SIG "\x21\x21\0\xc" TCP4), "bad shorter" },
    { SPAN_LIT(SIG "\x21\x31\0\xc" TCP4), "bad shorter" },
    { SPAN_LIT(SIG "\x21\x11\0\xe" TCP4 "\4\0"), "bad a TLV" },
    { SPAN_LIT(SIG "\x21\x11\0\xf" TCP4 "\4\0\1"), "bad a TLV" },
    { SPAN_LIT(SIG "\x21\x11\0\xf" TCP4 "\4\0\0"), "v2 192.0.2.1:57005 198.51.100.2:25" },
    { SPAN_LIT(SIG "\x21\x11\0\x11" TCP4 "\xea\0\2xy"), "v2 192.0.2.1:57005 198.51.100.2:25" },
    { SPAN_LIT(SIG "\x21\x11\x10\x00"), "bad longer" },
    { SPAN_LIT(SIG "\x21\x11\x0f\xf0"), "more" },
    /* Q6 */
    { SPAN_LIT(SIG "\x21\x11\0\x2b" TCP4 SSL_OK),
      "v2 192.0.2.1:57005 198.51.100.2:25 tls used cert verified TLSv1.3 AESxx cn" },
    { SPAN_LIT(SIG "\x21\x11\0\x14" TCP4 "\x20\0\5\3\0\0\0\1"), "v2 192.0.2.1:57005 198.51.100.2:25 tls used cert" },
    { SPAN_LIT(SIG "\x21\x11\0\x14" TCP4 "\x20\0\5\1\0\0\0\0"), "v2 192.0.2.1:57005 198.51.100.2:25 tls used" },
    { SPAN_LIT(SIG "\x21\x11\0\x14" TCP4 "\x20\0\5\0\0\0\0\0"), "v2 192.0.2.1:57005 198.51.100.2:25 tls" },
    { SPAN_LIT(SIG "\x21\x11\0\x13" TCP4 "\x20\0\4\0\0\0\0"), "bad the TLV" },
    { SPAN_LIT(SIG "\x21\x11\0\x17" TCP4 "\x20\0\x8\1\0\0\0\0\x21\0\1"), "bad the TLV" },
    { SPAN_LIT(SIG "\x21\x11\0\x16" TCP4 "\2\0\1h\1\0\0\5\0\1u"), "bad a TLV" },
    { SPAN_LIT(SIG "\x21\x11\0\x17" TCP4 "\2\0\1h\1\0\0\5\0\1u"), "v2 192.0.2.1:57005 198.51.100.2:25 host h id u" },
    { SPAN_LIT(SIG "\x21\0\0\x8\x20\0\5\1\0\0\0\0"), "v2 real tls used" },
    { SPAN_LIT(SIG "\x21\x11\0\x13" TCP4 "\3\0\4\0\0\0\0"), "bad the checksum" },
    { SPAN_LIT(SIG "\x21\x11\0\x12" TCP4 "\3\0\3\0\0\0"), "bad the checksum" },
    { SPAN_LIT(SIG "\x21\0\0\7\3\0\4\0\0\0\0"), "bad the checksum" },
};

static void add(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void add(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    size_t at = strlen(out);
    va_start(args, fmt);
    vsnprintf(out + at, size - at, fmt, args);
    va_end(args);
}

static void show(char *out, size_t size, const struct proxyhdr *h)
{
    char a[NETADDR_PORT_STRLEN], b[NETADDR_PORT_STRLEN];
    snprintf(out, size, "v%u", h->version);
    if (h->real)
        add(out, size, " real");
    else
        add(out, size, " %s %s", netaddr_print(&h->from, a), netaddr_print(&h->to, b));
    if (h->has_tls)
        add(out, size, " tls%s%s%s", h->tls.used ? " used" : "", h->tls.cert ? " cert" : "",
            h->tls.verified ? " verified" : "");
    if (h->tls.version.n > 0)
        add(out, size, " %.*s %.*s %.*s", SPAN_ARG(h->tls.version), SPAN_ARG(h->tls.cipher), SPAN_ARG(h->tls.cn));
    if (h->authority.n > 0)
        add(out, size, " host %.*s", SPAN_ARG(h->authority));
    if (h->unique_id.n > 0)
        add(out, size, " id %.*s", SPAN_ARG(h->unique_id));
}

/* The verdict on what has come so far; len: octets of the header where it is whole. */
static void judge(char *out, size_t size, struct span in, size_t *len)
{
    struct proxyhdr h;
    const char *why;
    switch (proxyhdr_parse(&h, in, 4096, len, &why)) {
    case PROXYHDR_MORE:
        snprintf(out, size, "more");
        break;
    case PROXYHDR_BAD:
        snprintf(out, size, "bad %s", why);
        break;
    case PROXYHDR_DONE:
        show(out, size, &h);
        break;
    }
}

static bool verdict_is(const char *got, const char *want)
{
    return strncmp(want, "bad", 3) == 0 ? strncmp(got, want, strlen(want)) == 0 : strcmp(got, want) == 0;
}

static void each_case_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct header_case *c = &cases[i];
        char got[300], before[300];
        size_t len, early;
        judge(got, sizeof(got), c->in, &len);
        if (!verdict_is(got, c->want))
            fail_msg("case %zu: \"%s\" instead of \"%s\"", i, got, c->want);
        if (strncmp(got, "v", 1) == 0)
            assert_int_equal(len, c->in.n);
        for (size_t cut = 0; cut < c->in.n; cut++) {
            judge(before, sizeof(before), span_head(c->in, cut), &early);
            if (strcmp(before, "more") != 0 && strcmp(before, got) != 0)
                fail_msg("case %zu cut at %zu: \"%s\", whole \"%s\"", i, cut, before, got);
            if (strncmp(got, "v", 1) == 0)
                assert_string_equal(before, "more");
        }
    }
}

static void what_follows_is_the_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct header_case *c = &cases[i];
        char text[600], got[300];
        size_t len;
        if (c->want[0] != 'v')
            continue;
        memcpy(text, c->in.p, c->in.n);
        memcpy(text + c->in.n, "EHLO x\r\n", 8);
        judge(got, sizeof(got), span_of(text, c->in.n + 8), &len);
        assert_string_equal(got, c->want);
        assert_int_equal(len, c->in.n);
    }
}

/* The example of RFC 3720, B.4 is "123456789" = e3069283; here the field stands inside. Computed apart, by hand. */
static void a_right_checksum(void **state)
{
    static const char with[] = SIG "\x21\x11\0\x13" TCP4 "\3\0\4\0\0\0\0";
    char text[sizeof(with) - 1], got[200];
    size_t len, right = 0;
    (void)state;
    uint32_t crc = UINT32_MAX;
    memcpy(text, with, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++) {
        crc ^= (unsigned char)text[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++)
        text[sizeof(text) - 4 + (size_t)i] = (char)(crc >> (24 - 8 * i));
    judge(got, sizeof(got), span_of(text, sizeof(text)), &len);
    assert_string_equal(got, "v2 192.0.2.1:57005 198.51.100.2:25");
    for (size_t i = 0; i < sizeof(text); i++) { /* no single changed octet goes unseen */
        text[i] ^= 1;
        judge(got, sizeof(got), span_of(text, sizeof(text)), &len);
        right += got[0] == 'v';
        text[i] ^= 1;
    }
    assert_int_equal(right,
                     2); /* LOCAL in place of PROXY: the block is skipped; another TLV in place of the checksum */
}

static struct netaddr address(const char *ip, uint16_t port)
{
    struct netaddr a = { .family = NETADDR_UNIX };
    if (strcmp(ip, "unix") != 0 && !netaddr_parse_ip(&a, span_str(ip)))
        a.family = NETADDR_NONE;
    a.port = port;
    return a;
}

static void printed_headers_are_read(void **state)
{
    static const struct {
        const char *from, *to, *v1, *read;
    } rows[] = {
        { "192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n",
          "192.0.2.1:40000 198.51.100.2:25" },
        { "2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 40000 25\r\n", "[2001:db8::1]:40000 [::1]:25" },
        { "192.0.2.1", "::1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 40000 25\r\n", "192.0.2.1:40000 [::1]:25" },
        { "::1", "192.0.2.1", "PROXY TCP6 ::1 ::ffff:192.0.2.1 40000 25\r\n", "[::1]:40000 192.0.2.1:25" },
        { "unix", "192.0.2.1", "PROXY UNKNOWN\r\n", "real" },
        { "192.0.2.1", "unix", "PROXY UNKNOWN\r\n", "real" },
        { "", "", "PROXY UNKNOWN\r\n", "real" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct netaddr from = address(rows[i].from, 40000), to = address(rows[i].to, 25);
        for (unsigned version = 1; version <= 2; version++) {
            struct buf out;
            char got[200], want[200];
            size_t len;
            buf_init(&out, NULL);
            proxyhdr_print(&out, version, &from, &to);
            if (version == 1)
                assert_true(span_eq(buf_span(&out), span_str(rows[i].v1)));
            judge(got, sizeof(got), buf_span(&out), &len);
            snprintf(want, sizeof(want), "v%u %s", version, rows[i].read);
            assert_string_equal(got, want);
            assert_int_equal(len, buf_len(&out));
            buf_free(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_at_every_cut),
        cmocka_unit_test(what_follows_is_the_clients),
        cmocka_unit_test(a_right_checksum),
        cmocka_unit_test(printed_headers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
