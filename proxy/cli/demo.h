/* What `smtptap demo` is made of: children of the same program, and a small SMTP client. Every wait has a deadline
 * (monotonic), and ends early when a signal asked for it. */
#ifndef PROXY_CLI_DEMO_H
#define PROXY_CLI_DEMO_H

#include <sys/types.h>

#include "common/buf.h"

/* demo_child.c */
struct demo_child {
    pid_t pid; /* 0: none */
    int fd;    /* its stdout */
    struct buf in;
};
/* From now on INT, TERM and HUP only set demo_interrupted(). */
void demo_catch_signals(void);
bool demo_interrupted(void);
usec_t demo_clock(void);
/* poll() for reading or writing; false: the deadline has passed, or a signal came. */
bool demo_wait(int fd, short events, usec_t deadline) MUST_CHECK;
/* Starts this program with these arguments (argv[0] too). It dies with us, whatever happens. False with errno. */
bool demo_child_start(struct demo_child *c, const char *const *argv) MUST_CHECK;
/* A line of its stdout without its end, good until the next call. False: there is none by then, or no more. */
bool demo_child_line(struct demo_child *c, struct span *line, usec_t deadline) MUST_CHECK;
/* Asks it to end. */
void demo_child_ask(const struct demo_child *c);
/* It is gone when this returns: by itself until the deadline, else killed. */
void demo_child_end(struct demo_child *c, usec_t deadline);

/* demo_client.c: sends the message; false with a text in why. */
bool demo_send(uint16_t port, usec_t deadline, char *why, size_t size) MUST_CHECK;

#endif
