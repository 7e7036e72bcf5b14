/* Work that would stop a loop (password hashes, files): done by a few threads of a pool, answered to the loop that
 * asked. The queue is bounded, and nobody waits for a job in order to die.
 *
 *   loop: offload_push --> queue --> a thread: work() --> port --> loop: done()
 *         offload_drop: taken out of the queue, or finished without an effect
 *
 * A job owns copies of all that it needs. work() runs on a thread of the pool and sees nothing but its job; done() and
 * free() run on the loop's thread. After offload_port_close() no done() comes; free() then runs wherever the job ends.
 */
#ifndef PROXY_NET_OFFLOAD_H
#define PROXY_NET_OFFLOAD_H

#include "common/list.h"

struct loop;
struct offload;
struct offload_port;

struct offload_job {
    struct list node;
    struct offload_port *port; /* a reference, while it is under way */
    bool running;              /* a thread has it; under the pool's lock */
    void (*work)(struct offload_job *j);
    /* The answer is there. The job is freed afterwards. */
    void (*done)(struct offload_job *j);
    /* Wipes and frees. */
    void (*free)(struct offload_job *j);
};

/* No thread is started before the first job. threads: 0 is one a processor. limit: jobs that wait. */
struct offload *offload_new(unsigned threads, unsigned limit);
/* Waits for the threads, each of which ends its job first, but no longer than this. Every port is closed by then, so
 * nothing waits and nobody wants an answer. False: one hangs in its job and is left to itself, with all that it needs;
 * the process may not run its exit handlers then, for they take away what the libraries use. */
bool offload_free(struct offload **o, usec_t limit) MUST_CHECK;

/* One loop's end. */
struct offload_port *offload_port_open(struct offload *o, struct loop *loop);
/* Frees this port's jobs that wait; those that run end by themselves. *p may be NULL. */
void offload_port_close(struct offload_port **p);

/* The job is taken over. False: the queue is full, or there is no thread; the job stays the caller's. */
bool offload_push(struct offload_port *p, struct offload_job *j) MUST_CHECK;
/* Comes to done() without any work, when the loop comes round. */
void offload_post(struct offload_port *p, struct offload_job *j);
/* Nobody wants the answer any more: a job that still waits is freed now (true), another comes to done() (false). */
bool offload_drop(struct offload_job *j);

#endif
