/* Rotation by size: which lines are in which file, names that are missing or can't be taken, crashes. */
#include <dirent.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "proxy/log/output.h"
#include "proxy/log/rotate.h"
#include "tests/unit/log_rig.h"

enum { ROTATE_SIZE = 16384 };

static void file_put(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The files of P as one text: "0:content 2:content". */
static void show(struct rig *rig, char out[256])
{
    char name[128];
    out[0] = '\0';
    for (unsigned i = 0; i < 8; i++) {
        size_t len;
        snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%u", rig->path[0], i);
        if (access(name, F_OK) != 0)
            continue;
        char *text = read_file(name, &len);
        snprintf(out + strlen(out), 256 - strlen(out), "%s%u:%s", out[0] ? " " : "", i, text);
        free(text);
        unlink(name);
    }
}

static void shifting(void **state)
{
    static const struct {
        const char *there; /* a digit: that file holds its own number */
        unsigned keep;
        const char *after;
    } CASES[] = {
        { "0", 1, "1:0" },
        { "01", 1, "1:0" },
        { "0", 3, "1:0" },
        { "01", 3, "1:0 2:1" },
        { "0123", 3, "1:0 2:1 3:2" },
        { "01234", 3, "1:0 2:1 3:2 4:4" },
        { "02", 3, "1:0 2:2" },
        { "013", 3, "1:0 2:1 3:3" },
        { "0134", 5, "1:0 2:1 3:3 4:4" },
        { "0124", 5, "1:0 2:1 3:2 4:4" },
    };
    struct rig *rig = *state;
    char name[128], got[256];
    for (unsigned i = 0; i < ARRAY_LEN(CASES); i++) {
        for (const char *p = CASES[i].there; *p != '\0'; p++) {
            snprintf(name, sizeof(name), *p == '0' ? "%s" : "%s.%c", rig->path[0], *p);
            file_put(name, (char[]){ *p, '\0' });
        }
        assert_int_equal(rotate_shift(rig->path[0], CASES[i].keep), 0);
        show(rig, got);
        assert_string_equal(got, CASES[i].after);
    }
}

/* A directory stands where a file must go: nothing is lost, P has its name still. */
static void a_step_that_fails(void **state)
{
    struct rig *rig = *state;
    char name[128], got[256];
    for (unsigned at = 1; at <= 3; at++) {
        for (unsigned i = 0; i <= 2; i++) {
            snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%u", rig->path[0], i);
            if (i != at)
                file_put(name, (char[]){ (char)('0' + i), '\0' });
        }
        snprintf(name, sizeof(name), "%s.%u", rig->path[0], at);
        assert_int_equal(mkdir(name, 0700), 0);
        int error = rotate_shift(rig->path[0], at);
        assert_int_equal(error, EISDIR);
        assert_int_equal(rmdir(name), 0);
        show(rig, got);
        assert_memory_equal(got, "0:0", 3);
        assert_int_equal(strlen(got), at == 3 ? 11 : 7);
    }
    file_put(rig->path[0], "0");
    assert_int_equal(rotate_undo(rig->path[0]), EEXIST);
    assert_int_equal(rotate_shift(rig->path[0], 2), 0);
    assert_int_equal(rotate_undo(rig->path[0]), 0);
    assert_int_equal(rotate_shift("/nonexistent/x", 2), ENOENT);
    show(rig, got);
    assert_string_equal(got, "0:0");
}

/* All files, the oldest first; returns how many there are. */
static unsigned tally_rotated(struct rig *rig, unsigned keep, size_t most)
{
    char name[128];
    unsigned files = 0;
    for (unsigned i = keep; i <= keep; i--) {
        struct stat st;
        snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%u", rig->path[0], i);
        if (stat(name, &st) != 0)
            continue;
        files++;
        assert_in_range(st.st_size, 1, most);
        tally_file(rig->tally, name);
    }
    return files;
}

static void every_line_is_in_one_file(void **state)
{
    struct rig *rig = *state;
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 1000;
    rig_start(rig);
    for (int n = 0; n < 3000; n++)
        rig_write(rig, 0, TNX_COMMAND, n, (size_t)n * 37 % 900);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    assert_true(tally_rotated(rig, 1000, ROTATE_SIZE) > 60);
    tally_check_all(rig->tally, 0, 3000);
    tally_check_sum(rig->tally, 3000);
}

static void only_the_newest_are_kept(void **state)
{
    struct rig *rig = *state;
    DIR *dir;
    unsigned names = 0;
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 3;
    rig_start(rig);
    for (int n = 0; n < 3000; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 300);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    assert_int_equal(tally_rotated(rig, 3, ROTATE_SIZE), 4);
    assert_int_equal(rig->tally->seq, 3000);
    dir = opendir(rig->dir);
    while (readdir(dir) != NULL)
        names++;
    closedir(dir);
    assert_int_equal(names, 4 + 2);
}

/* Longer than the file may be: alone in a file. */
static void a_long_line(void **state)
{
    struct rig *rig = *state;
    rig->set.max_record = 1 << 17;
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 100;
    rig_start(rig);
    for (int n = 0; n < 20; n++)
        rig_write(rig, 0, TNX_COMMAND, n, n % 3 == 0 ? 50000 : 10);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    assert_in_range(tally_rotated(rig, 100, 51000), 13, 14);
    tally_check_all(rig->tally, 0, 20);
}

/* A directory stands where P.1 should: the file grows, that is told once, and nothing is lost. */
static void it_grows_where_it_cannot_move(void **state)
{
    struct rig *rig = *state;
    char name[128];
    snprintf(name, sizeof(name), "%s.1", rig->path[0]);
    assert_int_equal(mkdir(name, 0700), 0);
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 1;
    rig_start(rig);
    for (int n = 0; n < 500; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 300);
    WAIT_FOR(access(rig->path[0], F_OK) == 0);
    struct stat st;
    WAIT_FOR(stat(rig->path[0], &st) == 0 && st.st_size > 150000);
    for (int n = 500; n < 510; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 300);
    pause_a_little();
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    tally_file(rig->tally, rig->path[0]);
    tally_check_all(rig->tally, 0, 510);
    assert_int_equal(rig->tally->errors, 1);
    assert_non_null(strstr(rig->tally->err[0], "it can't be rotated, and grows: Is a directory"));
    assert_int_equal(rmdir(name), 0);
}

/* Another process of ours has the file open as well: it is not moved from under its feet. */
static void two_processes_share_a_file(void **state)
{
    struct rig *rig = *state;
    struct rig second = *rig;
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 100;
    second.set = rig->set;
    rig_start(rig);
    rig_start(&second);
    for (int n = 0; n < 500; n++)
        rig_write(n % 2 == 0 ? rig : &second, (unsigned)n % 2, TNX_COMMAND, n / 2, 300);
    assert_int_equal(log_stop(&second.log, 20 * USEC_PER_SEC), 0);
    for (int n = 250; n < 500; n++)
        rig_write(rig, 0, TNX_COMMAND, n, 300);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    char name[128];
    snprintf(name, sizeof(name), "cat %s/* | grep -c port", rig->dir);
    FILE *p = popen(name, "r");
    int lines = 0;
    assert_int_equal(fscanf(p, "%d", &lines), 1);
    pclose(p);
    assert_int_equal(lines, 750);
}

struct slow_writer {
    const char *path;
    atomic_bool stop;
};

/* Each line in two writes, as a reader may see one. */
static void *write_in_halves(void *arg)
{
    struct slow_writer *w = arg;
    int fd = open(w->path, O_WRONLY | O_APPEND);
    flock(fd, LOCK_SH);
    while (!atomic_load(&w->stop)) {
        (void)!write(fd, "{\"time\":\"", 9);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        (void)!write(fd, "2026\"}\n", 7);
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    }
    close(fd);
    return NULL;
}

/* A line that another process is writing just now is not torn. */
static void the_other_process_is_writing(void **state)
{
    struct rig *rig = *state;
    struct slow_writer w = { .path = rig->path[0] };
    pthread_t thread;
    char why[OUTPUT_WHY_MAX];
    file_put(rig->path[0], "");
    assert_int_equal(pthread_create(&thread, NULL, write_in_halves, &w), 0);
    for (int i = 0; i < 40; i++) {
        const struct output_context of = { .component = "tap", .max_record = 8000 };
        struct output *o = output_open(&rig->output[0], &of, why);
        assert_non_null(o);
        assert_false(o->torn);
        output_free(&o);
        nanosleep(&(struct timespec){ .tv_nsec = 1700000 }, NULL);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
}

static void expect_text(const char *path, const char *want)
{
    size_t len;
    char *text = read_file(path, &len);
    assert_string_equal(text, want);
    free(text);
}

static struct output *open_first(struct rig *rig)
{
    const struct output_context of = { .component = "tap", .max_record = 8000 };
    char why[OUTPUT_WHY_MAX];
    struct output *o = output_open(&rig->output[0], &of, why);
    assert_non_null(o);
    return o;
}

/* What another process may append at any instant is never cut off; its lock, and ours, stay what they are. */
static void a_tear_beside_another_process(void **state)
{
    struct rig *rig = *state;
    struct output *o = open_first(rig);
    assert_int_equal(output_write(o, "one\ntorn", 8), 8);
    int other = open(rig->path[0], O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_SH), 0);
    assert_false(o->ops->cut(o, 4));
    expect_text(rig->path[0], "one\ntorn");
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    close(other);
    assert_true(o->ops->cut(o, 4));
    expect_text(rig->path[0], "one\n");
    other = open(rig->path[0], O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_SH | LOCK_NB), 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    close(other);
    output_free(&o);
}

/* The other process has it alone, and has moved it away: the record goes whole into the next file. */
static void a_tear_in_a_file_that_was_rotated(void **state)
{
    struct rig *rig = *state;
    char old[128];
    struct output *o = open_first(rig);
    assert_int_equal(output_write(o, "one\ntorn", 8), 8);
    int other = open(rig->path[0], O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(o->fd, LOCK_UN), 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(rotate_shift(rig->path[0], 1), 0);
    assert_true(o->ops->cut(o, 4));
    assert_int_equal(output_write(o, "whole\n", 6), 6);
    snprintf(old, sizeof(old), "%s.1", rig->path[0]);
    expect_text(old, "one\ntorn");
    expect_text(rig->path[0], "whole\n");
    close(other);
    output_free(&o);
}

/* kill -9 at any instant: afterwards every whole line up to the last one is there, once, and the next run goes on. */
static void crashes(void **state)
{
    struct rig *rig = *state;
    rig->output[0].rotate_size = ROTATE_SIZE;
    rig->output[0].rotate_keep = 1000;
    for (unsigned round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            rig_start(rig);
            for (int n = 0;; n++) {
                rig_write(rig, 0, TNX_COMMAND, n % RIG_RECORDS, 300);
                if (n % 64 == 0)
                    pause_a_little();
            }
        }
        nanosleep(&(struct timespec){ .tv_nsec = 40000000 + round * 3700000 }, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    rig_start(rig);
    assert_int_equal(log_stop(&rig->log, 20 * USEC_PER_SEC), 0);
    uint64_t runs = 0, seq = 0;
    char run[LOG_RUN_LEN + 1] = "";
    for (unsigned i = 1000; i <= 1000; i--) {
        char name[128];
        size_t len;
        snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%u", rig->path[0], i);
        if (access(name, F_OK) != 0)
            continue;
        char *text = read_file(name, &len), *next;
        for (char *p = text; *p != '\0'; p = next + 1) {
            next = strchr(p, '\n');
            assert_non_null(next);
            struct json_object *o = json_tokener_parse(p);
            assert_non_null(o);
            if (strcmp(run, json_text(o, "run")) != 0) {
                runs++;
                seq = 0;
                snprintf(run, sizeof(run), "%s", json_text(o, "run"));
            }
            assert_int_equal(json_number(o, "seq"), ++seq);
            json_object_put(o);
        }
        free(text);
    }
    assert_in_range(runs, 10, 13);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(shifting),
        T(a_step_that_fails),
        T(every_line_is_in_one_file),
        T(only_the_newest_are_kept),
        T(a_long_line),
        T(it_grows_where_it_cannot_move),
        T(two_processes_share_a_file),
        T(the_other_process_is_writing),
        T(a_tear_beside_another_process),
        T(a_tear_in_a_file_that_was_rotated),
        T(crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
