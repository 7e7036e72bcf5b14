/* Level-triggered: one read an event, one write a round. A socket that takes all is never watched for writing. */
#include "proxy/net/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/net/stream_impl.h"

enum { READ_ROOM = 32768, READ_ENOUGH = 65536 };

/* The one place where interest is set. */
static void watch(struct stream *s)
{
    bool write = s->waiting || s->tls_wants_write;
    int want = (((s->reading || s->handshaking) && !s->eof) ? EV_READ : 0) | (write ? EV_WRITE : 0);
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

/* TLS may hold bytes, or have news, that the socket will not tell of: it is read again when the loop comes round. */
static void read_again(struct stream *s)
{
    if (s->ssl != NULL && list_empty(&s->ready))
        list_append(&s->loop->ready, &s->ready);
}

static bool is_fault(ssize_t n, int err) { return n < 0 && err != EAGAIN && err != EINTR; }

static bool holds_bytes(const struct stream *s) { return s->ssl != NULL && stream_tls_holds(s); }

/* Looks first, and takes what the owner says. */
static ssize_t sip(struct stream *s, char *to, size_t room)
{
    size_t had = buf_len(&s->in);
    ssize_t n = recv(s->fd, to, room, MSG_PEEK);
    if (n <= 0)
        return n;
    size_t all = s->sip(s->owner, span_of(s->in.base + s->in.head, had + (size_t)n));
    return all > had ? recv(s->fd, to, all - had, 0) : n;
}

static ssize_t take(struct stream *s, char *to, size_t room)
{
    if (s->ssl != NULL)
        return stream_tls_read(s, to, room);
    return s->sip != NULL ? sip(s, to, room) : read(s->fd, to, room);
}

/* Reads once; TLS reads until OpenSSL has nothing more, or enough. Returns the last result, with errno. */
static ssize_t fill(struct stream *s, size_t *got)
{
    ssize_t n;
    *got = 0;
    do {
        char *to = buf_reserve(&s->in, READ_ROOM);
        n = take(s, to, buf_room(&s->in));
        buf_commit(&s->in, n > 0 ? (size_t)n : 0);
        *got += n > 0 ? (size_t)n : 0;
    } while (n > 0 && *got < READ_ENOUGH && holds_bytes(s));
    s->bytes_in += *got;
    return n;
}

static void on_readable(struct stream *s)
{
    size_t got;
    ssize_t n = fill(s, &got);
    int err = errno;
    if (is_fault(n, err) && got == 0) {
        fail(s, err);
        return;
    }
    if (n == 0)
        s->eof = true;
    watch(s);
    if ((n > 0 && holds_bytes(s)) || is_fault(n, err))
        read_again(s);
    if (got > 0 || s->eof)
        s->ops->readable(s->owner);
}

void stream_read_held(struct stream *s)
{
    if (s->fd < 0 || s->ssl == NULL || s->handshaking || !s->reading || s->eof)
        return;
    on_readable(s);
}

static void hand_shake(struct stream *s)
{
    char why[256] = "";
    s->waiting = false;
    enum stream_tls_progress progress = stream_tls_handshake(s, why, sizeof(why));
    if (progress == STREAM_TLS_GOES_ON) {
        watch(s);
        return;
    }
    s->handshaking = false;
    s->tls_wants_write = false;
    if (progress == STREAM_TLS_FAILED)
        s->reading = s->waiting = false;
    else /* also where it holds nothing: a read in vain makes OpenSSL give the handshake's buffer back */
        read_again(s);
    if (!buf_empty(&s->out))
        stream_wrote(s);
    watch(s);
    s->ops->secured(s->owner, progress == STREAM_TLS_FAILED ? why : NULL);
}

/* Room to write: what waits leaves; TLS may have waited for it to go on reading. */
static void on_writable(struct stream *s)
{
    bool held = s->tls_wants_write;
    s->waiting = s->tls_wants_write = false;
    stream_flush(s);
    if (s->fd < 0)
        return;
    watch(s);
    if (held && s->reading)
        read_again(s);
}

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct stream *s = io->data;
    loop_tick(s->loop);
    s->connecting = false;
    if (s->handshaking) {
        hand_shake(s);
        return;
    }
    if (events & EV_WRITE)
        on_writable(s);
    if (s->fd >= 0 && (events & EV_READ) && s->reading && !s->eof)
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
    list_init(&s->ready);
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
    if (on)
        read_again(s);
}

void stream_sip(struct stream *s, size_t (*wanted)(void *owner, struct span in)) { s->sip = wanted; }

void stream_start_tls(struct stream *s, struct ssl_st *ssl)
{
    buf_consume_secret(&s->in, buf_len(&s->in));
    stream_tls_attach(s, ssl);
    s->handshaking = true;
    s->waiting = s->connecting;
    watch(s);
    if (!s->connecting)
        hand_shake(s);
}

void stream_discard_input(struct stream *s)
{
    char waste[4096];
    buf_consume_secret(&s->in, buf_len(&s->in));
    for (int i = 0; i < 64 && s->fd >= 0 && recv(s->fd, waste, sizeof(waste), 0) > 0; i++)
        ;
    explicit_bzero(waste, sizeof(waste));
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
    if (buf_empty(&s->out) && !s->waiting && !s->connecting && s->ssl == NULL) {
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
    if (buf_empty(&s->out) || s->error != 0 || s->handshaking)
        return;
    s->slow |= stream_unsent(s) > STREAM_HIGH;
    const char *from = s->out.base + s->out.head;
    size_t unsent = stream_unsent(s);
    ssize_t n = s->ssl ? stream_tls_write(s, from, unsent) : send(s->fd, from, unsent, MSG_NOSIGNAL);
    if (n > 0) {
        if (UNLIKELY(s->secret))
            buf_consume_secret(&s->out, (size_t)n);
        else
            buf_consume(&s->out, (size_t)n);
        s->secret = s->secret && !buf_empty(&s->out);
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
    s->waiting = !buf_empty(&s->out) && !s->handshaking;
    watch(s);
    bool told = s->slow && stream_unsent(s) <= STREAM_LOW;
    s->slow = (s->slow && !told) || s->waiting;
    if (told)
        s->ops->drained(s->owner);
}

/* MPTCP acknowledges on two levels; of others nothing is known. */
static bool is_tcp(int fd)
{
    int domain, protocol;
    socklen_t n = sizeof(domain), m = sizeof(protocol);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && (domain == AF_INET || domain == AF_INET6) &&
           getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &m) == 0 && protocol == IPPROTO_TCP;
}

bool stream_unacknowledged(const struct stream *s)
{
    int left = 0;
    if (s->fd < 0 || ioctl(s->fd, SIOCOUTQ, &left) != 0 || left <= 0)
        return false;
    uint64_t since = s->ssl != NULL ? stream_tls_since(s) : 0;
    return (uint64_t)left > since && is_tcp(s->fd);
}

void stream_shutdown(struct stream *s)
{
    if (s->fd < 0)
        return;
    if (s->ssl != NULL)
        stream_tls_bye(s);
    shutdown(s->fd, SHUT_WR);
}

void stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    list_remove(&s->dirty);
    list_remove(&s->ready);
    s->reading = s->waiting = s->handshaking = s->tls_wants_write = false;
    watch(s);
    if (s->ssl != NULL)
        stream_tls_free(s);
    close(s->fd);
    s->fd = -1;
    buf_consume_secret(&s->in, buf_len(&s->in));
    if (s->secret)
        buf_consume_secret(&s->out, buf_len(&s->out));
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
