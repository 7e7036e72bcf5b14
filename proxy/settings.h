/* The effective configuration: an immutable, counted snapshot. A reload makes a new one; sessions keep theirs
 * (config.md). */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include <stdatomic.h>

#include "common/netaddr.h"
#include "common/record/redact.h"
#include "common/smtp/body.h"
#include "common/smtp/caps.h"
#include "common/smtp/command.h"
#include "common/smtp/header.h"
#include "common/smtp/reply.h"
#include "common/smtp/sasl.h"

struct userfile;

enum server_protocol { PROTOCOL_SMTP, PROTOCOL_LMTP };
enum server_tls { SERVER_TLS_NONE, SERVER_TLS_STARTTLS, SERVER_TLS_IMPLICIT };
enum received_mode { RECEIVED_AUTO, RECEIVED_ON, RECEIVED_OFF };
enum auth_mode { AUTH_OFF, AUTH_OPTIONAL, AUTH_REQUIRED };
enum auth_backend { AUTH_BACKEND_UPSTREAM, AUTH_BACKEND_FILE, AUTH_BACKEND_DOVECOT };
enum upstream_tls { UPSTREAM_TLS_NONE, UPSTREAM_TLS_OPPORTUNISTIC, UPSTREAM_TLS_REQUIRED, UPSTREAM_TLS_IMPLICIT };
enum upstream_connect { CONNECT_HELO, CONNECT_CONNECTION };
enum upstream_identity {
    IDENTITY_AUTO,
    IDENTITY_XCLIENT,
    IDENTITY_XFORWARD,
    IDENTITY_PROXY_V1,
    IDENTITY_PROXY_V2,
    IDENTITY_NONE
};
enum upstream_balance { BALANCE_FAILOVER, BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTIONS };
enum upstream_pool { POOL_SESSION, POOL_TRANSACTION };

struct server_settings {
    char *hostname, *banner, *helo_response;
    enum server_protocol protocol;
    enum server_tls tls;
    bool require_tls;
    struct cidr_list proxy_protocol, xclient, xforward;
    smtp_cap_set hide_extensions;
    uint32_t disabled_commands; /* bit 1 << enum smtp_verb */
    uint64_t max_message_size;
    bool lenient_addresses;
    enum smtp_bare_newline bare_newline;
    bool reverse_dns;
    usec_t greet_delay;
    enum received_mode received_header;
};

enum tls_verify_client { VERIFY_CLIENT_NONE, VERIFY_CLIENT_OPTIONAL, VERIFY_CLIENT_REQUIRED };

struct tls_certificate {
    char *cert, *key; /* files */
    char **name;      /* empty: those in the certificate */
    size_t names;
};

struct tls_settings {
    struct tls_certificate *certificate;
    size_t certificates;
    unsigned min_version;                  /* as OpenSSL counts: 0x0301 to 0x0304 */
    char *ciphers, *ciphersuites, *groups; /* NULL: OpenSSL's */
    char *client_ca;
    enum tls_verify_client verify_client;
    bool session_tickets;
};

struct auth_settings {
    enum auth_mode mode;
    sasl_set mechanisms;
    enum auth_backend backend;
    char *file; /* NULL: not set */
    struct endpoint socket;
    char *socket_text; /* as written; NULL: not set */
    bool require_tls;
    char *required_message;
    char *required_wire; /* the reply that has it; in listeners only; owned */
    struct smtp_reply required;
};

struct limits_settings {
    unsigned max_connections, max_connections_per_client, max_rate_per_client, max_recipients;
    size_t max_command_length;
    unsigned max_unrecognized_commands, max_unauthenticated_commands, max_auth_failures, max_received;
    uint64_t memory;
    size_t proxy_header;
};

struct timeouts_settings {
    usec_t greeting, command, data, shutdown, dns;
};

struct upstream_server {
    char *text; /* as written: the `server` of records */
    struct endpoint at;
};

struct upstream_settings {
    struct upstream_server *server;
    size_t servers;
    enum server_protocol protocol;
    enum upstream_balance balance;
    enum upstream_tls tls;
    bool tls_verify;
    bool credentials; /* logins go this way */
    bool tls_guarded; /* for that, opportunistic means required, to all but unix and loopback addresses; `tls` is
                       * REQUIRED already where no server stands for one of these, but a name may yet lead to one */
    char *tls_ca, *tls_name, *tls_cert, *tls_key; /* NULL: not set */
    struct tls_client *tls_client;                /* a reference; NULL where tls is none */
    char *username, *password_file;               /* NULL: not set */
    char *password;                               /* what the file holds; in listeners only; owned, wiped */
    struct smtp_prints *password_prints;          /* of it; owned; NULL: none */
    char *hostname;
    enum upstream_connect connect;
    enum upstream_identity identity;
    bool identity_named; /* the key stands in the configuration with another value than "auto" */
    enum upstream_pool pool;
    unsigned max_connections;
    struct {
        unsigned failures;
        usec_t rest, probe;
    } health;
    struct {
        usec_t connect, greeting, prepare, command, data_start, data_block, data_end;
    } timeouts;
};

struct listener_settings {
    char *name; /* default: the address as written */
    char *address_text;
    struct endpoint address;
    struct server_settings server;
    struct tls_settings tls;
    struct tls_server *tls_server; /* a reference; NULL where server.tls is none */
    struct auth_settings auth;
    struct userfile *users;        /* a reference; NULL: auth.backend is not file */
    struct limits_settings limits; /* max_connections here is the listener's own; the global one is settings.limits */
    struct timeouts_settings timeouts;
    struct upstream_settings upstream;
};

enum output_type { OUTPUT_STDOUT, OUTPUT_FILE, OUTPUT_SYSLOG, OUTPUT_JOURNALD, OUTPUT_TCP, OUTPUT_KAFKA };
enum output_transport { TRANSPORT_NONE, TRANSPORT_UNIX, TRANSPORT_UDP, TRANSPORT_TCP };
enum output_framing { FRAMING_NEWLINE, FRAMING_OCTET };

/* Names and values, as librdkafka has them; a name that ends in ".file" stands for one without it, whose value is in
 * that file. */
struct kafka_options {
    char **name, **value;
    size_t count;
};
enum log_overflow { OVERFLOW_BLOCK, OVERFLOW_DROP, OVERFLOW_TEMPFAIL };
enum log_sync { SYNC_NONE, SYNC_WRITE, SYNC_FSYNC };
enum log_transcript { TRANSCRIPT_ALWAYS, TRANSCRIPT_FAILED };
enum log_integrity { INTEGRITY_OFF, INTEGRITY_CHAIN };
enum log_format { FORMAT_NATIVE, FORMAT_ECS, FORMAT_COUNT };

struct output_settings {
    enum output_type type;
    char *path;
    char *group;
    unsigned mode;
    uint64_t rotate_size; /* 0: never */
    unsigned rotate_keep;
    char *address; /* as written */
    struct endpoint at;
    enum output_transport transport;
    enum output_framing framing;
    bool cookie;
    bool tls;
    char *tls_ca, *tls_cert, *tls_key;
    char *brokers, *topic;
    struct kafka_options options;
    enum log_format format;
    enum level level;
    enum log_overflow overflow;
    size_t queue_size;
    enum log_sync sync; /* of log, for files */
    char *place;        /* in the configuration, for faults that its opening finds; NULL: not known */
};

/* A key's bytes, owned. */
struct log_key {
    char *p; /* NULL: there is none */
    size_t n;
};

struct log_settings {
    char *component;
    /* What an output has that names no value of its own. */
    enum log_format format;
    enum level level;
    enum log_overflow overflow;
    size_t queue_size;
    struct output_settings *output;
    size_t outputs;
    usec_t block_timeout;
    enum log_sync sync;
    enum log_transcript transcript;
    size_t max_record;
    bool cookie;
    struct smtp_header_want headers; /* names in lower case; "message-id" always first */
    bool want_message_id, want_subject;
    char *header_names[SMTP_HEADER_WANT_MAX]; /* owned; as headers.name */
    struct redact_rules redact;
    char *redact_key_file; /* NULL: not set */
    struct log_key redact_key;
    enum log_integrity integrity;
    char *integrity_key_file;     /* NULL: not set */
    struct log_key integrity_key; /* only where integrity is on */
    struct cidr_list ignore_clients;
};

struct settings {
    atomic_uint refs;
    char *file;                    /* NULL: none was named */
    struct listener_settings base; /* the global sections, which listeners inherit; no listener itself */
    struct listener_settings *listener;
    size_t listeners;
    struct limits_settings limits;
    struct timeouts_settings timeouts;
    struct log_settings log;
    unsigned workers; /* 0: auto */
    char *user, *group;
    char **dns_servers;
    size_t dns_server_count;
};

/* A fault that a person is told of: "smtptap.json:14: upstream.tls: ..." without newline. */
typedef void settings_fault(void *arg, const char *text);

/* Reads `file` (NULL: the defaults), replaces the first listener's address by `listen` and upstream.servers (all
 * listeners that don't name their own) by `upstream` where they are not NULL. Reports every fault; NULL if there was
 * one. The caller has one reference. */
struct settings *settings_load(const char *file, const char *listen, const char *upstream, settings_fault *fault,
                               void *arg) MUST_CHECK;
/* The same from memory; name stands for the file in the faults (NULL: none). */
struct settings *settings_load_text(const char *name, struct span text, const char *listen, const char *upstream,
                                    settings_fault *fault, void *arg) MUST_CHECK;
/* Whether `text` can stand behind the command's option -l or -u; else why not. */
enum { SETTINGS_WHY_MAX = 512 };
bool settings_take_option(char option, const char *text, char why[SETTINGS_WHY_MAX]) MUST_CHECK;
/* `smtptap check`: also looks at what the configuration names, and warns of what is legal but risky. */
struct settings *settings_check(const char *file, settings_fault *fault, settings_fault *warn, void *arg) MUST_CHECK;
/* Reads a key from its file; NULL, or why there is none. The bytes are the caller's. */
const char *settings_read_key(const char *file, struct log_key *out) MUST_CHECK;
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings **s);
/* `smtptap check --print`: the effective configuration as JSON that settings_load would read to the same. Owned by the
 * caller. */
char *settings_print(const struct settings *s);
/* The same of one log output. */
char *settings_print_output(const struct output_settings *o);

#endif
