/* Every function checks first whether anybody wants the record: making one costs more than not. */
#include "proxy/relay/trace.h"

#include "proxy/net/tls.h"

bool trace_wants(const struct trace *t, enum level level) { return !t->quiet && logger_wants(t->log, level); }

void trace_went_wrong(const struct trace *t)
{
    if (t->kept != NULL)
        logger_release(t->log, t->kept);
}

static void write_dialogue(const struct trace *t, const struct record *r)
{
    if (LIKELY(t->kept == NULL || t->kept->open))
        logger_write(t->log, r);
    else
        logger_keep(t->log, t->kept, r);
}

void trace_emit(const struct trace *t, const struct record *r, bool promised)
{
    if (t->quiet)
        return;
    if (promised)
        logger_write_promised(t->log, r);
    else
        logger_write(t->log, r);
}

/* The keys that stand first in every record of a session. */
struct head {
    char tid[48];
};

static struct span print_tid(const struct trace *t, struct head *h, unsigned txn)
{
    size_t n = strlen(t->cid);
    memcpy(h->tid, t->cid, n);
    h->tid[n] = '.';
    return span_of(h->tid, (size_t)(json_put_digits(h->tid + n + 1, txn) - h->tid));
}

static void begin(const struct trace *t, struct record *r, struct head *h, enum tnx tnx, enum side side, unsigned txn,
                  const char *host)
{
    record_begin(r, tnx, t->loop->real);
    if (t->hostname != NULL)
        r->client_name = span_str(*t->hostname);
    if (t->tried != NULL)
        r->login_name = span_str(t->tried);
    r->mailboxes = t->mailboxes;
    record_str(r, KEY_COMPONENT, t->component);
    if (t->cid[0] != '\0')
        record_cstr(r, KEY_CID, t->cid);
    if (txn > 0) {
        record_str(r, KEY_TID, print_tid(t, h, txn));
    }
    record_side(r, side);
    if (t->user != NULL)
        record_cstr(r, KEY_USER, t->user);
    record_cstr(r, KEY_HOST, host ? host : t->host);
}

static const char *side_word(enum side side) { return side == SIDE_UPSTREAM ? "upstream" : "client"; }

void trace_connection(const struct trace *t, const struct trace_peer *peer)
{
    if (!trace_wants(t, LEVEL_INFO))
        return;
    struct record r;
    struct head h;
    char remote[NETADDR_STRLEN], local[NETADDR_STRLEN];
    bool client = peer->side == SIDE_CLIENT;
    begin(t, &r, &h, TNX_CONNECTION, peer->side, 0, client ? NULL : netaddr_print_ip(&peer->remote, remote));
    if (peer->remote.family != NETADDR_UNIX)
        record_int(&r, KEY_PORT, peer->remote.port);
    if (peer->hostname != NULL)
        record_cstr(&r, KEY_HOSTNAME, peer->hostname);
    if (peer->listener != NULL)
        record_cstr(&r, KEY_LISTENER, peer->listener);
    record_cstr(&r, KEY_LOCAL_HOST, netaddr_print_ip(&peer->local, local));
    if (peer->local.family != NETADDR_UNIX)
        record_int(&r, KEY_LOCAL_PORT, peer->local.port);
    if (peer->server != NULL)
        record_cstr(&r, KEY_SERVER, peer->server);
    if (!client)
        record_bool(&r, KEY_REUSED, false);
    struct span msg[] = { client ? SPAN_LIT("Connection from ") : SPAN_LIT("Connection to "),
                          span_str(client ? t->host : peer->server) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(t->log, &r);
}

void trace_close(const struct trace *t, const struct trace_peer *peer, const struct trace_totals *totals,
                 enum close_reason reason)
{
    if (!trace_wants(t, LEVEL_INFO))
        return;
    struct record r;
    struct head h;
    char remote[NETADDR_STRLEN];
    bool client = peer->side == SIDE_CLIENT;
    begin(t, &r, &h, TNX_CLOSE, peer->side, 0, client ? NULL : netaddr_print_ip(&peer->remote, remote));
    if (peer->hostname != NULL)
        record_cstr(&r, KEY_HOSTNAME, peer->hostname);
    record_cstr(&r, KEY_REASON, close_reason_word(reason));
    record_ms(&r, KEY_DURATION_MS, t->loop->mono - totals->opened);
    record_int(&r, KEY_BYTES_IN, (int64_t)totals->bytes_in);
    record_int(&r, KEY_BYTES_OUT, (int64_t)totals->bytes_out);
    record_int(&r, KEY_COMMANDS, totals->commands);
    record_int(&r, KEY_MESSAGES, totals->messages);
    record_int(&r, KEY_ERRORS, totals->errors);
    if (client && t->kept != NULL && t->kept->open && t->kept->lost > 0)
        record_int(&r, KEY_TRANSCRIPT_LOST, (int64_t)t->kept->lost);
    struct span msg[] = { client ? SPAN_LIT("Connection from ") : SPAN_LIT("Connection to "),
                          span_str(client ? t->host : peer->server), SPAN_LIT(" closed: "),
                          span_str(close_reason_word(reason)) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(t->log, &r);
}

void trace_command(const struct trace *t, enum side side, unsigned txn, const char *verb, struct span line)
{
    if (!trace_wants(t, LEVEL_DEBUG))
        return;
    struct record r;
    struct head h;
    begin(t, &r, &h, TNX_COMMAND, side, txn, NULL);
    record_cstr(&r, KEY_COMMAND, verb);
    record_str(&r, KEY_LINE, line);
    struct span msg[] = { SPAN_LIT("C: "), line };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    write_dialogue(t, &r);
}

void trace_reply(const struct trace *t, enum side side, unsigned txn, const struct smtp_reply *reply, usec_t took)
{
    if (reply->code >= 400)
        trace_went_wrong(t);
    if (!trace_wants(t, LEVEL_DEBUG))
        return;
    struct record r;
    struct head h;
    char hidden[SMTP_HIDDEN_LEN];
    struct smtp_reply shown = trace_shown(t, reply, hidden);
    reply = &shown;
    begin(t, &r, &h, TNX_SEND, side, txn, NULL);
    record_int(&r, KEY_CODE, reply->code);
    if (reply->enhanced[0] != '\0')
        record_cstr(&r, KEY_ENHANCED, reply->enhanced);
    record_reply_lines(&r, KEY_LINES, reply);
    record_ms(&r, KEY_MS, took);
    struct span line = reply->wire;
    const char *end = line.n > 0 ? memchr(line.p, '\r', line.n) : NULL;
    struct span msg[] = { SPAN_LIT("S: "), end ? span_of(line.p, (size_t)(end - line.p)) : line };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    write_dialogue(t, &r);
}

void trace_data(const struct trace *t, enum side side, unsigned txn, uint64_t bytes, usec_t took)
{
    if (!trace_wants(t, LEVEL_DEBUG))
        return;
    struct record r;
    struct head h;
    char digits[JSON_DIGITS_MAX];
    begin(t, &r, &h, TNX_DATA, side, txn, NULL);
    record_int(&r, KEY_BYTES, (int64_t)bytes);
    record_ms(&r, KEY_MS, took);
    struct span msg[] = { SPAN_LIT("C: <"), span_of(digits, (size_t)(json_put_digits(digits, bytes) - digits)),
                          SPAN_LIT(" bytes of DATA>") };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    write_dialogue(t, &r);
}

void trace_auth(const struct trace *t, const struct trace_login *login)
{
    if (!trace_wants(t, LEVEL_INFO))
        return;
    struct record r;
    struct head h;
    begin(t, &r, &h, TNX_AUTH, SIDE_NONE, 0, NULL);
    if (login->method[0] != '\0')
        record_cstr(&r, KEY_METHOD, login->method);
    if (login->username[0] != '\0')
        record_cstr(&r, KEY_USERNAME, login->username);
    if (login->authzid[0] != '\0')
        record_cstr(&r, KEY_AUTHZID, login->authzid);
    record_cstr(&r, KEY_RESULT, login->result);
    if (login->code > 0)
        record_int(&r, KEY_CODE, login->code);
    if (login->reason != CLOSE_NONE)
        record_cstr(&r, KEY_REASON, close_reason_word(login->reason));
    struct span msg[] = { SPAN_LIT("Login by "), span_str(login->method[0] != '\0' ? login->method : "?"),
                          SPAN_LIT(": "), span_str(login->result) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(t->log, &r);
}

/* What the client asked for by name, where we have no certificate of that name too. */
static void trace_sni(const struct trace *t, const struct tls_info *info)
{
    if (info->servername[0] == '\0' || !trace_wants(t, LEVEL_DEBUG))
        return;
    struct record r;
    struct head h;
    begin(t, &r, &h, TNX_SNI, SIDE_NONE, 0, NULL);
    record_cstr(&r, KEY_SERVERNAME, info->servername);
    record_bool(&r, KEY_MATCHED, info->matched);
    struct span msg[] = { SPAN_LIT("SNI "), span_str(info->servername),
                          info->matched ? SPAN_LIT("") : SPAN_LIT(": no certificate, the default is used") };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(t->log, &r);
}

/* Our client's certificate where it verified; the upstream's whether it did or not. */
static void put_peer(struct record *r, enum side side, const struct tls_info *info)
{
    if (side == SIDE_CLIENT) {
        if (info->verified && info->subject[0] != '\0')
            record_cstr(r, KEY_CLIENT_CERT, info->subject);
        return;
    }
    record_bool(r, KEY_VERIFIED, info->verified);
    record_open(r, KEY_PEER);
    if (info->subject[0] != '\0')
        record_cstr(r, KEY_SUBJECT, info->subject);
    if (info->issuer[0] != '\0')
        record_cstr(r, KEY_ISSUER, info->issuer);
    if (info->not_after[0] != '\0')
        record_cstr(r, KEY_NOT_AFTER, info->not_after);
    if (info->verify_error[0] != '\0')
        record_cstr(r, KEY_ERR, info->verify_error);
    record_close(r);
}

void trace_starttls(const struct trace *t, enum side side, const struct tls_info *info, bool implicit, usec_t took)
{
    if (side == SIDE_CLIENT)
        trace_sni(t, info);
    if (!trace_wants(t, LEVEL_INFO))
        return;
    struct record r;
    struct head h;
    begin(t, &r, &h, TNX_STARTTLS, side, 0, NULL);
    record_cstr(&r, KEY_VERSION, info->version);
    record_cstr(&r, KEY_CIPHER, info->cipher);
    record_bool(&r, KEY_RESUMED, info->resumed);
    if (side == SIDE_CLIENT && info->servername[0] != '\0')
        record_cstr(&r, KEY_SERVERNAME, info->servername);
    put_peer(&r, side, info);
    if (implicit)
        record_bool(&r, KEY_IMPLICIT, true);
    record_ms(&r, KEY_MS, took);
    struct span msg[] = { span_str(side_word(side)), SPAN_LIT(" speaks "), span_str(info->version), SPAN_LIT(" with "),
                          span_str(info->cipher) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    logger_write(t->log, &r);
}

static void error_record(const struct trace *t, enum side side, unsigned txn, const char *code, const char *text,
                         const char *stage, const char *host)
{
    struct record r;
    struct head h;
    trace_went_wrong(t);
    begin(t, &r, &h, TNX_ERROR, side, txn, host);
    record_open(&r, KEY_ERR);
    record_cstr(&r, KEY_CODE, code);
    record_cstr(&r, KEY_MESSAGE, text);
    record_close(&r);
    if (stage != NULL)
        record_cstr(&r, KEY_STAGE, stage);
    struct span msg[] = { span_str(side_word(side)), SPAN_LIT(" "), span_str(host ? host : t->host), SPAN_LIT(": "),
                          span_str(text) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    trace_emit(t, &r, false);
}

void trace_error(const struct trace *t, enum side side, unsigned txn, enum record_error err, const char *stage,
                 const char *host, const char *detail)
{
    if (detail != NULL && trace_is_secret(t, span_str(detail)))
        detail = NULL;
    error_record(t, side, txn, record_error_code(err), detail ? detail : record_error_text(err), stage, host);
}
