/* The log with outputs that don't keep up, fail or go away: what sessions are told, and that every record is accounted
 * for. */
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>

#include "tests/unit/log_rig.h"

enum { SMALL_QUEUE = 64 * 1024 };

/* Output 0 is a small pipe that nobody reads from yet, with a small queue. */
static void rig_stalled(struct rig *rig, enum log_overflow overflow)
{
    rig_pipe(rig, 0);
    assert_int_equal(fcntl(rig->pipe[0], F_SETPIPE_SZ, 4096), 4096);
    rig->output[0].overflow = overflow;
    rig->output[0].queue_size = SMALL_QUEUE;
}

static enum log_state rig_state(struct rig *rig) { return logger_state(rig->logger[0]); }

struct reader {
    struct tally *tally;
    int fd;
    size_t step;
    pthread_t thread;
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    tally_pipe(r->tally, r->fd, r->step, true);
    return NULL;
}

static void reader_start(struct reader *r, struct rig *rig, size_t step)
{
    *r = (struct reader){ .tally = rig->tally, .fd = rig->pipe[0], .step = step };
    assert_int_equal(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

/* Ends the log and lets the reader come to the end of the pipe. */
static uint64_t reader_end(struct reader *r, struct rig *rig)
{
    uint64_t unwritten = log_stop(&rig->log, RIG_PATIENCE * USEC_PER_SEC);
    rig_restore_stdout(rig);
    pthread_join(r->thread, NULL);
    return unwritten;
}

static void slow_readers(void **state)
{
    static const size_t STEPS[] = { 1, 7, 4096, 100000 };
    for (unsigned i = 0; i < ARRAY_LEN(STEPS); i++) {
        struct rig *rig = *state;
        struct reader r;
        int64_t n = 0;
        rig_pipe(rig, 0);
        rig_start(rig);
        reader_start(&r, rig, STEPS[i]);
        for (; n < 300; n++)
            rig_write(rig, 0, TNX_COMMAND, n, (size_t)n * 17 % 1000);
        rig_write(rig, 0, TNX_CLOSE, n++, 5000);
        assert_int_equal(reader_end(&r, rig), 0);
        tally_check_all(rig->tally, 0, n);
        tally_check_sum(rig->tally, (uint64_t)n);
        rig_teardown(state);
        rig_setup(state);
    }
}

/* Dialogue is lost first; the losses are told when the reader goes on, and nothing is unaccounted for. */
static void drop_counts(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    enum { MADE = 4000 };
    int64_t first_lost[2] = { -1, -1 };
    struct reader r;
    rig_stalled(rig, OVERFLOW_DROP);
    rig_start(rig);
    for (int64_t n = 0; n < MADE; n++) {
        rig_write(rig, 0, n % 2 == 0 ? TNX_MESSAGE : TNX_SEND, n, 50);
        assert_int_equal(rig_state(rig), LOG_OPEN);
    }
    reader_start(&r, rig, 65536);
    assert_int_equal(reader_end(&r, rig), 0);
    tally_check_sum(t, MADE);
    assert_in_range(t->dropped, 1, 5);
    assert_true(t->lost > MADE / 2);
    for (int64_t n = MADE - 1; n >= 0; n--) {
        if (t->seen[0][n] == 0)
            first_lost[n % 2] = n;
    }
    assert_true(first_lost[1] > 100);
    assert_true(first_lost[0] > first_lost[1] + 10);
}

/* Later records find room again, and the `dropped` record comes without them. */
static void drop_is_told_in_peace(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    int64_t n = 0;
    rig_stalled(rig, OVERFLOW_DROP);
    rig_start(rig);
    for (unsigned round = 1; round <= 3; round++) {
        for (int i = 0; i < 3000; i++)
            rig_write(rig, 0, TNX_COMMAND, n++, 50);
        WAIT_FOR((tally_pipe(t, rig->pipe[0], 65536, false), t->lines - t->dropped + t->lost == (uint64_t)n));
        tally_check_sum(t, (uint64_t)n);
        assert_true(t->dropped >= round);
    }
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    tally_pipe(t, rig->pipe[0], 65536, false);
    tally_check_sum(t, (uint64_t)n);
}

/* Nobody ever reads: the limit holds, and what is in the pipe, in whole lines, and what is returned are all. */
static void stop_with_a_stalled_reader(void **state)
{
    static const enum log_overflow OVERFLOWS[] = { OVERFLOW_DROP, OVERFLOW_BLOCK };
    for (unsigned i = 0; i < ARRAY_LEN(OVERFLOWS); i++) {
        struct rig *rig = *state;
        struct tally *t = rig->tally;
        enum { MADE = 3000 };
        rig_stalled(rig, OVERFLOWS[i]);
        rig_start(rig);
        for (int64_t n = 0; n < MADE; n++)
            rig_write(rig, (unsigned)n % 3, TNX_CLOSE, n, 50);
        usec_t start = clock_mono();
        uint64_t unwritten = log_stop(&rig->log, 50 * USEC_PER_MSEC);
        assert_in_range(clock_mono() - start, 50 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
        tally_pipe(t, rig->pipe[0], 65536, false);
        assert_true(t->lines > 10);
        assert_int_equal(t->lines - t->dropped + t->lost + unwritten, MADE);
        rig_teardown(state);
        rig_setup(state);
    }
}

/* Without any time, what is waiting is still written where that needs no waiting. */
static void stop_at_once(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    for (int n = 0; n < 100; n++)
        rig_write(rig, 0, TNX_CLOSE, n, 50);
    assert_int_equal(log_stop(&rig->log, 0), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_all(rig->tally, 0, 100);
}

static int64_t write_until(struct rig *rig, enum log_state state, int64_t n)
{
    for (int64_t end = n + 5000; rig_state(rig) != state; n++) {
        assert_true(n < end);
        rig_write(rig, 0, TNX_COMMAND, n, 50);
    }
    return n;
}

static void block_and_wake(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    int64_t n = 0;
    rig_stalled(rig, OVERFLOW_BLOCK);
    rig_start(rig);
    for (unsigned round = 0; round < 3; round++) {
        n = write_until(rig, LOG_BLOCKED, n);
        WAIT_FOR(atomic_load(&rig->wakes) == (2 * round + 1) * RIG_LOGGERS);
        for (int64_t end = n + 2000; n < end; n++)
            rig_write(rig, 0, TNX_COMMAND, n, 50);
        assert_int_equal(rig_state(rig), LOG_BLOCKED);
        WAIT_FOR((tally_pipe(t, rig->pipe[0], 4096, false), atomic_load(&rig->wakes) == (2 * round + 2) * RIG_LOGGERS));
        assert_int_equal(rig_state(rig), LOG_OPEN);
        WAIT_FOR((tally_pipe(t, rig->pipe[0], 4096, false), t->lines == (uint64_t)n));
    }
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    tally_check_all(t, 0, n);
    tally_check_sum(t, (uint64_t)n);
}

/* Reservations count as lines that wait, up to half of the queue; alone they block nobody. */
static void reservations_block_sooner(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    int64_t with, without;
    rig_stalled(rig, OVERFLOW_BLOCK);
    rig_start(rig);
    logger_reserve(rig->logger[1], 100 << 20);
    assert_int_equal(rig_state(rig), LOG_OPEN);
    with = write_until(rig, LOG_BLOCKED, 0);
    logger_reserve(rig->logger[1], -(100 << 20));
    WAIT_FOR((tally_pipe(t, rig->pipe[0], 65536, false), rig_state(rig) == LOG_OPEN && t->lines == (uint64_t)with));
    without = write_until(rig, LOG_BLOCKED, with);
    assert_true(without - with > with + 50);
    tally_pipe(t, rig->pipe[0], 65536, false);
    log_stop(&rig->log, USEC_PER_SEC);
}

static void block_timeout(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    int64_t n;
    rig_stalled(rig, OVERFLOW_BLOCK);
    rig->set.block_timeout = USEC_PER_SEC;
    rig_start(rig);
    usec_t start = clock_mono();
    n = write_until(rig, LOG_BLOCKED, 0);
    WAIT_FOR(atomic_load(&rig->wakes) == 2 * RIG_LOGGERS);
    assert_int_equal(rig_state(rig), LOG_TEMPFAIL);
    assert_true(clock_mono() - start >= USEC_PER_SEC);
    for (int64_t end = n + 4000; n < end; n++)
        rig_write(rig, 0, n % 2 == 0 ? TNX_MESSAGE : TNX_COMMAND, n, 50);
    WAIT_FOR((tally_pipe(t, rig->pipe[0], 65536, false), rig_state(rig) == LOG_OPEN));
    WAIT_FOR((tally_pipe(t, rig->pipe[0], 65536, false), t->lines - t->dropped + t->lost == (uint64_t)n + 1));
    tally_check_sum(t, (uint64_t)n + 1);
    assert_true(t->lost > 1000 && t->dropped > 0);
    assert_int_equal(t->errors, 1);
    assert_string_equal(t->err[0], "log_blocked A log output takes no records; mail is refused until it does");
    WAIT_FOR(atomic_load(&rig->wakes) == 3 * RIG_LOGGERS);
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
}

static void tempfail(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    int64_t n, kept;
    rig_stalled(rig, OVERFLOW_TEMPFAIL);
    rig_start(rig);
    n = write_until(rig, LOG_TEMPFAIL, 0);
    WAIT_FOR(atomic_load(&rig->wakes) == RIG_LOGGERS); /* two changes between two looks of the watch are one wake-up */
    kept = n;
    /* Dialogue finds no room above the size; what sessions under way must say does, up to half as much again. */
    for (int64_t end = n + 20; n < end; n++)
        rig_write(rig, 0, TNX_MESSAGE, n, 50);
    for (int64_t end = n + 2000; n < end; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 50);
    WAIT_FOR((tally_pipe(t, rig->pipe[0], 65536, false), t->lines - t->dropped + t->lost == (uint64_t)n + 1));
    tally_check_all(t, 0, kept + 20);
    tally_check_sum(t, (uint64_t)n + 1);
    assert_int_equal(t->errors, 1);
    assert_true(t->lost > 1000);
    WAIT_FOR(rig_state(rig) == LOG_OPEN && atomic_load(&rig->wakes) == 2 * RIG_LOGGERS);
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
}

/* One that blocks is stricter than one that refuses; one that drops is no reason for either. */
static void the_strictest_output_counts(void **state)
{
    struct rig *rig = *state;
    rig_stalled(rig, OVERFLOW_TEMPFAIL);
    rig->set.outputs = 2;
    rig->output[1].path = (char *)(uintptr_t) "/dev/full";
    rig->output[1].queue_size = 2 * SMALL_QUEUE;
    rig_start(rig);
    int64_t n = write_until(rig, LOG_TEMPFAIL, 0);
    write_until(rig, LOG_BLOCKED, n);
}

/* The reader of stdout goes: that output is gone for good, the other goes on and tells it. */
static void stdout_closed(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    char text[4096];
    rig_stalled(rig, OVERFLOW_BLOCK);
    rig->set.outputs = 2;
    rig_start(rig);
    int64_t n = write_until(rig, LOG_BLOCKED, 0);
    WAIT_FOR(atomic_load(&rig->wakes) == RIG_LOGGERS);
    ssize_t got = read(rig->pipe[0], text, sizeof(text));
    assert_true(got > 0);
    assert_int_equal(tally_text(t, text, (size_t)got), got);
    close(rig->pipe[0]);
    rig->pipe[0] = -1;
    WAIT_FOR(atomic_load(&rig->wakes) == 2 * RIG_LOGGERS && rig_state(rig) == LOG_OPEN);
    assert_false(log_all_gone(rig->log));
    for (int64_t end = n + 5000; n < end; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 50);
    assert_int_equal(rig_state(rig), LOG_OPEN);
    uint64_t read = t->lines, unwritten = log_stop(&rig->log, RIG_PATIENCE * USEC_PER_SEC);
    assert_true(read > 0);
    memset(t, 0, sizeof(*t));
    tally_file(t, rig->path[1]);
    tally_check_all(t, 0, n);
    tally_check_sum(t, (uint64_t)n + 1);
    assert_int_equal(t->errors, 1);
    assert_string_equal(t->err[0], "log_write A log output can't be written: Broken pipe");
    assert_in_range(unwritten, 5000, (uint64_t)n + 1 - read);
}

static void every_output_gone(void **state)
{
    struct rig *rig = *state;
    rig_pipe(rig, 0);
    rig_start(rig);
    assert_false(log_all_gone(rig->log));
    close(rig->pipe[0]);
    rig->pipe[0] = -1;
    rig_write(rig, 0, TNX_CLOSE, 0, 0);
    WAIT_FOR(log_all_gone(rig->log));
    WAIT_FOR(atomic_load(&rig->wakes) >= RIG_LOGGERS);
    rig_write(rig, 0, TNX_CLOSE, 1, 0);
    /* With the error record that found no output either. */
    assert_int_equal(log_stop(&rig->log, RIG_PATIENCE * USEC_PER_SEC), 3);
}

/* A full disk is an output that can't keep up; the other one tells it, once. */
static void disk_full(void **state)
{
    struct rig *rig = *state;
    rig->output[0].path = (char *)(uintptr_t) "/dev/full";
    rig->output[0].queue_size = SMALL_QUEUE;
    rig->output[1].queue_size = 16 << 20;
    rig->set.outputs = 2;
    rig_start(rig);
    int64_t n = write_until(rig, LOG_BLOCKED, 0);
    struct stat st;
    WAIT_FOR(stat(rig->path[1], &st) == 0 && st.st_size > 0);
    usec_t start = clock_mono();
    /* Its own records and that of the error. */
    assert_int_equal(log_stop(&rig->log, 300 * USEC_PER_MSEC), n + 1);
    assert_in_range(clock_mono() - start, 300 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
    tally_file(rig->tally, rig->path[1]);
    tally_check_all(rig->tally, 0, n);
    assert_int_equal(rig->tally->errors, 1);
    assert_string_equal(rig->tally->err[0], "log_write A log output can't be written: No space left on device");
}

/* A file may be a named pipe; its reader may go and come back. */
static void named_pipe(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    assert_int_equal(mkfifo(rig->path[0], 0600), 0);
    assert_null(log_start(&rig->set, RIG_LOGGERS, rig_fault, rig));
    assert_non_null(strstr(rig->faults[0], "No such device or address"));
    int fd = open(rig->path[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    rig_start(rig);
    rig_write(rig, 0, TNX_CLOSE, 0, 0);
    WAIT_FOR((tally_pipe(t, fd, 4096, false), t->lines == 1));
    close(fd);
    rig_write(rig, 0, TNX_CLOSE, 1, 0);
    fd = open(rig->path[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    WAIT_FOR((tally_pipe(t, fd, 4096, false), t->seen[0][1] == 1));
    assert_int_equal(log_stop(&rig->log, USEC_PER_SEC), 0);
    assert_false(rig->log != NULL);
    close(fd);
}

/* As under systemd, whose journal is a socket. */
static void stdout_is_a_socket(void **state)
{
    struct rig *rig = *state;
    struct reader r;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, rig->pipe), 0);
    rig_take_stdout(rig, rig->pipe[1]);
    close(rig->pipe[1]);
    rig->pipe[1] = -1;
    rig->output[0].type = OUTPUT_STDOUT;
    rig_start(rig);
    reader_start(&r, rig, 100);
    for (int64_t n = 0; n < 3000; n++)
        rig_write(rig, 0, TNX_COMMAND, n, (size_t)n % 1000);
    assert_int_equal(reader_end(&r, rig), 0);
    tally_check_all(rig->tally, 0, 3000);
}

/* A terminal that is held takes part of a write and keeps the rest waiting: the thread is left behind. */
static void a_write_that_hangs(void **state)
{
    struct rig *rig = *state;
    int slave;
    struct termios raw;
    assert_int_equal(openpty(&rig->pipe[0], &slave, NULL, NULL, NULL), 0);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    rig_take_stdout(rig, slave);
    close(slave);
    rig->output[0].type = OUTPUT_STDOUT;
    rig_start(rig);
    for (int64_t n = 0; n < 2000; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 200);
    usec_t start = clock_mono();
    uint64_t unwritten = log_stop(&rig->log, 100 * USEC_PER_MSEC);
    assert_in_range(clock_mono() - start, 100 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
    assert_in_range(unwritten, 1000, 2000);
    rig_restore_stdout(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(slow_readers),
        T(drop_counts),
        T(drop_is_told_in_peace),
        T(stop_with_a_stalled_reader),
        T(stop_at_once),
        T(block_and_wake),
        T(reservations_block_sooner),
        T(block_timeout),
        T(tempfail),
        T(the_strictest_output_counts),
        T(stdout_closed),
        T(every_output_gone),
        T(disk_full),
        T(named_pipe),
        T(stdout_is_a_socket),
        T(a_write_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
