/* Addresses as values. An IPv4-mapped IPv6 address becomes IPv4 where it enters, so that nothing after this file has to
 * think of it; unused bytes of `ip` are zero. */
#include "common/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_ipv4(struct netaddr *a, const void *ip)
{
    *a = (struct netaddr){ .family = NETADDR_IPV4, .port = a->port };
    memcpy(a->ip, ip, 4);
}

static void set_ipv6(struct netaddr *a, const void *ip)
{
    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        set_ipv4(a, (const uint8_t *)ip + sizeof(mapped_prefix));
        return;
    }
    a->family = NETADDR_IPV6;
    memcpy(a->ip, ip, 16);
}

struct netaddr netaddr_from_sockaddr(const struct sockaddr *sa)
{
    struct netaddr a = { .family = NETADDR_NONE };
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        a.port = ntohs(in.sin_port);
        set_ipv4(&a, &in.sin_addr);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        set_ipv6(&a, &in6.sin6_addr);
    } else if (sa->sa_family == AF_UNIX) {
        a.family = NETADDR_UNIX;
    }
    return a;
}

/* As the text says, before a mapped address becomes IPv4; returns AF_INET, AF_INET6 or 0. */
static int parse_raw(uint8_t ip[16], struct span text)
{
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
        return 0;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    memset(ip, 0, 16);
    if (inet_pton(AF_INET, z, ip) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, z, ip) == 1 ? AF_INET6 : 0;
}

bool netaddr_parse_ip(struct netaddr *out, struct span text)
{
    uint8_t ip[16];
    int family = parse_raw(ip, text);
    *out = (struct netaddr){ .family = NETADDR_NONE };
    if (family == AF_INET)
        set_ipv4(out, ip);
    else if (family == AF_INET6)
        set_ipv6(out, ip);
    return family != 0;
}

static char *put_decimal(char *to, unsigned v)
{
    char digits[5];
    unsigned n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

static char *put_ipv4(char *to, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *to++ = '.';
        to = put_decimal(to, ip[i]);
    }
    return to;
}

static char *put_group(char *to, unsigned v)
{
    static const char hex[] = "0123456789abcdef";
    int shift = 12;
    while (shift > 0 && v >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = hex[v >> shift & 15];
    return to;
}

/* RFC 5952 section 4.2: "::" stands for the longest run of two or more zero groups, the first of equals. */
static int find_zero_run(const unsigned group[8], int *len)
{
    int at = -1;
    *len = 1;
    for (int i = 0, n; i < 8; i += n + 1) {
        for (n = 0; i + n < 8 && group[i + n] == 0; n++)
            ;
        if (n > *len) {
            at = i;
            *len = n;
        }
    }
    return at;
}

static char *put_ipv6(char *to, const uint8_t *ip)
{
    unsigned group[8];
    int len;
    for (int i = 0; i < 8; i++)
        group[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
    int run = find_zero_run(group, &len);
    for (int i = 0; i < 8;) {
        if (i == run) {
            *to++ = ':';
            *to++ = ':';
            i += len;
            continue;
        }
        if (i > 0 && to[-1] != ':')
            *to++ = ':';
        to = put_group(to, group[i++]);
    }
    return to;
}

static char *put_ip(char *to, const struct netaddr *a)
{
    switch (a->family) {
    case NETADDR_NONE:
        break;
    case NETADDR_IPV4:
        return put_ipv4(to, a->ip);
    case NETADDR_IPV6:
        return put_ipv6(to, a->ip);
    case NETADDR_UNIX:
        memcpy(to, "unix", 4);
        return to + 4;
    }
    return to;
}

const char *netaddr_print_ip(const struct netaddr *a, char out[NETADDR_STRLEN])
{
    *put_ip(out, a) = '\0';
    return out;
}

bool netaddr_is_canonical(struct span text)
{
    uint8_t ip[16];
    char own[NETADDR_STRLEN], system[INET6_ADDRSTRLEN];
    struct netaddr a;
    int family = parse_raw(ip, text);
    if (family == 0 || !netaddr_parse_ip(&a, text))
        return false;
    return span_eq(text, span_str(netaddr_print_ip(&a, own))) ||
           (inet_ntop(family, ip, system, sizeof(system)) != NULL && span_eq(text, span_str(system)));
}

const char *netaddr_print(const struct netaddr *a, char out[NETADDR_PORT_STRLEN])
{
    char *to = out;
    if (a->family == NETADDR_IPV6)
        *to++ = '[';
    to = put_ip(to, a);
    if (a->family == NETADDR_IPV6)
        *to++ = ']';
    if (a->family == NETADDR_IPV4 || a->family == NETADDR_IPV6) {
        *to++ = ':';
        to = put_decimal(to, a->port);
    }
    *to = '\0';
    return out;
}

bool netaddr_eq_ip(const struct netaddr *a, const struct netaddr *b)
{
    if (a->family != b->family)
        return false;
    return memcmp(a->ip, b->ip, a->family == NETADDR_IPV4 ? 4 : a->family == NETADDR_IPV6 ? 16 : 0) == 0;
}

bool netaddr_is_loopback(const struct netaddr *a)
{
    static const uint8_t one[16] = { [15] = 1 };
    if (a->family == NETADDR_IPV4)
        return a->ip[0] == 127;
    return a->family == NETADDR_IPV6 && memcmp(a->ip, one, sizeof(one)) == 0;
}

/* Digits alone, no sign, no leading zero, at most max. */
static bool parse_number(unsigned *out, struct span text, unsigned max)
{
    unsigned v = 0;
    if (text.n == 0 || text.n > 5 || (text.n > 1 && text.p[0] == '0'))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(text.p[i] - '0');
    }
    *out = v;
    return v <= max;
}

bool netaddr_parse_port(uint16_t *out, struct span text)
{
    unsigned port;
    if (!parse_number(&port, text, UINT16_MAX))
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool host_bits_clear(const uint8_t *ip, unsigned bits, unsigned total)
{
    for (unsigned i = bits; i < total; i++)
        if (ip[i / 8] & 0x80 >> i % 8)
            return false;
    return true;
}

static bool cidr_parse_ip(struct cidr *out, struct span ip_text, const struct span *bits_text, const char **why)
{
    uint8_t ip[16];
    int family = parse_raw(ip, ip_text);
    if (family == 0) {
        *why = "neither an IP address nor a network such as 10.0.0.0/8";
        return false;
    }
    unsigned total = family == AF_INET ? 32 : 128, bits = total;
    if (bits_text != NULL && !parse_number(&bits, *bits_text, total)) {
        *why = family == AF_INET ? "the prefix length must be 0 to 32" : "the prefix length must be 0 to 128";
        return false;
    }
    if (!host_bits_clear(ip, bits, total)) {
        *why = "bits are set behind the prefix length: a network is 10.0.0.0/8, one address 10.0.0.1";
        return false;
    }
    bool mapped = family == AF_INET6 && bits >= 96 && memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
    *out = (struct cidr){ .family = NETADDR_IPV6, .bits = mapped ? bits - 96 : bits };
    if (family == AF_INET || mapped) {
        out->family = NETADDR_IPV4;
        memcpy(out->ip, mapped ? ip + sizeof(mapped_prefix) : ip, 4);
    } else {
        memcpy(out->ip, ip, 16);
    }
    return true;
}

bool cidr_parse(struct cidr *out, struct span text, const char **why)
{
    *why = NULL;
    *out = (struct cidr){ .family = NETADDR_NONE };
    if (span_eq(text, SPAN_LIT("unix"))) {
        out->family = NETADDR_UNIX;
        return true;
    }
    const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
    if (slash == NULL)
        return cidr_parse_ip(out, text, NULL, why);
    size_t at = (size_t)(slash - text.p);
    struct span bits = span_of(slash + 1, text.n - at - 1);
    return cidr_parse_ip(out, span_head(text, at), &bits, why);
}

bool cidr_contains(const struct cidr *c, const struct netaddr *a)
{
    if (c->family != a->family || c->family == NETADDR_NONE)
        return false;
    return c->family == NETADDR_UNIX || prefix_equal(c->ip, a->ip, c->bits);
}

bool cidr_list_contains(const struct cidr_list *l, const struct netaddr *a)
{
    for (size_t i = 0; i < l->count; i++)
        if (cidr_contains(&l->list[i], a))
            return true;
    return false;
}

void cidr_list_free(struct cidr_list *l)
{
    free(l->list);
    *l = (struct cidr_list){ .list = NULL };
}

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

static void set_host(struct endpoint *out, struct span s)
{
    memcpy(out->host, s.p, s.n);
    out->host[s.n] = '\0';
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool netaddr_is_hostname(struct span s)
{
    size_t label = 0;
    bool digits = true;
    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
            digits = true;
        } else if (!is_name_byte(s.p[i]) || ++label > 63) {
            return false;
        } else if (s.p[i] < '0' || s.p[i] > '9') {
            digits = false;
        }
    }
    return label > 0 && !digits;
}

static bool parse_unix(struct endpoint *out, struct span path, const char **why)
{
    out->kind = ENDPOINT_UNIX;
    if (path.n == 0 || path.p[0] != '/' || memchr(path.p, '\0', path.n) != NULL)
        return fail(why, "the path of a unix socket must be absolute");
    if (path.n >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return fail(why, "the path of a unix socket may have 107 bytes");
    set_host(out, path);
    return true;
}

static bool parse_systemd(struct endpoint *out, struct span name, const char **why)
{
    out->kind = ENDPOINT_SYSTEMD;
    if (name.n == 0 || name.n >= sizeof(out->host))
        return fail(why, "the name of a systemd socket must have 1 to 255 characters");
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
            return fail(why, "the name of a systemd socket must be printable ASCII without ':'");
    set_host(out, name);
    return true;
}

static bool parse_bracketed(struct endpoint *out, struct span text, const char **why)
{
    const char *close = memchr(text.p, ']', text.n);
    struct span ip = SPAN_NONE;
    if (close != NULL)
        ip = span_of(text.p + 1, (size_t)(close - text.p) - 1);
    if (ip.n == 0 || memchr(ip.p, ':', ip.n) == NULL || !netaddr_parse_ip(&out->addr, ip))
        return fail(why, "not an IPv6 address in brackets");
    struct span rest = span_of(close + 1, text.n - ip.n - 2);
    if (rest.n == 0 || rest.p[0] != ':')
        return fail(why, "a port must follow: [address]:port");
    out->kind = ENDPOINT_IP;
    set_host(out, ip);
    text = span_of(rest.p + 1, rest.n - 1);
    if (!netaddr_parse_port(&out->addr.port, text))
        return fail(why, "the port must be a number from 0 to 65535");
    return true;
}

static bool parse_host_port(struct endpoint *out, struct span text, const char **why)
{
    const char *colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;
    if (colon == NULL)
        return fail(why, "a port must follow: host:port");
    if (memmem(text.p, text.n, "://", 3) != NULL)
        return fail(why, "host:port is wanted, without a scheme");
    if (text.p[0] == '*')
        return fail(why, "all addresses of this machine are 0.0.0.0:port and [::]:port");
    struct span host = span_of(text.p, (size_t)(colon - text.p));
    struct span port_text = span_of(colon + 1, text.n - host.n - 1);
    if (port_text.n > 0 && memchr(port_text.p, ':', port_text.n) != NULL)
        return fail(why, "an IPv6 address needs brackets: [address]:port");
    uint16_t port;
    if (!netaddr_parse_port(&port, port_text))
        return fail(why, "the port must be a number from 0 to 65535");
    if (netaddr_parse_ip(&out->addr, host))
        out->kind = ENDPOINT_IP;
    else if (netaddr_is_hostname(host))
        out->kind = ENDPOINT_NAME;
    else
        return fail(why, "neither an IP address nor a host name");
    out->addr.port = port;
    set_host(out, host);
    return true;
}

bool endpoint_parse(struct endpoint *out, struct span text, const char **why)
{
    static const struct span unix_prefix = { "unix:", 5 }, systemd_prefix = { "systemd:", 8 };
    *why = NULL;
    *out = (struct endpoint){ .kind = ENDPOINT_NAME };
    if (text.n >= unix_prefix.n && memcmp(text.p, unix_prefix.p, unix_prefix.n) == 0)
        return parse_unix(out, span_skip(text, unix_prefix.n), why);
    if (text.n >= systemd_prefix.n && memcmp(text.p, systemd_prefix.p, systemd_prefix.n) == 0)
        return parse_systemd(out, span_skip(text, systemd_prefix.n), why);
    if (text.n > 0 && text.p[0] == '[')
        return parse_bracketed(out, text, why);
    return parse_host_port(out, text, why);
}
