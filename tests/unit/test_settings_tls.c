/* The keys of TLS, with files to go with them: defaults that follow from others, what listeners inherit and share,
 * where a fault is said to be, what `check` warns of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"
#include "tests/unit/tls_rig.h"

#include <time.h>

static struct rig_issued ca, mx, other;

static int make_all(void **state)
{
    (void)state;
    rig_dir_make();
    ca = rig_issue("Test CA", NULL, NULL);
    mx = rig_issue("mx.example.com", "DNS:mx.example.com", &ca);
    other = rig_issue("other", "DNS:other.example", &ca);
    rig_write("ca", ca.cert, NULL, NULL);
    rig_file("mx", &mx);
    rig_file("other", &other);
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    rig_free(&ca);
    rig_free(&mx);
    rig_free(&other);
    rig_dir_free();
    return 0;
}

/* "%" stands for the directory, "@F" for a certificate entry of file F. */
static void expand(char *out, size_t size, const char *text)
{
    out[0] = '\0';
    for (; *text != '\0'; text++) {
        size_t n = strlen(out), name = strcspn(text + 1, " ,]}\n");
        if (*text == '%') {
            snprintf(out + n, size - n, "%s", rig_dir);
        } else if (*text == '@') {
            snprintf(out + n, size - n, "{\"cert\": \"%s/%.*s\", \"key\": \"%s/%.*s\"}", rig_dir, (int)name, text + 1,
                     rig_dir, (int)name, text + 1);
            text += name;
        } else {
            snprintf(out + n, size - n, "%c", *text);
        }
    }
}

static struct settings *load(const char *text)
{
    char whole[16384];
    struct told told = { .count = 0 };
    expand(whole, sizeof whole, text);
    struct settings *s = settings_load_text("t.json", span_str(whole), NULL, NULL, tell, &told);
    assert_string_equal(told.text, "");
    assert_non_null(s);
    return s;
}

static void expect_faults(const char *text, const char *faults)
{
    char whole[16384], want[4096];
    expand(whole, sizeof whole, text);
    expand(want, sizeof want, faults);
    expect_faults_with(whole, NULL, NULL, want);
}

static void expect_warnings(const char *text, const char *lines)
{
    char whole[16384], want[4096];
    struct told told = { .count = 0 };
    expand(whole, sizeof whole, text);
    expand(want, sizeof want, lines);
    char *file = rig_write_text("c.json", whole);
    struct settings *s = settings_check(file, tell, tell, &told);
    assert_string_equal(told.text, want);
    assert_non_null(s);
    settings_unref(&s);
}

static void test_modes(void **state)
{
    (void)state;
    struct settings *s = load(
        "{\"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": \"[::1]:2\", \"tls\": \"none\"}, {\"address\": "
        "\"[::1]:3\", \"tls\": \"implicit\", \"require_tls\": true}, {\"address\": \"[::1]:4\", \"certificates\": []}, "
        "{\"address\": \"[::1]:5\", \"certificates\": [@other]}], \"tls\": {\"certificates\": [@mx, @other]}}");
    static const enum server_tls MODES[] = { SERVER_TLS_STARTTLS, SERVER_TLS_NONE, SERVER_TLS_IMPLICIT, SERVER_TLS_NONE,
                                             SERVER_TLS_STARTTLS };
    static const size_t CERTIFICATES[] = { 2, 2, 2, 0, 1 };
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(s->listener[i].server.tls, MODES[i]);
        assert_int_equal(s->listener[i].tls.certificates, CERTIFICATES[i]);
        assert_int_equal(s->listener[i].tls_server != NULL, MODES[i] != SERVER_TLS_NONE);
        assert_ptr_equal(s->listener[i].upstream.tls_client, s->listener[0].upstream.tls_client);
    }
    assert_ptr_equal(s->listener[0].tls_server, s->listener[2].tls_server);
    assert_ptr_not_equal(s->listener[0].tls_server, s->listener[4].tls_server);
    assert_true(s->listener[2].server.require_tls);
    settings_unref(&s);

    s = load("{\"server\": {\"tls\": \"none\"}, \"tls\": {\"certificates\": [@mx]}, \"listeners\": [{\"address\": "
             "\"[::1]:1\"}, {\"address\": \"[::1]:2\", \"tls\": \"starttls\"}]}");
    assert_int_equal(s->listener[0].server.tls, SERVER_TLS_NONE);
    assert_int_equal(s->listener[1].server.tls, SERVER_TLS_STARTTLS);
    settings_unref(&s);
}

static void test_values(void **state)
{
    (void)state;
    struct settings *s = load(
        "{\"tls\": {\"certificates\": [{\"cert\": \"%/mx\", \"key\": \"%/mx\", \"names\": [\"A.example\", "
        "\"*.b.example\"]}], \"min_version\": \"1.0\", \"ciphers\": \"AES128-SHA\", \"ciphersuites\": "
        "\"TLS_AES_128_GCM_SHA256\", \"groups\": \"P-256\", \"client_ca\": \"%/ca\", \"verify_client\": \"required\", "
        "\"session_tickets\": false}, \"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": \"[::1]:2\", "
        "\"min_version\": \"1.3\", \"verify_client\": \"optional\"}]}");
    const struct tls_settings *t = &s->listener[0].tls, *u = &s->listener[1].tls;
    assert_int_equal(t->certificate[0].names, 2);
    assert_string_equal(t->certificate[0].name[0], "A.example");
    assert_string_equal(t->certificate[0].name[1], "*.b.example");
    assert_int_equal(t->min_version, 0x0301);
    assert_string_equal(t->ciphers, "AES128-SHA");
    assert_string_equal(t->ciphersuites, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(t->groups, "P-256");
    assert_int_equal(t->verify_client, VERIFY_CLIENT_REQUIRED);
    assert_false(t->session_tickets);
    assert_int_equal(u->min_version, 0x0304);
    assert_int_equal(u->verify_client, VERIFY_CLIENT_OPTIONAL);
    assert_string_equal(u->certificate[0].name[1], "*.b.example");
    assert_ptr_not_equal(u->certificate, t->certificate);
    assert_string_equal(u->client_ca, t->client_ca);
    settings_unref(&s);
}

static void test_upstream(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        enum upstream_tls tls;
        bool verify;
    } CASES[] = {
        { "", UPSTREAM_TLS_OPPORTUNISTIC, false },
        { "\"tls\": \"none\"", UPSTREAM_TLS_NONE, false },
        { "\"tls\": \"none\", \"tls_verify\": true", UPSTREAM_TLS_NONE, true },
        { "\"tls\": \"opportunistic\", \"tls_verify\": true", UPSTREAM_TLS_OPPORTUNISTIC, true },
        { "\"tls\": \"required\"", UPSTREAM_TLS_REQUIRED, true },
        { "\"tls\": \"implicit\"", UPSTREAM_TLS_IMPLICIT, true },
        { "\"tls\": \"required\", \"tls_verify\": false", UPSTREAM_TLS_REQUIRED, false },
        { "\"tls\": \"required\", \"tls_ca\": \"%/ca\", \"tls_name\": \"192.0.2.1\", \"tls_cert\": \"%/mx\", "
          "\"tls_key\": \"%/mx\", \"servers\": [\"unix:/u\"]",
          UPSTREAM_TLS_REQUIRED, true },
    };
    char text[1024];
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(text, sizeof text,
                 "{\"upstream\": {%s}, \"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": \"[::1]:2\", "
                 "\"upstream\": {\"tls\": \"implicit\", \"tls_name\": \"x\"}}]}",
                 CASES[i].keys);
        struct settings *s = load(text);
        const struct upstream_settings *u = &s->listener[0].upstream, *own = &s->listener[1].upstream;
        assert_int_equal(u->tls, CASES[i].tls);
        assert_int_equal(u->tls_verify, CASES[i].verify);
        assert_int_equal(u->tls_client != NULL, u->tls != UPSTREAM_TLS_NONE);
        assert_int_equal(own->tls_verify, strstr(CASES[i].keys, "tls_verify") != NULL ? CASES[i].verify : true);
        assert_true(own->tls_client != NULL && own->tls_client != u->tls_client);
        settings_unref(&s);
    }
}

static void test_print_loads_to_the_same(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "{\"tls\": {\"certificates\": [@mx]}, \"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": \"[::1]:2\", "
        "\"certificates\": []}, {\"address\": \"[::1]:3\", \"require_tls\": true}]}",
        "{\"upstream\": {\"tls\": \"required\"}, \"listeners\": [{\"address\": \"[::1]:1\", \"certificates\": "
        "[{\"cert\": \"%/mx\", \"key\": \"%/mx\", \"names\": [\"*.a.example\", \"b.example\"]}, @other], "
        "\"min_version\": \"1.1\", \"verify_client\": \"optional\", \"client_ca\": \"%/ca\"}, {\"address\": "
        "\"[::1]:2\", \"upstream\": {\"tls\": \"opportunistic\", \"tls_cert\": \"%/mx\", \"tls_key\": \"%/mx\"}}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct settings *s = load(TEXTS[i]);
        char *first = settings_print(s);
        struct settings *again = load(first);
        char *second = settings_print(again);
        assert_string_equal(first, second);
        for (size_t k = 0; k < s->listeners; k++) {
            const struct listener_settings *a = &s->listener[k], *b = &again->listener[k];
            assert_int_equal(a->server.tls, b->server.tls);
            assert_int_equal(a->upstream.tls_verify, b->upstream.tls_verify);
            assert_int_equal(a->tls.certificates, b->tls.certificates);
            /* what was shared still is */
            assert_int_equal(a->tls_server == s->listener[0].tls_server,
                             b->tls_server == again->listener[0].tls_server);
        }
        free(first);
        free(second);
        settings_unref(&s);
        settings_unref(&again);
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } CASES[] = {
        /* told once, where it stands, however many inherit it */
        { "{\"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": \"[::1]:2\"}, {\"address\": \"[::1]:3\", "
          "\"min_version\": \"1.3\"}],\n\"tls\": {\"certificates\": [@mx,\n{\"cert\": \"%/mx\", \"key\": \"%/other\"}, "
          "@none]}}",
          "t.json:3: tls.certificates[1].key: %/other: does not fit the certificate\n"
          "t.json:3: tls.certificates[2].cert: %/none: No such file or directory\n"
          "t.json:3: tls.certificates[2].key: %/none: No such file or directory" },
        { "{\"tls\": {\"certificates\": [@mx]}, \"listeners\": [{\"address\": \"[::1]:1\",\n\"certificates\": [@none], "
          "\"ciphers\": \"NOPE\"}]}",
          "t.json:2: listeners[0].certificates[0].cert: %/none: No such file or directory\n"
          "t.json:2: listeners[0].certificates[0].key: %/none: No such file or directory\n"
          "t.json:2: listeners[0].ciphers: \"NOPE\": OpenSSL knows no such cipher" },
        { "{\"tls\": {\"certificates\": [@mx],\n\"ciphers\": \"NOPE\"}, \"listeners\": [{\"address\": \"[::1]:1\",\n"
          "\"verify_client\": \"required\"}]}",
          "t.json:2: tls.ciphers: \"NOPE\": OpenSSL knows no such cipher\n"
          "t.json:3: listeners[0].verify_client: \"required\" needs client_ca" },
        { "{\"upstream\": {\"tls_ca\": \"%/none\"}, \"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": "
          "\"[::1]:2\",\n\"upstream\": {\"tls_cert\": \"%/mx\", \"tls_key\": \"%/other\"}}]}",
          "t.json:1: upstream.tls_ca: %/none: No such file or directory\n"
          "t.json:2: listeners[1].upstream.tls_key: %/other: does not fit the certificate" },
        /* beside other faults */
        { "{\"workers\": 0, \"tls\": {\"certificates\": [@none]}}",
          "t.json:1: workers: 0 is not \"auto\" or a whole number from 1 to 256\n"
          "t.json:1: tls.certificates[0].cert: %/none: No such file or directory\n"
          "t.json:1: tls.certificates[0].key: %/none: No such file or directory" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_faults(CASES[i].text, CASES[i].faults);
}

static void test_warnings(void **state)
{
    (void)state;
    char text[2048], date[2][16];
    struct rig_issued old = rig_issue_for("EC", "old", NULL, &ca, -9, -2),
                      soon = rig_issue_for("EC", "soon", NULL, &ca, -9, 13);
    time_t day[] = { time(NULL) - 2 * RIG_DAY, time(NULL) + 13 * RIG_DAY };
    struct tm tm;
    for (int i = 0; i < 2; i++)
        strftime(date[i], sizeof date[i], "%F", gmtime_r(&day[i], &tm));
    rig_file("old", &old);
    rig_file("soon", &soon);
    expect_warnings("{\"tls\": {\"certificates\": [@mx]}, \"upstream\": {\"tls\": \"required\"}}", "");
    snprintf(
        text, sizeof text,
        "%%/c.json:1: tls.certificates[1].cert: warning: %%/old: the certificate expired on %s\n"
        "%%/c.json:1: tls.certificates[2].cert: warning: %%/soon: the certificate expires on %s\n"
        "%%/c.json:1: tls.min_version: warning: TLS before 1.2 is broken, and its ciphers are allowed with it: for "
        "old devices alone\n"
        "%%/c.json:2: listeners[1].upstream.tls_verify: warning: the upstream's certificate is not checked: whoever "
        "stands between can read and change the mail\n"
        "%%/c.json:2: listeners[1].upstream.tls_cert: warning: %%/old: the certificate expired on %s",
        date[0], date[1], date[0]);
    expect_warnings("{\"tls\": {\"certificates\": [@mx, @old, @soon], \"min_version\": \"1.1\"}, \"listeners\": "
                    "[{\"address\": \"[::1]:1\"},\n{\"address\": \"[::1]:2\", \"upstream\": {\"tls\": \"implicit\", "
                    "\"tls_verify\": false, \"tls_cert\": \"%/old\", \"tls_key\": \"%/old\"}}]}",
                    text);
    rig_free(&old);
    rig_free(&soon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_upstream), cmocka_unit_test(test_print_loads_to_the_same),
        cmocka_unit_test(test_faults),   cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
