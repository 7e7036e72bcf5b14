/* Keys that contradict each other: a listener on which no mail can ever work is a fault, what may be meant a warning,
 * and what could work is refused by nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"
#include "tests/unit/tls_rig.h"

#include <stdlib.h>
#include <sys/stat.h>

static struct rig_issued ca, mx;

static int make_all(void **state)
{
    (void)state;
    rig_dir_make();
    ca = rig_issue("Test CA", NULL, NULL);
    mx = rig_issue("mx.example.com", "DNS:mx.example.com", &ca);
    rig_write("ca", ca.cert, NULL, NULL);
    rig_file("mx", &mx);
    rig_write_text("none", "# nobody\n");
    rig_write_text("star", "bob:*\n");
    rig_write_text("plain", "bob:{PLAIN}x\n");
    rig_write_text("crypt", "bob:$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n");
    const char *private[] = { "none", "star", "plain", "crypt" };
    for (size_t i = 0; i < ARRAY_LEN(private); i++)
        assert_int_equal(chmod(rig_path(private[i]), 0600), 0);
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    rig_free(&ca);
    rig_free(&mx);
    rig_dir_free();
    return 0;
}

/* "%" stands for the directory, "@" for a certificate's section, "^" for where a message begins. */
static void expand(char *out, size_t size, const char *text)
{
    out[0] = '\0';
    for (; *text != '\0'; text++) {
        size_t n = strlen(out);
        if (*text == '%')
            snprintf(out + n, size - n, "%s", rig_dir);
        else if (*text == '@')
            snprintf(out + n, size - n, "\"certificates\": [{\"cert\": \"%s/mx\", \"key\": \"%s/mx\"}]", rig_dir,
                     rig_dir);
        else if (*text == '^')
            snprintf(out + n, size - n, "%s/c.json:1: ", rig_dir);
        else
            snprintf(out + n, size - n, "%c", *text);
    }
}

/* All faults are told by run too; `check` tells the warnings beside them. */
static void expect(const char *text, bool good, const char *lines)
{
    char whole[4096], want[4096];
    struct told told = { .count = 0 }, run = { .count = 0 };
    expand(whole, sizeof whole, text);
    expand(want, sizeof want, lines);
    char *file = rig_write_text("c.json", whole);
    struct settings *s = settings_check(file, tell, tell, &told);
    if (strcmp(told.text, want) != 0)
        print_error("text: %s\n", text);
    assert_string_equal(told.text, want);
    assert_int_equal(s != NULL, good);
    settings_unref(&s);
    s = settings_load(file, NULL, NULL, tell, &run);
    assert_int_equal(s != NULL, good);
    settings_unref(&s);
}

#define UPSTREAM_ABLE "backend \"upstream\" can do PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, XOAUTH2 and OAUTHBEARER"
#define NOBODY                                                                                                         \
    "^auth.mechanisms: nobody can ever log in to listener \"127.0.0.1:2525\" by these, and auth.mode is "              \
    "\"required\": "
#define NO_RELAY                                                                                                       \
    "^auth.mechanisms: warning: EXTERNAL and SCRAM-SHA-256-PLUS can't be relayed: backend \"upstream\" "               \
    "never offers them"
#define TAKES_STARTTLS                                                                                                 \
    "^server.disabled_commands: warning: takes STARTTLS away: listener \"127.0.0.1:2525\" has no "                     \
    "TLS, though tls is \"starttls\""
#define ONLY_TOLD                                                                                                      \
    "^auth.mode: warning: nobody can log in to listener \"127.0.0.1:2525\" itself: only clients whose "                \
    "login XCLIENT tells can send mail"

static void test_impossible(void **state)
{
    (void)state;
    static const struct {
        const char *text, *lines;
    } CASES[] = {
        { "{\"server\": {\"require_tls\": true}}", "^server.require_tls: needs tls \"starttls\" or \"implicit\"" },
        { "{\"tls\": {@}, \"server\": {\"require_tls\": true, \"disabled_commands\": [\"STARTTLS\"]}}",
          "^server.require_tls: needs STARTTLS, which disabled_commands takes away, or tls "
          "\"implicit\"\n" TAKES_STARTTLS },
        { "{\"auth\": {\"mode\": \"required\"}}",
          "^auth.mode: \"required\" needs tls \"starttls\" or \"implicit\", or auth.require_tls false" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\"}, \"server\": {\"disabled_commands\": [\"STARTTLS\"]}}",
          "^auth.mode: \"required\" needs STARTTLS, which disabled_commands takes away, or auth.require_tls "
          "false\n" TAKES_STARTTLS },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\"}, \"server\": {\"disabled_commands\": [\"AUTH\"]}}",
          "^auth.mode: \"required\" needs AUTH, which disabled_commands takes away" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\", \"mechanisms\": [\"EXTERNAL\", \"SCRAM-SHA-256-PLUS\"]}}",
          NOBODY UPSTREAM_ABLE "\n" NO_RELAY },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\", \"backend\": \"dovecot\", \"socket\": \"unix:%/ca\", "
          "\"mechanisms\": [\"EXTERNAL\"]}}",
          "^auth.socket: \"unix:%/ca\" is not a socket\n" NOBODY
          "SCRAM-SHA-256-PLUS needs TLS, EXTERNAL needs it with verify_client and client_ca\n"
          "^auth.mechanisms: warning: EXTERNAL is not offered: listener \"127.0.0.1:2525\" asks for no client "
          "certificates (verify_client)" },
        { "{\"server\": {\"disabled_commands\": [\"MAIL\"]}}",
          "^server.disabled_commands: without MAIL no mail can come in by listener \"127.0.0.1:2525\": take it off "
          "this "
          "list" },
        { "{\"server\": {\"disabled_commands\": [\"RCPT\"]}}",
          "^server.disabled_commands: without RCPT no mail can come in by listener \"127.0.0.1:2525\": take it off "
          "this "
          "list" },
        { "{\"server\": {\"disabled_commands\": [\"DATA\", \"BDAT\"]}}",
          "^server.disabled_commands: without DATA or BDAT no mail can come in by listener \"127.0.0.1:2525\": take it "
          "off this list\n"
          "^server.disabled_commands: warning: without DATA only clients that use BDAT can send mail" },
        { "{\"server\": {\"disabled_commands\": [\"HELO\", \"EHLO\"]}}",
          "^server.disabled_commands: without EHLO or HELO no mail can come in by listener \"127.0.0.1:2525\": take it "
          "off this list\n"
          "^server.disabled_commands: warning: without EHLO no extension is offered, neither STARTTLS nor AUTH" },
        { "{\"server\": {\"protocol\": \"lmtp\", \"disabled_commands\": [\"LHLO\"]}}",
          "^server.disabled_commands: without LHLO no mail can come in by listener \"127.0.0.1:2525\": take it off "
          "this "
          "list" },
        /* everything at once, what lies around too */
        { "{\"tls\": {\"certificates\": [{\"cert\": \"%/no\"}, {\"key\": \"%/no\"}], \"client_ca\": \"%/no\"}, "
          "\"log\": "
          "{\"outputs\": [{\"type\": \"file\", \"path\": \"%/no/log\"}]}, \"upstream\": {\"servers\": [\"unix:%/ca\"], "
          "\"tls_cert\": \"%/no\"}}",
          "^tls.certificates[0]: \"key\" is missing\n"
          "^tls.certificates[0].cert: %/no: No such file or directory\n"
          "^tls.certificates[1]: \"cert\" is missing\n"
          "^tls.certificates[1].key: %/no: No such file or directory\n"
          "^tls.client_ca: %/no: No such file or directory\n"
          "^tls.client_ca: warning: does nothing while verify_client is \"none\": no client is asked for a "
          "certificate\n"
          "^log.outputs[0].path: the directory \"%/no\": No such file or directory\n"
          "^upstream.servers[0]: \"unix:%/ca\" is not a socket\n"
          "^upstream.tls_cert: needs tls_key beside it\n"
          "^upstream.tls_cert: %/no: No such file or directory" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect(CASES[i].text, false, CASES[i].lines);
}

static void test_doubtful(void **state)
{
    (void)state;
    static const struct {
        const char *text, *lines;
    } CASES[] = {
        /* a proxy before it has seen to the login */
        { "{\"auth\": {\"mode\": \"required\"}, \"server\": {\"xclient\": [\"127.0.0.1\"]}}", ONLY_TOLD },
        { "{\"auth\": {\"mode\": \"required\"}, \"server\": {\"xclient\": [\"127.0.0.1\"], \"disabled_commands\": "
          "[\"AUTH\"]}}",
          ONLY_TOLD },
        { "{\"tls\": {@, \"verify_client\": \"optional\"}}",
          "^tls.verify_client: warning: no certificate can be verified without client_ca: whatever a client shows is "
          "let "
          "in" },
        { "{\"tls\": {\"verify_client\": \"required\"}}",
          "^tls.verify_client: warning: listener \"127.0.0.1:2525\" has no TLS: no client is asked for a certificate" },
        { "{\"tls\": {@, \"verify_client\": \"required\", \"client_ca\": \"%/ca\"}}",
          "^tls.verify_client: warning: clients of listener \"127.0.0.1:2525\" that stay in clear need no certificate: "
          "set "
          "require_tls too" },
        { "{\"tls\": {@, \"client_ca\": \"%/ca\"}}",
          "^tls.client_ca: warning: does nothing while verify_client is \"none\": "
          "no client is asked for a certificate" },
        { "{\"tls\": {@}, \"server\": {\"require_tls\": true, \"hide_extensions\": [\"STARTTLS\"]}}",
          "^server.hide_extensions: warning: hides STARTTLS, without which require_tls lets nobody in: most clients "
          "will "
          "give up" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\"}, \"server\": {\"hide_extensions\": [\"AUTH\"]}}",
          "^server.hide_extensions: warning: hides AUTH, without which auth.mode \"required\" lets nobody in: most "
          "clients "
          "will give up" },
        { "{\"tls\": {@}, \"server\": {\"disabled_commands\": [\"STARTTLS\", \"AUTH\", \"XFORWARD\"], \"xforward\": "
          "[\"::1\"]}, \"auth\": {\"mode\": \"optional\", \"require_tls\": false}}",
          TAKES_STARTTLS
          "\n^server.disabled_commands: warning: takes AUTH away: nobody can log in, though auth.mode is "
          "\"optional\"\n"
          "^server.disabled_commands: warning: takes XFORWARD away from those that \"xforward\" permits it "
          "to" },
        { "{\"auth\": {\"backend\": \"file\", \"file\": \"%/none\"}}",
          "^auth.backend: warning: does nothing while auth.mode is \"off\", the default: set it to \"optional\" or "
          "\"required\"" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\", \"file\": \"/u\", \"socket\": \"unix:/s\"}}",
          "^auth.file: warning: is not read: it needs \"backend\": \"file\"\n"
          "^auth.socket: warning: is not asked: it needs \"backend\": \"dovecot\"" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"optional\", \"mechanisms\": [\"EXTERNAL\"]}}", NO_RELAY
          "\n^auth.mechanisms: warning: listener \"127.0.0.1:2525\" never offers AUTH: its backend can do none of "
          "these" },
        { "{\"log\": {\"integrity_key_file\": \"/k\", \"ignore_clients\": [\"0.0.0.0/0\"], \"outputs\": [{\"type\": "
          "\"file\", "
          "\"path\": \"%/log\", \"rotate_keep\": 5}]}}",
          "^log.integrity_key_file: warning: does nothing while log.integrity is \"off\": set it to \"chain\"\n"
          "^log.ignore_clients: warning: covers every client: nothing of their mail is logged\n"
          "^log.outputs[0].rotate_keep: warning: does nothing without rotate_size" },
        { "{\"server\": {\"max_message_size\": 25, \"helo_response\": \"{hostname} {hst} {client}\"}}",
          "^server.max_message_size: warning: 25 bytes are less than most mail has; \"25MiB\" is how to write 25 MiB\n"
          "^server.helo_response: warning: \"{hst}\" stays as it is: there are {hostname} and {client}" },
        { "{\"listeners\": [{\"address\": \"192.0.2.1:465\", \"xclient\": [\"0.0.0.0/0\"]}]}",
          "%/c.json: server.tls: warning: clients of port 465 begin with TLS: listener \"192.0.2.1:465\" needs "
          "\"implicit\"\n"
          "^listeners[0].xclient: warning: everybody who reaches listener \"192.0.2.1:465\" may say who they are: name "
          "your own hosts" },
        { "{\"listeners\": [{\"address\": \"192.0.2.1:587\", \"tls\": \"implicit\", @}]}",
          "^listeners[0].tls: warning: clients of port 587 begin in clear: listener \"192.0.2.1:587\" needs "
          "\"starttls\"" },
        { "{\"upstream\": {\"servers\": [\"mx.example.com:465\"], \"tls_ca\": \"%/ca\"}}",
          "^upstream.tls: warning: \"mx.example.com:465\" waits for TLS at once: port 465 needs \"implicit\"\n"
          "^upstream.tls_ca: warning: does nothing: the upstream's certificate is not checked (tls_verify, or tls "
          "\"required\")" },
        { "{\"upstream\": {\"servers\": [\"mx.example.com:25\"], \"tls\": \"implicit\"}}",
          "^upstream.tls: warning: \"mx.example.com:25\" begins in clear: port 25 needs \"required\"" },
        { "{\"upstream\": {\"tls\": \"none\", \"tls_ca\": \"/no\"}}",
          "^upstream.tls_ca: warning: does nothing while upstream.tls is \"none\"" },
        { "{\"tls\": {@}, \"auth\": {\"mode\": \"required\"}, \"upstream\": {\"servers\": [\"127.0.0.1:2500\", "
          "\"192.0.2.1:25\"]}}",
          "^upstream.tls: warning: \"opportunistic\" means \"required\" for \"192.0.2.1:25\", where passwords "
          "go" },
        /* and these are as they should be */
        { "{\"tls\": {@}, \"server\": {\"require_tls\": true}, \"auth\": {\"mode\": \"required\"}}", "" },
        { "{\"tls\": {@}, \"server\": {\"require_tls\": true, \"tls\": \"implicit\", \"disabled_commands\": "
          "[\"STARTTLS\"]}, "
          "\"auth\": {\"mode\": \"required\"}}",
          "" },
        { "{\"tls\": {@, \"verify_client\": \"required\", \"client_ca\": \"%/ca\"}, \"server\": {\"tls\": "
          "\"implicit\"}, "
          "\"auth\": {\"mode\": \"required\", \"backend\": \"file\", \"file\": \"%/star\", \"mechanisms\": "
          "[\"EXTERNAL\"]}}",
          "" },
        { "{\"server\": {\"protocol\": \"lmtp\", \"disabled_commands\": [\"HELO\", \"EHLO\", \"BDAT\"]}, \"upstream\": "
          "{\"identity\": \"xclient\"}}",
          "" },
        { "{\"auth\": {\"mode\": \"off\", \"backend\": \"file\", \"file\": \"/u\"}}", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect(CASES[i].text, true, CASES[i].lines);
}

/* A file of users is read again when it changes: what is not in it may come. */
static void test_users(void **state)
{
    (void)state;
    static const struct {
        const char *file, *mechanisms;
        bool good, warns;
    } CASES[] = {
        { "none", "\"PLAIN\"", true, true },      { "star", "\"PLAIN\"", true, true },
        { "plain", "\"PLAIN\"", true, false },    { "crypt", "\"PLAIN\"", true, false },
        { "plain", "\"CRAM-MD5\"", true, false }, { "crypt", "\"CRAM-MD5\"", true, true },
        { "plain", "\"XOAUTH2\"", false, false }, { "plain", "\"EXTERNAL\"", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char text[2048], whole[2048];
        struct told told = { .count = 0 };
        snprintf(text, sizeof text,
                 "{\"tls\": {@}, \"auth\": {\"mode\": \"required\", \"backend\": \"file\", \"file\": \"%%/%s\", "
                 "\"mechanisms\": [%s]}}",
                 CASES[i].file, CASES[i].mechanisms);
        expand(whole, sizeof whole, text);
        struct settings *s = settings_check(rig_write_text("c.json", whole), tell, tell, &told);
        assert_int_equal(s != NULL, CASES[i].good);
        assert_int_equal(strstr(told.text, "has no user who could log in, so that no mail comes in") != NULL,
                         CASES[i].warns);
        assert_int_equal(strstr(told.text, "nobody can ever log in") != NULL, !CASES[i].good);
        settings_unref(&s);
    }
}

/* A fault in a list of mechanisms is told, not what would follow from the rest of it. */
static void test_no_fault_from_a_fault(void **state)
{
    (void)state;
    struct told told = { .count = 0 };
    static const char TEXT[] =
        "{\"auth\": {\"mode\": \"required\", \"require_tls\": false, \"mechanisms\": [\"EXTERNAL\", "
        "\"PLAN\"]}}";
    assert_null(settings_load_text("t", SPAN_LIT(TEXT), NULL, NULL, tell, &told));
    assert_non_null(strstr(told.text, "\"PLAN\" is not a mechanism"));
    assert_int_equal(told.count, 1);
}

/* What is printed is what is in force, and reads to the same. */
static void test_print_in_force(void **state)
{
    (void)state;
    static const struct {
        const char *auth, *servers, *shown;
        enum upstream_tls tls;
        bool guarded;
    } CASES[] = {
        { "off", "\"192.0.2.1:25\"", "opportunistic", UPSTREAM_TLS_OPPORTUNISTIC, false },
        { "optional", "\"192.0.2.1:25\"", "required", UPSTREAM_TLS_REQUIRED, true },
        { "optional", "\"mx.example.com:25\", \"192.0.2.1:25\"", "required", UPSTREAM_TLS_REQUIRED, true },
        { "optional", "\"127.0.0.1:25\"", "opportunistic", UPSTREAM_TLS_OPPORTUNISTIC, true },
        { "optional", "\"192.0.2.1:25\", \"[::1]:25\"", "opportunistic", UPSTREAM_TLS_OPPORTUNISTIC, true },
    };
    char text[512], want[64];
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct told told = { .count = 0 };
        snprintf(
            text, sizeof text,
            "{\"listeners\": [{\"address\": \"[::1]:1\", \"auth\": {\"mode\": \"%s\"}, \"upstream\": {\"servers\": "
            "[%s]}}], \"auth\": {\"require_tls\": false}}",
            CASES[i].auth, CASES[i].servers);
        struct settings *s = settings_load_text("t", span_str(text), NULL, NULL, tell, &told);
        assert_string_equal(told.text, "");
        assert_int_equal(s->listener[0].upstream.tls, CASES[i].tls);
        assert_int_equal(s->listener[0].upstream.tls_guarded, CASES[i].guarded);
        char *printed = settings_print(s);
        const char *listeners = strstr(printed, "\"listeners\"");
        snprintf(want, sizeof want, "\"tls\": \"%s\"", CASES[i].shown);
        assert_non_null(strstr(strstr(listeners, "\"upstream\": {"), want));
        struct settings *again = settings_load_text("t", span_str(printed), NULL, NULL, tell, &told);
        char *second = settings_print(again);
        assert_string_equal(printed, second);
        free(printed);
        free(second);
        settings_unref(&again);
        settings_unref(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible),     cmocka_unit_test(test_doubtful),
        cmocka_unit_test(test_users),          cmocka_unit_test(test_no_fault_from_a_fault),
        cmocka_unit_test(test_print_in_force),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
