/* Our own logins' hashes: all that ask for the same are answered by one, others get their turn, and whoever goes away
 * is not called. Meant to be run under ThreadSanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/digest/digest.h"
#include "common/smtp/sasl_impl.h"
#include "proxy/net/loop.h"
#include "proxy/net/offload.h"
#include "proxy/relay/own_hash.h"

struct fixture {
    struct offload *pool;
    struct loop loop;
    struct offload_port *port;
    struct own_hashes *hashes;
    ev_timer watchdog;
};

struct question {
    struct own_hash hash;
    struct fixture *f;
    const char *password, *salt;
    unsigned answers;
    struct question *cancels; /* when it is answered */
};

static unsigned answered, wanted;
static sem_t gate;

static void on_watchdog(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev, (void)w, (void)events;
    fprintf(stderr, "the answers never came\n");
    abort();
}

static void begin(struct fixture *f, unsigned limit)
{
    answered = 0;
    sem_init(&gate, 0, 0);
    loop_init(&f->loop);
    f->pool = offload_new(1, limit);
    f->port = offload_port_open(f->pool, &f->loop);
    f->hashes = own_hashes_new(&f->loop, f->port);
    ev_timer_init(&f->watchdog, on_watchdog, 60., 0.);
    ev_timer_start(f->loop.ev, &f->watchdog);
}

static void end(struct fixture *f)
{
    own_hashes_free(&f->hashes);
    offload_port_close(&f->port);
    assert_true(offload_free(&f->pool, 60 * USEC_PER_SEC));
    ev_timer_stop(f->loop.ev, &f->watchdog);
    loop_free(&f->loop);
}

static void done(struct own_hash *h, const struct sasl_work *work)
{
    struct question *q = CONTAINER_OF(h, struct question, hash);
    unsigned char want[DIGEST_SHA256];
    digest_pbkdf2_sha256(span_str(q->password), span_str(q->salt), 4096, want);
    assert_true(work->ok);
    assert_memory_equal(work->salted, want, sizeof(want));
    q->answers++;
    if (q->cancels != NULL)
        own_hash_cancel(&q->cancels->hash);
    if (++answered == wanted)
        loop_break(&q->f->loop);
}

static void ask(struct fixture *f, struct question *q, const char *password, const char *salt)
{
    struct scram_salt s = { .n = strlen(salt), .iterations = 4096 };
    memcpy(s.octets, salt, s.n);
    *q = (struct question){ .f = f, .password = password, .salt = salt };
    own_hash_init(&q->hash, done);
    own_hash_ask(f->hashes, &q->hash, sasl_work_hash(span_str(password), &s));
    assert_int_equal(q->answers, 0);
}

static void wait_for(struct fixture *f, unsigned answers)
{
    wanted = answers;
    loop_run(&f->loop);
    assert_int_equal(answered, answers);
}

static void same_and_others(void **state)
{
    (void)state;
    static const char *const salts[] = { "one", "two", "one", "three", "two", "one" };
    struct fixture f;
    struct question q[ARRAY_LEN(salts)], late;
    begin(&f, 8);
    for (size_t i = 0; i < ARRAY_LEN(salts); i++)
        ask(&f, &q[i], i == 5 ? "other" : "password", salts[i]);
    wait_for(&f, ARRAY_LEN(salts));
    ask(&f, &late, "password", "two");
    wait_for(&f, ARRAY_LEN(salts) + 1);
    for (size_t i = 0; i < ARRAY_LEN(salts); i++)
        assert_int_equal(q[i].answers, 1);
    end(&f);
}

static void cancelled(void **state)
{
    (void)state;
    struct fixture f;
    struct question q[5];
    begin(&f, 8);
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        ask(&f, &q[i], "password", i == 4 ? "two" : "one");
    own_hash_cancel(&q[0].hash); /* whose job is under way */
    own_hash_cancel(&q[2].hash);
    q[1].cancels = &q[3]; /* which is to be answered next */
    wait_for(&f, 2);
    assert_int_equal(q[0].answers + q[2].answers + q[3].answers, 0);
    assert_int_equal(q[1].answers, 1);
    assert_int_equal(q[4].answers, 1);
    own_hash_cancel(&q[1].hash);
    end(&f);
}

/* Nobody is left, but the job is. */
static void end_with_a_job(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct fixture f;
        struct question q[2];
        begin(&f, 8);
        ask(&f, &q[0], "password", "one");
        ask(&f, &q[1], "password", "two");
        own_hash_cancel(&q[0].hash);
        own_hash_cancel(&q[1].hash);
        end(&f);
        assert_int_equal(answered, 0);
    }
}

struct filler {
    struct offload_job job;
};

static void filler_work(struct offload_job *j)
{
    (void)j;
    sem_wait(&gate);
}

static void filler_done(struct offload_job *j) { (void)j; }
static void filler_free(struct offload_job *j) { free(CONTAINER_OF(j, struct filler, job)); }

static bool fill(struct fixture *f)
{
    struct filler *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    j->job = (struct offload_job){ .work = filler_work, .done = filler_done, .free = filler_free };
    if (offload_push(f->port, &j->job))
        return true;
    free(j);
    return false;
}

/* The queue is full: it is tried again. */
static void full(void **state)
{
    (void)state;
    struct fixture f;
    struct question q[2];
    unsigned fillers = 0;
    begin(&f, 1);
    while (fillers < 2)
        fillers += fill(&f);
    assert_false(fill(&f));
    ask(&f, &q[0], "password", "one");
    ask(&f, &q[1], "password", "two");
    sem_post(&gate);
    sem_post(&gate);
    wait_for(&f, 2);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_and_others),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(end_with_a_job),
        cmocka_unit_test(full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
