/* A pipe that two processes write: no line of one stands inside of one of the other. */
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "proxy/log/output.h"
#include "tests/unit/log_rig.h"

enum { TEXT = 40000, LINE = 100 };

/* How much of a text goes into an empty pipe at once. */
static ssize_t written(struct output *o, int reader)
{
    static char text[TEXT], scratch[TEXT];
    memset(text, 'x', sizeof(text));
    for (size_t i = LINE; i <= TEXT; i += LINE)
        text[i - 1] = '\n';
    ssize_t n = output_write(o, text, sizeof(text));
    assert_int_equal(read(reader, scratch, sizeof(scratch)), n);
    return n;
}

static void a_pipe_that_is_shared(void **state)
{
    struct rig *rig = *state;
    const struct output_context of = { .component = "tap", .max_record = 8000 };
    char why[OUTPUT_WHY_MAX];
    assert_int_equal(mkfifo(rig->path[0], 0600), 0);
    int reader = open(rig->path[0], O_RDONLY | O_NONBLOCK);
    struct output *o = output_open(&rig->output[0], &of, why);
    assert_non_null(o);
    assert_int_equal(written(o, reader), TEXT);
    output_share(getpid());
    assert_int_equal(written(o, reader), PIPE_BUF / LINE * LINE);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    output_share(child);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(written(o, reader), TEXT);
    output_share(getpid());
    output_share(0);
    assert_int_equal(written(o, reader), TEXT);
    output_free(&o);
    close(reader);
}

/* What the kernel does not take as a whole in any case waits for an empty pipe; not for one that nobody reads. */
static void a_long_line(void **state)
{
    static char text[8000], scratch[16000];
    struct rig *rig = *state;
    const struct output_context of = { .component = "tap", .max_record = 8000 };
    char why[OUTPUT_WHY_MAX];
    assert_int_equal(mkfifo(rig->path[0], 0600), 0);
    int reader = open(rig->path[0], O_RDONLY | O_NONBLOCK);
    struct output *o = output_open(&rig->output[0], &of, why);
    assert_non_null(o);
    memset(text, 'x', sizeof(text));
    text[4999] = text[7999] = '\n';
    output_share(getpid());
    assert_int_equal(output_write(o, text, sizeof(text)), 5000);
    assert_int_equal(output_write(o, text, sizeof(text)), -EAGAIN);
    assert_int_equal(o->events, 0);
    assert_true(o->pause_ms > 0);
    assert_int_equal(output_write(o, text + 5000, 3000), 3000);
    assert_int_equal(read(reader, scratch, sizeof(scratch)), 8000);
    assert_int_equal(output_write(o, text, sizeof(text)), 5000);
    assert_int_equal(o->pause_ms, -1);
    close(reader);
    assert_int_equal(output_write(o, text, sizeof(text)), -EPIPE);
    output_share(0);
    output_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pipe_that_is_shared, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_long_line, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
