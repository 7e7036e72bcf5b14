/* Listening sockets that somebody else has opened for us: systemd (LISTEN_FDS), for listeners that name them
 * (`systemd:NAME`); or the process that we replace (SIGUSR2), for all of its listeners, by their addresses as
 * configured. Each is taken once; what nobody takes is closed. */
#ifndef PROXY_NET_PASSED_H
#define PROXY_NET_PASSED_H

#include <stddef.h>

#include "common/base.h"

struct passed_socket {
    char *name; /* owned; "systemd:NAME", or an address as configured */
    int fd;
    unsigned group; /* those of one listener have the same */
};
struct passed {
    struct passed_socket *socket;
    size_t count;
    unsigned groups;
    int ready_fd; /* where the process that we replace waits for our word; -1: there is none */
};

/* Reads the environment, and clears it of what was for us. */
void passed_init(struct passed *p);
void passed_free(struct passed *p);
/* The sockets of the next listener of that name: at most max of them; 0: there are none. The caller owns them. */
unsigned passed_take(struct passed *p, const char *name, int *fd, unsigned max);
/* Of the next one, how many. */
unsigned passed_count(const struct passed *p, const char *name);
/* All is well: the process that we replace may drain. */
void passed_say_ready(struct passed *p);

/* The environment of a process that takes over: one entry for each listener. */
struct passed_env {
    char *sockets, *ready; /* owned: "NAME=value" */
    size_t len;
};
void passed_env_add(struct passed_env *e, const char *name, const int *fd, unsigned count);
void passed_env_ready(struct passed_env *e, int fd);
void passed_env_free(struct passed_env *e);

#endif
