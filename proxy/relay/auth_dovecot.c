/* Logins by Dovecot. What the client says is passed on as it is, what Dovecot says too; a channel binding that it asks
 * for goes with the client's next answer. Dovecot delays its refusals itself.
 *
 *   [ASKED] --CONT--> challenge --> [CLIENT] --auth_respond--> [ASKED] --OK, FAIL--> done
 *      '--30 s, or lost--> done (for now)      '--lost--> OVER: told at the client's next answer */
#include <stdlib.h>

#include "common/smtp/dovecot.h"
#include "proxy/net/loop.h"
#include "proxy/relay/auth_impl.h"

enum exchange_state { EXCHANGE_ASKED, EXCHANGE_CLIENT, EXCHANGE_OVER };

#define ANSWER_TIME (30 * USEC_PER_SEC)
#define SOON USEC_PER_MSEC

struct exchange {
    struct auth_exchange x;
    struct auth_call call;
    enum exchange_state state;
    struct timer timer; /* ASKED: for Dovecot; OVER: tells */
    struct tls_bindings bindings;
    struct span binding; /* asked for; in `bindings` */
};

static void respond(struct auth_exchange *x, struct span response);
static void cancel(struct auth_exchange *x);
static const struct auth_kind dovecot_kind = { .respond = respond, .cancel = cancel };

static void free_exchange(struct exchange *x)
{
    timer_clear(&x->timer);
    auth_call_end(&x->call);
    explicit_bzero(&x->bindings, sizeof(x->bindings));
    free(x);
}

static void tell(struct exchange *x, enum auth_result result, const char *username, const char *authzid)
{
    struct auth_outcome outcome = { .result = result, .username = username, .authzid = authzid };
    x->x.ops->done(x->x.owner, &outcome);
    free_exchange(x);
}

/* Where nobody may be called now: when the loop comes round. */
static void tell_soon(struct exchange *x)
{
    x->state = EXCHANGE_OVER;
    loop_timer(x->x.b->loop, &x->timer, SOON);
}

static void on_timer(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    tell(x, AUTH_TEMPFAIL, NULL, NULL);
}

static void send_line(struct exchange *x)
{
    x->state = EXCHANGE_ASKED;
    loop_timer(x->x.b->loop, &x->timer, ANSWER_TIME);
    auth_call_send(&x->call);
}

/* False: the binding is not known here, or not there. */
static bool take_binding(struct exchange *x, const char *type)
{
    const struct tls_bindings *b = &x->bindings;
    x->binding = SPAN_NONE;
    if (type[0] == '\0')
        return true;
    if (strcmp(type, "tls-exporter") == 0)
        x->binding = span_of((const char *)b->exporter, b->exporter_len);
    else if (strcmp(type, "tls-server-end-point") == 0)
        x->binding = span_of((const char *)b->end_point, b->end_point_len);
    return x->binding.n > 0;
}

static void on_cont(struct exchange *x, const struct dovecot_reply *reply)
{
    if (!take_binding(x, reply->binding)) {
        tell(x, AUTH_FAIL, NULL, NULL);
        return;
    }
    if (reply->out_of_band) {
        dovecot_put_cont(&x->call.line, x->call.id, NULL, x->binding);
        send_line(x);
        return;
    }
    timer_clear(&x->timer);
    x->state = EXCHANGE_CLIENT;
    x->x.ops->challenge(x->x.owner, reply->data);
}

static enum auth_result result_of(enum dovecot_failure failure)
{
    switch (failure) {
    case DOVECOT_DENIED:
        return AUTH_FAIL;
    case DOVECOT_TEMPORARY:
        return AUTH_TEMPFAIL;
    case DOVECOT_MALFORMED:
        return AUTH_MALFORMED;
    }
    return AUTH_FAIL;
}

/* An OK without a name is none: nobody could say who it is. */
static void on_end(struct exchange *x, enum dovecot_event event, const struct dovecot_reply *reply)
{
    enum auth_result result = AUTH_TEMPFAIL;
    if (event == DOVECOT_OK && reply->username != NULL)
        result = AUTH_OK;
    else if (event == DOVECOT_FAIL)
        result = result_of(reply->failure);
    tell(x, result, reply != NULL ? reply->username : NULL, reply != NULL ? reply->authzid : NULL);
}

static void on_answer(struct auth_call *c, enum dovecot_event event, const struct dovecot_reply *reply)
{
    struct exchange *x = CONTAINER_OF(c, struct exchange, call);
    if (x->state == EXCHANGE_ASKED && event == DOVECOT_CONT)
        on_cont(x, reply);
    else if (x->state == EXCHANGE_ASKED)
        on_end(x, event, reply);
    else /* the client has the word: it is told when it has spoken */
        x->state = EXCHANGE_OVER;
}

static void respond(struct auth_exchange *base, struct span response)
{
    struct exchange *x = CONTAINER_OF(base, struct exchange, x);
    if (x->state == EXCHANGE_OVER) {
        tell_soon(x);
        return;
    }
    dovecot_put_cont(&x->call.line, x->call.id, &response, x->binding);
    x->binding = SPAN_NONE;
    send_line(x);
}

static void cancel(struct auth_exchange *base) { free_exchange(CONTAINER_OF(base, struct exchange, x)); }

struct auth_exchange *auth_dovecot_start(struct auth_backends *b, const struct listener_settings *ls,
                                         const struct auth_about *about, enum sasl_mechanism m,
                                         const struct span *initial)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (x == NULL)
        abort();
    x->x = (struct auth_exchange){ .kind = &dovecot_kind, .b = b };
    x->call.answer = on_answer;
    timer_init(&x->timer, on_timer);
    tls_bindings(about->ssl, &x->bindings);
    if (!auth_call_open(&x->call, b, ls->auth.socket.host, m)) {
        tell_soon(x);
        return &x->x;
    }
    struct dovecot_request request = { .id = x->call.id,
                                       .mechanism = m,
                                       .session = about->cid,
                                       .remote = about->remote,
                                       .local = about->local,
                                       .tls = about->secured,
                                       .cert_name = about->cert_name,
                                       .initial = initial };
    dovecot_put_auth(&x->call.line, &request);
    send_line(x);
    return &x->x;
}
