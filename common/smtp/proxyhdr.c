/* A header is strict or it is none: whoever may send one is trusted with the client's identity, so a doubtful one ends
 * the connection. The block of LOCAL is skipped; that of an unspecified family has no addresses, TLVs alone.
 *
 * Invariant: as long as the answer is MORE, every octet seen belongs to the header. */
#include "common/smtp/proxyhdr.h"

static const char signature[12] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

enum { ALPN = 0x01, AUTHORITY = 0x02, CRC32C = 0x03, UNIQUE_ID = 0x05, SSL = 0x20 };
enum { SSL_VERSION = 0x21, SSL_CN = 0x22, SSL_CIPHER = 0x23 };
enum { CLIENT_SSL = 1, CLIENT_CERT = 2 | 4 };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM };

static enum proxyhdr_result bad(const char **why, const char *text)
{
    *why = text;
    return PROXYHDR_BAD;
}

static unsigned octet(struct span s, size_t i) { return (unsigned char)s.p[i]; }
static unsigned octets2(struct span s, size_t i) { return octet(s, i) << 8 | octet(s, i + 1); }

/* Version 1. */

/* The next word, up to one blank or the end. */
static struct span next_word(struct span *text)
{
    const char *blank = text->n > 0 ? memchr(text->p, ' ', text->n) : NULL;
    struct span word = span_head(*text, blank ? (size_t)(blank - text->p) : text->n);
    *text = span_skip(*text, word.n + 1);
    return word;
}

/* Canonical text of this family; an IPv4-mapped IPv6 address is one of TCP6 still. */
static bool parse_address(struct netaddr *out, struct span word, bool six)
{
    bool colon = word.n > 0 && memchr(word.p, ':', word.n) != NULL;
    return colon == six && netaddr_is_canonical(word) && netaddr_parse_ip(out, word);
}

static enum proxyhdr_result parse_tcp(struct proxyhdr *out, struct span text, bool six, const char **why)
{
    struct span end = text;
    unsigned blanks = 0;
    for (size_t i = 0; i < text.n; i++)
        blanks += text.p[i] == ' ';
    if (blanks != 3)
        return bad(why, "not two addresses and two ports between single spaces");
    if (!parse_address(&out->from, next_word(&end), six) || !parse_address(&out->to, next_word(&end), six))
        return bad(why, "an address is not one of its family in canonical form");
    if (!netaddr_parse_port(&out->from.port, next_word(&end)) || !netaddr_parse_port(&out->to.port, next_word(&end)))
        return bad(why, "a port is not a number from 0 to 65535");
    return PROXYHDR_DONE;
}

static enum proxyhdr_result parse_v1_line(struct proxyhdr *out, struct span line, const char **why)
{
    static const struct span unknown = SPAN_LIT("UNKNOWN"), tcp4 = SPAN_LIT("TCP4 "), tcp6 = SPAN_LIT("TCP6 ");
    line = span_skip(line, 6);
    if (span_eq(span_head(line, unknown.n), unknown) && (line.n == unknown.n || line.p[unknown.n] == ' ')) {
        out->real = true;
        return PROXYHDR_DONE;
    }
    if (span_eq(span_head(line, tcp4.n), tcp4))
        return parse_tcp(out, span_skip(line, tcp4.n), false, why);
    if (span_eq(span_head(line, tcp6.n), tcp6))
        return parse_tcp(out, span_skip(line, tcp6.n), true, why);
    return bad(why, "neither TCP4, TCP6 nor UNKNOWN");
}

static enum proxyhdr_result parse_v1(struct proxyhdr *out, struct span in, size_t *used, const char **why)
{
    struct span head = span_head(in, PROXYHDR_V1_MAX);
    const char *cr = memchr(head.p, '\r', head.n), *lf = memchr(head.p, '\n', head.n);
    if (lf != NULL && (cr == NULL || lf != cr + 1))
        return bad(why, "the line does not end in CRLF");
    if (cr != NULL && lf == NULL && cr + 1 < head.p + head.n)
        return bad(why, "the line does not end in CRLF");
    if (lf == NULL)
        return head.n < PROXYHDR_V1_MAX ? PROXYHDR_MORE : bad(why, "no CRLF within 107 octets");
    out->version = 1;
    *used = (size_t)(lf - in.p) + 1;
    return parse_v1_line(out, span_head(in, *used - 2), why);
}

/* Version 2. */

/* RFC 4960, appendix B (RFC 3720's CRC32C), bit by bit: headers are short and rare. */
static uint32_t crc32c(uint32_t crc, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return crc;
}

/* Of the whole header with the field itself taken as zeros. */
static bool crc_is_right(struct span header, struct span field)
{
    static const char zeros[4];
    if (field.n != 4)
        return false;
    size_t at = (size_t)(field.p - header.p);
    uint32_t crc = crc32c(UINT32_MAX, header.p, at);
    crc = crc32c(crc, zeros, 4);
    crc = ~crc32c(crc, field.p + 4, header.n - at - 4);
    return crc == ((uint32_t)octets2(field, 0) << 16 | octets2(field, 2));
}

/* The next TLV of *rest; false: it runs over the end. */
static bool next_tlv(struct span *rest, unsigned *type, struct span *value)
{
    if (rest->n < 3 || octets2(*rest, 1) > rest->n - 3)
        return false;
    *type = octet(*rest, 0);
    *value = span_of(rest->p + 3, octets2(*rest, 1));
    *rest = span_skip(*rest, value->n + 3);
    return true;
}

static bool parse_ssl(struct proxyhdr *out, struct span value)
{
    if (value.n < 5)
        return false;
    out->has_tls = true;
    out->tls.used = octet(value, 0) & CLIENT_SSL;
    out->tls.cert = octet(value, 0) & CLIENT_CERT;
    out->tls.verified = out->tls.cert && octets2(value, 1) == 0 && octets2(value, 3) == 0;
    struct span rest = span_skip(value, 5), sub;
    unsigned type;
    while (rest.n > 0) {
        if (!next_tlv(&rest, &type, &sub))
            return false;
        if (type == SSL_VERSION)
            out->tls.version = sub;
        else if (type == SSL_CN)
            out->tls.cn = sub;
        else if (type == SSL_CIPHER)
            out->tls.cipher = sub;
    }
    return true;
}

static const char *parse_tlvs(struct proxyhdr *out, struct span header, struct span rest)
{
    struct span value;
    unsigned type;
    while (rest.n > 0) {
        if (!next_tlv(&rest, &type, &value))
            return "a TLV runs over the end of the header";
        if (type == CRC32C && !crc_is_right(header, value))
            return "the checksum is wrong";
        if (type == SSL && !parse_ssl(out, value))
            return "the TLV of SSL is malformed";
        if (type == ALPN)
            out->alpn = value;
        else if (type == AUTHORITY)
            out->authority = value;
        else if (type == UNIQUE_ID)
            out->unique_id = value;
    }
    return NULL;
}

static size_t address_octets(unsigned family)
{
    static const size_t octets[] = {
        [FAMILY_UNSPEC] = 0, [FAMILY_INET] = 12, [FAMILY_INET6] = 36, [FAMILY_UNIX] = 216
    };
    return octets[family];
}

static struct netaddr read_ip(const char *p, size_t n, uint16_t port)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    struct netaddr a = { .family = n == 4 ? NETADDR_IPV4 : NETADDR_IPV6, .port = port };
    if (n == 16 && memcmp(p, mapped, sizeof(mapped)) == 0) {
        a.family = NETADDR_IPV4;
        p += sizeof(mapped);
        n = 4;
    }
    memcpy(a.ip, p, n);
    return a;
}

static void read_addresses(struct proxyhdr *out, struct span block, unsigned family)
{
    size_t n = family == FAMILY_INET ? 4 : 16;
    out->from = read_ip(block.p, n, (uint16_t)octets2(block, 2 * n));
    out->to = read_ip(block.p + n, n, (uint16_t)octets2(block, 2 * n + 2));
}

static enum proxyhdr_result parse_block(struct proxyhdr *out, struct span header, const char **why)
{
    unsigned command = octet(header, 12) & 0xf, family = octet(header, 13) >> 4, transport = octet(header, 13) & 0xf;
    struct span block = span_skip(header, PROXYHDR_V2_MIN);
    out->version = 2;
    out->real = true;
    if (command == 0)
        return PROXYHDR_DONE;
    if (block.n < address_octets(family))
        return bad(why, "shorter than its addresses");
    if (transport == TRANSPORT_STREAM && (family == FAMILY_INET || family == FAMILY_INET6)) {
        out->real = false;
        read_addresses(out, block, family);
    }
    *why = parse_tlvs(out, header, span_skip(block, address_octets(family)));
    return *why == NULL ? PROXYHDR_DONE : PROXYHDR_BAD;
}

static enum proxyhdr_result parse_v2(struct proxyhdr *out, struct span in, size_t max, size_t *used, const char **why)
{
    if (in.n > 12 && octet(in, 12) >> 4 != 2)
        return bad(why, "not version 2");
    if (in.n > 12 && (octet(in, 12) & 0xf) > 1)
        return bad(why, "neither LOCAL nor PROXY");
    bool proxied = in.n > 12 && (octet(in, 12) & 0xf) == 1;
    if (in.n > 13 && proxied && (octet(in, 13) >> 4 > FAMILY_UNIX || (octet(in, 13) & 0xf) > TRANSPORT_DGRAM))
        return bad(why, "an address family or a transport that doesn't exist");
    if (in.n < PROXYHDR_V2_MIN)
        return PROXYHDR_MORE;
    *used = PROXYHDR_V2_MIN + octets2(in, 14);
    if (*used > max)
        return bad(why, "longer than limits.proxy_header");
    return in.n < *used ? PROXYHDR_MORE : parse_block(out, span_head(in, *used), why);
}

enum proxyhdr_result proxyhdr_parse(struct proxyhdr *out, struct span in, size_t max, size_t *used, const char **why)
{
    static const struct span v1 = SPAN_LIT("PROXY ");
    struct span v2 = span_of(signature, sizeof(signature));
    *out = (struct proxyhdr){ .version = 0 };
    *used = 0;
    *why = NULL;
    if (in.n == 0)
        return PROXYHDR_MORE;
    if (span_eq(span_head(in, v2.n), span_head(v2, in.n)))
        return in.n < v2.n ? PROXYHDR_MORE : parse_v2(out, in, max, used, why);
    if (span_eq(span_head(in, v1.n), span_head(v1, in.n)))
        return in.n < v1.n ? PROXYHDR_MORE : parse_v1(out, in, used, why);
    return bad(why, "no PROXY header");
}

/* Printing. */

static bool is_ip(const struct netaddr *a) { return a->family == NETADDR_IPV4 || a->family == NETADDR_IPV6; }

static void print_v1(struct buf *out, const struct netaddr *from, const struct netaddr *to)
{
    char a[NETADDR_STRLEN], b[NETADDR_STRLEN];
    if (!is_ip(from) || !is_ip(to)) {
        buf_append_span(out, SPAN_LIT("PROXY UNKNOWN\r\n"));
        return;
    }
    bool six = from->family == NETADDR_IPV6 || to->family == NETADDR_IPV6;
    const char *map_a = six && from->family == NETADDR_IPV4 ? "::ffff:" : "";
    const char *map_b = six && to->family == NETADDR_IPV4 ? "::ffff:" : "";
    buf_printf(out, "PROXY TCP%d %s%s %s%s %u %u\r\n", six ? 6 : 4, map_a, netaddr_print_ip(from, a), map_b,
               netaddr_print_ip(to, b), from->port, to->port);
}

static void put_ip(char *to, const struct netaddr *a, bool six)
{
    if (six && a->family == NETADDR_IPV4) {
        memset(to + 10, 0xff, 2);
        memcpy(to + 12, a->ip, 4);
    } else {
        memcpy(to, a->ip, six ? 16 : 4);
    }
}

static void put_port(char *to, uint16_t port)
{
    to[0] = (char)(port >> 8);
    to[1] = (char)(port & 0xff);
}

static void print_v2(struct buf *out, const struct netaddr *from, const struct netaddr *to)
{
    char text[PROXYHDR_V2_MIN + 36] = { 0 };
    bool told = is_ip(from) && is_ip(to);
    bool six = from->family == NETADDR_IPV6 || to->family == NETADDR_IPV6;
    size_t n = six ? 16 : 4, block = told ? 2 * n + 4 : 0;
    char *at = text + PROXYHDR_V2_MIN;
    memcpy(text, signature, sizeof(signature));
    text[12] = told ? 0x21 : 0x20;
    if (told) {
        text[13] = six ? 0x21 : 0x11;
        put_ip(at, from, six);
        put_ip(at + n, to, six);
        put_port(at + 2 * n, from->port);
        put_port(at + 2 * n + 2, to->port);
    }
    text[15] = (char)block;
    buf_append(out, text, PROXYHDR_V2_MIN + block);
}

void proxyhdr_print(struct buf *out, unsigned version, const struct netaddr *from, const struct netaddr *to)
{
    if (version == 1)
        print_v1(out, from, to);
    else
        print_v2(out, from, to);
}
