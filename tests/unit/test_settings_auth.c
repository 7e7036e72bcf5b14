/* Where credentials go: what follows for TLS, our own login's password, and what `check` warns of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct settings *load(const char *text)
{
    struct told told = { .count = 0 };
    struct settings *s = settings_load_text("t.json", span_str(text), NULL, NULL, tell, &told);
    assert_string_equal(told.text, "");
    assert_non_null(s);
    return s;
}

/* The upstream's part of a configuration, and what follows. */
static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *auth, *upstream;
        bool credentials, verify;
    } ROWS[] = {
        { "", "\"servers\": [\"192.0.2.1:25\"]", false, false },
        { "\"mode\": \"optional\"", "\"servers\": [\"192.0.2.1:25\"]", true, true },
        { "\"mode\": \"optional\"", "\"servers\": [\"192.0.2.1:25\"], \"tls_verify\": false", true, false },
        { "\"mode\": \"optional\"", "\"servers\": [\"127.0.0.1:25\", \"localhost:25\", \"[::1]:26\"]", true, false },
        { "\"mode\": \"optional\"", "\"servers\": [\"127.0.0.1:25\", \"mx.example.com:25\"]", true, true },
        { "\"mode\": \"optional\"", "\"servers\": [\"unix:/u\"], \"tls\": \"none\"", true, false },
        { "\"mode\": \"optional\", \"backend\": \"dovecot\", \"socket\": \"unix:/d\"",
          "\"servers\": [\"192.0.2.1:25\"], \"tls\": \"none\"", false, false },
    };
    char text[512];
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        snprintf(text, sizeof text, "{\"auth\": {%s}, \"upstream\": {%s}}", ROWS[i].auth, ROWS[i].upstream);
        struct settings *s = load(text);
        assert_int_equal(s->listener[0].upstream.credentials, ROWS[i].credentials);
        assert_int_equal(s->listener[0].upstream.tls_verify, ROWS[i].verify);
        settings_unref(&s);
    }
}

static void test_required_reply(void **state)
{
    (void)state;
    struct settings *s = load("{\"auth\": {\"required_message\": \"Log in\"}, \"listeners\": [{\"address\": "
                              "\"[::1]:1\"}, {\"address\": \"[::1]:2\", \"auth\": {\"required_message\": \"Do\"}}]}");
    static const char *const WANT[] = { "530 5.7.0 Log in\r\n", "530 5.7.0 Do\r\n" };
    for (size_t i = 0; i < 2; i++) {
        const struct smtp_reply *r = &s->listener[i].auth.required;
        assert_true(span_eq(r->wire, span_str(WANT[i])));
        assert_int_equal(r->code, 530);
        assert_string_equal(r->enhanced, "5.7.0");
    }
    settings_unref(&s);
}

/* One line end is not the password's; anything else is. */
static void test_password_file(void **state)
{
    (void)state;
    static const struct {
        struct span file;
        const char *password; /* NULL: refused */
    } ROWS[] = {
        { SPAN_LIT("secret"), "secret" },
        { SPAN_LIT("secret\n"), "secret" },
        { SPAN_LIT("secret\r\n"), "secret" },
        { SPAN_LIT(" se cret "), " se cret " },
        { SPAN_LIT("secret\r"), "secret\r" },
        { SPAN_LIT(""), NULL },
        { SPAN_LIT("\n"), NULL },
        { SPAN_LIT("a\nb\n"), NULL },
        { SPAN_LIT("a\n\n"), NULL },
        { SPAN_LIT("a\0b"), NULL },
    };
    char name[] = "/tmp/test_settings_auth.XXXXXX", text[256];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    snprintf(text, sizeof text, "{\"upstream\": {\"username\": \"u\", \"password_file\": \"%s\"}}", name);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct told told = { .count = 0 };
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, ROWS[i].file.p, ROWS[i].file.n, 0), (ssize_t)ROWS[i].file.n);
        struct settings *s = settings_load_text("t.json", span_str(text), NULL, NULL, tell, &told);
        assert_int_equal(s != NULL, ROWS[i].password != NULL);
        if (s == NULL)
            continue;
        assert_string_equal(s->listener[0].upstream.password, ROWS[i].password);
        assert_true(s->listener[0].upstream.credentials);
        char *printed = settings_print(s);
        assert_null(strstr(printed, "secret"));
        free(printed);
        settings_unref(&s);
    }
    close(fd);
    unlink(name);
}

static void test_password_too_long(void **state)
{
    (void)state;
    char name[] = "/tmp/test_settings_auth.XXXXXX", text[256], octets[1100];
    int fd = mkstemp(name);
    memset(octets, 'x', sizeof octets);
    snprintf(text, sizeof text, "{\"upstream\": {\"username\": \"u\", \"password_file\": \"%s\"}}", name);
    for (size_t n = 1023; n <= 1027; n++) {
        struct told told = { .count = 0 };
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, octets, n, 0), (ssize_t)n);
        struct settings *s = settings_load_text("t.json", span_str(text), NULL, NULL, tell, &told);
        assert_int_equal(s != NULL, n <= 1024);
        settings_unref(&s);
    }
    close(fd);
    unlink(name);
}

static void test_warnings(void **state)
{
    (void)state;
    char name[] = "/tmp/test_settings_auth.XXXXXX", secret[] = "/tmp/test_settings_auth.XXXXXX", want[1024];
    int fd = mkstemp(name), out = mkstemp(secret);
    assert_int_equal(write(out, "x\n", 2), 2);
    assert_int_equal(fchmod(out, 0644), 0);
    struct told told = { .count = 0 };
    assert_true(dprintf(fd,
                        "{\"listeners\": [{\"address\": \"127.0.0.1:1\", \"name\": \"a\", \"auth\": {\"mode\": "
                        "\"optional\"}},\n{\"address\": \"192.0.2.1:2\", \"name\": \"b\", \"auth\": {\"mode\": "
                        "\"required\", \"require_tls\": false, \"mechanisms\": [\"PLAIN\", \"EXTERNAL\"]}},\n"
                        "{\"address\": \"127.0.0.1:3\", \"name\": \"c\", \"upstream\": {\"username\": \"u\", "
                        "\"password_file\": \"%s\"}}], \"upstream\": {\"identity\": \"none\"}}",
                        secret) > 0);
    struct settings *s = settings_check(name, tell, tell, &told);
    assert_non_null(s);
    snprintf(want, sizeof want,
             "%s:1: listeners[0].auth.mode: warning: listener \"a\" never offers AUTH, for it has no TLS and "
             "auth.require_tls is true",
             name);
    assert_non_null(strstr(told.text, want));
    snprintf(
        want, sizeof want,
        "%s:2: listeners[1].auth.require_tls: warning: clients of listener \"b\" may send their passwords in clear",
        name);
    assert_non_null(strstr(told.text, want));
    snprintf(want, sizeof want,
             "%s:2: listeners[1].auth.mechanisms: warning: EXTERNAL and SCRAM-SHA-256-PLUS can't be relayed: backend "
             "\"upstream\" never offers them",
             name);
    assert_non_null(strstr(told.text, want));
    snprintf(want, sizeof want, "everybody on this machine can read \"%s\"", secret);
    assert_non_null(strstr(told.text, want));
    settings_unref(&s);
    close(fd);
    close(out);
    unlink(name);
    unlink(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),   cmocka_unit_test(test_required_reply),
        cmocka_unit_test(test_password_file), cmocka_unit_test(test_password_too_long),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
