/* queue_id_find() against the tables of real replies, and what must not be taken for an id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/record/queueid.h"
#include "tests/unit/replies_tsv.h"

static void check_inside(struct span id, struct span wire)
{
    assert_true(id.n <= QUEUE_ID_MAX);
    assert_true(id.p >= wire.p && id.p + id.n <= wire.p + wire.n);
    for (size_t i = 0; i < id.n; i++)
        assert_true(id.p[i] > ' ' && id.p[i] < 127 && id.p[i] != '@');
}

static unsigned check_table(const char *name)
{
    struct tsv_row row;
    unsigned accepted = 0, wrong = 0;
    FILE *f = tsv_open(name);
    while (tsv_next(f, &row)) {
        struct span id = queue_id_find(&row.reply);
        accepted += smtp_reply_is(&row.reply, 2);
        if (id.n > 0)
            check_inside(id, row.reply.wire);
        if (!span_eq(id, span_str(row.queue_id))) {
            print_error("%s: \"%.*s\", not \"%s\": %s\n", name, SPAN_ARG(id), row.queue_id, row.text);
            wrong++;
        }
    }
    fclose(f);
    assert_int_equal(wrong, 0);
    return accepted;
}

static void test_tables(void **state)
{
    (void)state;
    assert_int_equal(check_table("replies.tsv"), 45);
    assert_true(check_table("replies_more.tsv") >= 45);
}

static void test_none(void **state)
{
    static const char *const texts[] = {
        "250 ",
        "250 Ok",
        "250 2.0.0",
        "250 OK queued as requested",
        "250 Ok: queued as spam",
        "250 Ok: queued as a@example.com",
        "250 Ok: queued as <x123@example.com>",
        "250 Message-ID: <x123@example.com> accepted",
        "250 2.6.0 <x123@example.com> Message accepted",
        "250 message id 12345678 stored",
        "250 OK 192.0.2.1",
        "250 OK 2025-03-03",
        "250 OK 12:30:15",
        "250 OK 2.1.5",
        "250 Ok, discarded id=123-45",
        "250 Ok, id=1-2, from MTA(x): 250 2.0.0 Ok",
        "250 Ok, id=1-2, from MTA(x)",
        "250 Message accepted",
        "250 Your message accepted",
        "250 id=",
        "250 queued as",
        "250 queued as \"\"",
        "550 5.7.1 queued as 1A2B3C4D",
        "354 OK id=1qXyZa-003b2F-2C",
    };
    char wire[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct smtp_reply r = smtp_reply_read(tsv_wire(texts[i], wire));
        struct span id = queue_id_find(&r);
        if (id.n > 0)
            print_error("%s: \"%.*s\"\n", texts[i], SPAN_ARG(id));
        assert_int_equal(id.n, 0);
    }
}

/* The longest id, and one octet more. */
static void test_length(void **state)
{
    char text[256], wire[300];
    (void)state;
    for (size_t n = QUEUE_ID_MAX - 1; n <= QUEUE_ID_MAX + 1; n++) {
        size_t begin = (size_t)snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as ");
        memset(text + begin, '7', n);
        text[begin + n] = '\0';
        struct smtp_reply r = smtp_reply_read(tsv_wire(text, wire));
        assert_int_equal(queue_id_find(&r).n, n <= QUEUE_ID_MAX ? n : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
