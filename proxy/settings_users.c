/* What the keys of AUTH name outside the configuration: the file of users, which a snapshot exists only with in order,
 * and Dovecot's socket. Listeners with the same file share it. */
#include "proxy/settings_tables.h"

#include <errno.h>
#include <sys/stat.h>

#include "proxy/relay/userfile.h"

struct opening {
    struct conf *c;
    const char *path; /* of the key */
};

static void on_fault(void *arg, const char *text)
{
    const struct opening *o = arg;
    conf_fault(o->c, o->path, "%s", text);
}

/* Where what asks for it could not be read, the file is looked at for its faults. */
static bool wants_file(const struct auth_settings *a, const struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    bool on = a->mode != AUTH_OFF || conf_faulty(c, settings_place(c, i, "auth.mode", "auth.mode", own));
    bool here =
        a->backend == AUTH_BACKEND_FILE || conf_faulty(c, settings_place(c, i, "auth.backend", "auth.backend", own));
    return on && here && a->file != NULL;
}

static struct userfile *opened_before(const struct settings *s, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        const struct listener_settings *l = &s->listener[k];
        if (l->users != NULL && strcmp(l->auth.file, s->listener[i].auth.file) == 0)
            return userfile_ref(l->users);
    }
    return NULL;
}

void settings_open_users(struct settings *s, struct conf *c)
{
    char own[SETTINGS_PATH];
    for (size_t i = 0; i < s->listeners; i++) {
        struct listener_settings *l = &s->listener[i];
        struct opening o = { .c = c, .path = settings_place(c, i, "auth.file", "auth.file", own) };
        if (!wants_file(&l->auth, c, i))
            continue;
        l->users = opened_before(s, i);
        if (l->users == NULL)
            l->users = userfile_open(l->auth.file, on_fault, &o);
    }
}

void settings_close_users(struct settings *s)
{
    for (size_t i = 0; i < s->listeners; i++)
        userfile_unref(&s->listener[i].users);
}

static void inspect_mechanisms(const struct listener_settings *l, struct conf *c, const char *path)
{
    sasl_set asked = l->auth.mechanisms, scram = SASL_BIT(SCRAM_SHA_256) | SASL_BIT(SCRAM_SHA_256_PLUS);
    sasl_set able = userfile_mechanisms(l->users);
    if ((asked & (SASL_BIT(XOAUTH2) | SASL_BIT(OAUTHBEARER))) != 0)
        conf_warn(c, path, "a file holds no OAuth tokens: backend \"file\" never offers XOAUTH2 and OAUTHBEARER");
    if ((asked & SASL_BIT(CRAM_MD5)) != 0 && (able & SASL_BIT(CRAM_MD5)) == 0)
        conf_warn(c, path, "CRAM-MD5 is not offered: no user in \"%s\" has a {PLAIN} secret", l->auth.file);
    if ((asked & scram) != 0 && (able & scram) == 0)
        conf_warn(c, path, "SCRAM is not offered: no user in \"%s\" has a {PLAIN} or {SCRAM-SHA-256} secret",
                  l->auth.file);
}

static void inspect_certificates(const struct listener_settings *l, struct conf *c, const char *path)
{
    bool asks = l->server.tls != SERVER_TLS_NONE && l->tls.verify_client != VERIFY_CLIENT_NONE;
    if ((l->auth.mechanisms & SASL_BIT(EXTERNAL)) != 0 && !asks)
        conf_warn(c, path, "EXTERNAL is not offered: listener \"%s\" asks for no client certificates (verify_client)",
                  l->name);
    if ((l->auth.mechanisms & SASL_BIT(SCRAM_SHA_256_PLUS)) != 0 && l->server.tls == SERVER_TLS_NONE)
        conf_warn(c, path, "SCRAM-SHA-256-PLUS is not offered: listener \"%s\" has no TLS", l->name);
}

static void inspect_file(const struct listener_settings *l, struct conf *c, const char *path)
{
    struct stat st;
    if (stat(l->auth.file, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
        conf_warn(c, path, "\"%s\" can be read or changed by every user of this system", l->auth.file);
}

/* One that is missing may come later. */
static void inspect_socket(const struct auth_settings *a, struct conf *c, const char *path)
{
    struct stat st;
    if (stat(a->socket.host, &st) != 0)
        conf_warn(c, path, "\"%s\": %s", a->socket_text, strerror(errno));
    else if (!S_ISSOCK(st.st_mode))
        conf_fault(c, path, "\"%s\" is not a socket", a->socket_text);
}

void settings_inspect_users(const struct settings *s, struct conf *c)
{
    char own[SETTINGS_PATH];
    for (size_t i = 0; i < s->listeners; i++) {
        const struct listener_settings *l = &s->listener[i];
        if (l->auth.mode == AUTH_OFF || l->auth.backend == AUTH_BACKEND_UPSTREAM)
            continue;
        inspect_certificates(l, c, settings_place(c, i, "auth.mechanisms", "auth.mechanisms", own));
        if (l->users != NULL) {
            inspect_mechanisms(l, c, settings_place(c, i, "auth.mechanisms", "auth.mechanisms", own));
            inspect_file(l, c, settings_place(c, i, "auth.file", "auth.file", own));
        }
        if (l->auth.backend == AUTH_BACKEND_DOVECOT && l->auth.socket_text != NULL)
            inspect_socket(&l->auth, c, settings_place(c, i, "auth.socket", "auth.socket", own));
    }
}
