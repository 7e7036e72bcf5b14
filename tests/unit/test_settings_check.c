/* What `smtptap check` adds to reading: files and sockets, warnings, its options and exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "proxy/cli/cli.h"
#include "tests/unit/settings_told.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A directory with a configuration in it. */
struct place {
    char dir[64], file[96], socket[96];
};

static void place_make(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/test_settings.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->file, sizeof p->file, "%s/c.json", p->dir);
    snprintf(p->socket, sizeof p->socket, "%s/s", p->dir);
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    memcpy(to.sun_path, p->socket, strlen(p->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof to) == 0);
    close(fd);
}

static void place_write(const struct place *p, const char *text)
{
    FILE *f = fopen(p->file, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void place_free(const struct place *p)
{
    unlink(p->socket);
    unlink(p->file);
    rmdir(p->dir);
}

/* `%` in the expected lines stands for the directory. */
static void expect_messages(const struct place *p, const char *text, bool good, const char *lines)
{
    struct told told = { .count = 0 };
    char want[4096] = "";
    for (; *lines != '\0'; lines++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%.*s", *lines == '%' ? 256 : 1,
                 *lines == '%' ? p->dir : lines);
    place_write(p, text);
    struct settings *s = settings_check(p->file, tell, tell, &told);
    assert_string_equal(told.text, want);
    assert_int_equal(s != NULL, good);
    settings_unref(&s);
}

static void test_check_looks_around(void **state)
{
    (void)state;
    struct place p;
    char text[1024];
    place_make(&p);
    expect_messages(&p, "{}", true, "");
    snprintf(text, sizeof text,
             "{\"listeners\": [{\"address\": \"unix:%s/l\"}, {\"address\": \"unix:%s/c.json\"}, {\"address\": "
             "\"unix:%s/no/l\"}],\n\"upstream\": {\"servers\": [\"unix:%s\", \"unix:%s/c.json\", \"unix:%s/u\"]},\n"
             "\"log\": {\"outputs\": [{\"type\": \"file\", \"path\": \"%s/new.log\"}, {\"type\": \"file\", \"path\": "
             "\"%s\"}, {\"type\": \"file\", \"path\": \"%s/no/x.log\"}, {\"type\": \"file\", \"path\": "
             "\"%s/c.json/x\"}]}}",
             p.dir, p.dir, p.dir, p.socket, p.dir, p.dir, p.dir, p.dir, p.dir, p.dir);
    expect_messages(&p, text, false,
                    "%/c.json:1: listeners[1].address: \"%/c.json\" is there and is not a socket\n"
                    "%/c.json:1: listeners[2].address: the directory \"%/no\": No such file or directory\n"
                    "%/c.json:2: upstream.servers[1]: warning: \"unix:%/c.json\" is our own listener "
                    "\"unix:%/c.json\": mail would go round\n"
                    "%/c.json:2: upstream.servers[1]: \"unix:%/c.json\" is not a socket\n"
                    "%/c.json:2: upstream.servers[2]: warning: \"unix:%/u\": No such file or directory\n"
                    "%/c.json:3: log.outputs[1].path: \"%\" is a directory\n"
                    "%/c.json:3: log.outputs[2].path: the directory \"%/no\": No such file or directory\n"
                    "%/c.json:3: log.outputs[3].path: \"%/c.json/x\": Not a directory");
    place_free(&p);
}

static void test_check_warns(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    expect_messages(
        &p,
        "{\"listeners\": [{\"address\": \"0.0.0.0:25\", \"name\": \"mx\"},\n{\"address\": \"127.0.0.1:26\", "
        "\"bare_newline\": \"accept\"},\n{\"address\": \"[::]:27\", \"upstream\": {\"identity\": \"none\", "
        "\"servers\": [\"[::1]:27\", \"[::1]:26\"]}}]}",
        true,
        "%/c.json: upstream.servers[0]: warning: \"127.0.0.1:25\" is our own listener \"mx\": mail would go "
        "round\n"
        "%/c.json:2: listeners[1].bare_newline: warning: with \"accept\" a server before listener "
        "\"127.0.0.1:26\" may see other messages than this one (smuggling): for old devices alone\n"
        "%/c.json:3: listeners[2].upstream.identity: warning: the upstream takes every client of listener "
        "\"[::]:27\" for this host: if it lets this host relay, it is an open relay\n"
        "%/c.json:3: listeners[2].upstream.servers[0]: warning: \"[::1]:27\" is our own listener "
        "\"[::]:27\": mail would go round");
    expect_messages(
        &p,
        "{\"upstream\": {\"servers\": [\"127.0.0.1:2500\"]},\n\"listeners\": [{\"address\": \"127.0.0.1:26\", "
        "\"proxy_protocol\": [\"127.0.0.1\"], \"upstream\": {\"identity\": \"xforward\"}},\n"
        "{\"address\": \"127.0.0.1:27\", \"xclient\": [\"127.0.0.1\"], \"upstream\": {\"identity\": \"none\"}},\n"
        "{\"address\": \"127.0.0.1:28\", \"upstream\": {\"identity\": \"none\"}},\n"
        "{\"address\": \"0.0.0.0:29\", \"upstream\": {\"identity\": \"xclient\"}},\n"
        "{\"address\": \"0.0.0.0:30\", \"upstream\": {\"identity\": \"proxy-v1\"}}]}",
        true,
        "%/c.json:2: listeners[0].upstream.identity: warning: the upstream takes every client of listener "
        "\"127.0.0.1:26\" for this host: if it lets this host relay, it is an open relay\n"
        "%/c.json:3: listeners[1].upstream.identity: warning: the upstream takes every client of listener "
        "\"127.0.0.1:27\" for this host: if it lets this host relay, it is an open relay");
    char text[512];
    snprintf(text, sizeof text,
             "{\"upstream\": {\"username\": \"u\", \"password_file\": \"%s\", \"servers\": [\"127.0.0.1:2500\"]}, "
             "\"listeners\": [{\"address\": \"127.0.0.1:26\"}, {\"address\": \"0.0.0.0:27\"}, {\"address\": "
             "\"127.0.0.1:28\", \"proxy_protocol\": [\"127.0.0.1\"]}]}",
             p.file);
    assert_int_equal(chmod(p.file, 0600), 0);
    expect_messages(&p, text, true,
                    "%/c.json:1: upstream.username: warning: the upstream takes every client of listener "
                    "\"0.0.0.0:27\" for this user: if the user may relay, it is an open relay\n"
                    "%/c.json:1: upstream.username: warning: the upstream takes every client of listener "
                    "\"127.0.0.1:28\" for this user: if the user may relay, it is an open relay");
    struct told told = { .count = 0 };
    char want[256];
    place_write(&p, "{\"workers\": 256}");
    struct settings *s = settings_check(p.file, tell, tell, &told);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(want, sizeof want, "%s:1: workers: warning: 256 are more than four for each of %ld processors", p.file,
             processors);
    assert_string_equal(told.text, processors < 64 ? want : "");
    settings_unref(&s);
    place_free(&p);
}

static void test_files(void **state)
{
    (void)state;
    struct place p;
    struct told told = { .count = 0 };
    char want[256];
    place_make(&p);
    assert_null(settings_load(p.file, NULL, NULL, tell, &told));
    snprintf(want, sizeof want, "%s: can't be read: No such file or directory", p.file);
    assert_string_equal(told.text, want);
    told = (struct told){ .count = 0 };
    assert_null(settings_load(p.dir, NULL, NULL, tell, &told));
    snprintf(want, sizeof want, "%s: can't be read: Is a directory", p.dir);
    assert_string_equal(told.text, want);
    told = (struct told){ .count = 0 };
    place_write(&p, "{\"workers\": 2}");
    struct settings *s = settings_load(p.file, NULL, NULL, tell, &told);
    assert_non_null(s);
    assert_int_equal(s->workers, 2);
    assert_string_equal(s->file, p.file);
    settings_unref(&s);
    place_free(&p);
}

static void test_command(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    char check[] = "check", c[] = "-c", print[] = "--print", odd[] = "--odd", nowhere[] = "/nonexistent/c";
    int keep_out = dup(1), keep_err = dup(2);
    FILE *sink = tmpfile();
    assert_non_null(sink);
    place_write(&p, "{\"workers\": 1}");
    fflush(stdout);
    dup2(fileno(sink), 1);
    dup2(fileno(sink), 2);
    int good = cli_check(3, (char *[]){ check, c, p.file, NULL });
    int printed = cli_check(4, (char *[]){ check, print, c, p.file, NULL });
    int usage = cli_check(1, (char *[]){ check, NULL });
    int unknown = cli_check(4, (char *[]){ check, c, p.file, odd, NULL });
    int extra = cli_check(4, (char *[]){ check, c, p.file, check, NULL });
    place_write(&p, "{\"workers\": 0}");
    int bad = cli_check(3, (char *[]){ check, c, p.file, NULL });
    int missing = cli_check(3, (char *[]){ check, c, nowhere, NULL });
    fflush(stdout);
    dup2(keep_out, 1);
    dup2(keep_err, 2);
    close(keep_out);
    close(keep_err);
    assert_int_equal(good, 0);
    assert_int_equal(printed, 0);
    assert_int_equal(usage, 2);
    assert_int_equal(unknown, 2);
    assert_int_equal(extra, 2);
    assert_int_equal(bad, 1);
    assert_int_equal(missing, 1);
    char out[16384];
    rewind(sink);
    size_t n = fread(out, 1, sizeof out - 1, sink);
    out[n] = '\0';
    assert_non_null(strstr(out, "/c.json: no faults, no warnings\n"));
    assert_non_null(strstr(out, "\n{\n  \"workers\": 1,"));
    assert_non_null(strstr(out, "/c.json: 1 fault, no warnings\n"));
    assert_non_null(strstr(out, "/nonexistent/c: can't be read: No such file or directory\n/nonexistent/c: 1 fault"));
    assert_non_null(strstr(out, "workers: 0 is not \"auto\" or a whole number from 1 to 256\n"));
    fclose(sink);
    place_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_looks_around),
        cmocka_unit_test(test_check_warns),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
