/* AUTH in the client engine: the order of what is said, what the log may see, what a server may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/smtp/client.h"

/* in: the server, behind the reply to EHLO; a '\f' stands where it waits for what we say. steps: added together when it
 * is ready; each 334 is answered by the next of `responses`. events: ">LINE" as the log sees it, "<CODE" as a reply is
 * matched.
 */
struct row {
    const char *name;
    struct span in;
    const char *steps, *responses, *events, *out;
    bool dead;
};

struct mock {
    struct smtp_client c;
    struct buf_pool pool;
    struct buf out, events;
    const char *responses;
    const struct row *row;
    bool dead;
};

static void note(struct mock *m, const char *head, struct span text)
{
    buf_printf(&m->events, "%s%s%.*s", buf_empty(&m->events) ? "" : "|", head, SPAN_ARG(text));
}

static void add_word(struct mock *m, const char **list, enum smtp_step_kind kind)
{
    size_t n = strcspn(*list, ",");
    struct span line = span_of(*list, n);
    if (kind != SMTP_STEP_RESPONSE)
        kind = span_begins_nocase(line, SPAN_LIT("AUTH"))   ? SMTP_STEP_AUTH
               : span_begins_nocase(line, SPAN_LIT("MAIL")) ? SMTP_STEP_MAIL
                                                            : SMTP_STEP_PASS;
    *list += n + ((*list)[n] == ',');
    smtp_client_add(&m->c, smtp_step_new(kind, (struct smtp_tag){ .slot = 1 }, line), &m->out, 7);
}

static void on_command(void *owner, const struct smtp_step *step)
{
    char shown[SMTP_STEP_SHOWN];
    if (step->kind != SMTP_STEP_EHLO)
        note(owner, ">", smtp_step_shown(step, shown));
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
    char code[8];
    if (step->kind == SMTP_STEP_GREETING)
        return;
    if (step->kind == SMTP_STEP_EHLO) {
        for (const char *p = m->row->steps; *p != '\0';)
            add_word(m, &p, SMTP_STEP_PASS);
        return;
    }
    snprintf(code, sizeof(code), "%d", reply->code);
    note(m, "<", span_str(code));
    if (reply->code == 334)
        add_word(m, &m->responses, SMTP_STEP_RESPONSE);
}

static void on_early(void *owner, const struct smtp_reply *reply)
{
    (void)owner;
    (void)reply;
}

static void on_fault(void *owner, enum smtp_client_fault fault, const struct smtp_reply *reply)
{
    struct mock *m = owner;
    (void)fault;
    (void)reply;
    m->dead = true;
}

static const struct smtp_client_ops ops = {
    .command = on_command, .said = on_said, .reply = on_reply, .early = on_early, .fault = on_fault
};

static void feed(struct mock *m, struct span in, size_t part)
{
    struct buf left;
    buf_init(&left, NULL);
    for (; in.n > 0; in = span_skip(in, part)) {
        buf_append_span(&left, span_head(in, part));
        while (!buf_empty(&left) && !m->dead)
            buf_consume(&left, smtp_client_feed(&m->c, buf_span(&left), &m->out, 7));
    }
    buf_free(&left);
}

static void run(const struct row *row, size_t part)
{
    struct mock m = { .row = row, .responses = row->responses };
    buf_init(&m.out, NULL);
    buf_init(&m.events, NULL);
    smtp_client_init(&m.c, "h", &ops, &m, &m.pool, 7);
    feed(&m, SPAN_LIT("220 x\r\n"), part);
    feed(&m, SPAN_LIT("250-x\r\n250 PIPELINING\r\n"), part);
    for (struct span in = row->in; in.n > 0 && !m.dead;) {
        const char *wait = memchr(in.p, '\f', in.n);
        size_t n = wait != NULL ? (size_t)(wait - in.p) : in.n;
        feed(&m, span_head(in, n), part);
        in = span_skip(in, n + 1);
    }
    buf_append(&m.out, "", 1);
    buf_append(&m.events, "", 1);
    if (strcmp(buf_span(&m.out).p + 8, row->out) != 0 || strcmp(buf_span(&m.events).p, row->events) != 0)
        print_error("%s (parts of %zu): %s, %s\n", row->name, part, buf_span(&m.out).p + 8, buf_span(&m.events).p);
    assert_string_equal(buf_span(&m.out).p + 8, row->out); /* behind "EHLO h\r\n" */
    assert_string_equal(buf_span(&m.events).p, row->events);
    assert_int_equal(m.dead, row->dead);
    smtp_client_free(&m.c);
    buf_free(&m.out);
    buf_free(&m.events);
    buf_pool_free(&m.pool);
}

static const struct row rows[] = {
    { "initial response", SPAN_LIT("235 ok\r\n\f250 a\r\n"), "AUTH PLAIN c2VjcmV0,MAIL a,MAIL b", "",
      ">AUTH PLAIN *|<235|>MAIL a|>MAIL b|<250", "AUTH PLAIN c2VjcmV0\r\nMAIL a\r\nMAIL b\r\n", false },
    { "an exchange", SPAN_LIT("334 \r\n\f334-a\r\n334 b\r\n\f235 2.7.0 ok\r\n\f250 a\r\n"), "AUTH LOGIN,NOOP",
      "dXNlcg==,cGFzcw==", ">AUTH LOGIN|<334|>*|<334|>*|<235|>NOOP|<250",
      "AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nNOOP\r\n", false },
    { "an empty response", SPAN_LIT("334\r\n\f535 no\r\n"), "AUTH X", "", ">AUTH X|<334|>*|<535", "AUTH X\r\n\r\n",
      false },
    { "a star", SPAN_LIT("334 x\r\n\f501 cancelled\r\n\f250 ok\r\n"), "AUTH X,NOOP", "*",
      ">AUTH X|<334|>*|<501|>NOOP|<250", "AUTH X\r\n*\r\nNOOP\r\n", false },
    { "AUTH waits for all before it", SPAN_LIT("250 a\r\n\f250 b\r\n\f235 c\r\n"), "MAIL a,NOOP,AUTH PLAIN x", "",
      ">MAIL a|>NOOP|<250|<250|>AUTH PLAIN *|<235", "MAIL a\r\nNOOP\r\nAUTH PLAIN x\r\n", false },
    { "another 2xx is no success", SPAN_LIT("250 ok\r\n"), "AUTH PLAIN x,NOOP", "", ">AUTH PLAIN *", "AUTH PLAIN x\r\n",
      true },
    { "nor is 354", SPAN_LIT("354 go\r\n"), "AUTH PLAIN x", "", ">AUTH PLAIN *", "AUTH PLAIN x\r\n", true },
    { "334 to what is no AUTH", SPAN_LIT("334 x\r\n"), "NOOP", "", ">NOOP", "NOOP\r\n", true },
    { "a name too long for the log", SPAN_LIT("504 no\r\n"),
      "AUTH AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", ">AUTH *|<504",
      "AUTH AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n", false },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run(&rows[i], 1000);
        for (size_t part = 1; part < 9; part++)
            run(&rows[i], part);
    }
}

/* Two replies to one line: the second would pass for the answer to our response, so nothing is said to it. */
static void test_surplus(void **state)
{
    (void)state;
    static const struct row row = {
        "surplus", SPAN_LIT("334 x\r\n235 ok\r\n"), "AUTH LOGIN", "c2VjcmV0", ">AUTH LOGIN|<334", "AUTH LOGIN\r\n", true
    };
    run(&row, 1000);
}

/* Steps that were not answered come back, in order, for the owner to answer. */
static void test_take_steps(void **state)
{
    (void)state;
    static const struct row row = { .in = SPAN_LIT("334 x\r\n"), .steps = "AUTH LOGIN,NOOP", .responses = "c2VjcmV0" };
    struct mock m = { .row = &row, .responses = row.responses };
    struct list steps;
    list_init(&steps);
    buf_init(&m.out, NULL);
    buf_init(&m.events, NULL);
    smtp_client_init(&m.c, "h", &ops, &m, &m.pool, 7);
    feed(&m, SPAN_LIT("220 x\r\n"), 100);
    feed(&m, SPAN_LIT("250 x\r\n"), 100);
    feed(&m, row.in, 100);
    smtp_client_take_steps(&m.c, &steps);
    assert_false(list_empty(&steps));
    assert_int_equal(LIST_ENTRY(steps.next, struct smtp_step, node)->kind, SMTP_STEP_RESPONSE);
    assert_int_equal(LIST_ENTRY(steps.prev, struct smtp_step, node)->kind, SMTP_STEP_PASS);
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
