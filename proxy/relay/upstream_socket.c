/* The socket of an upstream connection: a connect() under way, and whether it has come to be. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/relay/upstream_impl.h"

static socklen_t make_sockaddr(struct sockaddr_storage *ss, const struct endpoint *at, const struct netaddr *addr)
{
    memset(ss, 0, sizeof(*ss));
    if (at->kind == ENDPOINT_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)ss;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, at->host, min_size(strlen(at->host), sizeof(un->sun_path) - 1));
        return sizeof(*un);
    }
    if (addr->family == NETADDR_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ss;
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    memcpy(&in->sin_addr, addr->ip, 4);
    return sizeof(*in);
}

int upstream_socket_connect(const struct endpoint *at, const struct netaddr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = make_sockaddr(&ss, at, addr);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (ss.ss_family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

bool upstream_socket_connected(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    return getpeername(fd, (struct sockaddr *)&ss, &len) == 0;
}
