/* What is legal, and hardly meant: keys that contradict each other for some clients, or that do nothing because
 * another one is missing. Only `smtptap check` tells of it; whatever could be meant stays a warning. */
#include "proxy/settings_tables.h"

#include "proxy/relay/userfile.h"

#include <stdio.h>

enum { SMALL_MESSAGE = 64 << 10, PORT_SMTP = 25, PORT_SMTPS = 465, PORT_SUBMISSION = 587 };

static bool is_disabled(const struct listener_settings *l, enum smtp_verb verb)
{
    return (l->server.disabled_commands >> verb & 1) != 0;
}

static unsigned port_of(const struct endpoint *at)
{
    return at->kind == ENDPOINT_IP || at->kind == ENDPOINT_NAME ? at->addr.port : 0;
}

/* Client certificates. */

static void warn_certificates(const struct listener_settings *l, struct conf *c, size_t i)
{
    char verify[SETTINGS_PATH], ca[SETTINGS_PATH];
    const struct tls_settings *t = &l->tls;
    settings_place_in(c, i, "tls", "verify_client", verify);
    settings_place_in(c, i, "tls", "client_ca", ca);
    if (t->verify_client == VERIFY_CLIENT_NONE) {
        if (t->client_ca != NULL && settings_has_tls(l))
            conf_warn(c, ca, "does nothing while verify_client is \"none\": no client is asked for a certificate");
        return;
    }
    if (!settings_has_tls(l))
        conf_warn(c, verify, "listener \"%s\" has no TLS: no client is asked for a certificate", l->name);
    else if (t->client_ca == NULL)
        conf_warn(c, verify, "no certificate can be verified without client_ca: whatever a client shows is let in");
    else if (t->verify_client == VERIFY_CLIENT_REQUIRED && l->server.tls == SERVER_TLS_STARTTLS &&
             !l->server.require_tls)
        conf_warn(c, verify, "clients of listener \"%s\" that stay in clear need no certificate: set require_tls too",
                  l->name);
}

/* Commands and keywords. */

static const struct {
    enum smtp_verb verb;
    const char *text;
} WITHOUT[] = {
    { SMTP_VERB_EHLO, "without EHLO no extension is offered, neither STARTTLS nor AUTH" },
    { SMTP_VERB_DATA, "without DATA only clients that use BDAT can send mail" },
};

static void warn_commands(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    const struct server_settings *s = &l->server;
    settings_place_in(c, i, "server", "disabled_commands", path);
    for (size_t k = 0; k < ARRAY_LEN(WITHOUT); k++) {
        if (is_disabled(l, WITHOUT[k].verb) && (k > 0 || s->protocol == PROTOCOL_SMTP))
            conf_warn(c, path, "%s", WITHOUT[k].text);
    }
    if (is_disabled(l, SMTP_VERB_STARTTLS) && s->tls == SERVER_TLS_STARTTLS)
        conf_warn(c, path, "takes STARTTLS away: listener \"%s\" has no TLS, though tls is \"starttls\"", l->name);
    if (is_disabled(l, SMTP_VERB_AUTH) && l->auth.mode == AUTH_OPTIONAL)
        conf_warn(c, path, "takes AUTH away: nobody can log in, though auth.mode is \"optional\"");
    if (is_disabled(l, SMTP_VERB_XCLIENT) && s->xclient.count > 0)
        conf_warn(c, path, "takes XCLIENT away from those that \"xclient\" permits it to");
    if (is_disabled(l, SMTP_VERB_XFORWARD) && s->xforward.count > 0)
        conf_warn(c, path, "takes XFORWARD away from those that \"xforward\" permits it to");
}

static void warn_hidden(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    smtp_cap_set hidden = l->server.hide_extensions;
    settings_place_in(c, i, "server", "hide_extensions", path);
    if (l->server.require_tls && l->server.tls == SERVER_TLS_STARTTLS && (hidden & SMTP_CAP_BIT(STARTTLS)) != 0)
        conf_warn(c, path, "hides STARTTLS, without which require_tls lets nobody in: most clients will give up");
    if (l->auth.mode == AUTH_REQUIRED && (hidden & SMTP_CAP_BIT(AUTH)) != 0)
        conf_warn(c, path,
                  "hides AUTH, without which auth.mode \"required\" lets nobody in: most clients will give up");
}

/* Logins. */

static bool has_auth_key(const struct conf *c, size_t i, const char *key)
{
    char path[SETTINGS_PATH], own[SETTINGS_PATH];
    snprintf(path, sizeof path, "auth.%s", key);
    return conf_has(c, settings_place(c, i, path, path, own));
}

static void warn_unused_backend(const struct auth_settings *a, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    if (a->backend != AUTH_BACKEND_FILE && has_auth_key(c, i, "file"))
        conf_warn(c, settings_place(c, i, "auth.file", "auth.file", own),
                  "is not read: it needs \"backend\": \"file\"");
    if (a->backend != AUTH_BACKEND_DOVECOT && has_auth_key(c, i, "socket"))
        conf_warn(c, settings_place(c, i, "auth.socket", "auth.socket", own),
                  "is not asked: it needs \"backend\": \"dovecot\"");
}

static bool users_can_log_in(const struct listener_settings *l)
{
    struct userfile_table *t = userfile_hold(l->users);
    bool any = userfile_users(t)->count > 0;
    userfile_release(&t);
    sasl_set possible = settings_possible_mechanisms(l);
    return any && (possible & (userfile_mechanisms(l->users) | SASL_BIT(EXTERNAL))) != 0;
}

static void warn_login(const struct listener_settings *l, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    bool required = l->auth.mode == AUTH_REQUIRED, told = settings_is_told_logins(l);
    bool never = settings_possible_mechanisms(l) == 0 || is_disabled(l, SMTP_VERB_AUTH) ||
                 (l->auth.require_tls && !settings_has_tls(l));
    if (required && told && never)
        conf_warn(c, settings_place(c, i, "auth.mode", "auth.mode", own),
                  "nobody can log in to listener \"%s\" itself: only clients whose login XCLIENT tells can send mail",
                  l->name);
    else if (!required && settings_possible_mechanisms(l) == 0)
        conf_warn(c, settings_place(c, i, "auth.mechanisms", "auth.mechanisms", own),
                  "listener \"%s\" never offers AUTH: its backend can do none of these", l->name);
    if (!never && l->users != NULL && !users_can_log_in(l))
        conf_warn(c, settings_place(c, i, "auth.file", "auth.file", own),
                  "\"%s\" has no user who could log in%s: add one, the file is read again when it changes",
                  l->auth.file, required ? ", so that no mail comes in" : "");
}

/* Keys of a login that nobody is asked for. */
static void warn_off(const struct settings *s, struct conf *c)
{
    static const char *const KEYS[] = { "mechanisms", "backend", "file", "socket" };
    char path[SETTINGS_PATH];
    bool all_off = true;
    for (size_t i = 0; i < s->listeners; i++)
        all_off = all_off && s->listener[i].auth.mode == AUTH_OFF;
    if (!all_off || conf_has(c, "auth.mode"))
        return;
    for (size_t k = 0; k < ARRAY_LEN(KEYS); k++) {
        snprintf(path, sizeof path, "auth.%s", KEYS[k]);
        if (!conf_has(c, path))
            continue;
        conf_warn(c, path,
                  "does nothing while auth.mode is \"off\", the default: set it to \"optional\" or \"required\"");
        return;
    }
}

/* Addresses and networks. */

static bool has_everybody(const struct cidr_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->list[i].family != NETADDR_UNIX && list->list[i].bits == 0)
            return true;
    }
    return false;
}

static void warn_everybody(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    const struct {
        const char *key;
        const struct cidr_list *list;
    } LISTS[] = { { "proxy_protocol", &l->server.proxy_protocol }, { "xclient", &l->server.xclient } };
    for (size_t k = 0; k < ARRAY_LEN(LISTS) && !settings_is_local(&l->address); k++) {
        if (has_everybody(LISTS[k].list))
            conf_warn(c, settings_place_in(c, i, "server", LISTS[k].key, path),
                      "everybody who reaches listener \"%s\" may say who they are: name your own hosts", l->name);
    }
}

static void warn_port(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    unsigned port = port_of(&l->address);
    bool implicit = l->server.tls == SERVER_TLS_IMPLICIT, wrapped = l->server.proxy_protocol.count > 0;
    settings_place_in(c, i, "server", "tls", path);
    if (port == PORT_SMTPS && !implicit && !wrapped)
        conf_warn(c, path, "clients of port 465 begin with TLS: listener \"%s\" needs \"implicit\"", l->name);
    if (implicit && (port == PORT_SMTP || port == PORT_SUBMISSION))
        conf_warn(c, path, "clients of port %u begin in clear: listener \"%s\" needs \"starttls\"", port, l->name);
    if (l->server.protocol == PROTOCOL_LMTP && port == PORT_SMTP)
        conf_warn(c, settings_place_in(c, i, "server", "protocol", path), "clients of port 25 speak SMTP, not LMTP");
}

static void warn_server(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    const struct server_settings *s = &l->server;
    if (s->max_message_size > 0 && s->max_message_size < SMALL_MESSAGE)
        conf_warn(c, settings_place_in(c, i, "server", "max_message_size", path),
                  "%llu bytes are less than most mail has; \"25MiB\" is how to write 25 MiB",
                  (unsigned long long)s->max_message_size);
    for (const char *p = s->helo_response; (p = strchr(p, '{')) != NULL; p++) {
        if (strncmp(p, "{hostname}", 10) == 0 || strncmp(p, "{client}", 8) == 0 || strchr(p, '}') == NULL)
            continue;
        conf_warn(c, settings_place_in(c, i, "server", "helo_response", path),
                  "\"%.*s\" stays as it is: there are {hostname} and {client}", (int)(strchr(p, '}') - p) + 1, p);
        return;
    }
}

/* The upstream. */

static void warn_unused_tls(const struct upstream_settings *u, struct conf *c, size_t i)
{
    static const char *const KEYS[] = { "tls_ca", "tls_name", "tls_cert", "tls_key" };
    char path[SETTINGS_PATH];
    for (size_t k = 0; u->tls == UPSTREAM_TLS_NONE && k < ARRAY_LEN(KEYS); k++) {
        if (conf_has(c, settings_place_upstream(c, i, KEYS[k], path)))
            conf_warn(c, path, "does nothing while upstream.tls is \"none\"");
    }
    if (u->tls != UPSTREAM_TLS_NONE && !u->tls_verify && u->tls_ca != NULL)
        conf_warn(c, settings_place_upstream(c, i, "tls_ca", path),
                  "does nothing: the upstream's certificate is not checked (tls_verify, or tls \"required\")");
}

static void warn_upstream(const struct upstream_settings *u, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    settings_place_upstream(c, i, "tls", path);
    for (size_t k = 0; k < u->servers; k++) {
        unsigned port = port_of(&u->server[k].at);
        bool local = settings_is_local(&u->server[k].at);
        if (port == PORT_SMTPS && u->tls != UPSTREAM_TLS_IMPLICIT && !local)
            conf_warn(c, path, "\"%s\" waits for TLS at once: port 465 needs \"implicit\"", u->server[k].text);
        if ((port == PORT_SMTP || port == PORT_SUBMISSION) && u->tls == UPSTREAM_TLS_IMPLICIT && !local)
            conf_warn(c, path, "\"%s\" begins in clear: port %u needs \"required\"", u->server[k].text, port);
        if (u->tls == UPSTREAM_TLS_OPPORTUNISTIC && u->tls_guarded && !local)
            conf_warn(c, path, "\"opportunistic\" means \"required\" for \"%s\", where passwords go",
                      u->server[k].text);
    }
    warn_unused_tls(u, c, i);
}

/* The log. */

static void warn_log(const struct log_settings *log, struct conf *c)
{
    char path[SETTINGS_PATH];
    const struct redact_rules *r = &log->redact;
    bool hashes = r->addresses == REDACT_HASH || r->client_ip == REDACT_HASH || r->username == REDACT_HASH ||
                  r->subject == REDACT_HASH;
    if (log->integrity_key_file != NULL && log->integrity == INTEGRITY_OFF && !conf_faulty(c, "log.integrity"))
        conf_warn(c, "log.integrity_key_file", "does nothing while log.integrity is \"off\": set it to \"chain\"");
    if (log->redact_key_file != NULL && !hashes)
        conf_warn(c, "log.redact.key_file", "does nothing: no rule says \"hash\"");
    if (has_everybody(&log->ignore_clients))
        conf_warn(c, "log.ignore_clients", "covers every client: nothing of their mail is logged");
    for (size_t i = 0; i < log->outputs; i++) {
        snprintf(path, sizeof path, "log.outputs[%zu].rotate_keep", i);
        if (log->output[i].type == OUTPUT_FILE && log->output[i].rotate_size == 0 && conf_has(c, path))
            conf_warn(c, path, "does nothing without rotate_size");
    }
}

static void warn_listener(const struct listener_settings *l, struct conf *c, size_t i)
{
    warn_certificates(l, c, i);
    warn_commands(l, c, i);
    warn_hidden(l, c, i);
    if (l->auth.mode != AUTH_OFF) {
        warn_unused_backend(&l->auth, c, i);
        warn_login(l, c, i);
    }
    warn_everybody(l, c, i);
    warn_port(l, c, i);
    warn_server(l, c, i);
    warn_upstream(&l->upstream, c, i);
}

void settings_warn(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        if (s->listener[i].address_text != NULL)
            warn_listener(&s->listener[i], c, i);
    }
    warn_off(s, c);
    warn_log(&s->log, c);
}
