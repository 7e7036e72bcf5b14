/* A pipe takes up to PIPE_BUF octets whole or not at all, so what goes to one are whole lines up to that: a reader that
 * stalls for ever leaves no half of a record behind. An empty pipe has room for its whole size, which saves most calls
 * while the reader keeps up; unless another process fills it at the same time. No flag is set on a descriptor that
 * others share. */
#include "proxy/log/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int output_kind_of(int fd, enum output_kind *kind)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    *kind = OUTPUT_DIRECT;
    if (S_ISFIFO(st.st_mode))
        *kind = OUTPUT_PIPE;
    else if (S_ISSOCK(st.st_mode))
        *kind = OUTPUT_SOCKET;
    else if (S_ISCHR(st.st_mode) && isatty(fd))
        *kind = OUTPUT_TTY;
    return 0;
}

struct output *output_open(const struct output_settings *set, const struct output_context *of, char why[OUTPUT_WHY_MAX])
{
    switch (set->type) {
    case OUTPUT_STDOUT:
        return output_open_stdout(why);
    case OUTPUT_FILE:
        return output_open_file(set, of, why);
    case OUTPUT_SYSLOG:
    case OUTPUT_JOURNALD:
    case OUTPUT_TCP:
        return output_open_net(set, of, why);
    case OUTPUT_KAFKA:
        return output_open_kafka(set, of, why);
    }
    return NULL;
}

void output_free(struct output **o)
{
    if (*o != NULL)
        (*o)->ops->free(*o);
    *o = NULL;
}

/* How often a shared pipe is looked at that is to be empty. */
enum { EMPTY_MS = 5 };

static atomic_int sharer; /* a pid */

void output_share(pid_t with) { atomic_store(&sharer, with); }

static bool is_shared(void)
{
    pid_t with = atomic_load(&sharer);
    if (LIKELY(with == 0))
        return false;
    if (kill(with, 0) == 0 || errno != ESRCH)
        return true;
    /* another may have come since */
    return atomic_compare_exchange_strong(&sharer, &with, 0) ? false : with != 0;
}

/* The size of a pipe that is empty; else 0. */
static size_t empty_pipe(const struct output *o)
{
    int n;
    return ioctl(o->fd, FIONREAD, &n) == 0 && n == 0 && (n = fcntl(o->fd, F_GETPIPE_SZ)) > 0 ? (size_t)n : 0;
}

/* How much may be written without waiting. */
static size_t output_room(const struct output *o)
{
    size_t n;
    if (o->kind == OUTPUT_DIRECT)
        return SSIZE_MAX;
    if (o->kind == OUTPUT_PIPE && !is_shared() && (n = empty_pipe(o)) > 0)
        return n;
    struct pollfd p = { .fd = o->fd, .events = POLLOUT };
    return poll(&p, 1, 0) > 0 ? PIPE_BUF : 0;
}

/* For a line longer than PIPE_BUF, where another process may write before its second half: an empty pipe takes it as a
 * whole. What is wrong with the pipe is for write() to say. */
static size_t room_for_long(struct output *o, size_t line)
{
    struct pollfd p = { .fd = o->fd };
    size_t room = min_size(line, empty_pipe(o));
    if (room == 0 && poll(&p, 1, 0) > 0)
        room = line;
    if (room == 0) {
        o->events = 0;
        o->pause_ms = EMPTY_MS;
    }
    return room;
}

static size_t first_line(const char *p, size_t n)
{
    const char *end = memchr(p, '\n', n);
    return end != NULL ? (size_t)(end - p) + 1 : n;
}

static size_t whole_lines(const char *p, size_t n)
{
    const char *end = memrchr(p, '\n', n);
    return end != NULL ? (size_t)(end - p) + 1 : n;
}

struct output *output_make(size_t size, const struct output_ops *ops)
{
    struct output *o = calloc(1, size);
    if (o == NULL)
        abort();
    *o = (struct output){ .ops = ops, .fd = -1, .events = POLLOUT, .pause_ms = -1, .note.err = ERR_COUNT };
    return o;
}

void output_note(struct output *o, enum record_error err, uint64_t records, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    o->note.err = err;
    o->note.records = records;
    vsnprintf(o->note.why, sizeof(o->note.why), fmt, ap);
    va_end(ap);
}

ssize_t output_write(struct output *o, const char *p, size_t n)
{
    return o->ops->write != NULL ? o->ops->write(o, p, n) : output_write_fd(o, p, n);
}

ssize_t output_write_fd(struct output *o, const char *p, size_t n)
{
    o->events = POLLOUT;
    o->pause_ms = -1;
    size_t line = o->kind == OUTPUT_PIPE && is_shared() ? first_line(p, n) : 0;
    size_t room = line > PIPE_BUF ? room_for_long(o, line) : output_room(o);
    if (room == 0)
        return -EAGAIN;
    if (n > room)
        n = whole_lines(p, room);
    ssize_t done = o->kind == OUTPUT_SOCKET ? send(o->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(o->fd, p, n);
    return done >= 0 ? done : -errno;
}
