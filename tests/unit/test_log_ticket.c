/* log.sync: tickets of one queue alone, and with a whole log; room on the disk. */
#include <sys/resource.h>

#include "proxy/log/durable.h"
#include "proxy/log/ticket.h"
#include "tests/unit/log_rig.h"

static void count_wake(void *arg, unsigned i) { ((unsigned *)arg)[i]++; }

static void tickets_alone(void **state)
{
    struct tickets t;
    struct queue q[2];
    unsigned wakes[2] = { 0, 0 };
    (void)state;
    memset(q, 0, sizeof(q));
    tickets_init(&t, SYNC_FSYNC, 2);
    assert_false(tickets_awaited(&t));
    assert_false(tickets_safe(&t, 0, 1));
    assert_false(tickets_failed(&t, 0, 1));
    tickets_await(&t, 1);
    assert_true(tickets_awaited(&t) && atomic_load(&t.urgent));
    q[0].taken = 5;
    q[1].taken = 7;
    tickets_pass(&t, q, true, count_wake, wakes);
    assert_true(wakes[0] == 0 && wakes[1] == 1);
    assert_false(tickets_awaited(&t));
    assert_true(tickets_safe(&t, 0, 5) && tickets_safe(&t, 1, 7));
    assert_false(tickets_safe(&t, 0, 6) || tickets_safe(&t, 1, 8));
    q[0].taken = 9;
    tickets_pass(&t, q, false, count_wake, wakes);
    assert_false(tickets_safe(&t, 0, 9));
    assert_true(tickets_failed(&t, 0, 9) && tickets_failed(&t, 0, 6));
    q[0].taken = 12;
    tickets_pass(&t, q, true, count_wake, wakes);
    assert_true(tickets_safe(&t, 0, 10) && tickets_safe(&t, 0, 12));
    assert_false(tickets_safe(&t, 0, 9) || tickets_failed(&t, 0, 10));
    assert_true(wakes[0] == 0 && wakes[1] == 1);
    tickets_free(&t);
}

/* Each line is in the file when its ticket is safe, and nobody waits for the batching. */
static void with_a_log(void **state)
{
    static const enum log_sync SYNCS[] = { SYNC_WRITE, SYNC_FSYNC };
    for (unsigned i = 0; i < ARRAY_LEN(SYNCS); i++) {
        struct rig *rig = *state;
        rig->set.outputs = 2;
        rig->output[0].sync = rig->output[1].sync = SYNCS[i];
        rig->output[1].level = LEVEL_INFO;
        rig_start(rig);
        assert_true(logger_syncs(rig->logger[0]));
        for (int64_t n = 0; n < 200; n++) {
            struct log_ticket ticket = { .at = { 0 } };
            unsigned before = atomic_load(&rig->wakes);
            rig_write(rig, 1, TNX_COMMAND, 2 * n, 50);
            rig_write(rig, 1, TNX_MESSAGE, 2 * n + 1, 50);
            logger_draw(rig->logger[1], &ticket);
            assert_true(ticket.at[0] == (uint64_t)(2 * n + 2) && ticket.at[1] == (uint64_t)(n + 1));
            do {
                logger_await(rig->logger[1]);
                WAIT_FOR(atomic_load(&rig->wakes) > before);
                before = atomic_load(&rig->wakes);
            } while (logger_fate(rig->logger[1], &ticket) == LOG_WAITING);
            assert_int_equal(logger_fate(rig->logger[1], &ticket), LOG_SAFE);
            size_t len;
            char *text = read_file(rig->path[0], &len);
            size_t lines = 0;
            for (size_t k = 0; k < len; k++)
                lines += text[k] == '\n';
            assert_int_equal(lines, 2 * n + 2);
            free(text);
        }
        assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
        tally_file(rig->tally, rig->path[0]);
        tally_check_all(rig->tally, 1, 400);
        rig_teardown(state);
        rig_setup(state);
    }
}

enum { EACH = 3000 };

struct committer {
    struct rig *rig;
    unsigned i;
    atomic_uint wakes;
    pthread_t thread;
};

static void *commit_all(void *arg)
{
    struct committer *c = arg;
    struct logger *l = c->rig->logger[c->i];
    for (int64_t n = 0; n < EACH; n++) {
        struct log_ticket ticket = { .at = { 0 } };
        unsigned seen = atomic_load(&c->wakes);
        rig_write(c->rig, c->i, n % 5 == 0 ? TNX_MESSAGE : TNX_SEND, n, 100);
        if (n % 5 != 0)
            continue;
        logger_draw(l, &ticket);
        logger_await(l);
        while (logger_fate(l, &ticket) == LOG_WAITING) {
            if (atomic_load(&c->wakes) == seen)
                continue;
            seen = atomic_load(&c->wakes);
            if (logger_fate(l, &ticket) == LOG_WAITING)
                logger_await(l);
        }
    }
    return NULL;
}

/* Several loggers at once; each is woken for what it waits for. */
static void at_once(void **state)
{
    struct rig *rig = *state;
    struct committer c[RIG_LOGGERS];
    rig->output[0].sync = SYNC_WRITE;
    rig_start(rig);
    for (unsigned i = 0; i < RIG_LOGGERS; i++) {
        c[i].rig = rig;
        c[i].i = i;
        atomic_init(&c[i].wakes, 0);
        rig->logger[i] = log_logger(rig->log, i, rig_wake, &c[i].wakes);
    }
    for (unsigned i = 0; i < RIG_LOGGERS; i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, commit_all, &c[i]), 0);
    for (unsigned i = 0; i < RIG_LOGGERS; i++)
        pthread_join(c[i].thread, NULL);
    assert_int_equal(log_stop(&rig->log, RIG_PATIENCE * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    for (unsigned i = 0; i < RIG_LOGGERS; i++)
        tally_check_all(rig->tally, i, EACH);
    tally_check_sum(rig->tally, RIG_LOGGERS * EACH);
}

/* A limit is as good as a full disk, and root has it too. Room is refused before a write fails; what is lost is missed.
 */
static void no_room(void **state)
{
    struct rig *rig = *state;
    struct rlimit was, now;
    rig->output[0].sync = SYNC_WRITE;
    rig->output[0].overflow = OVERFLOW_TEMPFAIL;
    rig_start(rig);
    assert_true(logger_secures(rig->logger[0], 10000));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    now = was;
    now.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    int64_t n = 0;
    for (; logger_state(rig->logger[0]) != LOG_TEMPFAIL; n++) {
        assert_true(n < 20000);
        rig_write(rig, 0, TNX_MESSAGE, n, 500);
        if (n % 100 == 0)
            pause_a_little();
    }
    assert_false(logger_secures(rig->logger[0], 1));
    rig_write(rig, 0, TNX_COMMAND, n, 50);
    assert_int_equal(logger_missed(rig->logger[0]), 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    WAIT_FOR(logger_state(rig->logger[0]) == LOG_OPEN);
    assert_true(logger_secures(rig->logger[0], 10000));
    assert_int_equal(log_stop(&rig->log, RIG_PATIENCE * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_all(rig->tally, 0, n);
}

static void room_of_files(void **state)
{
    struct rig *rig = *state;
    struct durable d = { .end = 0 };
    struct stat st;
    int fd = open(rig->path[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(durable_secure(&d, fd, 1000) >= 1000);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    if (!d.blind) {
        assert_int_equal(d.end, 1 << 20);
        assert_true(durable_secure(&d, fd, 3 << 20) >= 3 << 20);
        assert_int_equal(d.end % (1 << 20), 0);
    }
    assert_int_equal(write(fd, "line\n", 5), 5);
    durable_release(fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_in_range(st.st_blocks, 0, 16);
    assert_int_equal(durable_sync(fd), 0);
    assert_int_equal(durable_sync_directory(rig->path[0]), 0);
    assert_int_equal(durable_sync_directory("no-such-file-here"), 0);
    assert_int_equal(durable_sync_directory("/no/such/directory/file"), ENOENT);
    close(fd);
    assert_int_equal(pipe2(rig->pipe, O_CLOEXEC), 0);
    assert_true(durable_secure(&d, rig->pipe[1], 1000) == DURABLE_ANY);
    assert_int_equal(durable_sync(rig->pipe[1]), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_alone), T(with_a_log), T(at_once), T(no_room), T(room_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
