/* A file opened by name, appended to, perhaps by another process of ours at the same time (while one takes over from
 * the other). Mode and group are set on a file that we create, before anything is in it; one that is there keeps its
 * own. O_NONBLOCK keeps the opening of a named pipe without a reader from hanging; on files it does nothing.
 *
 * Whoever has the file open holds a shared lock on it. An incomplete last line, a crash's or our own, is removed only
 * under the exclusive lock, when nobody can be writing; and the file is rotated under it, for all others would
 * go on writing into the old one. Writing itself asks for no lock. */
#include "proxy/log/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/record/line.h"
#include "proxy/log/clock.h"
#include "proxy/log/durable.h"
#include "proxy/log/rotate.h"

enum { OPEN_FLAGS = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, OPEN_TRIES = 8, TORN_LOOKS = 10 };
/* After a failure to rotate. */
enum { ROTATE_PAUSE = 10 * USEC_PER_SEC };

struct output_file {
    struct output output;
    char *path;
    mode_t mode;
    bool has_group;
    gid_t group;
    size_t max_record;
    uint64_t rotate_size; /* 0: never */
    unsigned rotate_keep;
    usec_t rotate_after; /* monotonic: not before */
    bool within;         /* a line has been begun and not ended */
    enum log_sync sync;
    struct durable room; /* of what is open */
    int unsynced;        /* an errno: what was closed may not be on the disk */
};

static struct output_file *file_of(struct output *o) { return CONTAINER_OF(o, struct output_file, output); }

static int file_create(const struct output_file *f)
{
    int fd = open(f->path, OPEN_FLAGS | O_CREAT | O_EXCL, f->mode & S_IRWXU);
    if (fd < 0)
        return -1;
    if ((!f->has_group || fchown(fd, (uid_t)-1, f->group) == 0) && fchmod(fd, f->mode) == 0 &&
        (f->sync != SYNC_FSYNC || (errno = durable_sync_directory(f->path)) == 0))
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

/* Reads what our own descriptor, which can only write, has open; -1: that can't be done. */
static int file_open_to_read(const char *path, const struct stat *of)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == of->st_dev && st.st_ino == of->st_ino)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What stands behind the last line's end, if that is not longer than a record may be. Owned by the caller. */
static char *read_tail(int in, off_t size, size_t max_record, size_t *n)
{
    size_t part = min_size((size_t)size, max_record);
    char *text = conf_grow(NULL, part, 1), *end = NULL;
    *n = 0;
    if (pread(in, text, part, size - (off_t)part) == (ssize_t)part)
        end = memrchr(text, '\n', part);
    else
        part = 0;
    if (end != NULL)
        *n = (size_t)(text + part - (end + 1));
    else if (part == (size_t)size)
        *n = part;
    memmove(text, text + part - *n, *n);
    return text;
}

/* The beginning of a record, in either format, and not all of it. */
static bool is_partial(struct span tail)
{
    static const struct span BEGIN[] = { { "{\"time\":\"", 9 }, { "{\"@timestamp\":\"", 15 } };
    struct line whole;
    bool begins = false;
    for (size_t i = 0; i < ARRAY_LEN(BEGIN); i++) {
        size_t n = min_size(BEGIN[i].n, tail.n);
        begins |= memcmp(BEGIN[i].p, tail.p, n) == 0;
    }
    return begins && tail.n > 0 && !line_scan(&whole, tail);
}

static bool ends_line(int in)
{
    char last;
    struct stat st;
    return fstat(in, &st) != 0 || st.st_size == 0 || pread(in, &last, 1, st.st_size - 1) != 1 || last == '\n';
}

/* What another process is writing just now is seen in part. */
static bool is_torn(int in, bool alone)
{
    for (int i = 0; !ends_line(in); i++) {
        if (alone || i == TORN_LOOKS)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 5000 * 1000L }, NULL);
    }
    return false;
}

/* The end of the last run's last line may be missing. It is removed if it can be nothing but the beginning of a record
 * that nobody is writing; else our first line begins behind a line's end of its own, which makes a whole record whose
 * line's end was lost whole again. Where the file can't be read it is taken as whole. */
static void file_heal(struct output_file *f)
{
    struct output *o = &f->output;
    struct stat st;
    size_t n;
    o->torn = false;
    if (fstat(o->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    int in = file_open_to_read(f->path, &st);
    if (in < 0)
        return;
    bool alone = flock(o->fd, LOCK_EX | LOCK_NB) == 0 && fstat(o->fd, &st) == 0;
    o->torn = is_torn(in, alone);
    if (o->torn && alone) {
        char *tail = read_tail(in, st.st_size, f->max_record, &n);
        if (is_partial(span_of(tail, n)) && ftruncate(o->fd, st.st_size - (off_t)n) == 0) {
            output_note(o, ERR_LOG_TORN, 0, "%zu octets are removed from its end", n);
            o->torn = false;
        }
        free(tail);
    }
    close(in);
}

/* Nobody else has it: nobody's lines are cut off with the room that was not used. */
static void file_close(struct output *o)
{
    struct output_file *f = file_of(o);
    if (o->fd < 0)
        return;
    int error = f->sync == SYNC_FSYNC ? durable_sync(o->fd) : 0;
    if (error != 0)
        f->unsynced = error;
    if (f->sync != SYNC_NONE && flock(o->fd, LOCK_EX | LOCK_NB) == 0)
        durable_release(o->fd);
    close(o->fd);
    o->fd = -1;
}

static long file_secure(struct output *o, size_t want) { return durable_secure(&file_of(o)->room, o->fd, want); }

static int file_sync(struct output *o)
{
    int error = durable_sync(o->fd), closed = file_of(o)->unsynced;
    file_of(o)->unsynced = 0;
    return error != 0 ? error : closed;
}

/* Opens it by name, and closes what was open. */
static int file_adopt(struct output *o)
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
    file_close(o);
    f->room = (struct durable){ .end = 0 };
    o->fd = fd;
    o->kind = kind;
    f->within = false;
    file_heal(f);
    return 0;
}

static bool file_has_name(const struct output_file *f)
{
    struct stat own, named;
    return fstat(f->output.fd, &own) == 0 && stat(f->path, &named) == 0 && own.st_dev == named.st_dev &&
           own.st_ino == named.st_ino;
}

/* With the shared lock, and under its name. */
static bool file_settle(const struct output_file *f)
{
    return (flock(f->output.fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) && file_has_name(f);
}

/* Whoever rotates it just now has it alone for an instant, and leaves one that has lost its name. */
static int file_reopen(struct output *o)
{
    int error = file_adopt(o);
    for (unsigned i = 0; i < OPEN_TRIES && error == 0 && !file_settle(file_of(o)); i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000L << i }, NULL);
        if (file_adopt(o) != 0)
            break;
    }
    return error;
}

/* What we wrote last is the end of the file: no other process has appended. */
static bool file_ends_with_ours(const struct output *o, size_t octets)
{
    struct stat st;
    off_t end = lseek(o->fd, 0, SEEK_CUR);
    return end >= (off_t)octets && fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == end;
}

/* Under the exclusive lock, which keeps others from appending meanwhile; where it can't be had the tear must stay. A
 * lock that can't be changed is lost, and another process may have rotated the file before we have it again: then the
 * tear is left in the old one. */
static bool file_cut(struct output *o, size_t octets)
{
    struct output_file *f = file_of(o);
    if (!file_ends_with_ours(o, octets))
        return false;
    bool alone = flock(o->fd, LOCK_EX | LOCK_NB) == 0, cut = alone && file_ends_with_ours(o, octets);
    if (cut)
        cut = ftruncate(o->fd, lseek(o->fd, 0, SEEK_CUR) - (off_t)octets) == 0;
    if (cut)
        f->within = false;
    if (alone && flock(o->fd, LOCK_SH | LOCK_NB) == 0)
        return cut;
    return (!file_settle(f) && file_reopen(o) == 0) || cut;
}

/* The old file is in use until the new one is open; where that fails, it gets its name back. Another process may just
 * have rotated it: then the name is another file's, which we open. A lock that can't be made exclusive is lost. */
static int file_rotate(struct output_file *f)
{
    struct output *o = &f->output;
    if (flock(o->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return file_settle(f) ? EWOULDBLOCK : file_reopen(o);
    bool ours = file_has_name(f);
    int error = ours ? rotate_shift(f->path, f->rotate_keep) : 0;
    if (error == 0) {
        error = file_reopen(o);
        if (error != 0 && ours && rotate_undo(f->path) != 0)
            output_note(o, ERR_LOG_WRITE, 0, "records go into %s.1", f->path);
    }
    if (error != 0)
        flock(o->fd, LOCK_SH | LOCK_NB);
    return error;
}

static void file_try_rotate(struct output_file *f)
{
    usec_t now = clock_mono();
    if (now < f->rotate_after)
        return;
    int error = file_rotate(f);
    if (error == 0)
        return;
    f->rotate_after = now + ROTATE_PAUSE;
    if (error != EWOULDBLOCK && f->output.note.err == ERR_COUNT)
        output_note(&f->output, ERR_LOG_WRITE, 0, "it can't be rotated, and grows: %s", strerror(error));
}

/* The whole lines that fit into the room, one at the least. */
static size_t lines_within(const char *p, size_t n, uint64_t room)
{
    const char *end = room < n ? memrchr(p, '\n', (size_t)room) : p + n - 1;
    if (end == NULL)
        end = memchr(p, '\n', n);
    return end != NULL ? (size_t)(end - p) + 1 : n;
}

/* How much of it goes into the file that is open, or into the next one. */
static size_t file_share(struct output_file *f, const char *p, size_t n)
{
    struct stat st;
    struct output *o = &f->output;
    if (f->rotate_size == 0 || f->within || fstat(o->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return n;
    size_t first = lines_within(p, n, 0);
    if (st.st_size > 0 && (uint64_t)st.st_size + first > f->rotate_size)
        file_try_rotate(f);
    if (fstat(o->fd, &st) != 0 || st.st_size == 0)
        return max_size(first, lines_within(p, n, f->rotate_size));
    if ((uint64_t)st.st_size + first > f->rotate_size)
        return n;
    return lines_within(p, n, f->rotate_size - (uint64_t)st.st_size);
}

/* The line's end that a torn line lacks is for the file that has the line. */
static ssize_t file_write(struct output *o, const char *p, size_t n)
{
    struct output_file *f = file_of(o);
    ssize_t done = output_write_fd(o, p, o->torn ? n : file_share(f, p, n));
    if (done > 0)
        f->within = p[done - 1] != '\n';
    return done;
}

static void file_free(struct output *o)
{
    struct output_file *f = file_of(o);
    file_close(o);
    free(f->path);
    free(f);
}

static const struct output_ops FILE_OPS = { .reopen = file_reopen,
                                            .cut = file_cut,
                                            .write = file_write,
                                            .secure = file_secure,
                                            .sync = file_sync,
                                            .free = file_free };

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

struct output *output_open_file(const struct output_settings *set, const struct output_context *of,
                                char why[OUTPUT_WHY_MAX])
{
    struct output_file *f = file_of(output_make(sizeof(*f), &FILE_OPS));
    f->output.name = f->path = conf_dup(span_str(set->path));
    f->mode = (mode_t)(set->mode & 07777);
    f->max_record = of->max_record;
    f->sync = set->sync;
    f->rotate_size = set->rotate_size;
    f->rotate_keep = set->rotate_keep;
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
