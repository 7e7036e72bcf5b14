/* LMTP on either leg (RFC 2033): one reply at the end of data for each accepted recipient, in order (protocol.md LM).
 *
 * A SMTP client before a LMTP upstream has one recipient a message (LM3: offered as LIMITS RCPTMAX=1), so that one
 * reply says all; a LMTP client before a SMTP upstream gets the one reply for each of its recipients (LM2). */
#include "proxy/relay/relay_impl.h"

const char *relay_protocol(const struct session *s)
{
    static const char *const words[2][2][2] = { { { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
                                                { { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } } };
    bool plain = s->proto_told != NULL ? strcmp(s->proto_told, "SMTP") == 0 : s->helo_verb == SMTP_VERB_HELO;
    if (plain)
        return "SMTP";
    return words[s->helo_verb == SMTP_VERB_LHLO][s->client.smtp.secured][s->logged_in];
}

const char *relay_first_protocol(const struct session *s)
{
    return s->set->server.protocol == PROTOCOL_LMTP ? "LMTP" : "SMTP";
}

static bool is_lmtp(const struct session *s)
{
    return s->set->server.protocol == PROTOCOL_LMTP || s->set->upstream.protocol == PROTOCOL_LMTP;
}

unsigned relay_end_replies(const struct session *s)
{
    return s->set->upstream.protocol == PROTOCOL_LMTP && s->txn != NULL ? txn_rcpt_accepted(s->txn) : 1;
}

/* False: no recipient waits for its reply. */
static bool note_final(struct session *s, const struct smtp_reply *reply, enum txn_by by)
{
    unsigned count = txn_rcpt_count(s->txn);
    while (s->next_final < count && !txn_rcpt_was_accepted(s->txn, s->next_final))
        s->next_final++;
    if (s->next_final >= count)
        return false;
    char hidden[SMTP_HIDDEN_LEN];
    struct smtp_reply shown = trace_shown(&s->trace, reply, hidden);
    txn_rcpt_final(s->txn, s->next_final++, &shown, by);
    s->took |= smtp_reply_is(reply, 2);
    s->put_off |= by == BY_UPSTREAM && smtp_reply_is(reply, 4);
    s->leaving |= reply->code == 421;
    return true;
}

bool relay_final(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    bool last = step->replies == 0;
    if (s->set->upstream.protocol == PROTOCOL_LMTP) {
        (void)note_final(s, reply, BY_UPSTREAM);
    } else if (is_lmtp(s)) {
        while (note_final(s, reply, BY_UPSTREAM))
            ;
    }
    relay_say_final(s, step->tag.slot, reply, last);
    return last;
}

void relay_finals_lost(struct session *s, enum txn_status status, const struct smtp_reply *reply)
{
    while (is_lmtp(s) && note_final(s, reply, BY_SMTPTAP))
        ;
    relay_say_final(s, s->end_slot, reply, true);
    bool leaving = s->leaving;
    if (s->put_off && !s->took)
        relay_finish(s, STATUS_DEFERRED, STAGE_END, BY_UPSTREAM, NULL);
    else
        relay_finish(s, s->took ? STATUS_ACCEPTED : status, STAGE_END, BY_SMTPTAP, reply);
    relay_sync_wait(s);
    if (leaving)
        relay_close_after_421(s);
}
