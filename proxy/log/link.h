/* The connection of a network output: datagrams or a stream, over unix, UDP, TCP or TLS. Names are looked up and
 * connections made here, on the writer's thread; of what is slow only the look-up makes it wait. Each address of a name
 * is tried in turn. */
#ifndef PROXY_LOG_LINK_H
#define PROXY_LOG_LINK_H

#include <sys/socket.h>
#include <sys/types.h>

#include "proxy/log/output.h"
#include "proxy/net/tls_link.h"

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_SHAKING, LINK_UP };
enum { LINK_PLACES = 16 };

struct link_place {
    int type; /* SOCK_ */
    socklen_t len;
    struct sockaddr_storage addr;
};

struct link {
    struct endpoint at;
    enum output_transport transport;
    bool either;            /* a unix address may be of a stream, where it is not of datagrams */
    struct tls_client *tls; /* owned; NULL: none */
    enum link_state state;
    int fd;
    bool datagrams; /* once it is up */
    short events;   /* what is waited for while it is not up, or after -EAGAIN */
    usec_t deadline;
    struct link_place place[LINK_PLACES];
    unsigned places, next;
    struct ssl_st *ssl;
    uint64_t wire;   /* octets that this connection has carried */
    uint64_t acked;  /* of them at the last look */
    usec_t progress; /* when that changed */
    char *why;       /* OUTPUT_WHY_MAX: of the last error, where its number says too little */
};

/* 0: it is up. -EAGAIN: wait for `events` of fd, up to link_patience(). Else it is down. */
int link_connect(struct link *l) MUST_CHECK;
int link_patience(const struct link *l);
/* Octets, or a negative errno. */
ssize_t link_send(struct link *l, const char *p, size_t n) MUST_CHECK;
/* Reads, and throws away, what the other side says. 0, or a negative errno if the connection is gone; -ENODATA: it was
 * closed in order. */
int link_look(struct link *l) MUST_CHECK;
/* Octets of `wire` that the other system has; *window: how many it has been ready to hold unread. An error if it has
 * not said anything for too long. */
int link_acked(struct link *l, uint64_t *wire, size_t *window) MUST_CHECK;
/* No more will be sent; the other side may still say something. */
void link_end(struct link *l);
void link_close(struct link *l);

#endif
