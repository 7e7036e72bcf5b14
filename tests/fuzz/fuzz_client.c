/* The client engine between an owner with a script of steps and a server that says anything. What must hold: a reply
 * belongs to the oldest step that was sent, and to one that had been sent before the reply came; each step is answered
 * once, in order, or handed back; what is written is what the steps say, in order, and within what PIPELINING allows;
 * nothing comes after the end. Input: settings, shape of the segments, number of steps, the steps, the server's bytes.
 */
#include <stdlib.h>

#include "common/smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, STEPS_MAX = 64, INPUT_MAX = 70000 };

struct run {
    struct smtp_client c;
    struct buf_pool pool;
    struct buf out, expected;
    const uint8_t *script;
    size_t script_len, next;
    bool pipelining; /* as the server's EHLO reply said */
    unsigned serial, answered, sent, open, told;
    bool dead, in_body, secured, offered; /* offered: STARTTLS, by the last EHLO */
    bool exchange;                        /* of AUTH */
    bool identify, identified;            /* XCLIENT is to be said; was */
    bool in_chunk, lmtp;                  /* octets of a BDAT are due */
    enum smtp_client_tls tls;
    usec_t now, fed; /* fed: when the bytes under way came */
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool is_handshake(enum smtp_step_kind kind)
{
    return kind == SMTP_STEP_GREETING || kind == SMTP_STEP_EHLO || kind == SMTP_STEP_HELO ||
           kind == SMTP_STEP_STARTTLS || kind == SMTP_STEP_XCLIENT;
}

static const char *const lines[] = { "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RSET", "NOOP", "DATA", "QUIT" };
static const enum smtp_step_kind kinds[] = { SMTP_STEP_MAIL, SMTP_STEP_RCPT, SMTP_STEP_RSET,
                                             SMTP_STEP_PASS, SMTP_STEP_DATA, SMTP_STEP_QUIT };

static void write_octets(struct run *r)
{
    r->in_chunk = false;
    buf_append_span(&r->out, SPAN_LIT("ab"));
    buf_append_span(&r->expected, SPAN_LIT("ab"));
    smtp_client_wrote(&r->c, 2);
}

/* how & 1: with LAST; & 2: no octets; & 4: they wait for what the server says next. */
static void add_chunk(struct run *r, unsigned how)
{
    struct smtp_tag tag = { .slot = ++r->serial };
    bool last = how & 1, octets = !(how & 2);
    smtp_client_chunk(&r->c, tag, octets ? 2 : 0, last, last && r->lmtp ? 2 : 1, &r->out, r->now);
    r->in_chunk = octets;
    if (octets && !(how & 4))
        write_octets(r);
}

enum { BDAT = 6, AUTH = 7 }; /* of the script, behind the lines */
#define SECRET "c2VjcmV0"

static void add_auth(struct run *r)
{
    struct smtp_tag tag = { .slot = ++r->serial };
    r->exchange = true;
    smtp_client_add(&r->c, smtp_step_new(SMTP_STEP_AUTH, tag, SPAN_LIT("AUTH PLAIN " SECRET)), &r->out, r->now);
}

/* To a 334. */
static void add_response(struct run *r, bool star)
{
    struct smtp_tag tag = { .slot = ++r->serial };
    struct span text = star ? SPAN_LIT("*") : SPAN_LIT(SECRET);
    smtp_client_add(&r->c, smtp_step_new(SMTP_STEP_RESPONSE, tag, text), &r->out, r->now);
}

/* Steps of the script up to one that waits for the others: DATA, BDAT, AUTH, QUIT and what stands behind them. */
static void add_steps(struct run *r)
{
    while (r->next < r->script_len && !r->in_body && !r->in_chunk && !r->exchange) {
        unsigned which = r->script[r->next] % (ARRAY_LEN(lines) + 2);
        bool alone = which == BDAT || which == AUTH || kinds[which] == SMTP_STEP_DATA || kinds[which] == SMTP_STEP_QUIT;
        if (alone &&
            (r->serial != r->answered || (which == BDAT && (r->c.state != SMTP_CLIENT_READY || r->c.open > 0))))
            return;
        r->next++;
        if (which == BDAT) {
            add_chunk(r, r->script[r->next - 1] / 7);
            return;
        }
        if (which == AUTH) {
            add_auth(r);
            return;
        }
        struct smtp_tag tag = { .slot = ++r->serial };
        smtp_client_add(&r->c, smtp_step_new(kinds[which], tag, span_str(lines[which])), &r->out, r->now);
        if (alone)
            return;
    }
}

static void on_command(void *owner, const struct smtp_step *step)
{
    struct run *r = owner;
    require(!r->dead && !r->in_body && !r->in_chunk && step->sent && step->since == r->now);
    require(r->open == 0 || (r->pipelining && !is_handshake(step->kind)));
    require(is_handshake(step->kind) || step->tag.slot == r->sent + 1);
    char shown[SMTP_STEP_SHOWN];
    struct span line = smtp_step_shown(step, shown);
    require(memmem(line.p, line.n, SECRET, sizeof(SECRET) - 1) == NULL);
    require(!smtp_step_is_secret(step) || (r->exchange && r->open == 0));
    if (step->kind == SMTP_STEP_STARTTLS)
        require(!r->secured && r->offered && r->tls != SMTP_CLIENT_TLS_NEVER);
    require(is_handshake(step->kind) || r->secured || r->tls != SMTP_CLIENT_TLS_REQUIRED);
    r->sent += !is_handshake(step->kind);
    r->open++;
    buf_append(&r->expected, step->text, step->len);
    buf_append(&r->expected, "\r\n", 2);
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct run *r = owner;
    require(!r->dead && reply->code >= 200 && reply->code <= 599);
    require(step == NULL || (step->sent && step == smtp_client_waiting(&r->c)));
    if (step != NULL && step->kind == SMTP_STEP_AUTH && !smtp_step_must_hide(step, reply))
        require(reply->code != 334 && memmem(reply->wire.p, reply->wire.n, SECRET, sizeof(SECRET) - 1) == NULL);
    r->told++;
}

static void note_offer(struct run *r, const struct smtp_reply *reply)
{
    struct span text;
    bool first = true;
    r->pipelining = r->offered = false;
    for (size_t pos = 0; smtp_reply_line(reply, &pos, false, &text); first = false) {
        r->pipelining |= !first && span_eq_nocase(span_trim(text), SPAN_LIT("PIPELINING"));
        r->offered |= !first && span_eq_nocase(span_trim(text), SPAN_LIT("STARTTLS"));
    }
}

static void end_message(struct run *r)
{
    r->in_body = false;
    smtp_client_end(&r->c, (struct smtp_tag){ .slot = ++r->serial }, r->lmtp ? 2 : 1, &r->out, r->now);
    buf_append(&r->expected, ".\r\n", 3);
    r->sent++;
    r->open++;
}

/* Ready for the first time: XCLIENT is said; for the second: what else there is. */
static void tell_identity(struct run *r)
{
    static const char *const said[] = { "XCLIENT NAME=a", "XCLIENT ADDR=192.0.2.1" };
    struct list steps;
    if (r->identified) {
        add_steps(r);
        return;
    }
    r->identified = true;
    list_init(&steps);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct smtp_step *step = smtp_step_new(SMTP_STEP_XCLIENT, (struct smtp_tag){ 0 }, span_str(said[i]));
        list_append(&steps, &step->node);
    }
    smtp_client_identify(&r->c, &steps, "told", &r->out, r->now);
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct run *r = owner;
    int class = reply->code / 100;
    require(!r->dead && r->told > 0 && !r->in_body && !r->in_chunk);
    require(step->since < r->fed); /* it was sent before these bytes came */
    if (step->replies > 0) {       /* LMTP: one recipient's, and another's is to come */
        require(r->lmtp && (step->kind == SMTP_STEP_END || step->kind == SMTP_STEP_LAST) && class != 3);
        return;
    }
    r->open--;
    if (step->kind == SMTP_STEP_EHLO && class == 2)
        note_offer(r, reply);
    bool challenge = smtp_step_is_secret(step) && reply->code == 334;
    require(class != 3 || challenge || (step->kind == SMTP_STEP_DATA && reply->code == 354));
    require(!r->lmtp || step->kind != SMTP_STEP_HELO);
    if (is_handshake(step->kind)) {
        bool ready = r->c.state == SMTP_CLIENT_READY;
        if (ready && r->identify)
            tell_identity(r);
        else if (ready && r->serial == r->answered)
            add_steps(r);
        return;
    }
    require(step->tag.slot == r->answered + 1);
    r->answered++;
    if (challenge) {
        add_response(r, reply->wire.n % 3 == 0);
        return;
    }
    if (smtp_step_is_secret(step)) {
        require(class != 2 || reply->code == 235);
        r->exchange = false;
    }
    if (step->kind == SMTP_STEP_DATA && reply->code == 354) {
        r->in_body = true;
        buf_append_span(&r->out, SPAN_LIT("x\r\n"));
        buf_append_span(&r->expected, SPAN_LIT("x\r\n"));
    } else {
        require(step->kind != SMTP_STEP_DATA || class != 2);
        add_steps(r);
    }
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    struct run *r = owner;
    (void)reply;
    require(!r->dead && (r->in_body || r->in_chunk));
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    struct run *r = owner;
    require(!r->dead && r->c.state == SMTP_CLIENT_DEAD);
    require(reply != NULL || fault == SMTP_CLIENT_BAD_REPLY || fault == SMTP_CLIENT_UNSOLICITED ||
            fault == SMTP_CLIENT_TLS_RESIDUE);
    require((fault != SMTP_CLIENT_JUDGED && fault != SMTP_CLIENT_NO_XCLIENT) || r->identified);
    require(fault != SMTP_CLIENT_NO_TLS || (r->tls == SMTP_CLIENT_TLS_REQUIRED && !r->secured));
    r->dead = true;
}

static const struct smtp_client_ops ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

/* One segment; `now` moves, so that a reply to what is sent from here on is told from one that is here already. */
static void feed(struct run *r, struct span in)
{
    struct buf left;
    buf_init(&left, &r->pool);
    buf_append_span(&left, in);
    r->fed = ++r->now;
    while (!buf_empty(&left)) {
        size_t used = smtp_client_feed(&r->c, buf_span(&left), &r->out, r->now);
        require(used > 0 && used <= buf_len(&left));
        buf_consume(&left, used);
    }
    buf_free(&left);
    require(r->dead == (r->c.state == SMTP_CLIENT_DEAD));
    require(r->dead || r->in_body == (r->c.state == SMTP_CLIENT_BODY));
    require(r->dead || r->in_chunk == (r->c.state == SMTP_CLIENT_CHUNK));
    require(buf_len(&r->c.parser.partial) <= SMTP_REPLY_MAX);
    require(span_eq(buf_span(&r->out), buf_span(&r->expected)));
}

/* What was not answered comes back in order, and nothing is lost or doubled. */
static void take_back(struct run *r)
{
    struct list steps;
    list_init(&steps);
    smtp_client_take_steps(&r->c, &steps);
    unsigned slot = r->answered;
    for (struct list *n = steps.next; n != &steps; n = n->next) {
        const struct smtp_step *step = LIST_ENTRY(n, struct smtp_step, node);
        require(!step->sent && !is_handshake(step->kind) && step->tag.slot == ++slot);
    }
    require(slot == r->serial && smtp_client_waiting(&r->c) == NULL);
    smtp_steps_free(&steps);
}

/* The server has waited for our handshake. */
static void secure(struct run *r)
{
    r->secured = true;
    r->now++;
    smtp_client_secured(&r->c, &r->out, r->now);
    require(span_eq(buf_span(&r->out), buf_span(&r->expected)));
}

static void run(const uint8_t *script, size_t script_len, struct span in, unsigned seed, uint8_t settings)
{
    bool end_late = settings & 1;
    static struct run r;
    r = (struct run){ .script = script, .script_len = script_len };
    buf_init(&r.out, NULL);
    buf_init(&r.expected, NULL);
    smtp_client_init(&r.c, "h", &ops, &r, &r.pool, r.now);
    r.c.tls = r.tls = (enum smtp_client_tls)(settings / 2 % 3);
    r.c.lmtp = r.lmtp = settings & 32;
    r.open = 1;
    r.identify = settings & 16;
    if (!r.identify)
        add_steps(&r);
    while (in.n > 0) {
        size_t n = seed & 1 ? 1 + (seed >> 16) % (seed & 64 ? 7 : 97) : in.n;
        /* A server that waits for its client: a flight of replies ends at a form feed. */
        const char *stop = memchr(in.p, '\f', in.n);
        n = min_size(n, stop != NULL ? (size_t)(stop - in.p) : in.n);
        feed(&r, span_head(in, n));
        bool flight = n < in.n && in.p[n] == '\f';
        in = span_skip(in, n + flight);
        seed = (seed * 1664525 + 1013904223) | (seed & 1);
        if (r.in_body && !r.dead && (!end_late || flight))
            end_message(&r);
        if (r.in_chunk && !r.dead && (!end_late || flight))
            write_octets(&r);
        if (flight && r.c.state == SMTP_CLIENT_HANDSHAKE)
            secure(&r);
    }
    take_back(&r);
    smtp_client_free(&r.c);
    buf_free(&r.out);
    buf_free(&r.expected);
    buf_pool_free(&r.pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD || size > INPUT_MAX)
        return 0;
    size_t script_len = data[2] % STEPS_MAX;
    if (size < HEAD + script_len)
        return 0;
    struct span in = span_of((const char *)data + HEAD + script_len, size - HEAD - script_len);
    run(data + HEAD, script_len, in, 0, data[0]);
    run(data + HEAD, script_len, in, data[1] * 2u + 1u, data[0]);
    return 0;
}
