/* Logins by Dovecot, played by a script on the same loop: many at once, lost connections, what is given up, what it
 * must not be believed. */
#include "tests/unit/auth_rig.h"

#include <sys/socket.h>
#include <sys/un.h>

#define HELLO "VERSION\t1\t3\nMECH\tPLAIN\nMECH\tLOGIN\nMECH\tSCRAM-SHA-256-PLUS\tchannel-binding\nDONE\n"

/* Dovecot: says `hello` when somebody connects, keeps what it hears, and answers as the test tells it to. */
struct fake {
    struct auth_rig *rig;
    char path[108];
    int listener, fd;
    ev_io accepts, reads;
    const char *hello;
    char heard[8192];
    size_t heard_len;
    unsigned connections;
    /* Called for each whole line of a request. */
    void (*hear)(struct fake *f, const char *line);
};

static struct fake dovecot;

static void fake_say(struct fake *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fake_say(struct fake *f, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    assert_int_equal(send(f->fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

static void fake_hang_up(struct fake *f)
{
    if (f->fd < 0)
        return;
    ev_io_stop(f->rig->w.loop.ev, &f->reads);
    close(f->fd);
    f->fd = -1;
}

static void fake_lines(struct fake *f)
{
    char *lf;
    while (f->fd >= 0 && (lf = memchr(f->heard, '\n', f->heard_len)) != NULL) {
        char line[4096];
        size_t n = (size_t)(lf - f->heard);
        memcpy(line, f->heard, n);
        line[n] = '\0';
        f->heard_len -= n + 1;
        memmove(f->heard, lf + 1, f->heard_len);
        if (strncmp(line, "VERSION\t", 8) != 0 && strncmp(line, "CPID\t", 5) != 0 && f->hear != NULL)
            f->hear(f, line);
    }
}

static void on_fake_reads(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev, (void)events;
    struct fake *f = io->data;
    ssize_t n = read(f->fd, f->heard + f->heard_len, sizeof(f->heard) - f->heard_len);
    if (n <= 0) {
        fake_hang_up(f);
        return;
    }
    f->heard_len += (size_t)n;
    fake_lines(f);
}

static void on_fake_accepts(struct ev_loop *ev, ev_io *io, int events)
{
    (void)events;
    struct fake *f = io->data;
    fake_hang_up(f);
    f->fd = accept(f->listener, NULL, NULL);
    assert_true(f->fd >= 0);
    f->connections++;
    f->heard_len = 0;
    ev_io_init(&f->reads, on_fake_reads, f->fd, EV_READ);
    f->reads.data = f;
    ev_io_start(ev, &f->reads);
    if (f->hello != NULL)
        fake_say(f, "%s", f->hello);
}

static void fake_listen(struct fake *f)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    unlink(f->path);
    memcpy(un.sun_path, f->path, strlen(f->path));
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    ev_io_init(&f->accepts, on_fake_accepts, f->listener, EV_READ);
    f->accepts.data = f;
    ev_io_start(f->rig->w.loop.ev, &f->accepts);
}

static void fake_vanish(struct fake *f)
{
    fake_hang_up(f);
    if (f->listener < 0)
        return;
    ev_io_stop(f->rig->w.loop.ev, &f->accepts);
    close(f->listener);
    f->listener = -1;
    unlink(f->path);
}

static int setup(void **state)
{
    auth_rig_setup(state);
    struct auth_rig *a = *state;
    dovecot = (struct fake){ .rig = a, .listener = -1, .fd = -1, .hello = HELLO };
    snprintf(dovecot.path, sizeof(dovecot.path), "%s/auth", a->log->dir);
    a->ls.auth.backend = AUTH_BACKEND_DOVECOT;
    a->ls.auth.socket.kind = ENDPOINT_UNIX;
    snprintf(a->ls.auth.socket.host, sizeof(a->ls.auth.socket.host), "%s", dovecot.path);
    return 0;
}

static int teardown(void **state)
{
    fake_vanish(&dovecot);
    return auth_rig_teardown(state);
}

static void begin(struct auth_rig *a)
{
    fake_listen(&dovecot);
    auth_backends_configure(a->w.auth, &a->settings);
}

static void turn(struct auth_rig *a, bool (*until)(struct auth_rig *a))
{
    usec_t end = clock_mono() + RIG_PATIENCE * USEC_PER_SEC;
    while (!until(a)) {
        assert_true(clock_mono() < end);
        ev_run(a->w.loop.ev, EVRUN_ONCE);
    }
}

static sasl_set offered(struct auth_rig *a) { return auth_backend_mechanisms(&a->w, &a->ls, &a->about); }
/* PLAIN and LOGIN, and no CRAM-MD5: what is offered where nothing is known yet. */
static bool is_known(struct auth_rig *a) { return offered(a) == (SASL_BIT(PLAIN) | SASL_BIT(LOGIN)); }

static uint32_t id_of(const char *line)
{
    const char *tab = strchr(line, '\t');
    return tab != NULL ? (uint32_t)strtoul(tab + 1, NULL, 10) : 0;
}

static char last_line[4096];

/* The password decides: "good", "temp", "nologin", "hang", "die", "noname", else wrong. */
static void hear_plain(struct fake *f, const char *line)
{
    static const struct {
        const char *resp, *answer;
    } ANSWERS[] = {
        { "resp=AGEAZ29vZA==", "OK\t%u\tuser=a@example.com\n" },
        { "resp=AGEAdGVtcA==", "FAIL\t%u\tuser=a\tcode=temp_fail\n" },
        { "resp=AGEAbm9sb2dpbg==", "OK\t%u\tuser=a\tnologin\n" },
        { "resp=AGEAbm9uYW1l", "OK\t%u\n" },
    };
    snprintf(last_line, sizeof(last_line), "%s", line);
    if (strstr(line, "resp=AGEAaGFuZw==") != NULL)
        return;
    if (strstr(line, "resp=AGEAZGll") != NULL) {
        fake_hang_up(f);
        return;
    }
    if (strncmp(line, "AUTH\t", 5) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
        if (strstr(line, ANSWERS[i].resp) != NULL) {
            char text[128];
            const char *percent = strstr(ANSWERS[i].answer, "%u");
            snprintf(text, sizeof(text), "%.*s%u%s", (int)(percent - ANSWERS[i].answer), ANSWERS[i].answer, id_of(line),
                     percent + 2);
            fake_say(f, "%s", text);
            return;
        }
    }
    fake_say(f, "FAIL\t%u\tuser=a\n", id_of(line));
}

static void test_outcomes(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_plain;
    begin(a);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_OK);
    assert_string_equal(l.username, "a@example.com");
    assert_int_equal(login_plain(a, &l, "a", "wrong"), AUTH_FAIL);
    assert_string_equal(l.username, "a");
    assert_int_equal(login_plain(a, &l, "a", "temp"), AUTH_TEMPFAIL);
    assert_int_equal(login_plain(a, &l, "a", "nologin"), AUTH_FAIL);
    assert_int_equal(login_plain(a, &l, "a", "noname"), AUTH_TEMPFAIL);
    assert_int_equal(dovecot.connections, 1);
    assert_int_equal(auth_rig_errors(a), 0);
}

static void test_request(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    struct netaddr remote = { .family = NETADDR_IPV4, .ip = { 192, 0, 2, 1 }, .port = 99 };
    struct netaddr local = { .family = NETADDR_IPV4, .ip = { 192, 0, 2, 2 }, .port = 587 };
    dovecot.hear = hear_plain;
    a->about.remote = &remote;
    a->about.local = &local;
    a->about.secured = true;
    a->about.cert_name = "cert name";
    begin(a);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_OK);
    assert_string_equal(last_line, "AUTH\t1\tPLAIN\tservice=smtp\tsecured=tls\tvalid-client-cert\t"
                                   "cert_username=cert name\tsession=cid\tlip=192.0.2.2\tlport=587\trip=192.0.2.1"
                                   "\trport=99\tresp=AGEAZ29vZA==");
}

/* What nothing is known of is offered; what is known is; and is still when Dovecot has gone. */
static void test_offer(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    auth_backends_configure(a->w.auth, &a->settings);
    assert_true((offered(a) & SASL_BIT(PLAIN)) != 0 && (offered(a) & SASL_BIT(CRAM_MD5)) != 0);
    assert_true((offered(a) & (SASL_BIT(EXTERNAL) | SASL_BIT(SCRAM_SHA_256_PLUS))) == 0);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_TEMPFAIL);
    fake_listen(&dovecot);
    turn(a, is_known);
    fake_vanish(&dovecot);
    usleep(150000);
    loop_tick(&a->w.loop);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_TEMPFAIL);
    assert_true(is_known(a));
    assert_int_equal(auth_rig_errors(a), 2); /* one an outage */
    assert_non_null(strstr(a->log->tally->err[0], "auth_server "));
}

/* Dovecot restarts: the login under way fails for now, the next one goes through. */
static void test_lost_and_found(void **state)
{
    struct auth_rig *a = *state;
    struct login l, other;
    dovecot.hear = hear_plain;
    begin(a);
    turn(a, is_known);
    login_start(&other, a, SASL_PLAIN, "\0a\0hang", 7);
    ev_run(a->w.loop.ev, EVRUN_NOWAIT);
    assert_int_equal(login_plain(a, &l, "a", "die"), AUTH_TEMPFAIL);
    if (!other.over)
        login_wait(&other);
    assert_int_equal(other.result, AUTH_TEMPFAIL);
    usleep(150000);
    loop_tick(&a->w.loop);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_OK);
    assert_int_equal(dovecot.connections, 2);
    assert_int_equal(auth_rig_errors(a), 1);
}

/* Answers in another order than the questions. */
static uint32_t ids[8];
static unsigned asked;
static void hear_and_keep(struct fake *f, const char *line)
{
    ids[asked++] = id_of(line);
    if (asked < ARRAY_LEN(ids))
        return;
    for (unsigned i = ARRAY_LEN(ids); i-- > 0;) {
        if (i % 2 == 0)
            fake_say(f, "OK\t%u\tuser=u%u\n", ids[i], i);
        else
            fake_say(f, "FAIL\t%u\tuser=u%u\n", ids[i], i);
    }
}

static void test_many_at_once(void **state)
{
    struct auth_rig *a = *state;
    struct login l[ARRAY_LEN(ids)];
    dovecot.hear = hear_and_keep;
    asked = 0;
    begin(a);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) /* before its handshake */
        login_start(&l[i], a, SASL_PLAIN, "\0a\0x", 4);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) {
        char name[8];
        if (!l[i].over)
            login_wait(&l[i]);
        snprintf(name, sizeof(name), "u%zu", i);
        assert_int_equal(l[i].result, i % 2 == 0 ? AUTH_OK : AUTH_FAIL);
        assert_string_equal(l[i].username, name);
    }
}

static void hear_login(struct fake *f, const char *line)
{
    snprintf(last_line, sizeof(last_line), "%s", line);
    if (strncmp(line, "AUTH\t", 5) == 0)
        fake_say(f, "CONT\t%u\tVXNlcm5hbWU6\n", id_of(line));
    else if (strstr(line, "\tYQ==") != NULL)
        fake_say(f, "CONT\t%u\tUGFzc3dvcmQ6\n", id_of(line));
    else if (strncmp(line, "CONT\t", 5) == 0)
        fake_say(f, "OK\t%u\tuser=a\n", id_of(line));
}

static void test_login(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_login;
    begin(a);
    login_start(&l, a, SASL_LOGIN, NULL, 0);
    login_wait(&l);
    assert_string_equal(l.challenge, "Username:");
    login_respond(&l, "a", 1);
    assert_string_equal(l.challenge, "Password:");
    login_respond(&l, "pw", 2);
    assert_true(l.over && l.result == AUTH_OK);
}

static bool heard_cancel(struct auth_rig *a)
{
    (void)a;
    return strncmp(last_line, "CANCEL\t", 7) == 0;
}

/* Given up between the steps, and while Dovecot thinks: it is told, and its late answer harms nobody. */
static void test_cancel(void **state)
{
    struct auth_rig *a = *state;
    struct login l, other;
    dovecot.hear = hear_login;
    begin(a);
    login_start(&l, a, SASL_LOGIN, NULL, 0);
    auth_cancel(&l.x); /* never sent */
    login_start(&l, a, SASL_LOGIN, NULL, 0);
    login_wait(&l);
    auth_cancel(&l.x);
    l.over = true;
    turn(a, heard_cancel);
    dovecot.hear = hear_plain;
    login_start(&l, a, SASL_PLAIN, "\0a\0hang", 7);
    ev_run(a->w.loop.ev, EVRUN_NOWAIT);
    ev_run(a->w.loop.ev, EVRUN_NOWAIT);
    auth_cancel(&l.x);
    l.over = true;
    turn(a, heard_cancel);
    fake_say(&dovecot, "OK\t%u\tuser=a\nOK\t77\tuser=a\n", id_of(last_line));
    assert_int_equal(login_plain(a, &other, "a", "wrong"), AUTH_FAIL);
}

/* Lost while the client has the word: it learns of it when it has spoken. */
static void test_lost_between(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_login;
    begin(a);
    login_start(&l, a, SASL_LOGIN, NULL, 0);
    login_wait(&l);
    fake_vanish(&dovecot);
    for (int i = 0; i < 3; i++)
        ev_run(a->w.loop.ev, EVRUN_NOWAIT);
    assert_int_equal(l.answers, 1);
    login_respond(&l, "a", 1);
    assert_int_equal(l.result, AUTH_TEMPFAIL);
    login_start(&l, a, SASL_LOGIN, NULL, 0);
    auth_cancel(&l.x);
}

/* Asked for what this connection can't be bound to: no TLS here. */
static void hear_binding(struct fake *f, const char *line)
{
    if (strncmp(line, "AUTH\t", 5) == 0)
        fake_say(f, "CONT\t%u\t#\tchannel_binding=tls-exporter\n", id_of(line));
}

static void test_binding_missing(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_binding;
    begin(a);
    assert_int_equal(login_plain(a, &l, "a", "x"), AUTH_FAIL);
}

static const char *const NONSENSE[] = {
    "VERSION\t9\t0\n",
    "DONE\n",
    HELLO "OK\n",
    HELLO "CONT\t1\t====\n",
};

/* Whatever it says, a login ends, and nobody is let in. */
static void test_nonsense(void **state)
{
    struct auth_rig *a = *state;
    begin(a);
    for (size_t i = 0; i < ARRAY_LEN(NONSENSE); i++) {
        struct login l;
        dovecot.hello = NONSENSE[i];
        usleep(150000);
        loop_tick(&a->w.loop);
        assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_TEMPFAIL);
    }
}

/* A mechanism that was offered while nothing was known, and that it turns out not to have. */
static void test_unknown_mechanism(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_plain;
    begin(a);
    login_start(&l, a, SASL_CRAM_MD5, NULL, 0);
    login_wait(&l);
    assert_true(l.over && l.result == AUTH_TEMPFAIL);
    assert_int_equal(login_plain(a, &l, "a", "good"), AUTH_OK);
}

static bool is_alone(struct auth_rig *a)
{
    (void)a;
    return dovecot.fd < 0;
}

/* A reload that names the socket no more closes its connection. */
static void test_reload(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    dovecot.hear = hear_plain;
    begin(a);
    login_start(&l, a, SASL_PLAIN, "\0a\0good", 7);
    a->ls.auth.backend = AUTH_BACKEND_UPSTREAM;
    auth_backends_configure(a->w.auth, &a->settings);
    login_wait(&l); /* what is under way ends as it should */
    assert_int_equal(l.result, AUTH_OK);
    turn(a, is_alone);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_outcomes),       CASE(test_request),           CASE(test_offer),
        CASE(test_lost_and_found), CASE(test_many_at_once),      CASE(test_login),
        CASE(test_cancel),         CASE(test_lost_between),      CASE(test_binding_missing),
        CASE(test_nonsense),       CASE(test_unknown_mechanism), CASE(test_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
