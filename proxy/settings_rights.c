/* Files that a reload reads again, when `user` is in force and no longer root, who looks at them now. Told by the bits
 * of the mode alone; where an access list says more than these, nothing is said. */
#include "proxy/settings_tables.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { GROUPS_MAX = 1024 };

struct reader {
    struct conf *c;
    const char *name;
    uid_t uid;
    gid_t group[GROUPS_MAX];
    int groups;
};

/* As the process is after its start. */
static bool reader_find(struct reader *r, const struct settings *s)
{
    const struct passwd *pw = s->user != NULL ? getpwnam(s->user) : NULL;
    const struct group *gr = s->group != NULL ? getgrnam(s->group) : NULL;
    r->groups = GROUPS_MAX;
    if (pw == NULL || pw->pw_uid == 0 || geteuid() != 0)
        return false;
    r->name = s->user;
    r->uid = pw->pw_uid;
    return getgrouplist(pw->pw_name, gr != NULL ? gr->gr_gid : pw->pw_gid, r->group, &r->groups) >= 0;
}

static bool has_group(const struct reader *r, gid_t group)
{
    for (int i = 0; i < r->groups; i++) {
        if (r->group[i] == group)
            return true;
    }
    return false;
}

/* `right` as others have it: S_IROTH, S_IXOTH. *mode is set where it is denied. */
static bool is_denied(const struct reader *r, const char *file, mode_t right, unsigned *mode)
{
    struct stat st;
    if (stat(file, &st) != 0 || getxattr(file, "system.posix_acl_access", NULL, 0) > 0)
        return false;
    mode_t wanted = right;
    if (st.st_uid == r->uid)
        wanted = right << 6;
    else if (has_group(r, st.st_gid))
        wanted = right << 3;
    *mode = (unsigned)(st.st_mode & 07777);
    return (st.st_mode & wanted) == 0;
}

/* Cuts the path at the outermost directory that the reader can't go through; false: there is none. */
static bool find_closed(const struct reader *r, char *path, unsigned *mode)
{
    if (is_denied(r, "/", S_IXOTH, mode)) {
        path[1] = '\0';
        return true;
    }
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (is_denied(r, path, S_IXOTH, mode))
            return true;
        *slash = '/';
    }
    return false;
}

/* The directory is looked at as it is written too: a link in it may lead out of one that is closed. */
static char *find_obstacle(const struct reader *r, const char *file, unsigned *mode)
{
    char *dir = conf_dup(span_str(file)), *slash = strrchr(dir, '/'), *inner = NULL;
    if (slash != NULL)
        slash[1] = '\0';
    char *named = realpath(slash != NULL ? dir : ".", NULL), *real = realpath(file, NULL);
    free(dir);
    if (named != NULL && asprintf(&inner, "%s/", named) < 0)
        abort();
    free(named);
    if (inner != NULL && real != NULL && find_closed(r, inner, mode)) {
        free(real);
        return inner;
    }
    free(inner);
    if (real != NULL && (find_closed(r, real, mode) || is_denied(r, real, S_IROTH, mode)))
        return real;
    free(real);
    return NULL;
}

static void warn_file(const struct reader *r, const char *path, const char *file)
{
    unsigned mode = 0;
    char *at = file != NULL ? find_obstacle(r, file, &mode) : NULL;
    if (at != NULL)
        conf_warn(r->c, path, "user \"%s\" can't read \"%s\", so that every reload fails: \"%s\" has mode %04o",
                  r->name, file, at, mode);
    free(at);
}

static void warn_server(const struct reader *r, const struct listener_settings *l, size_t i)
{
    char list[SETTINGS_PATH], path[SETTINGS_PATH + 32];
    if (l->tls_server == NULL)
        return;
    settings_place_in(r->c, i, "tls", "certificates", list);
    for (size_t k = 0; k < l->tls.certificates; k++) {
        snprintf(path, sizeof path, "%s[%zu].cert", list, k);
        warn_file(r, path, l->tls.certificate[k].cert);
        snprintf(path, sizeof path, "%s[%zu].key", list, k);
        warn_file(r, path, l->tls.certificate[k].key);
    }
    warn_file(r, settings_place_in(r->c, i, "tls", "client_ca", list), l->tls.client_ca);
}

static void warn_upstream(const struct reader *r, const struct upstream_settings *u, size_t i)
{
    const struct {
        const char *key, *file;
        bool read;
    } FILES[] = {
        { "upstream.tls_ca", u->tls_ca, u->tls_client != NULL },
        { "upstream.tls_cert", u->tls_cert, u->tls_client != NULL },
        { "upstream.tls_key", u->tls_key, u->tls_client != NULL },
        { "upstream.password_file", u->password_file, u->password != NULL },
    };
    char own[SETTINGS_PATH];
    for (size_t k = 0; k < ARRAY_LEN(FILES); k++) {
        if (FILES[k].read)
            warn_file(r, settings_place(r->c, i, FILES[k].key, FILES[k].key, own), FILES[k].file);
    }
}

static void warn_output(const struct reader *r, const struct output_settings *o, size_t i)
{
    const char *const KEYS[] = { "tls_ca", "tls_cert", "tls_key" }, *const FILES[] = { o->tls_ca, o->tls_cert,
                                                                                       o->tls_key };
    char path[SETTINGS_PATH];
    for (size_t k = 0; k < ARRAY_LEN(KEYS) && o->tls; k++) {
        snprintf(path, sizeof path, "log.outputs[%zu].%s", i, KEYS[k]);
        warn_file(r, path, FILES[k]);
    }
    snprintf(path, sizeof path, "log.outputs[%zu].options", i);
    for (size_t k = 0; k < o->options.count; k++) {
        const char *end = strrchr(o->options.name[k], '.');
        if (end != NULL && strcmp(end, ".file") == 0)
            warn_file(r, path, o->options.value[k]);
    }
}

void settings_warn_rights(const struct settings *s, struct conf *c)
{
    struct reader r = { .c = c };
    char own[SETTINGS_PATH];
    if (!reader_find(&r, s))
        return;
    warn_file(&r, "user", s->file);
    for (size_t i = 0; i < s->listeners; i++) {
        const struct listener_settings *l = &s->listener[i];
        warn_server(&r, l, i);
        warn_upstream(&r, &l->upstream, i);
        if (l->users != NULL)
            warn_file(&r, settings_place(c, i, "auth.file", "auth.file", own), l->auth.file);
    }
    for (size_t i = 0; i < s->log.outputs; i++)
        warn_output(&r, &s->log.output[i], i);
    warn_file(&r, "log.redact.key_file", s->log.redact_key_file);
    if (s->log.integrity_key.p != NULL)
        warn_file(&r, "log.integrity_key_file", s->log.integrity_key_file);
}
