/* An EHLO reply read, an offer made of it, and the offer read as a client would: it must be what was offered. Input:
 * forbidden, hidden (2 bytes each), max_message_size / 64, which limits of ours are set, then the lines. */
#include <stdlib.h>

#include "common/smtp/caps.h"

#define ALL (((smtp_cap_set)1 << SMTP_CAP_COUNT) - 1)
#define BIT(id) SMTP_CAP_BIT(id)

enum { HEAD = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Names in upper case, one blank between, each once. */
static void check_list(const char *list, size_t size)
{
    size_t n = strnlen(list, size);
    const char *word = list;

    require(n < size);
    for (size_t i = 0; i < n; i++) {
        require((list[i] >= 'A' && list[i] <= 'Z') || (list[i] >= '0' && list[i] <= '9') || list[i] == '-' ||
                list[i] == '_' || (list[i] == ' ' && i > 0 && i + 1 < n && list[i - 1] != ' '));
    }
    while (*word) {
        size_t len = strcspn(word, " ");
        const char *next = word + len + (word[len] == ' ');

        for (const char *p = next; *p; p += strcspn(p, " "), p += *p == ' ')
            require(strcspn(p, " ") != len || memcmp(p, word, len) != 0);
        word = next;
    }
}

static void check_caps(const struct smtp_caps *caps)
{
    size_t n = strnlen(caps->raw, sizeof(caps->raw));

    require(n < sizeof(caps->raw) && (caps->set & ~ALL) == 0);
    check_list(caps->auth, sizeof(caps->auth));
    check_list(caps->xclient, sizeof(caps->xclient));
    check_list(caps->xforward, sizeof(caps->xforward));
    require(caps->rcptmax <= 999999 && caps->mailmax <= 999999 && caps->rcptdomainmax <= 999999);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)caps->raw[i];

        require((c >= ' ' && c != 0x7f) || c == '\t' || (c == '\n' && i > 0 && i + 1 < n && caps->raw[i - 1] != '\n'));
    }
}

static void read_line(void *arg, struct span text)
{
    struct smtp_caps *caps = arg;

    for (size_t i = 0; i < text.n; i++)
        require(text.p[i] >= ' ' && text.p[i] <= '~');
    smtp_caps_parse_line(caps, text);
}

static void check_shown(const struct smtp_caps *offer, smtp_cap_set hidden)
{
    struct smtp_caps read = { 0 }, part = { 0 };

    smtp_caps_print(offer, 0, read_line, &read);
    require(read.set == offer->set && read.size == offer->size);
    require(read.rcptmax == offer->rcptmax && read.mailmax == offer->mailmax &&
            read.rcptdomainmax == offer->rcptdomainmax);
    require(strcmp(read.auth, offer->auth) == 0 && strcmp(read.xclient, offer->xclient) == 0 &&
            strcmp(read.xforward, offer->xforward) == 0);
    smtp_caps_print(offer, hidden, read_line, &part);
    require((part.set & hidden) == 0 && (part.set & ~offer->set) == 0);
    require((offer->set & ~hidden & ~part.set & ~BIT(BINARYMIME)) == 0);
    require(!(part.set & BIT(BINARYMIME)) || part.set & BIT(CHUNKING));
}

static void check_offer(const struct smtp_caps *offer, const struct smtp_caps *upstream,
                        const struct smtp_offer_rules *rules)
{
    static const smtp_cap_set theirs = BIT(8BITMIME) | BIT(SMTPUTF8) | BIT(DSN) | BIT(ETRN) | BIT(CHUNKING) |
                                       BIT(BINARYMIME) | BIT(REQUIRETLS) | BIT(ENHANCEDSTATUSCODES);

    require((offer->set & rules->forbidden) == 0);
    require((offer->set & theirs & ~upstream->set) == 0);
    require(!(offer->set & BIT(BINARYMIME)) || offer->set & BIT(CHUNKING));
    require((offer->set & BIT(LIMITS)) ? offer->rcptmax || offer->mailmax || offer->rcptdomainmax : !offer->rcptmax);
    require(!(offer->set & BIT(AUTH)) == !offer->auth[0]);
    if (!(offer->set & BIT(SIZE))) {
        require(offer->size == 0);
        return;
    }
    require(rules->max_message_size == 0 || (offer->size > 0 && offer->size <= rules->max_message_size));
    if (!(upstream->set & BIT(SIZE)) || upstream->size <= rules->size_reserve)
        require(offer->size == rules->max_message_size);
    else
        require(offer->size > 0 && offer->size <= upstream->size - rules->size_reserve);
}

struct withheld {
    smtp_cap_set known;
    unsigned count;
};

static void note(void *arg, struct span keyword, const char *reason)
{
    struct withheld *w = arg;
    enum smtp_cap cap = smtp_cap_find(keyword);

    require(keyword.n > 0 && reason[0]);
    require((cap == SMTP_CAP_COUNT) == (strcmp(reason, "unknown") == 0));
    w->count++;
    if (cap == SMTP_CAP_COUNT)
        return;
    require(!(w->known & (smtp_cap_set)1 << cap));
    w->known |= (smtp_cap_set)1 << cap;
}

static void check_withheld(const struct smtp_caps *upstream, const struct smtp_caps *offer,
                           const struct smtp_offer_rules *rules)
{
    struct withheld w = { 0 };
    struct smtp_caps shown = { 0 }, raw = { 0 };

    for (const char *p = upstream->raw; *p; p += strcspn(p, "\n"), p += *p == '\n')
        smtp_caps_parse_line(&raw, span_of(p, strcspn(p, "\n")));
    smtp_caps_print(offer, rules->hidden, read_line, &shown);
    smtp_caps_withheld(upstream, offer, rules, note, &w);
    require(w.known == (raw.set & ~shown.set));
}

static void check_relayed(const struct smtp_caps *upstream)
{
    struct smtp_caps both = { 0 };
    char out[256];

    smtp_caps_relayed_auth(out, upstream->auth, upstream);
    check_list(out, sizeof(out));
    for (const char *p = out; *p; p += strcspn(p, " "), p += *p == ' ') {
        struct span name = span_of(p, strcspn(p, " "));

        require(name.n < 5 || memcmp(name.p + name.n - 5, "-PLUS", 5) != 0);
        require(!span_eq(name, SPAN_LIT("EXTERNAL")) && !span_eq(name, SPAN_LIT("ANONYMOUS")));
    }
    memcpy(both.auth, out, sizeof(out));
    smtp_caps_relayed_auth(out, upstream->auth, &both);
    require(strcmp(out, both.auth) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_caps upstream = { 0 }, offer;
    struct smtp_offer_rules rules;
    struct span text;

    if (size < HEAD)
        return 0;
    rules = (struct smtp_offer_rules){ .forbidden = ((smtp_cap_set)data[0] | (smtp_cap_set)data[1] << 8) & ALL,
                                       .hidden = ((smtp_cap_set)data[2] | (smtp_cap_set)data[3] << 8) & ALL,
                                       .max_message_size = (uint64_t)data[4] * 64,
                                       .max_recipients = data[5] & 1   ? 1000
                                                         : data[5] & 8 ? 1000000
                                                                       : 0,
                                       .size_reserve = data[5] & 2 ? 2048 : 0,
                                       .auth = data[5] & 4 ? "PLAIN login PLAIN SCRAM-SHA-256" : NULL };
    for (text = span_of((const char *)data + HEAD, size - HEAD); text.n > 0;) {
        const char *lf = memchr(text.p, '\n', text.n);
        size_t n = lf ? (size_t)(lf - text.p) : text.n;

        smtp_caps_parse_line(&upstream, span_head(text, n));
        text = span_skip(text, n + 1);
    }
    check_caps(&upstream);
    smtp_caps_offer(&offer, &upstream, &rules);
    check_caps(&offer);
    check_offer(&offer, &upstream, &rules);
    check_shown(&offer, rules.hidden);
    check_withheld(&upstream, &offer, &rules);
    check_relayed(&upstream);
    return 0;
}
