/* What a transaction needs of its upstream's offer, and the search for a server that has it: each server is asked once
 * (protocol.md H9, M10). */
#include <stdio.h>

#include "proxy/relay/balance.h"
#include "proxy/relay/relay_impl.h"

bool relay_lacks(const struct session *s, smtp_cap_set needs)
{
    return s->up != NULL && (needs & ~relay_offer(s)->caps.set) != 0;
}

/* For good only where all servers were asked, and for what the sender wants rather have bounced than sent without. */
enum smtp_own relay_lack_reply(const struct session *s)
{
    smtp_cap_set lacking = s->needs & ~relay_offer(s)->caps.set;
    bool requiretls = lacking & SMTP_CAP_BIT(REQUIRETLS);
    return requiretls && !s->unasked ? SMTP_OWN_REQUIRETLS : SMTP_OWN_LACKS_EXTENSION;
}

void relay_note_lack(struct session *s, size_t server, uint64_t tried)
{
    char text[200];
    smtp_cap_set lacking = s->needs & ~relay_offer(s)->caps.set;
    int n = snprintf(text, sizeof(text), "%s:", record_error_text(ERR_UPSTREAM_LACKS));
    for (unsigned cap = 0; cap < SMTP_CAP_COUNT; cap++) {
        if (lacking >> cap & 1)
            n += snprintf(text + n, sizeof(text) - (size_t)n, " %s", smtp_cap_name((enum smtp_cap)cap));
    }
    trace_error(&s->trace, SIDE_UPSTREAM, s->txn_number, ERR_UPSTREAM_LACKS, "mail",
                s->set->upstream.server[server].text, text);
    if (s->passed == 0)
        s->search_began = s->w->loop.mono;
    s->passed |= tried;
    s->unasked |= tried != 0;
}

static bool may_ask(struct session *s, size_t server)
{
    if (s->passed >> server & 1)
        return false;
    if (!balance_rests(balance_find(s->w->balance, s->set->upstream.server[server].text), s->w->loop.mono))
        return true;
    s->unasked = true;
    return false;
}

bool relay_next_server(struct session *s, size_t server)
{
    size_t servers = s->set->upstream.servers;
    if (s->passed == 0)
        s->search_began = s->w->loop.mono;
    s->passed |= UINT64_C(1) << server;
    bool late = s->w->loop.mono - s->search_began >= s->set->upstream.timeouts.prepare;
    for (size_t k = 1; k < servers; k++) {
        size_t next = (server + k) % servers;
        if (!may_ask(s, next))
            continue;
        if (!late) {
            session_dial_one(s, next);
            return true;
        }
        s->unasked = true;
    }
    return false;
}

bool relay_leave_server(struct session *s)
{
    if (s->bound || !relay_next_server(s, s->server))
        return false;
    upstream_quit(&s->up);
    return true;
}
