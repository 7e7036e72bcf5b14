/* Message text that comes in as commands: behind DATA or BDAT that was refused, behind a mistyped DATA, behind a chunk
 * whose octets were counted short, behind a line of the text that ended it. From the first RCPT or BDAT on a line that
 * is no command may be such text; the first one is masked but for its verb, where that is a verb mistyped, for that is
 * what a person looks for. How it ends: by what no text has by chance where DATA or BDAT was refused, for then text is
 * sure to come; else by any command that is whole. */
#include "common/smtp/server_impl.h"

static const smtp_cap_set every_cap = ((smtp_cap_set)1 << SMTP_CAP_COUNT) - 1;

/* Takes the path behind the prefix; lenient: one without <> too, if it has no blank. */
static bool take_path(struct span *arg, struct span prefix, enum smtp_path_kind kind, bool lenient)
{
    struct smtp_path path;
    if (!span_begins_nocase(*arg, prefix))
        return false;
    *arg = span_skip(*arg, prefix.n);
    return smtp_path_parse(&path, arg, kind) == SMTP_PATH_OK &&
           (path.strict || (lenient && memchr(path.raw.p, ' ', path.raw.n) == NULL));
}

static bool is_whole_mail(struct span arg, bool lenient)
{
    struct smtp_mail_params params;
    return take_path(&arg, SPAN_LIT("FROM:"), SMTP_REVERSE_PATH, lenient) &&
           smtp_mail_params_parse(&params, arg, every_cap) == SMTP_PARAM_OK;
}

static bool is_whole_rcpt(struct span arg, bool lenient)
{
    struct smtp_rcpt_params params;
    return take_path(&arg, SPAN_LIT("TO:"), SMTP_FORWARD_PATH, lenient) &&
           smtp_rcpt_params_parse(&params, arg, every_cap) == SMTP_PARAM_OK;
}

static bool ends_any(const struct smtp_command *cmd)
{
    if (cmd->fault != SMTP_LINE_OK)
        return false;
    if (cmd->verb == SMTP_VERB_RSET || cmd->verb == SMTP_VERB_QUIT)
        return cmd->arg.n == 0;
    if (cmd->verb == SMTP_VERB_EHLO || cmd->verb == SMTP_VERB_HELO || cmd->verb == SMTP_VERB_LHLO)
        return smtp_helo_valid(cmd->arg) && memchr(cmd->arg.p, ' ', cmd->arg.n) == NULL;
    return cmd->verb == SMTP_VERB_MAIL && is_whole_mail(cmd->arg, false);
}

/* Nothing that a client may say between messages is left out: what is masked is not done in all its ways. */
static bool ends_stray(const struct smtp_server *s, const struct smtp_command *cmd)
{
    bool lenient = s->config.lenient_addresses;
    if (cmd->fault != SMTP_LINE_OK)
        return false;
    if (cmd->verb == SMTP_VERB_DATA || cmd->verb == SMTP_VERB_NOOP || cmd->verb == SMTP_VERB_STARTTLS)
        return cmd->arg.n == 0;
    if (cmd->verb == SMTP_VERB_ETRN)
        return cmd->arg.n > 0 && memchr(cmd->arg.p, ' ', cmd->arg.n) == NULL;
    if (cmd->verb == SMTP_VERB_XCLIENT || cmd->verb == SMTP_VERB_XFORWARD)
        return true;
    return (cmd->verb == SMTP_VERB_MAIL && is_whole_mail(cmd->arg, lenient)) ||
           (cmd->verb == SMTP_VERB_RCPT && is_whole_rcpt(cmd->arg, lenient));
}

/* A word of the text that is a verb too: with more behind it than the verb may have. */
static bool is_prose(const struct smtp_command *cmd)
{
    static const uint32_t alone = 1U << SMTP_VERB_DATA | 1U << SMTP_VERB_RSET | 1U << SMTP_VERB_NOOP |
                                  1U << SMTP_VERB_QUIT | 1U << SMTP_VERB_HELP | 1U << SMTP_VERB_TURN |
                                  1U << SMTP_VERB_SEND | 1U << SMTP_VERB_SOML | 1U << SMTP_VERB_SAML |
                                  1U << SMTP_VERB_STARTTLS;
    if (cmd->verb == SMTP_VERB_UNKNOWN || cmd->fault != SMTP_LINE_OK)
        return true;
    return cmd->arg.n > 0 && (smtp_verb_is_foreign(cmd->verb) || (alone & 1U << cmd->verb) != 0);
}

static bool announces(const struct smtp_command *cmd)
{
    return cmd->verb == SMTP_VERB_DATA || cmd->verb == SMTP_VERB_BDAT;
}

void smtp_server_text_end(struct smtp_server *s, const struct smtp_command *cmd)
{
    if (LIKELY(s->text_due == SMTP_TEXT_NOT_DUE && !s->masked && cmd->verb != SMTP_VERB_RCPT &&
               cmd->verb != SMTP_VERB_BDAT))
        return;
    bool all = ends_any(cmd), stray = s->text_stray && ends_stray(s, cmd);
    if (announces(cmd) || all || stray)
        s->text_stray = false;
    s->masked &= !all && !stray;
    if (all && (cmd->verb != SMTP_VERB_MAIL || s->txn == SMTP_TXN_NONE))
        s->text_due = SMTP_TEXT_NOT_DUE;
    if (cmd->fault == SMTP_LINE_OK && !s->masked && cmd->verb == SMTP_VERB_RCPT && s->text_due == SMTP_TEXT_NOT_DUE)
        s->text_due = SMTP_TEXT_DUE;
    if (cmd->fault == SMTP_LINE_OK && cmd->verb == SMTP_VERB_BDAT)
        s->text_due = SMTP_TEXT_REST;
}

bool smtp_server_text_begins(struct smtp_server *s, const struct smtp_command *cmd)
{
    bool no_command = cmd->verb == SMTP_VERB_UNKNOWN || cmd->fault != SMTP_LINE_OK;
    s->text_stray &= !announces(cmd);
    if (LIKELY(s->text_due == SMTP_TEXT_NOT_DUE || s->masked))
        return false;
    if (!(s->text_due == SMTP_TEXT_REST ? is_prose(cmd) : no_command))
        return false;
    s->masked = true;
    s->text_stray = !announces(cmd);
    return true;
}

/* One octet too many, too few, or another one; or two that changed places. */
static bool is_mistyped(struct span word, struct span verb)
{
    size_t head = 0, tail = 0, least = min_size(word.n, verb.n), most = max_size(word.n, verb.n);
    while (head < least && (word.p[head] & ~0x20) == verb.p[head])
        head++;
    while (tail < least - head && (word.p[word.n - 1 - tail] & ~0x20) == verb.p[verb.n - 1 - tail])
        tail++;
    size_t differ = most - head - tail;
    return differ <= 1 || (differ == 2 && least == most && (word.p[head] & ~0x20) == verb.p[head + 1] &&
                           (word.p[head + 1] & ~0x20) == verb.p[head]);
}

struct span smtp_server_text_shown(const struct smtp_server *s, const struct smtp_command *cmd)
{
    enum { WORD_MAX = 9 };
    static _Thread_local char text[WORD_MAX + 2];
    size_t n = cmd->word.n;
    if (s->text_due == SMTP_TEXT_REST || cmd->fault != SMTP_LINE_OK || n > WORD_MAX)
        return SPAN_LIT("*");
    for (unsigned v = 0; v < SMTP_VERB_PROXY; v++) {
        if (!is_mistyped(cmd->word, span_str(smtp_verb_name((enum smtp_verb)v))))
            continue;
        if (cmd->arg.n == 0)
            return cmd->word;
        memcpy(text, cmd->word.p, n);
        memcpy(text + n, " *", 2);
        return span_of(text, n + 2);
    }
    return SPAN_LIT("*");
}
