/* From text to a snapshot: defaults, the file, -u, the listeners (which inherit all that), -l, what follows from other
 * values, the checks. Whatever is wrong is told at the end, all of it; a snapshot exists only if nothing was. */
#include "proxy/settings.h"

#include "proxy/settings_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
    const char *name; /* the file in messages; NULL: none */
    const char *listen, *upstream;
    bool inspect;
    settings_fault *fault, *warn;
    void *arg;
};

static void free_settings(struct settings *s)
{
    settings_close_tls(s);
    settings_close_users(s);
    settings_close_auth(s);
    settings_close_keys(s);
    settings_close_outputs(s);
    conf_clear(&settings_table, s);
    free(s->file);
    free(s);
}

struct settings *settings_ref(struct settings *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void settings_unref(struct settings **sp)
{
    struct settings *s = *sp;
    *sp = NULL;
    if (s != NULL && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free_settings(s);
}

char *settings_print(const struct settings *s) { return conf_print(&settings_table, s); }

/* The system's name as a word that may stand in a banner: what may not becomes '-'. */
static char *system_hostname(void)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        name[0] = '\0';
    name[sizeof name - 1] = '\0';
    for (char *p = name; *p != '\0' && !settings_is_hostname(span_str(name)); p++) {
        if (!settings_is_hostname(span_of(p, 1)) && *p != '.' && *p != '-')
            *p = '-';
    }
    return conf_dup(settings_is_hostname(span_str(name)) ? span_str(name) : SPAN_LIT("localhost"));
}

/* Puts the text of -l or -u where the key's own value would stand. */
static void set_option(struct conf *c, const char *option, const struct conf_text *type, void *member, const char *text)
{
    const char *why = NULL;
    type->clear(member);
    if (!type->add(member, span_str(text), &why))
        conf_fault(c, NULL, "%s: \"%s\" is not %s%s%s", option, text, type->what, why != NULL ? ": " : "",
                   why != NULL ? why : "");
}

bool settings_take_option(char option, const char *text, char why[SETTINGS_WHY_MAX])
{
    struct listener_settings l = { 0 };
    struct upstream_settings u = { 0 };
    const struct conf_text *type = option == 'l' ? &settings_address : &settings_servers;
    void *member = option == 'l' ? (void *)&l : (void *)&u;
    const char *more = NULL;
    bool good = type->add(member, span_str(text), &more);
    type->clear(member);
    if (!good)
        snprintf(why, SETTINGS_WHY_MAX, "-%c: \"%.200s\" is not %s%s%s", option, text, type->what,
                 more != NULL ? ": " : "", more != NULL ? more : "");
    return good;
}

static void read_listeners(struct settings *s, struct conf *c, const struct source *from)
{
    char path[64];
    conf_read_key(c, &settings_table, "listeners", s);
    if (!conf_has(c, "listeners"))
        settings_add_listener(s);
    if (s->listeners == 0)
        return;
    if (from->listen != NULL)
        set_option(c, "-l", &settings_address, &s->listener[0], from->listen);
    else if (!conf_has(c, "listeners"))
        set_option(c, "listeners", &settings_address, &s->listener[0], "127.0.0.1:2525");
    for (size_t i = from->listen != NULL ? 1 : 0; i < s->listeners; i++) {
        snprintf(path, sizeof path, "listeners[%zu].address", i);
        if (s->listener[i].address_text != NULL || conf_has(c, path))
            continue;
        *strrchr(path, '.') = '\0';
        if (!conf_faulty(c, path))
            conf_fault(c, path, "\"address\" is missing");
    }
}

/* What follows from other values. */
static void complete(struct settings *s)
{
    settings_complete_headers(&s->log);
    for (size_t i = 0; i < s->listeners; i++) {
        struct listener_settings *l = &s->listener[i];
        if (l->name == NULL)
            l->name = conf_dup(span_str(l->address_text));
        if (l->upstream.hostname == NULL)
            l->upstream.hostname = conf_dup(span_str(l->server.hostname));
        l->upstream.identity_named = l->upstream.identity != IDENTITY_AUTO;
    }
}

static void read_all(struct settings *s, struct conf *c, const struct source *from)
{
    conf_read(c, &settings_table, s);
    if (!conf_has(c, "log.outputs"))
        settings_add_output(&s->log);
    if (s->base.server.hostname == NULL)
        s->base.server.hostname = system_hostname();
    if (from->upstream != NULL)
        set_option(c, "-u", &settings_servers, &s->base.upstream, from->upstream);
    read_listeners(s, c, from);
    complete(s);
    settings_complete_outputs(s, c);
    settings_complete_auth(s);
    settings_complete_tls(s, c);
    settings_verify(s, c);
    settings_verify_auth(s, c);
    settings_verify_tls(s, c);
    settings_verify_possible(s, c);
    settings_open_auth(s, c);
    settings_open_tls(s, c);
    settings_open_users(s, c);
    settings_open_keys(s, c);
    if (from->inspect)
        settings_inspect(s, c);
}

static struct settings *load(const struct source *from, struct span text)
{
    struct conf *c = conf_open(from->name, text);
    struct settings *s = conf_grow(NULL, 1, sizeof *s);
    memset(s, 0, sizeof *s);
    atomic_init(&s->refs, 1);
    s->file = from->name != NULL ? conf_dup(span_str(from->name)) : NULL;
    conf_defaults(&settings_table, s);
    if (conf_readable(c))
        read_all(s, c, from);
    if (conf_close(&c, from->fault, from->warn, from->arg) > 0)
        settings_unref(&s);
    return s;
}

/* Appends the file's bytes, one more than is allowed at the most; false with errno. */
static bool read_file(const char *name, struct buf *out)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = 1;
    while (n > 0 && buf_len(out) <= CONF_BYTES_MAX) {
        char *to = buf_reserve(out, BUF_BLOCK);
        do
            n = read(fd, to, BUF_BLOCK);
        while (n < 0 && errno == EINTR);
        if (n > 0)
            buf_commit(out, (size_t)n);
    }
    int error = errno;
    close(fd);
    errno = error;
    return n >= 0;
}

static struct settings *load_file(const struct source *from)
{
    struct settings *s = NULL;
    struct buf text;
    char why[512];
    if (from->name == NULL)
        return load(from, SPAN_LIT("{}"));
    buf_init(&text, NULL);
    if (read_file(from->name, &text)) {
        s = load(from, buf_span(&text));
    } else {
        snprintf(why, sizeof why, "%s: can't be read: %s", from->name, strerror(errno));
        from->fault(from->arg, why);
    }
    buf_free(&text);
    return s;
}

struct settings *settings_load(const char *file, const char *listen, const char *upstream, settings_fault *fault,
                               void *arg)
{
    struct source from = { .name = file, .listen = listen, .upstream = upstream, .fault = fault, .arg = arg };
    return load_file(&from);
}

struct settings *settings_load_text(const char *name, struct span text, const char *listen, const char *upstream,
                                    settings_fault *fault, void *arg)
{
    struct source from = { .name = name, .listen = listen, .upstream = upstream, .fault = fault, .arg = arg };
    return load(&from, text);
}

struct settings *settings_check(const char *file, settings_fault *fault, settings_fault *warn, void *arg)
{
    struct source from = { .name = file, .inspect = true, .fault = fault, .warn = warn, .arg = arg };
    return load_file(&from);
}
