/* An MTA says the same EHLO to everybody, so a handful of cached offers serves all sessions. */
#include "proxy/relay/offer.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"

smtp_cap_set offer_built_in(void)
{
    return SMTP_CAP_BIT(PIPELINING) | SMTP_CAP_BIT(SIZE) | SMTP_CAP_BIT(8BITMIME) | SMTP_CAP_BIT(SMTPUTF8) |
           SMTP_CAP_BIT(DSN) | SMTP_CAP_BIT(ETRN) | SMTP_CAP_BIT(CHUNKING) | SMTP_CAP_BIT(BINARYMIME) |
           SMTP_CAP_BIT(REQUIRETLS) | SMTP_CAP_BIT(LIMITS) | SMTP_CAP_BIT(STARTTLS) | SMTP_CAP_BIT(AUTH) |
           SMTP_CAP_BIT(ENHANCEDSTATUSCODES) | SMTP_CAP_BIT(XCLIENT) | SMTP_CAP_BIT(XFORWARD);
}

struct offer *offer_ref(struct offer *o)
{
    o->refs++;
    return o;
}

void offer_unref(struct offer **op)
{
    struct offer *o = *op;
    *op = NULL;
    if (o == NULL || --o->refs > 0)
        return;
    free((void *)(uintptr_t)o->key.p);
    for (int i = 0; i < 4; i++)
        free(o->view[i / 2][i % 2].lines);
    free(o);
}

void offer_cache_free(struct offer_cache *cache)
{
    for (unsigned i = 0; i < OFFER_CACHE; i++)
        offer_unref(&cache->slot[i]);
}

/* The keyword lines of an EHLO reply; a HELO reply has none. */
static struct span keyword_lines(const struct smtp_reply *ehlo)
{
    const char *nl = memchr(ehlo->wire.p, '\n', ehlo->wire.n);
    return nl ? span_skip(ehlo->wire, (size_t)(nl - ehlo->wire.p) + 1) : SPAN_NONE;
}

/* Where Received is added, the upstream's SIZE must have room for it (H8). */
enum { RECEIVED_ROOM = 2048 };

static smtp_cap_set disabled_caps(const struct server_settings *server)
{
    smtp_cap_set set = 0;
    for (unsigned verb = 0; verb < SMTP_VERB_COUNT; verb++) {
        enum smtp_cap cap = smtp_cap_find(span_str(smtp_verb_name((enum smtp_verb)verb)));
        if ((server->disabled_commands >> verb & 1) && cap != SMTP_CAP_COUNT)
            set |= (smtp_cap_set)1 << cap;
    }
    if (server->disabled_commands >> SMTP_VERB_BDAT & 1)
        set |= SMTP_CAP_BIT(CHUNKING);
    return set;
}

/* LM3: one SMTP reply can't say two fates. */
static uint32_t most_recipients(const struct listener_settings *ls)
{
    bool one = ls->server.protocol == PROTOCOL_SMTP && ls->upstream.protocol == PROTOCOL_LMTP;
    return one ? 1 : ls->limits.max_recipients;
}

/* Of those for permitted peers alone. */
static smtp_cap_set not_permitted(unsigned traits)
{
    return (traits & OFFER_XCLIENT ? 0 : SMTP_CAP_BIT(XCLIENT)) |
           (traits & OFFER_XFORWARD ? 0 : SMTP_CAP_BIT(XFORWARD));
}

/* Why there is no AUTH line, or NULL. */
static const char *why_no_auth(const struct listener_settings *ls, bool secured, bool logged_in)
{
    if (ls->auth.mode == AUTH_OFF)
        return "auth.mode is off";
    if (logged_in)
        return "already done";
    return !secured && (ls->auth.require_tls || ls->server.require_tls) ? "needs TLS" : NULL;
}

/* The mechanisms of a set as words. */
static void print_mechanisms(char out[256], sasl_set set)
{
    size_t at = 0;
    out[0] = '\0';
    for (unsigned m = 0; m < SASL_COUNT; m++) {
        if (set >> m & 1)
            at += (size_t)snprintf(out + at, 256 - at, "%s%s", at > 0 ? " " : "", sasl_name((enum sasl_mechanism)m));
    }
}

static void set_mechanisms(struct offer_view *view, const struct listener_settings *ls, const struct offer *o)
{
    char wanted[256];
    print_mechanisms(wanted, ls->auth.mechanisms);
    if (ls->auth.backend == AUTH_BACKEND_UPSTREAM)
        smtp_caps_relayed_auth(view->auth, wanted, &o->upstream);
    else
        print_mechanisms(view->auth, o->traits >> OFFER_MECHANISMS);
    view->rules.auth = view->auth;
}

static void set_rules(struct smtp_offer_rules *rules, const struct listener_settings *ls, unsigned traits, bool secured,
                      bool logged_in)
{
    bool starttls = ls->server.tls == SERVER_TLS_STARTTLS && !secured;
    const char *no_auth = why_no_auth(ls, secured, logged_in);
    *rules = (struct smtp_offer_rules){
        .forbidden = ~offer_built_in() | disabled_caps(&ls->server) | not_permitted(traits) |
                     (starttls ? 0 : SMTP_CAP_BIT(STARTTLS)) | (no_auth == NULL ? 0 : SMTP_CAP_BIT(AUTH)),
        .why_no_auth = no_auth,
        .hidden = ls->server.hide_extensions,
        .max_message_size = ls->server.max_message_size,
        .max_recipients = most_recipients(ls),
        .size_reserve = traits & OFFER_RECEIVED ? RECEIVED_ROOM : 0,
    };
}

static void print_line(void *arg, struct span text)
{
    struct buf *out = arg;
    buf_append(out, "250-", 4);
    buf_append_span(out, text);
    buf_append(out, "\r\n", 2);
}

/* Turns the last line's "250-" into "250 ". */
static void print_lines(struct offer_view *o)
{
    struct buf out;
    buf_init(&out, NULL);
    smtp_caps_print(&o->caps, o->rules.hidden, print_line, &out);
    o->lines_len = buf_len(&out);
    o->lines = malloc(o->lines_len + 1);
    if (o->lines == NULL)
        abort();
    memcpy(o->lines, buf_span(&out).p ? buf_span(&out).p : "", o->lines_len);
    buf_free(&out);
    char *last = o->lines;
    for (char *p = o->lines; p < o->lines + o->lines_len; p++) {
        if (p == o->lines || p[-1] == '\n')
            last = p;
    }
    if (o->lines_len > 0)
        last[3] = ' ';
}

static struct offer *offer_new(const struct listener_settings *ls, unsigned traits, const struct smtp_reply *ehlo,
                               struct span key)
{
    struct offer *o = calloc(1, sizeof(*o));
    char *copy = malloc(key.n + 1);
    if (o == NULL || copy == NULL)
        abort();
    memcpy(copy, key.p ? key.p : "", key.n);
    o->refs = 1;
    o->key = span_of(copy, key.n);
    o->of = ls;
    o->traits = traits;
    size_t pos = 0;
    struct span line;
    for (unsigned i = 0; smtp_reply_line(ehlo, &pos, false, &line); i++) {
        if (i > 0)
            smtp_caps_parse_line(&o->upstream, line);
    }
    for (int i = 0; i < 4; i++) {
        bool secured = i / 2, logged_in = i % 2;
        struct offer_view *view = &o->view[secured][logged_in];
        set_rules(&view->rules, ls, traits, secured, logged_in);
        if (!secured || !(traits & OFFER_VERIFIED)) /* RFC 8689 section 4 */
            view->rules.forbidden |= SMTP_CAP_BIT(REQUIRETLS);
        set_mechanisms(view, ls, o);
        smtp_caps_offer(&view->caps, &o->upstream, &view->rules);
        print_lines(view);
    }
    return o;
}

struct offer *offer_get(struct offer_cache *cache, const struct listener_settings *ls, unsigned traits,
                        const struct smtp_reply *ehlo)
{
    struct span key = keyword_lines(ehlo);
    for (unsigned i = 0; i < OFFER_CACHE && cache->slot[i] != NULL; i++) {
        if (cache->slot[i]->of == ls && cache->slot[i]->traits == traits && span_eq(cache->slot[i]->key, key))
            return offer_ref(cache->slot[i]);
    }
    struct offer *o = offer_new(ls, traits, ehlo, key);
    offer_unref(&cache->slot[OFFER_CACHE - 1]);
    memmove(cache->slot + 1, cache->slot, (OFFER_CACHE - 1) * sizeof(cache->slot[0]));
    cache->slot[0] = offer_ref(o);
    return o;
}

struct offer *offer_again(struct offer_cache *cache, const struct listener_settings *ls, unsigned traits,
                          const struct offer *o)
{
    struct buf ehlo;
    buf_init(&ehlo, NULL);
    buf_append_span(&ehlo, o->key.n > 0 ? SPAN_LIT("250-x\r\n") : SPAN_LIT("250 x\r\n"));
    buf_append_span(&ehlo, o->key);
    struct smtp_reply reply = smtp_reply_read(buf_span(&ehlo));
    struct offer *again = offer_get(cache, ls, traits, &reply);
    buf_free(&ehlo);
    return again;
}
