/* A file opened by name, appended to, perhaps by another process of ours at the same time (while one takes over from
 * the other). Mode and group are set on a file that we create, before anything is in it; one that is there keeps its
 * own. O_NONBLOCK keeps the opening of a named pipe without a reader from hanging; on files it does nothing. */
#include "proxy/log/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FLAGS = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, OPEN_TRIES = 8 };

struct output_file {
    struct output output;
    char *path;
    mode_t mode;
    bool has_group;
    gid_t group;
};

static struct output_file *file_of(struct output *o) { return CONTAINER_OF(o, struct output_file, output); }

static int file_create(const struct output_file *f)
{
    int fd = open(f->path, OPEN_FLAGS | O_CREAT | O_EXCL, f->mode & S_IRWXU);
    if (fd < 0)
        return -1;
    if ((!f->has_group || fchown(fd, (uid_t)-1, f->group) == 0) && fchmod(fd, f->mode) == 0)
        return fd;
    int saved = errno;
    unlink(f->path);
    close(fd);
    errno = saved;
    return -1;
}

/* Others may create or remove the file between two of our calls. */
static int file_open(const struct output_file *f)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        int fd = open(f->path, OPEN_FLAGS);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        fd = file_create(f);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* The end of the last run's last line may be missing. Where the file can't be read it is taken as whole. */
static bool file_is_torn(const char *path, int fd)
{
    struct stat st, other;
    char last = '\n';
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        return false;
    if (fstat(in, &other) == 0 && other.st_dev == st.st_dev && other.st_ino == st.st_ino &&
        pread(in, &last, 1, st.st_size - 1) != 1)
        last = '\n';
    close(in);
    return last != '\n';
}

static int file_reopen(struct output *o)
{
    struct output_file *f = file_of(o);
    enum output_kind kind;
    int fd = file_open(f);
    if (fd < 0)
        return errno;
    if (output_kind_of(fd, &kind) != 0) {
        int saved = errno;
        close(fd);
        return saved;
    }
    if (o->fd >= 0)
        close(o->fd);
    o->fd = fd;
    o->kind = kind;
    o->torn = file_is_torn(f->path, fd);
    return 0;
}

/* Only while what we wrote is the end of the file: else another process has appended, and the tear must stay. */
static bool file_cut(struct output *o, size_t octets)
{
    struct stat st;
    off_t end = lseek(o->fd, 0, SEEK_CUR);
    return end >= (off_t)octets && fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == end &&
           ftruncate(o->fd, end - (off_t)octets) == 0;
}

static void file_free(struct output *o)
{
    struct output_file *f = file_of(o);
    if (o->fd >= 0)
        close(o->fd);
    free(f->path);
    free(f);
}

static const struct output_ops FILE_OPS = { .reopen = file_reopen, .cut = file_cut, .free = file_free };

/* A group's name, or its number. */
static bool file_find_group(struct output_file *f, const char *name)
{
    struct group entry, *found = NULL;
    char text[16384], *end;
    f->has_group = true;
    if (getgrnam_r(name, &entry, text, sizeof(text), &found) == 0 && found != NULL) {
        f->group = found->gr_gid;
        return true;
    }
    unsigned long number = strtoul(name, &end, 10);
    f->group = (gid_t)number;
    return isdigit((unsigned char)name[0]) && *end == '\0' && number == f->group;
}

struct output *output_open_file(const struct output_settings *set, char why[OUTPUT_WHY_MAX])
{
    struct output_file *f = calloc(1, sizeof(*f));
    if (f == NULL || (f->path = strdup(set->path)) == NULL)
        abort();
    f->output = (struct output){ .ops = &FILE_OPS, .name = f->path, .fd = -1 };
    f->mode = (mode_t)(set->mode & 07777);
    if (set->group != NULL && !file_find_group(f, set->group)) {
        snprintf(why, OUTPUT_WHY_MAX, "there is no group \"%s\"", set->group);
    } else {
        int error = file_reopen(&f->output);
        if (error == 0)
            return &f->output;
        snprintf(why, OUTPUT_WHY_MAX, "%s: %s", f->path, strerror(error));
    }
    file_free(&f->output);
    return NULL;
}
