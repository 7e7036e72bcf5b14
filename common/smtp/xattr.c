/* The order of the table is the order on the wire: ADDR and LOGIN last, for after ADDR a server may take no more, and a
 * LOGIN before another command would be forgotten (Postfix). */
#include "common/smtp/xattr.h"

#include <stdio.h>

#include "common/codec.h"
#include "common/smtp/path.h"

static const struct {
    const char *name;
    bool used[2]; /* by enum smtp_xattr_command */
} table[] = {
#define SMTP_XATTR_ROW(id, name, xclient, xforward) { name, { xclient, xforward } },
    SMTP_XATTRS(SMTP_XATTR_ROW)
};

static const struct span unavailable = SPAN_LIT("[UNAVAILABLE]"), tempunavail = SPAN_LIT("[TEMPUNAVAIL]");

enum { PROTO_MAX = 64 };

const char *smtp_xattr_name(enum smtp_xattr attr) { return table[attr].name; }

struct span smtp_xattr_shown(const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    switch (x->value[attr].state) {
    case SMTP_XATTR_ABSENT:
    case SMTP_XATTR_UNAVAILABLE:
        break;
    case SMTP_XATTR_TEMPUNAVAIL:
        return tempunavail;
    case SMTP_XATTR_GIVEN:
        return smtp_xattr_text(x, attr);
    }
    return unavailable;
}

/* Reading. */

/* IPv6 has its prefix, IPv4 has none. */
static bool parse_address(struct span text, struct netaddr *out)
{
    static const struct span prefix = SPAN_LIT("IPV6:");
    bool six = span_begins_nocase(text, prefix);
    if (six)
        text = span_skip(text, prefix.n);
    bool colon = text.n > 0 && memchr(text.p, ':', text.n) != NULL;
    return colon == six && netaddr_parse_ip(out, text);
}

static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return false;
    }
    return true;
}

static bool is_name(struct span text, enum smtp_xattr_command command)
{
    struct netaddr ip;
    if (command == SMTP_XFORWARD)
        return is_printable(text);
    return netaddr_is_hostname(text) && !netaddr_parse_ip(&ip, text);
}

static bool is_proto(struct span text, enum smtp_xattr_command command)
{
    if (command == SMTP_XFORWARD)
        return text.n <= PROTO_MAX && is_printable(text);
    return span_eq_nocase(text, SPAN_LIT("SMTP")) || span_eq_nocase(text, SPAN_LIT("ESMTP"));
}

static bool is_fit(enum smtp_xattr attr, struct span text, enum smtp_xattr_command command)
{
    struct netaddr ip;
    uint16_t port;
    switch (attr) {
    case SMTP_XATTR_NAME:
    case SMTP_XATTR_REVERSE_NAME:
        return is_name(text, command);
    case SMTP_XATTR_ADDR:
    case SMTP_XATTR_DESTADDR:
        return parse_address(text, &ip);
    case SMTP_XATTR_PORT:
    case SMTP_XATTR_DESTPORT:
        return netaddr_parse_port(&port, text);
    case SMTP_XATTR_PROTO:
        return is_proto(text, command);
    case SMTP_XATTR_HELO:
        return smtp_helo_valid(text);
    case SMTP_XATTR_LOGIN:
        return !smtp_text_has_control(text);
    case SMTP_XATTR_IDENT:
        return is_printable(text);
    case SMTP_XATTR_SOURCE:
        return span_eq_nocase(text, SPAN_LIT("LOCAL")) || span_eq_nocase(text, SPAN_LIT("REMOTE"));
    case SMTP_XATTR_COUNT:
        break;
    }
    return false;
}

static bool read_value(struct smtp_xattrs *out, enum smtp_xattr attr, struct span text, enum smtp_xattr_command command)
{
    struct smtp_xattr_value *v = &out->value[attr];
    if (span_eq_nocase(text, unavailable)) {
        v->state = SMTP_XATTR_UNAVAILABLE;
        return true;
    }
    if (attr == SMTP_XATTR_NAME && span_eq_nocase(text, tempunavail)) {
        v->state = SMTP_XATTR_TEMPUNAVAIL;
        return true;
    }
    if (text.n == 0 || text.n > SMTP_XATTR_VALUE_MAX || !is_fit(attr, text, command))
        return false;
    v->state = SMTP_XATTR_GIVEN;
    v->len = text.n;
    memcpy(v->text, text.p, text.n);
    v->text[text.n] = '\0';
    return true;
}

static bool read_xtext(struct smtp_xattrs *out, enum smtp_xattr attr, struct span xtext,
                       enum smtp_xattr_command command)
{
    struct buf text;
    buf_init(&text, NULL);
    bool ok = xtext.n <= 3 * SMTP_XATTR_VALUE_MAX && codec_xtext_decode(&text, xtext) &&
              read_value(out, attr, buf_span(&text), command);
    buf_free(&text);
    return ok;
}

static enum smtp_xattr find(struct span name, enum smtp_xattr_command command)
{
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        if (table[i].used[command] && span_eq_nocase(span_str(table[i].name), name))
            return (enum smtp_xattr)i;
    }
    return SMTP_XATTR_COUNT;
}

static bool read_attribute(struct smtp_xattrs *out, struct span word, enum smtp_xattr_command command)
{
    const char *eq = memchr(word.p, '=', word.n);
    if (eq == NULL)
        return false;
    struct span name = span_of(word.p, (size_t)(eq - word.p));
    enum smtp_xattr attr = find(name, command);
    if (attr == SMTP_XATTR_COUNT || out->value[attr].state != SMTP_XATTR_ABSENT)
        return false;
    return read_xtext(out, attr, span_skip(word, name.n + 1), command);
}

static struct span next_word(struct span *text)
{
    size_t n = 0;
    *text = span_trim_left(*text);
    while (n < text->n && !span_is_blank(text->p[n]))
        n++;
    struct span word = span_of(text->p, n);
    *text = span_skip(*text, n);
    return word;
}

bool smtp_xattrs_parse(struct smtp_xattrs *out, struct span arg, enum smtp_xattr_command command)
{
    struct span word = next_word(&arg);
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++)
        out->value[i] = (struct smtp_xattr_value){ .state = SMTP_XATTR_ABSENT };
    if (word.n == 0)
        return false;
    for (; word.n > 0; word = next_word(&arg)) {
        if (!read_attribute(out, word, command))
            return false;
    }
    return true;
}

struct netaddr smtp_xattr_address(const struct smtp_xattrs *x, enum smtp_xattr addr, enum smtp_xattr port)
{
    struct netaddr a = { .family = NETADDR_NONE };
    uint16_t number = 0;
    if (smtp_xattr_given(x, addr))
        (void)parse_address(smtp_xattr_text(x, addr), &a);
    if (smtp_xattr_given(x, port) && netaddr_parse_port(&number, smtp_xattr_text(x, port)))
        a.port = number;
    return a;
}

/* Telling. */

void smtp_xattr_set_unavailable(struct smtp_xattrs *x, enum smtp_xattr attr)
{
    x->value[attr].state = SMTP_XATTR_UNAVAILABLE;
}

void smtp_xattr_set(struct smtp_xattrs *x, enum smtp_xattr attr, struct span text)
{
    struct smtp_xattr_value *v = &x->value[attr];
    v->state = SMTP_XATTR_UNAVAILABLE;
    if (text.n == 0 || text.n > SMTP_XATTR_VALUE_MAX)
        return;
    v->state = SMTP_XATTR_GIVEN;
    v->len = text.n;
    memcpy(v->text, text.p, text.n);
    v->text[text.n] = '\0';
}

void smtp_xattr_set_address(struct smtp_xattrs *x, enum smtp_xattr addr, enum smtp_xattr port,
                            const struct netaddr *value)
{
    char ip[NETADDR_STRLEN], text[NETADDR_STRLEN + 8];
    smtp_xattr_set_unavailable(x, addr);
    smtp_xattr_set_unavailable(x, port);
    if (value->family != NETADDR_IPV4 && value->family != NETADDR_IPV6)
        return;
    snprintf(text, sizeof(text), "%s%s", value->family == NETADDR_IPV6 ? "IPV6:" : "", netaddr_print_ip(value, ip));
    smtp_xattr_set(x, addr, span_str(text));
    snprintf(text, sizeof(text), "%u", value->port);
    if (value->port > 0)
        smtp_xattr_set(x, port, span_str(text));
}

bool smtp_xattr_offered(const char *offered, enum smtp_xattr attr)
{
    struct span text = span_str(offered), word;
    while ((word = next_word(&text)).n > 0) {
        if (span_eq_nocase(word, span_str(table[attr].name)))
            return true;
    }
    return false;
}

struct printing {
    struct buf line;
    enum smtp_xattr_command command;
    void (*say)(void *arg, struct span text);
    void *arg;
    unsigned lines;
    bool addr; /* ADDR was said: LOGIN must stand beside it */
};

static struct span verb_of(const struct printing *p)
{
    return p->command == SMTP_XCLIENT ? SPAN_LIT("XCLIENT") : SPAN_LIT("XFORWARD");
}

static void end_line(struct printing *p)
{
    if (buf_len(&p->line) > verb_of(p).n) {
        p->say(p->arg, buf_span(&p->line));
        p->lines++;
    }
    buf_free(&p->line);
    buf_append_span(&p->line, verb_of(p));
}

static void print_attribute(struct buf *out, const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    buf_printf(out, " %s=", table[attr].name);
    if (smtp_xattr_given(x, attr))
        codec_xtext_encode(out, smtp_xattr_text(x, attr));
    else
        buf_append_span(out, smtp_xattr_shown(x, attr));
}

static void add_attribute(struct printing *p, const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    struct buf one;
    buf_init(&one, NULL);
    print_attribute(&one, x, attr);
    bool last = p->addr && p->command == SMTP_XCLIENT;
    p->addr |= attr == SMTP_XATTR_ADDR;
    if (buf_len(&p->line) + buf_len(&one) <= SMTP_XATTR_LINE_MAX) {
        buf_append_span(&p->line, buf_span(&one));
    } else if (last) {
        buf_printf(&p->line, " %s=%s", table[attr].name, unavailable.p);
    } else {
        end_line(p);
        if (buf_len(&p->line) + buf_len(&one) <= SMTP_XATTR_LINE_MAX)
            buf_append_span(&p->line, buf_span(&one));
        else /* 255 octets that all need xtext */
            buf_printf(&p->line, " %s=%s", table[attr].name, unavailable.p);
    }
    buf_free(&one);
}

/* ADDR begins a line of its own where it and what comes with it would not fit behind the others. */
static bool needs_fresh_line(const struct printing *p, const struct smtp_xattrs *x, const char *offered)
{
    struct buf two;
    buf_init(&two, NULL);
    print_attribute(&two, x, SMTP_XATTR_ADDR);
    if (smtp_xattr_offered(offered, SMTP_XATTR_LOGIN))
        print_attribute(&two, x, SMTP_XATTR_LOGIN);
    bool over = buf_len(&p->line) + buf_len(&two) > SMTP_XATTR_LINE_MAX;
    buf_free(&two);
    return over;
}

unsigned smtp_xattrs_print(const struct smtp_xattrs *x, const char *offered, enum smtp_xattr_command command,
                           void (*line)(void *arg, struct span text), void *arg)
{
    struct printing p = { .command = command, .say = line, .arg = arg };
    buf_init(&p.line, NULL);
    buf_append_span(&p.line, verb_of(&p));
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        enum smtp_xattr attr = (enum smtp_xattr)i;
        if (x->value[i].state == SMTP_XATTR_ABSENT || !smtp_xattr_offered(offered, attr))
            continue;
        if (command == SMTP_XCLIENT && attr == SMTP_XATTR_ADDR && needs_fresh_line(&p, x, offered))
            end_line(&p);
        add_attribute(&p, x, attr);
    }
    end_line(&p);
    buf_free(&p.line);
    return p.lines;
}
