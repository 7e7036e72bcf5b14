/* Redaction of what is known of a session and stands in text without its looks: mailboxes by their local part, and what
 * a Message-ID tells of the envelope; names of certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/record/redact_impl.h"
#include "tests/unit/record_lines.h"

static const struct span KEY = SPAN_LIT("0123456789abcdef0123456789abcdef");

static struct redact *make(enum redact_how addresses, enum redact_how others)
{
    const struct redact_rules rules = { addresses, others, others, others };
    return redact_new(&rules, KEY);
}

static const struct record_field *find(const struct record *r, enum record_key key)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (r->field[i].key == key)
            return &r->field[i];
    }
    fail();
    return NULL;
}

static void check(struct span got, const char *want)
{
    if (!span_eq(got, span_str(want)))
        fail_msg("got %.*s\nnot %s", SPAN_ARG(got), want);
}

/* A reply to bob's RCPT: response, text, lines and `msg` tell the same. */
static void check_reply(struct redact *x, const char *rcpt, const char *reply, const char *want)
{
    struct record r, out;
    struct arena mem;
    const struct record_rcpt list[] = { { .address = span_str(rcpt), .reply = span_str(reply) } };
    struct span msg[] = { SPAN_LIT("rejected at rcpt"), SPAN_LIT(": "), span_str(reply) };
    char text[256];
    arena_init(&mem, NULL, 0);
    record_begin(&r, TNX_MESSAGE, 0);
    record_rcpts(&r, KEY_RCPT_TO, REC_RCPT_TO, list, 1);
    record_rcpts(&r, KEY_RECIPIENTS, REC_RECIPIENTS, list, 1);
    record_cstr(&r, KEY_SMTP_RESPONSE, reply);
    record_cat(&r, KEY_MSG, msg, 3);
    redact_record(x, &out, &r, &mem);
    check(find(&out, KEY_SMTP_RESPONSE)->str, want);
    check(find(&out, KEY_RECIPIENTS)->rcpts.p[0].reply, want);
    snprintf(text, sizeof(text), "rejected at rcpt: %s", want);
    check(find(&out, KEY_MSG)->str, text);
    arena_free(&mem);
}

static void test_named_in_replies(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "SECRETBOB@x.test", "550 5.1.1 User SECRETBOB not found", "550 5.1.1 User * not found" },
        { "SECRETBOB@x.test", "550 no 'secretbob', secretbobby or asecretbob",
          "550 no '*', secretbobby or asecretbob" },
        { "SECRETBOB@x.test", "550-5.1.1 SECRETBOB+40x.test", "550-5.1.1 *@x.test" },
        { "secretbob@x.test", "SECRETBOB @ x.test", "* @ x.test" },
        { "secretbob@x.test", "550 /var/mail/SECRETBOB is full", "550 /var/mail/* is full" },
        { "secretbob@x.test", "550 x.test!SECRETBOB: (secretbob)", "550 x.test!*: (*)" },
        { "secretbob@x.test", "550 SECRETBOB=x.test@list.test", "550 *@list.test" },
        { "secretbob@x.test", "550 <secretbob>... no", "550 <*>... no" },
        { "secretbob@x.test", "550 secretbob", "550 *" },
        { "bob+list@x.test", "550 bob+list is bob, bob+other is not", "550 * is *, *+other is not" },
        { "x.test!bob", "550 no bob", "550 no *" },
        { "bob%x.test@y.test", "550 no bob", "550 no *" },
        { "\"bob b\"@x.test", "550 \"bob b\" is bob b, not bob", "550 * is *, not bob" },
        { "@relay.test:bob@x.test", "550 no bob", "550 no *" },
        { "j\xc3\xb6rg@x.test", "550 no j\xc3\xb6rg, j\xc3\xb6rgen", "550 no *, j\xc3\xb6rgen" },
        { "jo@x.test", "550 user jo? John", "550 user *? John" },
        { "a@x.test", "550 no such a user", "550 no such * user" },
        { "5@x.test", "550 5.1.1 no 5 at 5.7.5.", "550 5.1.1 no * at 5.7.5." },
        { "550@x.test", "550 no 550.", "550 no *." },
    };
    struct redact *x = make(REDACT_MASK, REDACT_KEEP);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_reply(x, rows[i][0], rows[i][1], rows[i][2]);
    redact_free(&x);
    x = make(REDACT_KEEP, REDACT_MASK);
    check_reply(x, "bob@x.test", "550 no bob", "550 no bob");
    redact_free(&x);
}

/* The same hash as in the address. */
static void test_named_by_hash(void **state)
{
    (void)state;
    struct redact *x = make(REDACT_HASH, REDACT_KEEP);
    char want[64];
    struct arena mem;
    arena_init(&mem, NULL, 0);
    x->mem = &mem;
    struct span hash = redact_text(x, SPAN_LIT("bob@x.test"));
    snprintf(want, sizeof(want), "550 no %.16s or <%.16s>", hash.p, hash.p);
    check_reply(x, "bob@x.test", "550 no Bob or <BOB>", want);
    arena_free(&mem);
    redact_free(&x);
}

/* A record that has no address of its own knows those of the session; our own words stay. */
static void test_session_is_known(void **state)
{
    (void)state;
    struct redact *x = make(REDACT_DROP, REDACT_KEEP);
    struct mailboxes *m = mailboxes_new();
    const struct smtp_reply reply = smtp_reply_read(SPAN_LIT("550-5.1.1 no bob\r\n550 5.1.1 nor S\r\n"));
    struct span msg[] = { SPAN_LIT("S: "), SPAN_LIT("550-5.1.1 no bob") };
    struct record r, out;
    struct arena mem;
    char address[] = "bob@x.test";
    mailboxes_keep(m, span_str(address));
    mailboxes_keep(m, SPAN_LIT("s@x.test"));
    mailboxes_keep(m, SPAN_LIT("S@x.test"));
    memset(address, 'x', strlen(address));
    assert_int_equal(mailboxes_count(m), 2);
    arena_init(&mem, NULL, 0);
    record_begin(&r, TNX_SEND, 0);
    r.mailboxes = m;
    record_reply_lines(&r, KEY_LINES, &reply);
    record_cat(&r, KEY_MSG, msg, 2);
    redact_record(x, &out, &r, &mem);
    check(out.field[0].strs.p[0], "no *");
    check(out.field[0].strs.p[1], "nor *");
    check(out.field[1].str, "S: 550-5.1.1 no *");
    mailboxes_clear(m);
    redact_record(x, &out, &r, &mem);
    check(out.field[1].str, "S: 550-5.1.1 no bob");
    arena_free(&mem);
    mailboxes_free(&m);
    redact_free(&x);
}

static void check_id(struct redact *x, const char *host, const char *id, const char *want)
{
    static const struct record_rcpt list[] = { { .address = SPAN_LIT("bob@x.test") },
                                               { .address = SPAN_LIT("eve+l@x.test") } };
    struct record r, out;
    struct arena mem;
    struct span msg[] = { SPAN_LIT("accepted "), span_str(id), SPAN_LIT(" from "), SPAN_LIT("alice@y.test") };
    char text[256];
    arena_init(&mem, NULL, 0);
    record_begin(&r, TNX_MESSAGE, 0);
    r.client_name = SPAN_LIT("dialup.client.test");
    record_cstr(&r, KEY_USER, "joe");
    record_cstr(&r, KEY_HOST, host);
    record_cstr(&r, KEY_MAIL_FROM, "alice@y.test");
    record_rcpts(&r, KEY_RCPT_TO, REC_RCPT_TO, list, 2);
    record_cstr(&r, KEY_MESSAGE_ID, id);
    record_cat(&r, KEY_MSG, msg, 4);
    redact_record(x, &out, &r, &mem);
    check(find(&out, KEY_MESSAGE_ID)->str, want);
    snprintf(text, sizeof(text), "accepted %s from %s", want,
             x->rules.addresses == REDACT_MASK ? "*@y.test" : "alice@y.test");
    check(find(&out, KEY_MSG)->str, text);
    arena_free(&mem);
}

static void test_message_id(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "203.0.113.77", "<4711.1@other.test>", "<4711.1@other.test>" },
        { "203.0.113.77", "<alice@y.test>", "<*@y.test>" },
        { "203.0.113.77", "<1.ALICE@elsewhere.test>", "<1.*@elsewhere.test>" },
        { "203.0.113.77", "<malice@y.test>", "<malice@y.test>" },
        { "203.0.113.77", "<1.bob=x.test@list.test>", "<1.*=x.test@list.test>" },
        { "203.0.113.77", "<eve@x.test> bob%40x.test", "<*@x.test> *%40x.test" },
        { "203.0.113.77", "<1@bob.example>", "<1@bob.example>" },
        { "203.0.113.77", "<1@[203.0.113.77]>", "<1@[203.0.113.0]>" },
        { "203.0.113.77", "<1@77-113-0-203.test>", "<1@*.test>" },
        { "203.0.113.77", "<203.0.113.78@[1203.0.113.77]>", "<203.0.113.78@[1203.0.113.77]>" },
        { "203.0.113.77", "<1.2.3.4.5@h>", "<1.2.3.4.5@h>" },
        { "2001:db8:1:2::3", "<1@[IPv6:2001:DB8:1:2::3]>", "<1@[IPv6:2001:db8:1::]>" },
        { "203.0.113.77", "<joe.1@dialup.client.test>", "<*.1@*.client.test>" },
        { "203.0.113.77", "alice", "alice" },
    };
    struct redact *x = make(REDACT_MASK, REDACT_MASK), *none = make(REDACT_KEEP, REDACT_KEEP);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_id(x, rows[i][0], rows[i][1], rows[i][2]);
        check_id(none, rows[i][0], rows[i][1], rows[i][1]);
    }
    redact_free(&x);
    redact_free(&none);
}

/* A name that holds a NUL is not found where only its beginning is. */
static void test_a_name_with_nul(void **state)
{
    (void)state;
    struct redact *x = make(REDACT_MASK, REDACT_MASK);
    struct arena mem;
    arena_init(&mem, NULL, 0);
    x->mem = &mem;
    x->user[0] = SPAN_LIT("\0some user");
    x->users = 1;
    assert_true(span_eq(redact_text(x, SPAN_LIT("\0some user")), SPAN_LIT("*")));
    assert_true(span_eq(redact_text(x, SPAN_LIT("\0 203.0.113.45x203.0.113.45")), SPAN_LIT("\0 *x*")));
    arena_free(&mem);
    redact_free(&x);
}

/* The names of the upstream's certificate are under the rules that those of the client's are under. */
static void test_certificate(void **state)
{
    (void)state;
    static const char *const want[][2] = { { "emailAddress=dave@x.test", "*@x.test" }, { "CN=mx.test", "CN=mx.test" } };
    struct redact *x = make(REDACT_MASK, REDACT_KEEP);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct record r, out;
        struct arena mem;
        arena_init(&mem, NULL, 0);
        record_begin(&r, TNX_STARTTLS, 0);
        record_side(&r, SIDE_UPSTREAM);
        record_open(&r, KEY_PEER);
        record_cstr(&r, KEY_SUBJECT, want[i][0]);
        record_close(&r);
        redact_record(x, &out, &r, &mem);
        check(find(&out, KEY_SUBJECT)->str, want[i][1]);
        arena_free(&mem);
    }
    redact_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_in_replies), cmocka_unit_test(test_named_by_hash),
        cmocka_unit_test(test_session_is_known), cmocka_unit_test(test_message_id),
        cmocka_unit_test(test_a_name_with_nul),  cmocka_unit_test(test_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
