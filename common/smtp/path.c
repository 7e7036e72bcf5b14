/* Paths. Two questions are answered in this order: where does the path end, and does it obey RFC 5321.
 *
 * The first is answered so that no other reader can find another end: a quoted string, a domain literal and a backslash
 * outside quotes are taken only in forms that read alike with and without knowledge of quoting, or as RFC 5321 has
 * them; what RFC 5322 calls a comment, and '<', are not taken at all. So an accepted address holds no control byte, and
 * no '>' or blank but in a quoted string that begins a word; and put in brackets it is read as itself again. */
#include <arpa/inet.h>

#include "common/codec.h"
#include "common/smtp/path.h"

enum __attribute__((packed)) byte_class {
    BYTE_BAD,   /* controls ( ) < ] */
    BYTE_ATEXT, /* RFC 5321 (RFC 5322) atext */
    BYTE_HIGH,  /* 80 to FF */
    BYTE_DOT,
    BYTE_AT,
    BYTE_PUNCT, /* , : ; */
    BYTE_QUOTE,
    BYTE_BACKSLASH,
    BYTE_OPEN, /* [ */
    BYTE_STOP, /* > blank */
};

static const enum byte_class byte_class[256] = {
    ['a' ... 'z'] = BYTE_ATEXT,
    ['A' ... 'Z'] = BYTE_ATEXT,
    ['0' ... '9'] = BYTE_ATEXT,
    ['!'] = BYTE_ATEXT,
    ['#' ... '\''] = BYTE_ATEXT,
    ['*' ... '+'] = BYTE_ATEXT,
    ['-'] = BYTE_ATEXT,
    ['/'] = BYTE_ATEXT,
    ['='] = BYTE_ATEXT,
    ['?'] = BYTE_ATEXT,
    ['^' ... '`'] = BYTE_ATEXT,
    ['{' ... '~'] = BYTE_ATEXT,
    [0x80 ... 0xff] = BYTE_HIGH,
    ['.'] = BYTE_DOT,
    ['@'] = BYTE_AT,
    [','] = BYTE_PUNCT,
    [':' ... ';'] = BYTE_PUNCT,
    ['"'] = BYTE_QUOTE,
    ['\\'] = BYTE_BACKSLASH,
    ['['] = BYTE_OPEN,
    ['>'] = BYTE_STOP,
    [' '] = BYTE_STOP,
    ['\t'] = BYTE_STOP,
};

static enum byte_class class_of(char c) { return byte_class[(unsigned char)c]; }
static bool is_atom(char c) { return class_of(c) == BYTE_ATEXT || class_of(c) == BYTE_HIGH; }
static bool is_atom_or_dot(char c) { return is_atom(c) || c == '.'; }
static bool is_c0(char c) { return (unsigned char)c < ' ' || c == 0x7f; }
static bool is_let_dig(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

/* p is at the opening quote; returns the place behind the closing one, or NULL. */
static const char *quoted_end(const char *p, const char *end)
{
    for (p++; p < end && !is_c0(*p); p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && (++p == end || is_c0(*p)))
            return NULL;
    }
    return NULL;
}

/* A quoted string inside a word (a"b"c): only what ends at the same place where quotes mean nothing there. A dot in it
 * would make the closing quote look like an opening one. */
static const char *inner_quoted_end(const char *p, const char *end)
{
    for (p++; p < end && is_atom(*p); p++)
        ;
    return p < end && *p == '"' ? p + 1 : NULL;
}

/* p is at '['; returns the place behind the ']', or NULL. */
static const char *literal_end(const char *p, const char *end)
{
    for (p++; p < end && (is_atom_or_dot(*p) || class_of(*p) == BYTE_PUNCT); p++)
        ;
    return p < end && *p == ']' ? p + 1 : NULL;
}

/* Finds the end of an address: a '>' or blank outside quotes, or `end`. NULL where it can't be an address. *at is the
 * last '@' outside quotes, or NULL. */
static const char *address_end(const char *const start, const char *end, const char **at)
{
    const char *p = start;

    *at = NULL;
    while (p && p < end) {
        switch (class_of(*p)) {
        case BYTE_ATEXT:
        case BYTE_HIGH:
        case BYTE_DOT:
        case BYTE_PUNCT:
            p++;
            break;
        case BYTE_AT:
            *at = p++;
            break;
        case BYTE_QUOTE:
            p = p == start || p[-1] == '.' ? quoted_end(p, end) : inner_quoted_end(p, end);
            break;
        case BYTE_BACKSLASH:
            p = end - p > 1 && is_atom(p[1]) ? p + 2 : NULL;
            break;
        case BYTE_OPEN:
            p = literal_end(p, end);
            break;
        case BYTE_STOP:
            return p;
        case BYTE_BAD:
            return NULL;
        }
    }
    return p;
}

/* sub-domain *("." sub-domain), sub-domain = Let-dig [Ldh-str] */
static bool name_is_strict(struct span name)
{
    char prev = '.';

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (c == '.' ? !is_let_dig(prev) : c == '-' ? prev == '.' : !is_let_dig(c))
            return false;
        prev = c;
    }
    return is_let_dig(prev);
}

static bool literal_is_strict(struct span literal)
{
    static const struct span tag = SPAN_LIT("IPv6:");
    struct span text = span_of(literal.p + 1, literal.n - 2);
    bool v6 = span_begins_nocase(text, tag);
    char copy[INET6_ADDRSTRLEN];
    unsigned char addr[sizeof(struct in6_addr)];

    if (v6)
        text = span_skip(text, tag.n);
    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, copy, addr) == 1;
}

static bool domain_is_strict(struct span domain)
{
    if (domain.n == 0 || domain.n > 255)
        return false;
    if (domain.p[0] == '[')
        return domain.n > 2 && domain.p[domain.n - 1] == ']' && literal_is_strict(domain);
    return name_is_strict(domain);
}

/* DQUOTE *QcontentSMTP DQUOTE; the whole of `local` is already known to be free of controls. */
static bool quoted_is_strict(struct span local)
{
    for (size_t i = 1; i < local.n; i++) {
        if (local.p[i] == '"')
            return i == local.n - 1;
        if (local.p[i] == '\\' && (++i == local.n || (unsigned char)local.p[i] >= 0x80))
            return false;
    }
    return false;
}

/* Dot-string / Quoted-string */
static bool local_is_strict(struct span local)
{
    char prev = '.';

    if (local.n > 0 && local.p[0] == '"')
        return quoted_is_strict(local);
    for (size_t i = 0; i < local.n; i++) {
        char c = local.p[i];

        if (c == '.' ? prev == '.' : !is_atom(c))
            return false;
        prev = c;
    }
    return prev != '.';
}

/* Skips a source route "@a,@b:" at p, if there is one; NULL if it is malformed. */
static const char *route_end(const char *p, const char *end, bool *strict)
{
    if (p == end || *p != '@')
        return p;
    for (;;) {
        const char *name = ++p;

        if (p < end && *p == '[')
            p = literal_end(p, end);
        else
            while (p < end && is_atom_or_dot(*p))
                p++;
        if (!p || p == end || p == name)
            return NULL;
        *strict = *strict && name_is_strict(span_of(name, (size_t)(p - name)));
        if (*p == ':')
            return p + 1;
        if (*p != ',' || ++p == end || *p != '@')
            return NULL;
    }
}

/* What non-ASCII text can hide, once the end of the path is known. */
static bool check_high(struct smtp_path *out)
{
    out->valid_utf8 = true;
    for (size_t i = 0; i < out->raw.n; i++) {
        if ((unsigned char)out->raw.p[i] >= 0x80) {
            out->non_ascii = true;
            out->valid_utf8 = codec_utf8_valid(out->raw);
            return !smtp_text_has_control(out->raw);
        }
    }
    return true;
}

/* Local part and domain of out->address, whose last '@' is at `at`. An address that began with '@' would be read as a
 * source route. */
static bool split(struct smtp_path *out, const char *at)
{
    struct span address = out->address;

    if (address.n == 0 || address.p[0] == '@')
        return false;
    out->local = address;
    if (at) {
        out->local.n = (size_t)(at - address.p);
        out->domain = span_skip(address, out->local.n + 1);
    }
    return true;
}

static bool is_strict(const struct smtp_path *path, enum smtp_path_kind kind)
{
    enum { PATH_MAX_OCTETS = 256, BRACKETS = 2 };

    if (!path->valid_utf8 || path->raw.n + BRACKETS > PATH_MAX_OCTETS)
        return false;
    if (kind == SMTP_FORWARD_PATH && span_eq_nocase(path->raw, SPAN_LIT("postmaster")))
        return true;
    return domain_is_strict(path->domain) && local_is_strict(path->local);
}

/* p is where the path begins, its '<' taken. Returns the place behind the path and its '>', or NULL. */
static const char *read_path(struct smtp_path *out, const char *p, const char *end, enum smtp_path_kind kind,
                             bool bracketed)
{
    bool route_strict = true;
    const char *start = route_end(p, end, &route_strict), *at, *stop;

    stop = start ? address_end(start, end, &at) : NULL;
    if (!stop || (bracketed && (stop == end || *stop != '>')) || (!bracketed && stop < end && *stop == '>'))
        return NULL;
    out->raw = span_of(p, (size_t)(stop - p));
    out->address = span_of(start, (size_t)(stop - start));
    if (!split(out, at) || !check_high(out))
        return NULL;
    out->strict = bracketed && route_strict && is_strict(out, kind);
    return bracketed ? stop + 1 : stop;
}

/* A sender left out before parameters ("FROM: SIZE=10") is not an address named "SIZE=10". */
static bool is_lost_sender(const struct smtp_path *path)
{
    return path->local.n == path->address.n && memchr(path->address.p, '=', path->address.n);
}

enum smtp_path_fault smtp_path_parse(struct smtp_path *out, struct span *arg, enum smtp_path_kind kind)
{
    struct span text = span_trim_left(*arg);
    const char *end, *rest;
    bool bracketed;

    *out = (struct smtp_path){ .valid_utf8 = true };
    if (text.n == 0)
        return SMTP_PATH_SYNTAX;
    end = text.p + text.n;
    bracketed = text.p[0] == '<';
    if (kind == SMTP_REVERSE_PATH && bracketed && text.n > 1 && text.p[1] == '>') {
        out->raw = out->address = span_of(text.p + 1, 0);
        out->strict = true;
        rest = text.p + 2;
    } else {
        rest = read_path(out, text.p + bracketed, end, kind, bracketed);
    }
    if (!rest || (rest < end && !span_is_blank(*rest)) || (!bracketed && is_lost_sender(out)))
        return SMTP_PATH_SYNTAX;
    *arg = span_trim_left(span_of(rest, (size_t)(end - rest)));
    return SMTP_PATH_OK;
}

static bool is_control(uint32_t cp) { return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f); }
static bool is_invisible(uint32_t cp) { return cp == 0x200b || cp == 0x2060 || cp == 0xfeff; }
bool smtp_char_is_control(uint32_t cp) { return is_control(cp) || is_invisible(cp); }

/* Bits: what P9 names, told apart. */
enum { TEXT_CONTROL = 1, TEXT_INVISIBLE = 2, TEXT_STRAY_C1 = 4 };

/* Bytes that are not UTF-8 are looked at one by one. */
static unsigned text_findings(struct span text)
{
    unsigned found = 0;
    size_t i = 0;

    while (i < text.n) {
        uint32_t cp = (unsigned char)text.p[i];
        size_t len = cp < 0x80 ? 1 : codec_utf8_next(text.p + i, text.n - i, &cp);

        if (len == 0)
            found |= (unsigned char)text.p[i] < 0xa0 ? TEXT_STRAY_C1 : 0;
        else
            found |= is_control(cp) ? TEXT_CONTROL : is_invisible(cp) ? TEXT_INVISIBLE : 0;
        i += len ? len : 1;
    }
    return found;
}

bool smtp_text_has_control(struct span text) { return text_findings(text) != 0; }

/* Names in legacy charsets have stray bytes from 80 to 9F, and are only odd (H3). */
bool smtp_helo_valid(struct span arg) { return arg.n > 0 && arg.n <= 255 && !(text_findings(arg) & TEXT_CONTROL); }
