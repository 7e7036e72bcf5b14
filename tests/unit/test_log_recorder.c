/* log.transcript: what a recorder keeps, in which order, and what of it is counted as lost. */
#include "proxy/log/recorder.h"
#include "tests/unit/log_rig.h"

/* n records of all sizes; those that stand in the output afterwards are the last ones, whole. */
static void keep_and_release(struct rig *rig, struct recorder *k, int64_t n, unsigned seed)
{
    static char text[9000];
    struct tally *t = rig->tally;
    memset(text, 'x', sizeof(text));
    for (int64_t i = 0; i < n; i++) {
        struct record r;
        seed = seed * 1103515245 + 12345;
        record_begin(&r, TNX_COMMAND, clock_real());
        record_int(&r, KEY_PORT, 0);
        record_int(&r, KEY_BYTES, i);
        record_str(&r, KEY_MSG, span_of(text, seed / 65536 % 3 == 0 ? seed / 65536 % 3000 : seed / 65536 % 200));
        logger_keep(rig->logger[0], k, &r);
        assert_true(k->len <= RECORDER_MAX && k->cap <= RECORDER_MAX / 2 * 3);
    }
    uint64_t lost = k->lost;
    logger_release(rig->logger[0], k);
    assert_true(k->open && k->data == NULL);
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    tally_file(t, rig->path[0]);
    assert_int_equal(t->lines, (uint64_t)n - lost);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(t->seen[0][i], (uint64_t)i >= lost);
}

static void all_sizes(void **state)
{
    static const int64_t COUNTS[] = { 0, 1, 7, 40, 300, 3000 };
    for (unsigned i = 0; i < ARRAY_LEN(COUNTS); i++) {
        struct rig *rig = *state;
        struct buf_pool pool = { .count = 0 };
        struct recorder k = { .pool = &pool };
        rig_start(rig);
        keep_and_release(rig, &k, COUNTS[i], i);
        assert_int_equal(k.lost > 0, COUNTS[i] >= 300);
        assert_int_equal(atomic_load(&pool.lent), 0);
        rig_teardown(state);
        rig_setup(state);
    }
}

/* Two formats are two lines of one record, and count once. */
static void formats(void **state)
{
    struct rig *rig = *state;
    struct recorder k = { .pool = NULL };
    rig->set.outputs = 2;
    rig->output[1].format = FORMAT_ECS;
    rig_start(rig);
    for (int i = 0; i < 1000; i++) {
        struct record r;
        record_begin(&r, TNX_SEND, clock_real());
        record_int(&r, KEY_PORT, 0);
        record_int(&r, KEY_BYTES, i);
        logger_keep(rig->logger[0], &k, &r);
    }
    uint64_t lost = k.lost;
    assert_in_range(lost, 500, 999);
    logger_release(rig->logger[0], &k);
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    assert_in_range(rig->tally->lines, 1000 - lost - 1, 1000 - lost);
}

/* What is forgotten is written nowhere, and its room is free again. */
static void forget(void **state)
{
    struct rig *rig = *state;
    struct recorder k = { .pool = NULL };
    rig_start(rig);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 400; i++) {
            struct record r;
            record_begin(&r, TNX_DATA, clock_real());
            record_int(&r, KEY_BYTES, i);
            logger_keep(rig->logger[0], &k, &r);
        }
        logger_forget(rig->logger[0], &k);
        assert_null(k.data);
    }
    assert_int_equal(logger_state(rig->logger[0]), LOG_OPEN);
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    assert_int_equal(rig->tally->lines, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = { T(all_sizes), T(formats), T(forget) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
