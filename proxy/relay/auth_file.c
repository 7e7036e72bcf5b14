/* Logins by the file of users. The steps of the mechanism are taken on the loop, for they are quick; hashes and the
 * look at the file go to the pool. One job an exchange at a time:
 *
 *   [REFRESH, where it is time to] -> start -> step --challenge--> SAY --> (the client) --> step ...
 *                                               |--hash-----------> VERIFY --> step
 *                                               '--decided--------> SAY --> done
 *
 * SAY does no work: it brings an answer that is known already back through the loop. A job outlives a cancelled
 * exchange and then says nothing; likewise where the disk hangs, or the hashes before it take too long: after 30 s the
 * login fails for now. */
#include <crypt.h>
#include <stdlib.h>
#include <time.h>

#include "common/digest/digest.h"
#include "proxy/net/loop.h"
#include "proxy/relay/auth_impl.h"
#include "proxy/relay/userfile.h"

#define ANSWER_TIME (30 * USEC_PER_SEC)

enum job_kind { JOB_REFRESH, JOB_VERIFY, JOB_SAY };

struct exchange {
    struct auth_exchange x;
    struct userfile *file; /* a reference */
    struct sasl_server sasl;
    struct file_job *job; /* under way; NULL: the client's turn */
    struct timer timer;   /* while the pool has the job */
    bool initial_given;
    struct buf initial;
};

struct file_job {
    struct offload_job job;
    enum job_kind kind;
    struct exchange *x; /* NULL: cancelled; the loop's thread alone looks at it */
    struct auth_backends *b;
    struct userfile *file;  /* REFRESH: a reference */
    char *fault;            /* REFRESH: owned */
    struct sasl_work *work; /* VERIFY: owned */
    enum sasl_step step;    /* SAY */
    bool tempfail;          /* SAY */
    struct buf challenge;   /* SAY */
};

static void respond(struct auth_exchange *x, struct span response);
static void cancel(struct auth_exchange *x);
static const struct auth_kind file_kind = { .respond = respond, .cancel = cancel };

/* --- on the pool's threads --- */

static bool crypt_matches(const char *password, const char *hash)
{
    void *data = NULL;
    int size = 0;
    const char *made = crypt_ra(password, hash, &data, &size);
    bool ok = made != NULL && made[0] != '*' && digest_equal_text(span_str(made), span_str(hash));
    if (data != NULL)
        explicit_bzero(data, (size_t)size);
    free(data);
    return ok;
}

static void work(struct offload_job *base)
{
    struct file_job *j = CONTAINER_OF(base, struct file_job, job);
    if (j->kind == JOB_REFRESH)
        j->fault = userfile_refresh(j->file);
    if (j->kind != JOB_VERIFY)
        return;
    switch (j->work->kind) {
    case SASL_WORK_HASH:
        sasl_work_run(j->work);
        break;
    case SASL_WORK_CRYPT:
        j->work->ok = crypt_matches(j->work->password, j->work->secret);
        break;
    case SASL_WORK_TOKEN: /* a file holds none, and these mechanisms are not offered */
        j->work->ok = false;
        break;
    }
}

/* --- on the loop --- */

static void done(struct offload_job *base);
static void free_job(struct offload_job *base)
{
    struct file_job *j = CONTAINER_OF(base, struct file_job, job);
    userfile_unref(&j->file);
    free(j->fault);
    if (j->work != NULL)
        sasl_work_free(&j->work);
    sasl_buf_free(&j->challenge);
    free(j);
}

static struct file_job *job_new(struct exchange *x, enum job_kind kind)
{
    struct file_job *j = calloc(1, sizeof(*j));
    if (j == NULL)
        abort();
    j->job = (struct offload_job){ .work = work, .done = done, .free = free_job };
    j->kind = kind;
    j->x = x;
    j->b = x->x.b;
    buf_init(&j->challenge, NULL);
    x->job = j;
    return j;
}

static void free_exchange(struct exchange *x)
{
    timer_clear(&x->timer);
    sasl_server_free(&x->sasl);
    sasl_buf_free(&x->initial);
    userfile_unref(&x->file);
    free(x);
}

static void say(struct exchange *x, struct file_job *j, enum sasl_step step)
{
    j->step = step;
    offload_post(x->x.b->port, &j->job);
}

static void say_tempfail(struct exchange *x)
{
    struct file_job *j = job_new(x, JOB_SAY);
    j->tempfail = true;
    say(x, j, SASL_FAIL);
}

/* False: the pool is full; the job is freed. */
static bool push(struct exchange *x, struct file_job *j)
{
    if (offload_push(x->x.b->port, &j->job)) {
        loop_timer(x->x.b->loop, &x->timer, ANSWER_TIME);
        return true;
    }
    x->job = NULL;
    free_job(&j->job);
    return false;
}

static void verify(struct exchange *x)
{
    struct file_job *j = job_new(x, JOB_VERIFY);
    j->work = sasl_server_take_work(&x->sasl);
    if (!push(x, j))
        say_tempfail(x);
}

/* A certificate logs its user in whatever the secret is, "*" too. */
static enum sasl_step look_up(struct exchange *x, struct buf *challenge)
{
    struct userfile_table *t = userfile_hold(x->file);
    const struct user *user = users_find(userfile_users(t), span_str(x->sasl.username));
    struct span secret = user != NULL ? user->secret : SPAN_NONE;
    if (user != NULL && user->kind == SASL_SECRET_BAD && x->sasl.mechanism == SASL_EXTERNAL)
        secret = SPAN_LIT("{PLAIN}*");
    enum sasl_step step = sasl_server_secret(&x->sasl, secret, challenge);
    userfile_release(&t);
    return step;
}

/* What the mechanism says goes its way; nobody is called from here. */
static void go_on(struct exchange *x, struct file_job *said, enum sasl_step step)
{
    if (step == SASL_LOOKUP)
        step = look_up(x, &said->challenge);
    if (step == SASL_VERIFY) {
        free_job(&said->job);
        verify(x);
        return;
    }
    say(x, said, step);
}

static void start(struct exchange *x)
{
    struct file_job *said = job_new(x, JOB_SAY);
    struct span initial = buf_span(&x->initial);
    go_on(x, said, sasl_server_start(&x->sasl, x->initial_given ? &initial : NULL, &said->challenge));
    sasl_buf_free(&x->initial);
}

static void respond(struct auth_exchange *base, struct span response)
{
    struct exchange *x = CONTAINER_OF(base, struct exchange, x);
    struct file_job *said = job_new(x, JOB_SAY);
    go_on(x, said, sasl_server_step(&x->sasl, response, &said->challenge));
}

static enum auth_result result_of(enum sasl_step step)
{
    switch (step) {
    case SASL_OK:
        return AUTH_OK;
    case SASL_MALFORMED:
        return AUTH_MALFORMED;
    case SASL_FAIL:
    case SASL_CHALLENGE:
    case SASL_LOOKUP:
    case SASL_VERIFY:
        break;
    }
    return AUTH_FAIL;
}

static void tell(struct exchange *x, const struct file_job *j)
{
    if (j->step == SASL_CHALLENGE) {
        x->x.ops->challenge(x->x.owner, buf_span(&j->challenge));
        return;
    }
    struct auth_outcome outcome = { .result = j->tempfail ? AUTH_TEMPFAIL : result_of(j->step),
                                    .username = x->sasl.username,
                                    .authzid = x->sasl.authzid };
    x->x.ops->done(x->x.owner, &outcome);
    free_exchange(x);
}

static void verified(struct exchange *x, const struct file_job *j)
{
    struct file_job *said = job_new(x, JOB_SAY);
    go_on(x, said, sasl_server_verified(&x->sasl, j->work, &said->challenge));
}

static void done(struct offload_job *base)
{
    struct file_job *j = CONTAINER_OF(base, struct file_job, job);
    struct exchange *x = j->x;
    if (j->fault != NULL)
        auth_tell(j->b, ERR_AUTH_FILE, NULL, j->fault);
    if (x == NULL)
        return;
    x->job = NULL;
    timer_clear(&x->timer);
    switch (j->kind) {
    case JOB_REFRESH:
        start(x);
        break;
    case JOB_VERIFY:
        verified(x, j);
        break;
    case JOB_SAY:
        tell(x, j);
        break;
    }
}

static void let_go(struct exchange *x)
{
    if (x->job != NULL) {
        x->job->x = NULL;
        offload_drop(&x->job->job);
    }
    x->job = NULL;
}

static void cancel(struct auth_exchange *base)
{
    struct exchange *x = CONTAINER_OF(base, struct exchange, x);
    let_go(x);
    free_exchange(x);
}

static void on_timer(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    struct auth_outcome outcome = { .result = AUTH_TEMPFAIL, .username = x->sasl.username, .authzid = x->sasl.authzid };
    let_go(x);
    x->x.ops->done(x->x.owner, &outcome);
    free_exchange(x);
}

sasl_set auth_file_mechanisms(const struct listener_settings *ls)
{
    return SASL_BIT(PLAIN) | SASL_BIT(LOGIN) | SASL_BIT(EXTERNAL) | userfile_mechanisms(ls->users);
}

static void init_sasl(struct exchange *x, const struct auth_about *about, enum sasl_mechanism m, sasl_set offered)
{
    unsigned char nonce[SASL_NONCE];
    struct tls_bindings bindings;
    struct userfile_table *t = userfile_hold(x->file);
    auth_random(nonce, sizeof(nonce));
    tls_bindings(about->ssl, &bindings);
    struct sasl_server_params params = {
        .hostname = about->hostname,
        .nonce = nonce,
        .key = x->x.b->shared->key,
        .time = x->x.b->loop->real / USEC_PER_SEC,
        .bindings = { span_of((char *)bindings.exporter, bindings.exporter_len),
                      span_of((char *)bindings.end_point, bindings.end_point_len) },
        .plus_offered = (offered & SASL_BIT(SCRAM_SHA_256_PLUS)) != 0,
        .external_name = about->cert_name,
        .decoy = userfile_users(t)->decoy,
    };
    sasl_server_init(&x->sasl, m, &params);
    userfile_release(&t);
}

/* The refresh is not needed for the login: where the pool is full, the file as it was read will do. */
static bool refresh(struct exchange *x)
{
    if (!userfile_is_due(x->file, x->x.b->loop->mono))
        return false;
    struct file_job *j = job_new(x, JOB_REFRESH);
    j->file = userfile_ref(x->file);
    return push(x, j);
}

struct auth_exchange *auth_file_start(struct auth_backends *b, const struct listener_settings *ls,
                                      const struct auth_about *about, enum sasl_mechanism m, sasl_set offered,
                                      const struct span *initial)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (x == NULL)
        abort();
    x->x = (struct auth_exchange){ .kind = &file_kind, .b = b };
    x->file = userfile_ref(ls->users);
    timer_init(&x->timer, on_timer);
    buf_init(&x->initial, NULL);
    x->initial_given = initial != NULL;
    if (initial != NULL)
        buf_append_span(&x->initial, *initial);
    init_sasl(x, about, m, offered);
    if (!refresh(x))
        start(x);
    return &x->x;
}
