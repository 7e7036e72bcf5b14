/* Listening sockets. They belong to the process and outlive reloads; each worker watches its own (SO_REUSEPORT), or all
 * share one where the kernel knows no groups (unix sockets) or somebody else opened it (passed.h). Where there are more
 * sockets than workers, for the process before us had more, some watch two. */
#ifndef PROXY_NET_LISTENER_H
#define PROXY_NET_LISTENER_H

#include <ev.h>
#include <stdatomic.h>

#include "common/netaddr.h"
#include "proxy/net/passed.h"
#include "proxy/net/timer.h"
#include "proxy/settings.h"

struct listener {
    char *address; /* as configured */
    char *path;    /* of a unix socket */
    bool foreign;  /* not ours to unlink: systemd's, or of the process that takes over */
    struct netaddr bound;
    int *fd; /* what is watched: one a worker at the least; the first `sockets` of them are all there are */
    unsigned fds, sockets;
    bool shared;       /* by all workers */
    atomic_uint users; /* workers that still watch it; the last one closes a shared socket */
    atomic_uint connections;
};

/* Opens one; NULL with a text in why (size bytes) on failure. */
struct listener *listener_open(const struct listener_settings *ls, unsigned workers, struct passed *passed, char *why,
                               size_t size);
void listener_close(struct listener **l);

struct worker;
/* What accept() brought. */
struct accepted {
    struct listener *listener;
    struct settings *settings; /* of the worker, not counted for this */
    const struct listener_settings *set;
    int fd;
    struct netaddr peer, local;
};

/* One worker's watch on one listener. */
struct listener_watch {
    ev_io io;
    struct worker *w;
    struct listener *listener;
    unsigned index;     /* in settings->listener */
    unsigned slot;      /* which of the listener's descriptors */
    bool any_address;   /* bound to the wildcard: the local address is asked of each connection */
    struct timer retry; /* accept() failed for want of descriptors or memory: try again soon */
};
void listener_watch_start(struct listener_watch *lw, struct worker *w, struct listener *l, unsigned index,
                          unsigned slot);
/* The program stops: takes the clients that wait in the backlog already, then closes the socket. Not for those that
 * another process goes on with. */
void listener_watch_end(struct listener_watch *lw, bool handed_over);
void listener_watch_stop(struct listener_watch *lw);
void listener_watch_pause(struct listener_watch *lw, bool on);

#endif
