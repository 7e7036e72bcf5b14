/* Errors are kept until the end: the reply to the end of data tells them. No fsync: this is for tests, not for mail
 * that matters. */
#include "proxy/sink/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_AT = 65536, NAME_LEN = SINK_ID_MAX + 12 };

int sink_store_open(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return -1;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && faccessat(dir, ".", W_OK | X_OK, 0) != 0) {
        int err = errno;
        close(dir);
        errno = err;
        return -1;
    }
    return dir;
}

enum name { MESSAGE, ENVELOPE, MESSAGE_NEW, ENVELOPE_NEW };

static const char *name_of(const struct sink_file *f, enum name name, char out[NAME_LEN])
{
    static const char *const ENDS[] = { ".eml", ".json", ".eml.tmp", ".json.tmp" };
    snprintf(out, NAME_LEN, "%s%s%s", name >= MESSAGE_NEW ? "." : "", f->id, ENDS[name]);
    return out;
}

static int create(struct sink_file *f, enum name which)
{
    char name[NAME_LEN];
    int fd = openat(f->dir, name_of(f, which, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && f->error == 0)
        f->error = errno;
    return fd;
}

static void put(struct sink_file *f, int fd, struct span s)
{
    while (s.n > 0 && f->error == 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n >= 0)
            s = span_skip(s, (size_t)n);
        else if (errno != EINTR)
            f->error = errno;
    }
}

static void flush(struct sink_file *f)
{
    put(f, f->fd, buf_span(&f->out));
    if (!buf_empty(&f->out))
        buf_consume(&f->out, buf_len(&f->out));
}

void sink_file_begin(struct sink_file *f, int dir, const char *id, struct buf_pool *pool)
{
    *f = (struct sink_file){ .dir = dir, .fd = -1 };
    snprintf(f->id, sizeof(f->id), "%s", id);
    buf_init(&f->out, pool);
    f->fd = create(f, MESSAGE_NEW);
}

static void add_raw(struct sink_file *f, struct span octets)
{
    buf_append_span(&f->out, octets);
    if (buf_len(&f->out) >= WRITE_AT)
        flush(f);
}

/* A line's leading dot was added for the wire. */
void sink_file_add(struct sink_file *f, struct span wire)
{
    if (f->raw) {
        add_raw(f, wire);
        return;
    }
    while (wire.n > 0 && f->error == 0) {
        if (!f->in_line) {
            f->in_line = true;
            if (wire.p[0] == '.')
                wire = span_skip(wire, 1);
            continue;
        }
        const char *lf = memchr(wire.p, '\n', wire.n);
        size_t n = lf != NULL ? (size_t)(lf - wire.p) + 1 : wire.n;
        f->in_line = lf == NULL;
        buf_append(&f->out, wire.p, n);
        wire = span_skip(wire, n);
        if (buf_len(&f->out) >= WRITE_AT)
            flush(f);
    }
}

static void close_file(struct sink_file *f)
{
    if (f->fd >= 0 && close(f->fd) != 0 && f->error == 0)
        f->error = errno;
    f->fd = -1;
    buf_free(&f->out);
}

static bool rename_to(struct sink_file *f, enum name from, enum name to)
{
    char old[NAME_LEN], new[NAME_LEN];
    if (f->error == 0 && renameat(f->dir, name_of(f, from, old), f->dir, name_of(f, to, new)) != 0)
        f->error = errno;
    return f->error == 0;
}

static void unlink_name(struct sink_file *f, enum name which)
{
    char name[NAME_LEN];
    unlinkat(f->dir, name_of(f, which, name), 0);
}

static void write_envelope(struct sink_file *f, struct span envelope)
{
    int fd = create(f, ENVELOPE_NEW);
    put(f, fd, envelope);
    if (fd >= 0 && close(fd) != 0 && f->error == 0)
        f->error = errno;
}

bool sink_file_commit(struct sink_file *f, struct span envelope)
{
    flush(f);
    close_file(f);
    if (f->error == 0)
        write_envelope(f, envelope);
    if (!rename_to(f, ENVELOPE_NEW, ENVELOPE))
        unlink_name(f, ENVELOPE_NEW);
    else if (!rename_to(f, MESSAGE_NEW, MESSAGE))
        unlink_name(f, ENVELOPE);
    if (f->error != 0)
        unlink_name(f, MESSAGE_NEW);
    return f->error == 0;
}

void sink_file_discard(struct sink_file *f)
{
    if (f->fd < 0)
        return;
    close_file(f);
    unlink_name(f, MESSAGE_NEW);
}
