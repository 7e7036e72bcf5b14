/* Upstream connections that are given up for what the client does: another HELO name where the upstream was told of the
 * one before, a message that must not be completed, a chunk that was refused. A server bounds what one connection may
 * do; so that nobody escapes that by having us take a new one each time, a session has its fill of them too.
 *
 * Invariant: `wasted` counts since the last message that was accepted, or the last XCLIENT: behind that it is another
 * client's session. */
#include "proxy/relay/relay_impl.h"

enum { WASTED_MAX = 10 };

void relay_note_waste(struct session *s) { s->wasted += s->up != NULL; }

bool relay_has_wasted(struct session *s)
{
    if (LIKELY(s->wasted <= WASTED_MAX) || s->client_gone)
        return false;
    trace_error(&s->trace, SIDE_CLIENT, 0, ERR_UPSTREAM_WASTED, NULL, NULL, NULL);
    s->helo_open = false;
    client_bye(&s->client, smtp_reply_own(SMTP_OWN_UPSTREAM_WASTED), CLOSE_LIMIT);
    return true;
}
