/* Settings against config.md: every default, what listeners inherit, -l and -u, and that what is printed loads to the
 * same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"

#include <stdlib.h>
#include <unistd.h>

static struct settings *load_with(const char *text, const char *listen, const char *upstream)
{
    struct told told = { .count = 0 };
    struct settings *s = settings_load_text("t.json", span_str(text), listen, upstream, tell, &told);
    if (s == NULL)
        print_error("%s\n%s\n", text, told.text);
    assert_non_null(s);
    assert_int_equal(told.count, 0);
    return s;
}

static struct settings *load(const char *text) { return load_with(text, NULL, NULL); }

static void check_server_defaults(const struct server_settings *v)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    assert_true(strlen(v->hostname) > 0);
    if (strpbrk(name, " _-.") == NULL && name[0] != '\0')
        assert_string_equal(v->hostname, name);
    assert_string_equal(v->banner, "");
    assert_string_equal(v->helo_response, "{hostname} Nice to meet you, {client}");
    assert_int_equal(v->protocol, PROTOCOL_SMTP);
    assert_int_equal(v->tls, SERVER_TLS_NONE);
    assert_false(v->require_tls);
    assert_int_equal(v->proxy_protocol.count, 0);
    assert_int_equal(v->xclient.count, 0);
    assert_int_equal(v->xforward.count, 0);
    assert_int_equal(v->hide_extensions, 0);
    assert_int_equal(v->disabled_commands, 0);
    assert_int_equal(v->max_message_size, 0);
    assert_true(v->lenient_addresses);
    assert_int_equal(v->bare_newline, SMTP_BARE_NORMALIZE);
    assert_true(v->reverse_dns);
    assert_int_equal(v->greet_delay, 0);
    assert_int_equal(v->received_header, RECEIVED_AUTO);
}

static void check_tls_defaults(const struct tls_settings *v)
{
    assert_int_equal(v->certificates, 0);
    assert_int_equal(v->min_version, 0x0303);
    assert_null(v->ciphers);
    assert_null(v->ciphersuites);
    assert_null(v->groups);
    assert_null(v->client_ca);
    assert_int_equal(v->verify_client, VERIFY_CLIENT_NONE);
    assert_true(v->session_tickets);
}

static void check_limits_defaults(const struct limits_settings *v)
{
    assert_int_equal(v->max_connections, 10000);
    assert_int_equal(v->max_connections_per_client, 0);
    assert_int_equal(v->max_rate_per_client, 0);
    assert_int_equal(v->max_recipients, 1000);
    assert_int_equal(v->max_command_length, 2048);
    assert_int_equal(v->max_unrecognized_commands, 10);
    assert_int_equal(v->max_unauthenticated_commands, 10);
    assert_int_equal(v->max_auth_failures, 3);
    assert_int_equal(v->memory, 0);
    assert_int_equal(v->max_received, 100);
}

static void check_timeouts_defaults(const struct timeouts_settings *v)
{
    assert_int_equal(v->greeting, 30 * USEC_PER_SEC);
    assert_int_equal(v->command, 300 * USEC_PER_SEC);
    assert_int_equal(v->data, 180 * USEC_PER_SEC);
    assert_int_equal(v->shutdown, 30 * USEC_PER_SEC);
    assert_int_equal(v->dns, 1500 * USEC_PER_MSEC);
}

static void check_upstream_defaults(const struct upstream_settings *v)
{
    assert_int_equal(v->servers, 1);
    assert_string_equal(v->server[0].text, "127.0.0.1:25");
    assert_int_equal(v->server[0].at.kind, ENDPOINT_IP);
    assert_int_equal(v->server[0].at.addr.port, 25);
    assert_int_equal(v->protocol, PROTOCOL_SMTP);
    assert_int_equal(v->balance, BALANCE_FAILOVER);
    assert_int_equal(v->tls, UPSTREAM_TLS_OPPORTUNISTIC);
    assert_false(v->tls_verify);
    assert_null(v->tls_ca);
    assert_null(v->tls_name);
    assert_null(v->tls_cert);
    assert_null(v->tls_key);
    assert_non_null(v->tls_client);
    assert_int_equal(v->connect, CONNECT_HELO);
    assert_int_equal(v->identity, IDENTITY_AUTO);
    assert_false(v->identity_named);
    assert_int_equal(v->pool, POOL_SESSION);
    assert_int_equal(v->max_connections, 0);
    assert_int_equal(v->health.failures, 3);
    assert_int_equal(v->health.rest, 10 * USEC_PER_SEC);
    assert_int_equal(v->health.probe, 5 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.connect, 10 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.greeting, 30 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.prepare, 30 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.command, 270 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.data_start, 120 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.data_block, 180 * USEC_PER_SEC);
    assert_int_equal(v->timeouts.data_end, 600 * USEC_PER_SEC);
}

static void check_log_defaults(const struct log_settings *v)
{
    assert_string_equal(v->component, "smtptap");
    assert_int_equal(v->outputs, 1);
    assert_int_equal(v->output[0].type, OUTPUT_STDOUT);
    assert_int_equal(v->output[0].format, FORMAT_NATIVE);
    assert_int_equal(v->output[0].level, LEVEL_DEBUG);
    assert_int_equal(v->output[0].overflow, OVERFLOW_BLOCK);
    assert_int_equal(v->output[0].queue_size, 16777216);
    assert_int_equal(v->block_timeout, 30 * USEC_PER_SEC);
    assert_int_equal(v->max_record, 8000);
    assert_int_equal(v->headers.count, 2);
    assert_string_equal(v->headers.name[0], "message-id");
    assert_string_equal(v->headers.name[1], "from");
    assert_ptr_equal(v->headers.name[0], v->header_names[0]);
    assert_true(v->want_message_id);
    assert_false(v->want_subject);
    assert_int_equal(v->ignore_clients.count, 0);
}

static void check_auth_defaults(const struct auth_settings *v)
{
    assert_int_equal(v->mode, AUTH_OFF);
    assert_int_equal(v->mechanisms, SASL_BIT(PLAIN) | SASL_BIT(LOGIN));
    assert_int_equal(v->backend, AUTH_BACKEND_UPSTREAM);
    assert_null(v->file);
    assert_null(v->socket_text);
    assert_true(v->require_tls);
    assert_string_equal(v->required_message, "Authentication required");
}

static void check_defaults(const struct settings *s)
{
    assert_int_equal(s->listeners, 1);
    const struct listener_settings *l = &s->listener[0];
    assert_string_equal(l->name, "127.0.0.1:2525");
    assert_string_equal(l->address_text, "127.0.0.1:2525");
    assert_int_equal(l->address.kind, ENDPOINT_IP);
    assert_int_equal(l->address.addr.port, 2525);
    check_server_defaults(&l->server);
    check_tls_defaults(&l->tls);
    assert_null(l->tls_server);
    check_auth_defaults(&l->auth);
    check_limits_defaults(&l->limits);
    check_timeouts_defaults(&l->timeouts);
    check_upstream_defaults(&l->upstream);
    assert_string_equal(l->upstream.hostname, l->server.hostname);
    check_limits_defaults(&s->limits);
    check_timeouts_defaults(&s->timeouts);
    check_log_defaults(&s->log);
    assert_int_equal(s->workers, 0);
    assert_null(s->user);
    assert_null(s->group);
    assert_null(s->dns_servers);
    assert_int_equal(s->dns_server_count, 0);
}

static void test_defaults(void **state)
{
    (void)state;
    struct told told = { .count = 0 };
    struct settings *s = settings_load(NULL, NULL, NULL, tell, &told);
    assert_non_null(s);
    assert_null(s->file);
    check_defaults(s);
    settings_unref(&s);
    assert_null(s);
    s = load("{}");
    assert_string_equal(s->file, "t.json");
    check_defaults(s);
    settings_unref(&s);
}

/* Every default of config.md written out, also those of what is not built, is no fault and changes nothing. */
static void test_defaults_written_out(void **state)
{
    (void)state;
    static const char TLS[] = "\"certificates\": [], \"min_version\": \"1.2\", \"verify_client\": \"none\", "
                              "\"session_tickets\": true";
    static const char SERVER[] =
        "\"banner\": \"\", \"helo_response\": \"{hostname} Nice to meet you, {client}\", \"protocol\": \"smtp\", "
        "\"require_tls\": false, \"proxy_protocol\": [], \"xclient\": [], \"xforward\": [], \"hide_extensions\": [], "
        "\"disabled_commands\": [], \"max_message_size\": 0, \"lenient_addresses\": true, \"bare_newline\": "
        "\"normalize\", \"reverse_dns\": true, \"greet_delay\": \"0s\", \"received_header\": \"auto\", \"tls\": "
        "\"none\"";
    static const char SECTIONS[] =
        "\"auth\": {\"mode\": \"off\", \"mechanisms\": [\"PLAIN\", \"LOGIN\"], \"backend\": \"upstream\", "
        "\"require_tls\": true, \"required_message\": \"Authentication required\"},"
        "\"limits\": {\"max_connections\": 10000, \"max_connections_per_client\": 0, \"max_rate_per_client\": 0, "
        "\"max_recipients\": 1000, \"max_command_length\": \"2KiB\", \"max_unrecognized_commands\": 10, "
        "\"max_unauthenticated_commands\": 10, \"max_auth_failures\": 3, \"max_messages_per_user\": 0, "
        "\"max_recipients_per_user\": 0, \"max_messages_per_client\": 0, \"memory\": 0, \"max_received\": 100, "
        "\"proxy_header\": 4096},"
        "\"timeouts\": {\"greeting\": \"30s\", \"command\": \"5m\", \"data\": \"3m\", \"shutdown\": \"30s\", "
        "\"dns\": \"1500ms\"},"
        "\"upstream\": {\"servers\": [\"127.0.0.1:25\"], \"protocol\": \"smtp\", \"balance\": \"failover\", "
        "\"tls\": \"opportunistic\", \"connect\": \"helo\", \"identity\": \"auto\", \"pool\": \"session\", "
        "\"pool_size\": 100, \"pool_idle\": "
        "\"60s\", \"pool_max_uses\": 100, \"pool_max_age\": \"10m\", \"max_connections\": 0, "
        "\"health\": {\"failures\": 3, \"rest\": \"10s\", \"probe\": \"5s\"}, \"timeouts\": {\"connect\": \"10s\", "
        "\"greeting\": \"30s\", \"prepare\": \"30s\", \"command\": \"4m30s\", \"data_start\": \"2m\", "
        "\"data_block\": \"3m\", \"data_end\": \"10m\"}}, \"policy\": {}";
    static const char LOG[] =
        "\"log\": {\"format\": \"native\", \"level\": \"debug\", \"component\": \"smtptap\", \"outputs\": [{\"type\": "
        "\"stdout\"}], \"overflow\": \"block\", \"block_timeout\": \"30s\", \"sync\": \"none\", \"transcript\": "
        "\"always\", \"queue_size\": \"16MiB\", \"headers\": [\"message-id\", \"from\"], \"redact\": {\"addresses\": "
        "\"keep\", \"client_ip\": \"keep\", \"username\": \"keep\", \"subject\": \"keep\"}, "
        "\"integrity\": \"off\", \"ignore_clients\": [], \"max_record\": 8000, \"cookie\": false}";
    char text[8192];
    snprintf(
        text, sizeof text,
        "{\"listeners\": [{\"address\": \"127.0.0.1:2525\", %s, %s, %s}], \"server\": {%s}, \"tls\": {%s}, %s, %s, "
        "\"admin\": {}, \"workers\": \"auto\", \"dns\": {\"servers\": []}}",
        SERVER, TLS, SECTIONS, SERVER, TLS, SECTIONS, LOG);
    struct settings *s = load(text);
    check_defaults(s);
    settings_unref(&s);
}

static void test_listeners_inherit(void **state)
{
    (void)state;
    /* the listeners come first in the text: the order of the sections has no meaning */
    struct settings *s = load(
        "{\"listeners\": [{\"address\": \"127.0.0.1:1\"},"
        "{\"address\": \"[::1]:2\", \"name\": \"mx\", \"hostname\": \"own.example.com\", \"banner\": \"b\","
        " \"disabled_commands\": [\"etrn\"], \"limits\": {\"max_recipients\": 7}, \"timeouts\": {\"data\": \"9s\"},"
        " \"upstream\": {\"servers\": [\"mx.example.com:26\", \"unix:/run/u\"], \"timeouts\": {\"connect\": \"7s\"}}},"
        "{\"address\": \"unix:/run/l\", \"upstream\": {\"identity\": \"none\", \"hostname\": \"[192.0.2.1]\"}}],"
        "\"server\": {\"hostname\": \"h.example.com\", \"hide_extensions\": [\"dsn\"], \"disabled_commands\": "
        "[\"VRFY\", \"expn\", \"VRFY\"]},"
        "\"limits\": {\"max_recipients\": 50, \"max_received\": 0}, \"timeouts\": {\"data\": \"8s\", \"dns\": \"1s\"},"
        "\"upstream\": {\"servers\": [\"192.0.2.1:25\"], \"health\": {\"failures\": 9}, \"timeouts\": {\"prepare\": "
        "\"6s\"}}}");
    assert_int_equal(s->listeners, 3);
    const struct listener_settings *a = &s->listener[0], *b = &s->listener[1], *c = &s->listener[2];
    assert_string_equal(a->server.hostname, "h.example.com");
    assert_string_equal(a->upstream.hostname, "h.example.com");
    assert_int_equal(a->server.hide_extensions, SMTP_CAP_BIT(DSN));
    assert_int_equal(a->server.disabled_commands, 1U << SMTP_VERB_VRFY | 1U << SMTP_VERB_EXPN);
    assert_int_equal(a->limits.max_recipients, 50);
    assert_int_equal(a->timeouts.data, 8 * USEC_PER_SEC);
    assert_string_equal(a->upstream.server[0].text, "192.0.2.1:25");
    assert_false(a->upstream.identity_named);

    assert_string_equal(b->name, "mx");
    assert_string_equal(b->server.hostname, "own.example.com");
    assert_string_equal(b->upstream.hostname, "own.example.com");
    assert_string_equal(b->server.banner, "b");
    assert_int_equal(b->server.hide_extensions, SMTP_CAP_BIT(DSN));
    assert_int_equal(b->server.disabled_commands, 1U << SMTP_VERB_ETRN);
    assert_int_equal(b->limits.max_recipients, 7);
    assert_int_equal(b->limits.max_received, 0);
    assert_int_equal(b->timeouts.data, 9 * USEC_PER_SEC);
    assert_int_equal(b->timeouts.dns, USEC_PER_SEC);
    assert_int_equal(b->upstream.servers, 2);
    assert_int_equal(b->upstream.server[0].at.kind, ENDPOINT_NAME);
    assert_int_equal(b->upstream.server[0].at.addr.port, 26);
    assert_int_equal(b->upstream.server[1].at.kind, ENDPOINT_UNIX);
    assert_int_equal(b->upstream.health.failures, 9);
    assert_int_equal(b->upstream.timeouts.connect, 7 * USEC_PER_SEC);
    assert_int_equal(b->upstream.timeouts.prepare, 6 * USEC_PER_SEC);

    assert_string_equal(c->name, "unix:/run/l");
    assert_int_equal(c->upstream.identity, IDENTITY_NONE);
    assert_true(c->upstream.identity_named);
    assert_string_equal(c->upstream.hostname, "[192.0.2.1]");
    assert_string_equal(c->upstream.server[0].text, "192.0.2.1:25");
    assert_int_equal(s->limits.max_recipients, 50);
    assert_int_equal(s->timeouts.data, 8 * USEC_PER_SEC);
    settings_unref(&s);
}

static void test_other_values(void **state)
{
    (void)state;
    struct settings *s = load(
        "{\"workers\": 3, \"user\": \"root\", \"group\": \"root\", \"dns\": {\"servers\": [\"192.0.2.1\", "
        "\"192.0.2.1:5353\", \"2001:db8::1\", \"[2001:db8::1]\", \"[::1]:54\"]},"
        "\"server\": {\"bare_newline\": \"accept\", \"received_header\": \"off\", \"greet_delay\": \"2s\", "
        "\"max_message_size\": \"25MiB\", \"lenient_addresses\": false, \"reverse_dns\": false},"
        "\"auth\": {\"mechanisms\": [\"cram-md5\", \"XOAUTH2\", \"CRAM-MD5\"], \"file\": \"f\", \"socket\": "
        "\"unix:/run/a\", \"require_tls\": false, \"required_message\": \"x\"},"
        "\"limits\": {\"memory\": \"1GiB\", \"max_unauthenticated_commands\": 0, \"max_auth_failures\": 7}, "
        "\"upstream\": {\"connect\": \"connection\", \"max_connections\": 100},"
        "\"log\": {\"outputs\": [{\"type\": \"stdout\"}, {\"type\": \"file\", \"path\": \"a.log\", \"mode\": \"0600\", "
        "\"group\": \"root\", \"level\": \"error\", \"overflow\": \"drop\", \"queue_size\": 100000}, {\"type\": "
        "\"file\", \"path\": \"/b.log\"}], \"level\": \"info\", \"overflow\": \"tempfail\", \"queue_size\": \"1MiB\", "
        "\"headers\": [\"Subject\", \"X-Y\"], \"ignore_clients\": [\"unix\", \"::1\"], \"component\": \"c\"}}");
    assert_int_equal(s->workers, 3);
    assert_string_equal(s->user, "root");
    assert_string_equal(s->group, "root");
    static const char *const DNS[] = { "192.0.2.1:53", "192.0.2.1:5353", "[2001:db8::1]:53", "[2001:db8::1]:53",
                                       "[::1]:54" };
    assert_int_equal(s->dns_server_count, ARRAY_LEN(DNS));
    for (size_t i = 0; i < ARRAY_LEN(DNS); i++)
        assert_string_equal(s->dns_servers[i], DNS[i]);
    const struct server_settings *v = &s->listener[0].server;
    assert_int_equal(v->bare_newline, SMTP_BARE_ACCEPT);
    assert_int_equal(v->received_header, RECEIVED_OFF);
    assert_int_equal(v->greet_delay, 2 * USEC_PER_SEC);
    assert_int_equal(v->max_message_size, 26214400);
    assert_false(v->lenient_addresses);
    assert_false(v->reverse_dns);
    assert_int_equal(s->limits.memory, 1073741824);
    assert_int_equal(s->listener[0].upstream.connect, CONNECT_CONNECTION);
    assert_int_equal(s->listener[0].upstream.max_connections, 100);
    assert_int_equal(s->listener[0].limits.max_unauthenticated_commands, 0);
    assert_int_equal(s->listener[0].limits.max_auth_failures, 7);
    const struct auth_settings *a = &s->listener[0].auth;
    assert_int_equal(a->mechanisms, SASL_BIT(CRAM_MD5) | SASL_BIT(XOAUTH2));
    assert_string_equal(a->file, "f");
    assert_int_equal(a->socket.kind, ENDPOINT_UNIX);
    assert_string_equal(a->socket.host, "/run/a");
    assert_false(a->require_tls);
    assert_string_equal(a->required_message, "x");
    const struct output_settings *o = s->log.output;
    assert_int_equal(s->log.outputs, 3);
    assert_int_equal(o[0].level, LEVEL_INFO);
    assert_int_equal(o[0].overflow, OVERFLOW_TEMPFAIL);
    assert_int_equal(o[0].queue_size, 1048576);
    assert_int_equal(o[1].type, OUTPUT_FILE);
    assert_string_equal(o[1].path, "a.log");
    assert_int_equal(o[1].mode, 0600);
    assert_string_equal(o[1].group, "root");
    assert_int_equal(o[1].level, LEVEL_ERROR);
    assert_int_equal(o[1].overflow, OVERFLOW_DROP);
    assert_int_equal(o[1].queue_size, 100000);
    assert_int_equal(o[2].mode, 0640);
    assert_null(o[2].group);
    assert_int_equal(o[2].level, LEVEL_INFO);
    assert_int_equal(s->log.headers.count, 3);
    assert_string_equal(s->log.headers.name[0], "message-id");
    assert_string_equal(s->log.headers.name[1], "subject");
    assert_string_equal(s->log.headers.name[2], "x-y");
    assert_false(s->log.want_message_id);
    assert_true(s->log.want_subject);
    assert_int_equal(s->log.ignore_clients.count, 2);
    assert_string_equal(s->log.component, "c");
    settings_unref(&s);
    s = load("{\"log\": {\"headers\": []}}");
    assert_int_equal(s->log.headers.count, 1);
    assert_string_equal(s->log.headers.name[0], "message-id");
    assert_false(s->log.want_message_id);
    settings_unref(&s);
}

static void test_options(void **state)
{
    (void)state;
    struct settings *s = load_with("{}", "[::1]:0", "mx.example.com:587");
    assert_int_equal(s->listeners, 1);
    assert_string_equal(s->listener[0].name, "[::1]:0");
    assert_string_equal(s->listener[0].address_text, "[::1]:0");
    assert_int_equal(s->listener[0].address.addr.family, NETADDR_IPV6);
    assert_int_equal(s->listener[0].upstream.servers, 1);
    assert_string_equal(s->listener[0].upstream.server[0].text, "mx.example.com:587");
    settings_unref(&s);

    s = load_with("{\"listeners\": [{\"address\": \"127.0.0.1:1\", \"name\": \"n\"}, {\"address\": \"127.0.0.1:2\", "
                  "\"upstream\": {\"servers\": [\"192.0.2.2:25\"]}}, {\"address\": \"127.0.0.1:3\", \"upstream\": "
                  "{\"pool\": \"session\"}}], \"upstream\": {\"servers\": [\"192.0.2.1:25\", \"192.0.2.3:25\"]}}",
                  "unix:/run/x", "unix:/run/y");
    assert_string_equal(s->listener[0].name, "n");
    assert_int_equal(s->listener[0].address.kind, ENDPOINT_UNIX);
    assert_string_equal(s->listener[1].address_text, "127.0.0.1:2");
    assert_int_equal(s->listener[0].upstream.servers, 1);
    assert_string_equal(s->listener[0].upstream.server[0].text, "unix:/run/y");
    assert_string_equal(s->listener[1].upstream.server[0].text, "192.0.2.2:25");
    assert_string_equal(s->listener[2].upstream.server[0].text, "unix:/run/y");
    settings_unref(&s);

    s = load_with("{\"listeners\": [{}]}", "127.0.0.1:5", NULL);
    assert_string_equal(s->listener[0].name, "127.0.0.1:5");
    settings_unref(&s);
    expect_faults_with("{}", "127.0.0.1", "x:0",
                       "-u: \"x:0\" is not an address: the port must not be 0\n"
                       "-l: \"127.0.0.1\" is not an address: a port must follow: host:port");
    expect_faults_with("{\"listeners\": [{\"address\": \"127.0.0.1:1\"}, {\"address\": \"127.0.0.1:2\"}]}",
                       "127.0.0.1:2", NULL,
                       "t.json:1: listeners[1].address: \"127.0.0.1:2\" is the address of listeners[0] already");
}

static void test_ports_of_the_kernel(void **state)
{
    (void)state;
    struct settings *s = load("{\"listeners\": [{\"address\": \"127.0.0.1:0\"}, {\"address\": \"127.0.0.1:0\"}]}");
    assert_string_equal(s->listener[1].name, "127.0.0.1:0");
    settings_unref(&s);
}

static void test_print_loads_to_the_same(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "{}",
        "{\"auth\": {\"mechanisms\": [\"external\", \"plain\", \"SCRAM-SHA-256-PLUS\"], \"file\": \"/u\", "
        "\"require_tls\": false}, \"listeners\": [{\"address\": \"127.0.0.1:1\", \"auth\": {\"socket\": "
        "\"unix:/run/a\", \"required_message\": \"Log in\"}}]}",
        "{\"workers\": 2, \"user\": \"root\", \"dns\": {\"servers\": [\"::1\"]}, \"listeners\": [{\"address\": "
        "\"127.0.0.1:0\"}, {\"address\": \"127.0.0.1:0\", \"disabled_commands\": [\"HELP\", \"ETRN\"], "
        "\"hide_extensions\": [\"8bitmime\", \"ENHANCEDSTATUSCODES\"], \"greet_delay\": \"1500ms\"}, {\"address\": "
        "\"unix:/a\\u00e4\", \"upstream\": {\"identity\": \"none\", \"servers\": [\"unix:/b\", \"b.example:25\"]}}], "
        "\"limits\": {\"memory\": \"3MiB\"}, \"log\": {\"headers\": [\"subject\", \"message-id\"], \"outputs\": "
        "[{\"type\": \"stdout\", \"level\": \"info\"}, {\"type\": \"file\", \"path\": \"\\u00fc/\\\"x\\\".log\", "
        "\"mode\": \"0660\"}], \"ignore_clients\": [\"unix\", \"10.0.0.0/8\", \"2001:db8::/32\"]}}",
        "{\"log\": {\"headers\": []}, \"upstream\": {\"timeouts\": {\"data_end\": \"1h1m1s\"}}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct settings *s = load(TEXTS[i]);
        char *first = settings_print(s);
        struct settings *again = load(first);
        char *second = settings_print(again);
        assert_string_equal(first, second);
        assert_int_equal(again->listeners, s->listeners);
        for (size_t k = 0; k < s->listeners; k++) {
            assert_string_equal(again->listener[k].name, s->listener[k].name);
            assert_int_equal(again->listener[k].upstream.identity_named, s->listener[k].upstream.identity_named);
            assert_int_equal(again->listener[k].server.disabled_commands, s->listener[k].server.disabled_commands);
        }
        assert_int_equal(again->log.want_message_id, s->log.want_message_id);
        assert_int_equal(again->log.headers.count, s->log.headers.count);
        free(first);
        free(second);
        settings_unref(&s);
        settings_unref(&again);
    }
}

static void test_refs(void **state)
{
    (void)state;
    struct settings *s = load("{}"), *other = settings_ref(s), *none = NULL;
    assert_ptr_equal(s, other);
    settings_unref(&s);
    assert_null(s);
    assert_string_equal(other->listener[0].address_text, "127.0.0.1:2525");
    settings_unref(&other);
    settings_unref(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_defaults_written_out),
        cmocka_unit_test(test_listeners_inherit),
        cmocka_unit_test(test_other_values),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_ports_of_the_kernel),
        cmocka_unit_test(test_print_loads_to_the_same),
        cmocka_unit_test(test_refs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
