/* Nobody gets in without the password. Two ways: what the fuzzer says alone, and what a good client says, changed on
 * its way by the fuzzer: only the unchanged is accepted.
 *
 * Input: mechanism, secret's kind, flags, then the messages: length in two octets, octets. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/sasl_impl.h"
#include "tests/unit/sasl_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

#define PASSWORD "3f1c9a7be2d84405"
enum { WITH_INITIAL = 1, WITH_CLIENT = 2, WITH_BINDINGS = 4, WITH_CERTIFICATE = 8, UNKNOWN_USER = 16, OFFERED = 32 };

struct input {
    struct span rest;
    enum sasl_mechanism m;
    unsigned kind, flags;
};

static struct span input_message(struct input *in)
{
    if (in->rest.n < 2)
        return SPAN_NONE;
    size_t n = (size_t)(unsigned char)in->rest.p[0] << 8 | (unsigned char)in->rest.p[1];
    in->rest = span_skip(in->rest, 2);
    struct span text = span_head(in->rest, n);
    in->rest = span_skip(in->rest, n);
    return text;
}

static char *scram_secret(uint32_t iterations)
{
    unsigned char salted[DIGEST_SHA256];
    struct scram_keys keys;
    digest_pbkdf2_sha256(SPAN_LIT(PASSWORD), SPAN_LIT("salt"), iterations, salted);
    scram_keys_make(salted, &keys);
    char *stored = sasl_base64(sasl_octets(keys.stored, DIGEST_SHA256));
    char *server = sasl_base64(sasl_octets(keys.server, DIGEST_SHA256));
    char *secret = sasl_format("{SCRAM-SHA-256}%u,c2FsdA==,%s,%s", (unsigned)iterations, stored, server);
    sasl_forget(&stored);
    sasl_forget(&server);
    return secret;
}

/* The client needs 4096 iterations; its cache makes them cheap. */
static struct span secret_of(const struct input *in)
{
    static char *few, *many;
    if (few == NULL) {
        few = scram_secret(1);
        many = scram_secret(4096);
    }
    switch (in->kind) {
    case 0:
        return SPAN_LIT("{PLAIN}" PASSWORD);
    case 1:
        return span_str(in->m == SASL_PLAIN || in->m == SASL_LOGIN ? few : many);
    default:
        return SPAN_LIT("$y$j9T$stand$in");
    }
}

static void check_names(const struct sasl_server *s)
{
    const char *const names[] = { s->username, s->authzid };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        CHECK(names[i] == NULL || sasl_name_valid(span_str(names[i])));
}

static enum sasl_step owner(const struct input *in, struct sasl_server *s, enum sasl_step step, struct buf *challenge)
{
    for (;;) {
        check_names(s);
        CHECK(step == SASL_CHALLENGE || buf_empty(challenge));
        if (step == SASL_LOOKUP) {
            CHECK(s->username != NULL);
            bool known = strcmp(s->username, "user") == 0 && (in->flags & UNKNOWN_USER) == 0;
            step = sasl_server_secret(s, known ? secret_of(in) : SPAN_NONE, challenge);
        } else if (step == SASL_VERIFY) {
            struct sasl_work *work = sasl_server_take_work(s);
            CHECK(work != NULL && sasl_server_take_work(s) == NULL);
            sasl_work_run(work);
            step = sasl_server_verified(s, work, challenge);
            sasl_work_free(&work);
        } else {
            return step;
        }
    }
}

/* XORs the client's words with the message's octets; true: they are others now. */
static bool change(struct buf *words, struct span by)
{
    bool changed = false;
    for (size_t i = 0; i < min_size(by.n, buf_len(words)); i++) {
        words->base[words->head + i] ^= by.p[i];
        changed = changed || by.p[i] != '\0';
    }
    return changed;
}

static struct span say(struct input *in, struct sasl_client *c, const struct buf *challenge, struct buf *out,
                       bool *changed)
{
    struct span by = input_message(in);
    if ((in->flags & WITH_CLIENT) == 0)
        return by;
    if (rig_client_step(c, buf_span(challenge), out) == SASL_CLIENT_FAILED)
        *changed = true;
    *changed = change(out, by) || *changed;
    return buf_span(out);
}

static enum sasl_step run(struct input *in, struct sasl_server *s, struct sasl_client *c, bool *changed)
{
    struct buf challenge, out;
    buf_init(&challenge, NULL);
    buf_init(&out, NULL);
    enum sasl_step step = SASL_CHALLENGE;
    bool started = false;
    if ((in->flags & WITH_INITIAL) == 0 || !sasl_client_first(in->m)) {
        step = owner(in, s, sasl_server_start(s, NULL, &challenge), &challenge);
        started = true;
    }
    for (int i = 0; step == SASL_CHALLENGE && i < 6; i++) {
        struct span text = say(in, c, &challenge, &out, changed);
        sasl_buf_free(&challenge);
        step = owner(in, s, started ? sasl_server_step(s, text, &challenge) : sasl_server_start(s, &text, &challenge),
                     &challenge);
        started = true;
        sasl_buf_free(&out);
    }
    CHECK(step != SASL_CHALLENGE);
    CHECK(sasl_server_step(s, SPAN_LIT("x"), &challenge) == SASL_FAIL && buf_empty(&challenge));
    sasl_buf_free(&challenge);
    return step;
}

static void judge(const struct input *in, enum sasl_step end, bool changed)
{
    bool client = (in->flags & WITH_CLIENT) != 0 && in->m <= SASL_SCRAM_SHA_256_PLUS;
    if (in->m == SASL_EXTERNAL) {
        CHECK(end != SASL_OK || (in->flags & WITH_CERTIFICATE) != 0);
        return;
    }
    if (end == SASL_OK)
        CHECK(client && (in->flags & UNKNOWN_USER) == 0 && (!changed || in->m == SASL_CRAM_MD5));
    bool bound = (in->flags & WITH_BINDINGS) != 0;
    bool can = (sasl_secret_mechanisms(sasl_secret_kind(secret_of(in))) & ((sasl_set)1 << in->m)) != 0 && in->kind < 2;
    if (in->m == SASL_SCRAM_SHA_256_PLUS)
        can = can && bound;
    if (in->m == SASL_SCRAM_SHA_256)
        can = can && !(bound && (in->flags & OFFERED) != 0);
    if (client && !changed && can && (in->flags & UNKNOWN_USER) == 0)
        CHECK(end == SASL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sasl_client_cache cache;
    static const unsigned char random_octets[SASL_KEY] = "not so random, but always there";
    if (size < 3)
        return 0;
    struct input in = { span_of((const char *)data + 3, size - 3), (enum sasl_mechanism)(data[0] % SASL_COUNT),
                        data[1] % 3, data[2] };
    struct sasl_bindings bindings = { SPAN_NONE, SPAN_NONE };
    if ((in.flags & WITH_BINDINGS) != 0)
        bindings = (struct sasl_bindings){ SPAN_LIT("the exporter"), SPAN_LIT("the end point") };
    struct sasl_server_params sp = { .hostname = "mx",
                                     .nonce = random_octets,
                                     .key = random_octets,
                                     .time = 1,
                                     .bindings = bindings,
                                     .plus_offered = (in.flags & OFFERED) != 0,
                                     .external_name = (in.flags & WITH_CERTIFICATE) != 0 ? "user" : NULL };
    struct sasl_client_params cp = { "user", PASSWORD, random_octets, bindings, &cache };
    struct sasl_server s;
    struct sasl_client c;
    sasl_server_init(&s, in.m, &sp);
    sasl_client_init(&c, in.m, &cp);
    bool changed = false;
    enum sasl_step end = run(&in, &s, &c, &changed);
    judge(&in, end, changed);
    sasl_client_free(&c);
    sasl_server_free(&s);
    return 0;
}
