/* The values that only settings have: each as three operations on a member (conf_text). Every value that print() writes
 * is one that add() takes and reads to the same. */
#include "proxy/settings_tables.h"

#include <stdio.h>
#include <stdlib.h>

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

static void set_string(char **member, struct span text)
{
    free(*member);
    *member = conf_dup(text);
}

static bool print_string(const char *s, size_t i, struct buf *out)
{
    if (i > 0 || s == NULL)
        return false;
    buf_append_span(out, span_str(s));
    return true;
}

static void clear_string(char **member)
{
    free(*member);
    *member = NULL;
}

static bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_literal(struct span s)
{
    struct netaddr ip;
    if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return false;
    s = span_of(s.p + 1, s.n - 2);
    if (span_begins_nocase(s, SPAN_LIT("IPv6:")))
        return netaddr_parse_ip(&ip, span_skip(s, 5)) && memchr(s.p + 5, ':', s.n - 5) != NULL;
    return netaddr_parse_ip(&ip, s) && memchr(s.p, ':', s.n) == NULL;
}

bool settings_is_hostname(struct span s)
{
    size_t label = 0;
    if (is_literal(s))
        return true;
    if (s.n == 0 || s.n > 255)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool edge = label == 0 || i + 1 == s.n || s.p[i + 1] == '.';
        if (c == '.' && label > 0 && i + 1 < s.n)
            label = 0;
        else if ((is_alnum(c) || c == '_' || (c == '-' && !edge)) && label < 63)
            label++;
        else
            return false;
    }
    return true;
}

static bool add_hostname(void *member, struct span text, const char **why)
{
    if (!settings_is_hostname(text))
        return fail(why, "labels of letters, digits and '-', or an address in brackets");
    set_string(member, text);
    return true;
}
static bool print_hostname(const void *member, size_t i, struct buf *out)
{
    return print_string(*(char *const *)member, i, out);
}
static void clear_hostname(void *member) { clear_string(member); }
const struct conf_text settings_hostname = { "a host name", add_hostname, print_hostname, clear_hostname };

static bool add_address(void *member, struct span text, const char **why)
{
    struct listener_settings *l = member;
    struct endpoint at;
    if (!endpoint_parse(&at, text, why))
        return false;
    l->address = at;
    set_string(&l->address_text, text);
    return true;
}
static bool print_address(const void *member, size_t i, struct buf *out)
{
    return print_string(((const struct listener_settings *)member)->address_text, i, out);
}
static void clear_address(void *member) { clear_string(&((struct listener_settings *)member)->address_text); }
const struct conf_text settings_address = { "an address", add_address, print_address, clear_address };

static bool add_server(void *member, struct span text, const char **why)
{
    struct upstream_settings *u = member;
    struct endpoint at;
    if (!endpoint_parse(&at, text, why))
        return false;
    if (at.kind == ENDPOINT_SYSTEMD)
        return fail(why, "only a listener can be a systemd socket");
    if (at.kind != ENDPOINT_UNIX && at.addr.port == 0)
        return fail(why, "the port must not be 0");
    u->server = conf_grow(u->server, u->servers + 1, sizeof *u->server);
    u->server[u->servers++] = (struct upstream_server){ .text = conf_dup(text), .at = at };
    return true;
}
static bool print_server(const void *member, size_t i, struct buf *out)
{
    const struct upstream_settings *u = member;
    return i < u->servers && print_string(u->server[i].text, 0, out);
}
static void clear_servers(void *member)
{
    struct upstream_settings *u = member;
    for (size_t i = 0; i < u->servers; i++)
        free(u->server[i].text);
    free(u->server);
    u->server = NULL;
    u->servers = 0;
}
const struct conf_text settings_servers = { "an address", add_server, print_server, clear_servers };

static bool add_file_mode(void *member, struct span text, const char **why)
{
    unsigned mode = 0;
    if (text.n < 3 || text.n > 4)
        return fail(why, "octal, such as \"0640\"");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7')
            return fail(why, "octal, such as \"0640\"");
        mode = mode * 8 + (unsigned)(text.p[i] - '0');
    }
    if (mode > 0777 || (mode & 0600) != 0600)
        return fail(why, "the owner must be able to read and write, and there are no special bits");
    *(unsigned *)member = mode;
    return true;
}
static bool print_file_mode(const void *member, size_t i, struct buf *out)
{
    if (i > 0 || *(const unsigned *)member == 0)
        return false;
    buf_printf(out, "%04o", *(const unsigned *)member);
    return true;
}
static void clear_file_mode(void *member) { *(unsigned *)member = 0; }
const struct conf_text settings_file_mode = { "a file mode", add_file_mode, print_file_mode, clear_file_mode };

/* The i-th bit that is set, or 32. */
static unsigned nth_bit(uint32_t set, size_t i)
{
    while (i-- > 0 && set != 0)
        set &= set - 1;
    return set != 0 ? (unsigned)__builtin_ctz(set) : 32;
}
static void clear_bits(void *member) { *(uint32_t *)member = 0; }

_Static_assert(SMTP_VERB_COUNT <= 32, "verbs fit a set");
static const char VERBS[] =
    "one of HELO, EHLO, LHLO, MAIL, RCPT, DATA, BDAT, RSET, NOOP, QUIT, VRFY, EXPN, HELP, ETRN, TURN, "
    "SEND, SOML, SAML, STARTTLS, AUTH, XCLIENT, XFORWARD, PROXY";
static bool add_verb(void *member, struct span text, const char **why)
{
    enum smtp_verb verb = smtp_verb_find(text);
    if (verb == SMTP_VERB_UNKNOWN || smtp_verb_is_foreign(verb))
        return fail(why, VERBS);
    *(uint32_t *)member |= (uint32_t)1 << verb;
    return true;
}
static bool print_verb(const void *member, size_t i, struct buf *out)
{
    unsigned bit = nth_bit(*(const uint32_t *)member, i);
    return bit < 32 && print_string(smtp_verb_name((enum smtp_verb)bit), 0, out);
}
const struct conf_text settings_verbs = { "an SMTP command", add_verb, print_verb, clear_bits };

#define LISTED(id, name) " " name
static const char CAPS[] = "one of" SMTP_CAPS(LISTED);
static bool add_cap(void *member, struct span text, const char **why)
{
    enum smtp_cap cap = smtp_cap_find(text);
    if (cap == SMTP_CAP_COUNT)
        return fail(why, CAPS);
    *(smtp_cap_set *)member |= (smtp_cap_set)1 << cap;
    return true;
}
static bool print_cap(const void *member, size_t i, struct buf *out)
{
    unsigned bit = nth_bit(*(const smtp_cap_set *)member, i);
    return bit < 32 && print_string(smtp_cap_name((enum smtp_cap)bit), 0, out);
}
const struct conf_text settings_caps = { "an EHLO keyword that is known", add_cap, print_cap, clear_bits };

enum { HEADER_NAME_MAX = 76 };
static const struct span MESSAGE_ID = { "message-id", 10 }, SUBJECT = { "subject", 7 };

static bool is_header_name(struct span s)
{
    if (s.n == 0 || s.n > HEADER_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ':')
            return false;
    }
    return true;
}

static bool has_header(const struct log_settings *l, struct span name)
{
    for (unsigned i = 0; i < l->headers.count; i++) {
        if (span_eq_nocase(span_str(l->headers.name[i]), name))
            return true;
    }
    return false;
}

static void append_header(struct log_settings *l, struct span text)
{
    char *name = conf_dup(text);
    for (char *p = name; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    }
    l->header_names[l->headers.count] = name;
    l->headers.name[l->headers.count++] = name;
}

void settings_complete_headers(struct log_settings *l)
{
    if (l->headers.count == 0)
        append_header(l, MESSAGE_ID);
}

/* Message-ID is caught first whether it is wanted in the record or not. */
static bool add_header(void *member, struct span text, const char **why)
{
    struct log_settings *l = member;
    if (!is_header_name(text))
        return fail(why, "printable ASCII without ':', at most 76 characters");
    settings_complete_headers(l);
    bool is_id = span_eq_nocase(text, MESSAGE_ID);
    if (is_id ? l->want_message_id : has_header(l, text))
        return fail(why, "it is in the list twice");
    if (!is_id && l->headers.count == SMTP_HEADER_WANT_MAX)
        return fail(why, "at most 31 names beside message-id are possible");
    if (is_id)
        l->want_message_id = true;
    else
        append_header(l, text);
    if (span_eq_nocase(text, SUBJECT))
        l->want_subject = true;
    return true;
}
static bool print_header(const void *member, size_t i, struct buf *out)
{
    const struct log_settings *l = member;
    size_t at = l->want_message_id ? i : i + 1;
    return at < l->headers.count && print_string(l->header_names[at], 0, out);
}
static void clear_headers(void *member)
{
    struct log_settings *l = member;
    for (unsigned i = 0; i < l->headers.count; i++)
        free(l->header_names[i]);
    l->headers.count = 0;
    l->want_message_id = l->want_subject = false;
}
const struct conf_text settings_headers = { "a header's name", add_header, print_header, clear_headers };

/* Port 53 where none is written; a name server can't be found by a name. */
static bool parse_dns_server(struct netaddr *out, struct span text, const char **why)
{
    struct endpoint at;
    struct span bare = text;
    if (bare.n > 2 && bare.p[0] == '[' && bare.p[bare.n - 1] == ']')
        bare = span_of(bare.p + 1, bare.n - 2);
    if (netaddr_parse_ip(out, bare)) {
        out->port = 53;
        return true;
    }
    if (!endpoint_parse(&at, text, why))
        return false;
    if (at.kind != ENDPOINT_IP)
        return fail(why, "an IP address is needed here, with or without a port");
    if (at.addr.port == 0)
        return fail(why, "the port must not be 0");
    *out = at.addr;
    return true;
}

static bool add_dns_server(void *member, struct span text, const char **why)
{
    struct settings *s = member;
    struct netaddr at;
    char printed[NETADDR_PORT_STRLEN];
    if (!parse_dns_server(&at, text, why))
        return false;
    s->dns_servers = conf_grow(s->dns_servers, s->dns_server_count + 1, sizeof *s->dns_servers);
    s->dns_servers[s->dns_server_count++] = conf_dup(span_str(netaddr_print(&at, printed)));
    return true;
}
static bool print_dns_server(const void *member, size_t i, struct buf *out)
{
    const struct settings *s = member;
    return i < s->dns_server_count && print_string(s->dns_servers[i], 0, out);
}
static void clear_dns_servers(void *member)
{
    struct settings *s = member;
    for (size_t i = 0; i < s->dns_server_count; i++)
        free(s->dns_servers[i]);
    free(s->dns_servers);
    s->dns_servers = NULL;
    s->dns_server_count = 0;
}
const struct conf_text settings_dns_servers = { "a name server", add_dns_server, print_dns_server, clear_dns_servers };

static bool is_wildcard(struct span s) { return s.n > 2 && s.p[0] == '*' && s.p[1] == '.'; }

static bool add_certificate_name(void *member, struct span text, const char **why)
{
    struct tls_certificate *c = member;
    if (!netaddr_is_hostname(is_wildcard(text) ? span_skip(text, 2) : text))
        return fail(why, "such as \"mx.example.com\", \"*.example.com\"");
    c->name = conf_grow(c->name, c->names + 1, sizeof *c->name);
    c->name[c->names++] = conf_dup(text);
    return true;
}
static bool print_certificate_name(const void *member, size_t i, struct buf *out)
{
    const struct tls_certificate *c = member;
    return i < c->names && print_string(c->name[i], 0, out);
}
static void clear_certificate_names(void *member)
{
    struct tls_certificate *c = member;
    for (size_t i = 0; i < c->names; i++)
        free(c->name[i]);
    free(c->name);
    c->name = NULL;
    c->names = 0;
}
const struct conf_text settings_certificate_names = { "a host name", add_certificate_name, print_certificate_name,
                                                      clear_certificate_names };

static bool add_tls_name(void *member, struct span text, const char **why)
{
    struct netaddr ip;
    if (!netaddr_is_hostname(text) && !netaddr_parse_ip(&ip, text))
        return fail(why, "a name or an IP address, as it stands in the certificate");
    set_string(member, text);
    return true;
}
const struct conf_text settings_tls_name = { "a host name", add_tls_name, print_hostname, clear_hostname };
