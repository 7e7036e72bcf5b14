/* The client engine's chunks, and LMTP's replies: what a server says before, within and behind a chunk, whole, byte by
 * byte and cut at every point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/client.h"

/* script: what is done when all before is answered, one a blank: "3" a chunk of 3 octets, "3L" with LAST, "3!" whose
 * octets wait for the server's next flight, "3L2" which has 2 replies, "." the message by DATA with `replies` at its
 * end. in: what the server says, a flight ends at '\f'. events: "<CODE LEFT" for a reply and how many are to come. */
struct row {
    const char *name, *script;
    struct span in;
    const char *events, *out;
    bool lmtp;
};

struct mock {
    struct smtp_client c;
    struct buf_pool pool;
    struct buf out, events;
    const char *script;
    unsigned replies;
    bool dead, holds;
};

static void write_octets(struct mock *m, uint64_t n)
{
    m->holds = false;
    for (; n > 0; n--) {
        buf_append(&m->out, "x", 1);
        smtp_client_wrote(&m->c, 1);
    }
}

static void chunk(struct mock *m)
{
    char *end;
    unsigned long n = strtoul(m->script, &end, 10);
    bool last = *end == 'L';
    end += last;
    unsigned replies = *end == ' ' ? 0 : (unsigned)strtoul(end, &end, 10);
    m->holds = *end == '!';
    m->script = end + m->holds;
    smtp_client_chunk(&m->c, (struct smtp_tag){ .slot = 1 }, n, last, replies > 0 ? replies : 1, &m->out, 7);
    if (!m->holds)
        write_octets(m, n);
}

static void next(struct mock *m)
{
    m->script += *m->script == ' ';
    if (*m->script == '.') {
        smtp_client_add(&m->c, smtp_step_new(SMTP_STEP_DATA, (struct smtp_tag){ .slot = 1 }, SPAN_LIT("DATA")), &m->out,
                        7);
        m->replies = (unsigned)strtoul(m->script + 1, (char **)(uintptr_t)&m->script, 10);
    } else if (*m->script != '\0') {
        chunk(m);
    }
}

static void on_command(void *owner, const struct smtp_step *step)
{
    (void)owner;
    assert_true(step->sent);
}

static void on_said(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    (void)reply;
    assert_false(m->dead);
    assert_true(step == NULL || step == smtp_client_waiting(&m->c));
}

static void on_reply(void *owner, const struct smtp_step *step, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    assert_int_not_equal(m->c.state, SMTP_CLIENT_CHUNK);
    if (step->tag.slot != 0)
        buf_printf(&m->events, "<%d %u|", reply->code, step->replies);
    if (step->kind == SMTP_STEP_DATA && reply->code == 354)
        smtp_client_end(&m->c, (struct smtp_tag){ .slot = 1 }, m->replies, &m->out, 7);
    else if (step->tag.slot != 0 && step->replies == 0)
        next(m);
    else if (step->kind == SMTP_STEP_EHLO && m->c.state == SMTP_CLIENT_READY)
        next(m);
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    assert_int_equal(m->c.state, SMTP_CLIENT_CHUNK);
    buf_printf(&m->events, "early %d|", reply->code);
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    (void)reply;
    m->dead = true;
    buf_printf(&m->events, "fault %d|", (int)fault);
}

static const struct smtp_client_ops ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

static void feed_all(struct mock *m, struct span in)
{
    while (in.n > 0) {
        size_t used = smtp_client_feed(&m->c, in, &m->out, 7);
        assert_in_range(used, 1, in.n);
        in = span_skip(in, used);
    }
}

/* At \f a flight is over: the octets that waited for it go out. From \v to \v some are known not to have arrived. */
static void feed(struct mock *m, struct span in)
{
    while (in.n > 0) {
        size_t n = 0;
        while (n < in.n && in.p[n] != '\f' && in.p[n] != '\v')
            n++;
        feed_all(m, span_head(in, n));
        if (n < in.n && in.p[n] == '\v')
            m->c.unsent = !m->c.unsent;
        else if (n < in.n && m->holds && !m->dead && m->c.state == SMTP_CLIENT_CHUNK)
            write_octets(m, m->c.due);
        in = span_skip(in, n + 1);
    }
}

static void check_text(const struct row *row, size_t cut, const struct buf *got, const char *want)
{
    if (span_eq(buf_span(got), span_str(want)))
        return;
    print_error("%s, cut %zu:\n got %.*s\nwant %s\n", row->name, cut, SPAN_ARG(buf_span(got)), want);
    fail();
}

static void check(const struct row *row, size_t first, size_t step)
{
    struct mock m = { .script = row->script };
    buf_init(&m.out, NULL);
    buf_init(&m.events, NULL);
    smtp_client_init(&m.c, "h", &ops, &m, &m.pool, 7);
    m.c.lmtp = row->lmtp;
    struct span in = row->in;
    for (size_t n = first; in.n > 0; in = span_skip(in, n), n = step)
        feed(&m, span_head(in, n));
    check_text(row, first, &m.events, row->events);
    check_text(row, first, &m.out, row->out);
    smtp_client_free(&m.c);
    buf_free(&m.out);
    buf_free(&m.events);
    buf_pool_free(&m.pool);
}

#define IN(s) SPAN_LIT(s)
#define UP "220 hi\r\n\f250-up\r\n250 PIPELINING\r\n"
#define HI UP "\f"
#define UNSOLICITED "fault 3|"
#define BAD "fault 2|"

static const struct row rows[] = {
    { "one chunk", "3L", IN(HI "250 ok\r\n"), "<250 0|", "EHLO h\r\nBDAT 3 LAST\r\nxxx", false },
    { "one by one, also where pipelining is offered", "3 0 2L", IN(HI "250 a\r\n\f250 b\r\n\f250 c\r\n"),
      "<250 0|<250 0|<250 0|", "EHLO h\r\nBDAT 3\r\nxxxBDAT 0\r\nBDAT 2 LAST\r\nxx", false },
    { "refused", "3", IN(HI "452-no\r\n452 room\r\n"), "<452 0|", "EHLO h\r\nBDAT 3\r\nxxx", false },
    { "354 is no answer", "3L", IN(HI "354 go\r\n"), BAD, "EHLO h\r\nBDAT 3 LAST\r\nxxx", false },
    { "early, then the octets", "3L!", IN(UP "552 big\r\n\f"), "early 552|", "EHLO h\r\nBDAT 3 LAST\r\nxxx", false },
    { "early 2xx is no answer", "3L!", IN(UP "250 took it\r\n\f"), "early 250|", "EHLO h\r\nBDAT 3 LAST\r\nxxx",
      false },
    { "begun before the last octet", "3L!", IN(UP "25\f0 took it\r\n"), UNSOLICITED, "EHLO h\r\nBDAT 3 LAST\r\nxxx",
      false },
    { "a yes before the octets arrived", "3L", IN(HI "\v250 took it\r\n"), UNSOLICITED, "EHLO h\r\nBDAT 3 LAST\r\nxxx",
      false },
    { "begun before", "3L", IN(HI "\v25\v0 took it\r\n"), UNSOLICITED, "EHLO h\r\nBDAT 3 LAST\r\nxxx", false },
    { "a no before", "3L", IN(HI "\v552 big\r\n"), "<552 0|", "EHLO h\r\nBDAT 3 LAST\r\nxxx", false },
    { "a yes behind", "3 1L", IN(HI "\v\v250 a\r\n\f250 b\r\n"), "<250 0|<250 0|",
      "EHLO h\r\nBDAT 3\r\nxxxBDAT 1 LAST\r\nx", false },
    { "LMTP says LHLO, and has a reply each", ".3", IN(HI "354 go\r\n\f250 a\r\n550 b\r\n250-c\r\n250 c\r\n"),
      "<354 0|<250 2|<550 1|<250 0|", "LHLO h\r\nDATA\r\n.\r\n", true },
    { "LMTP in chunks", "1 2L2", IN(HI "250 a\r\n\f250 b\r\n450 c\r\n"), "<250 0|<250 1|<450 0|",
      "LHLO h\r\nBDAT 1\r\nxBDAT 2 LAST\r\nxx", true },
    { "LMTP tries no HELO", "", IN("220 hi\r\n\f500 what\r\n"), "fault 1|", "LHLO h\r\n", true },
};

/* Whole alone: cut elsewhere, the server's surplus comes behind what it preceded. */
static const struct row surplus[] = {
    { "the answer with the one before", "1 0L", IN(HI "250 a\r\n250 b\r\n"), "<250 0|" UNSOLICITED,
      "EHLO h\r\nBDAT 1\r\nxBDAT 0 LAST\r\n", false },
    { "one reply too many", ".1", IN(HI "354 go\r\n\f250 a\r\n250 b\r\n"), "<354 0|<250 0|" UNSOLICITED,
      "LHLO h\r\nDATA\r\n.\r\n", true },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(&rows[i], 1, 1);
        for (size_t cut = 1; cut <= rows[i].in.n; cut++)
            check(&rows[i], cut, rows[i].in.n);
    }
}

static void test_surplus(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(surplus); i++)
        check(&surplus[i], surplus[i].in.n, 1);
}

/* What was not answered is handed back, a chunk half said too. */
static void test_take_steps(void **state)
{
    (void)state;
    struct mock m = { .script = "3L!" };
    struct list steps;
    list_init(&steps);
    buf_init(&m.out, NULL);
    buf_init(&m.events, NULL);
    smtp_client_init(&m.c, "h", &ops, &m, &m.pool, 7);
    feed_all(&m, IN("220 hi\r\n"));
    feed_all(&m, IN("250 up\r\n"));
    assert_int_equal(m.c.state, SMTP_CLIENT_CHUNK);
    smtp_client_take_steps(&m.c, &steps);
    const struct smtp_step *step = LIST_ENTRY(list_first(&steps), struct smtp_step, node);
    assert_int_equal(step->kind, SMTP_STEP_LAST);
    assert_true(span_eq(span_of(step->text, step->len), SPAN_LIT("BDAT 3 LAST")));
    smtp_steps_free(&steps);
    smtp_client_free(&m.c);
    buf_free(&m.out);
    buf_free(&m.events);
    buf_pool_free(&m.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_surplus),
        cmocka_unit_test(test_take_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
