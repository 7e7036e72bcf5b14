/* Replies come in the order of the steps, so the first sent step is always the one that a reply belongs to.
 *
 * Nothing is sent while there is input to read: what came before a step was sent can't be its reply, so a server's
 * surplus reply meets no open step and is found out (U8).
 *
 * Invariants: sent steps stand before unsent ones; `open` counts the sent; in BODY nothing is open, in CHUNK the BDAT
 * alone. */
#include "common/smtp/client.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/smtp/secret.h"

static struct smtp_step *first_step(const struct smtp_client *c)
{
    struct list *first = list_first(&c->steps);
    return first ? LIST_ENTRY(first, struct smtp_step, node) : NULL;
}

void smtp_client_init(struct smtp_client *c, const char *hostname, const struct smtp_client_ops *ops, void *owner,
                      struct buf_pool *pool, usec_t now)
{
    *c = (struct smtp_client){ .ops = ops, .owner = owner, .hostname = hostname };
    list_init(&c->steps);
    smtp_reply_parser_init(&c->parser, pool);
    struct smtp_step *greeting = smtp_step_new(SMTP_STEP_GREETING, (struct smtp_tag){ 0 }, SPAN_NONE);
    greeting->since = now;
    greeting->sent = true;
    c->open = 1;
    list_append(&c->steps, &greeting->node);
}

static void forget_told(struct smtp_client *c)
{
    if (c->told != NULL)
        smtp_step_free(c->told);
    c->told = NULL;
}

/* It was answered. */
static void retire(struct smtp_client *c, struct smtp_step *step)
{
    forget_told(c);
    c->told_secret = smtp_step_is_secret(step);
    if (c->told_secret)
        c->told = step;
    else
        smtp_step_free(step);
}

void smtp_client_free(struct smtp_client *c)
{
    smtp_steps_free(&c->steps);
    forget_told(c);
    smtp_reply_parser_free(&c->parser);
}

static void step_send(struct smtp_client *c, struct smtp_step *step, struct buf *out, usec_t now)
{
    step->sent = true;
    step->since = now;
    c->open++;
    if (step->kind == SMTP_STEP_RESPONSE)
        c->state = SMTP_CLIENT_READY;
    buf_append(out, step->text, step->len);
    buf_append(out, "\r\n", 2);
    c->ops->command(c->owner, step);
}

static bool is_handshake(enum smtp_step_kind kind)
{
    return kind == SMTP_STEP_EHLO || kind == SMTP_STEP_HELO || kind == SMTP_STEP_STARTTLS || kind == SMTP_STEP_XCLIENT;
}

/* An exchange is under way: its 334 must find nothing said behind it. */
static bool in_exchange(const struct smtp_client *c)
{
    const struct smtp_step *first = smtp_client_waiting(c);
    return first != NULL && smtp_step_is_secret(first);
}

/* Whether a step may be written now: the handshake first, then in groups where the server can take them. */
static bool may_send(const struct smtp_client *c, const struct smtp_step *step)
{
    bool handshake = is_handshake(step->kind);
    if (step->kind == SMTP_STEP_RESPONSE)
        return c->state == SMTP_CLIENT_AUTH && c->open == 0;
    if (UNLIKELY(step->kind == SMTP_STEP_AUTH || in_exchange(c)))
        return c->state == SMTP_CLIENT_READY && c->open == 0;
    if (c->state != SMTP_CLIENT_READY && !handshake)
        return false;
    return c->open == 0 || (c->pipelining && !handshake);
}

static void push(struct smtp_client *c, struct buf *out, usec_t now)
{
    for (struct list *n = c->steps.next; n != &c->steps; n = n->next) {
        struct smtp_step *step = LIST_ENTRY(n, struct smtp_step, node);
        if (step->sent)
            continue;
        if (!may_send(c, step))
            return;
        step_send(c, step, out, now);
    }
}

void smtp_client_add(struct smtp_client *c, struct smtp_step *step, struct buf *out, usec_t now)
{
    if (step->kind == SMTP_STEP_RESPONSE)
        list_insert_before(c->steps.next, &step->node);
    else
        list_append(&c->steps, &step->node);
    if (!c->unread)
        push(c, out, now);
}

/* Bytes of a reply that has not ended. */
static bool reply_begun(const struct smtp_client *c) { return !c->parser.delivered && !buf_empty(&c->parser.partial); }

void smtp_client_end(struct smtp_client *c, struct smtp_tag tag, unsigned replies, struct buf *out, usec_t now)
{
    assert(c->state == SMTP_CLIENT_BODY && c->open == 0);
    struct smtp_step *step = smtp_step_new(SMTP_STEP_END, tag, SPAN_NONE);
    step->sent = true;
    step->since = now;
    step->replies = replies;
    c->open = 1;
    c->state = SMTP_CLIENT_READY;
    c->too_soon = c->unread || reply_begun(c);
    buf_append(out, ".\r\n", 3);
    list_insert_before(c->steps.next, &step->node);
}

/* What comes before the last octet can't be the answer, however soon it is read. */
static void end_chunk(struct smtp_client *c)
{
    c->state = SMTP_CLIENT_READY;
    c->too_soon = c->unread || reply_begun(c);
}

void smtp_client_chunk(struct smtp_client *c, struct smtp_tag tag, uint64_t octets, bool last, unsigned replies,
                       struct buf *out, usec_t now)
{
    char line[48];
    assert(c->state == SMTP_CLIENT_READY && c->open == 0 && octets <= INT64_MAX);
    int n = snprintf(line, sizeof(line), "BDAT %" PRIu64 "%s", octets, last ? " LAST" : "");
    struct smtp_step *step = smtp_step_new(last ? SMTP_STEP_LAST : SMTP_STEP_BDAT, tag, span_of(line, (size_t)n));
    step->replies = replies;
    list_insert_before(c->steps.next, &step->node);
    c->state = SMTP_CLIENT_CHUNK;
    c->due = octets;
    step_send(c, step, out, now);
    if (octets == 0)
        end_chunk(c);
}

void smtp_client_wrote(struct smtp_client *c, uint64_t octets)
{
    assert(c->state == SMTP_CLIENT_CHUNK && octets <= c->due);
    c->due -= octets;
    if (c->due == 0)
        end_chunk(c);
}

const struct smtp_step *smtp_client_waiting(const struct smtp_client *c)
{
    const struct smtp_step *step = first_step(c);
    return step != NULL && step->sent ? step : NULL;
}

void smtp_client_take_steps(struct smtp_client *c, struct list *steps)
{
    struct smtp_step *step;
    while ((step = first_step(c)) != NULL) {
        list_remove(&step->node);
        step->sent = false;
        if (step->kind == SMTP_STEP_GREETING || step->kind == SMTP_STEP_XFORWARD || is_handshake(step->kind))
            smtp_step_free(step);
        else
            list_append(steps, &step->node);
    }
    c->open = 0;
}

static void die(struct smtp_client *c, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    c->state = SMTP_CLIENT_DEAD;
    c->ops->fault(c->owner, fault, reply);
}

static const char *hello_word(const struct smtp_client *c, enum smtp_step_kind kind)
{
    if (kind == SMTP_STEP_HELO)
        return "HELO ";
    return c->lmtp ? "LHLO " : "EHLO ";
}

static void add_hello(struct smtp_client *c, enum smtp_step_kind kind)
{
    char line[300];
    size_t n = strlen(c->hostname);
    n = min_size(n, sizeof(line) - 5);
    memcpy(line, hello_word(c, kind), 5);
    memcpy(line + 5, c->hostname, n);
    struct smtp_step *step = smtp_step_new(kind, (struct smtp_tag){ 0 }, span_of(line, n + 5));
    list_insert_before(c->steps.next, &step->node);
}

/* Whether this class of reply can answer the step at all (U5). */
static bool class_fits(enum smtp_step_kind kind, const struct smtp_reply *reply)
{
    int class = reply->code / 100;
    if (class == 4 || class == 5)
        return true;
    if (kind == SMTP_STEP_STARTTLS || kind == SMTP_STEP_XCLIENT)
        return reply->code == 220;
    if (kind == SMTP_STEP_AUTH || kind == SMTP_STEP_RESPONSE)
        return reply->code == 235 || reply->code == 334;
    return kind == SMTP_STEP_DATA ? reply->code == 354 : class == 2;
}

static bool offers(const struct smtp_reply *ehlo, struct span keyword)
{
    struct span text;
    size_t pos = 0;
    bool found = smtp_reply_line(ehlo, &pos, false, &text); /* the first line greets */
    while (found && (found = smtp_reply_line(ehlo, &pos, false, &text))) {
        if (span_eq_nocase(span_trim(text), keyword))
            return true;
    }
    return false;
}

static void add_starttls(struct smtp_client *c)
{
    struct smtp_step *step = smtp_step_new(SMTP_STEP_STARTTLS, (struct smtp_tag){ 0 }, SPAN_LIT("STARTTLS"));
    list_insert_before(c->steps.next, &step->node);
}

/* EHLO or HELO was accepted: TLS comes first where it can or must. False: the server is dead. */
static bool greeted(struct smtp_client *c, bool extended, const struct smtp_reply *reply)
{
    bool offered = extended && offers(reply, SPAN_LIT("STARTTLS"));
    if (!c->secured && c->tls != SMTP_CLIENT_TLS_NEVER && offered) {
        c->state = SMTP_CLIENT_STARTTLS;
        add_starttls(c);
        return true;
    }
    if (!c->secured && c->tls == SMTP_CLIENT_TLS_REQUIRED) {
        die(c, SMTP_CLIENT_NO_TLS, reply);
        return false;
    }
    c->pipelining = extended && offers(reply, SPAN_LIT("PIPELINING"));
    c->state = SMTP_CLIENT_READY;
    return true;
}

/* A refusal of STARTTLS: in clear, then, if that may be. */
static bool starttls_answered(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (reply->code == 220) {
        c->state = SMTP_CLIENT_HANDSHAKE;
        return true;
    }
    if (c->tls == SMTP_CLIENT_TLS_REQUIRED) {
        die(c, SMTP_CLIENT_NO_TLS, reply);
        return false;
    }
    c->tls = SMTP_CLIENT_TLS_NEVER;
    c->state = SMTP_CLIENT_EHLO;
    add_hello(c, SMTP_STEP_EHLO);
    return true;
}

void smtp_client_secured(struct smtp_client *c, struct buf *out, usec_t now)
{
    c->secured = true;
    if (c->state != SMTP_CLIENT_HANDSHAKE)
        return;
    c->state = SMTP_CLIENT_EHLO;
    add_hello(c, SMTP_STEP_EHLO);
    push(c, out, now);
}

void smtp_client_identify(struct smtp_client *c, struct list *lines, const char *hostname, struct buf *out, usec_t now)
{
    assert(c->state == SMTP_CLIENT_READY && list_empty(&c->steps) && !list_empty(lines));
    c->state = SMTP_CLIENT_XCLIENT;
    c->identified = true;
    c->hostname = hostname;
    list_move_all(&c->steps, lines);
    if (!c->unread)
        push(c, out, now);
}

/* False: the server is dead. */
static bool identity_answered(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (reply->code != 220) {
        int code = reply->code;
        bool understood = code != 500 && code != 501 && code != 502 && code != 504;
        die(c, understood ? SMTP_CLIENT_JUDGED : SMTP_CLIENT_NO_XCLIENT, reply);
        return false;
    }
    if (list_empty(&c->steps)) {
        c->state = SMTP_CLIENT_EHLO;
        add_hello(c, SMTP_STEP_EHLO);
    }
    return true;
}

/* The handshake's own conclusions. False: the server is dead. */
static bool advance(struct smtp_client *c, enum smtp_step_kind kind, const struct smtp_reply *reply)
{
    int code = reply->code;
    if (kind == SMTP_STEP_GREETING && code == 220) {
        c->state = SMTP_CLIENT_EHLO;
        add_hello(c, SMTP_STEP_EHLO);
    } else if (kind == SMTP_STEP_GREETING) {
        die(c, SMTP_CLIENT_BAD_GREETING, reply);
        return false;
    } else if (kind == SMTP_STEP_EHLO && !c->lmtp && (code == 500 || code == 502 || code == 504)) {
        c->state = SMTP_CLIENT_HELO;
        add_hello(c, SMTP_STEP_HELO);
    } else if (kind == SMTP_STEP_EHLO || kind == SMTP_STEP_HELO) {
        if (code / 100 != 2) {
            die(c, c->identified ? SMTP_CLIENT_JUDGED : SMTP_CLIENT_BAD_EHLO, reply);
            return false;
        }
        return greeted(c, kind == SMTP_STEP_EHLO, reply);
    } else if (kind == SMTP_STEP_STARTTLS) {
        return starttls_answered(c, reply);
    } else if (kind == SMTP_STEP_XCLIENT) {
        return identity_answered(c, reply);
    } else if (kind == SMTP_STEP_DATA && code == 354) {
        c->state = SMTP_CLIENT_BODY;
    } else if ((kind == SMTP_STEP_AUTH || kind == SMTP_STEP_RESPONSE) && code == 334) {
        c->state = SMTP_CLIENT_AUTH;
    }
    return true;
}

/* The reply as the log may have it, where it follows this step, which may be NULL. */
static struct smtp_reply for_log(const struct smtp_step *step, const struct smtp_reply *reply,
                                 char text[SMTP_HIDDEN_LEN])
{
    return step != NULL && smtp_step_must_hide(step, reply) ? smtp_reply_hidden(reply, text) : *reply;
}

/* Once the secret is wiped, nobody can say whether it is repeated. */
static void unasked(struct smtp_client *c, const struct smtp_reply *reply)
{
    char text[SMTP_HIDDEN_LEN];
    bool hide = c->told == NULL && c->told_secret;
    struct smtp_reply shown = hide ? smtp_reply_hidden(reply, text) : for_log(c->told, reply, text);
    c->ops->said(c->owner, NULL, &shown);
    if (c->state == SMTP_CLIENT_BODY || c->state == SMTP_CLIENT_CHUNK)
        c->ops->early(c->owner, reply);
    else
        die(c, SMTP_CLIENT_UNSOLICITED, &shown);
}

/* No yes to what has not all arrived: the end of data stands last. A no may be known before. */
static bool is_premature(const struct smtp_client *c, const struct smtp_step *step, const struct smtp_reply *reply)
{
    bool end = smtp_step_ends_octets(step);
    return c->too_soon || (end && c->before_end && reply->code < 400);
}

static void take_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_step *step = first_step(c);
    if (step == NULL || !step->sent || c->state == SMTP_CLIENT_CHUNK) {
        unasked(c, reply);
        return;
    }
    c->ops->said(c->owner, step, reply);
    bool premature = is_premature(c, step, reply);
    if (premature || !class_fits(step->kind, reply)) {
        char text[SMTP_HIDDEN_LEN];
        struct smtp_reply shown = for_log(step, reply, text);
        die(c, premature ? SMTP_CLIENT_UNSOLICITED : SMTP_CLIENT_BAD_REPLY, &shown);
        return;
    }
    if (step->replies > 1) {
        step->replies--;
        c->ops->reply(c->owner, step, reply);
        return;
    }
    step->replies = 0;
    list_remove(&step->node);
    c->open--;
    if (advance(c, step->kind, reply))
        c->ops->reply(c->owner, step, reply);
    retire(c, step);
}

/* All input was read. */
static void go_on(struct smtp_client *c, struct buf *out, usec_t now)
{
    forget_told(c);
    if (c->state == SMTP_CLIENT_DEAD)
        return;
    if (c->open == 0 && c->state != SMTP_CLIENT_BODY && reply_begun(c))
        die(c, SMTP_CLIENT_UNSOLICITED, NULL);
    else
        push(c, out, now);
}

size_t smtp_client_feed(struct smtp_client *c, struct span in, struct buf *out, usec_t now)
{
    struct span rest = in;
    struct smtp_reply reply;
    if (c->state == SMTP_CLIENT_DEAD)
        return in.n;
    if (c->state == SMTP_CLIENT_HANDSHAKE && in.n > 0) {
        die(c, SMTP_CLIENT_TLS_RESIDUE, NULL);
        return in.n;
    }
    c->before_end = c->unsent || (c->before_end && reply_begun(c));
    enum smtp_reply_result result = smtp_reply_parse(&c->parser, &rest, &reply);
    c->unread = rest.n > 0;
    switch (result) {
    case SMTP_REPLY_MORE:
        break;
    case SMTP_REPLY_BAD:
        die(c, SMTP_CLIENT_BAD_REPLY, NULL);
        return in.n;
    case SMTP_REPLY_DONE:
        take_reply(c, &reply);
        break;
    }
    if (!c->unread)
        go_on(c, out, now);
    return in.n - rest.n;
}
