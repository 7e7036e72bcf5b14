/* Deadlines fire once, in time, in order; also when they are set, cleared or freed while others fire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/net/timer.h"

enum { MANY = 200 };

struct watch {
    struct timer timer;
    struct timers *ts;
    unsigned fired;
    usec_t now, again;     /* again: set anew for this long when it fires; -1: not */
    struct timer *clears;  /* cleared when it fires */
    struct timer *sets;    /* set for `again` when it fires */
    struct watch *to_free; /* freed when it fires */
};

static unsigned fired;

static void fire(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    assert_false(timer_is_set(t));
    w->fired++;
    fired++;
    if (w->clears != NULL)
        timer_clear(w->clears);
    if (w->to_free != NULL) {
        timer_clear(&w->to_free->timer);
        free(w->to_free);
        w->to_free = NULL;
    }
    if (w->sets != NULL)
        timer_set(w->ts, w->sets, w->now, w->again);
    else if (w->again >= 0)
        timer_set(w->ts, t, w->now, w->again);
}

static void watch_init(struct watch *w, struct timers *ts)
{
    *w = (struct watch){ .ts = ts, .again = -1 };
    timer_init(&w->timer, fire);
}

static usec_t run(struct timers *ts, usec_t now, unsigned want)
{
    fired = 0;
    usec_t next = timers_run(ts, now);
    assert_int_equal(fired, want);
    assert_int_equal(next, timers_next(ts));
    return next;
}

static void test_one(void **state)
{
    (void)state;
    struct timers ts = { 0 };
    struct watch w;
    watch_init(&w, &ts);
    assert_false(timer_is_set(&w.timer));
    timer_clear(&w.timer);
    assert_int_equal(run(&ts, 5, 0), 0);
    timer_set(&ts, &w.timer, 100, 50);
    assert_true(timer_is_set(&w.timer));
    assert_int_equal(run(&ts, 149, 0), 150);
    assert_int_equal(run(&ts, 150, 1), 0);
    assert_int_equal(run(&ts, 1000, 0), 0);
    timer_set(&ts, &w.timer, 100, 50);
    timer_set(&ts, &w.timer, 120, 50); /* again, later */
    assert_int_equal(run(&ts, 160, 0), 170);
    timer_set(&ts, &w.timer, 160, 5); /* another duration */
    assert_int_equal(run(&ts, 164, 0), 165);
    timer_clear(&w.timer);
    assert_int_equal(run(&ts, 200, 0), 0);
    timers_free(&ts);
    assert_null(ts.queues);
}

static void test_clearing_and_setting_while_firing(void **state)
{
    (void)state;
    struct timers ts = { 0 };
    struct watch a, b, c, *d = malloc(sizeof(*d));
    watch_init(&a, &ts);
    watch_init(&b, &ts);
    watch_init(&c, &ts);
    watch_init(d, &ts);
    timer_set(&ts, &a.timer, 0, 10);
    timer_set(&ts, &b.timer, 0, 10);
    timer_set(&ts, &d->timer, 0, 10);
    a.clears = &b.timer;
    a.to_free = d;
    assert_int_equal(run(&ts, 10, 1), 0);
    a.clears = NULL;
    timer_set(&ts, &a.timer, 10, 10);
    timer_set(&ts, &b.timer, 10, 10);
    a.sets = &b.timer; /* put off while it is due itself */
    a.again = 10;
    a.now = 20;
    assert_int_equal(run(&ts, 20, 1), 30);
    a.sets = &c.timer; /* of a duration that nothing had yet */
    a.again = 3;
    timer_set(&ts, &a.timer, 20, 7);
    assert_int_equal(run(&ts, 27, 1), 23);
    assert_int_equal(run(&ts, 30, 2), 0);
    timers_free(&ts);
}

/* One that is set for now again and again does not hold the loop. */
static void test_no_pause(void **state)
{
    (void)state;
    struct timers ts = { 0 };
    struct watch a, b;
    watch_init(&a, &ts);
    watch_init(&b, &ts);
    a.again = 0;
    a.now = 10;
    timer_set(&ts, &a.timer, 10, 0);
    timer_set(&ts, &b.timer, 10, 0);
    assert_int_equal(run(&ts, 10, 2), 10);
    assert_int_equal(run(&ts, 10, 1), 10);
    timer_clear(&a.timer);
    timers_free(&ts);
}

/* Against a plain list of deadlines. */
static void test_many(void **state)
{
    (void)state;
    static struct watch w[MANY];
    static usec_t deadline[MANY];
    static const usec_t durations[] = { 1, 7, 7, 50, 300, 4000 };
    struct timers ts = { 0 };
    unsigned seed = 1;
    usec_t now = 1000;
    for (size_t i = 0; i < MANY; i++)
        watch_init(&w[i], &ts);
    for (int round = 0; round < 5000; round++) {
        size_t i = (size_t)rand_r(&seed) % MANY;
        usec_t duration = durations[(size_t)rand_r(&seed) % ARRAY_LEN(durations)];
        if (rand_r(&seed) % 4 == 0) {
            timer_clear(&w[i].timer);
            deadline[i] = 0;
        } else {
            timer_set(&ts, &w[i].timer, now, duration);
            deadline[i] = now + duration;
        }
        now += rand_r(&seed) % 20;
        unsigned due = 0;
        usec_t next = 0;
        for (size_t k = 0; k < MANY; k++) {
            if (deadline[k] != 0 && deadline[k] <= now) {
                due++;
                deadline[k] = 0;
            }
            if (deadline[k] != 0 && (next == 0 || deadline[k] < next))
                next = deadline[k];
        }
        assert_int_equal(run(&ts, now, due), next);
        for (size_t k = 0; k < MANY; k++)
            assert_int_equal(timer_is_set(&w[k].timer), deadline[k] != 0);
    }
    timers_free(&ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_clearing_and_setting_while_firing),
        cmocka_unit_test(test_no_pause),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
