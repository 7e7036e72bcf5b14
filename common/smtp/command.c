/* Command lines. Every command passes here, so a verb of four letters (nearly all are) is found by one switch over the
 * word folded into an integer; the few others are compared with the table of names.
 *
 * A line with a fault is taken apart too, for who must guess what will follow it; it is never acted on. */
#include "common/smtp/command.h"

#define SMTP_VERB_NAME(id, name) SPAN_LIT(name),
static const struct span verb_name[] = { SMTP_VERBS(SMTP_VERB_NAME) };
_Static_assert(ARRAY_LEN(verb_name) == SMTP_VERB_COUNT, "a name for each verb");
_Static_assert(SMTP_VERB_TRACE == SMTP_VERB_COUNT - 1, "verbs of other protocols stand last");

#define KEY4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Clearing bit 5 makes letters upper case and turns nothing else into a letter. */
static uint32_t fold4(const char *p)
{
    return KEY4((unsigned char)p[0], (unsigned char)p[1], (unsigned char)p[2], (unsigned char)p[3]) & 0xdfdfdfdfU;
}

/* clang-format off */
static enum smtp_verb find4(const char *p)
{
    switch (fold4(p)) {
    case KEY4('M', 'A', 'I', 'L'): return SMTP_VERB_MAIL;
    case KEY4('R', 'C', 'P', 'T'): return SMTP_VERB_RCPT;
    case KEY4('D', 'A', 'T', 'A'): return SMTP_VERB_DATA;
    case KEY4('B', 'D', 'A', 'T'): return SMTP_VERB_BDAT;
    case KEY4('R', 'S', 'E', 'T'): return SMTP_VERB_RSET;
    case KEY4('N', 'O', 'O', 'P'): return SMTP_VERB_NOOP;
    case KEY4('Q', 'U', 'I', 'T'): return SMTP_VERB_QUIT;
    case KEY4('E', 'H', 'L', 'O'): return SMTP_VERB_EHLO;
    case KEY4('H', 'E', 'L', 'O'): return SMTP_VERB_HELO;
    case KEY4('L', 'H', 'L', 'O'): return SMTP_VERB_LHLO;
    case KEY4('A', 'U', 'T', 'H'): return SMTP_VERB_AUTH;
    case KEY4('V', 'R', 'F', 'Y'): return SMTP_VERB_VRFY;
    case KEY4('E', 'X', 'P', 'N'): return SMTP_VERB_EXPN;
    case KEY4('H', 'E', 'L', 'P'): return SMTP_VERB_HELP;
    case KEY4('E', 'T', 'R', 'N'): return SMTP_VERB_ETRN;
    case KEY4('T', 'U', 'R', 'N'): return SMTP_VERB_TURN;
    case KEY4('S', 'E', 'N', 'D'): return SMTP_VERB_SEND;
    case KEY4('S', 'O', 'M', 'L'): return SMTP_VERB_SOML;
    case KEY4('S', 'A', 'M', 'L'): return SMTP_VERB_SAML;
    case KEY4('P', 'O', 'S', 'T'): return SMTP_VERB_POST;
    case KEY4('H', 'E', 'A', 'D'): return SMTP_VERB_HEAD;
    default: return SMTP_VERB_UNKNOWN;
    }
}
/* clang-format on */

enum smtp_verb smtp_verb_find(struct span word)
{
    if (LIKELY(word.n == 4))
        return find4(word.p);
    for (size_t i = 0; i < SMTP_VERB_COUNT; i++) {
        if (span_eq_nocase(verb_name[i], word))
            return (enum smtp_verb)i;
    }
    return SMTP_VERB_UNKNOWN;
}

const char *smtp_verb_name(enum smtp_verb verb) { return (size_t)verb < SMTP_VERB_COUNT ? verb_name[verb].p : "?"; }

bool smtp_verb_is_foreign(enum smtp_verb verb) { return verb >= SMTP_VERB_GET && verb <= SMTP_VERB_TRACE; }

/* A LF can't be in a line; should a caller's reading of lines differ from ours, it counts as a CR does. */
static enum smtp_line_fault line_fault(struct span line)
{
    if (line.n == 0)
        return SMTP_LINE_EMPTY;
    if (memchr(line.p, '\0', line.n))
        return SMTP_LINE_NUL;
    if (memchr(line.p, '\r', line.n) || memchr(line.p, '\n', line.n))
        return SMTP_LINE_BARE_CR;
    return span_is_blank(line.p[0]) ? SMTP_LINE_LEADING_BLANK : SMTP_LINE_OK;
}

static bool ends_word(char c) { return span_is_blank(c) || c == '\0' || c == '\r' || c == '\n'; }

void smtp_command_parse(struct smtp_command *out, struct span line)
{
    struct span text = span_trim_left(line);
    size_t n = 0;

    while (n < text.n && !ends_word(text.p[n]))
        n++;
    out->fault = line_fault(line);
    out->line = line;
    out->word = span_of(text.p, n);
    out->arg = span_trim(span_skip(text, n));
    out->verb = smtp_verb_find(out->word);
}

/* White space is taken in its widest sense, all of C0: what only looks like a broken AUTH line may hold a password. */
bool smtp_line_is_auth(struct span line)
{
    size_t i = 0;

    while (i < line.n && (unsigned char)line.p[i] <= ' ')
        i++;
    return span_begins_nocase(span_skip(line, i), SPAN_LIT("auth"));
}
