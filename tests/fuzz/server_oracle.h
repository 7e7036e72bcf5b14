/* What the log may show of a line, decided anew in the plainest way: the oracle of fuzz_server.c. */
#ifndef TESTS_FUZZ_SERVER_ORACLE_H
#define TESTS_FUZZ_SERVER_ORACLE_H

#include <stdlib.h>

#include "common/smtp/command.h"

enum { AUTH_LINE_OCTETS = 12288 };

struct oracle {
    size_t line_max;
    bool auth;   /* an AUTH line was seen */
    bool maybe;  /* a line was, that may count as one */
    bool text;   /* DATA or BDAT was refused, or a line that is no command came where text was due */
    bool stray;  /* it is such a line alone */
    bool due;    /* surely a RCPT or BDAT was there, and nothing since that ends it */
    bool chance; /* there may have been one */
    bool hidden; /* the last line may have been the message's text */
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void require_canonical(struct span body)
{
    for (size_t i = 0; i < body.n; i++) {
        bool at_line = i == 0 || body.p[i - 1] == '\n';
        if (body.p[i] == '\n')
            require(i > 0 && body.p[i - 1] == '\r');
        if (body.p[i] == '\r')
            require(i + 1 < body.n && body.p[i + 1] == '\n');
        if (at_line && body.p[i] == '.')
            require(i + 1 < body.n && body.p[i + 1] == '.');
    }
    require(body.n == 0 || body.p[body.n - 1] == '\n');
}

static struct span oracle_lstrip(struct span s)
{
    while (s.n > 0 && (unsigned char)s.p[0] <= ' ')
        s = span_skip(s, 1);
    return s;
}

static struct span oracle_lblank(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_skip(s, 1);
    return s;
}

static bool oracle_is_auth(struct span line) { return span_begins_nocase(oracle_lstrip(line), SPAN_LIT("auth")); }

/* The line at the start of what the engine looks at, without its line end. */
static struct span oracle_cut_line(struct span in)
{
    const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    struct span line = lf != NULL ? span_of(in.p, (size_t)(lf - in.p)) : in;
    if (lf != NULL && line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool oracle_mechanism_is_known(struct span word)
{
    static const char known[] = " PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS "
                                "SCRAM-SHA-256-PLUS XOAUTH2 OAUTHBEARER EXTERNAL GSSAPI NTLM ANONYMOUS ";
    char spaced[40];
    if (word.n == 0 || word.n > 30 || memchr(word.p, ' ', word.n) != NULL)
        return false;
    spaced[0] = ' ';
    memcpy(spaced + 1, word.p, word.n);
    spaced[word.n + 1] = ' ';
    spaced[word.n + 2] = '\0';
    return strstr(known, spaced) != NULL;
}

/* Of an AUTH line: the mechanism's name at the most, and that only if it is one. */
static void oracle_auth_line(struct span raw, struct span shown)
{
    if (span_eq(shown, SPAN_LIT("*")) || span_eq(shown, SPAN_LIT("AUTH *")))
        return;
    if (span_eq_nocase(span_trim(shown), SPAN_LIT("AUTH"))) {
        require(span_eq(shown, raw));
        return;
    }
    require(span_begins_nocase(shown, SPAN_LIT("AUTH ")));
    struct span rest = span_skip(shown, 5);
    if (rest.n > 2 && span_eq(span_skip(rest, rest.n - 2), SPAN_LIT(" *")))
        rest.n -= 2;
    require(oracle_mechanism_is_known(rest));
}

/* Blank, then KEYWORD or KEYWORD=value, as extensions write them; nothing that prose would be. */
static bool oracle_is_params(struct span rest)
{
    static const char *const words[] = { "SIZE", "BODY",       "SMTPUTF8", "RET",  "ENVID",
                                         "AUTH", "REQUIRETLS", "NOTIFY",   "ORCPT" };
    while ((rest = span_trim(rest)).n > 0) {
        size_t n = 0, key = 0;
        bool known = false;
        while (n < rest.n && !span_is_blank(rest.p[n]))
            n++;
        while (key < n && rest.p[key] != '=')
            key++;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            known |= span_eq_nocase(span_head(rest, key), span_str(words[i]));
        if (!known)
            return false;
        rest = span_skip(rest, n);
    }
    return true;
}

static bool oracle_is_envelope(struct span arg, struct span prefix)
{
    if (!span_begins_nocase(arg, prefix))
        return false;
    arg = span_trim_left(span_skip(arg, prefix.n));
    if (arg.n == 0 || arg.p[0] != '<')
        return false;
    bool quoted = false;
    size_t i = 1;
    for (; i < arg.n && (quoted || arg.p[i] != '>'); i++) {
        if (quoted && arg.p[i] == '\\')
            i++;
        else if (arg.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && span_is_blank(arg.p[i]))
            return false;
    }
    return i < arg.n && oracle_is_params(span_skip(arg, i + 1));
}

static enum smtp_verb oracle_verb(struct span line)
{
    size_t n = 0;
    while (n < line.n && memchr(" \t\r", line.p[n], 4) == NULL) /* and NUL */
        n++;
    return smtp_verb_find(span_head(line, n));
}

static bool oracle_is_sound(struct span line)
{
    return line.n > 0 && !span_is_blank(line.p[0]) && !memchr(line.p, '\0', line.n) && !memchr(line.p, '\r', line.n);
}

/* What may be shown although it may be the message's text. */
static bool oracle_ends_text(struct span line)
{
    static const char *const helos[] = { "EHLO", "HELO", "LHLO" };
    if (!oracle_is_sound(line))
        return false;
    struct span text = span_trim(line), arg = span_trim(span_skip(text, 4));
    if (span_eq_nocase(text, SPAN_LIT("RSET")) || span_eq_nocase(text, SPAN_LIT("QUIT")))
        return true;
    if (text.n < 6 || !span_is_blank(text.p[4]))
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (span_begins_nocase(text, span_str(helos[i])))
            return memchr(arg.p, ' ', arg.n) == NULL;
    }
    return span_begins_nocase(text, SPAN_LIT("MAIL")) && oracle_is_envelope(arg, SPAN_LIT("FROM:"));
}

/* A lenient path: one word. */
static bool oracle_is_bare(struct span arg, struct span prefix)
{
    if (!span_begins_nocase(arg, prefix))
        return false;
    arg = span_trim_left(span_skip(arg, prefix.n));
    size_t n = 0;
    while (n < arg.n && !span_is_blank(arg.p[n]))
        n++;
    return n > 0 && oracle_is_params(span_skip(arg, n));
}

/* The same where no DATA or BDAT was refused. */
static bool oracle_ends_stray(struct span line)
{
    struct span text = span_trim(line), arg = span_trim(span_skip(text, 4));
    if (!oracle_is_sound(line))
        return false;
    if (span_eq_nocase(text, SPAN_LIT("DATA")) || span_eq_nocase(text, SPAN_LIT("NOOP")))
        return true;
    enum smtp_verb verb = oracle_verb(line);
    if (verb == SMTP_VERB_MAIL || verb == SMTP_VERB_RCPT) {
        struct span prefix = verb == SMTP_VERB_MAIL ? SPAN_LIT("FROM:") : SPAN_LIT("TO:");
        return oracle_is_envelope(arg, prefix) || oracle_is_bare(arg, prefix);
    }
    return verb == SMTP_VERB_STARTTLS || verb == SMTP_VERB_ETRN || verb == SMTP_VERB_XCLIENT ||
           verb == SMTP_VERB_XFORWARD;
}

/* A line without an end where one is due. What it begins with counts, or could yet become. */
static void oracle_long_line(struct oracle *o, struct span head)
{
    o->hidden = o->text;
    o->auth |= oracle_lstrip(head).n < 4;
    enum smtp_verb verb = oracle_verb(oracle_lstrip(head));
    bool announced = verb == SMTP_VERB_DATA || verb == SMTP_VERB_BDAT;
    o->text |= announced;
    o->stray &= !announced;
    bool stray = !o->text && o->due && (verb == SMTP_VERB_UNKNOWN || !oracle_is_sound(head));
    o->stray |= stray;
    o->text |= stray;
}

/* The first word, and a star for what is behind it. */
static bool oracle_is_word(struct span raw, struct span shown)
{
    size_t n = 0;
    while (n < raw.n && !span_is_blank(raw.p[n]))
        n++;
    bool more = span_trim(span_skip(raw, n)).n > 0;
    return n <= 9 && shown.n == n + (more ? 2U : 0U) && memcmp(shown.p, raw.p, n) == 0 &&
           (!more || memcmp(shown.p + n, " *", 2) == 0);
}

/* Text is due, and this is no command; true: it was looked at. */
static bool oracle_strays(struct oracle *o, struct span raw, struct span shown)
{
    bool star = span_eq(shown, SPAN_LIT("*"));
    if (oracle_is_sound(raw) && oracle_verb(raw) != SMTP_VERB_UNKNOWN)
        return false;
    if (o->due && !o->text) {
        require(star || (!o->auth && oracle_is_word(raw, shown)));
        o->text = o->stray = o->hidden = true;
        return true;
    }
    return o->chance && !o->text && !o->auth && !star && oracle_is_word(raw, shown);
}

/* Of a line that was looked at. */
static void oracle_note_due(struct oracle *o, struct span raw, bool star)
{
    enum smtp_verb verb = oracle_verb(raw);
    if (verb == SMTP_VERB_DATA || verb == SMTP_VERB_BDAT)
        o->stray = false;
    if (oracle_ends_text(raw))
        o->due = false;
    if (oracle_ends_text(raw) && (verb == SMTP_VERB_RSET || verb == SMTP_VERB_QUIT))
        o->chance = false;
    if (!oracle_is_sound(raw) || (verb != SMTP_VERB_RCPT && verb != SMTP_VERB_BDAT))
        return;
    o->due |= !star;
    o->chance = true;
}

/* What is written nowhere behind AUTH and a mechanism, by whatever verb. */
static bool oracle_tells(struct span shown)
{
    static const char *const words[] = { "AUTH PLAIN c2VjcmV0", "AUTH LOGIN c2VjcmV0", "AUTH c2VjcmV0" };
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        for (size_t at = 1; at + n <= shown.n; at++) {
            if (strncasecmp(shown.p + at, words[i], n) == 0 && shown.p[at - 1] == ' ')
                return memchr(shown.p, '"', at) == NULL; /* a quoted local part may have it */
        }
    }
    return false;
}

/* The line, or its beginning, has AUTH or a mechanism in it, as a word or not, or the letters of AUTH first. */
static bool oracle_may_tell(struct span line)
{
    static const char *const words[] = { "AUTH",       "PLAIN",       "LOGIN",  "CRAM-MD5", "XOAUTH2",   "EXTERNAL",
                                         "DIGEST-MD5", "OAUTHBEARER", "GSSAPI", "NTLM",     "ANONYMOUS", "SCRAM-" };
    char first[5] = "";
    for (size_t at = 0; at < line.n; at++) {
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (span_begins_nocase(span_skip(line, at), span_str(words[i])))
                return true;
        }
    }
    line = oracle_lblank(line);
    for (size_t i = 0; i < 4 && i < line.n; i++)
        first[i] = (char)(line.p[i] | 0x20);
    return strchr(first, 'a') && strchr(first, 'u') && strchr(first, 't') && strchr(first, 'h');
}

static bool oracle_is_cut(struct span raw, struct span shown)
{
    struct span head = span_head(shown, shown.n - min_size(shown.n, 2));
    return head.n > 0 && memcmp(shown.p + head.n, " *", 2) == 0 && raw.n > head.n &&
           memcmp(raw.p, head.p, head.n) == 0 && oracle_may_tell(head);
}

/* in: what the engine looks at, beginning with the line; name and shown: what the log gets of it. */
static void oracle_line(struct oracle *o, struct span in, const char *name, struct span shown)
{
    struct span raw = oracle_cut_line(in);
    bool star = span_eq(shown, SPAN_LIT("*"));
    require(name[0] != '?' || star || oracle_verb(raw) == SMTP_VERB_UNKNOWN);
    o->hidden = false;
    o->maybe |= oracle_may_tell(raw);
    if (oracle_is_auth(raw)) {
        o->auth = true;
        oracle_auth_line(raw, shown);
        o->hidden = o->text;
        require(!o->text || star);
        (void)oracle_strays(o, raw, shown);
        return;
    }
    if (in.n >= o->line_max && memchr(in.p, '\n', o->line_max) == NULL) {
        require(star && name[0] == '?');
        oracle_long_line(o, span_head(in, o->line_max));
        return;
    }
    if (oracle_strays(o, raw, shown))
        return;
    bool cut = !star && !span_eq(shown, raw);
    require(!cut || oracle_is_cut(raw, shown));
    require(!oracle_tells(shown));
    o->auth |= cut;
    if (o->text && !star) {
        require(oracle_ends_text(raw) || (o->stray && oracle_ends_stray(raw)));
        o->text = o->stray = false;
    }
    oracle_note_due(o, raw, star || cut);
    o->hidden = o->text;
    if (o->auth && oracle_verb(raw) == SMTP_VERB_UNKNOWN)
        require(star && name[0] == '?');
    /* Nothing is hidden without a reason. */
    if (star && !o->text && !o->auth && !o->maybe && !o->chance)
        require(span_eq(raw, SPAN_LIT("*")));
}

/* An argument that may come into a record. */
static void oracle_argument(const struct oracle *o, struct span arg)
{
    require(!o->hidden || span_eq(arg, SPAN_LIT("*")));
    require(!oracle_tells(arg));
}

#endif
