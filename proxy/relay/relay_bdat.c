/* BDAT: each chunk of the client is one chunk upstream, its octets unchanged; our Received is counted into the first.
 *
 * A chunk goes upstream when the one before it was accepted there. So a server that forgets a refused chunk can't be
 * brought to accept a message with a hole, and LAST is never said of one. Where something goes wrong within a chunk
 * its upstream is dropped with the chunk short: that is no message. */
#include "proxy/relay/relay_impl.h"

/* False: it can't go upstream; what is said instead is known. */
static bool may_go(struct session *s)
{
    if (s->txn == NULL || s->up == NULL) {
        relay_remember_early(s, smtp_reply_own(SMTP_OWN_UPSTREAM_LOST), BY_SMTPTAP);
        return false;
    }
    if (!relay_lacks(s, SMTP_CAP_BIT(CHUNKING)))
        return true;
    relay_remember_early(s, smtp_reply_own(SMTP_OWN_LACKS_EXTENSION), BY_SMTPTAP);
    upstream_quit(&s->up);
    s->up_txn = false;
    return false;
}

/* LAST is the end of data: there must be room for the record. */
static bool may_end(struct session *s)
{
    if (relay_sync_secures(s))
        return true;
    relay_remember_early(s, smtp_reply_own(SMTP_OWN_LOG_BLOCKED), BY_SMTPTAP);
    upstream_drop(&s->up, CLOSE_LIMIT);
    s->up_txn = false;
    return false;
}

/* With our Received it must be a number that BDAT can say. */
static bool fits(struct session *s, uint64_t octets, size_t more)
{
    if (octets <= (uint64_t)INT64_MAX - more)
        return true;
    relay_remember_early(s, smtp_reply_own(SMTP_OWN_MESSAGE_TOO_BIG), BY_SMTPTAP);
    upstream_quit(&s->up);
    s->up_txn = false;
    return false;
}

void relay_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct session *s = owner;
    if (!s->chunks)
        s->body_at = s->w->loop.mono;
    s->chunks = true;
    s->state = RELAY_BODY;
    if (!may_go(s) || (last && !may_end(s)))
        return;
    struct smtp_tag tag = { .slot = slot, .txn = s->txn_number };
    struct buf field;
    buf_init(&field, &s->w->loop.pool);
    relay_print_received(s, &field);
    struct span piece = buf_span(&field);
    if (fits(s, octets, piece.n)) {
        upstream_chunk(s->up, tag, octets + piece.n, last, last ? relay_end_replies(s) : 1);
        if (piece.n > 0)
            upstream_body(s->up, &piece, 1);
    }
    buf_free(&field);
}

void relay_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    const struct smtp_reply *poison = data->poison;
    if (poison == NULL && s->early == NULL) {
        s->state = RELAY_CHUNK;
        return;
    }
    relay_note_message(s, data);
    if (poison == NULL) {
        relay_end_early(s, slot);
        return;
    }
    smtp_server_reply(&s->client.smtp, slot, poison);
    relay_finish(s, STATUS_REJECTED, STAGE_TRANSFER, BY_SMTPTAP, poison);
    relay_has_wasted(s);
}

void relay_anomaly(void *owner, const char *word)
{
    struct session *s = owner;
    if (s->txn != NULL)
        txn_anomaly(s->txn, word);
}

/* A refused chunk ends the transaction. Also for a chunk whose reply is lost: then there is no upstream any more. */
void relay_chunk_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    if (smtp_reply_is(reply, 2)) {
        smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
        return;
    }
    if (s->txn != NULL && s->client.smtp.data != NULL)
        relay_note_message(s, s->client.smtp.data);
    smtp_server_reply(&s->client.smtp, step->tag.slot, reply);
    relay_finish(s, relay_status(reply), STAGE_TRANSFER, s->up != NULL ? BY_UPSTREAM : BY_SMTPTAP, reply);
    if (s->up == NULL)
        return;
    if (reply->code == 421)
        relay_close_after_421(s);
    else
        relay_leave_refuser(s);
}

/* RFC 3030 wants the octets of a refused chunk read away. Whether a server did that can't be known: it may have taken
 * them for commands, and answer those so late that it seems in step, one answer behind, with the next transaction: what
 * it says to RCPT would then accept a message that it refuses. So it gets no other. */
void relay_leave_refuser(struct session *s)
{
    relay_note_waste(s);
    upstream_leave(&s->up);
    s->up_txn = false;
    if (s->bound)
        relay_login_gone(s);
    else if (!relay_has_wasted(s))
        client_run(&s->client); /* an upstream that was left says no more that it is settled */
}
