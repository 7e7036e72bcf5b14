/* Logins (protocol.md A). With backend `upstream` the exchange is relayed as it is; on the side, names for the log are
 * read from it. Once it has succeeded the session is bound to that connection: it can't be said again to another.
 *
 * Invariant: s->login is set from AUTH until relay_auth_over(), also while the client's turn is awaited. That one is
 * called once for each AUTH command, whatever becomes of it, and alone makes `auth` records. */
#include "proxy/relay/relay_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/record/mailboxes.h"
#include "common/smtp/prints.h"
#include "proxy/net/tls_login.h"
#include "proxy/relay/auth.h"

struct login {
    smtp_slot slot;
    struct auth_exchange *exchange; /* decided here; NULL: by the upstream, or over */
    unsigned step;                  /* responses that were read */
    bool cancelled;                 /* the client said "*" */
    bool broken;                    /* it broke a rule: what the upstream says to our "*" is nobody's */
    bool lost;                      /* the upstream, while the client's turn was awaited */
    bool spoke;                     /* the client said more than nothing */
    struct sasl_names names;
    char mechanism[24];
};

/* Of a "*" whose reply nobody waits for. */
static const struct smtp_tag unheard = { .rcpt = UINT_MAX };

bool relay_is_unheard(const struct smtp_step *step)
{
    return step->kind == SMTP_STEP_RESPONSE && step->tag.rcpt == unheard.rcpt;
}

static void login_free(struct session *s)
{
    if (s->login != NULL)
        auth_cancel(&s->login->exchange);
    free(s->login);
    s->login = NULL;
}

static void begin_login(struct session *s, smtp_slot slot, struct span mechanism)
{
    login_free(s);
    struct login *l = calloc(1, sizeof(*l));
    if (l == NULL)
        abort();
    l->slot = slot;
    snprintf(l->mechanism, sizeof(l->mechanism), "%.*s", SPAN_ARG(mechanism));
    s->login = l;
}

/* What was sent as base64; the engine has found it well formed. */
static void decode(struct buf *out, struct span text)
{
    buf_init(out, NULL);
    if (!span_eq(text, SPAN_LIT("=")))
        (void)!codec_base64_decode(out, text);
}

static const char *name_of(const struct login *l)
{
    return l->names.username[0] != '\0' ? l->names.username : l->names.authzid;
}

/* Replies to it may have the name before there is a user, or though there will be none. */
static void remember_name(struct session *s)
{
    const char *name = name_of(s->login);
    if (name[0] == '\0')
        return;
    free(s->trace.tried);
    s->trace.tried = strdup(name);
}

static void read_response(struct session *s, struct span text)
{
    struct login *l = s->login;
    struct buf decoded;
    decode(&decoded, text);
    if (s->set->auth.backend == AUTH_BACKEND_UPSTREAM)
        trace_remember(&s->trace, span_str(l->mechanism), l->step, text);
    l->spoke |= !buf_empty(&decoded);
    sasl_names_feed_named(&l->names, span_str(l->mechanism), l->step++, buf_span(&decoded));
    remember_name(s);
    sasl_buf_free(&decoded);
}

void relay_set_user(struct session *s, bool logged_in, const char *name)
{
    free(s->user);
    s->user = name != NULL && name[0] != '\0' ? strdup(name) : NULL;
    s->logged_in = logged_in;
    s->trace.user = s->user;
    s->protocol = relay_protocol(s);
}

/* A session that ends with the exchange fails it, but where the client couldn't help that. */
static const char *result_of(const struct smtp_reply *reply, enum close_reason why)
{
    if (why == CLOSE_SHUTDOWN || why == CLOSE_UPSTREAM)
        return "tempfail";
    if (why != CLOSE_NONE || reply == NULL)
        return "fail";
    if (smtp_reply_is(reply, 2))
        return "ok";
    return smtp_reply_is(reply, 4) ? "tempfail" : "fail";
}

void relay_auth_over(void *owner, const char *method, const struct smtp_reply *reply)
{
    struct session *s = owner;
    const struct login none = { .step = 0 }, *l = s->login != NULL ? s->login : &none;
    struct trace_login login = { .username = name_of(l), .authzid = l->names.authzid };
    login.method = s->login != NULL ? l->mechanism : method != NULL ? method : "";
    login.code = reply != NULL ? reply->code : 0;
    login.reason = client_reason(&s->client);
    login.result = result_of(reply, login.reason);
    trace_auth(&s->trace, &login);
    if (s->login != NULL && reply != NULL && smtp_reply_is(reply, 2))
        relay_set_user(s, true, name_of(l));
    login_free(s);
}

/* hide: the reply has what the log must not have. */
static void answer(struct session *s, smtp_slot slot, const struct smtp_reply *reply, bool hide)
{
    s->hide_reply = hide;
    smtp_server_reply(&s->client.smtp, slot, reply);
    s->hide_reply = false;
}

/* RFC 7628, 5802: what would be a failure is told by a challenge first, for which nobody need wait. */
static bool tells_failure(const struct login *l, struct span challenge)
{
    struct span name = span_str(l->mechanism);
    if (span_eq_nocase(name, SPAN_LIT("XOAUTH2")) || span_eq_nocase(name, SPAN_LIT("OAUTHBEARER")))
        return l->spoke;
    return span_eq_nocase(span_head(name, 6), SPAN_LIT("SCRAM-")) && challenge.n >= 2 &&
           memcmp(challenge.p, "e=", 2) == 0;
}

static void note_challenge(struct session *s, struct span challenge)
{
    if (tells_failure(s->login, challenge))
        smtp_server_auth_failed(&s->client.smtp);
}

static void note_relayed_challenge(struct session *s, const struct smtp_reply *reply)
{
    struct buf decoded;
    struct span text = SPAN_NONE;
    size_t pos = 0;
    buf_init(&decoded, NULL);
    if (smtp_reply_line(reply, &pos, false, &text))
        (void)!codec_base64_decode(&decoded, span_trim_right(text));
    note_challenge(s, buf_span(&decoded));
    sasl_buf_free(&decoded);
}

/* A reply that ends the exchange: relay_auth_over() comes of it. */
static void end_login(struct session *s, const struct smtp_reply *reply, bool hide)
{
    answer(s, s->login->slot, reply, hide);
    if (smtp_reply_is(reply, 2) && !s->bound)
        relay_identity_changed(s);
}

static void refuse_login(struct session *s, enum smtp_own id) { end_login(s, smtp_reply_own(id), false); }

static void say(struct session *s, enum smtp_step_kind kind, struct smtp_tag tag, struct span text)
{
    relay_step(s, kind, tag, text);
}

static void forward_auth(struct session *s, const struct smtp_auth_command *cmd)
{
    struct buf line;
    buf_init(&line, NULL);
    buf_append_span(&line, SPAN_LIT("AUTH "));
    buf_append_span(&line, cmd->mechanism);
    if (cmd->initial != NULL) {
        buf_append_span(&line, SPAN_LIT(" "));
        buf_append_span(&line, *cmd->initial);
    }
    say(s, SMTP_STEP_AUTH, (struct smtp_tag){ .slot = s->login->slot }, buf_span(&line));
    sasl_buf_free(&line);
    if (s->up == NULL && s->dial == NULL)
        session_dial(s, DIAL_MAIL, s->set->upstream.servers);
}

/* Logins that are decided here (auth.h). */

static void on_challenge(void *owner, struct span text)
{
    struct session *s = owner;
    struct buf line;
    buf_init(&line, &s->w->loop.pool);
    buf_append_span(&line, SPAN_LIT("334 "));
    codec_base64_encode(&line, text);
    buf_append_span(&line, SPAN_LIT("\r\n"));
    struct smtp_reply reply = smtp_reply_read(buf_span(&line));
    note_challenge(s, text);
    answer(s, s->login->slot, &reply, true);
    buf_free(&line);
    client_run(&s->client);
}

static void take_name(char to[SASL_NAME_MAX + 1], const char *name)
{
    if (name != NULL)
        snprintf(to, SASL_NAME_MAX + 1, "%s", name);
}

static void on_done(void *owner, const struct auth_outcome *outcome)
{
    static const enum smtp_own replies[] = {
        [AUTH_OK] = SMTP_OWN_AUTH_OK,
        [AUTH_FAIL] = SMTP_OWN_AUTH_FAILED,
        [AUTH_TEMPFAIL] = SMTP_OWN_AUTH_TEMPFAIL,
        [AUTH_MALFORMED] = SMTP_OWN_AUTH_BASE64,
    };
    struct session *s = owner;
    s->login->exchange = NULL;
    take_name(s->login->names.username, outcome->username);
    take_name(s->login->names.authzid, outcome->authzid);
    refuse_login(s, replies[outcome->result]);
    client_run(&s->client);
}

static const struct auth_exchange_ops exchange_ops = { .challenge = on_challenge, .done = on_done };

static void describe(const struct session *s, struct auth_about *about, char cert_name[TLS_LOGIN_NAME])
{
    *about = (struct auth_about){
        .hostname = s->set->server.hostname,
        .remote = &s->peer,
        .local = &s->client.peer.local,
        .secured = s->client.smtp.secured,
        .ssl = s->client.smtp.secured ? s->client.stream.ssl : NULL,
        .cid = s->trace.cid,
    };
    if (about->ssl != NULL && tls_cert_login_name(about->ssl, cert_name))
        about->cert_name = cert_name;
}

sasl_set relay_mechanisms(const struct session *s)
{
    struct auth_about about;
    char cert_name[TLS_LOGIN_NAME];
    if (s->set->auth.mode == AUTH_OFF || s->set->auth.backend == AUTH_BACKEND_UPSTREAM)
        return 0;
    describe(s, &about, cert_name);
    return auth_backend_mechanisms(s->w, s->set, &about);
}

static void begin_exchange(struct session *s, const struct smtp_auth_command *cmd)
{
    struct auth_about about;
    char cert_name[TLS_LOGIN_NAME];
    enum sasl_mechanism m = SASL_PLAIN;
    struct buf decoded;
    struct span initial = SPAN_NONE;
    if (cmd->initial != NULL) {
        decode(&decoded, *cmd->initial);
        initial = buf_span(&decoded);
    }
    if (!sasl_find(cmd->mechanism, &m)) { /* the offer has no other names */
        refuse_login(s, SMTP_OWN_AUTH_MECHANISM);
        return;
    }
    describe(s, &about, cert_name);
    s->login->exchange = auth_start(s->w, s->set, &about, m, cmd->initial != NULL ? &initial : NULL, &exchange_ops, s);
    if (cmd->initial != NULL)
        sasl_buf_free(&decoded);
}

void relay_auth(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd)
{
    struct session *s = owner;
    begin_login(s, slot, cmd->mechanism);
    if (cmd->initial != NULL)
        read_response(s, *cmd->initial);
    if (s->set->auth.backend == AUTH_BACKEND_UPSTREAM)
        forward_auth(s, cmd);
    else
        begin_exchange(s, cmd);
}

static void respond(struct session *s, struct span text)
{
    struct buf decoded;
    decode(&decoded, text);
    auth_respond(s->login->exchange, buf_span(&decoded));
    sasl_buf_free(&decoded);
}

void relay_auth_response(void *owner, smtp_slot slot, struct span text)
{
    struct session *s = owner;
    s->login->slot = slot;
    read_response(s, text);
    if (s->login->lost)
        refuse_login(s, SMTP_OWN_AUTH_TEMPFAIL);
    else if (s->login->exchange != NULL)
        respond(s, text);
    else
        say(s, SMTP_STEP_RESPONSE, (struct smtp_tag){ .slot = slot }, text);
}

void relay_auth_cancel(void *owner, const smtp_slot *slot)
{
    struct session *s = owner;
    bool alone = s->login->lost || s->login->exchange != NULL; /* nobody else is to be told */
    if (slot == NULL) {                                        /* it broke a rule */
        s->login->broken = true;
        auth_cancel(&s->login->exchange);
        if (!alone)
            say(s, SMTP_STEP_RESPONSE, unheard, SPAN_LIT("*"));
        return;
    }
    s->login->slot = *slot;
    s->login->cancelled = true;
    if (alone)
        refuse_login(s, SMTP_OWN_AUTH_CANCELLED);
    else
        say(s, SMTP_STEP_RESPONSE, (struct smtp_tag){ .slot = *slot }, SPAN_LIT("*"));
}

static void log_in(struct session *s, const struct smtp_reply *reply, bool hide)
{
    s->bound = true;
    smtp_server_bind(&s->client.smtp);
    end_login(s, reply, hide);
}

/* A server that takes "*" for an answer has another idea of who is talking: it is left. */
static void leave_confused(struct session *s)
{
    trace_error(&s->trace, SIDE_UPSTREAM, 0, ERR_UPSTREAM_REPLY, "auth", s->set->upstream.server[s->server].text, NULL);
    relay_replace_upstream(s, CLOSE_PROTOCOL);
}

static void cancel_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    bool heard = !relay_is_unheard(step), refused = reply->code >= 400;
    if (!refused)
        leave_confused(s);
    else if (reply->code == 421 && !heard)
        relay_replace_upstream(s, CLOSE_UPSTREAM);
    if (heard && s->login != NULL)
        end_login(s, refused ? reply : smtp_reply_own(SMTP_OWN_AUTH_CANCELLED), false);
    if (s->up == NULL) /* which would have said that it has settled */
        client_run(&s->client);
}

void relay_auth_reply(struct session *s, const struct smtp_step *step, const struct smtp_reply *reply)
{
    bool hide = smtp_step_must_hide(step, reply);
    if (relay_is_unheard(step) || s->login == NULL || s->login->cancelled) {
        cancel_reply(s, step, reply);
        return;
    }
    if (reply->code == 334) {
        note_relayed_challenge(s, reply);
        answer(s, s->login->slot, reply, hide);
    } else if (smtp_reply_is(reply, 2)) {
        log_in(s, reply, hide);
    } else {
        end_login(s, reply, hide);
    }
}

void relay_auth_unanswered(struct session *s, const struct smtp_step *step)
{
    if (relay_is_unheard(step) || s->login == NULL)
        return;
    refuse_login(s, s->login->cancelled ? SMTP_OWN_AUTH_CANCELLED : SMTP_OWN_AUTH_TEMPFAIL);
}

bool relay_auth_upstream_lost(struct session *s)
{
    bool relayed = s->login != NULL && s->login->exchange == NULL && !s->login->broken;
    if (relayed)
        s->login->lost = true;
    return relayed;
}

void relay_auth_client_gone(struct session *s) { smtp_server_gone(&s->client.smtp); }

/* A name in a list of words with one blank between. */
static bool has_word(const char *list, struct span word)
{
    for (const char *p = list; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (span_eq(span_of(p, n), word))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

bool relay_auth_fits(const struct session *s)
{
    return s->login != NULL && has_word(relay_offer(s)->caps.auth, span_str(s->login->mechanism));
}

void relay_login_gone(struct session *s)
{
    if (relay_sync_ends(s, SYNC_END_LOGIN))
        return;
    const struct smtp_reply *reply = smtp_reply_own(SMTP_OWN_UPSTREAM_GONE_CLOSE);
    relay_finish(s, STATUS_DEFERRED, relay_stage(s), BY_SMTPTAP, reply);
    smtp_steps_free(&s->held);
    client_bye(&s->client, reply, CLOSE_UPSTREAM);
}

void relay_forget_login(struct session *s)
{
    if (s->bound || (s->up != NULL && s->up->identity == IDENTITY_XCLIENT))
        upstream_leave(&s->up);
    dial_cancel(&s->dial);
    s->bound = false;
    relay_set_user(s, false, NULL);
}

void relay_auth_free(struct session *s)
{
    login_free(s);
    smtp_prints_free(&s->trace.prints);
    free(s->trace.tried);
    s->trace.tried = NULL;
    mailboxes_free(&s->trace.mailboxes);
    free(s->user);
}
