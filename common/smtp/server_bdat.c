/* BDAT (RFC 3030): a message in chunks whose octets are counted, so that nothing in them can end them or be a command.
 *
 *   NONE --chunk--> BEGUN --chunk with LAST--> its reply --> NONE
 *                     |  any chunk refused --> FAILED --LAST, RSET, HELO, a new MAIL--> NONE
 *
 * Invariants: a chunk is read away before it is answered, whatever the answer; it begins only when all commands before
 * it are answered, so that a message with a hole can never be completed; `skip` octets of it are still to come. */
#include "common/smtp/server_impl.h"

/* "n" or "n LAST", n at most 2^63-1; false: the chunk's border is unknown (B7). */
static bool read_count(struct span arg, uint64_t *count, bool *last)
{
    size_t i = 0;
    *count = 0;
    for (; i < arg.n && arg.p[i] >= '0' && arg.p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(arg.p[i] - '0');
        if (*count > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        *count = *count * 10 + digit;
    }
    if (i == 0)
        return false;
    struct span rest = span_skip(arg, i);
    *last = rest.n > 0;
    return rest.n == 0 || (span_is_blank(rest.p[0]) && span_eq_nocase(span_trim(rest), SPAN_LIT("LAST")));
}

/* B7: where the chunk ends is not known, so nothing behind this line can be read. */
void smtp_server_refuse_bdat(struct smtp_server *s)
{
    const struct smtp_reply *reply = smtp_reply_own(SMTP_OWN_BDAT_SYNTAX);
    s->masked = true;
    smtp_server_close(s, reply, SMTP_CLOSE_PROTOCOL);
    smtp_server_abandon(s, SMTP_ABANDON_DATA, reply);
}

static bool is_too_big(const struct smtp_server *s, uint64_t octets)
{
    uint64_t max = s->config.max_message_size, had = s->data != NULL ? s->data->body.size : 0;
    return max > 0 && (had > max || octets > max - had);
}

/* SMTP_OWN_COUNT where the chunk goes upstream. */
static enum smtp_own check_chunk(const struct smtp_server *s, uint64_t octets)
{
    if (!(s->offer.set & SMTP_CAP_BIT(CHUNKING)))
        return SMTP_OWN_DISABLED;
    if (s->bdat == SMTP_BDAT_FAILED)
        return SMTP_OWN_BDAT_FAILED;
    if (s->txn == SMTP_TXN_NONE)
        return smtp_server_need_mail(s);
    enum smtp_own bad = smtp_server_check_rcpt(s);
    if (bad != SMTP_OWN_COUNT)
        return bad;
    return is_too_big(s, octets) ? SMTP_OWN_MESSAGE_TOO_BIG : SMTP_OWN_COUNT;
}

/* All octets of the chunk were read. */
static void end_chunk(struct smtp_server *s)
{
    s->state = SMTP_SERVER_COMMANDS;
    if (s->chunk_last)
        s->ops->end(s->owner, s->skip_slot, s->data);
    else
        s->ops->chunk_end(s->owner, s->skip_slot, s->data);
}

static void begin_chunk(struct smtp_server *s, smtp_slot slot)
{
    struct smtp_slot_entry *e = smtp_server_slot(s, slot);
    e->relayed = true;
    e->end = s->chunk_last;
    s->end_left = s->chunk_last && s->config.lmtp ? s->rcpt_accepted : 1;
    if (s->data == NULL)
        smtp_server_data_begin(s);
    s->bdat = SMTP_BDAT_BEGUN;
    s->state = SMTP_SERVER_CHUNK;
    s->ops->chunk(s->owner, slot, s->skip, s->chunk_last);
    if (s->skip == 0 && s->state == SMTP_SERVER_CHUNK)
        end_chunk(s);
}

void smtp_server_bdat(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot, enum smtp_own bad)
{
    if (!read_count(cmd->arg, &s->skip, &s->chunk_last)) {
        smtp_server_refuse_bdat(s);
        return;
    }
    s->skip_slot = slot;
    s->skip_reply = bad != SMTP_OWN_COUNT ? bad : check_chunk(s, s->skip);
    if (s->skip_reply == SMTP_OWN_COUNT) {
        begin_chunk(s, slot);
        return;
    }
    s->state = SMTP_SERVER_SKIP_CHUNK;
    if (s->skip_reply == SMTP_OWN_BDAT_FAILED && s->txn != SMTP_TXN_NONE && s->ops->anomaly != NULL)
        s->ops->anomaly(s->owner, "bdat_after_error");
}

size_t smtp_server_bdat_step(struct smtp_server *s, struct span in, enum smtp_server_want *want)
{
    struct smtp_server_data *d = s->data;
    struct smtp_body_out out = { .count = 1 };
    out.piece[0] = span_head(in, s->skip < in.n ? (size_t)s->skip : in.n);
    size_t n = out.piece[0].n;
    *want = SMTP_WANT_INPUT;
    if (n == 0)
        return 0;
    s->skip -= n;
    smtp_body_pass(&d->body, out.piece[0]);
    if (!d->header.done)
        smtp_header_feed(&d->header, out.piece[0]);
    smtp_server_check_limits(s);
    if (d->poison == NULL && !d->swallow)
        s->ops->body(s->owner, &out);
    if (s->skip > 0)
        return n;
    *want = SMTP_WANT_STEP;
    if (s->state == SMTP_SERVER_CHUNK)
        end_chunk(s);
    return n;
}

/* LMTP: the end of a message has an answer for each recipient, also where the answer is our own. */
static void answer_refused(struct smtp_server *s, const struct smtp_reply *reply)
{
    bool each = s->chunk_last && s->config.lmtp && s->txn != SMTP_TXN_NONE && reply->code != 503 &&
                s->skip_reply != SMTP_OWN_DISABLED;
    struct smtp_slot_entry *e = smtp_server_slot(s, s->skip_slot);
    e->end = each;
    s->end_left = each && s->rcpt_accepted > 0 ? s->rcpt_accepted : 1;
    smtp_server_reply(s, s->skip_slot, reply);
}

/* The chunk of a BDAT that is refused: its octets are never commands (B1). */
size_t smtp_server_skip_chunk(struct smtp_server *s, struct span in, enum smtp_server_want *want)
{
    size_t n = in.n < s->skip ? in.n : (size_t)s->skip;
    s->skip -= n;
    *want = SMTP_WANT_INPUT;
    if (s->skip > 0)
        return n;
    s->state = SMTP_SERVER_COMMANDS;
    *want = SMTP_WANT_STEP;
    const struct smtp_reply *reply = smtp_server_words(s, s->skip_reply);
    s->masked = true;
    answer_refused(s, reply);
    if (reply->code != 503)
        smtp_server_abandon(s, SMTP_ABANDON_DATA, reply);
    s->bdat = s->chunk_last ? SMTP_BDAT_NONE : SMTP_BDAT_FAILED;
    return n;
}

void smtp_server_bdat_concluded(struct smtp_server *s, bool last, bool ok)
{
    s->masked |= !ok;
    if (ok && !last)
        return;
    s->txn = SMTP_TXN_NONE;
    s->bdat = last ? SMTP_BDAT_NONE : SMTP_BDAT_FAILED;
    smtp_server_data_free(s);
}
