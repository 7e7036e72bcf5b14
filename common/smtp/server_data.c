/* The message between 354 and the end of data: scanned, made canonical, its header read, limits held. A message that
 * must not be delivered is poisoned: the rest is read away, and its reply is given at the client's end of data. */
#include <stdlib.h>

#include "common/smtp/server_impl.h"

void smtp_server_data_begin(struct smtp_server *s)
{
    struct smtp_server_data *d = calloc(1, sizeof(*d));
    if (d == NULL)
        abort();
    smtp_body_init(&d->body, s->config.bare_newline);
    d->body.after_bare_lf = s->bare_lf; /* N1: the line end of DATA counts as the first */
    smtp_header_init(&d->header, s->config.headers, s->pool);
    s->data = d;
}

void smtp_server_data_free(struct smtp_server *s)
{
    if (s->data == NULL)
        return;
    smtp_header_free(&s->data->header);
    free(s->data);
    s->data = NULL;
}

void smtp_server_swallow(struct smtp_server *s)
{
    if (s->data != NULL)
        s->data->swallow = true;
}

/* In this order where several rules are broken, whichever was met first: the segments must not decide what is said. */
static enum smtp_own verdict(const struct smtp_server *s)
{
    const struct smtp_server_data *d = s->data;
    const struct smtp_server_config *c = &s->config;
    if (d->body.rejected)
        return SMTP_OWN_BARE_NEWLINE;
    if (c->max_message_size > 0 && d->body.size > c->max_message_size)
        return SMTP_OWN_MESSAGE_TOO_BIG;
    return c->max_received > 0 && d->header.received > c->max_received ? SMTP_OWN_LOOP : SMTP_OWN_COUNT;
}

void smtp_server_check_limits(struct smtp_server *s)
{
    struct smtp_server_data *d = s->data;
    enum smtp_own id = verdict(s);
    if (LIKELY(id == SMTP_OWN_COUNT) || (d->swallow && d->poison == NULL))
        return;
    bool first = d->poison == NULL;
    d->poison = smtp_reply_own(id);
    if (first)
        s->ops->poisoned(s->owner, d->poison);
}

static void end_of_data(struct smtp_server *s, usec_t now)
{
    s->state = SMTP_SERVER_COMMANDS;
    smtp_slot slot = smtp_server_slot_open(s, SMTP_VERB_DATA, s->last_tag, now);
    struct smtp_slot_entry *e = &s->slots[slot & (s->slot_cap - 1)];
    e->end = e->relayed = true;
    s->end_left = s->config.lmtp ? s->rcpt_accepted : 1;
    s->ops->end(s->owner, slot, s->data);
}

size_t smtp_server_data_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    struct smtp_server_data *d = s->data;
    struct smtp_body_out out = { .count = 0 };
    size_t used = smtp_body_scan(&d->body, in, &out);
    for (unsigned i = 0; i < out.count && !d->header.done; i++)
        smtp_header_feed(&d->header, out.piece[i]);
    smtp_server_check_limits(s);
    if (d->poison == NULL && !d->swallow && out.count > 0)
        s->ops->body(s->owner, &out);
    *want = used > 0 ? SMTP_WANT_STEP : SMTP_WANT_INPUT;
    if (d->body.state == SMTP_BODY_ENDED) {
        end_of_data(s, now);
        *want = SMTP_WANT_STEP;
    }
    return used;
}
