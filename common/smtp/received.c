/* What a client gave is cut to what can neither end the field nor open or close a comment. */
#include "common/smtp/received.h"

#include <time.h>

#include "common/codec.h"
#include "common/smtp/path.h"

enum { CLIENT_TEXT_MAX = 255 };

static bool is_plain(char c) { return c > ' ' && c < '\x7f' && memchr("()\"\\", c, 4) == NULL; }

/* Anything else becomes '?'. */
static size_t print_char(struct buf *out, struct span text, bool utf8)
{
    uint32_t cp;
    size_t n = utf8 && (unsigned char)text.p[0] >= 0x80 ? codec_utf8_next(text.p, text.n, &cp) : 0;
    if (n > 0 && !smtp_char_is_control(cp))
        buf_append(out, text.p, n);
    else
        buf_append(out, n == 0 && is_plain(text.p[0]) ? text.p : "?", 1);
    return n > 0 ? n : 1;
}

static void print_safe(struct buf *out, struct span text, bool utf8)
{
    text = utf8 ? codec_utf8_cut(text, CLIENT_TEXT_MAX) : span_head(text, CLIENT_TEXT_MAX);
    while (text.n > 0)
        text = span_skip(text, print_char(out, text, utf8));
}

/* A mailbox that was parsed: its quotes are balanced, and stay so. */
static void print_address(struct buf *out, struct span text, bool utf8)
{
    bool quoted = false;
    while (text.n > 0) {
        bool quote = text.p[0] == '"', pair = quoted && text.n > 1 && text.p[0] == '\\';
        if (pair) {
            buf_append(out, "\\", 1);
            text = span_skip(text, 1);
        }
        if (quote || (pair && (text.p[0] == '"' || text.p[0] == '\\'))) {
            buf_append(out, text.p, 1);
            text = span_skip(text, 1);
        } else {
            text = span_skip(text, print_char(out, text, utf8));
        }
        quoted ^= quote;
    }
}

static void print_client(struct buf *out, const struct smtp_received *r)
{
    char ip[NETADDR_STRLEN];
    buf_append_span(out, SPAN_LIT("Received: from "));
    if (r->helo.n > 0)
        print_safe(out, r->helo, r->smtputf8);
    else
        buf_append_span(out, SPAN_LIT("unknown"));
    buf_append_span(out, SPAN_LIT(" ("));
    if (r->name.n > 0)
        print_safe(out, r->name, false);
    else
        buf_append_span(out, SPAN_LIT("unknown"));
    buf_printf(out, " [%s%s])", r->client.family == NETADDR_IPV6 ? "IPv6:" : "",
               r->client.family == NETADDR_NONE ? "unknown" : netaddr_print_ip(&r->client, ip));
}

void smtp_date_print(struct buf *out, int64_t when)
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm tm;
    time_t t = (time_t)when;
    if (gmtime_r(&t, &tm) == NULL)
        return;
    buf_printf(out, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void smtp_received_print(struct buf *out, const struct smtp_received *r)
{
    print_client(out, r);
    if (r->tls_version != NULL)
        buf_printf(out, "\r\n\t(using %s with cipher %s)", r->tls_version, r->tls_cipher);
    buf_printf(out, "\r\n\tby %s (smtptap) with %s id %s", r->hostname, r->protocol, r->id);
    if (r->rcpt.n > 0 && r->rcpt.n <= CLIENT_TEXT_MAX) {
        buf_append_span(out, SPAN_LIT("\r\n\tfor <"));
        print_address(out, r->rcpt, r->smtputf8);
        buf_append_span(out, SPAN_LIT(">"));
    }
    buf_append_span(out, SPAN_LIT("; "));
    smtp_date_print(out, r->when);
    buf_append_span(out, SPAN_LIT("\r\n"));
}
