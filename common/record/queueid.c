/* The queue id in a reply, from the words of its lines. An id stands behind a word that announces it ("queued as",
 * "id="), before one that says what happened to it ("... Message accepted for delivery", "... Saved"), or alone after
 * "OK". The less is announced, the more an id must look like one, so that prose is none. What holds an '@' is an
 * address or a Message-ID. */
#include "common/record/queueid.h"

enum { PIECES_MAX = 24 };

/* The pieces between blanks, without brackets and punctuation around them. */
struct pieces {
    struct span bare[PIECES_MAX], raw[PIECES_MAX];
    unsigned count;
};

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_alnum(char c) { return span_is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }

static bool is_one_of(char c, const char *set) { return c != '\0' && strchr(set, c); }

static struct span strip(struct span s)
{
    while (s.n > 0 && is_one_of(s.p[0], "<([{\"'"))
        s = span_skip(s, 1);
    while (s.n > 0 && is_one_of(s.p[s.n - 1], ">)]}\"'.,;:"))
        s.n--;
    return s;
}

static void cut(struct span text, struct pieces *out)
{
    out->count = 0;
    while (out->count < PIECES_MAX) {
        text = span_trim_left(text);
        size_t n = 0;
        while (n < text.n && !span_is_blank(text.p[n]))
            n++;
        if (n == 0)
            return;
        out->raw[out->count] = span_head(text, n);
        out->bare[out->count++] = strip(span_head(text, n));
        text = span_skip(text, n);
    }
}

static bool is_word(const struct pieces *p, unsigned i, const char *word)
{
    return i < p->count && span_eq_nocase(p->bare[i], span_str(word));
}

/* How much of an id it looks: its digits and capitals; length 0 for what can't be one. */
struct looks {
    size_t length, digits, capitals;
};

static struct looks look(struct span s)
{
    struct looks l = { s.n, 0, 0 };
    if (s.n == 0 || s.n > QUEUE_ID_MAX || !is_alnum(s.p[0]))
        return (struct looks){ 0 };
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "-_./!+=~:,#$%*|"))
            return (struct looks){ 0 };
        l.digits += span_is_digit(s.p[i]);
        l.capitals += is_upper(s.p[i]);
    }
    return l;
}

/* Where it was announced: anything but a word in small letters, or a capitalised one. */
static struct span announced(struct span s)
{
    struct looks l = look(s);
    return l.length > 0 && (l.digits > 0 || l.capitals > 1) ? s : SPAN_NONE;
}

/* Where only its place tells it; counts, versions and dates are none. */
static struct span alone(struct span s)
{
    struct looks l = look(s);
    size_t plain = 0;
    for (size_t i = 0; i < l.length; i++)
        plain += span_is_digit(s.p[i]) || is_one_of(s.p[i], ".,:/-");
    return l.length >= 6 && l.digits > 0 && plain < l.length ? s : SPAN_NONE;
}

static struct span value_of(struct span raw)
{
    static const struct span keys[] = { { "id=", 3 },  { "ids=", 4 },      { "internalid=", 11 }, { "qid=", 4 },
                                        { "id:", 3 },  { "queue_id=", 9 }, { "queueid=", 8 },     { "queue-id=", 9 },
                                        { "qid:", 4 }, { "queueid:", 8 },  { "queue-id:", 9 } };
    while (raw.n > 0 && (raw.p[0] == '[' || raw.p[0] == '('))
        raw = span_skip(raw, 1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (raw.n > keys[i].n && span_begins_nocase(raw, keys[i])) {
            struct span id = strip(span_skip(raw, keys[i].n));
            const char *comma = id.n > 0 ? memchr(id.p, ',', id.n) : NULL;
            return announced(comma ? span_head(id, (size_t)(comma - id.p)) : id);
        }
    return SPAN_NONE;
}

/* "id=X", "ids=X,Y", "InternalId=X", "qid:X" in one piece. */
static struct span after_key(const struct pieces *p)
{
    struct span id = SPAN_NONE;
    for (unsigned i = 0; i < p->count && id.n == 0; i++)
        id = value_of(p->raw[i]);
    return id;
}

static bool said_before(const struct pieces *p, unsigned i, const char *word)
{
    for (unsigned back = 1; back <= 4 && back <= i; back++)
        if (is_word(p, i - back, word))
            return true;
    return false;
}

/* "queued as X", "queued on HOST as X", "accepted as X", "queued on HOST X". */
static struct span after_as(const struct pieces *p)
{
    for (unsigned i = 1; i + 1 < p->count; i++)
        if (is_word(p, i, "as") &&
            (said_before(p, i, "queued") || said_before(p, i, "accepted") || said_before(p, i, "saved")))
            return announced(p->bare[i + 1]);
    for (unsigned i = 1; i + 2 < p->count; i++)
        if (is_word(p, i, "on") && is_word(p, i - 1, "queued"))
            return alone(p->bare[i + 2]);
    return SPAN_NONE;
}

/* "queue id X", "with id X", "queue-id: X", "(id X)", "envelope id X@host"; of a Message-ID or a session nothing. */
static struct span after_id(const struct pieces *p)
{
    for (unsigned i = 0; i + 1 < p->count; i++) {
        if (is_word(p, i, "queue-id") || is_word(p, i, "queueid") || is_word(p, i, "qp"))
            return announced(p->bare[i + 1]);
        if (!is_word(p, i, "id") || (i > 0 && (is_word(p, i - 1, "message") || is_word(p, i - 1, "session"))))
            continue;
        struct span id = p->bare[i + 1];
        const char *at = id.n > 0 ? memchr(id.p, '@', id.n) : NULL;
        bool envelope = i > 0 && is_word(p, i - 1, "envelope");
        return announced(at && envelope ? span_head(id, (size_t)(at - id.p)) : id);
    }
    return SPAN_NONE;
}

/* Haraka's "Message Queued (UUID.n)". */
static struct span in_brackets(const struct pieces *p)
{
    for (unsigned i = 1; i < p->count; i++) {
        struct span s = p->bare[i];
        if (p->raw[i].p[0] == '(' && is_word(p, i - 1, "queued") && s.n >= 36 && s.p[8] == '-' && s.p[13] == '-' &&
            s.p[18] == '-' && s.p[23] == '-')
            return announced(s);
        if (p->raw[i].p[0] == '[' && is_word(p, i - 1, "ok") && i >= 2 && is_word(p, i - 2, "received"))
            return announced(s);
    }
    return SPAN_NONE;
}

/* "X Message accepted for delivery", "Message X accepted", "<address> X Saved". */
static struct span before_verb(const struct pieces *p)
{
    for (unsigned i = 1; i < p->count; i++) {
        bool mail = is_word(p, i - 1, "message") || is_word(p, i - 1, "mail");
        if (is_word(p, i, "accepted") && mail)
            return i >= 2 ? announced(p->bare[i - 2]) : SPAN_NONE;
        if (is_word(p, i, "accepted") && i >= 2 && is_word(p, i - 2, "message"))
            return announced(p->bare[i - 1]);
        if (is_word(p, i, "saved") && i + 1 == p->count && p->raw[i - 1].p[0] != '<')
            return alone(p->bare[i - 1]);
    }
    return SPAN_NONE;
}

static bool is_epoch(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!span_is_digit(s.p[i]))
            return false;
    return s.n >= 9 && s.n <= 11;
}

/* "OK X", "OK 1349246383 X - gsmtp", "OK X - nsmtp". */
static struct span after_ok(const struct pieces *p)
{
    unsigned i = 1;
    if (!is_word(p, 0, "ok"))
        return SPAN_NONE;
    if (i + 1 < p->count && is_epoch(p->bare[i]))
        i++;
    if (i < p->count && (i + 1 == p->count || span_eq(p->raw[i + 1], SPAN_LIT("-"))))
        return alone(p->bare[i]);
    return SPAN_NONE;
}

/* A filter in between repeats what the next server said: "... from MTA(host): 250 2.0.0 Ok: queued as X". */
static struct span innermost(struct span text)
{
    const char *from = memmem(text.p, text.n, "from MTA(", 9);
    if (!from)
        return text;
    struct span rest = span_skip(text, (size_t)(from - text.p));
    const char *said = memmem(rest.p, rest.n, "): 2", 4);
    return said ? span_skip(rest, (size_t)(said - rest.p) + 7) : SPAN_NONE;
}

static struct span skip_enhanced(struct span s)
{
    s = span_trim_left(s);
    if (s.n > 5 && s.p[0] == '2' && s.p[1] == '.' && span_is_digit(s.p[2])) {
        size_t n = 1;
        while (n < s.n && (span_is_digit(s.p[n]) || s.p[n] == '.'))
            n++;
        if (n < s.n && span_is_blank(s.p[n]))
            return span_skip(s, n + 1);
    }
    return s;
}

static struct span find_in_line(struct span text)
{
    static struct span (*const forms[])(const struct pieces *) = { after_as,    after_key, in_brackets,
                                                                   before_verb, after_id,  after_ok };
    struct pieces p;
    text = skip_enhanced(innermost(text));
    cut(text, &p);
    for (unsigned i = 0; i < p.count; i++)
        if (is_word(&p, i, "discarded"))
            return SPAN_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        struct span id = forms[i](&p);
        if (id.n > 0)
            return id;
    }
    return SPAN_NONE;
}

struct span queue_id_find(const struct smtp_reply *reply)
{
    struct span line;
    size_t pos = 0;
    if (!smtp_reply_is(reply, 2))
        return SPAN_NONE;
    while (smtp_reply_line(reply, &pos, true, &line)) {
        struct span id = find_in_line(line);
        if (id.n > 0)
            return id;
    }
    return SPAN_NONE;
}
