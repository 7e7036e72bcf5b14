/* AUTH (RFC 4954; protocol.md A). The exchange is the backend's and opaque here: what is judged is the command, the
 * form of each response (base64, "*", length), and how often it may fail.
 *
 * Invariants: state AUTH is entered by a 334 alone and left with each line; an exchange that is cancelled here was told
 * to the backend before anything else is read; auth_open from an AUTH command to the reply that ends it, or to the end
 * of the session, which tells the backend once. */
#include "common/codec.h"
#include "common/smtp/sasl.h"
#include "common/smtp/server_impl.h"

const struct smtp_reply *smtp_server_words(const struct smtp_server *s, enum smtp_own id)
{
    bool own_text = id == SMTP_OWN_NEED_AUTH && s->config.need_auth != NULL;
    return own_text ? s->config.need_auth : smtp_reply_own(id);
}

static bool is_unknown_to_us(const struct smtp_server *s) { return s->config.auth_required && !s->authenticated; }

bool smtp_server_needs_auth(const struct smtp_server *s, enum smtp_verb verb)
{
    return is_unknown_to_us(s) && (verb == SMTP_VERB_MAIL || verb == SMTP_VERB_RCPT || verb == SMTP_VERB_DATA ||
                                   verb == SMTP_VERB_BDAT || verb == SMTP_VERB_ETRN);
}

bool smtp_server_too_many_unauthenticated(struct smtp_server *s, enum smtp_verb verb)
{
    static const enum smtp_verb free_of_charge[] = { SMTP_VERB_EHLO,     SMTP_VERB_HELO, SMTP_VERB_LHLO,
                                                     SMTP_VERB_STARTTLS, SMTP_VERB_AUTH, SMTP_VERB_QUIT };
    if (LIKELY(!is_unknown_to_us(s)) || s->config.max_unauthenticated_commands == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(free_of_charge); i++) {
        if (verb == free_of_charge[i])
            return false;
    }
    return ++s->unauthenticated > s->config.max_unauthenticated_commands;
}

/* Takes the next word from *text; empty at the end. */
static struct span next_word(struct span *text)
{
    size_t n = 0;
    *text = span_trim_left(*text);
    while (n < text->n && !span_is_blank(text->p[n]))
        n++;
    struct span word = span_head(*text, n);
    *text = span_skip(*text, n);
    return word;
}

/* The name as the offer has it, or an empty span. */
static struct span find_offered(const struct smtp_server *s, struct span name)
{
    struct span list = span_str(s->offer.auth), word;
    while ((word = next_word(&list)).n > 0) {
        if (span_eq_nocase(word, name))
            return word;
    }
    return SPAN_NONE;
}

static enum smtp_own check_initial(struct span mechanism, struct span initial)
{
    enum sasl_mechanism m;
    if (sasl_find(mechanism, &m) && !sasl_takes_initial(m))
        return SMTP_OWN_AUTH_INITIAL;
    bool good = span_eq(initial, SPAN_LIT("=")) || codec_base64_valid(initial);
    return good ? SMTP_OWN_COUNT : SMTP_OWN_AUTH_BASE64;
}

/* SMTP_OWN_COUNT: it may go on. */
static enum smtp_own check_auth(const struct smtp_server *s, struct span arg, struct span *mechanism,
                                struct span *initial)
{
    if (s->greeted == SMTP_VERB_UNKNOWN)
        return SMTP_OWN_NEED_HELO;
    if (!s->config.auth)
        return SMTP_OWN_DISABLED;
    if (s->config.auth_require_tls && !s->secured)
        return SMTP_OWN_AUTH_NEEDS_TLS;
    if (s->authenticated)
        return SMTP_OWN_ALREADY_AUTH;
    if (s->txn != SMTP_TXN_NONE)
        return SMTP_OWN_IN_TRANSACTION;
    struct span name = next_word(&arg);
    *initial = next_word(&arg);
    if (name.n == 0 || span_trim_left(arg).n > 0)
        return SMTP_OWN_AUTH_SYNTAX;
    *mechanism = find_offered(s, name);
    if (mechanism->n == 0)
        return SMTP_OWN_AUTH_MECHANISM;
    return initial->n > 0 ? check_initial(*mechanism, *initial) : SMTP_OWN_COUNT;
}

void smtp_server_run_auth(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    struct span mechanism, initial;
    enum smtp_own bad = check_auth(s, cmd->arg, &mechanism, &initial);
    if (bad != SMTP_OWN_COUNT) {
        smtp_server_own(s, slot, bad);
        return;
    }
    struct smtp_auth_command auth = { .mechanism = mechanism, .initial = initial.n > 0 ? &initial : NULL };
    smtp_server_slot(s, slot)->auth = SMTP_EXCHANGE;
    s->auth_failed = false;
    s->ops->auth(s->owner, slot, &auth);
}

void smtp_server_auth_began(struct smtp_server *s, const struct smtp_command *cmd)
{
    struct span arg = cmd->arg;
    s->auth_open = true;
    s->auth_method = s->masked ? NULL : smtp_server_mechanism(next_word(&arg));
}

void smtp_server_auth_over(struct smtp_server *s, const struct smtp_reply *reply)
{
    if (!s->auth_open)
        return;
    s->auth_open = false;
    if (s->ops->auth_over != NULL)
        s->ops->auth_over(s->owner, s->auth_method, reply);
}

void smtp_server_auth_failed(struct smtp_server *s) { s->auth_failed = true; }

/* 50x says that an exchange was broken off, not that it came to nothing. */
static bool is_failure(const struct smtp_server *s, const struct smtp_slot_entry *e, int code)
{
    return code / 100 == 5 && (e->auth == SMTP_EXCHANGE || s->auth_failed || code >= 510);
}

bool smtp_server_auth_spent(struct smtp_server *s, const struct smtp_slot_entry *e, int code)
{
    if (LIKELY(e->auth == SMTP_NO_EXCHANGE) || !is_failure(s, e, code))
        return false;
    s->auth_failures++;
    return s->config.max_auth_failures > 0 && s->auth_failures >= s->config.max_auth_failures;
}

void smtp_server_auth_conclude(struct smtp_server *s, const struct smtp_slot_entry *e, int code)
{
    if (e->auth != SMTP_EXCHANGE)
        return;
    if (code == 334) {
        s->state = SMTP_SERVER_AUTH;
        s->scanned = 0;
    } else if (code / 100 == 2) {
        s->authenticated = true;
    }
}

static unsigned log_response(struct smtp_server *s)
{
    s->secret = true;
    s->commands++;
    s->last_tag = s->ops->command(s->owner, SMTP_VERB_UNKNOWN, "?", SPAN_LIT("*"));
    return s->last_tag;
}

static void run_response(struct smtp_server *s, struct span line, bool crlf, usec_t now)
{
    smtp_slot slot = smtp_server_slot_open(s, SMTP_VERB_AUTH, log_response(s), now);
    s->state = SMTP_SERVER_COMMANDS;
    if (!crlf && s->config.bare_newline == SMTP_BARE_REJECT) {
        s->ops->auth_cancel(s->owner, NULL);
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_BARE_NEWLINE), SMTP_CLOSE_PROTOCOL);
    } else if (span_eq(line, SPAN_LIT("*"))) {
        smtp_server_slot(s, slot)->auth = SMTP_EXCHANGE_CANCELLED;
        s->ops->auth_cancel(s->owner, &slot);
    } else if (!codec_base64_valid(line)) {
        smtp_server_slot(s, slot)->auth = SMTP_EXCHANGE_CANCELLED;
        s->ops->auth_cancel(s->owner, NULL);
        smtp_server_own(s, slot, SMTP_OWN_AUTH_BASE64);
    } else {
        smtp_server_slot(s, slot)->auth = SMTP_EXCHANGE;
        s->ops->auth_response(s->owner, slot, line);
    }
}

/* A10. */
static size_t begin_long(struct smtp_server *s, struct span in, usec_t now)
{
    s->ops->auth_cancel(s->owner, NULL);
    size_t taken = smtp_server_begin_skip(s, in, log_response(s), now, SMTP_OWN_AUTH_TOO_LONG);
    smtp_server_slot(s, s->skip_slot)->auth = SMTP_EXCHANGE_CANCELLED;
    return taken;
}

size_t smtp_server_auth_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want)
{
    *want = SMTP_WANT_STEP;
    if (smtp_server_leaves(s)) {
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_SHUTDOWN), SMTP_CLOSE_SHUTDOWN);
        return 0;
    }
    const char *lf = in.n > s->scanned ? memchr(in.p + s->scanned, '\n', in.n - s->scanned) : NULL;
    if (lf == NULL && in.n < SMTP_AUTH_LINE_MAX) {
        s->scanned = in.n;
        *want = SMTP_WANT_INPUT;
        return 0;
    }
    struct span line = lf != NULL ? span_of(in.p, (size_t)(lf - in.p)) : in;
    if (line.n >= SMTP_AUTH_LINE_MAX)
        return begin_long(s, line, now);
    bool crlf = line.n > 0 && line.p[line.n - 1] == '\r';
    s->scanned = 0;
    run_response(s, span_head(line, line.n - crlf), crlf, now);
    return line.n + 1;
}
