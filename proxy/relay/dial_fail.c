/* An attempt that failed: its record, and whose fault it is. A server's is counted against it, so that it rests and is
 * probed; what is ours or the client's is not. A refusal of the client, which other servers would repeat, ends the
 * dial. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/relay/dial_impl.h"
#include "proxy/relay/own_login.h"
#include "proxy/relay/probe.h"

/* H7: the servers knew whom they refused. */
static bool was_judged(const struct dial *d, const struct smtp_reply *greeting)
{
    return dial_is_foretold(d) && !d->unjudged && d->skipped_busy == 0 && smtp_reply_is(greeting, 5);
}

void dial_print_line(char *to, size_t size, const struct smtp_reply *reply)
{
    struct span line = span_head(reply->wire, size - 1);
    const char *cr = memchr(line.p, '\r', line.n);
    snprintf(to, size, "%.*s", (int)(cr ? (size_t)(cr - line.p) : line.n), line.p);
}

void dial_fail(struct dial *d)
{
    if (d->ended)
        return;
    struct smtp_reply greeting = { 0 };
    if (d->greeting != NULL)
        greeting = smtp_reply_read(span_str(d->greeting));
    struct dial_failure why = { .busy = d->attempts == 0 && d->skipped_busy > 0 };
    if (why.busy)
        trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_UPSTREAM_BUSY, "connect", d->set->server[d->order[0]].text, NULL);
    if (d->greeting != NULL)
        why.greeting = &greeting;
    if (d->greeting != NULL && was_judged(d, &greeting))
        why.judged = &greeting;
    dial_end(d);
    d->ops->failed(d->owner, &why);
}

static void tell_failure(struct dial *d, enum record_error err, const char *stage, const char *detail)
{
    d->unjudged |= err != ERR_UPSTREAM_GREETING;
    trace_error(d->trace, SIDE_UPSTREAM, 0, err, stage, dial_server_now(d)->text, detail);
}

void dial_note_failure(struct dial *d, enum record_error err, const char *stage, const char *detail)
{
    balance_failed(dial_health_now(d), d->set, d->w->loop.mono);
    probe_start(d->w, d->set, d->order[d->pos]);
    tell_failure(d, err, stage, detail);
}

/* What we ourselves are short of says nothing about the server. */
void dial_note_no_socket(struct dial *d, int err)
{
    d->unjudged = true;
    if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM)
        trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_SOCKET, "connect", dial_server_now(d)->text, strerror(err));
    else
        dial_note_failure(d, ERR_UPSTREAM_CONNECT, "connect", strerror(err));
}

static const char *stage_of(const struct dial *d, enum record_error err)
{
    if (!d->u->connected)
        return "connect";
    if (d->login != NULL)
        return "auth";
    if (err == ERR_TLS_HANDSHAKE || err == ERR_UPSTREAM_NO_TLS || err == ERR_UPSTREAM_TLS_RESIDUE)
        return "starttls";
    if (d->u->identity == IDENTITY_XCLIENT && !d->u->untold)
        return "identity";
    return d->u->totals.commands == 0 ? "greeting" : "ehlo";
}

static void note_late_upstream(struct dial *d)
{
    enum record_error err = d->u->connected ? ERR_UPSTREAM_TIMEOUT : ERR_UPSTREAM_CONNECT;
    const char *stage = stage_of(d, d->u->stream.handshaking ? ERR_TLS_HANDSHAKE : err);
    dial_note_failure(d, err, stage, "not ready within upstream.timeouts.prepare");
}

void dial_note_late(struct dial *d)
{
    if (d->u != NULL)
        note_late_upstream(d);
    else if (d->pos < d->servers && d->next_addr < d->addrs)
        dial_note_failure(d, ERR_UPSTREAM_CONNECT, "connect", strerror(EAGAIN));
    else if (d->query != NULL)
        dial_note_no_name(d, DNS_TEMPFAIL);
}

/* T10: opportunistic TLS that fails is logged, and the same server tried without. */
static bool go_on_in_clear(struct dial *d, const struct upstream *u, const struct upstream_loss *loss)
{
    bool unsure = u->asked_tls && u->ready_at == 0; /* EHLO would have been answered behind TLS that is well */
    bool by_tls = loss->err == ERR_TLS_HANDSHAKE || (loss->err == ERR_UPSTREAM_LOST && unsure);
    enum upstream_tls mode = upstream_tls_with(d->set, &dial_server_now(d)->at, &u->peer.remote);
    if (mode != UPSTREAM_TLS_OPPORTUNISTIC || d->in_clear || !by_tls)
        return false;
    trace_error(d->trace, SIDE_UPSTREAM, 0, loss->err, "starttls", dial_server_now(d)->text, loss->why);
    d->clear = true;
    d->next_addr--;
    dial_next(d);
    return true;
}

/* The refusal stands for all servers: it is about the client. */
static void judge(struct dial *d, const struct smtp_reply *reply)
{
    char text[512];
    dial_print_line(text, sizeof(text), reply);
    trace_error(d->trace, SIDE_UPSTREAM, 0, ERR_XCLIENT_REFUSED, "identity", dial_server_now(d)->text, text);
    struct dial_failure why = { .judged = reply };
    dial_end(d);
    d->ops->failed(d->owner, &why);
}

/* A value that it brought may be what XCLIENT is refused for, or what the server leaves it for without a word: a server
 * that leaves everybody fails each time, and the next one serves. One that hangs is broken, for it keeps all waiting.
 */
static bool is_about_client(const struct dial *d, const struct upstream_loss *loss, const char *stage)
{
    bool left = loss->err != ERR_UPSTREAM_TIMEOUT && strcmp(stage, "identity") == 0;
    if (loss->err == ERR_UPSTREAM_IDENTITY || left)
        return true;
    return loss->err == ERR_UPSTREAM_GREETING && loss->reply != NULL && loss->reply->code >= 500 && dial_is_foretold(d);
}

/* Replies of servers, for the client to see, or to judge it by. */
static void keep_reply(struct dial *d, const struct upstream_loss *loss)
{
    d->unjudged |= loss->reply->code < 500;
    if (loss->err == ERR_UPSTREAM_GREETING && loss->reply->code >= 400) {
        free(d->greeting);
        d->greeting = strndup(loss->reply->wire.p, loss->reply->wire.n);
    }
}

/* May be "". */
static const char *describe(const struct upstream_loss *loss, char *text, size_t size)
{
    const struct smtp_reply *reply = loss->reply;
    if (reply == NULL)
        return loss->why != NULL ? loss->why : loss->sys != 0 ? strerror(loss->sys) : "";
    if (loss->err == ERR_UPSTREAM_NO_TLS && reply->code < 300) /* of EHLO: says nothing */
        return "";
    dial_print_line(text, size, reply);
    return text;
}

void dial_lost(void *owner, const struct upstream_loss *loss)
{
    struct dial *d = owner;
    char text[512];
    d->waiting = false;
    if (loss->err == ERR_XCLIENT_REFUSED) {
        d->u = NULL;
        judge(d, loss->reply);
        return;
    }
    const char *stage = stage_of(d, loss->err);
    struct upstream *u = d->u;
    d->u = NULL;
    own_login_free(&d->login);
    if (go_on_in_clear(d, u, loss))
        return;
    if (loss->reply != NULL)
        keep_reply(d, loss);
    const char *detail = describe(loss, text, sizeof(text));
    if (detail[0] == '\0')
        detail = NULL;
    if (is_about_client(d, loss, stage)) /* a stranger must not have the server rested for all */
        tell_failure(d, loss->err, stage, detail);
    else
        dial_note_failure(d, loss->err, stage, detail);
    dial_next_address(d);
}
