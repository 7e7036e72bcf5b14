/* The server engine, fed with anything in any segments, before a backend that accepts, refuses, closes, at once or
 * later. What must hold whatever comes stands in the functions of the backend; that segments change nothing is shown by
 * a second run, cut otherwise, which must leave the same trace. Input: settings, shape of the segments, number of
 * answers (and whether TLS is required, LMTP spoken, AUTH there), the answers, the client's bytes; after a granted
 * STARTTLS a form feed ends what was sent in clear. */
#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/server.h"
#include "tests/fuzz/server_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PENDING_MAX = SMTP_SLOTS_MAX + 1, LINE_MAX_OCTETS = 600, INPUT_MAX = 40000, HEAD = 3 };
enum answer { ANSWER_2XX, ANSWER_4XX, ANSWER_5XX, ANSWER_CLOSE, ANSWER_LOST };

struct pending {
    smtp_slot slot;
    enum answer answer;
    enum smtp_verb verb;
    bool end, more; /* end, of AUTH: cancelled; more: LMTP, not the last recipient's */
};

struct run {
    struct smtp_server s;
    struct buf_pool pool;
    struct buf trace, body;
    const uint8_t *answers;
    size_t answer_count, answered;
    uint8_t settings;
    bool need_tls, lmtp;
    bool wild; /* also does what may depend on the segments */
    struct pending pending[PENDING_MAX];
    unsigned pending_count;
    struct span line; /* what the engine looks at */
    struct oracle oracle;
    /* the model */
    unsigned tag, tag_sent, rcpt_good, end_2xx, shown_2xx, replies, ends;
    bool shaking, secured, greeted; /* the 220 to STARTTLS has left; TLS; a HELO since */
    bool open, mail_refused, in_body, ended, told_421, after_body, poisoned;
    bool in_chunk, chunk_last, chunks, swallowed; /* octets are due; the chunk has LAST; BDAT began */
    uint64_t due;
    bool auth, auth_required, auth_tls;       /* as configured */
    bool authed, bound, in_exchange, awaited; /* awaited: a 334 was given, so the next line is a response */
    unsigned auths, overs;                    /* AUTH commands, and how many came to their end */
    int over_code;                            /* of the reply that is to leave next */
    enum smtp_verb tag_verb;
};

static const struct smtp_header_want want = { { "message-id", "subject" }, 2 };

static void trace(struct run *r, const char *word, struct span text)
{
    buf_append(&r->trace, word, strlen(word));
    buf_append_span(&r->trace, text);
    buf_append(&r->trace, "\n", 1);
}

static void called(const struct run *r)
{
    require(!r->told_421);
    require(r->s.slot_cap <= SMTP_SLOTS_MAX);
    require(r->s.slot_tail - r->s.slot_head <= SMTP_SLOTS_MAX);
}

static enum answer next_answer(struct run *r, bool *later)
{
    uint8_t a = r->answer_count > 0 ? r->answers[r->answered++ % r->answer_count] : 0;
    *later = a & 16;
    switch (a & 15) {
    case 10:
    case 11:
        return ANSWER_4XX;
    case 12:
    case 13:
        return ANSWER_5XX;
    case 14:
        return ANSWER_LOST;
    case 15:
        return ANSWER_CLOSE;
    default:
        return ANSWER_2XX;
    }
}

static const char *reply_text(enum answer answer, const struct pending *p)
{
    if (p->verb == SMTP_VERB_AUTH && p->end)
        return "501 5.7.0 cancelled\r\n";
    if (answer == ANSWER_4XX)
        return "451-later\r\n451 4.7.1 later\r\n";
    if (answer == ANSWER_5XX)
        return "550 5.7.1 no\r\n";
    if (p->verb == SMTP_VERB_DATA && !p->end)
        return "354 go\r\n";
    if (p->verb == SMTP_VERB_STARTTLS)
        return "220 2.0.0 go\r\n";
    if (p->verb == SMTP_VERB_AUTH)
        return p->more ? "334 YQ==\r\n" : "235 2.7.0 in\r\n";
    return p->end ? "250 2.0.0 the upstream has it\r\n" : "250 2.1.0 fine\r\n";
}

/* What an answer means in the model, before the engine is told. */
static void conclude(struct run *r, const struct pending *p, int code)
{
    bool ok = code / 100 == 2;
    if (p->verb == SMTP_VERB_AUTH) {
        r->awaited = code == 334;
        r->in_exchange = r->awaited;
        r->authed |= ok;
        if (ok && r->settings & 2) {
            r->bound = true;
            smtp_server_bind(&r->s);
        }
    } else if (p->verb == SMTP_VERB_MAIL && !ok) {
        r->open = false;
    } else if (p->verb == SMTP_VERB_RCPT) {
        r->rcpt_good += ok;
    } else if (p->verb == SMTP_VERB_DATA && p->end) {
        r->end_2xx += ok;
        r->open = p->more && r->open;
    } else if (p->verb == SMTP_VERB_DATA) {
        r->in_body = code == 354;
        r->open = r->in_body;
    } else if (p->verb == SMTP_VERB_BDAT && p->end) {
        r->end_2xx += ok;
        r->open = p->more && r->open;
    } else if (p->verb == SMTP_VERB_BDAT) {
        r->open = ok;
    }
}

static void fill(struct run *r, const struct pending *p)
{
    if (r->told_421)
        return;
    if (p->answer == ANSWER_CLOSE) {
        smtp_server_close(&r->s, smtp_reply_own(SMTP_OWN_UPSTREAM_GONE_CLOSE), SMTP_CLOSE_UPSTREAM);
        return;
    }
    struct smtp_reply reply = smtp_reply_read(span_str(reply_text(p->answer, p)));
    if (p->verb == SMTP_VERB_RCPT && r->mail_refused)
        reply = *smtp_reply_own(SMTP_OWN_NEED_MAIL);
    conclude(r, p, reply.code);
    if (p->end && r->lmtp)
        smtp_server_reply_one(&r->s, p->slot, &reply);
    else
        smtp_server_reply(&r->s, p->slot, &reply);
    bool may_lose = p->verb == SMTP_VERB_RCPT || (p->verb == SMTP_VERB_BDAT && !p->end);
    if (p->answer == ANSWER_LOST && may_lose && !r->told_421)
        smtp_server_lost(&r->s);
}

static void answer_more(struct run *r, smtp_slot slot, enum smtp_verb verb, bool end, bool more)
{
    bool later = false, refused = verb == SMTP_VERB_RCPT && r->mail_refused;
    struct pending p = { slot, refused ? ANSWER_5XX : next_answer(r, &later), verb, end, more };
    if (p.answer == ANSWER_CLOSE && end && r->settings & 32)
        p.answer = ANSWER_2XX;
    if (verb == SMTP_VERB_MAIL)
        r->mail_refused = p.answer != ANSWER_2XX && p.answer != ANSWER_LOST;
    if (!later && r->pending_count == 0) {
        fill(r, &p);
        return;
    }
    require(r->pending_count < PENDING_MAX);
    r->pending[r->pending_count++] = p;
}

static void answer(struct run *r, smtp_slot slot, enum smtp_verb verb, bool end)
{
    for (unsigned left = end && r->lmtp ? r->rcpt_good : 1; left > 0; left--)
        answer_more(r, slot, verb, end, left > 1);
}

static void fill_all(struct run *r)
{
    struct pending now[PENDING_MAX];
    unsigned n = r->pending_count;
    memcpy(now, r->pending, n * sizeof(now[0]));
    r->pending_count = 0;
    for (unsigned i = 0; i < n; i++)
        fill(r, &now[r->settings & 64 && !now[0].end ? n - 1 - i : i]);
}

static void op_helo(void *owner, smtp_slot slot, enum smtp_verb verb, struct span domain)
{
    struct run *r = owner;
    struct smtp_caps offer = { .set = r->settings & 4 ? ~(smtp_cap_set)0 : 0, .size = r->settings & 8 ? 1000 : 0 };
    called(r);
    require(!r->open && (verb == SMTP_VERB_LHLO) == r->lmtp && domain.n > 0 && domain.n <= 255);
    oracle_argument(&r->oracle, domain);
    trace(r, "helo ", domain);
    r->greeted = true;
    if (r->auth)
        strcpy(offer.auth, "PLAIN LOGIN CRAM-MD5");
    smtp_server_offer(&r->s, &offer);
    answer(r, slot, verb, false);
}

static void op_mail(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct run *r = owner;
    require(cmd->refusal != NULL || cmd->path != NULL);
    require(!r->open);
    trace(r, cmd->refusal != NULL ? "mail! " : "mail ", cmd->path != NULL ? cmd->path->raw : cmd->arg);
    if (cmd->path == NULL || cmd->refusal != NULL)
        oracle_argument(&r->oracle, cmd->path != NULL ? cmd->path->raw : cmd->arg);
    if (cmd->refusal != NULL)
        return;
    called(r);
    require(r->greeted && (r->secured || !r->need_tls) && (r->authed || !r->auth_required));
    r->open = true;
    r->chunks = false;
    r->rcpt_good = 0;
    answer(r, slot, SMTP_VERB_MAIL, false);
}

static void op_rcpt(void *owner, smtp_slot slot, const struct smtp_envelope_command *cmd)
{
    struct run *r = owner;
    require(cmd->refusal != NULL || cmd->path != NULL);
    require(r->open && !r->in_body && !r->in_chunk && (cmd->refusal != NULL || !r->chunks));
    trace(r, cmd->refusal != NULL ? "rcpt! " : "rcpt ", cmd->path != NULL ? cmd->path->raw : cmd->arg);
    if (cmd->path == NULL || cmd->refusal != NULL)
        oracle_argument(&r->oracle, cmd->path != NULL ? cmd->path->raw : cmd->arg);
    if (cmd->refusal != NULL)
        return;
    called(r);
    answer(r, slot, SMTP_VERB_RCPT, false);
}

static void op_data(void *owner, smtp_slot slot)
{
    struct run *r = owner;
    called(r);
    require(r->open && r->rcpt_good > 0 && r->pending_count == 0 && !r->chunks);
    trace(r, "data", SPAN_NONE);
    buf_free(&r->body);
    r->poisoned = r->swallowed = false;
    answer(r, slot, SMTP_VERB_DATA, false);
}

static void op_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last)
{
    struct run *r = owner;
    called(r);
    require(r->open && r->rcpt_good > 0 && r->pending_count == 0 && !r->in_body && !r->in_chunk);
    require(r->s.slot_head == slot && r->s.slot_tail == slot + 1 && octets <= INT64_MAX);
    if (!r->chunks) {
        buf_free(&r->body);
        r->poisoned = r->swallowed = false;
    }
    r->chunks = r->in_chunk = true;
    r->due = octets;
    r->chunk_last = last;
    trace(r, last ? "last chunk" : "chunk", SPAN_NONE);
}

static void op_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct run *r = owner;
    called(r);
    require(r->open && r->in_chunk && !r->chunk_last && (data->poison != NULL) == r->poisoned);
    require(r->due == 0 || r->poisoned || r->swallowed);
    r->in_chunk = false;
    trace(r, "chunk end ", buf_span(&r->body));
    if (data->poison == NULL) {
        answer(r, slot, SMTP_VERB_BDAT, false);
        return;
    }
    conclude(r, &(struct pending){ .verb = SMTP_VERB_BDAT }, data->poison->code);
    smtp_server_reply(&r->s, slot, data->poison);
}

static void op_anomaly(void *owner, const char *word)
{
    struct run *r = owner;
    require(r->open && !r->in_chunk);
    trace(r, word, SPAN_NONE);
}

static void op_body(void *owner, const struct smtp_body_out *pieces)
{
    struct run *r = owner;
    called(r);
    require(r->open && r->in_body != r->in_chunk && !r->poisoned && !r->swallowed && pieces->count > 0);
    for (unsigned i = 0; i < pieces->count; i++) {
        buf_append_span(&r->body, pieces->piece[i]);
        require(!r->in_chunk || pieces->piece[i].n <= r->due);
        r->due -= r->in_chunk ? pieces->piece[i].n : 0;
    }
    r->swallowed = r->wild && r->settings & 128;
    if (r->swallowed)
        smtp_server_swallow(&r->s);
}

static void op_poisoned(void *owner, const struct smtp_reply *reply)
{
    struct run *r = owner;
    called(r);
    require((r->in_body || r->in_chunk) && !r->poisoned && reply->code / 100 == 5);
    r->poisoned = true;
    buf_free(&r->body);
    trace(r, "poisoned", SPAN_NONE);
}

static void op_end(void *owner, smtp_slot slot, const struct smtp_server_data *data)
{
    struct run *r = owner;
    called(r);
    require(r->open && (data->poison != NULL) == r->poisoned);
    require(r->in_chunk ? r->chunk_last && (r->due == 0 || r->poisoned || r->swallowed) : r->in_body);
    require(buf_len(&data->header.values) <= SMTP_HEADER_WANT_MAX * SMTP_HEADER_VALUE_MAX);
    if (r->in_body)
        require_canonical(buf_span(&r->body));
    trace(r, "end ", buf_span(&r->body));
    enum smtp_verb verb = r->in_chunk ? SMTP_VERB_BDAT : SMTP_VERB_DATA;
    r->in_body = r->in_chunk = r->swallowed = false;
    r->ends += r->lmtp ? r->rcpt_good : 1;
    if (data->poison == NULL) {
        answer(r, slot, verb, true);
        return;
    }
    conclude(r, &(struct pending){ .verb = verb, .end = true }, data->poison->code);
    smtp_server_reply(&r->s, slot, data->poison);
}

static void op_abandon(void *owner, enum smtp_abandon why, const struct smtp_reply *reply)
{
    struct run *r = owner;
    require(r->open && !r->in_body && !r->in_chunk && (reply != NULL) == (why == SMTP_ABANDON_DATA));
    r->open = false;
    trace(r, "abandon", SPAN_NONE);
}

static void op_pass(void *owner, smtp_slot slot, const struct smtp_command *cmd)
{
    struct run *r = owner;
    called(r);
    require(r->bound ? cmd->verb == SMTP_VERB_NOOP || !r->open : !r->open);
    require(cmd->verb == SMTP_VERB_ETRN || (r->bound && (cmd->verb == SMTP_VERB_NOOP || cmd->verb == SMTP_VERB_RSET)));
    trace(r, "pass ", cmd->line);
    answer(r, slot, SMTP_VERB_ETRN, false);
}

static void op_starttls(void *owner, smtp_slot slot)
{
    struct run *r = owner;
    called(r);
    require(!r->open && !r->secured && !r->shaking && r->greeted && r->settings & 4);
    trace(r, "starttls", SPAN_NONE);
    answer(r, slot, SMTP_VERB_STARTTLS, false);
}

static bool is_base64(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool letter = (s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z', digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (!letter && !digit && s.p[i] != '+' && s.p[i] != '/' && !(s.p[i] == '=' && i + 2 >= s.n))
            return false;
    }
    return s.n % 4 == 0;
}

/* A 334 is as likely as an end. */
static void answer_auth(struct run *r, smtp_slot slot, bool cancelled)
{
    answer_more(r, slot, SMTP_VERB_AUTH, cancelled, r->answered & 1);
}

static void op_auth(void *owner, smtp_slot slot, const struct smtp_auth_command *cmd)
{
    struct run *r = owner;
    called(r);
    require(r->auth && r->greeted && !r->open && !r->authed && !r->in_exchange);
    require(r->secured || (!r->auth_tls && !r->need_tls));
    require(span_eq(cmd->mechanism, SPAN_LIT("PLAIN")) || span_eq(cmd->mechanism, SPAN_LIT("LOGIN")) ||
            (span_eq(cmd->mechanism, SPAN_LIT("CRAM-MD5")) && cmd->initial == NULL));
    require(cmd->initial == NULL || span_eq(*cmd->initial, SPAN_LIT("=")) || is_base64(*cmd->initial));
    trace(r, "auth ", cmd->initial != NULL ? *cmd->initial : SPAN_NONE);
    r->in_exchange = true;
    answer_auth(r, slot, false);
}

static void op_auth_response(void *owner, smtp_slot slot, struct span text)
{
    struct run *r = owner;
    called(r);
    require(r->in_exchange && !r->awaited && text.n < AUTH_LINE_OCTETS && is_base64(text));
    trace(r, "response ", text);
    answer_auth(r, slot, false);
}

static void op_auth_cancel(void *owner, const smtp_slot *slot)
{
    struct run *r = owner;
    called(r);
    require(r->in_exchange && !r->awaited);
    trace(r, slot != NULL ? "star" : "broken", SPAN_NONE);
    r->in_exchange = slot != NULL;
    if (slot != NULL)
        answer_auth(r, *slot, true);
}

/* One for each AUTH command, with what the client sees next. */
static void op_auth_over(void *owner, const char *method, const struct smtp_reply *reply)
{
    struct run *r = owner;
    require(++r->overs == r->auths && r->over_code == 0);
    require(method == NULL || oracle_mechanism_is_known(span_str(method)));
    r->over_code = reply != NULL ? reply->code : 0;
    trace(r, "auth over ", span_str(method != NULL ? method : "?"));
}

static unsigned op_command(void *owner, enum smtp_verb verb, const char *verb_name, struct span line)
{
    struct run *r = owner;
    called(r);
    require(!r->in_body && !r->in_chunk && !r->shaking);
    if (r->awaited) { /* a response, whatever it looks like */
        require(verb_name[0] == '?' && span_eq(line, SPAN_LIT("*")));
        r->awaited = false;
    } else {
        oracle_line(&r->oracle, r->line, verb_name, line);
        require(r->auths == r->overs);
        r->auths += oracle_verb(oracle_lblank(oracle_cut_line(span_head(r->line, LINE_MAX_OCTETS)))) == SMTP_VERB_AUTH;
    }
    trace(r, verb_name, line);
    r->tag_verb = verb;
    return ++r->tag;
}

/* Each command has one reply, in order; DATA may have a second, at the end of data, where LMTP may have more. */
static void op_sent(void *owner, enum smtp_verb verb, unsigned tag, const struct smtp_reply *reply, usec_t since)
{
    struct run *r = owner;
    char text[24];
    (void)since;
    require(!r->told_421 && reply->lines > 0 && reply->wire.n > 0);
    require(memmem(reply->wire.p, reply->wire.n, "c2VjcmV0", 8) == NULL); /* no echo */
    bool each = verb == SMTP_VERB_BDAT && r->lmtp;                        /* also where the last chunk is refused */
    bool again = tag == r->tag_sent && (each || (verb == SMTP_VERB_DATA && r->ends > 0));
    bool end = again || (verb == SMTP_VERB_BDAT && r->chunk_last && r->chunks);
    bool closing = r->s.state == SMTP_SERVER_CLOSED && reply->code != 221;
    require(tag == r->tag_sent + 1 || again || closing);
    require(r->auths == r->overs || reply->code == 334);
    require(r->over_code == 0 || r->over_code == reply->code);
    r->over_code = 0;
    r->shaking |= verb == SMTP_VERB_STARTTLS && reply->code == 220;
    r->tag_sent = tag;
    if (end && reply->code / 100 == 2) {
        require(span_eq(reply->wire, SPAN_LIT("250 2.0.0 the upstream has it\r\n")));
        r->shown_2xx++;
        require(r->shown_2xx == r->end_2xx);
    }
    if (verb == SMTP_VERB_DATA && !end)
        require(reply->code == 354 || reply->code >= 400);
    if (reply->code == 421) {
        require(r->s.state == SMTP_SERVER_CLOSED && r->s.close_reason != SMTP_CLOSE_NONE);
        r->told_421 = true;
    }
    if (((verb == SMTP_VERB_DATA && !again) || verb == SMTP_VERB_BDAT) && reply->code >= 400)
        r->oracle.text = true, r->oracle.stray = false;
    snprintf(text, sizeof(text), "sent %u %d %s", tag, reply->code, reply->enhanced);
    trace(r, text, SPAN_NONE);
    if (++r->replies == 12 && r->settings & 16)
        smtp_server_shutdown(&r->s);
}

static const struct smtp_server_ops ops = {
    .helo = op_helo,
    .mail = op_mail,
    .rcpt = op_rcpt,
    .data = op_data,
    .chunk = op_chunk,
    .chunk_end = op_chunk_end,
    .anomaly = op_anomaly,
    .body = op_body,
    .poisoned = op_poisoned,
    .end = op_end,
    .pass = op_pass,
    .auth = op_auth,
    .auth_response = op_auth_response,
    .auth_cancel = op_auth_cancel,
    .auth_over = op_auth_over,
    .starttls = op_starttls,
    .abandon = op_abandon,
    .sent = op_sent,
    .command = op_command,
};

static void run_init(struct run *r, const uint8_t *data, size_t answer_count, bool wild)
{
    uint8_t settings = data[0];
    struct smtp_server_config config = {
        .lenient_addresses = settings & 8,
        .require_tls = data[2] & 32,
        .lmtp = data[2] & 64,
        .auth = data[2] & 128,
        .auth_required = data[2] & 128 && data[1] & 128,
        .auth_require_tls = settings & 16,
        .max_unauthenticated_commands = settings & 32 ? 5 : 0,
        .max_auth_failures = settings & 8 ? 3 : 0,
        .bare_newline = (enum smtp_bare_newline)(settings % 4 % 3),
        .disabled_commands = settings & 128 ? 1U << SMTP_VERB_VRFY | 1U << SMTP_VERB_DATA : 0,
        .max_command_length = LINE_MAX_OCTETS,
        .max_unrecognized_commands = settings & 4 ? 20 : 0,
        .max_recipients = 3,
        .max_received = 2,
        .max_message_size = settings & 32 ? 200 : 0,
        .headers = &want,
    };
    *r = (struct run){ .settings = settings, .wild = wild, .answers = data + HEAD, .answer_count = answer_count };
    r->need_tls = config.require_tls;
    r->lmtp = config.lmtp;
    r->auth = config.auth;
    r->auth_required = config.auth_required;
    r->auth_tls = config.auth_require_tls;
    buf_init(&r->trace, NULL);
    buf_init(&r->body, NULL);
    r->oracle.line_max = LINE_MAX_OCTETS;
    smtp_server_init(&r->s, &config, &ops, r, &r->pool);
}

/* What was sent in clear behind STARTTLS goes to nobody (T7). False: all of it so far. */
static bool shake(struct run *r, struct buf *in)
{
    struct span clear = buf_span(in);
    const char *end = clear.n > 0 ? memchr(clear.p, '\f', clear.n) : NULL;
    if (clear.n > 0)
        buf_consume(in, end != NULL ? (size_t)(end - clear.p) + 1 : clear.n);
    if (end == NULL)
        return false;
    r->shaking = r->greeted = r->authed = r->bound = false;
    r->secured = true;
    smtp_server_secured(&r->s);
    return true;
}

/* False: it is over. */
static bool work(struct run *r, struct buf *in, bool last)
{
    for (;;) {
        enum smtp_server_want wanted = SMTP_WANT_STEP;
        bool closed = r->s.state == SMTP_SERVER_CLOSED;
        if (r->shaking && !closed && !shake(r, in))
            return true;
        r->line = buf_span(in);
        size_t used = smtp_server_step(&r->s, r->line, 1, &wanted);
        require(used <= r->line.n && (!closed || wanted == SMTP_WANT_CLOSE));
        if (used > 0)
            buf_consume(in, used);
        switch (wanted) {
        case SMTP_WANT_STEP:
            break;
        case SMTP_WANT_INPUT:
            require(buf_len(in) <= AUTH_LINE_OCTETS);
            if (!last || r->pending_count == 0)
                return true;
            fill_all(r);
            break;
        case SMTP_WANT_REPLY:
            require(r->pending_count > 0);
            fill_all(r);
            break;
        case SMTP_WANT_CLOSE:
            return false;
        }
    }
}

static void run_all(struct run *r, struct span in, unsigned seed)
{
    struct buf left;
    bool open = true;
    buf_init(&left, &r->pool);
    if (in.n == 0)
        (void)work(r, &left, true);
    while (open && in.n > 0) {
        size_t n = seed == 0 ? in.n : 1 + (seed >> 16) % (seed & 64 ? 7 : 97);
        seed = seed == 0 ? 0 : (seed * 1664525 + 1013904223) | 1;
        n = min_size(n, in.n);
        buf_append_span(&left, span_head(in, n));
        in = span_skip(in, n);
        open = work(r, &left, in.n == 0);
    }
    require(r->pending_count == 0 || !open);
    require(r->shown_2xx == r->end_2xx && r->end_2xx <= r->ends);
    require(!open || r->tag_sent + 1 >= r->tag);
    smtp_server_gone(&r->s);
    require(r->auths == r->overs);
    buf_free(&left);
}

static void run_free(struct run *r)
{
    smtp_server_free(&r->s);
    buf_free(&r->trace);
    buf_free(&r->body);
    buf_pool_free(&r->pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut, wild;
    if (size < HEAD || size > INPUT_MAX)
        return 0;
    size_t answer_count = data[2] % 32;
    if (size < HEAD + answer_count)
        return 0;
    struct span in = span_of((const char *)data + HEAD + answer_count, size - HEAD - answer_count);
    run_init(&whole, data, answer_count, false);
    run_init(&cut, data, answer_count, false);
    run_init(&wild, data, answer_count, true);
    run_all(&whole, in, 0);
    run_all(&cut, in, data[1] + 1u);
    run_all(&wild, in, data[1] + 2u);
    require(span_eq(buf_span(&whole.trace), buf_span(&cut.trace)));
    require(whole.s.close_reason == cut.s.close_reason && whole.s.state == cut.s.state);
    run_free(&whole);
    run_free(&cut);
    run_free(&wild);
    return 0;
}
