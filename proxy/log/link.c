/* See link.h. A place is an address with a kind of socket: a unix address has two, for syslog daemons listen on
 * either. */
#include "proxy/log/link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/log/clock.h"

enum { CONNECT_MAX = 10 * USEC_PER_SEC, SEND_BUFFER = 256 * 1024 };
/* A full receiver's system answers a probe within two minutes. */
enum { SILENCE_MAX = 150 * USEC_PER_SEC, KEEP_IDLE_S = 60, KEEP_INTERVAL_S = 15, KEEP_COUNT = 4 };

static int fail(struct link *l, int error, const char *what, const char *why)
{
    if (what[0] == '\0')
        snprintf(l->why, OUTPUT_WHY_MAX, "%s", why);
    else
        snprintf(l->why, OUTPUT_WHY_MAX, "%.120s: %.128s", what, why);
    return -error;
}

static void add_place(struct link *l, int type, const void *addr, size_t len)
{
    if (l->places == LINK_PLACES || len > sizeof(l->place[0].addr))
        return;
    struct link_place *p = &l->place[l->places++];
    p->type = type;
    p->len = (socklen_t)len;
    memcpy(&p->addr, addr, len);
}

static int find_unix(struct link *l)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(l->at.host);
    if (n >= sizeof(to.sun_path))
        return fail(l, ENAMETOOLONG, "", "the path is too long for a socket");
    memcpy(to.sun_path, l->at.host, n + 1);
    add_place(l, SOCK_DGRAM, &to, sizeof(to));
    if (l->either)
        add_place(l, SOCK_STREAM, &to, sizeof(to));
    return 0;
}

static int find_inet(struct link *l)
{
    char host[NETADDR_STRLEN], port[8];
    const struct endpoint *at = &l->at;
    struct addrinfo hints = { .ai_socktype = l->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM }, *found;
    const char *name = at->kind == ENDPOINT_NAME ? at->host : netaddr_print_ip(&at->addr, host);
    snprintf(port, sizeof(port), "%u", at->addr.port);
    hints.ai_flags = at->kind == ENDPOINT_NAME ? 0 : AI_NUMERICHOST;
    int error = getaddrinfo(name, port, &hints, &found);
    if (error != 0)
        return fail(l, EHOSTUNREACH, name, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        add_place(l, hints.ai_socktype, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static void set_int(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof(value)); }

static void set_options(int fd, const struct link_place *p)
{
    bool inet = p->addr.ss_family != AF_UNIX;
    set_int(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
    if (!inet || p->type != SOCK_STREAM)
        return;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
}

static void drop_socket(struct link *l)
{
    tls_link_free(&l->ssl);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->wire = 0;
}

void link_end(struct link *l)
{
    if (l->ssl != NULL)
        tls_link_end(l->ssl);
    shutdown(l->fd, SHUT_WR);
}

void link_close(struct link *l)
{
    drop_socket(l);
    l->state = LINK_DOWN;
}

/* The socket is connected. */
static int begin_talk(struct link *l)
{
    l->datagrams = l->place[l->next].type == SOCK_DGRAM;
    l->state = LINK_UP;
    if (l->tls == NULL)
        return 0;
    char ip[NETADDR_STRLEN];
    const struct endpoint *at = &l->at;
    l->ssl = tls_link_new(l->tls, l->fd, at->kind == ENDPOINT_NAME ? at->host : netaddr_print_ip(&at->addr, ip));
    l->state = LINK_SHAKING;
    l->deadline = clock_mono() + CONNECT_MAX;
    return l->ssl != NULL ? 0 : fail(l, EPROTO, "", "TLS can't be started");
}

static int try_place(struct link *l)
{
    const struct link_place *p = &l->place[l->next];
    l->fd = socket(p->addr.ss_family, p->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return -errno;
    set_options(l->fd, p);
    if (connect(l->fd, (const struct sockaddr *)&p->addr, p->len) == 0)
        return begin_talk(l);
    if (errno != EINPROGRESS)
        return errno != EAGAIN ? -errno : -EBUSY; /* a unix listener whose queue is full */
    l->state = LINK_CONNECTING;
    l->deadline = clock_mono() + CONNECT_MAX;
    return 0;
}

/* Waits no longer than the deadline. */
static int still_waiting(struct link *l, short events)
{
    if (clock_mono() >= l->deadline)
        return -ETIMEDOUT;
    l->events = events;
    return -EAGAIN;
}

static int look_connecting(struct link *l)
{
    struct pollfd p = { .fd = l->fd, .events = POLLOUT };
    int error = 0;
    socklen_t len = sizeof(error);
    if (poll(&p, 1, 0) == 0)
        return still_waiting(l, POLLOUT);
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return -errno;
    return error != 0 ? -error : begin_talk(l);
}

static int look_shaking(struct link *l)
{
    char why[TLS_LINK_WHY];
    short events = POLLIN;
    ssize_t n = tls_link_shake(l->ssl, &events, why);
    if (n == -EAGAIN)
        return still_waiting(l, events);
    if (n == -EPROTO)
        return fail(l, EPROTO, "TLS", why);
    l->state = n > 0 ? LINK_UP : l->state;
    return n > 0 ? 0 : (int)n;
}

static int step(struct link *l)
{
    switch (l->state) {
    case LINK_DOWN:
        return try_place(l);
    case LINK_CONNECTING:
        return look_connecting(l);
    case LINK_SHAKING:
        return look_shaking(l);
    case LINK_UP:
        break;
    }
    return 0;
}

int link_connect(struct link *l)
{
    int error = 0;
    if (l->state == LINK_DOWN) {
        l->places = l->next = 0;
        error = l->transport == TRANSPORT_UNIX ? find_unix(l) : find_inet(l);
        if (error != 0)
            return error;
    }
    while (l->state != LINK_UP || error != 0) {
        error = step(l);
        if (error == 0)
            continue;
        if (error == -EAGAIN)
            return error;
        link_close(l);
        if (++l->next >= l->places)
            return error;
    }
    return 0;
}

int link_patience(const struct link *l)
{
    usec_t left = l->deadline - clock_mono();
    return left > 0 ? (int)(left / USEC_PER_MSEC) + 1 : 0;
}

ssize_t link_send(struct link *l, const char *p, size_t n)
{
    char why[TLS_LINK_WHY];
    ssize_t done;
    l->events = POLLIN | POLLOUT;
    if (l->ssl == NULL) {
        done = send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0)
            return -errno;
        l->wire += (uint64_t)done;
        return done;
    }
    done = tls_link_write(l->ssl, p, n, &l->events, why);
    l->wire = tls_link_wire(l->ssl);
    return done == -EPROTO ? fail(l, EPROTO, "TLS", why) : done;
}

int link_look(struct link *l)
{
    char scratch[4096], why[TLS_LINK_WHY];
    short events;
    for (int i = 0; i < 64; i++) {
        ssize_t n = l->ssl != NULL ? tls_link_read(l->ssl, scratch, sizeof(scratch), &events, why)
                                   : recv(l->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
        if (n < 0 && l->ssl == NULL)
            n = -errno;
        if (n == -EAGAIN)
            return 0;
        if (n == -EPROTO && l->ssl != NULL)
            return fail(l, EPROTO, "TLS", why);
        if (n == 0)
            return fail(l, ENODATA, "", "the other side closed the connection");
        if (n < 0)
            return (int)n;
    }
    return 0;
}

int link_acked(struct link *l, uint64_t *wire, size_t *window)
{
    int pending = 0;
    struct tcp_info info = { .tcpi_snd_wnd = 0 };
    socklen_t len = sizeof(info);
    *wire = l->wire;
    *window = 0;
    if (ioctl(l->fd, SIOCOUTQ, &pending) != 0 || pending < 0)
        return -EIO;
    bool tcp = l->transport != TRANSPORT_UNIX;
    if (tcp)
        *wire = (uint64_t)pending < l->wire ? l->wire - (uint64_t)pending : 0;
    else if (pending > 0)
        *wire = 0; /* it counts the kernel's memory: only its end is of use */
    if (!tcp || getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    *window = info.tcpi_snd_wnd;
    usec_t now = clock_mono();
    if (pending == 0 || *wire != l->acked)
        l->progress = now;
    l->acked = *wire;
    bool silent = now - l->progress > SILENCE_MAX && info.tcpi_last_ack_recv > SILENCE_MAX / USEC_PER_MSEC;
    return silent ? -ETIMEDOUT : 0;
}
