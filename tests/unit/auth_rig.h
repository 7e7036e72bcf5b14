/* Logins decided here, on a loop of the test's own, with a log that is read afterwards. An exchange's answers are kept;
 * the loop runs until the next one. */
#ifndef TESTS_UNIT_AUTH_RIG_H
#define TESTS_UNIT_AUTH_RIG_H

#include "tests/unit/log_rig.h"

#include "proxy/relay/auth.h"
#include "proxy/relay/auth_backends.h"
#include "proxy/relay/userfile.h"
#include "proxy/worker.h"

struct auth_rig {
    struct rig *log;
    struct worker w; /* of which only what logins use is there */
    struct auth_shared *shared;
    struct settings settings;
    struct listener_settings ls;
    struct auth_about about;
    ev_timer watchdog;
};

/* One login as its owner sees it. */
struct login {
    struct auth_rig *rig;
    struct auth_exchange *x;
    unsigned answers, wanted; /* the loop ends when so many have come */
    bool over;
    enum auth_result result;
    char challenge[2048], username[300], authzid[300];
    size_t challenge_len;
};

static RIG_UNUSED void login_answered(struct login *l)
{
    if (++l->answers == l->wanted)
        loop_break(&l->rig->w.loop);
}

static RIG_UNUSED void login_challenge(void *owner, struct span text)
{
    struct login *l = owner;
    assert_false(l->over);
    assert_true(text.n < sizeof(l->challenge));
    memcpy(l->challenge, text.n > 0 ? text.p : "", text.n);
    l->challenge[text.n] = '\0';
    l->challenge_len = text.n;
    login_answered(l);
}

static RIG_UNUSED void login_done(void *owner, const struct auth_outcome *outcome)
{
    struct login *l = owner;
    assert_false(l->over);
    l->over = true;
    l->x = NULL;
    l->result = outcome->result;
    snprintf(l->username, sizeof(l->username), "%s", outcome->username ? outcome->username : "");
    snprintf(l->authzid, sizeof(l->authzid), "%s", outcome->authzid ? outcome->authzid : "");
    login_answered(l);
}

static const struct auth_exchange_ops login_ops = { .challenge = login_challenge, .done = login_done };

static RIG_UNUSED void on_rig_watchdog(struct ev_loop *ev, ev_timer *t, int events)
{
    (void)ev, (void)t, (void)events;
    fprintf(stderr, "the answer never came\n");
    abort();
}

static RIG_UNUSED int auth_rig_setup(void **state)
{
    struct auth_rig *a = calloc(1, sizeof(*a));
    void *log = NULL;
    rig_setup(&log);
    a->log = log;
    rig_start(a->log);
    loop_init(&a->w.loop);
    a->shared = auth_shared_new();
    a->w.auth = auth_backends_new(a->shared, &a->w.loop, a->log->logger[0]);
    a->settings.listener = &a->ls;
    a->settings.listeners = 1;
    a->ls.auth.mode = AUTH_REQUIRED;
    a->ls.auth.mechanisms = ~(sasl_set)0;
    a->about = (struct auth_about){ .hostname = "tap.example", .cid = "cid" };
    ev_timer_init(&a->watchdog, on_rig_watchdog, 60., 0.);
    ev_timer_start(a->w.loop.ev, &a->watchdog);
    *state = a;
    return 0;
}

static RIG_UNUSED int auth_rig_teardown(void **state)
{
    struct auth_rig *a = *state;
    void *log = a->log;
    auth_backends_free(&a->w.auth);
    assert_true(auth_shared_free(&a->shared, 60 * USEC_PER_SEC));
    userfile_unref(&a->ls.users);
    ev_timer_stop(a->w.loop.ev, &a->watchdog);
    loop_free(&a->w.loop);
    free(a);
    return rig_teardown(&log);
}

/* The records are written and read; returns how many errors there are. */
static RIG_UNUSED unsigned auth_rig_errors(struct auth_rig *a)
{
    log_stop(&a->log->log, 10 * USEC_PER_SEC);
    tally_file(a->log->tally, a->log->path[0]);
    return (unsigned)a->log->tally->errors;
}

static RIG_UNUSED void login_start(struct login *l, struct auth_rig *a, enum sasl_mechanism m, const char *initial,
                                   size_t n)
{
    struct span text = span_of(initial, n);
    *l = (struct login){ .rig = a };
    l->x = auth_start(&a->w, &a->ls, &a->about, m, initial != NULL ? &text : NULL, &login_ops, l);
    assert_non_null(l->x);
    assert_int_equal(l->answers, 0);
}

/* Until one more answer is there. */
static RIG_UNUSED void login_wait(struct login *l)
{
    l->wanted = l->answers + 1;
    loop_run(&l->rig->w.loop);
    assert_int_equal(l->answers, l->wanted);
}

static RIG_UNUSED void login_respond(struct login *l, const char *text, size_t n)
{
    assert_non_null(l->x);
    auth_respond(l->x, span_of(text, n));
    login_wait(l);
}

/* A whole login by PLAIN. */
static RIG_UNUSED enum auth_result login_plain(struct auth_rig *a, struct login *l, const char *name,
                                               const char *password)
{
    char message[2200];
    size_t n = 1 + (size_t)snprintf(message + 1, sizeof(message) - 1, "%s%c%s", name, 0, password);
    message[0] = '\0';
    login_start(l, a, SASL_PLAIN, message, n);
    login_wait(l);
    assert_true(l->over);
    return l->result;
}

#endif
