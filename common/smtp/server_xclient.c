/* XCLIENT and XFORWARD of permitted peers (protocol.md X). What they tell is the backend's to apply. */
#include <stdlib.h>

#include "common/smtp/server_impl.h"

/* SMTP_OWN_COUNT: nothing is wrong with it. A line that may be a message's text tells nothing. */
static enum smtp_own check(const struct smtp_server *s, const struct smtp_command *cmd, struct smtp_xattrs *attrs)
{
    bool xclient = cmd->verb == SMTP_VERB_XCLIENT;
    if (!(xclient ? s->may_xclient : s->may_xforward))
        return SMTP_OWN_NOT_PERMITTED;
    if (s->txn != SMTP_TXN_NONE || s->line_masked)
        return SMTP_OWN_IN_TRANSACTION;
    if (!smtp_xattrs_parse(attrs, cmd->arg, xclient ? SMTP_XCLIENT : SMTP_XFORWARD))
        return SMTP_OWN_PARAM_SYNTAX;
    return SMTP_OWN_COUNT;
}

void smtp_server_run_xclient(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    struct smtp_xattrs attrs;
    enum smtp_own bad = check(s, cmd, &attrs);
    if (bad != SMTP_OWN_COUNT)
        smtp_server_own(s, slot, bad);
    else if (cmd->verb == SMTP_VERB_XCLIENT)
        s->ops->xclient(s->owner, slot, &attrs);
    else
        s->ops->xforward(s->owner, slot, &attrs);
}

void smtp_server_forget_hello(struct smtp_server *s)
{
    s->greeted = SMTP_VERB_UNKNOWN;
    s->bound = false;
    free(s->offer.auth);
    s->offer.auth = NULL;
    s->offer.set = 0;
    s->offer.size = s->offer.rcptmax = s->offer.mailmax = 0;
    s->mails = 0;
}
