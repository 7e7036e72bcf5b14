/* What settings refuse: every value that is not built, and every fault with its words and its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"

#include <string.h>

#define CAPS                                                                                                           \
    "one of PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ETRN CHUNKING BINARYMIME REQUIRETLS LIMITS STARTTLS AUTH XCLIENT "   \
    "XFORWARD ENHANCEDSTATUSCODES"
#define VERBS                                                                                                          \
    "one of HELO, EHLO, LHLO, MAIL, RCPT, DATA, BDAT, RSET, NOOP, QUIT, VRFY, EXPN, HELP, ETRN, TURN, SEND, SOML, "    \
    "SAML, STARTTLS, AUTH, XCLIENT, XFORWARD, PROXY"

static void expect_faults(const char *text, const char *faults) { expect_faults_with(text, NULL, NULL, faults); }

/* Where a value is not built: its path and how it is written, in the global section and in a listener. */
static const struct {
    const char *section, *key, *value, *fault;
} NOT_BUILT[] = {
    { "limits", "max_messages_per_user", "1", "1 is" },
    { "limits", "max_recipients_per_user", "1", "1 is" },
    { "limits", "max_messages_per_client", "1", "1 is" },
    { "upstream", "balance", "\"round-robin\"", "\"round-robin\" is" },
    { "upstream", "balance", "\"least-connections\"", "\"least-connections\" is" },
    { "upstream", "pool", "\"transaction\"", "\"transaction\" is" },
    { "upstream", "pool_size", "1", "1 is" },
    { "upstream", "pool_idle", "\"1s\"", "\"1s\" is" },
    { "upstream", "pool_max_uses", "1", "1 is" },
    { "upstream", "pool_max_age", "\"1s\"", "\"1s\" is" },
    { "policy", "server", "\"h:1\"", "this key is" },
    { "policy", "stages", "[\"rcpt\"]", "this key is" },
    { "policy", "timeout", "\"5s\"", "this key is" },
    { "policy", "on_failure", "\"accept\"", "this key is" },
    { "admin", "address", "\"127.0.0.1:1\"", "this key is" },
    { "admin", "token_file", "\"f\"", "this key is" },
};

static bool in_listeners(const char *section) { return strcmp(section, "admin") != 0 && strcmp(section, "log") != 0; }

static void test_not_built(void **state)
{
    (void)state;
    char text[256], fault[256];
    for (size_t i = 0; i < ARRAY_LEN(NOT_BUILT); i++) {
        const char *section = NOT_BUILT[i].section, *key = NOT_BUILT[i].key;
        snprintf(text, sizeof text, "{\"%s\":\n{\"%s\": %s}}", section, key, NOT_BUILT[i].value);
        snprintf(fault, sizeof fault, "t.json:2: %s.%s: %s not built into this version", section, key,
                 NOT_BUILT[i].fault);
        expect_faults(text, fault);
        if (!in_listeners(section))
            continue;
        /* the keys of server stand directly in a listener */
        bool direct = strcmp(section, "server") == 0;
        snprintf(text, sizeof text, "{\"listeners\": [{\"address\": \"[::1]:1\",\n%s%s%s\"%s\": %s%s}]}",
                 direct ? "" : "\"", direct ? "" : section, direct ? "" : "\": {", key, NOT_BUILT[i].value,
                 direct ? "" : "}");
        snprintf(fault, sizeof fault, "t.json:2: listeners[0].%s%s%s: %s not built into this version",
                 direct ? "" : section, direct ? "" : ".", key, NOT_BUILT[i].fault);
        expect_faults(text, fault);
    }
}

static void test_outputs_not_built(void **state)
{
    (void)state;
    expect_faults("{\"log\": {\"redact\": {\"username\": \"hash\", \"subject\": \"keep\"}}}",
                  "t.json:1: log.redact.key_file: this key is needed: a rule says \"hash\"");
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } CASES[] = {
        { "{\"upstream\": {\"tls\": \"on\"}}",
          "t.json:1: upstream.tls: \"on\" is not one of none, opportunistic, required, implicit" },
        { "{\"server\": {\"tls\": \"starttls\"},\n\"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": "
          "\"[::1]:2\"},\n{\"address\": \"[::1]:3\", \"tls\": \"implicit\"}]}",
          "t.json:1: server.tls: \"starttls\" needs tls.certificates\n"
          "t.json:3: listeners[2].tls: \"implicit\" needs tls.certificates" },
        { "{\"listeners\": [{\"address\": \"[::1]:1\", \"tls\": \"starttls\", \"certificates\": []}]}",
          "t.json:1: listeners[0].tls: \"starttls\" needs listeners[0].certificates" },
        { "{\"server\": {\"tls\": \"starttls\"}, \"tls\": {\"certificates\": [{\"cert\": 5, \"key\": "
          "\"k\"},\n{\"cert\": "
          "\"c\", \"names\": [\"a b\", \"*\", \"a.*.b\", 7]}, {\"cert\": \"\", \"key\": \"k\", \"kez\": 1}]}}",
          "t.json:1: tls.certificates[0].cert: 5 is not a string in double quotes\n"
          "t.json:1: tls.certificates[0].key: k: No such file or directory\n"
          "t.json:2: tls.certificates[1]: \"key\" is missing\n"
          "t.json:2: tls.certificates[1].cert: c: No such file or directory\n"
          "t.json:2: tls.certificates[1].names[0]: \"a b\" is not a host name: "
          "such as \"mx.example.com\", \"*.example.com\"\n"
          "t.json:2: tls.certificates[1].names[1]: \"*\" is not a host name: "
          "such as \"mx.example.com\", \"*.example.com\"\n"
          "t.json:2: tls.certificates[1].names[2]: \"a.*.b\" is not a host name: "
          "such as \"mx.example.com\", \"*.example.com\"\n"
          "t.json:2: tls.certificates[1].names[3]: 7 is not a host name (a string in double quotes)\n"
          "t.json:2: tls.certificates[2].cert: must not be empty\n"
          "t.json:2: tls.certificates[2].key: k: No such file or directory\n"
          "t.json:2: tls.certificates[2].kez: unknown key; did you mean \"key\"?" },
        { "{\"server\": {\"tls\": \"starttls\", \"require_tls\": true}, \"tls\": {\"certificates\": \"c\"}}",
          "t.json:1: tls.certificates: \"c\" is not a list of objects: [{...}]" },
        { "{\"server\": {\"require_tls\": true},\n\"listeners\": [{\"address\": \"[::1]:1\"}, {\"address\": "
          "\"[::1]:2\", \"require_tls\": true}]}",
          "t.json:1: server.require_tls: needs tls \"starttls\" or \"implicit\"\n"
          "t.json:2: listeners[1].require_tls: needs tls \"starttls\" or \"implicit\"" },
        { "{\"tls\": {\"min_version\": \"1.4\", \"verify_client\": true, \"session_tickets\": \"no\", \"ciphers\": "
          "\"\", \"groups\": \"a\\n\"}}",
          "t.json:1: tls.min_version: \"1.4\" is not one of 1.0, 1.1, 1.2, 1.3\n"
          "t.json:1: tls.verify_client: true is not one of none, optional, required (a word in double quotes)\n"
          "t.json:1: tls.session_tickets: \"no\" is not true or false\n"
          "t.json:1: tls.ciphers: must not be empty\n"
          "t.json:1: tls.groups: \"a?\" is not printable ASCII" },
        { "{\"upstream\": {\"tls_name\": \"a b\"}}", "t.json:1: upstream.tls_name: \"a b\" is not a host name: "
                                                     "a name or an IP address, as it stands in the certificate" },
        { "{\"upstream\": {\"tls_cert\": \"c\"}, \"listeners\": [{\"address\": \"[::1]:1\"},\n{\"address\": "
          "\"[::1]:2\", "
          "\"upstream\": {\"pool\": \"session\"}}, {\"address\": \"[::1]:3\", \"upstream\": {\"tls\": \"none\",\n"
          "\"tls_key\": \"k\"}}]}",
          "t.json:1: upstream.tls_cert: needs tls_key beside it\n"
          "t.json:1: upstream.tls_cert: c: No such file or directory" },
        { "{\"upstream\": {\"tls_key\": \"k\"}}", "t.json:1: upstream.tls_key: needs tls_cert beside it\n"
                                                  "t.json:1: upstream.tls_key: k: No such file or directory" },
        { "{\"upstream\": {\"tls\": \"required\", \"servers\": [\"[::1]:25\", \"unix:/u\", \"unix:/v\"]}}",
          "t.json:1: upstream.tls: the certificate of \"unix:/u\" can't be verified without tls_name" },
        { "{\"auth\": {\"mechanisms\": [\"plain\", \"GSSAPI\"], \"socket\": \"127.0.0.1:1\", "
          "\"required_message\": \"\"}}",
          "t.json:1: auth.mechanisms[1]: \"GSSAPI\" is not a mechanism: of PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, "
          "SCRAM-SHA-256-PLUS, XOAUTH2, OAUTHBEARER, EXTERNAL\n"
          "t.json:1: auth.socket: \"127.0.0.1:1\" is not a unix socket: such as \"unix:/run/dovecot/auth-client\"\n"
          "t.json:1: auth.required_message: must not be empty" },
        { "{\"auth\": {\"mode\": \"required\"}, \"upstream\": {\"tls\": \"none\", \"servers\": [\"127.0.0.1:25\", "
          "\"unix:/u\", \"localhost:25\"]}}",
          "t.json:1: auth.mode: \"required\" needs tls \"starttls\" or \"implicit\", or auth.require_tls false" },
        { "{\"auth\": {\"mode\": \"required\", \"require_tls\": false},\n\"server\": {\"disabled_commands\": "
          "[\"AUTH\"]}}",
          "t.json:1: auth.mode: \"required\" needs AUTH, which disabled_commands takes away" },
        { "{\"auth\": {\"mode\": \"optional\"},\n\"upstream\": {\"tls\": \"none\", \"servers\": [\"127.0.0.1:25\", "
          "\"192.0.2.1:25\", \"mx.example.com:25\"]}}",
          "t.json:2: upstream.tls: \"none\" would send passwords in clear to \"192.0.2.1:25\"" },
        { "{\"upstream\": {\"tls\": \"none\"}, \"listeners\": [{\"address\": \"[::1]:1\"},\n{\"address\": \"[::1]:2\", "
          "\"auth\": {\"mode\": \"optional\"}, \"upstream\": {\"servers\": [\"mx.example.com:25\"]}}]}",
          "t.json:1: upstream.tls: \"none\" would send passwords in clear to \"mx.example.com:25\"" },
        { "{\"upstream\": {\"username\": \"u\"}}", "t.json:1: upstream.username: needs password_file beside it" },
        { "{\"upstream\": {\"password_file\": \"/nonexistent/f\"}}",
          "t.json:1: upstream.password_file: needs username beside it\n"
          "t.json:1: upstream.password_file: \"/nonexistent/f\": No such file or directory" },
        { "{\"upstream\": {\"username\": \"u\", \"password_file\": \"/dev/null\", \"tls\": \"none\",\n\"servers\": "
          "[\"192.0.2.1:25\"]}}",
          "t.json:1: upstream.password_file: \"/dev/null\": no password is in it\n"
          "t.json:1: upstream.tls: \"none\" would send passwords in clear to \"192.0.2.1:25\"" },
        { "{\"upstream\": {\"username\": \"u\", \"password_file\": \"/nonexistent/f\"},\n\"auth\": {\"mode\": "
          "\"optional\"}}",
          "t.json:1: upstream.username: the clients of listener \"127.0.0.1:2525\" log in at the upstream "
          "(auth.backend \"upstream\"): it can't be done for them as well\n"
          "t.json:1: upstream.password_file: \"/nonexistent/f\": No such file or directory" },
        { "{\"auth\": {\"mechanisms\": []}, \"limits\": {\"max_auth_failures\": 0}}",
          "t.json:1: auth.mechanisms: must not be empty\n"
          "t.json:1: limits.max_auth_failures: 0 is not a whole number from 1 to 1000000" },
        { "{\"listners\": []}", "t.json:1: listners: unknown key; did you mean \"listeners\"?" },
        { "{\"listeners\": []}", "t.json:1: listeners: must not be empty" },
        { "{\"listeners\": [{\"name\": \"a\"},\n7, {}]}",
          "t.json:1: listeners[0]: \"address\" is missing\nt.json:2: listeners[1]: 7 is not an object: {...} with keys "
          "of name, address, hostname, banner, helo_response, protocol, tls, require_tls, proxy_protocol, xclient, "
          "xforward, ...\n"
          "t.json:2: listeners[2]: \"address\" is missing" },
        { "{\"listeners\": [{\"address\": \"[::ffff:127.0.0.1]:25\"}, {\"address\": \"127.0.0.1:25\"}]}",
          "t.json:1: listeners[1].address: \"127.0.0.1:25\" is the address of listeners[0] already" },
        { "{\"listeners\": [{\"address\": \"a.example:25\"}, {\"address\": \"A.example:25\"}]}",
          "t.json:1: listeners[1].address: \"A.example:25\" is the address of listeners[0] already" },
        { "{\"listeners\": [{\"address\": \"unix:/a\"}, {\"address\": \"unix:/a\"}]}",
          "t.json:1: listeners[1].address: \"unix:/a\" is the address of listeners[0] already" },
        { "{\"listeners\": [{\"address\": \"[::1]:25\"}, {\"address\": \"[::1]:26\",\n\"name\": \"[::1]:25\"}]}",
          "t.json:2: listeners[1].name: \"[::1]:25\" is the name of listeners[0] already" },
        { "{\"listeners\": [{\"address\": \"unix:a\"}]}",
          "t.json:1: listeners[0].address: \"unix:a\" is not an address: "
          "the path of a unix socket must be absolute" },
        { "{\"listeners\": [{\"address\": \"systemd:a\"}, {\"address\": \"systemd:a\"}]}",
          "t.json:1: listeners[1].address: \"systemd:a\" is the address of listeners[0] already" },
        { "{\"log\": {\"sync\": \"write\"}}",
          "t.json:1: log.sync: needs an output of type file with level info or debug" },
        { "{\"log\": {\"transcript\": \"failed\", \"level\": \"info\"}}",
          "t.json:1: log.transcript: \"failed\" needs an output with level debug" },
        { "{\"upstream\": {\"servers\": []}}", "t.json:1: upstream.servers: must not be empty" },
        { "{\"upstream\": {\"servers\": [\"systemd:x\"]}}",
          "t.json:1: upstream.servers[0]: \"systemd:x\" is not an address: only a listener can be a systemd socket" },
        { "{\"server\": {\"hostname\": \"a b\"}}", "t.json:1: server.hostname: \"a b\" is not a host name: "
                                                   "labels of letters, digits and '-', or an address in brackets" },
        { "{\"server\": {\"helo_response\": \"a\\r\\nb\"}}",
          "t.json:1: server.helo_response: \"a??b\" is not printable ASCII" },
        { "{\"server\": {\"banner\": \"a\\u0085\"}}", "t.json:1: server.banner: \"a?\" is not printable ASCII" },
        { "{\"server\": {\"hide_extensions\": [\"PIPELINIG\"]}}",
          "t.json:1: server.hide_extensions[0]: \"PIPELINIG\" is not an EHLO keyword that is known: " CAPS },
        { "{\"server\": {\"disabled_commands\": [\"GET\", \"XYZ\"]}}",
          "t.json:1: server.disabled_commands[0]: \"GET\" is not an SMTP command: " VERBS "\n"
          "t.json:1: server.disabled_commands[1]: \"XYZ\" is not an SMTP command: " VERBS },
        { "{\"limits\": {\"max_connections\": 0}}",
          "t.json:1: limits.max_connections: 0 is not a whole number from 1 to 1000000" },
        { "{\"log\": {\"outputs\": [{\"type\": \"file\"}, {}]}}",
          "t.json:1: log.outputs[0]: \"path\" is missing\nt.json:1: log.outputs[1]: \"type\" is missing" },
        { "{\"log\": {\"outputs\": [{\"type\": \"stdout\", \"path\": \"p\", \"mode\": \"0600\"}, {\"type\": "
          "\"stdout\"}]}}",
          "t.json:1: log.outputs[0].path: this key is for outputs of type file\n"
          "t.json:1: log.outputs[0].mode: this key is for outputs of type file\n"
          "t.json:1: log.outputs[1]: this is the same output as log.outputs[0]" },
        { "{\"log\": {\"outputs\": [{\"type\": \"file\", \"path\": \"p\"}, {\"type\": \"file\", \"path\": \"p\"}]}}",
          "t.json:1: log.outputs[1]: this is the same output as log.outputs[0]" },
        { "{\"log\": {\"outputs\": [{\"type\": \"file\", \"path\": \"p\", \"mode\": \"0400\"}]}}",
          "t.json:1: log.outputs[0].mode: \"0400\" is not a file mode: "
          "the owner must be able to read and write, and there are no special bits" },
        { "{\"log\": {\"outputs\": [{\"type\": \"file\", \"path\": \"p\", \"mode\": 640}]}}",
          "t.json:1: log.outputs[0].mode: 640 is not a file mode (a string in double quotes)" },
        { "{\"log\": {\"max_record\": 1023}}", "t.json:1: log.max_record: 1023 is not a size from 1KiB to 1MiB "
                                               "(a number of bytes, or such as \"64KiB\", \"25MiB\")" },
        { "{\"log\": {\"max_record\": \"64KiB\",\n\"queue_size\": \"64KiB\"}}",
          "t.json:2: log.queue_size: must be at least 8 times log.max_record" },
        { "{\"log\": {\"headers\": [\"From\", \"from\"]}}",
          "t.json:1: log.headers[1]: \"from\" is not a header's name: it is in the list twice" },
        { "{\"log\": {\"ignore_clients\": [\"all\"]}}",
          "t.json:1: log.ignore_clients[0]: \"all\" is not an address or network: "
          "neither an IP address nor a network such as 10.0.0.0/8" },
        { "{\"dns\": {\"servers\": [\"ns.example:53\", \"[::1]:0\"]}}",
          "t.json:1: dns.servers[0]: \"ns.example:53\" is not a name server: "
          "an IP address is needed here, with or without a port\n"
          "t.json:1: dns.servers[1]: \"[::1]:0\" is not a name server: the port must not be 0" },
        { "{\"user\": \"no-such-user\",\n\"group\": \"no-such-group\"}",
          "t.json:1: user: there is no user \"no-such-user\"\nt.json:2: group: there is no group \"no-such-group\"" },
        { "{\"workers\": 257}", "t.json:1: workers: 257 is not \"auto\" or a whole number from 1 to 256" },
        { "{", "t.json:1: expected a key in double quotes, found the end of the file" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_faults(CASES[i].text, CASES[i].faults);
}

/* What a message names as possible is possible, and nothing is left out. */
static void test_verbs_are_named(void **state)
{
    (void)state;
    for (unsigned v = 0; v < SMTP_VERB_COUNT; v++) {
        const char *name = smtp_verb_name((enum smtp_verb)v);
        char text[128], word[32];
        struct told told = { .count = 0 };
        bool foreign = smtp_verb_is_foreign((enum smtp_verb)v) || v == SMTP_VERB_UNKNOWN;
        bool needed = v == SMTP_VERB_MAIL || v == SMTP_VERB_RCPT;
        snprintf(text, sizeof text, "{\"server\": {\"disabled_commands\": [\"%s\"]}}", name);
        snprintf(word, sizeof word, " %s%s", name, v == SMTP_VERB_PROXY ? "" : ",");
        struct settings *s = settings_load_text("t.json", span_str(text), NULL, NULL, tell, &told);
        assert_int_equal(s != NULL, !foreign && !needed);
        assert_int_equal(strstr(VERBS, word) != NULL, !foreign);
        settings_unref(&s);
    }
}

/* What people write who have other programs in mind. */
static void test_people(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } CASES[] = {
        { "{\"upstream\": {\"password\": \"x\"}}",
          "t.json:1: upstream.password: unknown key; did you mean \"password_file\"?" },
        { "{\"upstream\": {\"auth\": {\"user\": \"u\",\n\"password\": \"x\"}}}",
          "t.json:1: upstream.auth: unknown key; did you mean \"auth\"?\n"
          "t.json:1: upstream.auth.user: unknown key; did you mean \"upstream.username\"?\n"
          "t.json:2: upstream.auth.password: unknown key; did you mean \"upstream.password_file\"?" },
        { "{\"certificates\": []}", "t.json:1: certificates: unknown key; did you mean \"tls.certificates\"?" },
        { "{\"hostname\": \"x\"}",
          "t.json:1: hostname: unknown key; did you mean \"server.hostname\" or \"upstream.hostname\"?" },
        { "{\"listen\": \"127.0.0.1:25\"}", "t.json:1: listen: unknown key; did you mean \"listeners\"?" },
        { "{\"address\": \"127.0.0.1:25\"}",
          "t.json:1: address: unknown key; did you mean \"log.outputs[].address\"?" },
        { "{\"tls\": {\"cert\": \"c\", \"requireTls\": true}}",
          "t.json:1: tls.cert: unknown key; did you mean \"tls.certificates[].cert\"?\n"
          "t.json:1: tls.requireTls: unknown key; did you mean \"server.require_tls\" or \"auth.require_tls\"?" },
        { "{\"log\": {\"type\": \"file\", \"Path\": \"/x\"}}",
          "t.json:1: log.type: unknown key; did you mean \"log.outputs[].type\"?\n"
          "t.json:1: log.Path: unknown key; did you mean \"log.outputs[].path\"?" },
        { "{\"upstream\": {\"servers\": [\"192.0.2.1:25\"]}, \"listeners\": [{\"address\": \"[::1]:1\", "
          "\"max_connections\": 5,\n\"server\": {\"hostname\": \"x\"}, \"tls\": {\"certificates\": []}}]}",
          "t.json:1: listeners[0].max_connections: unknown key; did you mean \"listeners[0].limits.max_connections\" "
          "or "
          "\"listeners[0].upstream.max_connections\"?\n"
          "t.json:2: listeners[0].server: unknown key; did you mean \"server\"?\n"
          "t.json:2: listeners[0].server.hostname: unknown key; did you mean \"listeners[0].hostname\"?\n"
          "t.json:2: listeners[0].tls: an object is not one of none, starttls, implicit (a word in double quotes)\n"
          "t.json:2: listeners[0].tls.certificates: unknown key; did you mean \"listeners[0].certificates\"?" },
        { "{\"smtp\": {}}", "t.json:1: smtp: unknown key; known here: workers, user, group, dns, server, tls, auth, "
                            "limits, timeouts, upstream, log, listeners" },
        { "{\"server\": {\"tls\": \"STARTTLS\"}, \"tls\": {\"certificates\": [{\"cert\": \"/nonexistent/c\",\n"
          "\"key\": \"/nonexistent/k\"}]}}",
          "t.json:1: server.tls: \"STARTTLS\" is not one of none, starttls, implicit; did you mean \"starttls\"?\n"
          "t.json:1: tls.certificates[0].cert: /nonexistent/c: No such file or directory\n"
          "t.json:2: tls.certificates[0].key: /nonexistent/k: No such file or directory" },
        { "{\"auth\": {\"mode\": \"on\", \"backend\": \"File\",\n\"file\": \"/nonexistent/u\"}}",
          "t.json:1: auth.mode: \"on\" is not one of off, optional, required\n"
          "t.json:1: auth.backend: \"File\" is not one of upstream, file, dovecot; did you mean \"file\"?\n"
          "t.json:2: auth.file: /nonexistent/u: No such file or directory" },
        { "{\"log\": {\"integrity\": true,\n\"integrity_key_file\": \"/nonexistent/k\"}}",
          "t.json:1: log.integrity: true is not one of off, chain (a word in double quotes)\n"
          "t.json:2: log.integrity_key_file: \"/nonexistent/k\": No such file or directory" },
        { "{\"log\": \"stdout\"}", "t.json:1: log: \"stdout\" is not an object: {...} with keys of component, format, "
                                   "level, overflow, block_timeout, sync, transcript, queue_size, headers, redact, "
                                   "integrity, ..." },
        { "{\"log\": {\"outputs\": \"stdout\"}}",
          "t.json:1: log.outputs: \"stdout\" is not a list of objects: [{...}]" },
        { "{\"listeners\": {\"address\": \"127.0.0.1:25\"}}",
          "t.json:1: listeners: an object is not a list: put it in brackets, [{...}]" },
        { "{\"server\": {\"xclient\": \"127.0.0.1\"}, \"upstream\": {\"servers\": \"mail:25\"}}",
          "t.json:1: server.xclient: \"127.0.0.1\" is not a list: put it in brackets, [\"127.0.0.1\"]\n"
          "t.json:1: upstream.servers: \"mail:25\" is not a list: put it in brackets, [\"mail:25\"]" },
        { "{\"upstream\": {\"servers\": [\"mail\", \"mail:99999\", \"1.2.3.400:25\", \"::1:25\", \"[::1]\", "
          "\"mail:smtp\",\n"
          "\":25\", \"smtp://mail:25\", \"mail:0\"]}, \"listeners\": [{\"address\": \"*:25\"}]}",
          "t.json:1: upstream.servers[0]: \"mail\" is not an address: a port must follow: host:port\n"
          "t.json:1: upstream.servers[1]: \"mail:99999\" is not an address: the port must be a number from 0 to 65535\n"
          "t.json:1: upstream.servers[2]: \"1.2.3.400:25\" is not an address: neither an IP address nor a host name\n"
          "t.json:1: upstream.servers[3]: \"::1:25\" is not an address: an IPv6 address needs brackets: "
          "[address]:port\n"
          "t.json:1: upstream.servers[4]: \"[::1]\" is not an address: a port must follow: [address]:port\n"
          "t.json:1: upstream.servers[5]: \"mail:smtp\" is not an address: the port must be a number from 0 to 65535\n"
          "t.json:2: upstream.servers[6]: \":25\" is not an address: neither an IP address nor a host name\n"
          "t.json:2: upstream.servers[7]: \"smtp://mail:25\" is not an address: host:port is wanted, without a scheme\n"
          "t.json:2: upstream.servers[8]: \"mail:0\" is not an address: the port must not be 0\n"
          "t.json:2: listeners[0].address: \"*:25\" is not an address: all addresses of this machine are 0.0.0.0:port "
          "and [::]:port" },
        { "{\"server\": {\"require_tls\": \"true\"}, \"workers\": \"4\", \"tls\": {\"min_version\": 1.2}}",
          "t.json:1: server.require_tls: \"true\" is not true or false (without quotes)\n"
          "t.json:1: workers: \"4\" is not \"auto\" or a whole number from 1 to 256 (without quotes)\n"
          "t.json:1: tls.min_version: 1.2 is not one of 1.0, 1.1, 1.2, 1.3 (a word in double quotes)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_faults(CASES[i].text, CASES[i].faults);
}

static void test_too_many_headers(void **state)
{
    (void)state;
    char text[1024] = "{\"log\": {\"headers\": [\"x0\"";
    for (unsigned i = 1; i < SMTP_HEADER_WANT_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", \"x%u\"", i);
    strcat(text, "]}}");
    expect_faults(text, "t.json:1: log.headers[31]: \"x31\" is not a header's name: "
                        "at most 31 names beside message-id are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_built), cmocka_unit_test(test_outputs_not_built),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_verbs_are_named),
        cmocka_unit_test(test_people),    cmocka_unit_test(test_too_many_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
