/* IP addresses in text. In doubt more is taken than less: four numbers with dots are one whatever they were meant for,
 * and where they are part of a name (45.113.0.203.dnsbl.example, a name like dsl-203-0-113-45) they are not shown in
 * part, for a part of a number turned round would complete the other part. */
#include "common/record/redact_impl.h"

enum { NIBBLES_MIN = 16 };

static bool is_hex(char c) { return span_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static bool is_ours(const struct redact *x, const struct netaddr *ip)
{
    for (unsigned i = 0; i < x->our_count; i++) {
        if (netaddr_eq_ip(&x->ours[i], ip))
            return !netaddr_eq_ip(&x->client, ip);
    }
    return false;
}

/* An address of ours is passed over. `bare`: it is not part of a name. */
static void put_ip(struct redact_walk *w, size_t end, bool bare)
{
    struct netaddr ip;
    bool good = bare && netaddr_parse_ip(&ip, redact_part(w, w->at, end));
    if (good && is_ours(w->x, &ip)) {
        w->at = end;
        return;
    }
    redact_replace(w, w->at, end);
    if (good)
        redact_put_ip(w->x, &ip);
    else
        redact_put_star(w);
}

static bool is_name_char(char c) { return redact_is_alnum(c) || c == '-' || c == '_'; }

/* Whether `c` stands between two groups: one of the marks, and the same one each time. */
static bool is_between(char c, const char *marks, char *sign)
{
    if (c == '\0' || strchr(marks, c) == NULL || (*sign != '\0' && c != *sign))
        return false;
    *sign = c;
    return true;
}

/* Four groups of digits or more, with one kind of sign between. */
static bool take_quad(struct redact_walk *w)
{
    size_t i = w->at, end = i, groups = 0, longest = 0;
    char before = i > 0 ? w->text.p[i - 1] : ' ', sign = '\0';
    if (!span_is_digit(w->text.p[i]) || span_is_digit(before))
        return false;
    for (;;) {
        size_t digits = 0;
        while (span_is_digit(redact_at(w, i + digits)))
            digits++;
        if (digits == 0)
            break;
        longest = max_size(longest, digits);
        groups++;
        end = i += digits;
        if (!is_between(redact_at(w, i), ".-_", &sign))
            break;
        i++;
    }
    if (groups < 4 || (sign != '.' && longest > 3))
        return false;
    char after = redact_at(w, end), beyond = redact_at(w, end + 1);
    bool in_name = is_name_char(before) || (before == '.' && w->at > 1 && is_name_char(w->text.p[w->at - 2])) ||
                   is_name_char(after) || (after == '.' && is_name_char(beyond));
    put_ip(w, end, !in_name && sign == '.');
    return true;
}

/* A run of hexadecimal digits, colons and dots is an IPv6 address, or has so much of one that it is not shown. "IPv6:"
 * may stand before it, and a lone colon be no part of it. */
static bool take_v6(struct redact_walk *w)
{
    struct netaddr ip;
    size_t from = w->at, end, colons = 0;
    bool twice = false;
    char before = from > 0 && from != w->copied ? w->text.p[from - 1] : ' ';
    if ((!is_hex(w->text.p[from]) && w->text.p[from] != ':') || is_hex(before) || before == ':')
        return false;
    if (span_begins_nocase(span_skip(w->text, from), SPAN_LIT("6:")) && from >= 3 &&
        span_eq_nocase(redact_part(w, from - 3, from), SPAN_LIT("IPv")))
        from += 2;
    for (end = from; is_hex(redact_at(w, end)) || redact_at(w, end) == ':' || (redact_at(w, end) == '.' && colons > 1);
         end++) {
        colons += w->text.p[end] == ':';
        twice |= w->text.p[end] == ':' && redact_at(w, end + 1) == ':';
    }
    if (!twice && colons < 7)
        return false;
    while (end > from && w->text.p[end - 1] == '.')
        end--;
    if (w->text.p[from] == ':' && redact_at(w, from + 1) != ':')
        from++;
    if (w->text.p[end - 1] == ':' && w->text.p[end - 2] != ':')
        end--;
    w->at = from;
    put_ip(w, end, !redact_is_alnum(redact_at(w, end)) && netaddr_parse_ip(&ip, redact_part(w, from, end)));
    return true;
}

/* An IPv6 address in a name: eight groups with '-' between, or fewer with "--" among them; or its digits one by one,
 * as DNS has them. */
static bool take_v6_name(struct redact_walk *w)
{
    size_t i = w->at, end = i, groups = 0, longest = 0;
    char sign = '\0';
    bool twice = false, digit = false;
    if (!is_hex(w->text.p[i]) || (i > 0 && is_hex(w->text.p[i - 1])))
        return false;
    for (;;) {
        size_t digits = 0;
        for (; is_hex(redact_at(w, i + digits)); digits++)
            digit |= span_is_digit(w->text.p[i + digits]);
        if (digits == 0)
            break;
        longest = max_size(longest, digits);
        groups++;
        end = i += digits;
        if (!is_between(redact_at(w, i), ".-", &sign))
            break;
        bool pair = sign == '-' && redact_at(w, i + 1) == '-';
        twice |= pair;
        i += pair ? 2 : 1;
    }
    bool dashes = sign == '-' && longest <= 4 && (groups >= 8 || (twice && groups >= 3));
    if (!digit || (!dashes && !(sign == '.' && longest == 1 && groups >= NIBBLES_MIN)))
        return false;
    redact_replace(w, w->at, end);
    redact_put_star(w);
    return true;
}

bool redact_take_ip(struct redact_walk *w)
{
    if (w->x->rules.client_ip == REDACT_KEEP || w->addresses_only)
        return false;
    return take_v6(w) || take_v6_name(w) || take_quad(w);
}

/* The client's address in four numbers, in either order. */
static bool take_client_v4(struct redact_walk *w)
{
    const uint8_t *ip = w->x->client.ip;
    size_t end = w->at;
    unsigned group[4] = { 0 }, n = 0;
    char sign = redact_at(w, w->at);
    if (!span_is_digit(sign) || (w->at > 0 && span_is_digit(w->text.p[w->at - 1])))
        return false;
    for (; n < 4; n++) {
        for (; span_is_digit(redact_at(w, end)) && group[n] < 256; end++)
            group[n] = group[n] * 10 + (unsigned)(w->text.p[end] - '0');
        if (n == 3 || !span_is_digit(redact_at(w, end + 1)) || (n > 0 && redact_at(w, end) != sign))
            break;
        sign = w->text.p[end++];
    }
    bool same = n == 3 && !span_is_digit(redact_at(w, end)) && strchr(".-_", sign) != NULL, turned = same;
    for (unsigned i = 0; i < 4; i++) {
        same = same && group[i] == ip[i];
        turned = turned && group[i] == ip[3 - i];
    }
    if (!same && !turned)
        return false;
    redact_replace(w, w->at, end);
    if (same && sign == '.')
        redact_put_ip(w->x, &w->x->client);
    else
        redact_put_star(w);
    return true;
}

static bool take_client_v6(struct redact_walk *w)
{
    struct netaddr ip;
    size_t end = w->at;
    if (w->at > 0 && is_hex(w->text.p[w->at - 1]))
        return false;
    while (is_hex(redact_at(w, end)) || redact_at(w, end) == ':')
        end++;
    if (!netaddr_parse_ip(&ip, redact_part(w, w->at, end)) || !netaddr_eq_ip(&ip, &w->x->client))
        return false;
    redact_replace(w, w->at, end);
    redact_put_ip(w->x, &ip);
    return true;
}

bool redact_take_client_ip(struct redact_walk *w)
{
    enum netaddr_family family = w->x->client.family;
    if (w->x->rules.client_ip == REDACT_KEEP || (family != NETADDR_IPV4 && family != NETADDR_IPV6))
        return false;
    return family == NETADDR_IPV4 ? take_client_v4(w) : take_client_v6(w);
}
