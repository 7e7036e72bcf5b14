/* The pool of threads: each job is answered once or freed without an answer, never both, whatever dies first. Meant to
 * be run under ThreadSanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/net/loop.h"
#include "proxy/net/offload.h"

struct fixture {
    struct offload *pool;
    struct loop loop;
    struct offload_port *port;
    ev_timer watchdog;
};

/* What jobs count. The gate holds those that are told to wait at it; `inside` counts those that came there. */
static atomic_uint worked, freed, inside;
static unsigned answered;
static sem_t gate;

#define ENOUGH (60 * USEC_PER_SEC)

struct job {
    struct offload_job job;
    struct loop *loop;
    unsigned left; /* the loop ends after so many answers */
    bool held;
    unsigned number;
};
static unsigned order[64];

static void work(struct offload_job *base)
{
    struct job *j = CONTAINER_OF(base, struct job, job);
    atomic_fetch_add(&inside, 1);
    if (j->held)
        sem_wait(&gate);
    atomic_fetch_add(&worked, 1);
}

static void done(struct offload_job *base)
{
    struct job *j = CONTAINER_OF(base, struct job, job);
    if (answered < ARRAY_LEN(order))
        order[answered] = j->number;
    if (++answered == j->left)
        loop_break(j->loop);
}

static void free_job(struct offload_job *base)
{
    atomic_fetch_add(&freed, 1);
    free(CONTAINER_OF(base, struct job, job));
}

static struct job *make(struct fixture *f, unsigned left, bool held)
{
    struct job *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    j->job = (struct offload_job){ .work = work, .done = done, .free = free_job };
    j->loop = &f->loop;
    j->left = left;
    j->held = held;
    return j;
}

static void on_watchdog(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev, (void)w, (void)events;
    fprintf(stderr, "the answers never came\n");
    abort();
}

static void begin(struct fixture *f, unsigned threads, unsigned limit)
{
    worked = freed = inside = 0;
    answered = 0;
    sem_init(&gate, 0, 0);
    loop_init(&f->loop);
    f->pool = offload_new(threads, limit);
    f->port = offload_port_open(f->pool, &f->loop);
    ev_timer_init(&f->watchdog, on_watchdog, 30., 0.);
    ev_timer_start(f->loop.ev, &f->watchdog);
}

static void end(struct fixture *f)
{
    offload_port_close(&f->port);
    assert_null(f->port);
    assert_true(offload_free(&f->pool, ENOUGH));
    ev_timer_stop(f->loop.ev, &f->watchdog);
    loop_free(&f->loop);
    sem_destroy(&gate);
}

static void wait_inside(unsigned n)
{
    while (atomic_load(&inside) < n)
        sched_yield();
}

static void test_each_is_answered_once(void **state)
{
    (void)state;
    enum { JOBS = 500 };
    struct fixture f;
    begin(&f, 4, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(offload_push(f.port, &make(&f, JOBS, false)->job));
    loop_run(&f.loop);
    assert_int_equal(answered, JOBS);
    assert_int_equal(atomic_load(&freed), JOBS);
    assert_int_equal(atomic_load(&worked), JOBS);
    end(&f);
    assert_int_equal(atomic_load(&freed), JOBS);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    enum { LIMIT = 3 };
    struct fixture f;
    begin(&f, 1, LIMIT);
    assert_true(offload_push(f.port, &make(&f, LIMIT + 1, true)->job));
    wait_inside(1);
    for (unsigned i = 0; i < LIMIT; i++)
        assert_true(offload_push(f.port, &make(&f, LIMIT + 1, false)->job));
    struct job *more = make(&f, LIMIT + 1, false);
    assert_false(offload_push(f.port, &more->job));
    sem_post(&gate);
    loop_run(&f.loop);
    assert_int_equal(answered, LIMIT + 1);
    assert_true(offload_push(f.port, &more->job));
    more->left = LIMIT + 2;
    loop_run(&f.loop);
    assert_int_equal(answered, LIMIT + 2);
    end(&f);
    assert_int_equal(atomic_load(&freed), LIMIT + 2);
}

static void test_order_is_kept_by_one_thread(void **state)
{
    (void)state;
    enum { JOBS = 40 };
    struct fixture f;
    begin(&f, 1, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        struct job *j = make(&f, JOBS, false);
        j->number = i;
        assert_true(offload_push(f.port, &j->job));
    }
    loop_run(&f.loop);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
    end(&f);
}

/* One that waits is gone at once; one that runs comes to done(), as ever. */
static void test_drop(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1, 8);
    struct job *running = make(&f, 2, true), *waiting = make(&f, 2, false), *last = make(&f, 2, false);
    assert_true(offload_push(f.port, &running->job));
    wait_inside(1);
    assert_true(offload_push(f.port, &waiting->job));
    assert_true(offload_push(f.port, &last->job));
    assert_true(offload_drop(&waiting->job));
    assert_int_equal(atomic_load(&freed), 1);
    assert_false(offload_drop(&running->job));
    sem_post(&gate);
    loop_run(&f.loop);
    assert_int_equal(answered, 2);
    assert_int_equal(atomic_load(&worked), 2);
    end(&f);
    assert_int_equal(atomic_load(&freed), 3);
}

static void test_post(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1, 0);
    struct job *j = make(&f, 1, false);
    offload_post(f.port, &j->job);
    assert_int_equal(answered, 0);
    assert_false(offload_drop(&j->job));
    loop_run(&f.loop);
    assert_int_equal(answered, 1);
    assert_int_equal(atomic_load(&worked), 0);
    assert_int_equal(atomic_load(&freed), 1);
    end(&f);
}

/* The loop goes while one runs, others wait, and an answer lies there unread. */
static void test_port_closed_under_way(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1, 8);
    offload_post(f.port, &make(&f, 9, false)->job);
    assert_true(offload_push(f.port, &make(&f, 9, true)->job));
    wait_inside(1);
    for (int i = 0; i < 3; i++)
        assert_true(offload_push(f.port, &make(&f, 9, false)->job));
    offload_port_close(&f.port);
    assert_int_equal(atomic_load(&freed), 4);
    sem_post(&gate);
    end(&f);
    assert_int_equal(answered, 0);
    assert_int_equal(atomic_load(&worked), 1);
    assert_int_equal(atomic_load(&freed), 5);
}

/* A job hangs: the end doesn't wait for it, and what it has at its own end is still there. */
static void test_a_job_that_hangs(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct fixture f;
        begin(&f, threads, 8);
        for (unsigned i = 0; i < threads; i++)
            assert_true(offload_push(f.port, &make(&f, 9, i == 0)->job));
        wait_inside(threads);
        offload_port_close(&f.port);
        assert_false(offload_free(&f.pool, 20000));
        assert_null(f.pool);
        sem_post(&gate);
        while (atomic_load(&freed) < threads)
            sched_yield();
        ev_timer_stop(f.loop.ev, &f.watchdog);
        loop_free(&f.loop);
        sem_destroy(&gate);
        assert_int_equal(answered, 0);
    }
}

static void done_quietly(struct offload_job *base) { (void)base; }

/* Many loops on threads of their own, each of which drops every third of its jobs and leaves with some under way. */
static struct offload *shared;

static void *crowd(void *arg)
{
    enum { JOBS = 200 };
    (void)arg;
    struct fixture f;
    struct job *j[JOBS];
    loop_init(&f.loop);
    f.port = offload_port_open(shared, &f.loop);
    unsigned pushed = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        j[pushed] = make(&f, 0, false);
        j[pushed]->job.done = done_quietly;
        if (offload_push(f.port, &j[pushed]->job))
            pushed++;
        else
            free_job(&j[pushed]->job);
    }
    for (unsigned i = 0; i < pushed; i += 3)
        offload_drop(&j[i]->job);
    ev_run(f.loop.ev, EVRUN_NOWAIT);
    offload_port_close(&f.port);
    loop_free(&f.loop);
    return NULL;
}

static void test_crowd(void **state)
{
    (void)state;
    enum { LOOPS = 4, JOBS = 200 };
    pthread_t thread[LOOPS];
    worked = freed = inside = 0;
    shared = offload_new(3, 1000);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, crowd, NULL), 0);
    for (int i = 0; i < LOOPS; i++)
        pthread_join(thread[i], NULL);
    assert_true(offload_free(&shared, ENOUGH));
    assert_int_equal(atomic_load(&freed), LOOPS * JOBS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_answered_once),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_order_is_kept_by_one_thread),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_port_closed_under_way),
        cmocka_unit_test(test_a_job_that_hangs),
        cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
