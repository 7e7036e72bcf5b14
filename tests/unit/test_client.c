/* The client engine against scripted servers, whose bytes come whole, byte by byte and cut at every point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/client.h"

#define IN(s) SPAN_LIT(s)

/* in: what the server says; '\f' stands between what it says before and after it got our next step, which may be the
 * handshake of TLS.
 * groups: "MAIL FROM:<a>,RCPT TO:<b>/DATA": those of a group are added at once, when all before are answered.
 * events: ">LINE" as it is sent, "<CODE LINE" as a reply is matched, "~CODE" said, nobody having asked. */
struct row {
    const char *name, *groups;
    struct span in;
    const char *events, *out;
};

struct tls_row {
    enum smtp_client_tls tls;
    struct row row;
};

struct mock {
    struct smtp_client c;
    struct buf_pool pool;
    struct buf out, events;
    const char *groups; /* what is left of it */
    unsigned open, replies, serial, commands;
    bool dead;
};

static const char *step_name(const struct smtp_step *step)
{
    switch (step->kind) {
    case SMTP_STEP_GREETING:
        return "GREETING";
    case SMTP_STEP_END:
        return "END";
    case SMTP_STEP_BDAT:
    case SMTP_STEP_LAST:
    case SMTP_STEP_XCLIENT:
    case SMTP_STEP_XFORWARD:
    case SMTP_STEP_EHLO:
    case SMTP_STEP_HELO:
    case SMTP_STEP_STARTTLS:
    case SMTP_STEP_MAIL:
    case SMTP_STEP_RCPT:
    case SMTP_STEP_DATA:
    case SMTP_STEP_RSET:
    case SMTP_STEP_AUTH:
    case SMTP_STEP_RESPONSE:
    case SMTP_STEP_PASS:
    case SMTP_STEP_QUIT:
        break;
    }
    return NULL;
}

static void note_step(struct mock *m, const char *head, const struct smtp_step *step)
{
    const char *name = step_name(step);
    buf_printf(&m->events, "%s%s%.*s", buf_empty(&m->events) ? "" : "|", head,
               SPAN_ARG(name != NULL ? span_str(name) : span_of(step->text, step->len)));
}

static enum smtp_step_kind kind_of(struct span line)
{
    static const struct {
        const char *word;
        enum smtp_step_kind kind;
    } kinds[] = { { "MAIL", SMTP_STEP_MAIL },
                  { "RCPT", SMTP_STEP_RCPT },
                  { "DATA", SMTP_STEP_DATA },
                  { "RSET", SMTP_STEP_RSET },
                  { "QUIT", SMTP_STEP_QUIT } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (span_begins_nocase(line, span_str(kinds[i].word)))
            return kinds[i].kind;
    }
    return SMTP_STEP_PASS;
}

static void add_group(struct mock *m)
{
    const char *p = m->groups;
    while (*p != '\0' && *p != '/') {
        size_t n = strcspn(p, ",/");
        struct smtp_tag tag = { .slot = ++m->serial };
        struct span line = span_of(p, n);
        m->open++;
        smtp_client_add(&m->c, smtp_step_new(kind_of(line), tag, line), &m->out, 7);
        p += n + (p[n] == ',');
    }
    m->groups = p + (*p == '/');
}

static void on_command(void *owner, const struct smtp_step *step)
{
    struct mock *m = owner;
    assert_true(step->sent);
    assert_false(m->dead);
    m->commands++;
    note_step(m, ">", step);
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    char code[16];
    assert_false(m->dead);
    if (step != NULL) {
        assert_ptr_equal(step, smtp_client_waiting(&m->c));
        assert_true(step->sent && step->since == 7);
        return;
    }
    snprintf(code, sizeof(code), "|~%d", reply->code);
    buf_append(&m->events, code, strlen(code));
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    char head[16];
    assert_false(m->dead);
    snprintf(head, sizeof(head), "<%d ", reply->code);
    note_step(m, head, step);
    if (step->tag.slot == 0)
        return;
    assert_int_equal(step->tag.slot, ++m->replies);
    m->open--;
    if (step->kind == SMTP_STEP_DATA && reply->code == 354) {
        buf_append_span(&m->out, SPAN_LIT("x\r\n"));
        if (*m->groups == '!') /* the server speaks first */
            return;
        m->open++;
        smtp_client_end(&m->c, (struct smtp_tag){ .slot = ++m->serial }, 1, &m->out, 7);
    } else if (m->open == 0) {
        add_group(m);
    }
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    assert_int_equal(m->c.state, SMTP_CLIENT_BODY);
    buf_printf(&m->events, "|early %d", reply->code);
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    static const char *const words[] = { "greeting", "ehlo",   "bad",        "unsolicited",
                                         "no tls",   "judged", "no xclient", "residue" };
    struct mock *m = owner;
    assert_false(m->dead);
    assert_int_equal(m->c.state, SMTP_CLIENT_DEAD);
    m->dead = true;
    buf_printf(&m->events, "|fault %s %d", words[fault], reply != NULL ? reply->code : 0);
}

static const struct smtp_client_ops ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

static void mock_init(struct mock *m, const char *groups)
{
    *m = (struct mock){ .groups = groups };
    buf_init(&m->out, NULL);
    buf_init(&m->events, NULL);
    smtp_client_init(&m->c, "tap.example", &ops, m, &m->pool, 7);
    add_group(m);
}

static void mock_free(struct mock *m)
{
    smtp_client_free(&m->c);
    buf_free(&m->out);
    buf_free(&m->events);
    buf_pool_free(&m->pool);
}

static void feed_segment(struct mock *m, struct span in)
{
    struct buf left;
    buf_init(&left, NULL);
    buf_append_span(&left, in);
    while (!buf_empty(&left)) {
        size_t used = smtp_client_feed(&m->c, buf_span(&left), &m->out, 7);
        assert_in_range(used, 1, buf_len(&left));
        buf_consume(&left, used);
    }
    buf_free(&left);
}

/* A segment ends at '\f'. */
static void feed(struct mock *m, struct span in)
{
    while (in.n > 0) {
        const char *stop = memchr(in.p, '\f', in.n);
        size_t n = stop != NULL ? (size_t)(stop - in.p) : in.n;
        feed_segment(m, span_head(in, n));
        if (stop != NULL && m->c.state == SMTP_CLIENT_HANDSHAKE) {
            buf_append(&m->events, "|TLS", 4);
            smtp_client_secured(&m->c, &m->out, 7);
        }
        in = span_skip(in, n + 1);
    }
}

static void check_text(const struct row *row, size_t cut, const struct buf *got, const char *want)
{
    if (want == NULL || span_eq(buf_span(got), span_str(want)))
        return;
    print_error("%s, cut %zu:\n got %.*s\nwant %s\n", row->name, cut, SPAN_ARG(buf_span(got)), want);
    fail();
}

static void check_run(const struct row *row, enum smtp_client_tls tls, size_t first, size_t step)
{
    struct mock m;
    mock_init(&m, row->groups);
    m.c.tls = tls;
    struct span in = row->in;
    for (size_t n = first; in.n > 0; in = span_skip(in, n), n = step)
        feed(&m, span_head(in, n));
    check_text(row, first, &m.events, row->events);
    check_text(row, first, &m.out, row->out);
    assert_int_equal(m.dead, m.c.state == SMTP_CLIENT_DEAD);
    mock_free(&m);
}

static void check_row(const struct row *row, enum smtp_client_tls tls)
{
    check_run(row, tls, 1, 1);
    for (size_t cut = 1; cut <= row->in.n; cut++)
        check_run(row, tls, cut, row->in.n);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i], SMTP_CLIENT_TLS_NEVER);
}

#define HI "220 hi\r\n\f"
#define READY HI "250 up\r\n\f"
#define PIPE HI "250-up\r\n250-SIZE 10\r\n250 pipelining\r\n\f"
#define HELLO "EHLO tap.example\r\n"
#define E_HI "<220 GREETING|>EHLO tap.example"
#define E_READY E_HI "|<250 EHLO tap.example"

static const struct row handshakes[] = {
    { "greeting and EHLO", "", IN(READY), E_READY, HELLO },
    { "many lines", "", IN("220-a\r\n220 b\r\n\f250-c\r\n250 d\r\n"), E_READY, HELLO },
    { "HELO after 500", "", IN(HI "500 what\r\n\f250 up\r\n"),
      E_HI "|<500 EHLO tap.example|>HELO tap.example|<250 HELO tap.example", HELLO "HELO tap.example\r\n" },
    { "HELO after 502", "", IN(HI "502 what\r\n\f250 up\r\n"), NULL, HELLO "HELO tap.example\r\n" },
    { "HELO after 504", "", IN(HI "504 what\r\n\f250 up\r\n"), NULL, HELLO "HELO tap.example\r\n" },
    { "no HELO after 550", "", IN(HI "550 you\r\n250 up\r\n"), E_HI "|fault ehlo 550", HELLO },
    { "nor after 421", "", IN(HI "421 later\r\n"), E_HI "|fault ehlo 421", HELLO },
    { "HELO refused", "", IN(HI "500 a\r\n\f500 b\r\n"), E_HI "|<500 EHLO tap.example|>HELO tap.example|fault ehlo 500",
      HELLO "HELO tap.example\r\n" },
    { "greeting 554", "", IN("554 no\r\n250 x\r\n"), "|fault greeting 554", "" },
    { "greeting 421", "", IN("421 no\r\n"), "|fault greeting 421", "" },
    { "greeting 250", "", IN("250 hm\r\n"), "|fault greeting 250", "" },
    { "greeting 354", "", IN("354 hm\r\n"), "|fault bad 354", "" },
    { "greeting of another protocol", "", IN("SSH-2.0-x\r\n"), "|fault bad 0", "" },
    { "EHLO 354", "", IN(HI "354 x\r\n"), E_HI "|fault bad 354", HELLO },
    { "steps wait for it", "MAIL FROM:<a>", IN(HI), E_HI, HELLO },
};

#define GROUP "MAIL FROM:<a>,RCPT TO:<b>,RCPT TO:<c>"
#define OFFER HI "250-up\r\n250-SIZE\r\n250 starttls\r\n\f"
#define GRANT OFFER "220 go\r\n\f"
#define E_OFFER E_READY "|>STARTTLS"
#define E_GRANT E_OFFER "|<220 STARTTLS|TLS|>EHLO tap.example"
#define MAY SMTP_CLIENT_TLS_IF_OFFERED
#define MUST SMTP_CLIENT_TLS_REQUIRED

static const struct tls_row tls_rows[] = {
    { SMTP_CLIENT_TLS_NEVER, { "never", "NOOP", IN(OFFER "250 a\r\n"), E_READY "|>NOOP|<250 NOOP", HELLO "NOOP\r\n" } },
    { MAY,
      { "if offered", "NOOP", IN(GRANT "250 up\r\n\f250 a\r\n"), E_GRANT "|<250 EHLO tap.example|>NOOP|<250 NOOP",
        HELLO "STARTTLS\r\n" HELLO "NOOP\r\n" } },
    { MUST,
      { "required", "NOOP", IN(GRANT "250 up\r\n\f250 a\r\n"), E_GRANT "|<250 EHLO tap.example|>NOOP|<250 NOOP",
        NULL } },
    { MAY, { "not offered", "NOOP", IN(READY "250 a\r\n"), E_READY "|>NOOP|<250 NOOP", HELLO "NOOP\r\n" } },
    { MUST, { "not offered, required", "NOOP", IN(READY), E_HI "|fault no tls 250", HELLO } },
    { MUST,
      { "STARTTLS in the first line is a greeting", "", IN(HI "250 STARTTLS\r\n"), E_HI "|fault no tls 250", HELLO } },
    { MAY,
      { "no STARTTLS after HELO", "NOOP", IN(HI "500 x\r\n\f250-y\r\n250 STARTTLS\r\n\f250 a\r\n"), NULL,
        HELLO "HELO tap.example\r\nNOOP\r\n" } },
    { MUST,
      { "HELO, required", "NOOP", IN(HI "500 x\r\n\f250 y\r\n"),
        E_HI "|<500 EHLO tap.example|>HELO tap.example|fault no tls 250", NULL } },
    { MAY,
      { "refused for now", "NOOP", IN(OFFER "454 no\r\n\f250-up\r\n250 starttls\r\n\f250 a\r\n"),
        E_OFFER "|<454 STARTTLS|>EHLO tap.example|<250 EHLO tap.example|>NOOP|<250 NOOP",
        HELLO "STARTTLS\r\n" HELLO "NOOP\r\n" } },
    { MAY,
      { "refused for good", "", IN(OFFER "554 no\r\n\f250 up\r\n"),
        E_OFFER "|<554 STARTTLS|>EHLO tap.example|<250 EHLO tap.example", NULL } },
    { MUST,
      { "refused, required", "NOOP", IN(OFFER "454 no\r\n"), E_OFFER "|fault no tls 454", HELLO "STARTTLS\r\n" } },
    { MAY, { "another 2xx", "", IN(OFFER "250 ok\r\n"), E_OFFER "|fault bad 250", NULL } },
    { MUST, { "334", "", IN(OFFER "334 ok\r\n"), E_OFFER "|fault bad 334", NULL } },
    { MUST,
      { "offered in TLS too", "NOOP", IN(GRANT "250-up\r\n250 STARTTLS\r\n\f250 a\r\n"),
        E_GRANT "|<250 EHLO tap.example|>NOOP|<250 NOOP", HELLO "STARTTLS\r\n" HELLO "NOOP\r\n" } },
    { MAY,
      { "the EHLO in TLS counts", "NOOP,NOOP",
        IN(HI "250-up\r\n250-pipelining\r\n250 starttls\r\n\f220 go\r\n\f250 up\r\n\f250 a\r\n\f250 b\r\n"),
        E_GRANT "|<250 EHLO tap.example|>NOOP|<250 NOOP|>NOOP|<250 NOOP", NULL } },
    { MAY, { "EHLO refused in TLS", "", IN(GRANT "550 no\r\n"), E_GRANT "|fault ehlo 550", NULL } },
    { MUST, { "steps wait for TLS", GROUP, IN(GRANT), E_GRANT, HELLO "STARTTLS\r\n" HELLO } },
    { MUST,
      { "residue: a reply", "", IN(OFFER "220 go\r\n250 up\r\n"), E_OFFER "|<220 STARTTLS|fault residue 0",
        HELLO "STARTTLS\r\n" } },
    { MUST, { "residue: a byte", "", IN(OFFER "220 go\r\n2"), E_OFFER "|<220 STARTTLS|fault residue 0", NULL } },
    { MAY,
      { "residue: no reply at all", "", IN(OFFER "220 go\r\n\r\n"), E_OFFER "|<220 STARTTLS|fault residue 0", NULL } },
};

#define E_DATA ">DATA|<354 DATA|<250 END"

static const struct row dialogues[] = {
    { "one by one", GROUP "/DATA/QUIT",
      IN(READY "250 a\r\n\f250 b\r\n\f550 c\r\n\f354 go\r\n\f250 ok\r\n\f221 bye\r\n"),
      E_READY "|>MAIL FROM:<a>|<250 MAIL FROM:<a>|>RCPT TO:<b>|<250 RCPT TO:<b>|>RCPT TO:<c>|<550 RCPT TO:<c>|" E_DATA
              "|>QUIT|<221 QUIT",
      HELLO "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n" },
    { "PIPELINING", GROUP "/DATA/QUIT", IN(PIPE "250 a\r\n250 b\r\n550 c\r\n\f354 go\r\n\f250 ok\r\n\f221 bye\r\n"),
      E_READY "|>MAIL FROM:<a>|>RCPT TO:<b>|>RCPT TO:<c>|<250 MAIL FROM:<a>|<250 RCPT TO:<b>|<550 RCPT TO:<c>|" E_DATA
              "|>QUIT|<221 QUIT",
      HELLO "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n" },
    { "no PIPELINING after HELO", "NOOP,NOOP", IN(HI "500 x\r\n\f250-y\r\n250 PIPELINING\r\n\f250 a\r\n"), NULL,
      HELLO "HELO tap.example\r\nNOOP\r\nNOOP\r\n" },
    { "PIPELINING in the first line is a greeting", "NOOP,NOOP", IN(HI "250 PIPELINING\r\n"), NULL, HELLO "NOOP\r\n" },
    { "DATA refused", "DATA/RSET", IN(READY "451 no\r\n\f250 ok\r\n"), E_READY "|>DATA|<451 DATA|>RSET|<250 RSET",
      NULL },
    { "U5 DATA 250", "DATA/RSET", IN(READY "250 what\r\n250 x\r\n"), E_READY "|>DATA|fault bad 250", NULL },
    { "U5 DATA 355", "DATA/RSET", IN(READY "355 what\r\n"), E_READY "|>DATA|fault bad 355", NULL },
    { "U5 MAIL 354", "MAIL FROM:<a>", IN(READY "354 what\r\n"), E_READY "|>MAIL FROM:<a>|fault bad 354", NULL },
    { "U5 end 354", "DATA", IN(READY "354 go\r\n\f354 what\r\n"), E_READY "|>DATA|<354 DATA|fault bad 354", NULL },
    { "U5 mixed codes", "MAIL FROM:<a>", IN(READY "250-a\r\n550 b\r\n"), E_READY "|>MAIL FROM:<a>|fault bad 0", NULL },
    { "U5 unparseable", "MAIL FROM:<a>,RCPT TO:<b>", IN(PIPE "250 a\r\nwhat\r\n250 b\r\n"),
      E_READY "|>MAIL FROM:<a>|>RCPT TO:<b>|<250 MAIL FROM:<a>|fault bad 0", NULL },
    { "421 is a reply", "MAIL FROM:<a>", IN(READY "421 bye\r\n"), E_READY "|>MAIL FROM:<a>|<421 MAIL FROM:<a>", NULL },
    { "D5 early", "DATA/!", IN(READY "354 go\r\n552 big\r\n250 what\r\n"),
      E_READY "|>DATA|<354 DATA|~552|early 552|~250|early 250", HELLO "DATA\r\nx\r\n" },
};

/* U8: the server says more than it was asked, in one flight; whole, its words reach the log. */
static const struct row surplus[] = {
    { "behind the greeting", "", IN(HI "250 up\r\n250 x\r\n"), E_READY "|~250|fault unsolicited 250", HELLO },
    { "with the greeting", "", IN("220 hi\r\n250 up\r\n"), "<220 GREETING|~250|fault unsolicited 250", "" },
    { "with EHLO's reply", "NOOP", IN(HI "250 up\r\n250 x\r\n"), E_READY "|~250|fault unsolicited 250", HELLO },
    { "with a refusal of EHLO", "NOOP", IN(HI "500 up\r\n250 x\r\n"),
      E_HI "|<500 EHLO tap.example|~250|fault unsolicited 250", HELLO },
    { "at rest", "NOOP", IN(READY "250 a\r\n\f421 bye\r\n"), E_READY "|>NOOP|<250 NOOP|~421|fault unsolicited 421",
      NULL },
    { "one for the next step", "NOOP,NOOP", IN(READY "250 a\r\n250 b\r\n"),
      E_READY "|>NOOP|<250 NOOP|~250|fault unsolicited 250", HELLO "NOOP\r\n" },
    { "one for the next group", "NOOP,NOOP/RSET", IN(PIPE "250 a\r\n250 b\r\n250 c\r\n"),
      E_READY "|>NOOP|>NOOP|<250 NOOP|<250 NOOP|~250|fault unsolicited 250", HELLO "NOOP\r\nNOOP\r\n" },
    { "the end of data before it is there", "DATA", IN(READY "354 go\r\n250 took it\r\n"),
      E_READY "|>DATA|<354 DATA|fault unsolicited 250", NULL },
};

static void test_handshakes(void **state)
{
    (void)state;
    check_rows(handshakes, ARRAY_LEN(handshakes));
}

static void test_tls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++)
        check_row(&tls_rows[i].row, tls_rows[i].tls);
}

static void test_dialogues(void **state)
{
    (void)state;
    check_rows(dialogues, ARRAY_LEN(dialogues));
}

/* However it is cut within the flight that is too long, the server is dead, and nothing was taken for an answer. */
static void test_surplus(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(surplus); i++) {
        const struct row *row = &surplus[i];
        check_run(row, SMTP_CLIENT_TLS_NEVER, row->in.n, 1);
        const char *last = memrchr(row->in.p, '\n', row->in.n - 1), *flight = memrchr(row->in.p, '\f', row->in.n);
        size_t from = (size_t)(last + 2 - row->in.p);
        if (flight > last || strstr(row->name, "end of data") != NULL)
            continue;
        for (size_t cut = from; cut < row->in.n; cut++) {
            struct mock m;
            mock_init(&m, row->groups);
            feed(&m, span_head(row->in, cut));
            feed(&m, span_skip(row->in, cut));
            check_text(row, cut, &m.out, row->out);
            assert_true(m.dead);
            mock_free(&m);
        }
    }
}

/* A reply that began before the end of data was sent is no answer to it. */
static void test_reply_begun_before_the_end(void **state)
{
    (void)state;
    struct mock m;
    mock_init(&m, "DATA/!");
    feed(&m, IN(READY "354 go\r\n\f25"));
    assert_int_equal(m.c.state, SMTP_CLIENT_BODY);
    smtp_client_end(&m.c, (struct smtp_tag){ .slot = 2 }, 1, &m.out, 7);
    feed(&m, IN("0 took it\r\n"));
    assert_true(m.dead);
    check_text(&(struct row){ .name = "begun" }, 0, &m.events, E_READY "|>DATA|<354 DATA|fault unsolicited 250");
    mock_free(&m);
}

static void check_taken(struct mock *m, const char *want)
{
    struct list taken;
    struct buf text;
    list_init(&taken);
    buf_init(&text, NULL);
    smtp_client_take_steps(&m->c, &taken);
    assert_null(smtp_client_waiting(&m->c));
    assert_int_equal(m->c.open, 0);
    for (struct list *n = taken.next; n != &taken; n = n->next) {
        const struct smtp_step *step = LIST_ENTRY(n, struct smtp_step, node);
        assert_false(step->sent);
        buf_printf(&text, "%.*s;", SPAN_ARG(span_of(step->text, step->len)));
    }
    assert_true(span_eq(buf_span(&text), span_str(want)));
    smtp_steps_free(&taken);
    buf_free(&text);
}

struct take_row {
    const char *groups;
    struct span in;
    const char *want;
};
static const struct take_row takes[] = {
    { GROUP, IN(""), "MAIL FROM:<a>;RCPT TO:<b>;RCPT TO:<c>;" },
    { GROUP, IN(HI), "MAIL FROM:<a>;RCPT TO:<b>;RCPT TO:<c>;" },
    { GROUP, IN(PIPE), "MAIL FROM:<a>;RCPT TO:<b>;RCPT TO:<c>;" },
    { GROUP, IN(PIPE "250 a\r\n25"), "RCPT TO:<b>;RCPT TO:<c>;" },
    { GROUP, IN(READY "250 a\r\n"), "RCPT TO:<b>;RCPT TO:<c>;" },
    { GROUP, IN(READY "354 a\r\n"), "MAIL FROM:<a>;RCPT TO:<b>;RCPT TO:<c>;" },
    { "DATA", IN(READY "354 a\r\n"), ";" }, /* the end of data */
};

static void test_take_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
        struct mock m;
        mock_init(&m, takes[i].groups);
        feed(&m, takes[i].in);
        check_taken(&m, takes[i].want);
        mock_free(&m);
    }
}

static void test_long_hostname(void **state)
{
    (void)state;
    char name[600];
    struct mock m;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    mock_init(&m, "");
    m.c.hostname = name;
    feed(&m, IN(HI));
    assert_in_range(buf_len(&m.out), 200, 512);
    assert_memory_equal(buf_span(&m.out).p + buf_len(&m.out) - 3, "n\r\n", 3);
    mock_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_surplus),
        cmocka_unit_test(test_reply_begun_before_the_end),
        cmocka_unit_test(test_take_steps),
        cmocka_unit_test(test_long_hostname),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
