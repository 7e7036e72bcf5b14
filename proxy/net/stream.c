/* Level-triggered: one read an event, one write a round. A socket that takes all is never watched for writing. */
#include "proxy/net/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_ROOM = 32768 };

/* The one place where interest is set. */
static void watch(struct stream *s)
{
    int want = ((s->reading && !s->eof) ? EV_READ : 0) | (s->waiting ? EV_WRITE : 0);
    if (ev_is_active(&s->io)) {
        if ((s->io.events & (EV_READ | EV_WRITE)) == want)
            return;
        ev_io_stop(s->loop->ev, &s->io);
    }
    if (want == 0)
        return;
    ev_io_set(&s->io, s->fd, want);
    ev_io_start(s->loop->ev, &s->io);
}

static void fail(struct stream *s, int err)
{
    s->reading = false;
    s->waiting = false;
    watch(s);
    s->ops->broken(s->owner, err);
}

static void on_readable(struct stream *s)
{
    char *to = buf_reserve(&s->in, READ_ROOM);
    ssize_t n = read(s->fd, to, buf_room(&s->in));
    if (n > 0) {
        buf_commit(&s->in, (size_t)n);
        s->bytes_in += (uint64_t)n;
    } else if (n == 0) {
        s->eof = true;
        watch(s);
    } else if (errno != EAGAIN && errno != EINTR) {
        int err = errno;
        if (buf_empty(&s->in))
            buf_free(&s->in);
        fail(s, err);
        return;
    } else {
        if (buf_empty(&s->in))
            buf_free(&s->in);
        return;
    }
    if (buf_empty(&s->in))
        buf_free(&s->in);
    s->ops->readable(s->owner);
}

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct stream *s = io->data;
    loop_tick(s->loop);
    s->connecting = false;
    if (events & EV_WRITE) {
        s->waiting = false;
        stream_flush(s);
        if (s->fd < 0)
            return;
        watch(s);
    }
    if ((events & EV_READ) && s->reading && !s->eof)
        on_readable(s);
}

void stream_open(struct stream *s, struct loop *loop, int fd, bool connecting, const struct stream_ops *ops,
                 void *owner)
{
    *s = (struct stream){
        .loop = loop, .fd = fd, .connecting = connecting, .ops = ops, .owner = owner, .reading = true
    };
    buf_init(&s->in, &loop->pool);
    buf_init(&s->out, &loop->pool);
    list_init(&s->dirty);
    ev_io_init(&s->io, on_io, fd, EV_READ);
    s->io.data = s;
    watch(s);
}

void stream_read(struct stream *s, bool on)
{
    if (s->fd < 0 || s->reading == on)
        return;
    s->reading = on;
    watch(s);
}

void stream_wrote(struct stream *s)
{
    if (s->fd >= 0 && list_empty(&s->dirty) && !s->waiting)
        list_append(&s->loop->dirty, &s->dirty);
}

static void sent(struct stream *s, size_t n) { s->bytes_out += n; }

/* Copies what writev() left over. */
static void keep_rest(struct stream *s, const struct span *pieces, unsigned count, size_t taken)
{
    for (unsigned i = 0; i < count; i++) {
        size_t skip = min_size(taken, pieces[i].n);
        taken -= skip;
        if (skip < pieces[i].n)
            buf_append(&s->out, pieces[i].p + skip, pieces[i].n - skip);
    }
}

static ssize_t write_pieces(int fd, const struct span *pieces, unsigned count)
{
    enum { IOV_CHUNK = 64 };
    struct iovec iov[IOV_CHUNK];
    unsigned n = 0;
    for (; n < count && n < IOV_CHUNK; n++)
        iov[n] = (struct iovec){ .iov_base = (void *)(uintptr_t)pieces[n].p, .iov_len = pieces[n].n };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

void stream_write_pieces(struct stream *s, const struct span *pieces, unsigned count)
{
    if (s->fd < 0 || s->error != 0)
        return;
    ssize_t n = 0;
    if (buf_empty(&s->out) && !s->waiting && !s->connecting) {
        n = write_pieces(s->fd, pieces, count);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            s->error = errno;
            stream_wrote(s);
            return;
        }
        n = n < 0 ? 0 : n;
        sent(s, (size_t)n);
    }
    keep_rest(s, pieces, count, (size_t)n);
    if (!buf_empty(&s->out))
        stream_wrote(s);
}

/* One write. Whoever saw more than STREAM_HIGH unsent is waiting for `drained`, also where all of it leaves now. */
static void write_out(struct stream *s)
{
    if (buf_empty(&s->out) || s->error != 0)
        return;
    s->slow |= stream_unsent(s) > STREAM_HIGH;
    ssize_t n = send(s->fd, s->out.base + s->out.head, stream_unsent(s), MSG_NOSIGNAL);
    if (n > 0) {
        buf_consume(&s->out, (size_t)n);
        sent(s, (size_t)n);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR && !(s->connecting && errno == ENOTCONN)) {
        s->error = errno;
    }
}

bool stream_push(struct stream *s)
{
    if (s->fd < 0)
        return false;
    write_out(s);
    stream_wrote(s);
    return s->error == 0;
}

void stream_flush(struct stream *s)
{
    list_remove(&s->dirty);
    if (s->fd < 0)
        return;
    write_out(s);
    if (s->error != 0) {
        fail(s, s->error);
        return;
    }
    s->waiting = !buf_empty(&s->out);
    watch(s);
    bool told = s->slow && stream_unsent(s) <= STREAM_LOW;
    s->slow = (s->slow && !told) || s->waiting;
    if (told)
        s->ops->drained(s->owner);
}

void stream_shutdown(struct stream *s)
{
    if (s->fd >= 0)
        shutdown(s->fd, SHUT_WR);
}

void stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    list_remove(&s->dirty);
    s->reading = s->waiting = false;
    watch(s);
    close(s->fd);
    s->fd = -1;
    buf_free(&s->in);
    buf_free(&s->out);
}

void stream_abort(struct stream *s)
{
    if (s->fd < 0)
        return;
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    stream_close(s);
}
