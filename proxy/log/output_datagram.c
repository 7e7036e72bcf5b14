/* Datagrams: each is one record, and goes whole or not at all. What is too long for any is lost, counted and told. A
 * UDP port where nobody listens answers for a datagram of before: that one was lost. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/log/clock.h"
#include "proxy/log/output_net.h"

enum { TELL_PAUSE = 60 * USEC_PER_SEC };

static int write_all(int fd, struct span text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            return -errno;
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int send_descriptor(int fd, int file)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .space = "" };
    struct msghdr m = { .msg_control = &control, .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &file, sizeof(file));
    return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

int net_send_as_file(int fd, struct span text)
{
    int file = memfd_create("smtptap-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return -errno;
    int error = write_all(file, text);
    if (error == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        error = -errno;
    if (error == 0)
        error = send_descriptor(fd, file);
    close(file);
    return error;
}

static void give_up(struct output_net *n, size_t octets)
{
    usec_t now = clock_mono();
    n->output.lost++;
    if (n->told_at != 0 && now - n->told_at < TELL_PAUSE)
        return;
    n->told_at = now;
    output_note(&n->output, ERR_LOG_WRITE, 1, "a datagram of %zu octets is too long for it, and is lost", octets);
}

/* 0: the line is dealt with. */
static int send_one(struct output_net *n, struct span line)
{
    net_form(n, line, true);
    struct span text = buf_span(&n->text);
    ssize_t done = link_send(&n->link, text.p, text.n);
    int error = done < 0 ? (int)done : 0;
    bool unix_socket = n->link.transport == TRANSPORT_UNIX;
    if (unix_socket && n->type == OUTPUT_JOURNALD && (error == -EMSGSIZE || error == -ENOBUFS))
        error = net_send_as_file(n->link.fd, text);
    if (error == -EMSGSIZE) {
        give_up(n, text.n);
        error = 0;
    } else if (error == -ECONNREFUSED && n->link.transport == TRANSPORT_UDP) {
        n->output.lost++;
    }
    return error;
}

/* What became of the last one is known now. */
int net_tend_datagrams(struct output_net *n)
{
    int error = 0;
    socklen_t len = sizeof(error);
    n->output.events = 0; /* what is wrong with it is told all the same */
    n->output.pause_ms = -1;
    if (getsockopt(n->link.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error == 0)
        return 0;
    if (n->link.transport == TRANSPORT_UNIX)
        return net_break(n, error);
    n->output.lost += error == ECONNREFUSED;
    return -error;
}

ssize_t net_write_datagrams(struct output_net *n, const char *p, size_t len)
{
    size_t done = 0;
    int error = n->pending;
    n->pending = 0;
    while (error == 0 && done < len) {
        const char *end = memchr(p + done, '\n', len - done);
        size_t line = end != NULL ? (size_t)(end - (p + done)) : len - done;
        error = send_one(n, span_of(p + done, line));
        if (error == 0)
            done += line + (end != NULL);
    }
    n->output.events = POLLOUT;
    if (error == 0 || error == -EAGAIN)
        return done > 0 ? (ssize_t)done : -EAGAIN;
    /* A UDP socket stays as good as it was. */
    if (n->link.transport == TRANSPORT_UNIX)
        net_break(n, -error);
    if (done == 0)
        return error;
    n->pending = error;
    memcpy(n->pending_why, n->output.why, sizeof(n->pending_why));
    return (ssize_t)done;
}
