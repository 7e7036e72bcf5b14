/* The one table of keys (config.md), a table a section. A key whose feature is not built has its row too, with the
 * default that may be written out: so it is told from a slip of the pen. To build a feature, turn its UNBUILT rows into
 * rows of their type and drop `unbuilt` from its words. */
#include "proxy/settings_tables.h"

#define ROW(kind, owner, member) .name = #member, .type = (kind), CONF_MEMBER(struct owner, member)
#define BOOL(owner, member, text)                                                                                      \
    {                                                                                                                  \
        ROW(CONF_BOOL, owner, member), .def = (text)                                                                   \
    }
#define UINT(owner, member, text, least, most)                                                                         \
    {                                                                                                                  \
        ROW(CONF_UINT, owner, member), .def = (text), .min = (least), .max = (most)                                    \
    }
#define SIZE(owner, member, text, least, most)                                                                         \
    {                                                                                                                  \
        ROW(CONF_SIZE, owner, member), .def = (text), .min = (least), .max = (most)                                    \
    }
#define TIME(owner, member, text, least, most)                                                                         \
    {                                                                                                                  \
        ROW(CONF_DURATION, owner, member), .def = (text), .min = (least), .max = (most)                                \
    }
#define WORD(owner, member, text, list)                                                                                \
    {                                                                                                                  \
        ROW(CONF_WORD, owner, member), .def = (text), .words = (list)                                                  \
    }
#define STRING(owner, member, text, least, most)                                                                       \
    {                                                                                                                  \
        ROW(CONF_STRING, owner, member), .def = (text), .min = (least), .max = (most), .printable = true               \
    }
/* The list's operations have the whole struct as their member. */
#define WHOLE_LIST(key, ops, words, least, most)                                                                       \
    {                                                                                                                  \
        .name = (key), .type = CONF_LIST, .text = (ops), .def = (words), .min = (least), .max = (most)                 \
    }
#define LIST(owner, member, ops, words, most)                                                                          \
    {                                                                                                                  \
        ROW(CONF_LIST, owner, member), .text = (ops), .def = (words), .max = (most)                                    \
    }
#define OBJECT(key, owner, member, keys)                                                                               \
    {                                                                                                                  \
        .name = (key), .type = CONF_OBJECT, CONF_MEMBER(struct owner, member), .table = (keys)                         \
    }
/* The list is called as its count is, and holds at least one. */
#define OBJECTS(owner, counter, member, keys, most, init)                                                              \
    {                                                                                                                  \
        .name = #counter, .type = CONF_OBJECTS, CONF_MEMBER(struct owner, member), .table = (keys), .min = 1,          \
        .max = (most), .count_offset = offsetof(struct owner, counter), .prepare = (init), .later = LATER_##counter    \
    }
#define LATER_outputs false
#define LATER_listeners true
#define UNBUILT(key, json)                                                                                             \
    {                                                                                                                  \
        .name = (key), .type = CONF_UNBUILT, .def = (json)                                                             \
    }
#define UNBUILT_WORD(key, json, list)                                                                                  \
    {                                                                                                                  \
        .name = (key), .type = CONF_UNBUILT, .def = (json), .words = (list)                                            \
    }
/* An object of which no key is built. */
#define UNBUILT_OBJECT(key, keys)                                                                                      \
    {                                                                                                                  \
        .name = (key), .type = CONF_OBJECT, .table = (keys)                                                            \
    }

#define MS(n) ((n) * (uint64_t)USEC_PER_MSEC)
#define SEC(n) ((n) * (uint64_t)USEC_PER_SEC)
#define DAY SEC(24 * 3600)
#define KIB(n) ((n)*UINT64_C(1024))
#define MIB(n) KIB((n)*UINT64_C(1024))
#define GIB(n) MIB((n)*UINT64_C(1024))
#define MILLION 1000000
#define SIZE_TOP ((uint64_t)INT64_MAX)

static const struct conf_word PROTOCOL_WORDS[] = { { "smtp", PROTOCOL_SMTP, false },
                                                   { "lmtp", PROTOCOL_LMTP, false },
                                                   { NULL, 0, false } };
static const struct conf_word SERVER_TLS_WORDS[] = { { "none", SERVER_TLS_NONE, false },
                                                     { "starttls", SERVER_TLS_STARTTLS, false },
                                                     { "implicit", SERVER_TLS_IMPLICIT, false },
                                                     { NULL, 0, false } };
static const struct conf_word BARE_NEWLINE_WORDS[] = { { "normalize", SMTP_BARE_NORMALIZE, false },
                                                       { "reject", SMTP_BARE_REJECT, false },
                                                       { "accept", SMTP_BARE_ACCEPT, false },
                                                       { NULL, 0, false } };
static const struct conf_word RECEIVED_WORDS[] = {
    { "auto", RECEIVED_AUTO, false }, { "on", RECEIVED_ON, false }, { "off", RECEIVED_OFF, false }, { NULL, 0, false }
};
static const struct conf_word AUTH_MODE_WORDS[] = { { "off", AUTH_OFF, false },
                                                    { "optional", AUTH_OPTIONAL, false },
                                                    { "required", AUTH_REQUIRED, false },
                                                    { NULL, 0, false } };
static const struct conf_word AUTH_BACKEND_WORDS[] = { { "upstream", AUTH_BACKEND_UPSTREAM, false },
                                                       { "file", AUTH_BACKEND_FILE, false },
                                                       { "dovecot", AUTH_BACKEND_DOVECOT, false },
                                                       { NULL, 0, false } };
static const struct conf_word BALANCE_WORDS[] = { { "failover", BALANCE_FAILOVER, false },
                                                  { "round-robin", BALANCE_ROUND_ROBIN, true },
                                                  { "least-connections", BALANCE_LEAST_CONNECTIONS, true },
                                                  { NULL, 0, false } };
static const struct conf_word UPSTREAM_TLS_WORDS[] = { { "none", UPSTREAM_TLS_NONE, false },
                                                       { "opportunistic", UPSTREAM_TLS_OPPORTUNISTIC, false },
                                                       { "required", UPSTREAM_TLS_REQUIRED, false },
                                                       { "implicit", UPSTREAM_TLS_IMPLICIT, false },
                                                       { NULL, 0, false } };
static const struct conf_word CONNECT_WORDS[] = { { "helo", CONNECT_HELO, false },
                                                  { "connection", CONNECT_CONNECTION, false },
                                                  { NULL, 0, false } };
static const struct conf_word IDENTITY_WORDS[] = { { "auto", IDENTITY_AUTO, false },
                                                   { "xclient", IDENTITY_XCLIENT, false },
                                                   { "xforward", IDENTITY_XFORWARD, false },
                                                   { "proxy-v1", IDENTITY_PROXY_V1, false },
                                                   { "proxy-v2", IDENTITY_PROXY_V2, false },
                                                   { "none", IDENTITY_NONE, false },
                                                   { NULL, 0, false } };
static const struct conf_word POOL_WORDS[] = { { "session", POOL_SESSION, false },
                                               { "transaction", POOL_TRANSACTION, true },
                                               { NULL, 0, false } };
static const struct conf_word FORMAT_WORDS[] = { { "native", FORMAT_NATIVE, false },
                                                 { "ecs", FORMAT_ECS, false },
                                                 { NULL, 0, false } };
static const struct conf_word LEVEL_WORDS[] = {
    { "error", LEVEL_ERROR, false }, { "info", LEVEL_INFO, false }, { "debug", LEVEL_DEBUG, false }, { NULL, 0, false }
};
static const struct conf_word OVERFLOW_WORDS[] = { { "block", OVERFLOW_BLOCK, false },
                                                   { "drop", OVERFLOW_DROP, false },
                                                   { "tempfail", OVERFLOW_TEMPFAIL, false },
                                                   { NULL, 0, false } };
static const struct conf_word OUTPUT_TYPE_WORDS[] = { { "stdout", OUTPUT_STDOUT, false },
                                                      { "file", OUTPUT_FILE, false },
                                                      { "syslog", OUTPUT_SYSLOG, false },
                                                      { "journald", OUTPUT_JOURNALD, false },
                                                      { "tcp", OUTPUT_TCP, false },
                                                      { "kafka", OUTPUT_KAFKA, !SETTINGS_KAFKA },
                                                      { NULL, 0, false } };
static const struct conf_word FRAMING_WORDS[] = { { "newline", FRAMING_NEWLINE, false },
                                                  { "octet", FRAMING_OCTET, false },
                                                  { NULL, 0, false } };
static const struct conf_word TLS_VERSION_WORDS[] = { { "1.0", 0x0301, false },
                                                      { "1.1", 0x0302, false },
                                                      { "1.2", 0x0303, false },
                                                      { "1.3", 0x0304, false },
                                                      { NULL, 0, false } };
static const struct conf_word VERIFY_CLIENT_WORDS[] = { { "none", VERIFY_CLIENT_NONE, false },
                                                        { "optional", VERIFY_CLIENT_OPTIONAL, false },
                                                        { "required", VERIFY_CLIENT_REQUIRED, false },
                                                        { NULL, 0, false } };
static const struct conf_word SYNC_WORDS[] = {
    { "none", SYNC_NONE, false }, { "write", SYNC_WRITE, false }, { "fsync", SYNC_FSYNC, false }, { NULL, 0, false }
};
static const struct conf_word TRANSCRIPT_WORDS[] = { { "always", TRANSCRIPT_ALWAYS, false },
                                                     { "failed", TRANSCRIPT_FAILED, false },
                                                     { NULL, 0, false } };
static const struct conf_word INTEGRITY_WORDS[] = { { "off", INTEGRITY_OFF, false },
                                                    { "chain", INTEGRITY_CHAIN, false },
                                                    { NULL, 0, false } };

static const struct conf_key SERVER_KEYS[] = {
    { ROW(CONF_TEXT, server_settings, hostname), .text = &settings_hostname },
    STRING(server_settings, banner, "", 0, 200),
    STRING(server_settings, helo_response, "{hostname} Nice to meet you, {client}", 1, 200),
    WORD(server_settings, protocol, "smtp", PROTOCOL_WORDS),
    WORD(server_settings, tls, "none", SERVER_TLS_WORDS),
    BOOL(server_settings, require_tls, "false"),
    LIST(server_settings, proxy_protocol, &conf_cidr_list, NULL, MILLION),
    LIST(server_settings, xclient, &conf_cidr_list, NULL, MILLION),
    LIST(server_settings, xforward, &conf_cidr_list, NULL, MILLION),
    LIST(server_settings, hide_extensions, &settings_caps, NULL, 64),
    LIST(server_settings, disabled_commands, &settings_verbs, NULL, 64),
    SIZE(server_settings, max_message_size, "0", 0, SIZE_TOP),
    BOOL(server_settings, lenient_addresses, "true"),
    WORD(server_settings, bare_newline, "normalize", BARE_NEWLINE_WORDS),
    BOOL(server_settings, reverse_dns, "true"),
    TIME(server_settings, greet_delay, "0s", 0, SEC(300)),
    WORD(server_settings, received_header, "auto", RECEIVED_WORDS),
};
const struct conf_table settings_server_table = CONF_TABLE(SERVER_KEYS, struct server_settings);

#define PATH(owner, member)                                                                                            \
    {                                                                                                                  \
        ROW(CONF_STRING, owner, member), .min = 1, .max = 4000                                                         \
    }
static const struct conf_key CERTIFICATE_KEYS[] = {
    { ROW(CONF_STRING, tls_certificate, cert), .min = 1, .max = 4000, .required = true },
    { ROW(CONF_STRING, tls_certificate, key), .min = 1, .max = 4000, .required = true },
    WHOLE_LIST("names", &settings_certificate_names, NULL, 0, MILLION),
};
static const struct conf_table CERTIFICATE_TABLE = CONF_TABLE(CERTIFICATE_KEYS, struct tls_certificate);

static const struct conf_key TLS_KEYS[] = {
    { .name = "certificates",
      .type = CONF_OBJECTS,
      CONF_MEMBER(struct tls_settings, certificate),
      .table = &CERTIFICATE_TABLE,
      .max = 10000,
      .count_offset = offsetof(struct tls_settings, certificates) },
    WORD(tls_settings, min_version, "1.2", TLS_VERSION_WORDS),
    STRING(tls_settings, ciphers, NULL, 1, 4000),
    STRING(tls_settings, ciphersuites, NULL, 1, 4000),
    STRING(tls_settings, groups, NULL, 1, 4000),
    PATH(tls_settings, client_ca),
    WORD(tls_settings, verify_client, "none", VERIFY_CLIENT_WORDS),
    BOOL(tls_settings, session_tickets, "true"),
};
const struct conf_table settings_tls_table = CONF_TABLE(TLS_KEYS, struct tls_settings);

static const struct conf_key AUTH_KEYS[] = {
    WORD(auth_settings, mode, "off", AUTH_MODE_WORDS),
    { ROW(CONF_LIST, auth_settings, mechanisms), .text = &settings_mechanisms, .def = "PLAIN LOGIN", .min = 1,
      .max = 64 },
    WORD(auth_settings, backend, "upstream", AUTH_BACKEND_WORDS),
    PATH(auth_settings, file),
    { .name = "socket", .type = CONF_TEXT, .text = &settings_auth_socket },
    BOOL(auth_settings, require_tls, "true"),
    STRING(auth_settings, required_message, "Authentication required", 1, 200),
};
const struct conf_table settings_auth_table = CONF_TABLE(AUTH_KEYS, struct auth_settings);

static const struct conf_key LIMITS_KEYS[] = {
    UINT(limits_settings, max_connections, "10000", 1, MILLION),
    UINT(limits_settings, max_connections_per_client, "0", 0, MILLION),
    UINT(limits_settings, max_rate_per_client, "0", 0, MILLION),
    UINT(limits_settings, max_recipients, "1000", 1, MILLION),
    SIZE(limits_settings, max_command_length, "2KiB", 512, KIB(32)),
    UINT(limits_settings, max_unrecognized_commands, "10", 1, MILLION),
    UINT(limits_settings, max_unauthenticated_commands, "10", 0, MILLION),
    UINT(limits_settings, max_auth_failures, "3", 1, MILLION),
    UNBUILT("max_messages_per_user", "0"),
    UNBUILT("max_recipients_per_user", "0"),
    UNBUILT("max_messages_per_client", "0"),
    { ROW(CONF_SIZE, limits_settings, memory), .def = "0", .min = MIB(1), .max = SIZE_TOP, .zero_too = true },
    UINT(limits_settings, max_received, "100", 0, MILLION),
    SIZE(limits_settings, proxy_header, "4096", 256, 65551),
};
const struct conf_table settings_limits_table = CONF_TABLE(LIMITS_KEYS, struct limits_settings);

static const struct conf_key TIMEOUTS_KEYS[] = {
    TIME(timeouts_settings, greeting, "30s", MS(1), DAY), TIME(timeouts_settings, command, "5m", MS(1), DAY),
    TIME(timeouts_settings, data, "3m", MS(1), DAY),      TIME(timeouts_settings, shutdown, "30s", 0, DAY),
    TIME(timeouts_settings, dns, "1500ms", MS(1), DAY),
};
const struct conf_table settings_timeouts_table = CONF_TABLE(TIMEOUTS_KEYS, struct timeouts_settings);

#define HEALTH(key, kind, text, least, most)                                                                           \
    {                                                                                                                  \
        .name = #key, .type = (kind), CONF_MEMBER(struct upstream_settings, health.key), .def = (text),                \
        .min = (least), .max = (most)                                                                                  \
    }
static const struct conf_key HEALTH_KEYS[] = {
    HEALTH(failures, CONF_UINT, "3", 1, MILLION),
    HEALTH(rest, CONF_DURATION, "10s", MS(1), DAY),
    HEALTH(probe, CONF_DURATION, "5s", MS(1), DAY),
};
#define WAIT(key, text)                                                                                                \
    {                                                                                                                  \
        .name = #key, .type = CONF_DURATION, CONF_MEMBER(struct upstream_settings, timeouts.key), .def = (text),       \
        .min = MS(1), .max = DAY                                                                                       \
    }
static const struct conf_key UPSTREAM_TIMEOUTS_KEYS[] = {
    WAIT(connect, "10s"),   WAIT(greeting, "30s"),  WAIT(prepare, "30s"),  WAIT(command, "4m30s"),
    WAIT(data_start, "2m"), WAIT(data_block, "3m"), WAIT(data_end, "10m"),
};
/* Their offsets are those in upstream_settings: they stand at offset 0 of it. */
static const struct conf_table HEALTH_TABLE = CONF_TABLE(HEALTH_KEYS, struct upstream_settings);
static const struct conf_table UPSTREAM_TIMEOUTS_TABLE = CONF_TABLE(UPSTREAM_TIMEOUTS_KEYS, struct upstream_settings);

static const struct conf_key UPSTREAM_KEYS[] = {
    WHOLE_LIST("servers", &settings_servers, "127.0.0.1:25", 1, 64),
    WORD(upstream_settings, protocol, "smtp", PROTOCOL_WORDS),
    WORD(upstream_settings, balance, "failover", BALANCE_WORDS),
    WORD(upstream_settings, tls, "opportunistic", UPSTREAM_TLS_WORDS),
    BOOL(upstream_settings, tls_verify, "false"),
    PATH(upstream_settings, tls_ca),
    { ROW(CONF_TEXT, upstream_settings, tls_name), .text = &settings_tls_name },
    PATH(upstream_settings, tls_cert),
    PATH(upstream_settings, tls_key),
    { ROW(CONF_TEXT, upstream_settings, hostname), .text = &settings_hostname },
    WORD(upstream_settings, connect, "helo", CONNECT_WORDS),
    WORD(upstream_settings, identity, "auto", IDENTITY_WORDS),
    STRING(upstream_settings, username, NULL, 1, 255),
    PATH(upstream_settings, password_file),
    WORD(upstream_settings, pool, "session", POOL_WORDS),
    UNBUILT("pool_size", "100"),
    UNBUILT("pool_idle", "\"60s\""),
    UNBUILT("pool_max_uses", "100"),
    UNBUILT("pool_max_age", "\"10m\""),
    UINT(upstream_settings, max_connections, "0", 0, MILLION),
    { .name = "health", .type = CONF_OBJECT, .table = &HEALTH_TABLE },
    { .name = "timeouts", .type = CONF_OBJECT, .table = &UPSTREAM_TIMEOUTS_TABLE },
};
const struct conf_table settings_upstream_table = CONF_TABLE(UPSTREAM_KEYS, struct upstream_settings);

static const struct conf_key POLICY_KEYS[] = {
    UNBUILT("server", NULL),
    UNBUILT("stages", NULL),
    UNBUILT("timeout", NULL),
    UNBUILT("on_failure", NULL),
};
static const struct conf_table POLICY_TABLE = { .key = POLICY_KEYS, .count = ARRAY_LEN(POLICY_KEYS) };

static const struct conf_key LISTENER_KEYS[] = {
    { ROW(CONF_STRING, listener_settings, name), .min = 1, .max = 300 },
    { .name = "address", .type = CONF_TEXT, .text = &settings_address },
    { .name = "server",
      .type = CONF_INLINE,
      CONF_MEMBER(struct listener_settings, server),
      .table = &settings_server_table },
    { .name = "tls", .type = CONF_INLINE, CONF_MEMBER(struct listener_settings, tls), .table = &settings_tls_table },
    OBJECT("auth", listener_settings, auth, &settings_auth_table),
    OBJECT("limits", listener_settings, limits, &settings_limits_table),
    OBJECT("timeouts", listener_settings, timeouts, &settings_timeouts_table),
    OBJECT("upstream", listener_settings, upstream, &settings_upstream_table),
    UNBUILT_OBJECT("policy", &POLICY_TABLE),
};
static const struct conf_table LISTENER_TABLE = CONF_TABLE(LISTENER_KEYS, struct listener_settings);

static void prepare_listener(void *element, const void *parent)
{
    struct listener_settings *l = element;
    const struct settings *s = parent;
    conf_copy(&settings_server_table, &l->server, &s->base.server);
    conf_copy(&settings_tls_table, &l->tls, &s->base.tls);
    conf_copy(&settings_auth_table, &l->auth, &s->base.auth);
    conf_copy(&settings_limits_table, &l->limits, &s->limits);
    conf_copy(&settings_timeouts_table, &l->timeouts, &s->timeouts);
    conf_copy(&settings_upstream_table, &l->upstream, &s->base.upstream);
}

static const struct conf_key OUTPUT_KEYS[] = {
    { ROW(CONF_WORD, output_settings, type), .def = "stdout", .words = OUTPUT_TYPE_WORDS, .required = true },
    { ROW(CONF_STRING, output_settings, path), .min = 1, .max = 4000 },
    { ROW(CONF_TEXT, output_settings, mode), .text = &settings_file_mode },
    { ROW(CONF_SIZE, output_settings, rotate_size), .def = "0", .min = KIB(16), .max = SIZE_TOP, .zero_too = true,
      .applies = settings_output_has },
    { ROW(CONF_UINT, output_settings, rotate_keep), .def = "10", .min = 1, .max = 1000,
      .applies = settings_output_has },
    STRING(output_settings, group, NULL, 1, 256),
    WORD(output_settings, format, "native", FORMAT_WORDS),
    WORD(output_settings, level, "debug", LEVEL_WORDS),
    WORD(output_settings, overflow, "block", OVERFLOW_WORDS),
    SIZE(output_settings, queue_size, "16MiB", KIB(64), GIB(16)),
    { .name = "address", .type = CONF_TEXT, .text = &settings_output_address },
    { ROW(CONF_WORD, output_settings, framing), .def = "newline", .words = FRAMING_WORDS,
      .applies = settings_output_has },
    STRING(output_settings, brokers, NULL, 1, 4000),
    STRING(output_settings, topic, NULL, 1, 249),
    { ROW(CONF_MAP, output_settings, options), .text = &settings_kafka_options, .applies = settings_output_has },
    { ROW(CONF_BOOL, output_settings, tls), .def = "false", .applies = settings_output_has },
    PATH(output_settings, tls_ca),
    PATH(output_settings, tls_cert),
    PATH(output_settings, tls_key),
};
static const struct conf_table OUTPUT_TABLE = CONF_TABLE(OUTPUT_KEYS, struct output_settings);

char *settings_print_output(const struct output_settings *o) { return conf_print(&OUTPUT_TABLE, o); }

static void prepare_output(void *element, const void *parent)
{
    struct output_settings *o = element;
    const struct log_settings *log = parent;
    conf_defaults(&OUTPUT_TABLE, o);
    o->format = log->format;
    o->level = log->level;
    o->overflow = log->overflow;
    o->queue_size = log->queue_size;
}

static const struct conf_word REDACT_WORDS[] = { { "keep", REDACT_KEEP, false },
                                                 { "hash", REDACT_HASH, false },
                                                 { "mask", REDACT_MASK, false },
                                                 { "drop", REDACT_DROP, false },
                                                 { NULL, 0, false } };
#define RULE(key)                                                                                                      \
    {                                                                                                                  \
        .name = #key, .type = CONF_WORD, CONF_MEMBER(struct log_settings, redact.key), .def = "keep",                  \
        .words = REDACT_WORDS                                                                                          \
    }
static const struct conf_key REDACT_KEYS[] = {
    RULE(addresses),
    RULE(client_ip),
    RULE(username),
    RULE(subject),
    { .name = "key_file",
      .type = CONF_STRING,
      CONF_MEMBER(struct log_settings, redact_key_file),
      .min = 1,
      .max = 4000 },
};
/* Its offsets are those in log_settings: it stands at offset 0 of it. */
static const struct conf_table REDACT_TABLE = CONF_TABLE(REDACT_KEYS, struct log_settings);

/* The outputs come last: they inherit from the rows above. */
static const struct conf_key LOG_KEYS[] = {
    { ROW(CONF_STRING, log_settings, component), .def = "smtptap", .min = 1, .max = 64 },
    WORD(log_settings, format, "native", FORMAT_WORDS),
    WORD(log_settings, level, "debug", LEVEL_WORDS),
    WORD(log_settings, overflow, "block", OVERFLOW_WORDS),
    TIME(log_settings, block_timeout, "30s", 0, DAY),
    WORD(log_settings, sync, "none", SYNC_WORDS),
    WORD(log_settings, transcript, "always", TRANSCRIPT_WORDS),
    SIZE(log_settings, queue_size, "16MiB", KIB(64), GIB(16)),
    WHOLE_LIST("headers", &settings_headers, "message-id from", 0, SMTP_HEADER_WANT_MAX),
    { .name = "redact", .type = CONF_OBJECT, .table = &REDACT_TABLE },
    WORD(log_settings, integrity, "off", INTEGRITY_WORDS),
    PATH(log_settings, integrity_key_file),
    LIST(log_settings, ignore_clients, &conf_cidr_list, NULL, MILLION),
    SIZE(log_settings, max_record, "8000", KIB(1), MIB(1)),
    BOOL(log_settings, cookie, "false"),
    OBJECTS(log_settings, outputs, output, &OUTPUT_TABLE, 16, prepare_output),
};
static const struct conf_table LOG_TABLE = CONF_TABLE(LOG_KEYS, struct log_settings);

void settings_add_output(struct log_settings *log) { conf_objects_add(&LOG_KEYS[ARRAY_LEN(LOG_KEYS) - 1], log); }

static const struct conf_key ADMIN_KEYS[] = { UNBUILT("address", NULL), UNBUILT("token_file", NULL) };
static const struct conf_table ADMIN_TABLE = { .key = ADMIN_KEYS, .count = ARRAY_LEN(ADMIN_KEYS) };

static const struct conf_key DNS_KEYS[] = { WHOLE_LIST("servers", &settings_dns_servers, NULL, 0, 16) };
static const struct conf_table DNS_TABLE = CONF_TABLE(DNS_KEYS, struct settings);

/* The listeners come last: they inherit from the rows above. conf_read() passes over them, so that -u comes before. */
static const struct conf_key TOP_KEYS[] = {
    { ROW(CONF_UINT, settings, workers), .def = "auto", .zero = "auto", .min = 1, .max = 256 },
    STRING(settings, user, NULL, 1, 256),
    STRING(settings, group, NULL, 1, 256),
    { .name = "dns", .type = CONF_OBJECT, .table = &DNS_TABLE },
    OBJECT("server", settings, base.server, &settings_server_table),
    OBJECT("tls", settings, base.tls, &settings_tls_table),
    OBJECT("auth", settings, base.auth, &settings_auth_table),
    OBJECT("limits", settings, limits, &settings_limits_table),
    OBJECT("timeouts", settings, timeouts, &settings_timeouts_table),
    OBJECT("upstream", settings, base.upstream, &settings_upstream_table),
    UNBUILT_OBJECT("policy", &POLICY_TABLE),
    OBJECT("log", settings, log, &LOG_TABLE),
    UNBUILT_OBJECT("admin", &ADMIN_TABLE),
    OBJECTS(settings, listeners, listener, &LISTENER_TABLE, 1024, prepare_listener),
};
const struct conf_table settings_table = CONF_TABLE(TOP_KEYS, struct settings);

void settings_add_listener(struct settings *s) { conf_objects_add(&TOP_KEYS[ARRAY_LEN(TOP_KEYS) - 1], s); }
