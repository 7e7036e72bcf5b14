/* A worker accepts a bounded number of clients a round, so that a flood of connections doesn't starve its sessions. */
#include "proxy/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/worker.h"

enum { BACKLOG = 4096, ACCEPT_ROUND = 64 };

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage ss;
};

static socklen_t fill_address(union address *a, const struct endpoint *at)
{
    memset(a, 0, sizeof(*a));
    if (at->kind == ENDPOINT_UNIX) {
        a->un.sun_family = AF_UNIX;
        memcpy(a->un.sun_path, at->host, min_size(strlen(at->host), sizeof(a->un.sun_path) - 1));
        return sizeof(a->un);
    }
    if (at->addr.family == NETADDR_IPV6) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons(at->addr.port);
        memcpy(&a->in6.sin6_addr, at->addr.ip, 16);
        return sizeof(a->in6);
    }
    a->in.sin_family = AF_INET;
    a->in.sin_port = htons(at->addr.port);
    memcpy(&a->in.sin_addr, at->addr.ip, 4);
    return sizeof(a->in);
}

/* A socket file that a dead process left is removed; one that somebody listens on is not. */
static void remove_stale(const union address *a, socklen_t len)
{
    struct stat st;
    if (lstat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, &a->sa, len) != 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
    close(fd);
}

static void set_options(int fd, int family)
{
    int on = 1;
    if (family == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
}

/* Binds without SO_REUSEPORT first: otherwise an address that another program of ours serves would be shared silently.
 */
static bool address_is_free(const union address *a, socklen_t len)
{
    int on = 1, fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->sa.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    bool free = bind(fd, &a->sa, len) == 0;
    int err = errno;
    close(fd);
    errno = err;
    return free;
}

static int open_socket(const union address *a, socklen_t len)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    set_options(fd, a->sa.sa_family);
    if (bind(fd, &a->sa, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* The first socket finds the port where 0 was asked for; the others join it. */
static bool open_sockets(struct listener *l, union address *a, socklen_t len, unsigned workers)
{
    unsigned wanted = l->shared ? 1 : workers;
    for (; l->sockets < wanted; l->sockets++) {
        l->fd[l->sockets] = open_socket(a, len);
        if (l->fd[l->sockets] < 0)
            return false;
        socklen_t size = sizeof(a->ss);
        if (l->sockets == 0 && !l->shared)
            getsockname(l->fd[0], &a->sa, &size);
    }
    return true;
}

/* Every worker has something to watch. */
static void fill_slots(struct listener *l, unsigned workers)
{
    l->fds = (unsigned)max_size(workers, l->sockets);
    for (unsigned i = l->sockets; i < l->fds; i++)
        l->fd[i] = l->fd[i % l->sockets];
}

/* False: no socket of this name was passed. */
static bool take_passed(struct listener *l, const struct listener_settings *ls, struct passed *passed, union address *a)
{
    socklen_t len = sizeof(a->ss);
    int on = 1;
    l->sockets = passed_take(passed, ls->address_text, l->fd, passed_count(passed, ls->address_text));
    if (l->sockets == 0 || getsockname(l->fd[0], &a->sa, &len) != 0)
        return false;
    l->foreign = ls->address.kind == ENDPOINT_SYSTEMD;
    l->shared = l->foreign || a->sa.sa_family == AF_UNIX;
    for (unsigned i = 0; i < l->sockets && a->sa.sa_family != AF_UNIX; i++)
        setsockopt(l->fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return true;
}

static bool open_own(struct listener *l, const struct listener_settings *ls, union address *a, unsigned workers)
{
    socklen_t len = fill_address(a, &ls->address);
    l->shared = ls->address.kind == ENDPOINT_UNIX;
    if (ls->address.kind == ENDPOINT_SYSTEMD) {
        errno = ENOTSOCK;
        return false;
    }
    if (l->shared)
        remove_stale(a, len);
    bool fixed_port = !l->shared && ls->address.addr.port != 0;
    if ((fixed_port && !address_is_free(a, len)) || !open_sockets(l, a, len, workers))
        return false;
    if (l->shared)
        chmod(ls->address.host, 0666);
    return true;
}

static socklen_t address_len(const union address *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

struct listener *listener_open(const struct listener_settings *ls, unsigned workers, struct passed *passed, char *why,
                               size_t size)
{
    union address a = { 0 };
    struct listener *l = calloc(1, sizeof(*l));
    size_t most = max_size(workers, passed_count(passed, ls->address_text));
    if (l == NULL || (l->fd = calloc(most, sizeof(int))) == NULL || (l->address = strdup(ls->address_text)) == NULL)
        abort();
    bool ok = take_passed(l, ls, passed, &a);
    if (!ok)
        ok = open_own(l, ls, &a, workers);
    else if (!l->shared)
        ok = open_sockets(l, &a, address_len(&a), workers);
    if (!ok) {
        const char *reason =
            ls->address.kind == ENDPOINT_SYSTEMD ? "no socket of this name was passed" : strerror(errno);
        snprintf(why, size, "%s: %s", ls->address_text, reason);
        listener_close(&l);
        return NULL;
    }
    fill_slots(l, workers);
    if (a.sa.sa_family == AF_UNIX)
        l->path = strndup(a.un.sun_path, sizeof(a.un.sun_path));
    l->bound = netaddr_from_sockaddr(&a.sa);
    return l;
}

static void close_sockets(struct listener *l)
{
    bool open = false;
    for (unsigned i = 0; i < l->sockets; i++) {
        open |= l->fd[i] >= 0;
        if (l->fd[i] >= 0)
            close(l->fd[i]);
        l->fd[i] = -1;
    }
    if (l->path != NULL && open && !l->foreign)
        unlink(l->path);
}

void listener_close(struct listener **lp)
{
    struct listener *l = *lp;
    *lp = NULL;
    if (l == NULL)
        return;
    close_sockets(l);
    free(l->path);
    free(l->address);
    free(l->fd);
    free(l);
}

static void take(struct listener_watch *lw, int fd, const union address *peer)
{
    struct worker *w = lw->w;
    struct accepted a = { .listener = lw->listener, .settings = w->settings, .fd = fd };
    a.set = &w->settings->listener[lw->index];
    a.peer = netaddr_from_sockaddr(&peer->sa);
    a.local = lw->listener->bound;
    if (lw->any_address) {
        union address local = { 0 };
        socklen_t len = sizeof(local);
        if (getsockname(fd, &local.sa, &len) == 0)
            a.local = netaddr_from_sockaddr(&local.sa);
    }
    w->ops->accept(w, &a);
}

/* Out of descriptors or memory: waiting clients stay in the backlog; a timer tries again. */
static void rest(struct listener_watch *lw)
{
    ev_io_stop(lw->w->loop.ev, &lw->io);
    loop_timer(&lw->w->loop, &lw->retry, 100 * USEC_PER_MSEC);
}

static void on_retry(struct timer *t)
{
    struct listener_watch *lw = CONTAINER_OF(t, struct listener_watch, retry);
    ev_io_start(lw->w->loop.ev, &lw->io);
}

/* False: nobody waits, or nobody can be taken now. */
static bool accept_one(struct listener_watch *lw)
{
    union address peer = { 0 };
    socklen_t len = sizeof(peer);
    int fd = accept4(lw->io.fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        take(lw, fd, &peer);
        return true;
    }
    int err = errno;
    if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM) {
        worker_accept_failed(lw->w, lw->w->settings->listener[lw->index].name, err);
        rest(lw);
    }
    return err == EINTR || err == ECONNABORTED;
}

static void on_connections(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    (void)events;
    struct listener_watch *lw = io->data;
    loop_tick(&lw->w->loop);
    for (unsigned i = 0; i < ACCEPT_ROUND && !lw->w->paused; i++) {
        if (logger_state(lw->w->logger) == LOG_BLOCKED) {
            worker_pause_for_log(lw->w);
            return;
        }
        if (!accept_one(lw))
            return;
    }
}

void listener_watch_start(struct listener_watch *lw, struct worker *w, struct listener *l, unsigned index,
                          unsigned slot)
{
    static const uint8_t any[16];
    *lw = (struct listener_watch){ .w = w, .listener = l, .index = index, .slot = slot };
    size_t n = l->bound.family == NETADDR_IPV6 ? 16 : 4;
    lw->any_address = l->path == NULL && (l->sockets > 1 || memcmp(l->bound.ip, any, n) == 0);
    atomic_fetch_add(&l->users, 1);
    timer_init(&lw->retry, on_retry);
    ev_io_init(&lw->io, on_connections, l->fd[slot], EV_READ);
    lw->io.data = lw;
    ev_io_start(w->loop.ev, &lw->io);
}

void listener_watch_stop(struct listener_watch *lw)
{
    timer_clear(&lw->retry);
    ev_io_stop(lw->w->loop.ev, &lw->io);
}

static void close_socket(struct listener *l, unsigned slot)
{
    bool last = atomic_fetch_sub(&l->users, 1) == 1;
    if (l->shared && last) {
        close_sockets(l);
    } else if (!l->shared) {
        close(l->fd[slot]);
        l->fd[slot] = -1;
    }
}

void listener_watch_end(struct listener_watch *lw, bool handed_over)
{
    for (unsigned i = 0; !handed_over && i < BACKLOG && accept_one(lw);)
        i++;
    listener_watch_stop(lw);
    close_socket(lw->listener, lw->slot);
}

void listener_watch_pause(struct listener_watch *lw, bool on)
{
    timer_clear(&lw->retry);
    if (on)
        ev_io_stop(lw->w->loop.ev, &lw->io);
    else
        ev_io_start(lw->w->loop.ev, &lw->io);
}
