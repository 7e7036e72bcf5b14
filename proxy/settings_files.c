/* Outputs that would write into one file: whose lines are doubled then, or stand in the other's chain. Two names of a
 * file that is there are told by its device and inode; of one that is not, by the directory's and the last component.
 * What can't be looked at is left to the opening. */
#include "proxy/settings_tables.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

struct file_name {
    dev_t dev; /* of the directory */
    ino_t ino;
    char *base; /* owned; NULL: not known */
};

struct file_target {
    struct file_name named, real; /* as written, and behind symbolic links */
    struct stat st;
    bool is_file; /* there, and a regular one: a device is meant to have several names */
};

static void name_find(struct file_name *n, const char *path)
{
    struct stat st;
    char *dir = conf_dup(span_str(path)), *slash = strrchr(dir, '/');
    const char *base = slash != NULL ? path + (slash - dir) + 1 : path;
    if (slash != NULL)
        slash[slash == dir] = '\0';
    if (stat(slash != NULL ? dir : ".", &st) == 0)
        *n = (struct file_name){ .dev = st.st_dev, .ino = st.st_ino, .base = conf_dup(span_str(base)) };
    free(dir);
}

/* What a link at the path's end leads to, there or not. Owned by the caller. */
static char *follow_links(const char *path)
{
    char to[PATH_MAX], *at = conf_dup(span_str(path)), *next;
    for (int i = 0; i < LINKS_MAX; i++) {
        ssize_t n = readlink(at, to, sizeof to);
        if (n <= 0 || n == sizeof to)
            break;
        const char *slash = strrchr(at, '/');
        int dir = to[0] != '/' && slash != NULL ? (int)(slash + 1 - at) : 0;
        if (asprintf(&next, "%.*s%.*s", dir, at, (int)n, to) < 0)
            abort();
        free(at);
        at = next;
    }
    return at;
}

static void target_find(struct file_target *t, const struct output_settings *o)
{
    *t = (struct file_target){ .is_file = false };
    if (o->type == OUTPUT_STDOUT)
        t->is_file = fstat(STDOUT_FILENO, &t->st) == 0 && S_ISREG(t->st.st_mode);
    if (o->type != OUTPUT_FILE || o->path == NULL)
        return;
    char *real = follow_links(o->path);
    name_find(&t->named, o->path);
    name_find(&t->real, real);
    t->is_file = stat(o->path, &t->st) == 0 && S_ISREG(t->st.st_mode);
    free(real);
}

static bool same_directory(const struct file_name *a, const struct file_name *b)
{
    return a->base != NULL && b->base != NULL && a->dev == b->dev && a->ino == b->ino;
}

static bool same_name(const struct file_name *a, const struct file_name *b)
{
    return same_directory(a, b) && strcmp(a->base, b->base) == 0;
}

static bool same_file(const struct file_target *a, const struct file_target *b)
{
    bool same_inode = a->is_file && b->is_file && a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
    return same_inode || same_name(&a->named, &b->named) || same_name(&a->real, &b->real);
}

/* What stands behind "P." in the name, where it is in P's directory; else "". */
static const char *suffix_of(const struct file_name *name, const struct file_name *p)
{
    if (!same_directory(name, p))
        return "";
    size_t n = strlen(p->base);
    return strncmp(name->base, p->base, n) == 0 && name->base[n] == '.' ? name->base + n + 1 : "";
}

/* As rotation writes it: 1 to keep, and no zero before. */
static bool is_number(const char *text, unsigned keep)
{
    char *end;
    if (text[0] < '1' || text[0] > '9')
        return false;
    unsigned long n = strtoul(text, &end, 10);
    return *end == '\0' && n <= keep;
}

/* NULL, or what the owner of P uses this name for. */
static const char *use_of(const struct log_settings *log, const struct output_settings *owner, const char *suffix)
{
    if (owner->rotate_size > 0 && is_number(suffix, owner->rotate_keep))
        return "puts an old file, see its rotate_size";
    if (log->integrity == INTEGRITY_CHAIN && strcmp(suffix, "head") == 0)
        return "has the head of its chain, see log.integrity";
    return NULL;
}

static void verify_suffix(const struct log_settings *log, struct conf *c, const struct file_target *target,
                          size_t owner, size_t i)
{
    const struct output_settings *o = &log->output[owner];
    char path[SETTINGS_PATH];
    const char *use = use_of(log, o, suffix_of(&target[i].named, &target[owner].named));
    if (use == NULL)
        use = use_of(log, o, suffix_of(&target[i].real, &target[owner].named));
    snprintf(path, sizeof path, "log.outputs[%zu].path", i);
    if (use != NULL)
        conf_fault(c, path, "\"%s\" is where log.outputs[%zu], \"%s\", %s", log->output[i].path, owner, o->path, use);
}

static const char *name_of(const struct output_settings *o)
{
    return o->type == OUTPUT_FILE && o->path != NULL ? o->path : "stdout";
}

/* Equal texts are told elsewhere. */
static void verify_same(const struct log_settings *log, struct conf *c, const struct file_target *target, size_t i)
{
    char path[SETTINGS_PATH];
    for (size_t j = 0; j < i; j++) {
        const struct output_settings *a = &log->output[i], *b = &log->output[j];
        bool told = a->type == b->type && strcmp(name_of(a), name_of(b)) == 0;
        if (told || !same_file(&target[i], &target[j]))
            continue;
        snprintf(path, sizeof path, "log.outputs[%zu]", i);
        conf_fault(c, path, "\"%s\" is the same file as log.outputs[%zu], \"%s\"", name_of(a), j, name_of(b));
        return;
    }
}

void settings_verify_files(const struct log_settings *log, struct conf *c)
{
    struct file_target *target = conf_grow(NULL, log->outputs + 1, sizeof *target);
    for (size_t i = 0; i < log->outputs; i++)
        target_find(&target[i], &log->output[i]);
    for (size_t i = 0; i < log->outputs; i++) {
        verify_same(log, c, target, i);
        for (size_t owner = 0; owner < log->outputs; owner++)
            verify_suffix(log, c, target, owner, i);
    }
    for (size_t i = 0; i < log->outputs; i++) {
        free(target[i].named.base);
        free(target[i].real.base);
    }
    free(target);
}
