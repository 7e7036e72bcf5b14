/* Service extensions. What a server said is kept twice: as text for the log, and as values that are only ever set from
 * text that obeys its RFC, so that nothing of it needs checking again when our own offer is made from them. */
#include "common/smtp/caps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* RFC 9422: a limit has at most six digits and is not 0. */
enum { LIMIT_DIGITS = 6, LIMIT_MAX = 999999, MECHANISM_MAX = 20 };

#define SMTP_CAP_NAME(id, name) SPAN_LIT(name),
static const struct span cap_name[] = { SMTP_CAPS(SMTP_CAP_NAME) };
_Static_assert(ARRAY_LEN(cap_name) == SMTP_CAP_COUNT, "a name for each capability");

static smtp_cap_set bit_of(enum smtp_cap cap) { return (smtp_cap_set)1 << cap; }

const char *smtp_cap_name(enum smtp_cap cap) { return cap < SMTP_CAP_COUNT ? cap_name[cap].p : "?"; }

enum smtp_cap smtp_cap_find(struct span keyword)
{
    for (size_t i = 0; i < SMTP_CAP_COUNT; i++) {
        if (span_eq_nocase(cap_name[i], keyword))
            return (enum smtp_cap)i;
    }
    return SMTP_CAP_COUNT;
}

/* Takes the next word from *text; false at the end. */
static bool next_word(struct span *text, struct span *word)
{
    size_t n = 0;

    *text = span_trim_left(*text);
    while (n < text->n && !span_is_blank(text->p[n]))
        n++;
    *word = span_of(text->p, n);
    *text = span_skip(*text, n);
    return n > 0;
}

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

/* The characters of mechanism and attribute names. */
static bool is_name(struct span word)
{
    for (size_t i = 0; i < word.n; i++) {
        char c = upper(word.p[i]);

        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return word.n > 0;
}

static bool list_has(const char *list, struct span name)
{
    struct span text = span_str(list), word;

    while (next_word(&text, &word)) {
        if (span_eq_nocase(word, name))
            return true;
    }
    return false;
}

/* Adds a name to a list of `size` bytes, if it is one, new, and fits. */
static void list_add(char *list, size_t size, struct span name)
{
    size_t at = strlen(list), blank = at > 0;

    if (!is_name(name) || at + blank + name.n >= size || list_has(list, name))
        return;
    if (blank)
        list[at++] = ' ';
    for (size_t i = 0; i < name.n; i++)
        list[at++] = upper(name.p[i]);
    list[at] = '\0';
}

static void list_add_all(char *list, size_t size, struct span text, size_t longest)
{
    struct span word;

    while (next_word(&text, &word)) {
        if (word.n <= longest)
            list_add(list, size, word);
    }
}

/* Digits alone, without overflow; false leaves *out. */
static bool parse_number(struct span text, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.p[i] - '0'), &value))
            return false;
    }
    if (text.n > 0)
        *out = value;
    return text.n > 0;
}

static void parse_limit(struct smtp_caps *caps, struct span word)
{
    const char *eq = memchr(word.p, '=', word.n);
    struct span name = span_head(word, eq ? (size_t)(eq - word.p) : word.n);
    struct span value = span_skip(word, name.n + 1);
    uint64_t limit = 0;

    if (value.n == 0 || value.n > LIMIT_DIGITS || value.p[0] == '0' || !parse_number(value, &limit))
        return;
    if (span_eq_nocase(name, SPAN_LIT("RCPTMAX")))
        caps->rcptmax = (uint32_t)limit;
    else if (span_eq_nocase(name, SPAN_LIT("MAILMAX")))
        caps->mailmax = (uint32_t)limit;
    else if (span_eq_nocase(name, SPAN_LIT("RCPTDOMAINMAX")))
        caps->rcptdomainmax = (uint32_t)limit;
}

static void parse_limits(struct smtp_caps *caps, struct span value)
{
    struct span word;

    caps->rcptmax = caps->mailmax = caps->rcptdomainmax = 0;
    while (next_word(&value, &word))
        parse_limit(caps, word);
}

static void parse_names(char *list, size_t size, struct span value)
{
    list[0] = '\0';
    list_add_all(list, size, value, size);
}

static void parse_value(struct smtp_caps *caps, enum smtp_cap cap, struct span value)
{
    if (cap == SMTP_CAP_SIZE) {
        caps->size = 0;
        (void)parse_number(value, &caps->size);
    } else if (cap == SMTP_CAP_LIMITS) {
        parse_limits(caps, value);
    } else if (cap == SMTP_CAP_AUTH) {
        list_add_all(caps->auth, sizeof(caps->auth), value, MECHANISM_MAX);
    } else if (cap == SMTP_CAP_XCLIENT) {
        parse_names(caps->xclient, sizeof(caps->xclient), value);
    } else if (cap == SMTP_CAP_XFORWARD) {
        parse_names(caps->xforward, sizeof(caps->xforward), value);
    }
}

/* Of a line; "AUTH=" is an old spelling of "AUTH ". The rest of the line is left in *line. */
static struct span take_keyword(struct span *line)
{
    struct span word;

    *line = span_trim(*line);
    if (span_begins_nocase(*line, SPAN_LIT("AUTH="))) {
        word = span_head(*line, 4);
        *line = span_skip(*line, 5);
    } else {
        (void)next_word(line, &word);
        *line = span_trim(*line);
    }
    return word;
}

/* Lines are of text; a byte that would end one, or the string, is not let in. */
static void add_raw(struct smtp_caps *caps, struct span line)
{
    size_t at = strlen(caps->raw), newline = at > 0;

    if (line.n == 0 || at + newline + line.n >= sizeof(caps->raw))
        return;
    if (newline)
        caps->raw[at++] = '\n';
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];

        caps->raw[at++] = ((unsigned char)c < ' ' && c != '\t') || c == 0x7f ? '?' : c;
    }
    caps->raw[at] = '\0';
}

void smtp_caps_parse_line(struct smtp_caps *caps, struct span line)
{
    enum smtp_cap cap;

    add_raw(caps, span_trim(line));
    cap = smtp_cap_find(take_keyword(&line));
    if (cap == SMTP_CAP_COUNT)
        return;
    caps->set |= bit_of(cap);
    parse_value(caps, cap, line);
}

static bool ends_in_plus(struct span name)
{
    static const struct span plus = SPAN_LIT("-PLUS");

    return name.n >= plus.n && span_eq_nocase(span_skip(name, name.n - plus.n), plus);
}

static bool can_relay(struct span name, const struct smtp_caps *upstream)
{
    char plus[MECHANISM_MAX + sizeof("-PLUS")];
    int n = snprintf(plus, sizeof(plus), "%.*s-PLUS", SPAN_ARG(span_head(name, MECHANISM_MAX)));

    if (span_eq_nocase(name, SPAN_LIT("EXTERNAL")) || span_eq_nocase(name, SPAN_LIT("ANONYMOUS")) || ends_in_plus(name))
        return false;
    return list_has(upstream->auth, name) && !list_has(upstream->auth, span_of(plus, (size_t)n));
}

void smtp_caps_relayed_auth(char out[256], const char *wanted, const struct smtp_caps *upstream)
{
    struct span text = span_str(wanted), name;

    out[0] = '\0';
    while (next_word(&text, &name)) {
        if (can_relay(name, upstream))
            list_add(out, sizeof(upstream->auth), name);
    }
}

static uint64_t least(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static void offer_size(struct smtp_caps *offer, const struct smtp_caps *upstream, const struct smtp_offer_rules *rules)
{
    uint64_t theirs = upstream->set & SMTP_CAP_BIT(SIZE) ? upstream->size : 0;

    /* where there is no room for what we add, no limit is told (RFC 1870: bare SIZE says nothing), and they judge */
    theirs = theirs > rules->size_reserve ? theirs - rules->size_reserve : 0;
    offer->size = least(theirs, rules->max_message_size);
    if (offer->size > 0 || upstream->set & SMTP_CAP_BIT(SIZE))
        offer->set |= SMTP_CAP_BIT(SIZE);
}

static void offer_limits(struct smtp_caps *offer, const struct smtp_caps *upstream,
                         const struct smtp_offer_rules *rules)
{
    uint32_t ours = rules->max_recipients <= LIMIT_MAX ? rules->max_recipients : 0;

    offer->rcptmax = ours;
    if (upstream->set & SMTP_CAP_BIT(LIMITS)) {
        offer->rcptmax = (uint32_t)least(ours, upstream->rcptmax);
        offer->mailmax = upstream->mailmax;
        offer->rcptdomainmax = upstream->rcptdomainmax;
    }
    if (offer->rcptmax || offer->mailmax || offer->rcptdomainmax)
        offer->set |= SMTP_CAP_BIT(LIMITS);
}

/* A keyword that is not honoured has no value either. */
static void drop_forbidden(struct smtp_caps *offer, smtp_cap_set forbidden)
{
    offer->set &= ~forbidden;
    if (!(offer->set & SMTP_CAP_BIT(CHUNKING)))
        offer->set &= ~SMTP_CAP_BIT(BINARYMIME);
    if (!(offer->set & SMTP_CAP_BIT(SIZE)))
        offer->size = 0;
    if (!(offer->set & SMTP_CAP_BIT(LIMITS)))
        offer->rcptmax = offer->mailmax = offer->rcptdomainmax = 0;
    if (!(offer->set & SMTP_CAP_BIT(AUTH)))
        offer->auth[0] = '\0';
    if (!(offer->set & SMTP_CAP_BIT(XCLIENT)))
        offer->xclient[0] = '\0';
    if (!(offer->set & SMTP_CAP_BIT(XFORWARD)))
        offer->xforward[0] = '\0';
}

void smtp_caps_offer(struct smtp_caps *offer, const struct smtp_caps *upstream, const struct smtp_offer_rules *rules)
{
    static const smtp_cap_set ours =
        SMTP_CAP_BIT(PIPELINING) | SMTP_CAP_BIT(STARTTLS) | SMTP_CAP_BIT(XCLIENT) | SMTP_CAP_BIT(XFORWARD);
    static const smtp_cap_set theirs = SMTP_CAP_BIT(ENHANCEDSTATUSCODES) | SMTP_CAP_BIT(8BITMIME) |
                                       SMTP_CAP_BIT(SMTPUTF8) | SMTP_CAP_BIT(DSN) | SMTP_CAP_BIT(ETRN) |
                                       SMTP_CAP_BIT(CHUNKING) | SMTP_CAP_BIT(BINARYMIME) | SMTP_CAP_BIT(REQUIRETLS);
    struct smtp_caps made = { .set = ours | (upstream->set & theirs),
                              .xclient = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT",
                              .xforward = "NAME ADDR PORT PROTO HELO IDENT SOURCE" };

    offer_size(&made, upstream, rules);
    offer_limits(&made, upstream, rules);
    list_add_all(made.auth, sizeof(made.auth), span_str(rules->auth), MECHANISM_MAX);
    if (made.auth[0])
        made.set |= SMTP_CAP_BIT(AUTH);
    drop_forbidden(&made, rules->forbidden);
    *offer = made;
}

/* BINARYMIME makes no sense to a client that doesn't see CHUNKING (RFC 3030 section 3). */
static smtp_cap_set shown(const struct smtp_caps *offer, smtp_cap_set hidden)
{
    smtp_cap_set set = offer->set & ~hidden;

    return set & SMTP_CAP_BIT(CHUNKING) ? set : set & ~SMTP_CAP_BIT(BINARYMIME);
}

/* One keyword line; longer than the longest list with its keyword, so nothing is ever cut. */
struct text {
    char p[sizeof(((struct smtp_caps *)NULL)->auth) + 64];
    size_t n;
};

static void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, fmt, args);
    va_end(args);
    if (n > 0)
        t->n = min_size(t->n + (size_t)n, sizeof(t->p) - 1);
}

static void add_words(struct text *t, const char *words)
{
    if (words[0])
        text_add(t, " %s", words);
}

static void add_limits(struct text *t, const struct smtp_caps *offer)
{
    if (offer->rcptmax)
        text_add(t, " RCPTMAX=%u", offer->rcptmax);
    if (offer->mailmax)
        text_add(t, " MAILMAX=%u", offer->mailmax);
    if (offer->rcptdomainmax)
        text_add(t, " RCPTDOMAINMAX=%u", offer->rcptdomainmax);
}

static void add_value(struct text *t, const struct smtp_caps *offer, enum smtp_cap cap)
{
    if (cap == SMTP_CAP_SIZE && offer->size > 0)
        text_add(t, " %" PRIu64, offer->size);
    else if (cap == SMTP_CAP_LIMITS)
        add_limits(t, offer);
    else if (cap == SMTP_CAP_AUTH)
        add_words(t, offer->auth);
    else if (cap == SMTP_CAP_XCLIENT)
        add_words(t, offer->xclient);
    else if (cap == SMTP_CAP_XFORWARD)
        add_words(t, offer->xforward);
}

void smtp_caps_print(const struct smtp_caps *offer, smtp_cap_set hidden, void (*line)(void *arg, struct span text),
                     void *arg)
{
    smtp_cap_set set = shown(offer, hidden);

    for (size_t i = 0; i < SMTP_CAP_COUNT; i++) {
        struct text t = { .n = 0 };

        if (!(set & bit_of((enum smtp_cap)i)))
            continue;
        text_add(&t, "%s", cap_name[i].p);
        add_value(&t, offer, (enum smtp_cap)i);
        line(arg, span_of(t.p, t.n));
    }
}

/* rules->forbidden doesn't say why, so the reason names what it can be. */
static const char *why_forbidden(enum smtp_cap cap, const struct smtp_offer_rules *rules)
{
    if (cap == SMTP_CAP_STARTTLS)
        return "no certificate, already in TLS, or disabled";
    if (cap == SMTP_CAP_AUTH)
        return rules->why_no_auth != NULL ? rules->why_no_auth : "disabled";
    if (cap == SMTP_CAP_REQUIRETLS)
        return "needs TLS on both sides, or disabled";
    if (cap == SMTP_CAP_XCLIENT || cap == SMTP_CAP_XFORWARD)
        return "client not permitted, or disabled";
    return "disabled or not supported";
}

static const char *why_withheld(enum smtp_cap cap, const struct smtp_caps *offer, const struct smtp_offer_rules *rules)
{
    if (cap == SMTP_CAP_COUNT)
        return "unknown";
    if (rules->forbidden & bit_of(cap))
        return why_forbidden(cap, rules);
    if (offer->set & rules->hidden & bit_of(cap))
        return "hidden";
    if (cap == SMTP_CAP_BINARYMIME)
        return "needs CHUNKING";
    if (cap == SMTP_CAP_AUTH)
        return "no mechanism in common";
    if (cap == SMTP_CAP_LIMITS)
        return "no limit known here";
    return "not offered here";
}

void smtp_caps_withheld(const struct smtp_caps *upstream, const struct smtp_caps *offer,
                        const struct smtp_offer_rules *rules,
                        void (*each)(void *arg, struct span keyword, const char *reason), void *arg)
{
    smtp_cap_set done = shown(offer, rules->hidden);
    const char *p = upstream->raw;

    while (*p) {
        struct span line = span_of(p, strcspn(p, "\n")), keyword;
        enum smtp_cap cap;

        p += line.n + (p[line.n] == '\n');
        keyword = take_keyword(&line);
        cap = smtp_cap_find(keyword);
        if (cap != SMTP_CAP_COUNT && done & bit_of(cap))
            continue;
        if (cap != SMTP_CAP_COUNT)
            done |= bit_of(cap);
        each(arg, keyword, why_withheld(cap, offer, rules));
    }
}
