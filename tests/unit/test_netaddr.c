#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>

#include "common/netaddr.h"

static const struct {
    const char *text;
    enum netaddr_family family;
    const char *printed; /* NULL: as text */
} addresses[] = {
    { "192.0.2.1", NETADDR_IPV4, NULL },
    { "0.0.0.0", NETADDR_IPV4, NULL },
    { "255.255.255.255", NETADDR_IPV4, NULL },
    { "10.20.30.40", NETADDR_IPV4, NULL },
    { "::ffff:192.0.2.1", NETADDR_IPV4, "192.0.2.1" },
    { "::FFFF:c000:201", NETADDR_IPV4, "192.0.2.1" },
    { "0:0:0:0:0:ffff:c000:0201", NETADDR_IPV4, "192.0.2.1" },
    { "::", NETADDR_IPV6, NULL },
    { "::1", NETADDR_IPV6, NULL },
    { "1::", NETADDR_IPV6, NULL },
    { "2001:DB8::1", NETADDR_IPV6, "2001:db8::1" },
    { "2001:db8:0:0:0:0:0:1", NETADDR_IPV6, "2001:db8::1" },
    { "2001:db8:0:1:1:1:1:1", NETADDR_IPV6, NULL },
    { "2001:0:0:1:0:0:0:1", NETADDR_IPV6, "2001:0:0:1::1" },
    { "2001:db8:0:0:1:0:0:1", NETADDR_IPV6, "2001:db8::1:0:0:1" },
    { "1:2:3:4:5:6:7:8", NETADDR_IPV6, NULL },
    { "0:2:3:4:5:6:7:8", NETADDR_IPV6, NULL },
    { "1:2:3:4:5:6:0:0", NETADDR_IPV6, "1:2:3:4:5:6::" },
    { "0:0:3:4:5:6:7:8", NETADDR_IPV6, "::3:4:5:6:7:8" },
    { "::192.0.2.1", NETADDR_IPV6, "::c000:201" },
    { "64:ff9b::192.0.2.33", NETADDR_IPV6, "64:ff9b::c000:221" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NETADDR_IPV6, NULL },
    { "fe80::00a0", NETADDR_IPV6, "fe80::a0" },
};

static void addresses_parse_and_print(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct netaddr a = { .port = 99 }, again;
        char out[NETADDR_STRLEN];
        const char *want = addresses[i].printed ? addresses[i].printed : addresses[i].text;
        assert_true(netaddr_parse_ip(&a, span_str(addresses[i].text)));
        assert_int_equal(a.family, addresses[i].family);
        assert_int_equal(a.port, 0);
        assert_ptr_equal(netaddr_print_ip(&a, out), out);
        assert_string_equal(out, want);
        assert_true(netaddr_parse_ip(&again, span_str(out)));
        assert_true(netaddr_eq_ip(&a, &again));
    }
}

static void addresses_that_are_none(void **state)
{
    (void)state;
    static const struct span bad[] = {
        { NULL, 0 },
        { "", 0 },
        { "192.0.2", 7 },
        { "192.0.2.256", 11 },
        { "192.0.2.1.1", 11 },
        { "192.0.2.01", 10 },
        { " 192.0.2.1", 10 },
        { "192.0.2.1 ", 10 },
        { "192.0.2.1\0", 10 },
        { "192.0.2.1\0zzz", 13 },
        { "0x7f.0.0.1", 10 },
        { "2130706433", 10 },
        { "[::1]", 5 },
        { "::1%lo", 6 },
        { ":::", 3 },
        { "1::2::3", 7 },
        { "1:2:3:4:5:6:7", 13 },
        { "1:2:3:4:5:6:7:8:9", 17 },
        { "12345::", 7 },
        { "g::", 3 },
        { "unix", 4 },
        { "localhost", 9 },
        { "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", 49 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct netaddr a = { .family = NETADDR_IPV4 };
        assert_false(netaddr_parse_ip(&a, bad[i]));
        assert_int_equal(a.family, NETADDR_NONE);
    }
}

/* The system's own printer as oracle, but for the forms with dotted IPv4 inside, which are not ours. */
static void print_agrees_with_inet_ntop(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct netaddr a = { .family = NETADDR_IPV6 };
        char out[NETADDR_STRLEN], want[INET6_ADDRSTRLEN];
        for (int k = 0; k < 16; k++) {
            seed = seed * 1664525 + 1013904223;
            a.ip[k] = seed >> 30 ? 0 : (uint8_t)(seed >> 16);
        }
        assert_non_null(inet_ntop(AF_INET6, a.ip, want, sizeof(want)));
        if (strchr(want, '.') == NULL)
            assert_string_equal(netaddr_print_ip(&a, out), want);
    }
}

static void print_with_port(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        uint16_t port;
        const char *want;
    } cases[] = {
        { "192.0.2.1", 25, "192.0.2.1:25" },
        { "2001:db8::1", 25, "[2001:db8::1]:25" },
        { "255.255.255.255", 65535, "255.255.255.255:65535" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
        { "::", 0, "[::]:0" },
    };
    char out[NETADDR_PORT_STRLEN];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netaddr a;
        assert_true(netaddr_parse_ip(&a, span_str(cases[i].ip)));
        a.port = cases[i].port;
        assert_string_equal(netaddr_print(&a, out), cases[i].want);
    }
    struct netaddr none = { .family = NETADDR_NONE }, local = { .family = NETADDR_UNIX };
    assert_string_equal(netaddr_print(&none, out), "");
    assert_string_equal(netaddr_print_ip(&none, out), "");
    assert_string_equal(netaddr_print(&local, out), "unix");
    assert_string_equal(netaddr_print_ip(&local, out), "unix");
}

static void from_sockaddr(void **state)
{
    (void)state;
    char out[NETADDR_PORT_STRLEN];
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(2525) };
    in.sin_addr.s_addr = htonl(0xc0000201);
    struct netaddr a = netaddr_from_sockaddr((const struct sockaddr *)&in);
    assert_string_equal(netaddr_print(&a, out), "192.0.2.1:2525");

    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(587) };
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr), 1);
    a = netaddr_from_sockaddr((const struct sockaddr *)&in6);
    assert_string_equal(netaddr_print(&a, out), "[2001:db8::7]:587");

    assert_int_equal(inet_pton(AF_INET6, "::ffff:198.51.100.9", &in6.sin6_addr), 1);
    a = netaddr_from_sockaddr((const struct sockaddr *)&in6);
    assert_int_equal(a.family, NETADDR_IPV4);
    assert_string_equal(netaddr_print(&a, out), "198.51.100.9:587");
    for (int i = 4; i < 16; i++)
        assert_int_equal(a.ip[i], 0);

    struct sockaddr_un un = { .sun_family = AF_UNIX };
    a = netaddr_from_sockaddr((const struct sockaddr *)&un);
    assert_int_equal(a.family, NETADDR_UNIX);
    struct sockaddr other = { .sa_family = AF_UNSPEC };
    a = netaddr_from_sockaddr(&other);
    assert_int_equal(a.family, NETADDR_NONE);
}

static void equal_and_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool loopback;
    } cases[] = {
        { "127.0.0.1", true },  { "127.255.255.254", true },
        { "128.0.0.1", false }, { "::1", true },
        { "::2", false },       { "::ffff:127.0.0.1", true },
        { "7f00::1", false },   { "126.255.255.255", false },
        { "0.0.0.0", false },   { "::", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netaddr a, b;
        assert_true(netaddr_parse_ip(&a, span_str(cases[i].ip)));
        assert_int_equal(netaddr_is_loopback(&a), cases[i].loopback);
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            assert_true(netaddr_parse_ip(&b, span_str(cases[k].ip)));
            b.port = 7;
            bool same = i == k || (strstr(cases[i].ip, "127.0.0.1") && strstr(cases[k].ip, "127.0.0.1"));
            assert_int_equal(netaddr_eq_ip(&a, &b), same);
        }
    }
    struct netaddr local = { .family = NETADDR_UNIX }, zero = { .family = NETADDR_IPV4 };
    assert_false(netaddr_is_loopback(&local));
    assert_false(netaddr_eq_ip(&local, &zero));
    assert_true(netaddr_eq_ip(&local, &local));
}

static void cidr_matches(void **state)
{
    (void)state;
    static const struct {
        const char *cidr, *ip;
        bool in;
    } cases[] = {
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.0.0.0/8", "9.255.255.255", false },
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.4/31", "192.0.2.5", true },
        { "192.0.2.4/31", "192.0.2.6", false },
        { "0.0.0.0/0", "203.0.113.9", true },
        { "0.0.0.0/0", "::1", false },
        { "::/0", "2001:db8::1", true },
        { "::/0", "192.0.2.1", false },
        { "fd00::/8", "fdff::1", true },
        { "fd00::/8", "fe00::1", false },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1", "::1", true },
        { "::1/128", "::2", false },
        { "::ffff:10.0.0.0/104", "10.1.2.3", true },
        { "::ffff:10.0.0.0/104", "11.1.2.3", false },
        { "::ffff:0:0/96", "203.0.113.9", true },
        { "::ffff:192.0.2.1", "192.0.2.1", true },
        { "10.0.0.0/8", "::ffff:10.1.1.1", true },
        { "a00::/8", "10.0.0.1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cidr c;
        struct netaddr a;
        const char *why;
        assert_true(cidr_parse(&c, span_str(cases[i].cidr), &why));
        assert_null(why);
        assert_true(netaddr_parse_ip(&a, span_str(cases[i].ip)));
        assert_int_equal(cidr_contains(&c, &a), cases[i].in);
        struct cidr_list l = { &c, 1 };
        assert_int_equal(cidr_list_contains(&l, &a), cases[i].in);
    }
}

static void cidr_unix(void **state)
{
    (void)state;
    struct cidr c;
    const char *why;
    struct netaddr local = { .family = NETADDR_UNIX }, ip = { .family = NETADDR_IPV4 }, none = { .port = 0 };
    assert_true(cidr_parse(&c, SPAN_LIT("unix"), &why));
    assert_true(cidr_contains(&c, &local));
    assert_false(cidr_contains(&c, &ip));
    assert_false(cidr_contains(&c, &none));
    assert_true(cidr_parse(&c, SPAN_LIT("0.0.0.0/0"), &why));
    assert_false(cidr_contains(&c, &local));
    struct cidr_list nobody = { NULL, 0 };
    assert_false(cidr_list_contains(&nobody, &ip));
    struct cidr_list l = { calloc(2, sizeof(struct cidr)), 2 };
    assert_false(cidr_list_contains(&l, &none));
    cidr_list_free(&l);
    assert_null(l.list);
    assert_int_equal(l.count, 0);
}

static void cidr_faults(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8x",
        "10.0.0.1/8",
        "10.0.0.0/8/8",
        "10.0.0/8",
        "::/129",
        "fd00::1/8",
        "unix/8",
        "UNIX",
        "example.com",
        " 10.0.0.0/8",
        "10.0.0.0 /8",
        "10.0.0.0/ 8",
        "[::1]",
        "::1%lo/128",
        "0.0.0.1/0",
        "::ffff:10.0.0.1/104",
        "::ffff:0:0/95",
        "10.0.0.0/+8",
        "10.0.0.0/4294967304",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cidr c;
        const char *why = NULL;
        assert_false(cidr_parse(&c, span_str(bad[i]), &why));
        assert_non_null(why);
    }
    struct cidr c;
    const char *why = NULL;
    assert_false(cidr_parse(&c, SPAN_NONE, &why));
    assert_non_null(why);
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum endpoint_kind kind;
        const char *host, *addr;
    } cases[] = {
        { "127.0.0.1:2525", ENDPOINT_IP, "127.0.0.1", "127.0.0.1:2525" },
        { "0.0.0.0:0", ENDPOINT_IP, "0.0.0.0", "0.0.0.0:0" },
        { "[::]:25", ENDPOINT_IP, "::", "[::]:25" },
        { "[2001:db8::1]:65535", ENDPOINT_IP, "2001:db8::1", "[2001:db8::1]:65535" },
        { "[::ffff:192.0.2.1]:25", ENDPOINT_IP, "::ffff:192.0.2.1", "192.0.2.1:25" },
        { "localhost:25", ENDPOINT_NAME, "localhost", "" },
        { "mail.example.com:587", ENDPOINT_NAME, "mail.example.com", "" },
        { "mail.example.com.:587", ENDPOINT_NAME, "mail.example.com.", "" },
        { "my_service-1:25", ENDPOINT_NAME, "my_service-1", "" },
        { "3com.example:1", ENDPOINT_NAME, "3com.example", "" },
        { "unix:/run/x.sock", ENDPOINT_UNIX, "/run/x.sock", "" },
        { "unix:/with:colon", ENDPOINT_UNIX, "/with:colon", "" },
        { "systemd:smtp", ENDPOINT_SYSTEMD, "smtp", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct endpoint e;
        const char *why;
        char out[NETADDR_PORT_STRLEN];
        assert_true(endpoint_parse(&e, span_str(cases[i].text), &why));
        assert_int_equal(e.kind, cases[i].kind);
        assert_string_equal(e.host, cases[i].host);
        assert_string_equal(netaddr_print(&e.addr, out), cases[i].addr);
        if (e.kind == ENDPOINT_NAME)
            assert_int_equal(e.addr.port, strtoul(strrchr(cases[i].text, ':') + 1, NULL, 10));
    }
}

static void endpoint_faults(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ":25",
        "localhost",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "localhost:-1",
        "a b:25",
        "a..b:25",
        ".a:25",
        "-:",
        "127.0.0.1",
        "256.0.0.1:25",
        "1.2.3:25",
        "::1:25",
        "[::1]",
        "[::1]25",
        "[::1]:",
        "[::1]:x",
        "[::1:25",
        "[]:25",
        "[1.2.3.4]:25",
        "[a]:25",
        "unix:",
        "unix:rel",
        "unix:25",
        "systemd:",
        "systemd:a b",
        "localhost:025",
        "localhost:25 ",
        " localhost:25",
        "h\xc3\xa4:25",
        "*:25",
        "a/b:25",
        "localhost:25:26",
        "systemd:a:b",
    };
    struct endpoint e;
    const char *why;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        assert_false(endpoint_parse(&e, span_str(bad[i]), &why));
        assert_non_null(why);
    }
    assert_false(endpoint_parse(&e, SPAN_NONE, &why));
    assert_false(endpoint_parse(&e, span_of("unix:/a\0b", 9), &why));
    assert_false(endpoint_parse(&e, span_of("a\0b:25", 6), &why));
}

/* Names and paths at their longest, and one more. */
static void endpoint_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *suffix;
        size_t max;
        bool dots;
    } cases[] = {
        { "", ":25", 253, true }, { "", ":25", 63, false }, { "unix:/", "", 106, false }, { "systemd:", "", 255, false }
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t n = cases[i].max - 1; n <= cases[i].max + 1; n++) {
            char text[300];
            size_t at = strlen(cases[i].prefix);
            memcpy(text, cases[i].prefix, at);
            for (size_t k = 0; k < n; k++)
                text[at++] = cases[i].dots && k % 10 == 5 ? '.' : 'a';
            strcpy(text + at, cases[i].suffix);
            struct endpoint e;
            const char *why;
            assert_int_equal(endpoint_parse(&e, span_str(text), &why), n <= cases[i].max);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_parse_and_print),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(print_agrees_with_inet_ntop),
        cmocka_unit_test(print_with_port),
        cmocka_unit_test(from_sockaddr),
        cmocka_unit_test(equal_and_loopback),
        cmocka_unit_test(cidr_matches),
        cmocka_unit_test(cidr_unix),
        cmocka_unit_test(cidr_faults),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(endpoint_faults),
        cmocka_unit_test(endpoint_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
