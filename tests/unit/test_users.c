/* The file of users: what a line may be, and that a fault never shows what stands there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/users.h"

#define SHA512 "$6$FJ3Wqy0C$m3ZbXl7oZb5WmSjWq9yC1oGQn6aLqg0Z8uF2w1r4TzB9dHk3VxKcPpEeYtRsUiOlMnJhGfDsAzXcVbNmQwErT1"
#define BCRYPT "$2b$12$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234"
#define YESCRYPT "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC"
#define SCRAM                                                                                                          \
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                       \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

struct told {
    unsigned count, line[USERS_FAULTS_MAX];
    char text[USERS_FAULTS_MAX][160];
};

static void on_fault(void *arg, unsigned line, const char *text)
{
    struct told *t = arg;
    assert_true(t->count < USERS_FAULTS_MAX);
    t->line[t->count] = line;
    snprintf(t->text[t->count++], sizeof(t->text[0]), "%s", text);
}

static struct users *parse_span(struct span text, struct told *t)
{
    *t = (struct told){ .count = 0 };
    /* Its own memory, to its last octet: what is read beyond is found. */
    char *copy = malloc(text.n + 1);
    assert_non_null(copy);
    memcpy(copy, text.n > 0 ? text.p : "", text.n);
    char *exact = malloc(text.n > 0 ? text.n : 1);
    memcpy(exact, copy, text.n);
    free(copy);
    struct users *u = users_parse(span_of(exact, text.n), on_fault, t);
    free(exact);
    return u;
}

/* Good files: the users in the order of their names, as "name=secret " each. */
static const struct {
    struct span text;
    const char *users;
} GOOD[] = {
    { SPAN_LIT(""), "" },
    { SPAN_LIT("\n\r\n  \t\n# a:b\n#"), "" },
    { SPAN_LIT("a:{PLAIN}x"), "a={PLAIN}x " },
    { SPAN_LIT("a:{PLAIN}x\n"), "a={PLAIN}x " },
    { SPAN_LIT("a:{PLAIN}x\r\n"), "a={PLAIN}x " },
    { SPAN_LIT("a:{PLAIN}x\r\nb:{PLAIN}y\r\n"), "a={PLAIN}x b={PLAIN}y " },
    { SPAN_LIT("b:{PLAIN}y\na:{PLAIN}x\n\nC:{plain}z"), "C={plain}z a={PLAIN}x b={PLAIN}y " },
    { SPAN_LIT("a:{PLAIN}with:colon and blanks \n"), "a={PLAIN}with:colon and blanks  " },
    { SPAN_LIT("a:{PLAIN}#x\n"), "a={PLAIN}#x " },
    { SPAN_LIT("a b@example.com:{PLAIN}x\n"), "a b@example.com={PLAIN}x " },
    { SPAN_LIT("j\xc3\xb6rg@example.com:{PLAIN}\xc3\xa4\n"), "j\xc3\xb6rg@example.com={PLAIN}\xc3\xa4 " },
    { SPAN_LIT("\xef\xbb\xbf"
               "a:{PLAIN}x\n"),
      "a={PLAIN}x " },
    { SPAN_LIT("a:*\n"), "a= " },
    { SPAN_LIT("a:" SHA512 "\n"), "a=" SHA512 " " },
    { SPAN_LIT("a:" BCRYPT "\n"), "a=" BCRYPT " " },
    { SPAN_LIT("a:" YESCRYPT "\n"), "a=" YESCRYPT " " },
    { SPAN_LIT("a:{SHA512-CRYPT}" SHA512 "\r\n"), "a=" SHA512 " " },
    { SPAN_LIT("a:{BLF-CRYPT}" BCRYPT "\n"), "a=" BCRYPT " " },
    { SPAN_LIT("a:{crypt}" YESCRYPT "\n"), "a=" YESCRYPT " " },
    { SPAN_LIT("a:" SCRAM "\n"), "a=" SCRAM " " },
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        struct told t;
        char got[1024] = "";
        struct users *u = parse_span(GOOD[i].text, &t);
        if (u == NULL)
            fail_msg("%zu: %s", i, t.text[0]);
        for (size_t k = 0; k < u->count; k++) {
            size_t at = strlen(got);
            snprintf(got + at, sizeof(got) - at, "%.*s=%.*s ", SPAN_ARG(u->list[k].name), SPAN_ARG(u->list[k].secret));
            assert_ptr_equal(users_find(u, u->list[k].name), &u->list[k]);
        }
        assert_string_equal(got, GOOD[i].users);
        users_free(&u);
        assert_null(u);
    }
}

#define LONG_NAME                                                                                                      \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"             \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"             \
    "01234567890123456789012345678901234567890123456789012345"

/* One fault: its line, and words of it. What is in the file as "hunter" is a secret. */
static const struct {
    struct span text;
    unsigned line;
    const char *words;
} BAD[] = {
    { SPAN_LIT("hunter2\n"), 1, "no colon" },
    { SPAN_LIT("\n\na:{PLAIN}hunter\nhunter2"), 4, "no colon" },
    { SPAN_LIT(":{PLAIN}hunter\n"), 1, "no user" },
    { SPAN_LIT("a:\n"), 1, "no secret" },
    { SPAN_LIT("a:\r\n"), 1, "no secret" },
    { SPAN_LIT("a:{PLAIN}\n"), 1, "empty" },
    { SPAN_LIT("a:hunter2\n"), 1, "{PLAIN}" },
    { SPAN_LIT("a:hunterhunterx\n"), 1, "{PLAIN}" },
    { SPAN_LIT("a:{CRYPT}hunter2\n"), 1, "not a hash" },
    { SPAN_LIT("a:{CRYPT}\n"), 1, "not a hash" },
    { SPAN_LIT("a:{SSHA}hunter2\n"), 1, "of another scheme" },
    { SPAN_LIT("a:{CRAM-MD5}hunter2\n"), 1, "of another scheme" },
    { SPAN_LIT("a:{SCRAM-SHA-256}hunter2\n"), 1, "malformed" },
    { SPAN_LIT("a:{PLAIN\n"), 1, "malformed" },
    { SPAN_LIT("a:$6$hunter\n"), 1, "not whole" },
    { SPAN_LIT("a:$\n"), 1, "not a hash" },
    { SPAN_LIT("a:" SHA512 ":1000:1000\n"), 1, "no further fields" },
    { SPAN_LIT("a:" SHA512 " \n"), 1, "no blanks" },
    { SPAN_LIT("a: " SHA512 "\n"), 1, "not a hash" },
    { SPAN_LIT("a:!" SHA512 "\n"), 1, "not a hash" },
    { SPAN_LIT(" a:{PLAIN}hunter\n"), 1, "blank" },
    { SPAN_LIT("a :{PLAIN}hunter\n"), 1, "blank" },
    { SPAN_LIT("a\x01:{PLAIN}hunter\n"), 1, "control" },
    { SPAN_LIT("a\0b:{PLAIN}hunter\n"), 1, "control" },
    { SPAN_LIT("a:{PLAIN}hun\0ter\n"), 1, "" },
    { SPAN_LIT("a:{PLAIN}hun\rter\n"), 1, "" },
    { SPAN_LIT("\xff\xfe:{PLAIN}hunter\n"), 1, "UTF-8" },
    { SPAN_LIT(LONG_NAME ":{PLAIN}hunter\n"), 1, "255" },
    { SPAN_LIT("a:{PLAIN}hunter\nb:{PLAIN}x\na:{PLAIN}x\n"), 3, "already" },
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct told t;
        struct users *u = parse_span(BAD[i].text, &t);
        assert_null(u);
        if (t.count != 1 || t.line[0] != BAD[i].line || strstr(t.text[0], BAD[i].words) == NULL)
            fail_msg("%zu: %u faults, line %u: %s", i, t.count, t.line[0], t.text[0]);
        assert_null(strstr(t.text[0], "hunter"));
    }
}

static void test_all_faults_are_told(void **state)
{
    (void)state;
    struct told t;
    assert_null(parse_span(SPAN_LIT("x\na:{PLAIN}1\nb:\na:{PLAIN}2\na:{PLAIN}3\n"), &t));
    static const unsigned LINES[] = { 1, 3, 4, 5 };
    assert_int_equal(t.count, ARRAY_LEN(LINES));
    for (size_t i = 0; i < ARRAY_LEN(LINES); i++)
        assert_int_equal(t.line[i], LINES[i]);
}

static void test_many_faults_end(void **state)
{
    (void)state;
    struct told t;
    char text[200];
    memset(text, '\n', sizeof(text));
    for (size_t i = 0; i < sizeof(text); i += 2)
        text[i] = 'x';
    assert_null(parse_span(span_of(text, sizeof(text)), &t));
    assert_int_equal(t.count, USERS_FAULTS_MAX);
    assert_non_null(strstr(t.text[USERS_FAULTS_MAX - 1], "more"));
}

static void test_long_lines(void **state)
{
    (void)state;
    struct told t;
    char text[USERS_LINE_MAX + 16];
    memset(text, 'x', sizeof(text));
    assert_null(parse_span(span_of(text, USERS_LINE_MAX + 1), &t));
    assert_non_null(strstr(t.text[0], "longer"));
    text[0] = '#';
    struct users *u = parse_span(span_of(text, USERS_LINE_MAX), &t);
    assert_non_null(u);
    users_free(&u);
}

static void test_find(void **state)
{
    (void)state;
    enum { USERS = 1000 };
    static char text[USERS * 32];
    struct told t;
    size_t n = 0;
    for (unsigned i = 0; i < USERS; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "u%u:{PLAIN}%u\n", i * 7919u % USERS, i);
    struct users *u = parse_span(span_of(text, n), &t);
    assert_non_null(u);
    assert_int_equal(u->count, USERS);
    for (unsigned i = 0; i < USERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "u%u", i);
        const struct user *found = users_find(u, span_str(name));
        assert_non_null(found);
        assert_true(span_eq(found->name, span_str(name)));
    }
    static const char *const UNKNOWN[] = { "", "u", "u1000", "U1", "u1 ", "zz", "a" };
    for (size_t i = 0; i < ARRAY_LEN(UNKNOWN); i++)
        assert_null(users_find(u, span_str(UNKNOWN[i])));
    users_free(&u);
}

#define MECH(id) SASL_BIT(id)
static const struct {
    const char *text, *decoy;
    sasl_set has, hasnt;
} KINDS[] = {
    { "", "", 0, MECH(PLAIN) | MECH(CRAM_MD5) | MECH(SCRAM_SHA_256) },
    { "a:*\n", "", 0, MECH(PLAIN) | MECH(CRAM_MD5) },
    { "a:{PLAIN}x\n", "{PLAIN}x", MECH(PLAIN) | MECH(LOGIN) | MECH(CRAM_MD5) | MECH(SCRAM_SHA_256), MECH(XOAUTH2) },
    { "a:" SHA512 "\n", SHA512, MECH(PLAIN) | MECH(LOGIN), MECH(CRAM_MD5) | MECH(SCRAM_SHA_256) | MECH(OAUTHBEARER) },
    { "a:" SCRAM "\n", SCRAM, MECH(PLAIN) | MECH(SCRAM_SHA_256), MECH(CRAM_MD5) },
    { "a:{PLAIN}x\nb:" BCRYPT "\nc:" BCRYPT "\n", BCRYPT, MECH(PLAIN) | MECH(CRAM_MD5), 0 },
    { "a:{PLAIN}x\nb:{PLAIN}y\nc:" BCRYPT "\n", "{PLAIN}x", MECH(PLAIN), 0 },
    { "a:$2b$05$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234\nb:" BCRYPT "\nc:" BCRYPT "\n", BCRYPT,
      MECH(PLAIN), 0 },
    { "a:*\nb:*\nc:" YESCRYPT "\n", YESCRYPT, MECH(PLAIN), 0 },
};

static void test_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        struct told t;
        struct users *u = parse_span(span_str(KINDS[i].text), &t);
        assert_non_null(u);
        assert_true(span_eq(u->decoy, span_str(KINDS[i].decoy)));
        assert_int_equal(u->mechanisms & KINDS[i].has, KINDS[i].has);
        assert_int_equal(u->mechanisms & KINDS[i].hasnt, 0);
        users_free(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_all_faults_are_told),
        cmocka_unit_test(test_many_faults_end),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
