/* The side that logs in: what it chooses, what it says, and what it doesn't take from a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sasl_rig.h"

#define NONCES "AAECAwQFBgcICQoLDA0ODxARZGVmZ2hpamtsbW5vcHFyc3R1"
#define FIRST "n=user,r=AAECAwQFBgcICQoLDA0ODxAR"
#define SERVER_FIRST "r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SERVER_LAST "v=8fjC8yQpg4g8aOfPcE1HxYO+6Ks9gmmb3JIdW+1dJw4="

/* 0 to 17 */
static const unsigned char nonce[SASL_NONCE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 };

static struct sasl_client_params params_of(const char *password)
{
    return (struct sasl_client_params){ .username = "user", .password = password, .nonce = nonce };
}

static void chosen(void **state)
{
    (void)state;
    const sasl_set all = ((sasl_set)1 << SASL_COUNT) - 1;
    static const struct {
        sasl_set less;
        bool secured, binding;
        int want; /* -1: none */
    } cases[] = {
        { 0, true, true, SASL_SCRAM_SHA_256_PLUS },
        { 0, true, false, SASL_SCRAM_SHA_256 },
        { SASL_BIT(SCRAM_SHA_256_PLUS), true, true, SASL_SCRAM_SHA_256 },
        { SASL_BIT(SCRAM_SHA_256), true, false, SASL_CRAM_MD5 },
        { SASL_BIT(SCRAM_SHA_256) | SASL_BIT(CRAM_MD5), true, false, SASL_PLAIN },
        { SASL_BIT(SCRAM_SHA_256) | SASL_BIT(CRAM_MD5) | SASL_BIT(PLAIN), true, false, SASL_LOGIN },
        { SASL_BIT(SCRAM_SHA_256) | SASL_BIT(CRAM_MD5) | SASL_BIT(PLAIN) | SASL_BIT(LOGIN), true, false, -1 },
        { 0, false, false, SASL_SCRAM_SHA_256 },
        { SASL_BIT(SCRAM_SHA_256), false, false, -1 },
        { (sasl_set)-1, true, true, -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum sasl_mechanism m = SASL_COUNT;
        bool any = sasl_client_choose(all & ~cases[i].less, cases[i].secured, cases[i].binding, &m);
        if ((any ? (int)m : -1) != cases[i].want)
            fail_msg("case %zu: %d", i, (int)m);
    }
}

enum { STEPS = 4 };

/* What the server says (the first: nothing, where the client is first) and what we answer. */
struct talk {
    enum sasl_mechanism m;
    struct sasl_bindings bindings;
    const char *hears[STEPS], *says[STEPS];
};

static const struct talk TALKS[] = {
    { SASL_LOGIN, { { NULL, 0 }, { NULL, 0 } }, { "Username:", "Password:" }, { "user", "pencil" } },
    { SASL_LOGIN, { { NULL, 0 }, { NULL, 0 } }, { "Benutzer", "" }, { "user", "pencil" } },
    { SASL_CRAM_MD5,
      { { NULL, 0 }, { NULL, 0 } },
      { "<1896.697170952@postoffice.reston.mci.net>" },
      { "user 266f82bb2d1ace6729d2c573e4e004c6" } },
    { SASL_SCRAM_SHA_256,
      { { NULL, 0 }, { NULL, 0 } },
      { "", SERVER_FIRST, SERVER_LAST },
      { "n,," FIRST, "c=biws,r=" NONCES ",p=Rsml1AVl56vKl8CpuHLOJte/+Fhr7sxmv6QTQFRIbcs=", "" } },
    { SASL_SCRAM_SHA_256_PLUS,
      { SPAN_LIT(EXPORTER), SPAN_LIT(END_POINT) },
      { "", SERVER_FIRST, "v=kSUkQ0KW2mjpb6R5O6uczHgEebVf+uQLs3mBNGcgihY=" },
      { "p=tls-exporter,," FIRST,
        "c=cD10bHMtZXhwb3J0ZXIsLEVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVF,r=" NONCES
        ",p=qxCcsBodDuQUD6ebgrBzVzr9PzaJ8ZYWm1i01NUlKoU=",
        "" } },
    { SASL_SCRAM_SHA_256_PLUS,
      { { NULL, 0 }, SPAN_LIT(END_POINT) },
      { "", SERVER_FIRST, "v=zw7mFzEkXnH6dexUbSaS0/GV+WuHY5duswQnplUfVaI=" },
      { "p=tls-server-end-point,," FIRST,
        "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFA=,r=" NONCES
        ",p=gqq+CbD9FWQjrFpv/blIDwHxEXZU5c4HzuT3JF7KvVY=",
        "" } },
};

/* The login is accepted at its very end and not before. */
static void transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TALKS); i++) {
        const struct talk *t = &TALKS[i];
        for (size_t stop = 0; stop <= STEPS && (stop == 0 || t->says[stop - 1] != NULL); stop++) {
            struct sasl_client_params params = params_of("pencil");
            params.bindings = t->bindings;
            struct sasl_client c;
            struct buf out;
            buf_init(&out, NULL);
            sasl_client_init(&c, t->m, &params);
            for (size_t n = 0; n < stop; n++) {
                assert_int_equal(rig_client_step(&c, span_str(t->hears[n]), &out), SASL_CLIENT_SEND);
                if (!span_eq(buf_span(&out), span_str(t->says[n])))
                    fail_msg("talk %zu, step %zu: %.*s", i, n, SPAN_ARG(buf_span(&out)));
                sasl_buf_free(&out);
            }
            bool whole = stop == STEPS || t->says[stop] == NULL;
            assert_int_equal(sasl_client_accept(&c), whole);
            assert_int_equal(rig_client_step(&c, SPAN_LIT("more"), &out), SASL_CLIENT_FAILED);
            assert_non_null(c.problem);
            assert_false(sasl_client_accept(&c));
            assert_true(buf_empty(&out));
            sasl_client_free(&c);
        }
    }
}

static void plain_said(void **state)
{
    (void)state;
    struct sasl_client_params params = params_of("pencil");
    struct sasl_client c;
    struct buf out;
    buf_init(&out, NULL);
    sasl_client_init(&c, SASL_PLAIN, &params);
    assert_int_equal(rig_client_step(&c, SPAN_NONE, &out), SASL_CLIENT_SEND);
    assert_true(span_eq(buf_span(&out), SPAN_LIT("\0user\0pencil")));
    assert_true(sasl_client_accept(&c));
    sasl_buf_free(&out);
    sasl_client_free(&c);
    sasl_client_free(&c);
}

/* RFC 2195's own, whose user is tim. */
static void cram_said(void **state)
{
    (void)state;
    struct sasl_client_params params = { .username = "tim", .password = "tanstaaftanstaaf", .nonce = nonce };
    struct sasl_client c;
    struct buf out;
    buf_init(&out, NULL);
    sasl_client_init(&c, SASL_CRAM_MD5, &params);
    assert_int_equal(rig_client_step(&c, SPAN_LIT("<1896.697170952@postoffice.reston.mci.net>"), &out),
                     SASL_CLIENT_SEND);
    assert_true(span_eq(buf_span(&out), SPAN_LIT("tim b913a602c7eda7a495b4e6e7334d3890")));
    sasl_buf_free(&out);
    sasl_client_free(&c);
}

/* Where we could bind but -PLUS isn't used, the server is told; and names are escaped. */
static void scram_header(void **state)
{
    (void)state;
    struct sasl_client_params params = { .username = "u=s,er", .password = "pencil", .nonce = nonce };
    params.bindings.end_point = SPAN_LIT(END_POINT);
    struct sasl_client c;
    struct buf out;
    buf_init(&out, NULL);
    sasl_client_init(&c, SASL_SCRAM_SHA_256, &params);
    assert_int_equal(rig_client_step(&c, SPAN_NONE, &out), SASL_CLIENT_SEND);
    assert_true(span_eq(buf_span(&out), SPAN_LIT("y,,n=u=3Ds=2Cer,r=AAECAwQFBgcICQoLDA0ODxAR")));
    sasl_buf_free(&out);
    sasl_client_free(&c);
}

/* A SCRAM client that has heard `count` messages of a good server. */
static void scram_at(struct sasl_client *c, size_t count, struct sasl_client_cache *cache)
{
    static const char *const good[] = { "", SERVER_FIRST };
    struct sasl_client_params params = params_of("pencil");
    params.cache = cache;
    struct buf out;
    buf_init(&out, NULL);
    sasl_client_init(c, SASL_SCRAM_SHA_256, &params);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rig_client_step(c, span_str(good[i]), &out), SASL_CLIENT_SEND);
    sasl_buf_free(&out);
}

static bool refused(size_t count, struct span text, struct sasl_client_cache *cache)
{
    struct sasl_client c;
    struct buf out;
    buf_init(&out, NULL);
    scram_at(&c, count, cache);
    bool no = rig_client_step(&c, text, &out) == SASL_CLIENT_FAILED;
    if (no) {
        assert_non_null(c.problem);
        assert_null(strstr(c.problem, "pencil"));
        assert_true(buf_empty(&out));
        assert_false(sasl_client_accept(&c));
    }
    sasl_buf_free(&out);
    sasl_client_free(&c);
    return no;
}

static void false_servers(void **state)
{
    (void)state;
    static const struct {
        size_t step;
        struct span text;
    } cases[] = {
        { 0, SPAN_LIT("x") },
        { 1, SPAN_LIT("") },
        { 1, SPAN_LIT("r=" NONCES) },
        { 1, SPAN_LIT("r=AAECAwQFBgcICQoLDA0ODxAR,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") },
        { 1, SPAN_LIT("r=ZZECAwQFBgcICQoLDA0ODxARZGVm,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") },
        { 1, SPAN_LIT("r=ZGVm,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") },
        { 1, SPAN_LIT("r=" NONCES ",s=,i=4096") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22,i=4096") },
        { 1, SPAN_LIT("r=" NONCES ",i=4096,s=W22ZaJ0SNY7soEsUEjb6gQ==") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=600001") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294971392") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-4096") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=04096") },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,m=1") },
        { 1, SPAN_LIT("m=1," SERVER_FIRST) },
        { 1, SPAN_LIT("r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096\0") },
        { 1, SPAN_LIT("e=other-error") },
        { 2, SPAN_LIT("") },
        { 2, SPAN_LIT("e=invalid-proof") },
        { 2, SPAN_LIT("v=") },
        { 2, SPAN_LIT("v=AAAA") },
        { 2, SPAN_LIT("v=AAAAAAQpg4g8aOfPcE1HxYO+6Ks9gmmb3JIdW+1dJw4=") },
        { 2, SPAN_LIT(SERVER_LAST "x") },
        { 2, SPAN_LIT(SERVER_LAST ",m=1") },
        { 2, SPAN_LIT(SERVER_FIRST) },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (!refused(cases[i].step, cases[i].text, NULL))
            fail_msg("case %zu is believed", i);
    assert_false(refused(1, SPAN_LIT(SERVER_FIRST ",x=new"), NULL));
    assert_false(refused(2, SPAN_LIT(SERVER_LAST), NULL));
}

/* Nothing less than the server's messages will do, nor the last one with another octet. */
static void cut_and_changed(void **state)
{
    (void)state;
    struct sasl_client_cache cache = { .full = false };
    struct span first = SPAN_LIT(SERVER_FIRST), last = SPAN_LIT(SERVER_LAST);
    for (size_t n = 0; n < first.n; n++)
        assert_true(refused(1, span_head(first, n), &cache));
    for (size_t n = 0; n < last.n; n++)
        assert_true(refused(2, span_head(last, n), &cache));
    char text[sizeof(SERVER_LAST)] = SERVER_LAST;
    for (size_t i = 0; i < last.n; i++) {
        text[i] ^= 1;
        assert_true(refused(2, span_of(text, last.n), &cache));
        text[i] ^= 1;
    }
}

static bool proof_is_right(const char *password, struct sasl_client_cache *cache)
{
    struct sasl_client_params params = params_of(password);
    params.cache = cache;
    struct sasl_client c;
    struct buf out;
    buf_init(&out, NULL);
    sasl_client_init(&c, SASL_SCRAM_SHA_256, &params);
    assert_int_equal(rig_client_step(&c, SPAN_NONE, &out), SASL_CLIENT_SEND);
    sasl_buf_free(&out);
    assert_int_equal(rig_client_step(&c, SPAN_LIT(SERVER_FIRST), &out), SASL_CLIENT_SEND);
    bool right = span_eq(buf_span(&out), span_str(TALKS[3].says[1]));
    sasl_buf_free(&out);
    sasl_client_free(&c);
    return right;
}

/* The cache is used for the same password and salt, and for no other. */
static void cached(void **state)
{
    (void)state;
    struct sasl_client_cache cache = { .full = false };
    assert_true(proof_is_right("pencil", &cache));
    assert_true(cache.full);
    struct sasl_client_cache kept = cache;
    assert_true(proof_is_right("pencil", &cache));
    assert_memory_equal(&kept, &cache, sizeof(cache));
    cache.salted[0] ^= 1;
    assert_false(proof_is_right("pencil", &cache));
    assert_false(proof_is_right("rubber", &cache));
    assert_memory_not_equal(kept.about, cache.about, sizeof(cache.about));
    assert_true(proof_is_right("pencil", &cache));
    assert_memory_equal(&kept, &cache, sizeof(cache));
}

/* The owner does the work; out of turn it is refused, and what was never taken is freed. */
static void work(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct sasl_client c;
        struct buf out;
        buf_init(&out, NULL);
        scram_at(&c, 1, NULL);
        assert_int_equal(sasl_client_step(&c, SPAN_LIT(SERVER_FIRST), &out), SASL_CLIENT_WORK);
        assert_true(buf_empty(&out));
        assert_false(how == 0 && sasl_client_accept(&c));
        struct sasl_work *work = how > 1 ? sasl_client_take_work(&c) : NULL;
        if (how == 1)
            assert_int_equal(sasl_client_step(&c, SPAN_LIT(SERVER_FIRST), &out), SASL_CLIENT_FAILED);
        if (how > 1) {
            assert_null(sasl_client_take_work(&c));
            rig_work(work);
            work->ok = how == 2;
            assert_int_equal(sasl_client_worked(&c, work, &out), how == 2 ? SASL_CLIENT_SEND : SASL_CLIENT_FAILED);
            assert_int_equal(buf_empty(&out), how == 3);
            assert_int_equal(sasl_client_worked(&c, work, &out), SASL_CLIENT_FAILED);
        }
        sasl_work_free(&work);
        sasl_buf_free(&out);
        sasl_client_free(&c);
    }
}

static void not_for_passwords(void **state)
{
    (void)state;
    static const enum sasl_mechanism wrong[] = { SASL_XOAUTH2, SASL_OAUTHBEARER, SASL_EXTERNAL };
    struct sasl_client_params params = params_of("pencil");
    for (size_t i = 0; i < ARRAY_LEN(wrong) + 2; i++) {
        struct sasl_client c;
        struct buf out;
        buf_init(&out, NULL);
        /* -PLUS without a binding, and an empty challenge of CRAM-MD5 */
        sasl_client_init(&c, i < 3 ? wrong[i] : i == 3 ? SASL_SCRAM_SHA_256_PLUS : SASL_CRAM_MD5, &params);
        assert_int_equal(rig_client_step(&c, SPAN_NONE, &out), SASL_CLIENT_FAILED);
        assert_true(buf_empty(&out));
        assert_false(sasl_client_accept(&c));
        sasl_client_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen),
        cmocka_unit_test(transcripts),
        cmocka_unit_test(plain_said),
        cmocka_unit_test(cram_said),
        cmocka_unit_test(scram_header),
        cmocka_unit_test(false_servers),
        cmocka_unit_test(cut_and_changed),
        cmocka_unit_test(cached),
        cmocka_unit_test(work),
        cmocka_unit_test(not_for_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
