/* What only `smtptap check` does: looks at the files and sockets that the configuration names, and warns of what is
 * legal but risky. Nothing is opened, made or connected to. */
#include "proxy/settings_tables.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory of a file that is to be made. */
void settings_inspect_directory(struct conf *c, const char *path, const char *file)
{
    struct stat st;
    char *copy = conf_dup(span_str(file));
    const char *dir = dirname(copy);
    if (stat(dir, &st) != 0)
        conf_fault(c, path, "the directory \"%s\": %s", dir, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        conf_fault(c, path, "\"%s\" is not a directory", dir);
    else if (access(dir, W_OK | X_OK) != 0)
        conf_fault(c, path, "the directory \"%s\" can't be written: %s", dir, strerror(errno));
    free(copy);
}

static void inspect_listener_socket(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    struct stat st;
    if (l->address.kind != ENDPOINT_UNIX)
        return;
    snprintf(path, sizeof path, "listeners[%zu].address", i);
    if (stat(l->address.host, &st) == 0 && !S_ISSOCK(st.st_mode))
        conf_fault(c, path, "\"%s\" is there and is not a socket", l->address.host);
    else
        settings_inspect_directory(c, path, l->address.host);
}

static bool is_any(const struct netaddr *a)
{
    static const uint8_t ZERO[16];
    return memcmp(a->ip, ZERO, sizeof ZERO) == 0;
}

/* A connection to `to` would come back to the listener. Another machine's address is told from our own only by its
 * text. */
static bool loops(const struct endpoint *listener, const struct endpoint *to)
{
    if (listener->kind != to->kind)
        return false;
    if (listener->kind == ENDPOINT_UNIX)
        return strcmp(listener->host, to->host) == 0;
    if (listener->kind != ENDPOINT_IP || listener->addr.port != to->addr.port)
        return false;
    bool covered = is_any(&listener->addr) && listener->addr.family == to->addr.family;
    return netaddr_eq_ip(&listener->addr, &to->addr) || (covered && netaddr_is_loopback(&to->addr));
}

/* One path a server of a listener; a socket that is missing may come later. */
static void inspect_server(const struct settings *s, struct conf *c, const struct upstream_server *server,
                           const char *path)
{
    struct stat st;
    for (size_t i = 0; i < s->listeners; i++) {
        if (s->listener[i].address_text != NULL && loops(&s->listener[i].address, &server->at))
            conf_warn(c, path, "\"%s\" is our own listener \"%s\": mail would go round", server->text,
                      s->listener[i].name);
    }
    if (server->at.kind != ENDPOINT_UNIX)
        return;
    if (stat(server->at.host, &st) != 0)
        conf_warn(c, path, "\"%s\": %s", server->text, strerror(errno));
    else if (!S_ISSOCK(st.st_mode))
        conf_fault(c, path, "\"%s\" is not a socket", server->text);
}

static void inspect_servers(const struct settings *s, struct conf *c)
{
    bool global_used = false;
    char path[SETTINGS_PATH];
    for (size_t i = 0; i < s->listeners; i++) {
        const struct upstream_settings *u = &s->listener[i].upstream;
        bool global = settings_place(c, i, "upstream.servers", "upstream.servers", path) != path;
        if ((global && global_used) || conf_faulty(c, global ? "upstream.servers" : path))
            continue;
        global_used |= global;
        for (size_t k = 0; k < u->servers; k++) {
            if (global)
                snprintf(path, sizeof path, "upstream.servers[%zu]", k);
            else
                snprintf(path, sizeof path, "listeners[%zu].upstream.servers[%zu]", i, k);
            inspect_server(s, c, &u->server[k], path);
        }
    }
}

bool settings_is_local(const struct endpoint *at)
{
    switch (at->kind) {
    case ENDPOINT_UNIX:
        return true;
    case ENDPOINT_IP:
        return netaddr_is_loopback(&at->addr);
    case ENDPOINT_NAME:
        return strcasecmp(at->host, "localhost") == 0;
    case ENDPOINT_SYSTEMD:
        return false;
    }
    return false;
}

static void warn_identity(const struct listener_settings *l, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    const char *path = settings_place(c, i, "upstream.identity", "upstream.identity", own);
    bool told_of_others = l->server.proxy_protocol.count > 0 || l->server.xclient.count > 0;
    bool judged_as_us = l->upstream.identity == IDENTITY_XFORWARD || l->upstream.identity == IDENTITY_NONE;
    if (judged_as_us && (told_of_others || !settings_is_local(&l->address)))
        conf_warn(c, path,
                  "the upstream takes every client of listener \"%s\" for this host: "
                  "if it lets this host relay, it is an open relay",
                  l->name);
}

/* Whoever comes in by this listener is somebody there. */
static void warn_username(const struct listener_settings *l, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    bool told_of_others = l->server.proxy_protocol.count > 0 || l->server.xclient.count > 0;
    bool anybody = l->upstream.username != NULL && l->auth.mode != AUTH_REQUIRED;
    if (anybody && (told_of_others || !settings_is_local(&l->address)))
        conf_warn(c, settings_place(c, i, "upstream.username", "upstream.username", own),
                  "the upstream takes every client of listener \"%s\" for this user: "
                  "if the user may relay, it is an open relay",
                  l->name);
}

static void warn_listener(const struct listener_settings *l, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    warn_identity(l, c, i);
    warn_username(l, c, i);
    if (l->server.protocol == PROTOCOL_SMTP && l->upstream.protocol == PROTOCOL_LMTP)
        conf_warn(c, settings_place(c, i, "upstream.protocol", "upstream.protocol", own),
                  "SMTP clients of listener \"%s\" send one recipient a message, the others get 452 4.5.3: "
                  "one SMTP reply can't say what became of two",
                  l->name);
    if (l->server.bare_newline == SMTP_BARE_ACCEPT)
        conf_warn(c, settings_place(c, i, "bare_newline", "server.bare_newline", own),
                  "with \"accept\" a server before listener \"%s\" may see other messages than this one "
                  "(smuggling): for old devices alone",
                  l->name);
}

static void warn_workers(const struct settings *s, struct conf *c)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors > 0 && s->workers > 4 * (unsigned long)processors)
        conf_warn(c, "workers", "%u are more than four for each of %ld processors", s->workers, processors);
}

void settings_inspect(const struct settings *s, struct conf *c)
{
    settings_inspect_outputs(s, c);
    for (size_t i = 0; i < s->listeners; i++) {
        if (s->listener[i].address_text == NULL) /* told */
            continue;
        inspect_listener_socket(&s->listener[i], c, i);
        warn_listener(&s->listener[i], c, i);
    }
    inspect_servers(s, c);
    settings_inspect_auth(s, c);
    settings_inspect_users(s, c);
    settings_inspect_tls(s, c);
    settings_inspect_keys(s, c);
    settings_warn(s, c);
    settings_warn_rights(s, c);
    warn_workers(s, c);
}
