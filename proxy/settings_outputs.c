/* The keys of log outputs: which an output of its type has, what lies between them, and what `check` looks at. */
#include "proxy/settings_tables.h"

#include "common/record/ecs.h"
#include "proxy/log/output.h"
#include "proxy/net/tls_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UDP_RECORD_MAX = 65000 };
#define OF(type) (1U << OUTPUT_##type)

/* Keys that not every type has. */
static const struct {
    const char *key, *whose;
    unsigned types; /* bits 1 << enum output_type */
} OWN_KEYS[] = {
    { "path", "file", OF(FILE) },
    { "mode", "file", OF(FILE) },
    { "group", "file", OF(FILE) },
    { "rotate_size", "file", OF(FILE) },
    { "rotate_keep", "file", OF(FILE) },
    { "address", "syslog, journald and tcp", OF(SYSLOG) | OF(JOURNALD) | OF(TCP) },
    { "framing", "syslog", OF(SYSLOG) },
    { "tls", "syslog, tcp and kafka", OF(SYSLOG) | OF(TCP) | OF(KAFKA) },
    { "tls_ca", "syslog, tcp and kafka", OF(SYSLOG) | OF(TCP) | OF(KAFKA) },
    { "tls_cert", "syslog, tcp and kafka", OF(SYSLOG) | OF(TCP) | OF(KAFKA) },
    { "tls_key", "syslog, tcp and kafka", OF(SYSLOG) | OF(TCP) | OF(KAFKA) },
    { "brokers", "kafka", OF(KAFKA) },
    { "topic", "kafka", OF(KAFKA) },
    { "options", "kafka", OF(KAFKA) },
};
static const char *const TLS_KEYS[] = { "tls", "tls_ca", "tls_cert", "tls_key" };

static bool may_have_tls(const struct output_settings *o)
{
    return o->type == OUTPUT_KAFKA || o->transport == TRANSPORT_TCP;
}

bool settings_output_has(const void *output, const struct conf_key *key)
{
    const struct output_settings *o = output;
    if (strcmp(key->name, "framing") == 0 && o->transport == TRANSPORT_UDP)
        return false;
    if (strcmp(key->name, "tls") == 0 && !may_have_tls(o))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(OWN_KEYS); i++) {
        if (strcmp(OWN_KEYS[i].key, key->name) == 0)
            return (OWN_KEYS[i].types >> o->type & 1) != 0;
    }
    return true;
}

static const struct {
    struct span scheme;
    enum output_transport transport;
} SCHEMES[] = { { { "udp:", 4 }, TRANSPORT_UDP }, { { "tcp:", 4 }, TRANSPORT_TCP }, { { "tls:", 4 }, TRANSPORT_TCP } };

static bool add_output_address(void *member, struct span text, const char **why)
{
    struct output_settings *o = member;
    struct span rest = text;
    o->transport = TRANSPORT_TCP;
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        if (!span_begins_nocase(text, SCHEMES[i].scheme))
            continue;
        o->transport = SCHEMES[i].transport;
        rest = span_skip(text, SCHEMES[i].scheme.n);
    }
    bool bare = rest.p == text.p;
    if (!endpoint_parse(&o->at, rest, why))
        return false;
    *why = "such as \"unix:/dev/log\", \"udp:192.0.2.1:514\", \"tls:log.example.com:6514\"";
    if (o->at.kind == ENDPOINT_SYSTEMD || (o->at.kind == ENDPOINT_UNIX && !bare))
        return false;
    if (o->at.kind == ENDPOINT_UNIX)
        o->transport = TRANSPORT_UNIX;
    *why = "the port must not be 0";
    if (o->at.kind != ENDPOINT_UNIX && o->at.addr.port == 0)
        return false;
    free(o->address);
    o->address = conf_dup(text);
    return true;
}
static bool print_output_address(const void *member, size_t i, struct buf *out)
{
    const struct output_settings *o = member;
    if (i > 0 || o->address == NULL)
        return false;
    buf_append_span(out, span_str(o->address));
    return true;
}
static void clear_output_address(void *member)
{
    struct output_settings *o = member;
    free(o->address);
    o->address = NULL;
    o->transport = TRANSPORT_NONE;
}
const struct conf_text settings_output_address = { "an address", add_output_address, print_output_address,
                                                   clear_output_address };

/* Those that librdkafka takes in clear. */
static const char *const KAFKA_SECRETS[] = { "sasl.password",
                                             "ssl.key.password",
                                             "ssl.key.pem",
                                             "ssl.keystore.password",
                                             "sasl.oauthbearer.client.secret",
                                             "sasl.oauthbearer.config" };
static const char *const KAFKA_OURS[] = { "bootstrap.servers", "metadata.broker.list" };

static bool is_one_of(const char *const *list, size_t n, struct span name)
{
    for (size_t i = 0; i < n; i++) {
        if (span_eq(span_str(list[i]), name))
            return true;
    }
    return false;
}

static bool add_kafka_option(void *member, struct span text, const char **why)
{
    struct kafka_options *o = member;
    const char *equals = memchr(text.p, '=', text.n);
    struct span name = span_head(text, equals != NULL ? (size_t)(equals - text.p) : text.n);
    *why = "a secret stands in a file of its own: put \".file\" behind the option's name, and the file's name as its "
           "value";
    if (is_one_of(KAFKA_SECRETS, ARRAY_LEN(KAFKA_SECRETS), name))
        return false;
    *why = "the servers stand in \"brokers\"";
    if (is_one_of(KAFKA_OURS, ARRAY_LEN(KAFKA_OURS), name))
        return false;
    *why = "of small letters, digits, '.' and '_'";
    if (name.n == 0 || strspn(text.p, "abcdefghijklmnopqrstuvwxyz0123456789._") < name.n)
        return false;
    o->name = conf_grow(o->name, o->count + 1, sizeof *o->name);
    o->value = conf_grow(o->value, o->count + 1, sizeof *o->value);
    o->name[o->count] = conf_dup(name);
    o->value[o->count++] = conf_dup(span_skip(text, name.n + 1));
    return true;
}
static bool print_kafka_option(const void *member, size_t i, struct buf *out)
{
    const struct kafka_options *o = member;
    if (i >= o->count)
        return false;
    buf_printf(out, "%s=%s", o->name[i], o->value[i]);
    return true;
}
static void clear_kafka_options(void *member)
{
    struct kafka_options *o = member;
    for (size_t i = 0; i < o->count; i++) {
        free(o->name[i]);
        free(o->value[i]);
    }
    free(o->name);
    free(o->value);
    *o = (struct kafka_options){ .count = 0 };
}
const struct conf_text settings_kafka_options = { "an option of librdkafka", add_kafka_option, print_kafka_option,
                                                  clear_kafka_options };

static const char *key_path(size_t i, const char *key, char out[SETTINGS_PATH])
{
    snprintf(out, SETTINGS_PATH, "log.outputs[%zu].%s", i, key);
    return out;
}

static bool is_remote(enum output_type type) { return type != OUTPUT_STDOUT && type != OUTPUT_FILE; }

static void complete_tls(struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    if (o->address == NULL || strncasecmp(o->address, "tls:", 4) != 0)
        return;
    if (conf_has(c, key_path(i, "tls", path)) && !o->tls)
        conf_fault(c, path, "the address says \"tls:\"");
    o->tls = true;
}

void settings_complete_outputs(struct settings *s, struct conf *c)
{
    char path[SETTINGS_PATH];
    const char *why;
    for (size_t i = 0; i < s->log.outputs; i++) {
        struct output_settings *o = &s->log.output[i];
        if (o->type == OUTPUT_FILE && o->mode == 0)
            o->mode = 0640;
        o->sync = o->type == OUTPUT_FILE ? s->log.sync : SYNC_NONE;
        if (o->type == OUTPUT_JOURNALD && !conf_has(c, key_path(i, "address", path)))
            add_output_address(o, SPAN_LIT("unix:/run/systemd/journal/socket"), &why);
        complete_tls(o, c, i);
        if (o->tls && !conf_has(c, key_path(i, "framing", path)))
            o->framing = FRAMING_OCTET;
        if (is_remote(o->type) && !conf_has(c, key_path(i, "overflow", path)) && !conf_has(c, "log.overflow"))
            o->overflow = OVERFLOW_DROP;
        o->cookie = s->log.cookie;
        snprintf(path, sizeof path, "log.outputs[%zu]", i);
        o->place = conf_place(c, path);
    }
}

void settings_close_outputs(struct settings *s)
{
    for (size_t i = 0; i < s->log.outputs; i++)
        free(s->log.output[i].place);
}

static void verify_own_keys(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    for (size_t k = 0; k < ARRAY_LEN(OWN_KEYS); k++) {
        if ((OWN_KEYS[k].types >> o->type & 1) == 0 && conf_has(c, key_path(i, OWN_KEYS[k].key, path)))
            conf_fault(c, path, "this key is for outputs of type %s", OWN_KEYS[k].whose);
    }
}

static bool same(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

static bool same_output(const struct output_settings *a, const struct output_settings *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case OUTPUT_STDOUT:
        return true;
    case OUTPUT_FILE:
        return same(a->path, b->path);
    case OUTPUT_SYSLOG:
    case OUTPUT_JOURNALD:
    case OUTPUT_TCP:
        return same(a->address, b->address);
    case OUTPUT_KAFKA:
        return same(a->brokers, b->brokers) && same(a->topic, b->topic);
    }
    return false;
}

/* Its type was read: what is said of other keys is about that type. */
static bool type_known(struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    key_path(i, "type", path);
    return conf_has(c, path) && !conf_faulty(c, path);
}

static void verify_needed(struct conf *c, size_t i, const char *key)
{
    char path[SETTINGS_PATH], whole[SETTINGS_PATH];
    snprintf(whole, sizeof whole, "log.outputs[%zu]", i);
    if (!conf_has(c, key_path(i, key, path)))
        conf_fault(c, whole, "\"%s\" is missing", key);
}

static void verify_kafka(const struct output_settings *o, struct conf *c, size_t i)
{
    char option[128], why[OUTPUT_WHY_MAX], path[SETTINGS_PATH + sizeof option];
    if (o->brokers == NULL || o->topic == NULL || output_kafka_check(o, option, sizeof option, why))
        return;
    snprintf(path, sizeof path, "log.outputs[%zu].options", i);
    conf_fault(c, path, "%s: %s", option, why);
}

/* "log.outputs[0].tls_ca: text" */
static void on_tls_fault(void *arg, const char *text)
{
    struct conf *c = arg;
    char path[SETTINGS_PATH];
    size_t n = strcspn(text, ":");
    snprintf(path, sizeof path, "%.*s", (int)n, text);
    conf_fault(c, path, "%s", text[n] != '\0' ? text + n + 2 : "");
}

static void verify_tls(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH], where[SETTINGS_PATH];
    bool pair = (o->tls_cert != NULL) == (o->tls_key != NULL);
    for (size_t k = 0; k < ARRAY_LEN(TLS_KEYS); k++) {
        if (!conf_has(c, key_path(i, TLS_KEYS[k], path)))
            continue;
        if (!may_have_tls(o))
            conf_fault(c, path, "this key is for outputs over TCP");
        else if (!o->tls && k > 0)
            conf_fault(c, path, "needs \"tls\": true");
    }
    if (!pair)
        conf_fault(c, key_path(i, o->tls_cert != NULL ? "tls_cert" : "tls_key", path), "needs %s beside it",
                   o->tls_cert != NULL ? "tls_key" : "tls_cert");
    if (!o->tls || !may_have_tls(o))
        return;
    snprintf(where, sizeof where, "log.outputs[%zu]", i);
    struct tls_client *t = tls_link_client(o->tls_ca, o->tls_cert, o->tls_key, where, on_tls_fault, c);
    tls_client_unref(&t);
}

static void verify_address(const struct output_settings *o, struct conf *c, size_t i, size_t max_record)
{
    char path[SETTINGS_PATH], framing[SETTINGS_PATH];
    bool bare = o->address != NULL && o->transport == TRANSPORT_TCP && strncasecmp(o->address, "tcp:", 4) != 0 &&
                strncasecmp(o->address, "tls:", 4) != 0;
    key_path(i, "address", path);
    if (o->address == NULL)
        return;
    if (o->type == OUTPUT_TCP && !bare)
        conf_fault(c, path, "\"%s\" is not \"host:port\"", o->address);
    if (o->type == OUTPUT_JOURNALD && o->transport != TRANSPORT_UNIX)
        conf_fault(c, path, "\"%s\" is not a unix socket", o->address);
    if (o->type == OUTPUT_SYSLOG && bare)
        conf_fault(c, path, "\"%s\" does not begin with unix:, udp:, tcp: or tls:", o->address);
    if (o->transport == TRANSPORT_UDP && conf_has(c, key_path(i, "framing", framing)))
        conf_fault(c, framing, "a datagram has no framing");
    if (o->transport == TRANSPORT_UDP && max_record > UDP_RECORD_MAX)
        conf_fault(c, "log.max_record", "must be at most %d for syslog over UDP", UDP_RECORD_MAX);
}

static void verify_type(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[SETTINGS_PATH];
    snprintf(path, sizeof path, "log.outputs[%zu]", i);
    verify_own_keys(o, c, i);
    if (o->type == OUTPUT_FILE)
        verify_needed(c, i, "path");
    if (o->type == OUTPUT_SYSLOG || o->type == OUTPUT_TCP)
        verify_needed(c, i, "address");
    if (o->type == OUTPUT_KAFKA) {
        verify_needed(c, i, "brokers");
        verify_needed(c, i, "topic");
        verify_kafka(o, c, i);
    }
    verify_address(o, c, i, s->log.max_record);
    if (is_remote(o->type))
        verify_tls(o, c, i);
    for (size_t j = 0; j < i; j++) {
        if (type_known(c, j) && same_output(o, &s->log.output[j])) {
            conf_fault(c, path, "this is the same output as log.outputs[%zu]", j);
            break;
        }
    }
    if (o->rotate_size > 0 && o->rotate_size < s->log.max_record)
        conf_fault(c, key_path(i, "rotate_size", path), "must be at least log.max_record");
}

static void verify_output(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[SETTINGS_PATH];
    if (type_known(c, i))
        verify_type(s, c, i);
    if (o->queue_size / 8 < s->log.max_record)
        conf_fault(c, conf_has(c, key_path(i, "queue_size", path)) ? path : "log.queue_size",
                   "must be at least 8 times log.max_record");
    if (o->format == FORMAT_ECS && s->log.max_record < RECORD_ECS_MIN_MAX)
        conf_fault(c, conf_has(c, "log.max_record") ? "log.max_record" : "log.format",
                   "must be at least %d with format ecs", RECORD_ECS_MIN_MAX);
    settings_verify_group(c, key_path(i, "group", path), o->group);
}

/* `message` records are of level info. */
static void verify_sync(const struct settings *s, struct conf *c)
{
    if (s->log.sync == SYNC_NONE)
        return;
    for (size_t i = 0; i < s->log.outputs; i++) {
        if (s->log.output[i].type == OUTPUT_FILE && s->log.output[i].level >= LEVEL_INFO)
            return;
    }
    conf_fault(c, "log.sync", "needs an output of type file with level info or debug");
}

static void verify_transcript(const struct settings *s, struct conf *c)
{
    enum level most = LEVEL_ERROR;
    for (size_t i = 0; i < s->log.outputs; i++)
        most = s->log.output[i].level > most ? s->log.output[i].level : most;
    if (s->log.transcript == TRANSCRIPT_FAILED && most < LEVEL_DEBUG)
        conf_fault(c, "log.transcript", "\"failed\" needs an output with level debug");
}

void settings_verify_outputs(const struct settings *s, struct conf *c)
{
    verify_sync(s, c);
    verify_transcript(s, c);
    for (size_t i = 0; i < s->log.outputs; i++)
        verify_output(s, c, i);
    settings_verify_files(&s->log, c);
}

static void inspect_file(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH], rotate[SETTINGS_PATH];
    struct stat st;
    bool there = stat(o->path, &st) == 0;
    key_path(i, "path", path);
    if (!there && errno == ENOENT)
        settings_inspect_directory(c, path, o->path);
    else if (!there)
        conf_fault(c, path, "\"%s\": %s", o->path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        conf_fault(c, path, "\"%s\" is a directory", o->path);
    else if (access(o->path, W_OK) != 0)
        conf_fault(c, path, "\"%s\" can't be written: %s", o->path, strerror(errno));
    else if (o->rotate_size > 0 && !S_ISREG(st.st_mode))
        conf_fault(c, key_path(i, "rotate_size", rotate), "\"%s\" is not a regular file", o->path);
    else if (o->rotate_size > 0)
        settings_inspect_directory(c, rotate, o->path);
}

/* A daemon may come later. */
static void inspect_socket(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    struct stat st;
    key_path(i, "address", path);
    if (stat(o->at.host, &st) != 0)
        conf_warn(c, path, "\"%s\": %s", o->at.host, strerror(errno));
    else if (!S_ISSOCK(st.st_mode))
        conf_fault(c, path, "\"%s\" is not a socket", o->at.host);
}

void settings_inspect_outputs(const struct settings *s, struct conf *c)
{
    bool syslog = false;
    for (size_t i = 0; i < s->log.outputs; i++) {
        const struct output_settings *o = &s->log.output[i];
        if (o->type == OUTPUT_FILE && o->path != NULL)
            inspect_file(o, c, i);
        if (o->transport == TRANSPORT_UNIX)
            inspect_socket(o, c, i);
        syslog |= o->type == OUTPUT_SYSLOG;
    }
    if (s->log.cookie && !syslog)
        conf_warn(c, "log.cookie", "is for syslog outputs, and there is none");
}
