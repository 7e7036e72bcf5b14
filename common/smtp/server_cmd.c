/* The verbs: each is checked, then acts, then is answered, in the order of protocol.md's tables (H, M, C, D, B). */
#include "common/smtp/server_impl.h"

typedef void verb_fn(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot);

static bool is_disabled(const struct smtp_server *s, enum smtp_verb verb)
{
    return s->config.disabled_commands >> verb & 1;
}

/* T9: what may be said in clear where TLS is required. */
static bool needs_tls(const struct smtp_server *s, enum smtp_verb verb)
{
    static const enum smtp_verb allowed[] = { SMTP_VERB_EHLO, SMTP_VERB_HELO, SMTP_VERB_LHLO,     SMTP_VERB_NOOP,
                                              SMTP_VERB_RSET, SMTP_VERB_QUIT, SMTP_VERB_STARTTLS, SMTP_VERB_HELP };
    if (!s->config.require_tls || s->secured)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        if (verb == allowed[i])
            return false;
    }
    if ((verb == SMTP_VERB_XCLIENT && s->may_xclient) || (verb == SMTP_VERB_XFORWARD && s->may_xforward))
        return false;
    return !smtp_verb_is_foreign(verb) && verb != SMTP_VERB_PROXY;
}

static void refuse(struct smtp_server *s, smtp_slot slot, enum smtp_own id) { smtp_server_own(s, slot, id); }

static void run_helo(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if ((cmd->verb == SMTP_VERB_LHLO) != s->config.lmtp) {
        refuse(s, slot, SMTP_OWN_WRONG_PROTOCOL);
    } else if (cmd->arg.n == 0 || !smtp_helo_valid(cmd->arg)) {
        refuse(s, slot, SMTP_OWN_HELO_SYNTAX);
    } else {
        smtp_server_abandon(s, SMTP_ABANDON_HELO, NULL);
        s->ops->helo(s->owner, slot, cmd->verb, s->line_arg);
    }
}

/* M9: bytes over 127 need SMTPUTF8, unless leniency leaves the judgement to the upstream. */
static bool utf8_is_fine(const struct smtp_server *s, const struct smtp_path *path)
{
    if (!path->non_ascii)
        return true;
    return path->valid_utf8 && (s->smtputf8 || s->config.lenient_addresses);
}

/* Reads "FROM:<path> params" into e; returns SMTP_OWN_COUNT where the path and its bytes are fine. */
static enum smtp_own read_path(const struct smtp_server *s, struct smtp_envelope_command *e, struct smtp_path *path,
                               enum smtp_path_kind kind)
{
    enum smtp_own bad = kind == SMTP_REVERSE_PATH ? SMTP_OWN_MAIL_SYNTAX : SMTP_OWN_RCPT_SYNTAX;
    struct span prefix = kind == SMTP_REVERSE_PATH ? SPAN_LIT("FROM:") : SPAN_LIT("TO:");
    if (!span_begins_nocase(e->arg, prefix))
        return bad;
    struct span rest = span_skip(e->arg, prefix.n);
    if (smtp_path_parse(path, &rest, kind) != SMTP_PATH_OK)
        return bad;
    if ((s->line_masked || s->line_cut) && !path->strict)
        return bad;
    e->path = path;
    e->params_text = rest;
    if (!path->strict && !s->config.lenient_addresses)
        return path->non_ascii && !path->valid_utf8 ? SMTP_OWN_NEEDS_SMTPUTF8 : bad;
    return SMTP_OWN_COUNT;
}

static enum smtp_own param_reply(enum smtp_param_fault fault)
{
    return fault == SMTP_PARAM_UNKNOWN ? SMTP_OWN_PARAM_UNKNOWN : SMTP_OWN_PARAM_SYNTAX;
}

/* SMTP_OWN_COUNT: nothing is wrong with it. */
static enum smtp_own check_mail(struct smtp_server *s, struct smtp_envelope_command *e, struct smtp_path *path,
                                struct smtp_mail_params *params)
{
    if (is_disabled(s, SMTP_VERB_MAIL))
        return SMTP_OWN_DISABLED;
    if (needs_tls(s, SMTP_VERB_MAIL))
        return SMTP_OWN_NEED_TLS;
    if (smtp_server_needs_auth(s, SMTP_VERB_MAIL))
        return SMTP_OWN_NEED_AUTH;
    if (s->greeted == SMTP_VERB_UNKNOWN)
        return SMTP_OWN_NEED_HELO;
    if (s->tempfail)
        return SMTP_OWN_LOG_BLOCKED;
    enum smtp_own bad = read_path(s, e, path, SMTP_REVERSE_PATH);
    if (bad != SMTP_OWN_COUNT)
        return bad;
    enum smtp_param_fault fault = smtp_mail_params_parse(params, e->params_text, s->offer.set);
    if (fault != SMTP_PARAM_OK)
        return param_reply(fault);
    e->mail = params;
    s->smtputf8 = params->smtputf8;
    s->binary = params->body == SMTP_BODY_BINARYMIME;
    if (!utf8_is_fine(s, path))
        return SMTP_OWN_NEEDS_SMTPUTF8;
    if (params->has_size && s->offer.size > 0 && params->size > s->offer.size)
        return SMTP_OWN_MESSAGE_TOO_BIG;
    if (s->offer.mailmax > 0 && s->mails >= s->offer.mailmax)
        return SMTP_OWN_TOO_MANY_MESSAGES;
    return SMTP_OWN_COUNT;
}

/* A line that may be the message's text, or a secret, has no part in a record. */
static void refuse_envelope(struct smtp_server *s, smtp_slot slot, struct smtp_envelope_command *e, enum smtp_own id)
{
    e->refusal = smtp_server_words(s, id);
    if (s->line_masked)
        e->path = NULL;
    e->arg = s->line_arg;
    smtp_server_reply(s, slot, e->refusal);
}

/* For the record: the sender of a MAIL that was refused before its path was looked at. */
static void note_sender(const struct smtp_server *s, struct smtp_envelope_command *e, struct smtp_path *path)
{
    struct span rest = span_skip(e->arg, 5);
    bool named = span_begins_nocase(e->arg, SPAN_LIT("FROM:"));
    if (e->path == NULL && named && smtp_path_parse(path, &rest, SMTP_REVERSE_PATH) == SMTP_PATH_OK &&
        (path->strict || (s->config.lenient_addresses && !s->line_cut)))
        e->path = path;
}

static void run_mail(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    struct smtp_envelope_command e = { .arg = cmd->arg };
    struct smtp_path path;
    struct smtp_mail_params params;
    if (s->txn != SMTP_TXN_NONE) {
        refuse(s, slot, SMTP_OWN_NESTED_MAIL);
        return;
    }
    enum smtp_own bad = check_mail(s, &e, &path, &params);
    if (bad != SMTP_OWN_COUNT) {
        note_sender(s, &e, &path);
        refuse_envelope(s, slot, &e, bad);
    } else {
        s->txn = SMTP_TXN_MAIL;
        s->bdat = SMTP_BDAT_NONE;
        s->lost = false;
        s->rcpt_given = s->rcpt_accepted = s->rcpt_pending = 0;
    }
    s->ops->mail(s->owner, slot, &e);
}

static enum smtp_own check_rcpt(struct smtp_server *s, struct smtp_envelope_command *e, struct smtp_path *path,
                                struct smtp_rcpt_params *params)
{
    if (s->tempfail)
        return SMTP_OWN_LOG_BLOCKED;
    enum smtp_own bad = read_path(s, e, path, SMTP_FORWARD_PATH);
    if (bad != SMTP_OWN_COUNT)
        return bad;
    if (s->lost)
        return SMTP_OWN_UPSTREAM_LOST;
    enum smtp_param_fault fault = smtp_rcpt_params_parse(params, e->params_text, s->offer.set);
    if (fault != SMTP_PARAM_OK)
        return param_reply(fault);
    e->rcpt = params;
    if (!utf8_is_fine(s, path))
        return SMTP_OWN_NEEDS_SMTPUTF8;
    unsigned taken = s->rcpt_accepted + s->rcpt_pending;
    if ((s->config.max_recipients > 0 && taken >= s->config.max_recipients) ||
        (s->offer.rcptmax > 0 && taken >= s->offer.rcptmax))
        return SMTP_OWN_TOO_MANY_RECIPIENTS;
    return SMTP_OWN_COUNT;
}

static void run_rcpt(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    struct smtp_envelope_command e = { .arg = cmd->arg };
    struct smtp_path path;
    struct smtp_rcpt_params params;
    if (s->txn == SMTP_TXN_NONE) {
        refuse(s, slot, s->greeted == SMTP_VERB_UNKNOWN ? SMTP_OWN_NEED_HELO : smtp_server_need_mail(s));
        return;
    }
    if (s->bdat != SMTP_BDAT_NONE) {
        refuse(s, slot, SMTP_OWN_BDAT_BEGUN); /* out of order: no recipient of the transaction */
        return;
    }
    s->rcpt_given++;
    enum smtp_own bad = check_rcpt(s, &e, &path, &params);
    if (bad != SMTP_OWN_COUNT) {
        refuse_envelope(s, slot, &e, bad);
    } else {
        s->rcpt_pending++;
        s->slots[slot & (s->slot_cap - 1)].counted = true;
    }
    s->ops->rcpt(s->owner, slot, &e);
}

/* While the log has no room a pipelined MAIL was refused for now: what came with it is not refused for good. */
enum smtp_own smtp_server_need_mail(const struct smtp_server *s)
{
    return s->tempfail ? SMTP_OWN_LOG_BLOCKED : SMTP_OWN_NEED_MAIL;
}

enum smtp_own smtp_server_check_rcpt(const struct smtp_server *s)
{
    if (s->lost)
        return SMTP_OWN_UPSTREAM_LOST;
    if (s->tempfail)
        return SMTP_OWN_LOG_BLOCKED;
    if (s->rcpt_given == 0)
        return SMTP_OWN_NEED_RCPT;
    if (s->rcpt_accepted == 0)
        return s->config.lmtp ? SMTP_OWN_NEED_RCPT : SMTP_OWN_NO_VALID_RCPT; /* LM5 */
    return SMTP_OWN_COUNT;
}

/* The refusals of DATA; SMTP_OWN_COUNT where it goes upstream. */
static enum smtp_own check_data(const struct smtp_server *s, struct span arg)
{
    if (s->greeted == SMTP_VERB_UNKNOWN)
        return SMTP_OWN_NEED_HELO;
    if (arg.n > 0)
        return SMTP_OWN_NO_ARGUMENT;
    if (s->txn == SMTP_TXN_NONE)
        return smtp_server_need_mail(s);
    if (s->bdat != SMTP_BDAT_NONE)
        return SMTP_OWN_BDAT_BEGUN;
    enum smtp_own bad = smtp_server_check_rcpt(s);
    if (bad != SMTP_OWN_COUNT)
        return bad;
    return s->binary ? SMTP_OWN_NEED_BDAT : SMTP_OWN_COUNT;
}

/* A refusal ends the transaction (events.md), but one for the order of commands, or of a line that may be said again
 * rightly (RFC 5321 section 4.1.4). What follows may be the message's text. */
static void refuse_data(struct smtp_server *s, smtp_slot slot, enum smtp_own id)
{
    const struct smtp_reply *reply = smtp_server_words(s, id);
    s->masked = true;
    smtp_server_reply(s, slot, reply);
    if (reply->code != 503 && reply->code != 501)
        smtp_server_abandon(s, SMTP_ABANDON_DATA, reply);
}

static void run_data(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    enum smtp_own bad = check_data(s, cmd->arg);
    if (bad == SMTP_OWN_COUNT) {
        s->slots[slot & (s->slot_cap - 1)].relayed = true;
        s->ops->data(s->owner, slot);
        return;
    }
    refuse_data(s, slot, bad);
}

/* The octets behind it are a chunk whatever is wrong with it. */
static void run_bdat(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    enum smtp_own bad = SMTP_OWN_COUNT;
    if (is_disabled(s, SMTP_VERB_BDAT))
        bad = SMTP_OWN_DISABLED;
    else if (needs_tls(s, SMTP_VERB_BDAT))
        bad = SMTP_OWN_NEED_TLS;
    else if (smtp_server_needs_auth(s, SMTP_VERB_BDAT))
        bad = SMTP_OWN_NEED_AUTH;
    else if (s->greeted == SMTP_VERB_UNKNOWN)
        bad = SMTP_OWN_NEED_HELO;
    smtp_server_bdat(s, cmd, slot, bad);
}

static void run_rset(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (cmd->arg.n > 0) {
        refuse(s, slot, SMTP_OWN_NO_ARGUMENT);
        return;
    }
    if (s->bound) {
        smtp_server_abandon(s, SMTP_ABANDON_RSET, NULL);
        s->ops->pass(s->owner, slot, cmd);
        return;
    }
    smtp_server_own(s, slot, SMTP_OWN_OK);
    smtp_server_abandon(s, SMTP_ABANDON_RSET, NULL);
}

static void run_quit(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (cmd->arg.n > 0) {
        refuse(s, slot, SMTP_OWN_NO_ARGUMENT);
        return;
    }
    smtp_server_own(s, slot, SMTP_OWN_BYE);
    smtp_server_abandon(s, SMTP_ABANDON_QUIT, NULL);
    s->state = SMTP_SERVER_CLOSED;
    s->close_reason = SMTP_CLOSE_QUIT;
}

static void run_noop(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    bool text = (s->line_masked || s->line_cut) && cmd->arg.n > 0; /* the message's, or a secret, it may be */
    if (s->bound && !text && !smtp_text_has_control(cmd->arg))
        s->ops->pass(s->owner, slot, cmd);
    else
        smtp_server_own(s, slot, SMTP_OWN_OK);
}

static void run_help(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    (void)cmd;
    smtp_server_own(s, slot, SMTP_OWN_HELP);
}

static void run_vrfy(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    smtp_server_own(s, slot, cmd->arg.n > 0 ? SMTP_OWN_VRFY : SMTP_OWN_NEED_ARGUMENT);
}

static void run_etrn(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (s->greeted == SMTP_VERB_UNKNOWN)
        refuse(s, slot, SMTP_OWN_NEED_HELO);
    else if (!(s->offer.set & SMTP_CAP_BIT(ETRN)))
        refuse(s, slot, SMTP_OWN_DISABLED);
    else if (s->txn != SMTP_TXN_NONE || s->line_masked)
        refuse(s, slot, SMTP_OWN_IN_TRANSACTION);
    else if (cmd->arg.n == 0 || s->line_cut || smtp_text_has_control(cmd->arg))
        refuse(s, slot, SMTP_OWN_NEED_ARGUMENT);
    else
        s->ops->pass(s->owner, slot, cmd);
}

static void run_starttls(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (cmd->arg.n > 0)
        refuse(s, slot, SMTP_OWN_NO_ARGUMENT);
    else if (s->greeted == SMTP_VERB_UNKNOWN)
        refuse(s, slot, SMTP_OWN_NEED_HELO);
    else if (s->secured)
        refuse(s, slot, SMTP_OWN_ALREADY_TLS);
    else if (!(s->offer.set & SMTP_CAP_BIT(STARTTLS)))
        refuse(s, slot, SMTP_OWN_DISABLED);
    else if (s->txn != SMTP_TXN_NONE)
        refuse(s, slot, SMTP_OWN_IN_TRANSACTION);
    else
        s->ops->starttls(s->owner, slot);
}

static void run_disabled(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (cmd->verb == SMTP_VERB_DATA)
        refuse_data(s, slot, SMTP_OWN_DISABLED);
    else
        refuse(s, slot, SMTP_OWN_DISABLED);
}

/* There is no transaction: its MAIL would have been refused for the same reason. */
static void run_needs(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot, enum smtp_own id)
{
    s->masked |= cmd->verb == SMTP_VERB_DATA;
    refuse(s, slot, id);
}

/* Another protocol's client: nothing it sends is for us (G6, Q2). */
static void run_foreign(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    (void)cmd;
    (void)slot;
    smtp_server_close(s, smtp_reply_own(SMTP_OWN_NOT_SMTP), SMTP_CLOSE_PROTOCOL);
}

static void unrecognized(struct smtp_server *s, smtp_slot slot, enum smtp_own id)
{
    unsigned max = s->config.max_unrecognized_commands;
    if (max > 0 && ++s->unrecognized > max)
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_TOO_MANY_ERRORS), SMTP_CLOSE_LIMIT);
    else
        refuse(s, slot, id);
}

static verb_fn *const verb_run[SMTP_VERB_COUNT] = {
    [SMTP_VERB_HELO] = run_helo,
    [SMTP_VERB_EHLO] = run_helo,
    [SMTP_VERB_LHLO] = run_helo,
    [SMTP_VERB_MAIL] = run_mail,
    [SMTP_VERB_RCPT] = run_rcpt,
    [SMTP_VERB_DATA] = run_data,
    [SMTP_VERB_BDAT] = run_bdat,
    [SMTP_VERB_RSET] = run_rset,
    [SMTP_VERB_NOOP] = run_noop,
    [SMTP_VERB_QUIT] = run_quit,
    [SMTP_VERB_VRFY] = run_vrfy,
    [SMTP_VERB_EXPN] = run_disabled,
    [SMTP_VERB_HELP] = run_help,
    [SMTP_VERB_ETRN] = run_etrn,
    [SMTP_VERB_TURN] = run_disabled,
    [SMTP_VERB_SEND] = run_disabled,
    [SMTP_VERB_SOML] = run_disabled,
    [SMTP_VERB_SAML] = run_disabled,
    [SMTP_VERB_STARTTLS] = run_starttls,
    [SMTP_VERB_AUTH] = smtp_server_run_auth,
    [SMTP_VERB_XCLIENT] = smtp_server_run_xclient,
    [SMTP_VERB_XFORWARD] = smtp_server_run_xclient,
    [SMTP_VERB_PROXY] = run_foreign,
    [SMTP_VERB_GET] = run_foreign,
    [SMTP_VERB_POST] = run_foreign,
    [SMTP_VERB_PUT] = run_foreign,
    [SMTP_VERB_HEAD] = run_foreign,
    [SMTP_VERB_CONNECT] = run_foreign,
    [SMTP_VERB_OPTIONS] = run_foreign,
    [SMTP_VERB_DELETE] = run_foreign,
    [SMTP_VERB_PATCH] = run_foreign,
    [SMTP_VERB_TRACE] = run_foreign,
};

static void run_faulty(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    s->masked |= cmd->verb == SMTP_VERB_DATA;
    if (cmd->verb == SMTP_VERB_BDAT)
        smtp_server_refuse_bdat(s);
    else
        unrecognized(s, slot, cmd->fault == SMTP_LINE_EMPTY ? SMTP_OWN_UNRECOGNIZED : SMTP_OWN_LINE_SYNTAX);
}

/* N2. The backend takes note of a MAIL refused by this too. */
static void run_bare_lf(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    struct smtp_envelope_command e = { .arg = s->line_arg, .refusal = smtp_reply_own(SMTP_OWN_BARE_NEWLINE) };
    smtp_server_close(s, e.refusal, SMTP_CLOSE_PROTOCOL);
    if (cmd->verb == SMTP_VERB_MAIL && cmd->fault == SMTP_LINE_OK && s->txn == SMTP_TXN_NONE)
        s->ops->mail(s->owner, slot, &e);
}

void smtp_server_run(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot)
{
    if (s->bare_lf && s->config.bare_newline == SMTP_BARE_REJECT)
        run_bare_lf(s, cmd, slot);
    else if (UNLIKELY(smtp_server_too_many_unauthenticated(s, cmd->verb)))
        smtp_server_close(s, smtp_reply_own(SMTP_OWN_UNAUTHENTICATED), SMTP_CLOSE_LIMIT);
    else if (cmd->fault != SMTP_LINE_OK)
        run_faulty(s, cmd, slot);
    else if (cmd->verb == SMTP_VERB_UNKNOWN)
        unrecognized(s, slot, SMTP_OWN_UNRECOGNIZED);
    else if (is_disabled(s, cmd->verb) && cmd->verb != SMTP_VERB_BDAT && cmd->verb != SMTP_VERB_MAIL)
        run_disabled(s, cmd, slot);
    else if (needs_tls(s, cmd->verb) && cmd->verb != SMTP_VERB_BDAT && cmd->verb != SMTP_VERB_MAIL)
        run_needs(s, cmd, slot, SMTP_OWN_NEED_TLS);
    else if (smtp_server_needs_auth(s, cmd->verb) && cmd->verb != SMTP_VERB_BDAT && cmd->verb != SMTP_VERB_MAIL)
        run_needs(s, cmd, slot, SMTP_OWN_NEED_AUTH);
    else
        verb_run[cmd->verb](s, cmd, slot);
}
