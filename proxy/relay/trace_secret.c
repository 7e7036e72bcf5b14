/* What a server was told in a login it may repeat in any reply of any connection, long after what was said has been
 * wiped here. Sessions that told nothing pay nothing. */
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

bool trace_is_secret(const struct trace *t, struct span text)
{
    return (t->prints != NULL && smtp_prints_found(t->prints, text)) ||
           (t->own_prints != NULL && smtp_prints_found(t->own_prints, text));
}

struct smtp_reply trace_shown(const struct trace *t, const struct smtp_reply *reply, char out[SMTP_HIDDEN_LEN])
{
    return UNLIKELY(trace_is_secret(t, reply->wire)) ? smtp_reply_hidden(reply, out) : *reply;
}
