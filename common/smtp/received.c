/* What a client gave is cut to what can neither end the field nor open or close a comment. */
#include "common/smtp/received.h"

#include <time.h>

#include "common/codec.h"

enum { CLIENT_TEXT_MAX = 255 };

static void print_safe(struct buf *out, struct span text, bool utf8)
{
    text = utf8 ? codec_utf8_cut(text, CLIENT_TEXT_MAX) : span_head(text, CLIENT_TEXT_MAX);
    for (size_t i = 0; i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        uint32_t cp;
        size_t n = c < 0x80 || !utf8 ? 1 : codec_utf8_next(text.p + i, text.n - i, &cp);
        bool fine = n > 1 ? cp >= 0xa0 : c > 0x20 && c < 0x7f && c != '(' && c != ')' && c != '\\';
        if (fine)
            buf_append(out, text.p + i, n);
        else
            buf_append(out, "?", 1);
        i += n > 0 ? n : 1;
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
    if (r->rcpt.n > 0) {
        buf_append_span(out, SPAN_LIT("\r\n\tfor <"));
        print_safe(out, r->rcpt, r->smtputf8);
        buf_append_span(out, SPAN_LIT(">"));
    }
    buf_append_span(out, SPAN_LIT("; "));
    smtp_date_print(out, r->when);
    buf_append_span(out, SPAN_LIT("\r\n"));
}
