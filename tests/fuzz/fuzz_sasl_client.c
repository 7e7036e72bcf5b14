/* A server that doesn't know the password: with SCRAM it is never believed; with SCRAM and CRAM-MD5 it never gets the
 * password; a failure says why and sends nothing. Input: mechanism, flags, then challenges, each ended by a newline. */
#include <stdlib.h>

#include "common/smtp/sasl.h"
#include "tests/unit/sasl_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

#define PASSWORD "3f1c9a7be2d84405"

static struct span line_take(struct span *rest)
{
    const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    struct span line = end != NULL ? span_head(*rest, (size_t)(end - rest->p)) : *rest;
    *rest = span_skip(*rest, line.n + 1);
    return line;
}

static void check_step(struct sasl_client *c, struct span challenge, bool silent)
{
    struct buf out;
    buf_init(&out, NULL);
    if (rig_client_step(c, challenge, &out) == SASL_CLIENT_FAILED) {
        CHECK(buf_empty(&out) && c->problem != NULL && strstr(c->problem, PASSWORD) == NULL);
        CHECK(!sasl_client_accept(c));
    }
    struct span said = buf_span(&out);
    if (silent && said.n > 0)
        CHECK(memmem(said.p, said.n, PASSWORD, strlen(PASSWORD)) == NULL);
    sasl_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sasl_client_cache cache;
    static const unsigned char nonce[SASL_NONCE] = { 0 };
    if (size < 2 || memmem(data, size, PASSWORD, strlen(PASSWORD)) != NULL)
        return 0;
    enum sasl_mechanism m = (enum sasl_mechanism)(data[0] % SASL_COUNT);
    bool scram = m == SASL_SCRAM_SHA_256 || m == SASL_SCRAM_SHA_256_PLUS;
    struct sasl_client_params params = { "user", PASSWORD, nonce, { SPAN_NONE, SPAN_NONE }, &cache };
    if ((data[1] & 1) != 0)
        params.bindings.exporter = SPAN_LIT("exporter");
    if ((data[1] & 2) != 0)
        params.bindings.end_point = SPAN_LIT("end point");
    struct sasl_client c;
    sasl_client_init(&c, m, &params);
    struct span rest = span_of((const char *)data + 2, size - 2);
    for (int i = 0; i < 5 && rest.n > 0; i++) {
        check_step(&c, line_take(&rest), scram || m == SASL_CRAM_MD5);
    }
    bool accepted = sasl_client_accept(&c);
    CHECK(!scram || !accepted);
    sasl_client_free(&c);
    return 0;
}
