/* log.sync: the replies that accept a message wait until its record is safe (promise 4). The record is made first, as
 * things stand then; so whatever becomes of the client meanwhile, it is true. What is refused waits for nothing, but
 * LMTP's replies behind one that waits keep their order.
 *
 * Nobody waits longer than PATIENCE: the upstream has the message, and without an answer it would come a second time.
 * For the same reason a reply that waits when the program has no more time leaves. */
#include <stdlib.h>

#include "proxy/relay/relay_impl.h"

enum { PATIENCE = 10 * USEC_PER_SEC };
/* More than a record of one recipient has, but for strange ones. */
enum { ROOM_RCPT_MOST = 2048 };

struct held_reply {
    struct list node;
    bool last; /* of the end of data */
    size_t len;
    char wire[];
};

struct sync_wait {
    struct list node; /* the worker's, in the order of the tickets */
    struct timer timer;
    struct session *s;
    smtp_slot slot;
    struct list replies;
    uint64_t missed; /* records lost before the message's was made */
    struct log_ticket ticket;
    enum sync_end end;
};

bool relay_sync_secures(const struct session *s)
{
    const struct logger *l = s->trace.log;
    if (LIKELY(!logger_syncs(l)) || s->trace.quiet || s->txn == NULL)
        return true;
    return logger_secures(s->trace.log, s->settings->log.max_record + txn_rcpt_count(s->txn) * ROOM_RCPT_MOST);
}

static void on_patience(struct timer *t);

static struct sync_wait *wait_new(struct session *s, smtp_slot slot)
{
    struct sync_wait *w = calloc(1, sizeof(*w));
    if (w == NULL)
        abort();
    w->s = s;
    w->slot = slot;
    w->missed = logger_missed(s->trace.log);
    list_init(&w->node);
    list_init(&w->replies);
    timer_init(&w->timer, on_patience);
    return w;
}

static void hold(struct sync_wait *w, const struct smtp_reply *reply, bool last)
{
    struct held_reply *h = malloc(sizeof(*h) + reply->wire.n);
    if (h == NULL)
        abort();
    h->last = last;
    h->len = reply->wire.n;
    memcpy(h->wire, reply->wire.p, h->len);
    list_append(&w->replies, &h->node);
}

static void say(struct session *s, smtp_slot slot, const struct smtp_reply *reply, bool last)
{
    if (last)
        smtp_server_reply(&s->client.smtp, slot, reply);
    else
        smtp_server_reply_one(&s->client.smtp, slot, reply);
}

void relay_say_final(struct session *s, smtp_slot slot, const struct smtp_reply *reply, bool last)
{
    bool waits = logger_syncs(s->trace.log) && !s->trace.quiet && !s->client_gone;
    if (LIKELY(!waits) || (s->sync == NULL && !smtp_reply_is(reply, 2))) {
        say(s, slot, reply, last);
        return;
    }
    if (s->sync == NULL)
        s->sync = wait_new(s, slot);
    hold(s->sync, reply, last);
}

/* Says (or, without the client, forgets) what was held. */
static void wait_free(struct session *s, bool told)
{
    struct sync_wait *w = s->sync;
    struct list *first;
    s->sync = NULL;
    list_remove(&w->node);
    timer_clear(&w->timer);
    while ((first = list_first(&w->replies)) != NULL) {
        struct held_reply *h = LIST_ENTRY(first, struct held_reply, node);
        list_remove(first);
        struct smtp_reply reply = smtp_reply_read(span_of(h->wire, h->len));
        if (told)
            say(s, w->slot, &reply, h->last);
        free(h);
    }
    free(w);
}

static void release(struct session *s)
{
    enum sync_end end = s->sync->end;
    wait_free(s, true);
    if (end == SYNC_END_421)
        client_end(&s->client, CLOSE_UPSTREAM);
    else if (end == SYNC_END_LOGIN)
        relay_login_gone(s);
    else
        client_run(&s->client);
}

void relay_sync_wait(struct session *s)
{
    struct sync_wait *w = s->sync;
    if (LIKELY(w == NULL))
        return;
    loop_timer(&s->w->loop, &w->timer, PATIENCE);
    if (logger_missed(s->trace.log) != w->missed)
        return;
    logger_draw(s->trace.log, &w->ticket);
    list_append(&s->w->waits, &w->node);
    logger_await(s->trace.log);
}

bool relay_sync_ends(struct session *s, enum sync_end end)
{
    if (s->sync == NULL)
        return false;
    if (s->sync->end == SYNC_END_NONE)
        s->sync->end = end;
    return true;
}

void relay_sync_served(struct worker *worker)
{
    struct list *first;
    while ((first = list_first(&worker->waits)) != NULL) {
        struct sync_wait *w = LIST_ENTRY(first, struct sync_wait, node);
        switch (logger_fate(worker->logger, &w->ticket)) {
        case LOG_WAITING:
            logger_await(worker->logger);
            return;
        case LOG_UNSAFE:
            list_remove(&w->node);
            break;
        case LOG_SAFE:
            release(w->s);
            break;
        }
    }
}

void relay_sync_give_up(struct session *s)
{
    if (s->sync == NULL)
        return;
    trace_error(&s->trace, SIDE_CLIENT, s->txn_number, ERR_SYNC_FAILED, "end", NULL, NULL);
    release(s);
}

static void on_patience(struct timer *t)
{
    struct sync_wait *w = CONTAINER_OF(t, struct sync_wait, timer);
    relay_sync_give_up(w->s);
}

void relay_sync_forget(struct session *s)
{
    if (s->sync != NULL)
        wait_free(s, false);
}
