/* SIGUSR2: the program is started anew, from the file that it was started from, with the same arguments and our
 * listening sockets. It says when it serves; then we drain. If it doesn't come to that, nothing has changed. */
#ifndef PROXY_RESTART_H
#define PROXY_RESTART_H

#include <sys/types.h>

#include "proxy/net/listener.h"

struct restart {
    pid_t pid;    /* of the new process; 0: none is under way */
    int ready_fd; /* where it says so */
    usec_t deadline;
};

enum restart_state { RESTART_NONE, RESTART_PENDING, RESTART_READY, RESTART_FAILED };

/* Remembers what was started; call it before anything is done. */
void restart_remember(void);
/* False, with a reason, if it can't be started. listeners: count of them. */
bool restart_begin(struct restart *r, struct listener *const *listeners, size_t count, const char **why) MUST_CHECK;
/* How things stand; after READY and FAILED (with a reason) nothing is under way any more. */
enum restart_state restart_look(struct restart *r, const char **why) MUST_CHECK;
/* We stop ourselves. */
void restart_cancel(struct restart *r);

#endif
