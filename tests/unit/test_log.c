/* The log with files and readers that keep up: what is in a line, levels, files and their opening again, batching. */
#include <grp.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "tests/unit/log_rig.h"

static void levels_of_two_outputs(void **state)
{
    struct rig *rig = *state;
    struct tally *t = rig->tally;
    rig->set.outputs = 2;
    rig->output[1].level = LEVEL_INFO;
    rig_start(rig);
    assert_true(logger_wants(rig->logger[0], LEVEL_DEBUG));
    for (int n = 0; n < 30; n += 3) {
        rig_write(rig, 0, TNX_COMMAND, n, 10);
        rig_write(rig, 0, TNX_LISTEN, n + 1, 10);
        rig_write(rig, 0, TNX_SEND, n + 2, 10);
    }
    assert_int_equal(strlen(log_run(rig->log)), LOG_RUN_LEN);
    assert_int_equal(strspn(log_run(rig->log), "0123456789abcdefghijklmnopqrstuv"), LOG_RUN_LEN);
    char *run = strdup(log_run(rig->log));
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    assert_null(rig->log);
    tally_file(t, rig->path[0]);
    tally_check_all(t, 0, 30);
    tally_check_sum(t, 30);
    assert_string_equal(t->run, run);
    memset(t, 0, sizeof(*t));
    tally_file(t, rig->path[1]);
    tally_check_sum(t, 10);
    for (int n = 0; n < 30; n++)
        assert_int_equal(t->seen[0][n], n % 3 == 1);
    assert_string_equal(t->run, run);
    free(run);
}

static void debug_is_not_wanted(void **state)
{
    struct rig *rig = *state;
    rig->output[0].level = LEVEL_INFO;
    rig_start(rig);
    assert_false(logger_wants(rig->logger[0], LEVEL_DEBUG));
    assert_true(logger_wants(rig->logger[0], LEVEL_INFO));
    rig_write(rig, 0, TNX_DATA, 0, 0);
    rig_write(rig, 0, TNX_CLOSE, 1, 0);
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_sum(rig->tally, 1);
}

static void a_line_to_the_letter(void **state)
{
    struct rig *rig = *state;
    char want[256];
    size_t len;
    struct record r;
    rig_start(rig);
    record_begin(&r, TNX_CLOSING, 1772533815100000);
    record_int(&r, KEY_PENDING, 3);
    record_str(&r, KEY_MSG, SPAN_LIT("bye"));
    logger_write(rig->logger[2], &r);
    record_begin(&r, TNX_CLOSED, 1772533815100001);
    record_str(&r, KEY_COMPONENT, SPAN_LIT("other"));
    record_str(&r, KEY_MSG, SPAN_LIT("bye"));
    logger_write(rig->logger[2], &r);
    int n = snprintf(want, sizeof(want),
                     "{\"time\":\"2026-03-03T10:30:15.100000Z\",\"level\":\"info\",\"component\":\"tap\",\"tnx\":"
                     "\"closing\",\"pending\":3,\"msg\":\"bye\",\"run\":\"%s\",\"seq\":1}\n",
                     log_run(rig->log));
    n += snprintf(want + n, sizeof(want) - (size_t)n, "{\"time\":\"2026-03-03T10:30:15.100001Z\",");
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    char *text = read_file(rig->path[0], &len);
    assert_true(len > (size_t)n);
    assert_memory_equal(text, want, (size_t)n);
    assert_non_null(strstr(text + n, "\"component\":\"other\",\"tnx\":\"closed\",\"msg\":\"bye\","));
    free(text);
}

static void runs_differ(void **state)
{
    struct rig *rig = *state;
    char first[LOG_RUN_LEN + 1];
    rig_start(rig);
    strcpy(first, log_run(rig->log));
    assert_int_equal(log_stop(&rig->log, 0), 0);
    rig_start(rig);
    assert_string_not_equal(first, log_run(rig->log));
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* As configured, whatever the umask, where we create it; else as it is. */
static void modes(void **state)
{
    struct rig *rig = *state;
    mode_t before = umask(077);
    int fd = open(rig->path[1], O_CREAT | O_WRONLY, 0600);
    close(fd);
    rig->set.outputs = 2;
    rig->output[0].mode = 0664;
    rig_start(rig);
    umask(before);
    assert_int_equal(mode_of(rig->path[0]), 0664);
    assert_int_equal(mode_of(rig->path[1]), 0600);
}

static void groups(void **state)
{
    struct rig *rig = *state;
    struct stat st;
    struct group *own = getgrgid(getgid());
    if (own == NULL)
        skip();
    rig->set.outputs = 2;
    rig->output[0].group = strdup(own->gr_name);
    rig->output[1].group = (char *)(uintptr_t) "4242";
    rig->set.outputs = geteuid() == 0 ? 2 : 1;
    rig_start(rig);
    assert_int_equal(stat(rig->path[0], &st), 0);
    assert_int_equal(st.st_gid, getgid());
    if (rig->set.outputs == 2) {
        assert_int_equal(stat(rig->path[1], &st), 0);
        assert_int_equal(st.st_gid, 4242);
    }
    free(rig->output[0].group);
}

static void every_fault_is_told(void **state)
{
    struct rig *rig = *state;
    rig->set.outputs = 2;
    rig->output[0].path = rig->dir;
    rig->output[1].group = (char *)(uintptr_t) "no such group";
    assert_null(log_start(&rig->set, RIG_LOGGERS, rig_fault, rig));
    assert_int_equal(rig->fault_count, 2);
    char want[128];
    snprintf(want, sizeof(want), "log.outputs[0]: %s: Is a directory", rig->dir);
    assert_string_equal(rig->faults[0], want);
    assert_string_equal(rig->faults[1], "log.outputs[1]: there is no group \"no such group\"");
}

static void a_torn_line_stays_alone(void **state)
{
    struct rig *rig = *state;
    size_t len;
    int fd = open(rig->path[0], O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "{}\n{\"half\":", 11), 11);
    close(fd);
    rig_start(rig);
    rig_write(rig, 0, TNX_CLOSE, 0, 0);
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    rig_start(rig);
    rig_write(rig, 0, TNX_CLOSE, 1, 0);
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    char *text = read_file(rig->path[0], &len);
    assert_memory_equal(text, "{}\n{\"half\":\n{\"time\":", 20);
    assert_null(strstr(text, "\n\n"));
    assert_int_equal(text[len - 1], '\n');
    free(text);
}

static void file_put(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* What a crash left: the beginning of a record goes, and that is told; a whole one gets its line's end; what is no
 * record of ours, or may be written by another process just now, stays. */
static void a_torn_record_is_healed(void **state)
{
    static const struct {
        const char *before, *kept, *told;
        bool locked;
    } CASES[] = {
        { "", "", NULL, false },
        { "{\"time\":\"x\"}\n", "{\"time\":\"x\"}\n", NULL, false },
        { "{\"time\":\"x\"}\n{\"time\":\"2026", "{\"time\":\"x\"}\n", "13 octets", false },
        { "{}\n{", "{}\n", "1 octets", false },
        { "{\"time\":\"x\",\"seq\":1", "", "19 octets", false },
        { "{\"@timestamp\":\"x\",\"a", "", "20 octets", false },
        { "{\"time\":\"x\",\"tls\":{\"used\":true}", "", "31 octets", false },
        { "{\"time\":\"x\",\"seq\":1}", "{\"time\":\"x\",\"seq\":1}\n", NULL, false },
        { "{}\n{\"time\":\"2026", "{}\n{\"time\":\"2026\n", NULL, true },
        { "{\"key\": \"of a configuration\"", "{\"key\": \"of a configuration\"\n", NULL, false },
    };
    for (unsigned i = 0; i < ARRAY_LEN(CASES); i++) {
        struct rig *rig = *state;
        size_t len;
        file_put(rig->path[0], CASES[i].before);
        int other = open(rig->path[0], O_RDONLY | O_CLOEXEC);
        if (CASES[i].locked)
            assert_int_equal(flock(other, LOCK_SH), 0);
        rig_start(rig);
        struct stat st;
        WAIT_FOR(CASES[i].told == NULL || (stat(rig->path[0], &st) == 0 && st.st_size > 150));
        rig_write(rig, 0, TNX_CLOSE, 0, 0);
        assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
        close(other);
        char *text = read_file(rig->path[0], &len);
        assert_true(strncmp(text, CASES[i].kept, strlen(CASES[i].kept)) == 0);
        tally_text(rig->tally, text + strlen(CASES[i].kept), len - strlen(CASES[i].kept));
        assert_int_equal(rig->tally->errors, CASES[i].told != NULL);
        assert_true(CASES[i].told == NULL || strstr(rig->tally->err[0], CASES[i].told) != NULL);
        tally_check_all(rig->tally, 0, 1);
        free(text);
        rig_teardown(state);
        rig_setup(state);
    }
}

struct load {
    struct rig *rig;
    unsigned logger;
    int64_t records;
    atomic_long *done;
};

static void *load_main(void *arg)
{
    struct load *load = arg;
    char text[600];
    struct record r;
    memset(text, 'x', sizeof(text));
    for (int64_t n = 0; n < load->records; n++) {
        record_begin(&r, n % 3 == 0 ? TNX_MESSAGE : TNX_COMMAND, clock_real());
        record_int(&r, KEY_PORT, load->logger);
        record_int(&r, KEY_BYTES, n);
        record_str(&r, KEY_MSG, span_of(text, (size_t)(n * 31 % 600)));
        logger_write(load->rig->logger[load->logger], &r);
        if (n % 100 == 0)
            pause_a_little();
        atomic_fetch_add(load->done, 1);
    }
    return NULL;
}

enum { LOAD_THREADS = 3, LOAD_RECORDS = 12000 };

/* As logrotate does it: renamed, then told; every record is in one of the files, whole. */
static void reopen_under_load(void **state)
{
    struct rig *rig = *state;
    struct load load[LOAD_THREADS];
    pthread_t thread[LOAD_THREADS];
    atomic_long done = 0;
    char old[128];
    unsigned files = 0;
    rig_start(rig);
    for (unsigned i = 0; i < LOAD_THREADS; i++) {
        load[i] = (struct load){ rig, i, LOAD_RECORDS, &done };
        assert_int_equal(pthread_create(&thread[i], NULL, load_main, &load[i]), 0);
    }
    while (atomic_load(&done) < LOAD_THREADS * LOAD_RECORDS) {
        snprintf(old, sizeof(old), "%s.%u", rig->path[0], files++);
        assert_int_equal(rename(rig->path[0], old), 0);
        log_reopen(rig->log);
        WAIT_FOR(access(rig->path[0], F_OK) == 0);
    }
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    assert_true(files > 3);
    for (unsigned i = 0; i < files; i++) {
        snprintf(old, sizeof(old), "%s.%u", rig->path[0], i);
        tally_file(rig->tally, old);
    }
    tally_file(rig->tally, rig->path[0]);
    tally_check_sum(rig->tally, LOAD_THREADS * LOAD_RECORDS);
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        tally_check_all(rig->tally, i, LOAD_RECORDS);
}

static void records_after_reopen_are_in_the_new_file(void **state)
{
    struct rig *rig = *state;
    char old[128];
    rig_start(rig);
    snprintf(old, sizeof(old), "%s.old", rig->path[0]);
    for (int n = 0; n < 20; n++) {
        assert_int_equal(rename(rig->path[0], old), 0);
        log_reopen(rig->log);
        rig_write(rig, 0, TNX_CLOSE, n, 10);
        WAIT_FOR(access(rig->path[0], F_OK) == 0);
        struct stat st;
        WAIT_FOR(stat(rig->path[0], &st) == 0 && st.st_size > 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        rig->tally->lines = 0;
        tally_file(rig->tally, rig->path[0]);
        assert_int_equal(rig->tally->lines, 1);
    }
    tally_check_all(rig->tally, 0, 20);
}

/* The directory is away: the old file stays in use, and says so. */
static void reopen_fails(void **state)
{
    struct rig *rig = *state;
    char dir[96], away[128], path[256];
    snprintf(dir, sizeof(dir), "%s/sub", rig->dir);
    snprintf(away, sizeof(away), "%s/away", rig->dir);
    snprintf(path, sizeof(path), "%s/sub/x.log", rig->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    rig->output[0].path = path;
    rig_start(rig);
    rig_write(rig, 0, TNX_CLOSE, 0, 0);
    assert_int_equal(rename(dir, away), 0);
    log_reopen(rig->log);
    snprintf(path, sizeof(path), "%s/away/x.log", rig->dir);
    struct stat st;
    off_t size = 0;
    for (int n = 1; n < 4; n++) {
        WAIT_FOR(stat(path, &st) == 0 && st.st_size > size);
        size = st.st_size;
        rig_write(rig, 0, TNX_CLOSE, n, 0);
    }
    WAIT_FOR(stat(path, &st) == 0 && st.st_size > size);
    assert_int_equal(log_stop(&rig->log, 10 * USEC_PER_SEC), 0);
    tally_file(rig->tally, path);
    tally_check_all(rig->tally, 0, 4);
    assert_int_equal(rig->tally->errors, 1);
    assert_non_null(strstr(rig->tally->err[0], "log_write "));
    assert_non_null(strstr(rig->tally->err[0], "No such file or directory"));
}

/* Only whole records are in the file while there is no room for more, and all of them later. */
static void a_file_that_may_not_grow(void **state)
{
    struct rig *rig = *state;
    struct rlimit before, small = { .rlim_cur = 10000 };
    size_t len;
    rig->set.outputs = 2;
    rig_pipe(rig, 1);
    rig->output[1].level = LEVEL_ERROR;
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    rig_start(rig);
    for (int n = 0; n < 200; n++)
        rig_write(rig, 0, TNX_CLOSE, n, 300);
    struct pollfd p = { .fd = rig->pipe[0], .events = POLLIN };
    assert_int_equal(poll(&p, 1, RIG_PATIENCE * 1000), 1);
    char *text = read_file(rig->path[0], &len);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_in_range(len, 9000, 10000);
    assert_int_equal(text[len - 1], '\n');
    free(text);
    log_reopen(rig->log);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_all(rig->tally, 0, 200);
    assert_int_equal(rig->tally->errors, 1);
    assert_string_equal(rig->tally->err[0], "log_write A log output can't be written: File too large");
}

/* Standard output as a file that is shared with others. */
static void stdout_is_a_file(void **state)
{
    struct rig *rig = *state;
    int fd = open(rig->path[1], O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    rig_take_stdout(rig, fd);
    rig->output[0].type = OUTPUT_STDOUT;
    rig_start(rig);
    for (int n = 0; n < 1000; n++)
        rig_write(rig, 1, TNX_COMMAND, n, 700);
    log_reopen(rig->log);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
    rig_restore_stdout(rig);
    tally_file(rig->tally, rig->path[1]);
    tally_check_all(rig->tally, 1, 1000);
    assert_int_equal(write(fd, "\n", 1), 1);
    close(fd);
}

static int compare_usec(const void *a, const void *b)
{
    usec_t x = *(const usec_t *)a, y = *(const usec_t *)b;
    return (x > y) - (x < y);
}

/* The median, for the machine may be busy; every other record comes while the writer waits for more. */
static void held_back_shortly(void **state)
{
    struct rig *rig = *state;
    usec_t took[31];
    rig_pipe(rig, 0);
    rig_start(rig);
    for (int n = 0; n < (int)ARRAY_LEN(took); n++) {
        struct pollfd p = { .fd = rig->pipe[0], .events = POLLIN };
        usec_t start = clock_mono();
        rig_write(rig, 0, TNX_CLOSE, n, 0);
        assert_int_equal(poll(&p, 1, RIG_PATIENCE * 1000), 1);
        took[n] = clock_mono() - start;
        tally_pipe(rig->tally, rig->pipe[0], 4096, false);
    }
    tally_check_all(rig->tally, 0, ARRAY_LEN(took));
    qsort(took, ARRAY_LEN(took), sizeof(took[0]), compare_usec);
    assert_in_range(took[ARRAY_LEN(took) / 2], 0, 50 * USEC_PER_MSEC);
}

/* Longer than a block of a queue, a batch, and what a pipe takes whole. */
static void long_records(void **state)
{
    struct rig *rig = *state;
    rig->set.max_record = 1 << 20;
    rig_start(rig);
    for (int n = 0; n < 40; n++)
        rig_write(rig, 3, TNX_COMMAND, n, n % 2 == 0 ? 190000 : 10);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_all(rig->tally, 3, 40);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(levels_of_two_outputs),
        T(debug_is_not_wanted),
        T(a_line_to_the_letter),
        T(runs_differ),
        T(modes),
        T(groups),
        T(every_fault_is_told),
        T(a_torn_line_stays_alone),
        T(a_torn_record_is_healed),
        T(reopen_under_load),
        T(records_after_reopen_are_in_the_new_file),
        T(reopen_fails),
        T(a_file_that_may_not_grow),
        T(stdout_is_a_file),
        T(held_back_shortly),
        T(long_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
