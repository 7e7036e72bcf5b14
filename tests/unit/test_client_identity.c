/* XCLIENT and XFORWARD in the client engine: what is said when, and what the replies mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/client.h"

/* lines: of XCLIENT, ',' between; said when the server is ready for the first time. Then those of `after`. */
struct row {
    const char *lines, *after;
    struct span in; /* a flight of replies ends at '\f' */
    const char *events;
};

struct mock {
    struct smtp_client c;
    struct buf_pool pool;
    struct buf out, events;
    const struct row *row;
    bool told;
};

static void add_after(struct mock *m)
{
    for (const char *p = m->row->after; *p != '\0'; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
        struct span line = span_of(p, strcspn(p, ","));
        bool xforward = span_begins_nocase(line, SPAN_LIT("XFORWARD"));
        smtp_client_add(
            &m->c, smtp_step_new(xforward ? SMTP_STEP_XFORWARD : SMTP_STEP_MAIL, (struct smtp_tag){ .slot = 1 }, line),
            &m->out, 1);
    }
}

static void identify(struct mock *m)
{
    struct list lines;
    list_init(&lines);
    for (const char *p = m->row->lines; *p != '\0'; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
        struct smtp_step *step = smtp_step_new(SMTP_STEP_XCLIENT, (struct smtp_tag){ 0 }, span_of(p, strcspn(p, ",")));
        list_append(&lines, &step->node);
    }
    smtp_client_identify(&m->c, &lines, "client.example", &m->out, 1);
}

static void on_command(void *owner, const struct smtp_step *step)
{
    struct mock *m = owner;
    buf_printf(&m->events, "|>%.*s", (int)step->len, step->text);
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    (void)owner;
    (void)step;
    (void)reply;
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    buf_printf(&m->events, "|<%d", reply->code);
    if (step->kind != SMTP_STEP_EHLO || m->c.state != SMTP_CLIENT_READY)
        return;
    if (m->told)
        add_after(m);
    else
        identify(m);
    m->told = true;
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    (void)owner;
    (void)reply;
    fail();
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    buf_printf(&m->events, "|fault %d %d", (int)fault, reply != NULL ? reply->code : 0);
}

static const struct smtp_client_ops ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

#define IN(s)                                                                                                          \
    {                                                                                                                  \
        (s), sizeof(s) - 1                                                                                             \
    }
#define READY "220 hi\r\n\f250-up\r\n250 XCLIENT ADDR\r\n\f"
#define E_READY "|<220|>EHLO tap.example|<250"

static const struct row rows[] = {
    { "XCLIENT ADDR=a", "MAIL", IN(READY "220 hi\r\n\f250 up\r\n\f250 ok\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|<250|>MAIL|<250" },
    { "XCLIENT NAME=n,XCLIENT ADDR=a", "", IN(READY "220 hi\r\n\f220 hi\r\n\f250 up\r\n"),
      E_READY "|>XCLIENT NAME=n|<220|>XCLIENT ADDR=a|<220|>EHLO client.example|<250" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "220 hi\r\n\f500 what\r\n\f250 up\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|<500|>HELO client.example|<250" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "421 go\r\n"), E_READY "|>XCLIENT ADDR=a|fault 5 421" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "554 go\r\n"), E_READY "|>XCLIENT ADDR=a|fault 5 554" },
    { "XCLIENT NAME=a,XCLIENT ADDR=a", "MAIL", IN(READY "220 hi\r\n\f501 bad\r\n"),
      E_READY "|>XCLIENT NAME=a|<220|>XCLIENT ADDR=a|fault 6 501" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "500 no\r\n"), E_READY "|>XCLIENT ADDR=a|fault 6 500" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "502 no\r\n"), E_READY "|>XCLIENT ADDR=a|fault 6 502" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "503 no\r\n"), E_READY "|>XCLIENT ADDR=a|fault 5 503" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "504 no\r\n"), E_READY "|>XCLIENT ADDR=a|fault 6 504" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "250 ok\r\n"), E_READY "|>XCLIENT ADDR=a|fault 2 250" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "220 hi\r\n\f550 no\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|fault 5 550" },
    { "XCLIENT ADDR=a", "MAIL", IN(READY "220 hi\r\n\f502 no\r\n\f450 not you\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|<502|>HELO client.example|fault 5 450" },
    { "XCLIENT ADDR=a", "MAIL", IN("220 hi\r\n\f550 no\r\n"), "|<220|>EHLO tap.example|fault 1 550" },
    { "XCLIENT ADDR=a", "XFORWARD IDENT=1,MAIL",
      IN(READY "220 hi\r\n\f250-up\r\n250 PIPELINING\r\n\f250 a\r\n250 b\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|<250|>XFORWARD IDENT=1|>MAIL|<250|<250" },
    { "XCLIENT ADDR=a", "XFORWARD IDENT=1,MAIL", IN(READY "220 hi\r\n\f250 up\r\n\f550 a\r\n\f250 b\r\n"),
      E_READY "|>XCLIENT ADDR=a|<220|>EHLO client.example|<250|>XFORWARD IDENT=1|<550|>MAIL|<250" },
};

static void feed(struct mock *m, struct span in)
{
    while (in.n > 0) {
        size_t used = smtp_client_feed(&m->c, in, &m->out, 1);
        assert_in_range(used, 1, in.n);
        in = span_skip(in, used);
    }
}

/* Flights are kept apart: a reply that comes before its question is another thing. */
static void feed_flights(struct mock *m, struct span in, size_t cut)
{
    while (in.n > 0) {
        const char *stop = memchr(in.p, '\f', in.n);
        struct span flight = span_head(in, stop != NULL ? (size_t)(stop - in.p) : in.n);
        in = span_skip(in, flight.n + 1);
        feed(m, span_head(flight, cut));
        feed(m, span_skip(flight, cut));
    }
}

static void each_row_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 0; cut < 40; cut++) {
            struct mock m = { .row = &rows[i] };
            buf_init(&m.out, NULL);
            buf_init(&m.events, NULL);
            smtp_client_init(&m.c, "tap.example", &ops, &m, &m.pool, 1);
            feed_flights(&m, rows[i].in, cut);
            if (!span_eq(buf_span(&m.events), span_str(rows[i].events)))
                fail_msg("row %zu cut %zu: %.*s", i, cut, SPAN_ARG(buf_span(&m.events)));
            smtp_client_free(&m.c);
            buf_free(&m.out);
            buf_free(&m.events);
            buf_pool_free(&m.pool);
        }
    }
}

/* XFORWARD belongs to one server: it is not said again to the next. */
static void unanswered_xforward_is_not_taken_back(void **state)
{
    static const struct row row = { "XCLIENT ADDR=a", "XFORWARD IDENT=1,MAIL", IN(""), "" };
    struct mock m = { .row = &row };
    struct list steps;
    (void)state;
    buf_init(&m.out, NULL);
    buf_init(&m.events, NULL);
    smtp_client_init(&m.c, "tap.example", &ops, &m, &m.pool, 1);
    static const struct span in = IN(READY "220 hi\r\n\f250 PIPELINING\r\n\f");
    feed_flights(&m, in, 0);
    list_init(&steps);
    smtp_client_take_steps(&m.c, &steps);
    const struct smtp_step *first = LIST_ENTRY(list_first(&steps), struct smtp_step, node);
    assert_int_equal(first->kind, SMTP_STEP_MAIL);
    assert_ptr_equal(first->node.next, &steps);
    smtp_steps_free(&steps);
    smtp_client_free(&m.c);
    buf_free(&m.out);
    buf_free(&m.events);
    buf_pool_free(&m.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_at_every_cut),
        cmocka_unit_test(unanswered_xforward_is_not_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
