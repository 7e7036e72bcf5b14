/* The keys of AUTH: their types, and what lies between them and the keys of TLS and of the upstream. */
#include "proxy/settings_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/smtp/prints.h"
#include "proxy/relay/auth_backends.h"

static bool add_mechanism(void *member, struct span text, const char **why)
{
    enum sasl_mechanism m;
    *why = "of PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, XOAUTH2, OAUTHBEARER, EXTERNAL";
    if (!sasl_find(text, &m))
        return false;
    *(sasl_set *)member |= (sasl_set)1 << m;
    return true;
}
static bool print_mechanism(const void *member, size_t i, struct buf *out)
{
    sasl_set set = *(const sasl_set *)member;
    while (i-- > 0 && set != 0)
        set &= set - 1;
    if (set == 0)
        return false;
    buf_append_span(out, span_str(sasl_name((enum sasl_mechanism)__builtin_ctz(set))));
    return true;
}
static void clear_mechanisms(void *member) { *(sasl_set *)member = 0; }
const struct conf_text settings_mechanisms = { "a mechanism", add_mechanism, print_mechanism, clear_mechanisms };

static bool add_socket(void *member, struct span text, const char **why)
{
    struct auth_settings *a = member;
    struct endpoint at;
    if (!endpoint_parse(&at, text, why))
        return false;
    *why = "such as \"unix:/run/dovecot/auth-client\"";
    if (at.kind != ENDPOINT_UNIX)
        return false;
    a->socket = at;
    free(a->socket_text);
    a->socket_text = conf_dup(text);
    return true;
}
static bool print_socket(const void *member, size_t i, struct buf *out)
{
    const struct auth_settings *a = member;
    if (i > 0 || a->socket_text == NULL)
        return false;
    buf_append_span(out, span_str(a->socket_text));
    return true;
}
static void clear_socket(void *member)
{
    struct auth_settings *a = member;
    free(a->socket_text);
    a->socket_text = NULL;
}
const struct conf_text settings_auth_socket = { "a unix socket", add_socket, print_socket, clear_socket };

static bool relays(const struct auth_settings *a) { return a->mode != AUTH_OFF && a->backend == AUTH_BACKEND_UPSTREAM; }

static void make_required(struct auth_settings *a)
{
    struct buf wire;
    if (a->required_message == NULL)
        return;
    buf_init(&wire, NULL);
    buf_printf(&wire, "530 5.7.0 %s\r\n", a->required_message);
    a->required_wire = conf_dup(buf_span(&wire));
    a->required = smtp_reply_read(span_str(a->required_wire));
    buf_free(&wire);
}

static void wipe(char **secret)
{
    if (*secret != NULL)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

void settings_close_auth(struct settings *s)
{
    for (size_t i = 0; i < s->listeners; i++) {
        free(s->listener[i].auth.required_wire);
        wipe(&s->listener[i].upstream.password);
        smtp_prints_free(&s->listener[i].upstream.password_prints);
    }
}

void settings_complete_auth(struct settings *s)
{
    s->base.upstream.credentials = relays(&s->base.auth) || s->base.upstream.username != NULL;
    for (size_t i = 0; i < s->listeners; i++) {
        struct listener_settings *l = &s->listener[i];
        l->upstream.credentials = relays(&l->auth) || l->upstream.username != NULL;
        make_required(&l->auth);
    }
}

static void verify_backend(const struct auth_settings *a, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH], own[SETTINGS_PATH];
    const char *place = settings_place(c, i, "auth.backend", "auth.backend", path);
    if (a->backend == AUTH_BACKEND_FILE && a->file == NULL &&
        !conf_faulty(c, settings_place(c, i, "auth.file", "auth.file", own)))
        conf_fault(c, place, "\"file\" needs auth.file");
    if (a->backend == AUTH_BACKEND_DOVECOT && a->socket_text == NULL &&
        !conf_faulty(c, settings_place(c, i, "auth.socket", "auth.socket", own)))
        conf_fault(c, place, "\"dovecot\" needs auth.socket");
}

/* Two logins can't share a connection. */
static void verify_own_login(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    const struct upstream_settings *u = &l->upstream;
    if ((u->username != NULL) != (u->password_file != NULL)) {
        const char *key = u->username != NULL ? "upstream.username" : "upstream.password_file";
        conf_fault(c, settings_place(c, i, key, key, path), "needs %s beside it",
                   u->username != NULL ? "password_file" : "username");
    }
    if (u->username != NULL && relays(&l->auth))
        conf_fault(c, settings_place(c, i, "upstream.username", "upstream.username", path),
                   "the clients of listener \"%s\" log in at the upstream (auth.backend \"upstream\"): "
                   "it can't be done for them as well",
                   l->name);
}

static void verify_upstream(const struct upstream_settings *u, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    for (size_t k = 0; u->credentials && u->tls == UPSTREAM_TLS_NONE && k < u->servers; k++) {
        if (settings_is_local(&u->server[k].at))
            continue;
        conf_fault(c, settings_place(c, i, "upstream.tls", "upstream.tls", path),
                   "\"none\" would send passwords in clear to \"%s\"", u->server[k].text);
        return;
    }
}

void settings_verify_auth(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        const struct listener_settings *l = &s->listener[i];
        if (l->auth.mode != AUTH_OFF)
            verify_backend(&l->auth, c, i);
        verify_own_login(l, c, i);
        verify_upstream(&l->upstream, c, i);
    }
}

/* Reads a file's first line into *out; the result is NULL, or what is wrong. The password stands in no other memory
 * afterwards. */
static const char *read_password(const char *file, char **out)
{
    char text[SASL_PASSWORD_MAX + 3];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    const char *why = n < 0 ? strerror(errno) : NULL;
    if (fd >= 0)
        close(fd);
    size_t len = n > 0 ? (size_t)n : 0;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r' && len + 1 == (size_t)n)
        len--;
    if (why == NULL && len == 0)
        why = "no password is in it";
    else if (why == NULL && len > SASL_PASSWORD_MAX)
        why = "a password may have 1024 bytes at the most";
    else if (why == NULL && (memchr(text, '\0', len) != NULL || memchr(text, '\n', len) != NULL))
        why = "one line with the password is wanted";
    if (why == NULL)
        *out = conf_dup(span_of(text, len));
    explicit_bzero(text, sizeof text);
    return why;
}

/* A server that knows the password may repeat it in any reply. */
static struct smtp_prints *print_password(const struct upstream_settings *u)
{
    unsigned char key[SMTP_PRINT_KEY];
    struct buf message, text;
    auth_random(key, sizeof(key));
    struct smtp_prints *p = smtp_prints_new(key);
    buf_init(&message, NULL);
    buf_init(&text, NULL);
    buf_append(&message, "", 1);
    buf_append_span(&message, span_str(u->username));
    buf_append(&message, "", 1);
    buf_append_span(&message, span_str(u->password));
    codec_base64_encode(&text, buf_span(&message));
    smtp_prints_add_response(p, SPAN_LIT("PLAIN"), 0, buf_span(&text));
    sasl_buf_free(&message);
    sasl_buf_free(&text);
    return p;
}

void settings_open_auth(struct settings *s, struct conf *c)
{
    char path[SETTINGS_PATH];
    for (size_t i = 0; i < s->listeners; i++) {
        struct upstream_settings *u = &s->listener[i].upstream;
        if (u->password_file == NULL)
            continue;
        const char *why = read_password(u->password_file, &u->password);
        if (why != NULL)
            conf_fault(c, settings_place(c, i, "upstream.password_file", "upstream.password_file", path), "\"%s\": %s",
                       u->password_file, why);
        else
            u->password_prints = print_password(u);
    }
}

static void warn_password_file(const struct upstream_settings *u, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    struct stat st;
    if (u->password != NULL && stat(u->password_file, &st) == 0 && (st.st_mode & S_IROTH) != 0)
        conf_warn(c, settings_place(c, i, "upstream.password_file", "upstream.password_file", path),
                  "everybody on this machine can read \"%s\"", u->password_file);
}

static void warn_listener(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    const struct auth_settings *a = &l->auth;
    if (a->mode == AUTH_OFF)
        return;
    if (a->mode == AUTH_OPTIONAL && a->require_tls && l->server.tls == SERVER_TLS_NONE)
        conf_warn(c, settings_place(c, i, "auth.mode", "auth.mode", path),
                  "listener \"%s\" never offers AUTH, for it has no TLS and auth.require_tls is true", l->name);
    if (!a->require_tls && !settings_is_local(&l->address))
        conf_warn(c, settings_place(c, i, "auth.require_tls", "auth.require_tls", path),
                  "clients of listener \"%s\" may send their passwords in clear", l->name);
    sasl_set never = SASL_BIT(EXTERNAL) | SASL_BIT(SCRAM_SHA_256_PLUS);
    if (a->backend == AUTH_BACKEND_UPSTREAM && (a->mechanisms & never) != 0)
        conf_warn(c, settings_place(c, i, "auth.mechanisms", "auth.mechanisms", path),
                  "EXTERNAL and SCRAM-SHA-256-PLUS can't be relayed: backend \"upstream\" never offers them");
}

void settings_inspect_auth(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        warn_listener(&s->listener[i], c, i);
        warn_password_file(&s->listener[i].upstream, c, i);
    }
}
