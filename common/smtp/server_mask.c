/* What the log may see of a line. After an AUTH line each line may be a secret; after a refused DATA or BDAT each may
 * be the message's text. What is certainly a command is shown, the rest is a star (events.md "Never in a record",
 * protocol.md A15).
 *
 * AUTH may be mistyped, or stand behind another verb. A line of another verb is cut behind the word AUTH, or the name
 * of a mechanism, and is an AUTH line where its own verb is none. Not where the word is a name: alone behind EHLO,
 * NOOP, HELP and the like, or inside the path of MAIL and RCPT. */
#include <stdio.h>

#include "common/smtp/server_impl.h"

static const struct span mechanisms[] = {
    SPAN_LIT("PLAIN"),
    SPAN_LIT("LOGIN"),
    SPAN_LIT("CRAM-MD5"),
    SPAN_LIT("SCRAM-SHA-1"),
    SPAN_LIT("SCRAM-SHA-256"),
    SPAN_LIT("SCRAM-SHA-1-PLUS"),
    SPAN_LIT("SCRAM-SHA-256-PLUS"),
    SPAN_LIT("XOAUTH2"),
    SPAN_LIT("OAUTHBEARER"),
    SPAN_LIT("EXTERNAL"),
    SPAN_LIT("DIGEST-MD5"),
    SPAN_LIT("GSSAPI"),
    SPAN_LIT("NTLM"),
    SPAN_LIT("ANONYMOUS"),
};

const char *smtp_server_mechanism(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
        if (span_eq_nocase(word, mechanisms[i]))
            return mechanisms[i].p;
    }
    return NULL;
}

/* "AUTH", or a mechanism's name. */
static bool is_telling(struct span word)
{
    return span_eq_nocase(word, SPAN_LIT("AUTH")) || span_begins_nocase(word, SPAN_LIT("SCRAM-")) ||
           smtp_server_mechanism(word) != NULL;
}

static bool is_blank(char c) { return (unsigned char)c <= ' '; }

static bool ends_word(char c)
{
    static const bool mark[UINT8_MAX + 1] = { [':'] = true, [';'] = true, [','] = true, ['<'] = true, ['>'] = true,
                                              ['('] = true, [')'] = true, ['"'] = true, ['\''] = true };
    return is_blank(c) || mark[(unsigned char)c];
}

/* Takes the next word from *text; empty at the end. */
static struct span next_word(struct span *text)
{
    size_t n = 0;
    while (text->n > 0 && ends_word(text->p[0]))
        *text = span_skip(*text, 1);
    while (n < text->n && !ends_word(text->p[n]))
        n++;
    struct span word = span_head(*text, n);
    *text = span_skip(*text, n);
    return word;
}

/* What stands behind the first telling word of a text, and behind the mechanism if that word is AUTH. False: it has no
 * such word. The word is one if a blank, or the text's end, follows. */
static bool find_telling(struct span text, struct span *behind)
{
    for (struct span word; (word = next_word(&text)).n > 0;) {
        if ((text.n > 0 && !is_blank(text.p[0])) || !is_telling(word))
            continue;
        struct span rest = text;
        if (span_eq_nocase(word, SPAN_LIT("AUTH")) && is_telling(next_word(&rest)))
            text = rest;
        *behind = text;
        return true;
    }
    return false;
}

/* The letters of AUTH in another order. */
static bool is_auth_mistyped(struct span word)
{
    unsigned found = 0;
    for (size_t i = 0; i < word.n; i++) {
        const char *letter = memchr("auth", word.p[i] | 0x20, 4);
        found |= letter != NULL ? 1U << (letter - "auth") : 0;
    }
    return word.n == 4 && found == 0xf;
}

/* A bracket at the end and no blank: the usual MAIL and RCPT. No word is telling without one behind it. */
static bool is_path_alone(struct span arg)
{
    unsigned blanks = 0;
    for (size_t i = 0; i < arg.n; i++)
        blanks += is_blank(arg.p[i]);
    return blanks == 0 && arg.n > 0 && arg.p[arg.n - 1] == '>';
}

/* The part of an argument of MAIL or RCPT that is no path. */
static struct span behind_path(const struct smtp_command *cmd)
{
    bool mail = cmd->verb == SMTP_VERB_MAIL;
    struct span prefix = mail ? SPAN_LIT("FROM:") : SPAN_LIT("TO:"), rest = span_skip(cmd->arg, prefix.n);
    struct smtp_path path;
    bool good = span_begins_nocase(cmd->arg, prefix) &&
                smtp_path_parse(&path, &rest, mail ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH) == SMTP_PATH_OK;
    bool one = good && path.raw.n > 0 && path.raw.p[-1] == '<' && memchr(path.raw.p, ' ', path.raw.n) == NULL;
    return good && (path.strict || one) ? rest : cmd->arg;
}

bool smtp_server_finds_auth(const struct smtp_command *cmd, struct span *behind)
{
    *behind = SPAN_NONE;
    if (cmd->fault != SMTP_LINE_OK || cmd->verb == SMTP_VERB_UNKNOWN)
        return find_telling(cmd->line, behind) || is_auth_mistyped(cmd->word);
    if (is_path_alone(cmd->arg))
        return false;
    if (cmd->verb == SMTP_VERB_MAIL || cmd->verb == SMTP_VERB_RCPT)
        return find_telling(cmd->arg, behind) && find_telling(behind_path(cmd), behind);
    struct span rest = cmd->arg;
    (void)next_word(&rest);
    return rest.n > 0 && find_telling(cmd->arg, behind);
}

/* The line up to there, and a star; what is too long to be anybody's mistake is not shown. */
static struct span cut_line(struct span line, size_t n)
{
    enum { SHOWN_MAX = 512 };
    static _Thread_local char text[SHOWN_MAX + 2];
    if (n > SHOWN_MAX)
        return SPAN_LIT("*");
    memcpy(text, line.p, n);
    text[n] = ' ';
    text[n + 1] = '*';
    return span_of(text, n + 2);
}

static struct span mask_auth(const struct smtp_command *cmd, const char **verb_name)
{
    if (cmd->verb != SMTP_VERB_AUTH || cmd->fault != SMTP_LINE_OK) {
        *verb_name = "?";
        return SPAN_LIT("*");
    }
    if (cmd->arg.n == 0)
        return cmd->line;
    size_t n = 0;
    while (n < cmd->arg.n && !span_is_blank(cmd->arg.p[n]))
        n++;
    const char *mechanism = smtp_server_mechanism(span_head(cmd->arg, n));
    if (mechanism == NULL)
        return SPAN_LIT("AUTH *");
    static _Thread_local char text[64];
    int len = snprintf(text, sizeof(text), n < cmd->arg.n ? "AUTH %s *" : "AUTH %s", mechanism);
    return span_of(text, (size_t)len);
}

/* A line of another verb that has AUTH in it. */
static struct span mask_telling(struct smtp_server *s, const struct smtp_command *cmd, struct span behind)
{
    s->auth_seen = s->secret = true;
    struct span hidden = behind;
    if (next_word(&hidden).n == 0)
        return cmd->line;
    s->line_cut = true;
    return cut_line(cmd->line, (size_t)(behind.p - cmd->line.p));
}

static struct span mask_secrets(struct smtp_server *s, const struct smtp_command *cmd, const char **verb_name)
{
    struct span behind;
    bool no_command = cmd->verb == SMTP_VERB_UNKNOWN || cmd->fault != SMTP_LINE_OK;
    if (UNLIKELY(smtp_line_is_auth(cmd->line))) {
        s->auth_seen = s->secret = true;
        return mask_auth(cmd, verb_name);
    }
    bool found = smtp_server_finds_auth(cmd, &behind);
    if (UNLIKELY(found) && !no_command)
        return mask_telling(s, cmd, behind);
    s->auth_seen |= found;
    if (UNLIKELY(s->auth_seen) && no_command) {
        s->secret = true;
        *verb_name = "?";
        return SPAN_LIT("*");
    }
    return cmd->line;
}

/* Of a line that is shown so. */
static struct span shown_argument(const struct smtp_server *s, const struct smtp_command *cmd, struct span shown)
{
    if (s->masked)
        return SPAN_LIT("*");
    if (!s->line_cut)
        return cmd->arg;
    size_t at = (size_t)(cmd->arg.p - cmd->line.p);
    return shown.n > at ? span_skip(shown, at) : SPAN_LIT("*");
}

struct span smtp_server_mask(struct smtp_server *s, const struct smtp_command *cmd, const char **verb_name)
{
    s->line_cut = false;
    *verb_name = smtp_verb_name(cmd->verb);
    struct span shown = mask_secrets(s, cmd, verb_name);
    if (!s->line_cut && !smtp_line_is_auth(cmd->line))
        smtp_server_text_end(s, cmd);
    bool begins = smtp_server_text_begins(s, cmd);
    s->line_masked = s->masked;
    s->line_arg = shown_argument(s, cmd, shown);
    if (UNLIKELY(begins && !s->auth_seen))
        return smtp_server_text_shown(s, cmd);
    return s->masked ? SPAN_LIT("*") : shown;
}
