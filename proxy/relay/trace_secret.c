/* What a server was told in a login it may repeat in any reply of any connection, long after what was said has been
 * wiped here; and it may call a mailbox of the session by its local part. Sessions that told nothing pay nothing. */
#include "common/record/mailboxes.h"
#include "common/smtp/path.h"
#include "common/smtp/prints.h"
#include "proxy/relay/auth_backends.h"
#include "proxy/relay/trace.h"

void trace_remember(struct trace *t, struct span mechanism, unsigned step, struct span response)
{
    unsigned char key[SMTP_PRINT_KEY];
    if (t->prints == NULL) {
        auth_random(key, sizeof(key));
        t->prints = smtp_prints_new(key);
    }
    smtp_prints_add_response(t->prints, mechanism, step, response);
}

/* Names of the last transactions are kept, for what is still to be said of them. */
enum { MAILBOXES_MAX = 1024 };

void trace_begins(struct trace *t)
{
    if (t->mailboxes != NULL && mailboxes_count(t->mailboxes) > MAILBOXES_MAX)
        mailboxes_clear(t->mailboxes);
}

void trace_mailbox(struct trace *t, const struct smtp_path *path)
{
    if (path == NULL || path->raw.n == 0 || t->quiet || !logger_hides_addresses(t->log))
        return;
    if (t->mailboxes == NULL)
        t->mailboxes = mailboxes_new();
    mailboxes_keep(t->mailboxes, path->raw);
}

bool trace_is_secret(const struct trace *t, struct span text)
{
    return (t->prints != NULL && smtp_prints_found(t->prints, text)) ||
           (t->own_prints != NULL && smtp_prints_found(t->own_prints, text));
}

struct smtp_reply trace_shown(const struct trace *t, const struct smtp_reply *reply, char out[SMTP_HIDDEN_LEN])
{
    return UNLIKELY(trace_is_secret(t, reply->wire)) ? smtp_reply_hidden(reply, out) : *reply;
}
