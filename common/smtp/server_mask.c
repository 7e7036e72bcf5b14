/* What the log may see of a line. After an AUTH line each line may be a secret; after a refused DATA or BDAT each may
 * be the message's text. What is certainly a command is shown, the rest is a star (events.md "Never in a record",
 * protocol.md A15). */
#include <stdio.h>

#include "common/smtp/server_impl.h"

static const char *const mechanisms[] = { "PLAIN",
                                          "LOGIN",
                                          "CRAM-MD5",
                                          "SCRAM-SHA-1",
                                          "SCRAM-SHA-256",
                                          "SCRAM-SHA-1-PLUS",
                                          "SCRAM-SHA-256-PLUS",
                                          "XOAUTH2",
                                          "OAUTHBEARER",
                                          "EXTERNAL",
                                          "DIGEST-MD5",
                                          "GSSAPI",
                                          "NTLM",
                                          "ANONYMOUS" };

const char *smtp_server_mechanism(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
        if (span_eq_nocase(word, span_str(mechanisms[i])))
            return mechanisms[i];
    }
    return NULL;
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

static bool mail_is_well_formed(struct span arg)
{
    static const smtp_cap_set all = ((smtp_cap_set)1 << SMTP_CAP_COUNT) - 1;
    struct smtp_path path;
    struct smtp_mail_params params;
    if (!span_begins_nocase(arg, SPAN_LIT("FROM:")))
        return false;
    arg = span_skip(arg, 5);
    return smtp_path_parse(&path, &arg, SMTP_REVERSE_PATH) == SMTP_PATH_OK && path.strict &&
           smtp_mail_params_parse(&params, arg, all) == SMTP_PARAM_OK;
}

/* A line that ends the suspicion that message text is coming in as commands. */
static bool is_well_formed(const struct smtp_command *cmd)
{
    if (cmd->fault != SMTP_LINE_OK)
        return false;
    if (cmd->verb == SMTP_VERB_RSET || cmd->verb == SMTP_VERB_QUIT)
        return cmd->arg.n == 0;
    if (cmd->verb == SMTP_VERB_EHLO || cmd->verb == SMTP_VERB_HELO || cmd->verb == SMTP_VERB_LHLO)
        return smtp_helo_valid(cmd->arg) && memchr(cmd->arg.p, ' ', cmd->arg.n) == NULL;
    return cmd->verb == SMTP_VERB_MAIL && mail_is_well_formed(cmd->arg);
}

struct span smtp_server_mask(struct smtp_server *s, const struct smtp_command *cmd, const char **verb_name)
{
    struct span shown = cmd->line;
    bool no_command = cmd->verb == SMTP_VERB_UNKNOWN || cmd->fault != SMTP_LINE_OK;
    *verb_name = smtp_verb_name(cmd->verb);
    if (UNLIKELY(smtp_line_is_auth(cmd->line))) {
        s->auth_seen = s->secret = true;
        shown = mask_auth(cmd, verb_name);
    } else if (UNLIKELY(s->auth_seen) && no_command) {
        s->secret = true;
        *verb_name = "?";
        shown = SPAN_LIT("*");
    } else if (UNLIKELY(s->masked) && is_well_formed(cmd)) {
        s->masked = false;
    }
    return s->masked ? SPAN_LIT("*") : shown;
}
