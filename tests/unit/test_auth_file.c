/* Logins by a file of users, on a loop: every mechanism, the pool's limits, what is cancelled when. */
#include "tests/unit/auth_rig.h"
#include "tests/unit/sasl_rig.h"

#include <crypt.h>
#include <semaphore.h>

#include "common/digest/digest.h"
#include "proxy/relay/auth_impl.h"

#define SCRAM                                                                                                          \
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                       \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void make_hash(char out[CRYPT_OUTPUT_SIZE], const char *prefix, unsigned long cost, const char *password)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data data = { .initialized = 0 };
    assert_non_null(crypt_gensalt_rn(prefix, cost, "0123456789abcdef", 16, setting, sizeof(setting)));
    snprintf(out, CRYPT_OUTPUT_SIZE, "%s", crypt_r(password, setting, &data));
    assert_true(out[0] == '$');
}

static void write_users(struct auth_rig *a, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/users", a->log->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    if (a->ls.users != NULL)
        return;
    a->ls.auth.backend = AUTH_BACKEND_FILE;
    a->ls.users = userfile_open(path, rig_fault, a->log);
    assert_non_null(a->ls.users);
}

static void write_all_kinds(struct auth_rig *a)
{
    char text[2048], b[CRYPT_OUTPUT_SIZE], s[CRYPT_OUTPUT_SIZE], y[CRYPT_OUTPUT_SIZE];
    make_hash(b, "$2b$", 4, "bcrypt pw");
    make_hash(s, "$6$", 1000, "sha512 pw");
    make_hash(y, "$y$", 1, "yescrypt pw");
    snprintf(text, sizeof(text), "b:%s\ns:{SHA512-CRYPT}%s\ny:%s\nplain:{PLAIN}plain pw\nuser:" SCRAM "\ncert:*\n", b,
             s, y);
    write_users(a, text);
}

static const struct {
    const char *name, *password;
    enum auth_result result;
} PASSWORDS[] = {
    { "b", "bcrypt pw", AUTH_OK },       { "s", "sha512 pw", AUTH_OK },     { "y", "yescrypt pw", AUTH_OK },
    { "plain", "plain pw", AUTH_OK },    { "user", "pencil", AUTH_OK },     { "b", "bcrypt p", AUTH_FAIL },
    { "s", "sha512 pw ", AUTH_FAIL },    { "y", "x", AUTH_FAIL },           { "plain", "Plain pw", AUTH_FAIL },
    { "user", "pencils", AUTH_FAIL },    { "nobody", "x", AUTH_FAIL },      { "nobody", "bcrypt pw", AUTH_FAIL },
    { "nobody", "plain pw", AUTH_FAIL }, { "nobody", "nobody", AUTH_FAIL }, { "cert", "*", AUTH_FAIL },
    { "cert", "x", AUTH_FAIL },          { "B", "bcrypt pw", AUTH_FAIL },   { "b ", "bcrypt pw", AUTH_FAIL },
};

static void test_plain(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    write_all_kinds(a);
    for (size_t i = 0; i < ARRAY_LEN(PASSWORDS); i++) {
        if (login_plain(a, &l, PASSWORDS[i].name, PASSWORDS[i].password) != PASSWORDS[i].result)
            fail_msg("%s, %s: %d", PASSWORDS[i].name, PASSWORDS[i].password, (int)l.result);
        assert_string_equal(l.username, PASSWORDS[i].name);
    }
    assert_int_equal(auth_rig_errors(a), 0);
}

static void test_plain_later(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    write_all_kinds(a);
    login_start(&l, a, SASL_PLAIN, NULL, 0);
    login_wait(&l);
    assert_false(l.over);
    assert_int_equal(l.challenge_len, 0);
    login_respond(&l, "\0b\0bcrypt pw", 12);
    assert_true(l.over && l.result == AUTH_OK);
    login_start(&l, a, SASL_PLAIN, "no NUL", 6);
    login_wait(&l);
    assert_int_equal(l.result, AUTH_MALFORMED);
}

static void test_login(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    write_all_kinds(a);
    for (int i = 0; i < 2; i++) {
        login_start(&l, a, SASL_LOGIN, NULL, 0);
        login_wait(&l);
        assert_string_equal(l.challenge, "Username:");
        login_respond(&l, "y", 1);
        assert_string_equal(l.challenge, "Password:");
        login_respond(&l, i == 0 ? "yescrypt pw" : "wrong", i == 0 ? 11 : 5);
        assert_int_equal(l.result, i == 0 ? AUTH_OK : AUTH_FAIL);
        assert_string_equal(l.username, "y");
    }
}

static enum auth_result cram(struct auth_rig *a, const char *name, const char *password)
{
    struct login l;
    unsigned char mac[DIGEST_MD5];
    char hex[2 * DIGEST_MD5 + 1], text[300];
    login_start(&l, a, SASL_CRAM_MD5, NULL, 0);
    login_wait(&l);
    assert_true(digest_hmac_md5(span_str(password), span_of(l.challenge, l.challenge_len), mac));
    digest_hex(mac, sizeof(mac), hex);
    int n = snprintf(text, sizeof(text), "%s %s", name, hex);
    login_respond(&l, text, (size_t)n);
    assert_true(l.over);
    return l.result;
}

static void test_cram_md5(void **state)
{
    struct auth_rig *a = *state;
    write_all_kinds(a);
    assert_int_equal(cram(a, "plain", "plain pw"), AUTH_OK);
    assert_int_equal(cram(a, "plain", "plain"), AUTH_FAIL);
    assert_int_equal(cram(a, "b", "bcrypt pw"), AUTH_FAIL);
    assert_int_equal(cram(a, "nobody", "x"), AUTH_FAIL);
}

static enum auth_result scram(struct auth_rig *a, const char *name, const char *password)
{
    static const unsigned char NONCE[SASL_NONCE] = "client's own nonce";
    struct sasl_client c;
    struct login l;
    struct buf out;
    struct sasl_client_params params = { .username = name, .password = password, .nonce = NONCE };
    buf_init(&out, NULL);
    sasl_client_init(&c, SASL_SCRAM_SHA_256, &params);
    assert_int_equal(rig_client_step(&c, SPAN_NONE, &out), SASL_CLIENT_SEND);
    login_start(&l, a, SASL_SCRAM_SHA_256, buf_span(&out).p, buf_len(&out));
    login_wait(&l);
    while (!l.over) {
        sasl_buf_free(&out);
        assert_int_equal(rig_client_step(&c, span_of(l.challenge, l.challenge_len), &out), SASL_CLIENT_SEND);
        login_respond(&l, buf_span(&out).p, buf_len(&out));
    }
    if (l.result == AUTH_OK)
        assert_true(sasl_client_accept(&c));
    sasl_buf_free(&out);
    sasl_client_free(&c);
    return l.result;
}

static void test_scram(void **state)
{
    struct auth_rig *a = *state;
    a->ls.auth.mechanisms = SASL_BIT(SCRAM_SHA_256);
    write_all_kinds(a);
    assert_int_equal(scram(a, "user", "pencil"), AUTH_OK);
    assert_int_equal(scram(a, "plain", "plain pw"), AUTH_OK);
    assert_int_equal(scram(a, "user", "pencils"), AUTH_FAIL);
    assert_int_equal(scram(a, "nobody", "x"), AUTH_FAIL);
    assert_int_equal(scram(a, "b", "bcrypt pw"), AUTH_FAIL);
}

static enum auth_result external(struct auth_rig *a, const char *cert_name, const char *authzid)
{
    struct login l;
    a->about.cert_name = cert_name;
    login_start(&l, a, SASL_EXTERNAL, authzid, strlen(authzid));
    login_wait(&l);
    a->about.cert_name = NULL;
    assert_true(l.over);
    return l.result;
}

static void test_external(void **state)
{
    struct auth_rig *a = *state;
    write_all_kinds(a);
    assert_int_equal(external(a, "cert", ""), AUTH_OK);
    assert_int_equal(external(a, "b", ""), AUTH_OK);
    assert_int_equal(external(a, "cert", "cert"), AUTH_OK);
    assert_int_equal(external(a, "cert", "b"), AUTH_FAIL);
    assert_int_equal(external(a, "nobody", ""), AUTH_FAIL);
    assert_int_equal(external(a, NULL, "cert"), AUTH_FAIL);
}

static void test_offer(void **state)
{
    struct auth_rig *a = *state;
    write_users(a, "cert:*\n");
    assert_int_equal(auth_backend_mechanisms(&a->w, &a->ls, &a->about), SASL_BIT(PLAIN) | SASL_BIT(LOGIN));
    a->about.cert_name = "cert";
    assert_int_equal(auth_backend_mechanisms(&a->w, &a->ls, &a->about),
                     SASL_BIT(PLAIN) | SASL_BIT(LOGIN) | SASL_BIT(EXTERNAL));
    a->ls.auth.mechanisms = SASL_BIT(PLAIN) | SASL_BIT(XOAUTH2);
    assert_int_equal(auth_backend_mechanisms(&a->w, &a->ls, &a->about), SASL_BIT(PLAIN));
}

static void test_offer_all_kinds(void **state)
{
    struct auth_rig *a = *state;
    write_all_kinds(a); /* no TLS: neither a channel binding nor a certificate */
    assert_int_equal(auth_backend_mechanisms(&a->w, &a->ls, &a->about),
                     SASL_BIT(PLAIN) | SASL_BIT(LOGIN) | SASL_BIT(CRAM_MD5) | SASL_BIT(SCRAM_SHA_256));
}

/* A change takes effect at the next login, a second after the last look. A fault is one record. */
static void test_reload(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    write_users(a, "a:{PLAIN}1\n");
    assert_int_equal(login_plain(a, &l, "a", "1"), AUTH_OK);
    write_users(a, "a:{PLAIN}2\n");
    usleep(1100000);
    loop_tick(&a->w.loop);
    assert_int_equal(login_plain(a, &l, "a", "2"), AUTH_OK);
    write_users(a, "a:{PLAIN}3\nhunter2\n");
    for (int i = 0; i < 2; i++) {
        usleep(1100000);
        loop_tick(&a->w.loop);
        assert_int_equal(login_plain(a, &l, "a", "2"), AUTH_OK);
    }
    assert_int_equal(auth_rig_errors(a), 1);
    assert_non_null(strstr(a->log->tally->err[0], "auth_file "));
    assert_non_null(strstr(a->log->tally->err[0], "users:2: there is no colon"));
    assert_null(strstr(a->log->tally->err[0], "hunter"));
}

/* More logins than the pool takes: the rest fail for now, and those taken end as they should. */
static void test_full_pool(void **state)
{
    enum { LOGINS = 300 };
    struct auth_rig *a = *state;
    char hash[CRYPT_OUTPUT_SIZE], text[CRYPT_OUTPUT_SIZE + 8];
    struct login *l = calloc(LOGINS, sizeof(*l)), first;
    unsigned ok = 0, tempfail = 0;
    make_hash(hash, "$2b$", 5, "pw");
    snprintf(text, sizeof(text), "a:%s\n", hash);
    write_users(a, text);
    assert_int_equal(login_plain(a, &first, "a", "pw"), AUTH_OK); /* the look at the file is over */
    for (unsigned i = 0; i < LOGINS; i++)
        login_start(&l[i], a, SASL_PLAIN, "\0a\0pw", 5);
    for (unsigned i = 0; i < LOGINS; i++) {
        if (!l[i].over)
            login_wait(&l[i]);
        ok += l[i].result == AUTH_OK;
        tempfail += l[i].result == AUTH_TEMPFAIL;
    }
    assert_int_equal(ok + tempfail, LOGINS);
    assert_true(tempfail > 0);
    assert_true(ok >= 256);
    free(l);
}

/* Cancelled at once, after the look at the file, in the middle of a hash, with the answer on its way. */
static void test_cancel(void **state)
{
    struct auth_rig *a = *state;
    struct login l[40], last;
    write_all_kinds(a);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) {
        login_start(&l[i], a, i % 3 == 0 ? SASL_LOGIN : SASL_PLAIN, i % 3 == 0 ? NULL : "\0b\0bcrypt pw",
                    i % 3 == 0 ? 0 : 12);
        for (size_t k = 0; k < i % 4; k++) {
            usleep(300);
            ev_run(a->w.loop.ev, EVRUN_NOWAIT);
        }
        if (l[i].x != NULL)
            auth_cancel(&l[i].x);
        assert_null(l[i].x);
        l[i].over = true; /* an answer would be one too many */
    }
    assert_int_equal(login_plain(a, &last, "b", "bcrypt pw"), AUTH_OK);
}

/* The worker ends with a hash under way that nobody waits for. */
static void test_end_under_way(void **state)
{
    struct auth_rig *a = *state;
    struct login l;
    write_all_kinds(a);
    assert_int_equal(login_plain(a, &l, "b", "bcrypt pw"), AUTH_OK);
    for (int i = 0; i < 20; i++) {
        login_start(&l, a, SASL_PLAIN, "\0y\0yescrypt pw", 14);
        auth_cancel(&l.x);
    }
}

static sem_t gate;

static void held_work(struct offload_job *j)
{
    (void)j;
    sem_wait(&gate);
}

static void held_done(struct offload_job *j) { (void)j; }
static void held_free(struct offload_job *j) { free(j); }

enum { THREADS_MAX = 16 };

/* As a disk that hangs does: no thread of the pool is free. */
static void hold_threads(struct auth_rig *a)
{
    sem_init(&gate, 0, 0);
    for (int i = 0; i < THREADS_MAX; i++) {
        struct offload_job *j = calloc(1, sizeof(*j));
        assert_non_null(j);
        *j = (struct offload_job){ .work = held_work, .done = held_done, .free = held_free };
        assert_true(offload_push(a->w.auth->port, j));
    }
}

static void let_threads_go(void)
{
    for (int i = 0; i < THREADS_MAX; i++)
        sem_post(&gate);
}

/* The look at the file (first), or a hash: after 30 s the client is told. */
static void test_deadline(void **state)
{
    struct auth_rig *a = *state;
    struct login l, last;
    write_all_kinds(a);
    for (int round = 0; round < 2; round++) {
        if (round > 0)
            assert_int_equal(login_plain(a, &last, "b", "bcrypt pw"), AUTH_OK); /* the look is over */
        hold_threads(a);
        login_start(&l, a, SASL_PLAIN, "\0b\0bcrypt pw", 12);
        ev_run(a->w.loop.ev, EVRUN_NOWAIT);
        timers_run(&a->w.loop.timers, a->w.loop.mono + 29 * USEC_PER_SEC);
        assert_false(l.over);
        timers_run(&a->w.loop.timers, a->w.loop.mono + 31 * USEC_PER_SEC);
        assert_true(l.over && l.result == AUTH_TEMPFAIL);
        let_threads_go();
    }
    assert_int_equal(login_plain(a, &last, "b", "bcrypt pw"), AUTH_OK);
    timers_run(&a->w.loop.timers, a->w.loop.mono + 31 * USEC_PER_SEC);
    login_start(&last, a, SASL_LOGIN, NULL, 0); /* the client may take its time */
    login_wait(&last);
    timers_run(&a->w.loop.timers, a->w.loop.mono + 31 * USEC_PER_SEC);
    assert_false(last.over);
    auth_cancel(&last.x);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, auth_rig_setup, auth_rig_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_plain),    CASE(test_plain_later), CASE(test_login),  CASE(test_cram_md5),
        CASE(test_scram),    CASE(test_external),    CASE(test_offer),  CASE(test_offer_all_kinds),
        CASE(test_reload),   CASE(test_full_pool),   CASE(test_cancel), CASE(test_end_under_way),
        CASE(test_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
