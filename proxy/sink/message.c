/* A message that a sink takes: DATA or BDAT, its body, and its end, which is where it is kept or not.
 *
 * Invariants: `end_due` is set from when the end, of the message or of a chunk, was read until it is answered. A
 * chunk's slot is filled behind the steps that fall due with it: that of DATA with the first, the body's with the first
 * that has octets, the end's with the last. */
#include <stdio.h>
#include <string.h>

#include "proxy/sink/sink_impl.h"

static void begin_message(struct session *s)
{
    s->body = sink_rules_meet(&s->sink->rules, SINK_BODY);
    s->body_due = s->body.delay > 0 || s->body.rule != NULL;
    sink_make_id(s->sink, s->id);
    if (s->sink->store >= 0)
        sink_file_begin(&s->file, s->sink->store, s->id, &s->w->loop.pool);
    s->file.raw = s->chunks;
}

/* The chunk was read: what is left of its steps. */
static void go_on_with_chunk(struct session *s)
{
    if (s->data_due) {
        s->data_due = false;
        sink_begin(s, SINK_DATA, s->end_slot, s->data);
    } else if (s->chunk_last) {
        sink_step(s, SINK_END, s->end_slot);
    } else {
        s->end_due = false;
        smtp_server_own(&s->client.smtp, s->end_slot, SMTP_OWN_OK);
    }
}

/* A refused chunk ends the message (RFC 3030). */
static void answer_chunk(struct session *s, const struct smtp_reply *told)
{
    if (told == NULL || smtp_reply_is(told, 2)) {
        go_on_with_chunk(s);
        return;
    }
    sink_forget_message(s);
    sink_answer(s, told);
}

void sink_answer_data(struct session *s, const struct smtp_reply *told)
{
    const struct smtp_reply *reply = told != NULL ? told : smtp_reply_own(SMTP_OWN_START_MAIL);
    if (s->chunks) {
        answer_chunk(s, told);
        return;
    }
    if (reply->code == 354)
        begin_message(s);
    else
        sink_forget_message(s);
    sink_answer(s, reply);
}

/* True: it is kept, or isn't to be. */
static bool keep(struct session *s, uint64_t size)
{
    struct buf envelope;
    struct sink_sidecar about = {
        .id = s->id, .host = s->trace.host, .helo = s->helo, .size = size, .real = s->w->loop.real
    };
    if (s->sink->store < 0)
        return true;
    buf_init(&envelope, &s->w->loop.pool);
    sink_envelope_print(&s->envelope, &about, &envelope);
    bool kept = sink_file_commit(&s->file, buf_span(&envelope));
    buf_free(&envelope);
    return kept;
}

static void report(struct session *s, uint64_t size, bool accepted)
{
    struct sink_message m = { .id = s->id,
                              .client = s->trace.host,
                              .mail_from = sink_envelope_sender(&s->envelope),
                              .rcpt_to = sink_envelope_first_rcpt(&s->envelope),
                              .rcpt_count = s->envelope.rcpts,
                              .size = size,
                              .accepted = accepted,
                              .real = s->w->loop.real };
    s->client.totals.messages += accepted;
    sink_report(s->sink, s->w, &m);
}

void sink_answer_end(struct session *s, const struct smtp_reply *told)
{
    char text[160];
    const struct smtp_server_data *data = s->client.smtp.data;
    uint64_t size = data->body.size;
    const struct smtp_reply *bad = data->poison != NULL ? data->poison : told;
    bool accepted = (bad == NULL || smtp_reply_is(bad, 2)) && keep(s, size);
    int n = snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as %s\r\n", s->id);
    bool failed = !accepted && (bad == NULL || smtp_reply_is(bad, 2));
    if (failed)
        n = snprintf(text, sizeof(text), "452 4.3.1 The message can't be stored: %s\r\n", strerror(s->file.error));
    struct smtp_reply own = smtp_reply_read(span_of(text, (size_t)n));
    report(s, size, accepted);
    sink_forget_message(s);
    sink_answer(s, bad != NULL && !failed ? bad : &own);
}

/* The steps of the end: of the data, or of a chunk. */
static void finish_part(struct session *s)
{
    if (s->chunks)
        go_on_with_chunk(s);
    else
        sink_step(s, SINK_END, s->end_slot);
}

void sink_act_body(struct session *s, const struct smtp_reply *told)
{
    if (told != NULL)
        client_bye(&s->client, told, CLOSE_POLICY);
    else if (s->end_due)
        finish_part(s);
}

void sink_on_data(void *owner, smtp_slot slot)
{
    struct session *s = owner;
    sink_step(s, SINK_DATA, slot);
}

void sink_on_body(void *owner, const struct smtp_body_out *pieces)
{
    struct session *s = owner;
    if (s->file.fd >= 0) {
        for (unsigned i = 0; i < pieces->count; i++)
            sink_file_add(&s->file, pieces->piece[i]);
    }
    if (!s->body_due)
        return;
    s->body_due = false;
    sink_begin(s, SINK_BODY, 0, s->body);
}

void sink_on_poisoned(void *owner, const struct smtp_reply *reply)
{
    struct session *s = owner;
    (void)reply;
    sink_file_discard(&s->file);
}

void sink_on_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    (void)data;
    if (!sink_is_open(s) || (s->hung && s->stage == SINK_BODY))
        return;
    s->end_due = true;
    s->end_slot = slot;
    if (s->body_due) { /* a message without a body */
        s->body_due = false;
        sink_begin(s, SINK_BODY, 0, s->body);
    } else if (!s->waiting) {
        finish_part(s);
    }
}

void sink_on_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct session *s = owner;
    (void)slot;
    (void)octets;
    s->chunk_last = last;
    if (s->chunks)
        return;
    s->chunks = s->data_due = true;
    s->data = sink_rules_meet(&s->sink->rules, SINK_DATA);
    begin_message(s);
}

/* A chunk without an octet of the message leaves its body's step to the next. */
void sink_on_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct session *s = owner;
    if (!sink_is_open(s) || (s->hung && s->stage == SINK_BODY))
        return;
    if (data->poison != NULL) {
        const struct smtp_reply *poison = data->poison;
        sink_forget_message(s);
        smtp_server_reply(&s->client.smtp, slot, poison);
        return;
    }
    s->end_due = true;
    s->end_slot = slot;
    if (!s->waiting)
        finish_part(s);
}
