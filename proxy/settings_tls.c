/* The keys of TLS: what follows from others, what lies between them, and the contexts that are made of them, so that a
 * snapshot exists only with every certificate and key in order. Listeners with equal settings share one context. */
#include "proxy/settings_tables.h"

#include "proxy/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DAY = 24 * 3600, SOON_DAYS = 14, TLS_1_2 = 0x0303 };

const char *settings_place(const struct conf *c, size_t listener, const char *own, const char *global,
                           char out[SETTINGS_PATH])
{
    snprintf(out, SETTINGS_PATH, "listeners[%zu].%s", listener, own);
    return conf_has(c, out) ? out : global;
}

const char *settings_place_in(const struct conf *c, size_t listener, const char *section, const char *key,
                              char out[SETTINGS_PATH])
{
    snprintf(out, SETTINGS_PATH, "listeners[%zu].%s", listener, key);
    if (!conf_has(c, out))
        snprintf(out, SETTINGS_PATH, "%s.%s", section, key);
    return out;
}

const char *settings_place_upstream(const struct conf *c, size_t listener, const char *key, char out[SETTINGS_PATH])
{
    char path[SETTINGS_PATH / 2];
    snprintf(path, sizeof path, "upstream.%s", key);
    if (settings_place(c, listener, path, path, out) != out)
        snprintf(out, SETTINGS_PATH, "%s", path);
    return out;
}

static bool is_set(const struct conf *c, size_t listener, const char *own, const char *global)
{
    char path[SETTINGS_PATH];
    return conf_has(c, settings_place(c, listener, own, global, path));
}

static void default_tls(struct server_settings *server, const struct tls_settings *tls)
{
    server->tls = tls->certificates > 0 ? SERVER_TLS_STARTTLS : SERVER_TLS_NONE;
}

static bool all_local(const struct upstream_settings *u)
{
    for (size_t i = 0; i < u->servers; i++) {
        if (!settings_is_local(&u->server[i].at))
            return false;
    }
    return true;
}

static bool any_local(const struct upstream_settings *u)
{
    for (size_t i = 0; i < u->servers; i++) {
        if (settings_is_local(&u->server[i].at))
            return true;
    }
    return false;
}

/* Where credentials go, opportunistic is required, and is shown so where no server is excepted. */
static void default_mode(struct upstream_settings *u)
{
    u->tls_guarded = u->credentials && u->tls == UPSTREAM_TLS_OPPORTUNISTIC;
    if (u->tls_guarded && !any_local(u))
        u->tls = UPSTREAM_TLS_REQUIRED;
}

static void default_verify(struct upstream_settings *u)
{
    bool guarded = u->tls_guarded && !all_local(u);
    u->tls_verify = u->tls == UPSTREAM_TLS_REQUIRED || u->tls == UPSTREAM_TLS_IMPLICIT || guarded;
}

void settings_complete_tls(struct settings *s, const struct conf *c)
{
    if (!conf_has(c, "server.tls"))
        default_tls(&s->base.server, &s->base.tls);
    default_mode(&s->base.upstream);
    if (!conf_has(c, "upstream.tls_verify"))
        default_verify(&s->base.upstream);
    for (size_t i = 0; i < s->listeners; i++) {
        struct listener_settings *l = &s->listener[i];
        if (!is_set(c, i, "tls", "server.tls"))
            default_tls(&l->server, &l->tls);
        default_mode(&l->upstream);
        if (!is_set(c, i, "upstream.tls_verify", "upstream.tls_verify"))
            default_verify(&l->upstream);
    }
}

static void verify_server(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH], certificates[SETTINGS_PATH];
    settings_place_in(c, i, "server", "tls", path);
    settings_place_in(c, i, "tls", "certificates", certificates);
    if (l->server.tls != SERVER_TLS_NONE && l->tls.certificates == 0 && !conf_faulty(c, certificates))
        conf_fault(c, path, "\"%s\" needs %s", l->server.tls == SERVER_TLS_STARTTLS ? "starttls" : "implicit",
                   certificates);
}

static void verify_upstream(const struct upstream_settings *u, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    if ((u->tls_cert != NULL) != (u->tls_key != NULL)) {
        bool cert = u->tls_cert != NULL;
        const char *other = cert ? "tls_key" : "tls_cert";
        if (!conf_faulty(c, settings_place_upstream(c, i, other, path)))
            conf_fault(c, settings_place_upstream(c, i, cert ? "tls_cert" : "tls_key", path), "needs %s beside it",
                       other);
    }
    for (size_t k = 0; u->tls != UPSTREAM_TLS_NONE && u->tls_verify && u->tls_name == NULL && k < u->servers; k++) {
        if (u->server[k].at.kind != ENDPOINT_UNIX)
            continue;
        conf_fault(c, settings_place_upstream(c, i, "tls", path),
                   "the certificate of \"%s\" can't be verified without tls_name", u->server[k].text);
        return;
    }
}

void settings_verify_tls(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        verify_server(&s->listener[i], c, i);
        verify_upstream(&s->listener[i].upstream, c, i);
    }
}

/* Contexts. */

struct opening {
    struct conf *c;
    size_t listener;
    const char *section; /* the global section of the keys */
    const char *prefix;  /* of the keys in a listener */
};

/* "KEY: text" becomes a fault at the key, in the listener or in the global section. */
static void on_fault(void *arg, const char *text)
{
    const struct opening *o = arg;
    char path[SETTINGS_PATH];
    text += strlen(o->section) + 1;
    size_t n = strcspn(text, ":"), top = strcspn(text, ".[:");
    int at = snprintf(path, sizeof path, "listeners[%zu].%s", o->listener, o->prefix);
    snprintf(path + at, sizeof path - (size_t)at, "%.*s", (int)top, text);
    if (conf_has(o->c, path))
        snprintf(path + at, sizeof path - (size_t)at, "%.*s", (int)n, text);
    else
        snprintf(path, sizeof path, "%s.%.*s", o->section, (int)n, text);
    conf_fault(o->c, path, "%s", text + n + 2);
}

static bool same(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }

static bool same_upstream(const struct upstream_settings *a, const struct upstream_settings *b)
{
    return b->tls != UPSTREAM_TLS_NONE && a->tls_verify == b->tls_verify && same(a->tls_ca, b->tls_ca) &&
           same(a->tls_name, b->tls_name) && same(a->tls_cert, b->tls_cert) && same(a->tls_key, b->tls_key);
}

static void open_server(struct settings *s, struct conf *c, size_t i, char **printed)
{
    struct listener_settings *l = &s->listener[i];
    struct opening o = { .c = c, .listener = i, .section = "tls", .prefix = "" };
    char mode[SETTINGS_PATH];
    bool wanted = l->server.tls != SERVER_TLS_NONE || conf_faulty(c, settings_place_in(c, i, "server", "tls", mode));
    if (!wanted || l->tls.certificates == 0)
        return;
    printed[i] = conf_print(&settings_tls_table, &l->tls);
    for (size_t k = 0; k < i; k++) {
        if (printed[k] == NULL || strcmp(printed[k], printed[i]) != 0)
            continue;
        struct tls_server *t = s->listener[k].tls_server;
        l->tls_server = t != NULL ? tls_server_ref(t) : NULL;
        return;
    }
    l->tls_server = tls_server_new(&l->tls, o.section, on_fault, &o);
}

static void open_client(struct settings *s, struct conf *c, size_t i)
{
    struct upstream_settings *u = &s->listener[i].upstream;
    struct opening o = { .c = c, .listener = i, .section = "upstream", .prefix = "upstream." };
    if (u->tls == UPSTREAM_TLS_NONE)
        return;
    for (size_t k = 0; k < i; k++) {
        if (!same_upstream(u, &s->listener[k].upstream))
            continue;
        struct tls_client *t = s->listener[k].upstream.tls_client;
        u->tls_client = t != NULL ? tls_client_ref(t) : NULL;
        return;
    }
    u->tls_client = tls_client_new(u, o.section, on_fault, &o);
}

void settings_open_tls(struct settings *s, struct conf *c)
{
    char **printed = conf_grow(NULL, s->listeners + 1, sizeof *printed);
    memset(printed, 0, (s->listeners + 1) * sizeof *printed);
    for (size_t i = 0; i < s->listeners; i++) {
        open_server(s, c, i, printed);
        open_client(s, c, i);
    }
    for (size_t i = 0; i < s->listeners; i++)
        free(printed[i]);
    free(printed);
}

void settings_close_tls(struct settings *s)
{
    for (size_t i = 0; i < s->listeners; i++) {
        tls_server_unref(&s->listener[i].tls_server);
        tls_client_unref(&s->listener[i].upstream.tls_client);
    }
}

/* Warnings. */

static void warn_end(struct conf *c, const char *path, const char *file, int64_t not_after)
{
    struct tm tm;
    char date[32];
    time_t end = (time_t)not_after, now = time(NULL);
    if (not_after - now >= (int64_t)SOON_DAYS * DAY || gmtime_r(&end, &tm) == NULL)
        return;
    strftime(date, sizeof date, "%Y-%m-%d", &tm);
    if (end < now)
        conf_warn(c, path, "%s: the certificate expired on %s", file, date);
    else
        conf_warn(c, path, "%s: the certificate expires on %s", file, date);
}

static void inspect_server(const struct listener_settings *l, struct conf *c, size_t i)
{
    char list[SETTINGS_PATH], path[SETTINGS_PATH + 32];
    if (l->tls_server == NULL)
        return;
    if (l->tls.min_version < TLS_1_2)
        conf_warn(c, settings_place_in(c, i, "tls", "min_version", list),
                  "TLS before 1.2 is broken, and its ciphers are allowed with it: for old devices alone");
    settings_place_in(c, i, "tls", "certificates", list);
    for (size_t k = 0; k < l->tls.certificates; k++) {
        snprintf(path, sizeof path, "%s[%zu].cert", list, k);
        warn_end(c, path, l->tls.certificate[k].cert, tls_server_not_after(l->tls_server, k));
    }
}

static void inspect_upstream(const struct upstream_settings *u, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    int64_t not_after;
    if (u->tls_client == NULL)
        return;
    bool must = u->tls == UPSTREAM_TLS_REQUIRED || u->tls == UPSTREAM_TLS_IMPLICIT;
    if (must && !u->tls_verify)
        conf_warn(c, settings_place_upstream(c, i, "tls_verify", path),
                  "the upstream's certificate is not checked: whoever stands between can read and change the mail");
    if (tls_client_not_after(u->tls_client, &not_after))
        warn_end(c, settings_place_upstream(c, i, "tls_cert", path), u->tls_cert, not_after);
}

void settings_inspect_tls(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        inspect_server(&s->listener[i], c, i);
        inspect_upstream(&s->listener[i].upstream, c, i);
    }
}
