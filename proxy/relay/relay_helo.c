/* HELO and EHLO: what is offered to the client, which follows from what its upstream offers, and why (the `caps`
 * record).
 *
 * Invariant: a HELO is answered when its upstream is known and no name is looked up any more. */
#include <stdlib.h>

#include "proxy/relay/relay_impl.h"

const struct offer_view *relay_offer(const struct session *s)
{
    return &s->offer->view[s->client.smtp.secured][s->logged_in];
}

static void print_keyword(void *arg, struct span text)
{
    struct buf *out = arg;
    buf_append_span(out, text);
    buf_append(out, "\n", 1);
}

enum { CAPS_LINES_MAX = 64 };

static size_t split_lines(struct span text, struct span *lines)
{
    size_t n = 0;
    while (text.n > 0 && n < CAPS_LINES_MAX) {
        const char *nl = memchr(text.p, '\n', text.n);
        lines[n] = span_of(text.p, nl ? (size_t)(nl - text.p) : text.n);
        text = span_skip(text, lines[n].n + 1);
        n++;
    }
    return n;
}

struct withheld {
    struct record *r;
    unsigned count;
};

static void add_withheld(void *arg, struct span keyword, const char *reason)
{
    struct withheld *w = arg;
    if (w->count++ >= 24)
        return;
    record_open_member(w->r);
    record_str(w->r, KEY_KEYWORD, keyword);
    record_cstr(w->r, KEY_REASON, reason);
    record_close(w->r);
}

/* The `caps` record: why the client sees what it sees. */
static void trace_caps(const struct session *s)
{
    if (!trace_wants(&s->trace, LEVEL_DEBUG))
        return;
    struct buf shown;
    struct record r;
    struct span offered[CAPS_LINES_MAX], upstream[CAPS_LINES_MAX];
    struct withheld withheld = { .r = &r };
    buf_init(&shown, NULL);
    const struct offer_view *view = relay_offer(s);
    smtp_caps_print(&view->caps, view->rules.hidden, print_keyword, &shown);
    record_begin(&r, TNX_CAPS, s->w->loop.real);
    r.client_name = span_str(s->hostname);
    record_str(&r, KEY_COMPONENT, s->trace.component);
    record_cstr(&r, KEY_CID, s->trace.cid);
    if (s->user != NULL)
        record_cstr(&r, KEY_USER, s->user);
    record_cstr(&r, KEY_HOST, s->trace.host);
    record_strs(&r, KEY_OFFERED, offered, split_lines(buf_span(&shown), offered));
    bool secret = trace_is_secret(&s->trace, span_str(s->offer->upstream.raw));
    struct span raw = secret ? SPAN_LIT("*") : span_str(s->offer->upstream.raw);
    record_strs(&r, KEY_UPSTREAM, upstream, split_lines(raw, upstream));
    record_open_list(&r, KEY_WITHHELD);
    if (!secret)
        smtp_caps_withheld(&s->offer->upstream, &view->caps, &view->rules, add_withheld, &withheld);
    record_close_list(&r);
    record_cstr(&r, KEY_MSG, "Extensions offered to the client");
    trace_emit(&s->trace, &r, false);
    buf_free(&shown);
}

/* R: one unless the upstream knows of the real client anyhow. */
bool relay_adds_received(const struct session *s, const struct upstream *u)
{
    enum received_mode mode = s->set->server.received_header;
    return mode == RECEIVED_ON || (mode == RECEIVED_AUTO && !relay_is_told(s, u));
}

static unsigned traits_of(const struct session *s, const struct upstream *u)
{
    return (s->client.smtp.may_xclient ? OFFER_XCLIENT : 0U) | (s->client.smtp.may_xforward ? OFFER_XFORWARD : 0U) |
           (relay_adds_received(s, u) ? OFFER_RECEIVED : 0U) | (u->verified ? OFFER_VERIFIED : 0U);
}

/* Offers are cached for the worker's present settings alone: a cache entry doesn't keep its settings. */
void relay_learn_offer(struct session *s, const struct upstream *u, const struct smtp_reply *ehlo)
{
    struct offer_cache none = { 0 };
    bool current = s->settings == s->w->settings;
    offer_unref(&s->offer);
    unsigned traits = traits_of(s, u) | relay_mechanisms(s) << OFFER_MECHANISMS;
    s->offer = offer_get(current ? &s->w->offers : &none, s->set, traits, ehlo);
    offer_cache_free(&none);
    trace_caps(s);
}

/* What a login that is decided here can be depends on TLS, and on the backend's state. */
static void refresh_offer(struct session *s)
{
    unsigned others = s->offer->traits & ((1U << OFFER_MECHANISMS) - 1);
    unsigned traits = others | relay_mechanisms(s) << OFFER_MECHANISMS;
    if (traits == s->offer->traits)
        return;
    struct offer_cache none = { 0 };
    struct offer *old = s->offer;
    s->offer = offer_again(s->settings == s->w->settings ? &s->w->offers : &none, s->set, traits, old);
    offer_unref(&old);
    offer_cache_free(&none);
    trace_caps(s);
}

/* helo_response with {hostname} and {client} replaced. */
static void print_helo_text(const struct session *s, struct buf *out)
{
    for (const char *p = s->set->server.helo_response; *p != '\0';) {
        if (strncmp(p, "{hostname}", 10) == 0) {
            buf_append_span(out, span_str(s->set->server.hostname));
            p += 10;
        } else if (strncmp(p, "{client}", 8) == 0) {
            if (s->hostname != NULL)
                buf_append_span(out, span_str(s->hostname));
            else
                buf_printf(out, "[%s]", s->trace.host);
            p += 8;
        } else {
            buf_append(out, p++, 1);
        }
    }
}

void relay_answer_helo(struct session *s)
{
    if (!s->helo_open || s->dial != NULL || s->reverse != NULL || s->offer == NULL)
        return;
    s->helo_open = false;
    refresh_offer(s);
    struct buf text;
    buf_init(&text, &s->w->loop.pool);
    const struct offer_view *view = relay_offer(s);
    bool keywords = s->helo_verb != SMTP_VERB_HELO && view->lines_len > 0;
    buf_append(&text, keywords ? "250-" : "250 ", 4);
    print_helo_text(s, &text);
    buf_append(&text, "\r\n", 2);
    if (keywords)
        buf_append(&text, view->lines, view->lines_len);
    struct smtp_reply reply = smtp_reply_read(buf_span(&text));
    smtp_server_offer(&s->client.smtp, &view->caps);
    if (s->client.smtp.secured) /* M10: offered or not, MAIL finds out who has it */
        s->client.smtp.offer.set |= SMTP_CAP_BIT(REQUIRETLS);
    smtp_server_reply(&s->client.smtp, s->helo_slot, &reply);
    buf_free(&text);
    client_run(&s->client);
}

void relay_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain)
{
    struct session *s = owner;
    relay_forget_hello(s);
    relay_forget_forwarded(s);
    s->helo = s->helo_told != NULL ? strdup(s->helo_told) : strndup(domain.p, domain.n);
    s->helo_slot = slot;
    s->helo_verb = verb;
    s->protocol = relay_protocol(s);
    if (s->bound && s->up == NULL) {
        relay_login_gone(s);
        return;
    }
    s->helo_open = true;
    relay_find_upstream(s);
    relay_answer_helo(s);
}
