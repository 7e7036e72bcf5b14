/* Two locks: the pool's for the queue, a port's for its answers; where both are held the pool's comes first. A port is
 * counted: its loop has one reference, each job under way another, so that a job that ends after its loop has a place
 * to go to. The threads are nicer than the loops, which have sessions to serve.
 *
 * Invariant: the pool belongs to offload_free(), but where that gave up waiting, to the last thread in it. */
#include "proxy/net/offload.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proxy/net/loop.h"

enum { THREADS_MAX = 16, NICENESS = 5 };

struct offload {
    pthread_mutex_t lock;
    pthread_cond_t more, ended;
    struct list queue;
    unsigned waiting, limit;
    unsigned wanted, started, alive;
    bool stopping, abandoned;
    pthread_t thread[THREADS_MAX];
};

struct offload_port {
    struct offload *pool;
    struct loop *loop;
    ev_async wake;
    pthread_mutex_t lock;
    struct list answers;
    unsigned refs;
    bool closed;
};

static void *alloc(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        abort();
    return p;
}

/* Drops a reference under the port's lock, which is given back. */
static void unref_unlock(struct offload_port *p)
{
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* To the loop, or to its end where the loop is gone. */
static void answer(struct offload_job *j)
{
    struct offload_port *p = j->port;
    pthread_mutex_lock(&p->lock);
    if (!p->closed) {
        list_append(&p->answers, &j->node);
        ev_async_send(p->loop->ev, &p->wake);
        pthread_mutex_unlock(&p->lock);
        return;
    }
    unref_unlock(p);
    j->free(j);
}

static struct offload_job *next_job(struct offload *o)
{
    struct offload_job *j = NULL;
    pthread_mutex_lock(&o->lock);
    while (list_empty(&o->queue) && !o->stopping)
        pthread_cond_wait(&o->more, &o->lock);
    if (!o->stopping) {
        j = LIST_ENTRY(list_first(&o->queue), struct offload_job, node);
        list_remove(&j->node);
        j->running = true;
        o->waiting--;
    }
    pthread_mutex_unlock(&o->lock);
    return j;
}

static void destroy(struct offload *o)
{
    pthread_cond_destroy(&o->more);
    pthread_cond_destroy(&o->ended);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static void leave(struct offload *o)
{
    pthread_mutex_lock(&o->lock);
    bool last = --o->alive == 0 && o->abandoned;
    pthread_cond_signal(&o->ended);
    pthread_mutex_unlock(&o->lock);
    if (last)
        destroy(o);
}

static void *thread_main(void *arg)
{
    struct offload *o = arg;
    struct offload_job *j;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    while ((j = next_job(o)) != NULL) {
        j->work(j);
        answer(j);
    }
    leave(o);
    return NULL;
}

/* Under the lock. Signals are the main thread's. */
static void start_threads(struct offload *o)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (o->started < o->wanted && pthread_create(&o->thread[o->started], NULL, thread_main, o) == 0) {
        o->started++;
        o->alive++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct offload *offload_new(unsigned threads, unsigned limit)
{
    struct offload *o = alloc(sizeof(*o));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads == 0)
        threads = processors > 0 ? (unsigned)processors : 1;
    o->wanted = threads < THREADS_MAX ? threads : THREADS_MAX;
    o->limit = limit;
    list_init(&o->queue);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->more, NULL);
    pthread_cond_init(&o->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return o;
}

/* Under the lock. True: all threads have left. */
static bool wait_for_threads(struct offload *o, usec_t limit)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    usec_t usec = end.tv_nsec / 1000 + (limit > 0 ? limit : 0);
    end.tv_sec += (time_t)(usec / USEC_PER_SEC);
    end.tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
    while (o->alive > 0 && pthread_cond_timedwait(&o->ended, &o->lock, &end) == 0)
        ;
    return o->alive == 0;
}

bool offload_free(struct offload **op, usec_t limit)
{
    struct offload *o = *op;
    *op = NULL;
    if (o == NULL)
        return true;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    pthread_cond_broadcast(&o->more);
    bool ended = wait_for_threads(o, limit);
    for (unsigned i = 0; i < o->started && !ended; i++)
        pthread_detach(o->thread[i]);
    o->abandoned = !ended;
    pthread_mutex_unlock(&o->lock);
    if (!ended)
        return false; /* and o may be gone */
    for (unsigned i = 0; i < o->started; i++)
        pthread_join(o->thread[i], NULL);
    destroy(o);
    return true;
}

static struct offload_job *take_answer(struct offload_port *p)
{
    pthread_mutex_lock(&p->lock);
    struct list *first = list_first(&p->answers);
    if (first != NULL) {
        list_remove(first);
        p->refs--;
    }
    pthread_mutex_unlock(&p->lock);
    return first != NULL ? LIST_ENTRY(first, struct offload_job, node) : NULL;
}

static void on_wake(struct ev_loop *ev, ev_async *a, int events)
{
    (void)ev;
    (void)events;
    struct offload_port *p = a->data;
    struct offload_job *j;
    loop_tick(p->loop);
    while ((j = take_answer(p)) != NULL) {
        j->done(j);
        j->free(j);
    }
}

struct offload_port *offload_port_open(struct offload *o, struct loop *loop)
{
    struct offload_port *p = alloc(sizeof(*p));
    p->pool = o;
    p->loop = loop;
    p->refs = 1;
    list_init(&p->answers);
    pthread_mutex_init(&p->lock, NULL);
    ev_async_init(&p->wake, on_wake);
    p->wake.data = p;
    ev_async_start(loop->ev, &p->wake);
    return p;
}

/* Those of this port that wait, into `out`. */
static void take_waiting(struct offload_port *p, struct list *out)
{
    struct offload *o = p->pool;
    struct list *next;
    pthread_mutex_lock(&o->lock);
    for (struct list *n = o->queue.next; n != &o->queue; n = next) {
        next = n->next;
        if (LIST_ENTRY(n, struct offload_job, node)->port != p)
            continue;
        list_remove(n);
        list_append(out, n);
        o->waiting--;
    }
    pthread_mutex_unlock(&o->lock);
}

void offload_port_close(struct offload_port **pp)
{
    struct offload_port *p = *pp;
    struct list gone;
    struct list *first;
    *pp = NULL;
    if (p == NULL)
        return;
    list_init(&gone);
    take_waiting(p, &gone);
    ev_async_stop(p->loop->ev, &p->wake);
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    list_move_all(&gone, &p->answers);
    for (struct list *n = gone.next; n != &gone; n = n->next)
        p->refs--;
    unref_unlock(p);
    while ((first = list_first(&gone)) != NULL) {
        list_remove(first);
        struct offload_job *j = LIST_ENTRY(first, struct offload_job, node);
        j->free(j);
    }
}

static void hold(struct offload_port *p, struct offload_job *j)
{
    list_init(&j->node);
    j->port = p;
    j->running = false;
    pthread_mutex_lock(&p->lock);
    p->refs++;
    pthread_mutex_unlock(&p->lock);
}

static void release(struct offload_port *p)
{
    pthread_mutex_lock(&p->lock);
    unref_unlock(p);
}

bool offload_push(struct offload_port *p, struct offload_job *j)
{
    struct offload *o = p->pool;
    hold(p, j);
    pthread_mutex_lock(&o->lock);
    start_threads(o);
    bool room = o->waiting < o->limit && o->started > 0;
    if (room) {
        list_append(&o->queue, &j->node);
        o->waiting++;
        pthread_cond_signal(&o->more);
    }
    pthread_mutex_unlock(&o->lock);
    if (!room)
        release(p);
    return room;
}

void offload_post(struct offload_port *p, struct offload_job *j)
{
    hold(p, j);
    j->running = true;
    answer(j);
}

bool offload_drop(struct offload_job *j)
{
    struct offload_port *p = j->port;
    struct offload *o = p->pool;
    pthread_mutex_lock(&o->lock);
    bool waits = !j->running;
    if (waits) {
        list_remove(&j->node);
        o->waiting--;
    }
    pthread_mutex_unlock(&o->lock);
    if (!waits)
        return false;
    release(p);
    j->free(j);
    return true;
}
