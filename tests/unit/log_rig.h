/* A log under test: settings, a directory of its own, records that can be told apart, and a count of what came out.
 * Each record carries its logger and a number; json-c reads every line. */
#ifndef TESTS_UNIT_LOG_RIG_H
#define TESTS_UNIT_LOG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/log/clock.h"
#include "proxy/log/log.h"
#include "tests/unit/json_c.h"

#define RIG_UNUSED __attribute__((unused))

enum { RIG_LOGGERS = 4, RIG_RECORDS = 1 << 17, RIG_PATIENCE = 60 };

struct tally {
    uint64_t lines, dropped, errors, lost; /* dropped: such lines; lost: what they tell */
    uint64_t seq;                          /* of the last line */
    char run[LOG_RUN_LEN + 1];
    unsigned char seen[RIG_LOGGERS][RIG_RECORDS];
    int64_t next[RIG_LOGGERS];
    char err[16][160]; /* err.message of the error records */
    char last_tnx[16];
};

struct rig {
    char dir[64], path[2][96];
    struct output_settings output[2];
    struct log_settings set;
    struct log *log;
    struct logger *logger[RIG_LOGGERS];
    atomic_uint wakes;
    char faults[4][256];
    unsigned fault_count;
    int old_stdout, pipe[2];
    struct tally *tally;
};

static RIG_UNUSED void rig_fault(void *arg, const char *text)
{
    struct rig *rig = arg;
    assert_true(rig->fault_count < ARRAY_LEN(rig->faults));
    snprintf(rig->faults[rig->fault_count++], sizeof(rig->faults[0]), "%s", text);
}

static RIG_UNUSED void rig_wake(void *arg) { atomic_fetch_add((atomic_uint *)arg, 1); }

/* Two files named in a directory of their own; a test changes what it wants before rig_start(). */
static RIG_UNUSED int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    snprintf(rig->dir, sizeof(rig->dir), "/tmp/smtptap-log-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(rig->path[i], sizeof(rig->path[i]), "%s/%u.log", rig->dir, i);
        rig->output[i] = (struct output_settings){ .type = OUTPUT_FILE,
                                                   .path = rig->path[i],
                                                   .mode = 0640,
                                                   .level = LEVEL_DEBUG,
                                                   .overflow = OVERFLOW_BLOCK,
                                                   .queue_size = 16 << 20 };
    }
    rig->set = (struct log_settings){ .component = (char *)(uintptr_t) "tap",
                                      .output = rig->output,
                                      .outputs = 1,
                                      .block_timeout = 3600 * USEC_PER_SEC,
                                      .max_record = 8000 };
    rig->old_stdout = rig->pipe[0] = rig->pipe[1] = -1;
    rig->tally = calloc(1, sizeof(*rig->tally));
    *state = rig;
    return 0;
}

static RIG_UNUSED void rig_restore_stdout(struct rig *rig)
{
    if (rig->old_stdout < 0)
        return;
    fflush(stdout);
    dup2(rig->old_stdout, STDOUT_FILENO);
    close(rig->old_stdout);
    rig->old_stdout = -1;
}

static RIG_UNUSED int rig_teardown(void **state)
{
    struct rig *rig = *state;
    char command[128];
    if (rig->log != NULL)
        log_stop(&rig->log, 0);
    rig_restore_stdout(rig);
    for (unsigned i = 0; i < 2; i++) {
        if (rig->pipe[i] >= 0)
            close(rig->pipe[i]);
    }
    snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
    assert_int_equal(system(command), 0);
    free(rig->tally);
    free(rig);
    return 0;
}

/* stdout is `fd` for the time of the test; cmocka prints between tests only. */
static RIG_UNUSED void rig_take_stdout(struct rig *rig, int fd)
{
    fflush(stdout);
    rig->old_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    assert_true(rig->old_stdout >= 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
}

/* Output i is stdout, and that is a pipe whose reading end is rig->pipe[0]. */
static RIG_UNUSED void rig_pipe(struct rig *rig, unsigned i)
{
    assert_int_equal(pipe2(rig->pipe, O_CLOEXEC), 0);
    rig_take_stdout(rig, rig->pipe[1]);
    close(rig->pipe[1]);
    rig->pipe[1] = -1;
    rig->output[i].type = OUTPUT_STDOUT;
}

static RIG_UNUSED void rig_start(struct rig *rig)
{
    rig->log = log_start(&rig->set, RIG_LOGGERS, rig_fault, rig);
    assert_non_null(rig->log);
    for (unsigned i = 0; i < RIG_LOGGERS; i++)
        rig->logger[i] = log_logger(rig->log, i, rig_wake, &rig->wakes);
}

/* One more record: the n-th of logger i, with a line as long as `filler` asks. */
static RIG_UNUSED void rig_write_at(struct rig *rig, unsigned i, enum tnx tnx, int64_t n, size_t filler, usec_t time)
{
    static char text[200000];
    struct record r;
    if (filler > 0 && text[0] == '\0')
        memset(text, 'x', sizeof(text));
    record_begin(&r, tnx, time);
    record_int(&r, KEY_PORT, i);
    record_int(&r, KEY_BYTES, n);
    record_str(&r, KEY_MSG, span_of(text, filler));
    logger_write(rig->logger[i], &r);
}

static RIG_UNUSED void rig_write(struct rig *rig, unsigned i, enum tnx tnx, int64_t n, size_t filler)
{
    rig_write_at(rig, i, tnx, n, filler, clock_real());
}

static RIG_UNUSED void pause_a_little(void) { nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL); }

/* Waits for a condition; fails the test when patience ends. */
#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        usec_t wait_end = clock_mono() + RIG_PATIENCE * USEC_PER_SEC;                                                  \
        while (!(condition)) {                                                                                         \
            if (clock_mono() > wait_end)                                                                               \
                fail_msg("waited in vain for " #condition);                                                            \
            pause_a_little();                                                                                          \
        }                                                                                                              \
    } while (0)

static RIG_UNUSED int64_t json_number(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? json_object_get_int64(v) : -1;
}

static RIG_UNUSED const char *json_text(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static RIG_UNUSED void tally_kind(struct tally *t, struct json_object *o)
{
    struct json_object *err;
    snprintf(t->last_tnx, sizeof(t->last_tnx), "%s", json_text(o, "tnx"));
    if (strcmp(t->last_tnx, "dropped") == 0) {
        assert_true(json_number(o, "records") > 0);
        t->dropped++;
        t->lost += (uint64_t)json_number(o, "records");
    } else if (json_object_object_get_ex(o, "err", &err)) {
        snprintf(t->err[t->errors++ % ARRAY_LEN(t->err)], sizeof(t->err[0]), "%s %s", json_text(err, "code"),
                 json_text(err, "message"));
    } else {
        int64_t logger = json_number(o, "port"), n = json_number(o, "bytes");
        assert_in_range(logger, 0, RIG_LOGGERS - 1);
        assert_in_range(n, t->next[logger], RIG_RECORDS - 1);
        t->next[logger] = n + 1;
        t->seen[logger][n]++;
    }
}

static RIG_UNUSED void tally_line(struct tally *t, const char *line, size_t len)
{
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(tok, line, (int)len);
    if (o == NULL || json_tokener_get_parse_end(tok) != len)
        fail_msg("not a line of JSON: %.*s", (int)min_size(len, 300), line);
    assert_string_equal(json_text(o, "component"), "tap");
    if (t->lines++ == 0)
        snprintf(t->run, sizeof(t->run), "%s", json_text(o, "run"));
    assert_string_equal(json_text(o, "run"), t->run);
    assert_true(json_number(o, "seq") > (int64_t)t->seq);
    t->seq = (uint64_t)json_number(o, "seq");
    tally_kind(t, o);
    json_object_put(o);
    json_tokener_free(tok);
}

/* The whole lines of a text; returns how many octets they are. */
static RIG_UNUSED size_t tally_text(struct tally *t, const char *text, size_t len)
{
    const char *p = text, *end;
    while ((end = memchr(p, '\n', len - (size_t)(p - text))) != NULL) {
        tally_line(t, p, (size_t)(end - p));
        p = end + 1;
    }
    return (size_t)(p - text);
}

static RIG_UNUSED char *read_file(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    assert_true(n >= 0);
    *len = (size_t)n;
    text[n] = '\0';
    close(fd);
    return text;
}

/* Whole lines only. */
static RIG_UNUSED void tally_file(struct tally *t, const char *path)
{
    size_t len;
    char *text = read_file(path, &len);
    assert_int_equal(tally_text(t, text, len), len);
    free(text);
}

/* Reads a pipe until its end, or until it is empty where `wait` is false; `step` octets a time. */
static RIG_UNUSED void tally_pipe(struct tally *t, int fd, size_t step, bool wait)
{
    struct buf b;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ssize_t n;
    buf_init(&b, NULL);
    while ((wait || poll(&p, 1, 0) > 0) && (n = read(fd, buf_reserve(&b, step), step)) > 0) {
        buf_commit(&b, (size_t)n);
        if (b.base[b.tail - 1] == '\n')
            buf_consume(&b, tally_text(t, b.base + b.head, buf_len(&b)));
    }
    if (!buf_empty(&b))
        buf_consume(&b, tally_text(t, b.base + b.head, buf_len(&b)));
    assert_true(buf_empty(&b));
    buf_free(&b);
}

/* Of what was made, `made`, everything was written or told of as lost, and seq counts both. */
static RIG_UNUSED void tally_check_sum(const struct tally *t, uint64_t made)
{
    assert_int_equal(t->lines - t->dropped + t->lost, made);
    assert_int_equal(t->seq, made + t->dropped);
}

/* Each of the first n records of logger i is there, once. */
static RIG_UNUSED void tally_check_all(const struct tally *t, unsigned i, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        if (t->seen[i][k] != 1)
            fail_msg("record %ld of logger %u is there %u times", (long)k, i, t->seen[i][k]);
    }
}

#endif
