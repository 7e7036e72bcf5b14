/* The two sides against each other; messages cut and changed on their way; users that aren't there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/sasl_rig.h"

static const struct sasl_bindings BOTH = { SPAN_LIT(EXPORTER), SPAN_LIT(END_POINT) };
static const struct sasl_bindings OTHERS = { SPAN_LIT("another connection's exporter"),
                                             SPAN_LIT("another certificate's hash") };

/* What happens to the client's message number `at` on its way. */
struct harm {
    int at; /* -1: nothing */
    enum { HARM_CUT, HARM_FLIP, HARM_GROW } how;
    size_t where;
};
#define NO_HARM ((struct harm){ .at = -1 })

struct dialogue {
    enum sasl_mechanism m;
    const char *user, *password, *secret;
    const struct sasl_bindings *ours, *theirs;
    bool no_initial, plus_offered;
    const char *decoy;
    struct harm harm;
};

struct outcome {
    enum sasl_step end; /* the server's */
    bool accepted;      /* the client believes the server, whatever it is told */
    bool client_failed;
    unsigned challenges, works;
    unsigned messages; /* of the client's, with their lengths */
    size_t lengths[4];
    char first[256]; /* the server's first challenge */
};

static void harm_do(const struct harm *harm, unsigned at, struct buf *b)
{
    if (harm->at != (int)at)
        return;
    size_t n = buf_len(b);
    if (harm->how == HARM_GROW)
        buf_append(b, "A", 1);
    else if (harm->how == HARM_FLIP && harm->where < n)
        b->base[b->head + harm->where] ^= 1;
    else if (harm->how == HARM_CUT && harm->where < n)
        b->tail = b->head + harm->where;
}

static enum sasl_step settle(struct sasl_server *s, enum sasl_step step, const struct dialogue *d,
                             struct buf *challenge, struct outcome *o)
{
    if (step == SASL_LOOKUP)
        step = sasl_server_secret(s, strcmp(s->username, "user") == 0 ? span_str(d->secret) : SPAN_NONE, challenge);
    if (step != SASL_VERIFY)
        return step;
    o->works++;
    return rig_settle(s, step, "user", d->secret, challenge);
}

static enum sasl_step answer(struct sasl_client *c, struct sasl_server *s, const struct dialogue *d, unsigned number,
                             struct buf *challenge, struct outcome *o)
{
    struct buf out;
    buf_init(&out, NULL);
    o->client_failed = rig_client_step(c, buf_span(challenge), &out) == SASL_CLIENT_FAILED;
    sasl_buf_free(challenge);
    o->lengths[o->messages++] = buf_len(&out);
    harm_do(&d->harm, number, &out);
    struct span text = buf_span(&out);
    enum sasl_step step = SASL_FAIL;
    if (!o->client_failed && number == 0 && sasl_client_first(d->m) && !d->no_initial)
        step = settle(s, sasl_server_start(s, &text, challenge), d, challenge, o);
    else if (!o->client_failed)
        step = settle(s, sasl_server_step(s, text, challenge), d, challenge, o);
    sasl_buf_free(&out);
    return step;
}

static struct outcome talk(const struct dialogue *d)
{
    static const unsigned char nonce[SASL_NONCE + 1] = "the client's nonce";
    static const struct sasl_bindings none;
    struct sasl_server_params sp = rig_params();
    sp.bindings = d->ours != NULL ? *d->ours : none;
    sp.plus_offered = d->plus_offered;
    sp.decoy = span_str(d->decoy);
    struct sasl_client_params cp = { d->user, d->password, nonce, d->theirs != NULL ? *d->theirs : none, NULL };
    struct sasl_server s;
    struct sasl_client c;
    struct outcome o = { .end = SASL_CHALLENGE };
    struct buf challenge;
    buf_init(&challenge, NULL);
    sasl_server_init(&s, d->m, &sp);
    sasl_client_init(&c, d->m, &cp);
    if (!sasl_client_first(d->m) || d->no_initial)
        o.end = sasl_server_start(&s, NULL, &challenge);
    for (unsigned i = 0; o.end == SASL_CHALLENGE && !o.client_failed; i++) {
        assert_in_range(i, 0, 3);
        if (!buf_empty(&challenge) && o.challenges++ == 0)
            snprintf(o.first, sizeof(o.first), "%.*s", SPAN_ARG(buf_span(&challenge)));
        o.end = answer(&c, &s, d, i, &challenge, &o);
    }
    o.accepted = sasl_client_accept(&c);
    if (o.end == SASL_OK)
        assert_string_equal(s.username, d->user);
    sasl_buf_free(&challenge);
    sasl_client_free(&c);
    sasl_server_free(&s);
    return o;
}

static const enum sasl_mechanism MECHANISMS[] = {
    SASL_PLAIN, SASL_LOGIN, SASL_CRAM_MD5, SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256_PLUS,
};
static const char *const SECRETS[] = { SECRET_PLAIN, SECRET_SCRAM, SECRET_DOVEADM, SECRET_CRYPT };

static bool usable(enum sasl_mechanism m, const char *secret)
{
    return (sasl_secret_mechanisms(sasl_secret_kind(span_str(secret))) & ((sasl_set)1 << m)) != 0;
}

/* Each mechanism with each kind of secret: the right password is let in wherever the secret can be used, and only it.
 */
static void each_with_each(void **state)
{
    (void)state;
    static const char *const passwords[] = { "pencil", "Pencil", "pencil ", "p" };
    for (size_t m = 0; m < ARRAY_LEN(MECHANISMS); m++) {
        for (size_t k = 0; k < ARRAY_LEN(SECRETS); k++) {
            for (size_t p = 0; p < 2 * ARRAY_LEN(passwords); p++) {
                struct dialogue d = { .m = MECHANISMS[m],
                                      .user = "user",
                                      .password = passwords[p / 2],
                                      .secret = SECRETS[k],
                                      .no_initial = p % 2 == 1,
                                      .harm = NO_HARM };
                d.ours = d.theirs = d.m == SASL_SCRAM_SHA_256_PLUS ? &BOTH : NULL;
                bool want = p / 2 == 0 && usable(d.m, d.secret);
                struct outcome o = talk(&d);
                if ((o.end == SASL_OK) != want || (o.end != SASL_OK && o.end != SASL_FAIL) || (want && !o.accepted))
                    fail_msg("%s, %s, %s: %d", sasl_name(d.m), d.secret, d.password, (int)o.end);
            }
        }
    }
}

static void bindings(void **state)
{
    (void)state;
    static const struct sasl_bindings end_point = { { NULL, 0 }, SPAN_LIT(END_POINT) };
    const struct {
        enum sasl_mechanism m;
        const struct sasl_bindings *ours, *theirs;
        bool plus_offered;
        enum sasl_step end;
    } cases[] = {
        { SASL_SCRAM_SHA_256_PLUS, &BOTH, &BOTH, true, SASL_OK },
        { SASL_SCRAM_SHA_256_PLUS, &BOTH, &end_point, true, SASL_OK },
        { SASL_SCRAM_SHA_256_PLUS, &end_point, &BOTH, true, SASL_FAIL },
        { SASL_SCRAM_SHA_256_PLUS, &BOTH, &OTHERS, true, SASL_FAIL },
        { SASL_SCRAM_SHA_256_PLUS, NULL, &BOTH, true, SASL_FAIL },
        { SASL_SCRAM_SHA_256, &BOTH, NULL, true, SASL_OK },
        { SASL_SCRAM_SHA_256, &BOTH, &BOTH, true, SASL_FAIL }, /* somebody hid -PLUS from the client */
        { SASL_SCRAM_SHA_256, NULL, &BOTH, false, SASL_OK },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < 2; k++) {
            struct dialogue d = { .m = cases[i].m,
                                  .user = "user",
                                  .password = "pencil",
                                  .secret = SECRETS[k],
                                  .ours = cases[i].ours,
                                  .theirs = cases[i].theirs,
                                  .plus_offered = cases[i].plus_offered,
                                  .harm = NO_HARM };
            if (talk(&d).end != cases[i].end)
                fail_msg("case %zu, %s", i, d.secret);
        }
    }
}

/* No message of a good login may be cut, changed in one bit or lengthened. */
static void harmed(void **state)
{
    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(MECHANISMS); m++) {
        struct dialogue d = { .m = MECHANISMS[m],
                              .user = "user",
                              .password = "pencil",
                              .secret = MECHANISMS[m] == SASL_CRAM_MD5 ? SECRET_PLAIN : SECRET_SCRAM,
                              .harm = NO_HARM };
        d.ours = d.theirs = d.m == SASL_SCRAM_SHA_256_PLUS ? &BOTH : NULL;
        struct outcome good = talk(&d);
        assert_int_equal(good.end, SASL_OK);
        assert_true(good.accepted);
        for (unsigned at = 0; at < good.messages; at++) {
            for (size_t where = 0; where <= good.lengths[at]; where++) {
                bool end = where == good.lengths[at];
                d.harm = (struct harm){ (int)at, end ? HARM_GROW : HARM_CUT, where };
                bool cut_in = talk(&d).end == SASL_OK;
                d.harm.how = end ? HARM_GROW : HARM_FLIP;
                if (cut_in || talk(&d).end == SASL_OK)
                    fail_msg("%s, message %u, octet %zu", sasl_name(d.m), at, where);
            }
        }
    }
}

/* Whether a user is there doesn't show before the end, nor from one try to the next. */
static void unknown_users(void **state)
{
    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(MECHANISMS); m++) {
        for (size_t k = 0; k < ARRAY_LEN(SECRETS); k++) {
            struct dialogue d = { .m = MECHANISMS[m],
                                  .user = "user",
                                  .password = "wrong",
                                  .secret = SECRETS[k],
                                  .decoy = SECRETS[k],
                                  .ours = &BOTH,
                                  .theirs = NULL,
                                  .harm = NO_HARM };
            d.theirs = d.m == SASL_SCRAM_SHA_256_PLUS ? &BOTH : NULL;
            struct outcome known = talk(&d);
            d.user = "nobody";
            struct outcome unknown = talk(&d), again = talk(&d);
            assert_int_equal(known.end, SASL_FAIL);
            assert_int_equal(unknown.end, SASL_FAIL);
            assert_int_equal(unknown.challenges, known.challenges);
            assert_int_equal(unknown.works, known.works);
            assert_int_equal(strlen(unknown.first), strlen(known.first));
            assert_string_equal(unknown.first, again.first);
            d.user = "nobody2";
            bool scram = d.m == SASL_SCRAM_SHA_256 || d.m == SASL_SCRAM_SHA_256_PLUS;
            assert_int_equal(strcmp(talk(&d).first, unknown.first) != 0, scram);
            /* not even with the decoy's password */
            d.password = "pencil";
            assert_int_equal(talk(&d).end, SASL_FAIL);
            d.user = "nobody";
            d.decoy = NULL;
            d.password = "nobody";
            assert_int_equal(talk(&d).end, SASL_FAIL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_with_each),
        cmocka_unit_test(bindings),
        cmocka_unit_test(harmed),
        cmocka_unit_test(unknown_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
