/* The file of users on the disk: what a change is, and that a faulty one changes nothing and is told of once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/relay/userfile.h"

static char dir[64], path[96], beside[96];
static char told[8][256];
static unsigned tolds;

/* Somebody writes to the file while it is read: so often, this. */
static unsigned writes;
static const char *written;

ssize_t read(int fd, void *to, size_t n);
ssize_t read(int fd, void *to, size_t n)
{
    ssize_t got = syscall(SYS_read, fd, to, n);
    if (writes == 0)
        return got;
    writes--;
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(written, f);
    assert_int_equal(fclose(f), 0);
    return got;
}

static void on_fault(void *arg, const char *text)
{
    (void)arg;
    assert_true(tolds < ARRAY_LEN(told));
    snprintf(told[tolds++], sizeof(told[0]), "%s", text);
}

static void write_to(const char *where, const char *text)
{
    FILE *f = fopen(where, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void replace(const char *text)
{
    write_to(beside, text);
    assert_int_equal(rename(beside, path), 0);
}

static bool knows(struct userfile *f, const char *name)
{
    struct userfile_table *t = userfile_hold(f);
    bool found = users_find(userfile_users(t), span_str(name)) != NULL;
    userfile_release(&t);
    assert_null(t);
    return found;
}

static int setup(void **state)
{
    (void)state;
    tolds = 0;
    snprintf(dir, sizeof(dir), "/tmp/smtptap-users-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/users", dir);
    snprintf(beside, sizeof(beside), "%s/users.new", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(beside);
    return rmdir(dir);
}

static struct userfile *opened(const char *text)
{
    write_to(path, text);
    struct userfile *f = userfile_open(path, on_fault, NULL);
    assert_non_null(f);
    assert_int_equal(tolds, 0);
    return f;
}

static void no_fault(struct userfile *f)
{
    char *fault = userfile_refresh(f);
    if (fault != NULL)
        fail_msg("%s", fault);
}

static void a_fault(struct userfile *f, const char *words)
{
    char *fault = userfile_refresh(f);
    assert_non_null(fault);
    assert_non_null(strstr(fault, words));
    free(fault);
}

static void test_faults_at_the_start(void **state)
{
    (void)state;
    char want[160];
    assert_null(userfile_open(path, on_fault, NULL));
    snprintf(want, sizeof(want), "%s: No such file or directory", path);
    assert_string_equal(told[0], want);
    assert_null(userfile_open(dir, on_fault, NULL));
    assert_non_null(strstr(told[1], "is not a file"));
    write_to(path, "a:{PLAIN}x\nsecret\n");
    assert_null(userfile_open(path, on_fault, NULL));
    snprintf(want, sizeof(want), "%s:2: there is no colon: a line is user:secret", path);
    assert_string_equal(told[2], want);
    write_to(path, "a:$notamethod$salt$0123456789012345678901234567890123456789012\n");
    assert_null(userfile_open(path, on_fault, NULL));
    assert_non_null(strstr(told[3], "users:1: crypt(3) of this system"));
}

static void test_changes(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    no_fault(f);
    assert_true(knows(f, "a"));
    replace("b:{PLAIN}x\n");
    no_fault(f);
    assert_false(knows(f, "a"));
    assert_true(knows(f, "b"));
    write_to(path, "c:{PLAIN}x\n"); /* of the same size, in place */
    no_fault(f);
    assert_true(knows(f, "c"));
    userfile_unref(&f);
    assert_null(f);
}

static void test_old_table_stays_whole(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    struct userfile_table *t = userfile_hold(f);
    replace("b:{PLAIN}x\n");
    no_fault(f);
    userfile_unref(&f);
    assert_non_null(users_find(userfile_users(t), SPAN_LIT("a")));
    userfile_release(&t);
}

static void test_faulty_change(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    replace("a:{PLAIN}x\nb\n");
    a_fault(f, ":2: there is no colon");
    no_fault(f); /* the same is not told twice, though it is young and read again */
    assert_true(knows(f, "a"));
    replace("a:{PLAIN}x\nb:\n");
    a_fault(f, ":2: there is no secret");
    assert_true(knows(f, "a"));
    replace("b:{PLAIN}x\n");
    no_fault(f);
    assert_true(knows(f, "b"));
    userfile_unref(&f);
}

static void test_gone(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    assert_int_equal(unlink(path), 0);
    a_fault(f, "No such file");
    no_fault(f);
    assert_true(knows(f, "a"));
    write_to(path, "b:{PLAIN}x\n");
    no_fault(f);
    assert_true(knows(f, "b"));
    userfile_unref(&f);
}

/* One that is old enough is not read again for nothing. */
static void test_settled(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    struct userfile_table *first = userfile_hold(f), *second;
    no_fault(f);
    second = userfile_hold(f);
    assert_ptr_not_equal(second, first); /* young: read again */
    userfile_release(&second);
    userfile_release(&first);
    for (int i = 0; i < 40; i++) { /* until it is not young any more */
        usleep(100000);
        no_fault(f);
    }
    first = userfile_hold(f);
    no_fault(f);
    second = userfile_hold(f);
    assert_ptr_equal(second, first);
    userfile_release(&second);
    userfile_release(&first);
    userfile_unref(&f);
}

/* What is half written is no table, whether it looks well or not. */
static void test_torn(void **state)
{
    (void)state;
    static const char *const begun[] = { "b:{PLAIN}x\n", "b:{PL" }, *const rest[] = { "c:{PLAIN}x\n",
                                                                                      "AIN}x\nc:{PLAIN}x\n" };
    usec_t now = 1000 * USEC_PER_SEC;
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        struct userfile *f = opened("a:{PLAIN}x\n");
        assert_true(userfile_is_due(f, now));
        write_to(path, begun[i]);
        writes = 1;
        written = rest[i];
        no_fault(f);
        assert_int_equal(writes, 0);
        assert_true(knows(f, "a") && !knows(f, "b"));
        assert_true(userfile_is_due(f, now + 1)); /* at the next login */
        no_fault(f);
        assert_true(!knows(f, "a") && knows(f, "b") && knows(f, "c"));
        assert_false(userfile_is_due(f, now + 2));
        userfile_unref(&f);
    }
}

static void test_torn_at_the_start(void **state)
{
    (void)state;
    written = "b:{PLAIN}x\n";
    writes = 1;
    struct userfile *f = opened("a:{PLAIN}x\n");
    assert_true(knows(f, "a") && knows(f, "b"));
    userfile_unref(&f);
    written = "#\n";
    writes = 1000;
    assert_null(userfile_open(path, on_fault, NULL));
    assert_int_equal(tolds, 1);
    assert_non_null(strstr(told[0], "is being written"));
    writes = 0;
}

static void test_due(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    usec_t now = 1000 * USEC_PER_SEC;
    assert_true(userfile_is_due(f, now));
    assert_false(userfile_is_due(f, now));
    assert_false(userfile_is_due(f, now + USEC_PER_SEC - 1));
    assert_true(userfile_is_due(f, now + USEC_PER_SEC));
    assert_false(userfile_is_due(f, now + USEC_PER_SEC));
    userfile_unref(&f);
}

static void test_mechanisms(void **state)
{
    (void)state;
    struct userfile *f = opened("a:{PLAIN}x\n");
    assert_true((userfile_mechanisms(f) & SASL_BIT(CRAM_MD5)) != 0);
    replace("a:*\n");
    no_fault(f);
    assert_int_equal(userfile_mechanisms(f), 0);
    userfile_unref(&f);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_faults_at_the_start),
        CASE(test_changes),
        CASE(test_old_table_stays_whole),
        CASE(test_faulty_change),
        CASE(test_gone),
        CASE(test_settled),
        CASE(test_torn),
        CASE(test_torn_at_the_start),
        CASE(test_due),
        CASE(test_mechanisms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
