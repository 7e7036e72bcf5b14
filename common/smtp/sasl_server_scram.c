/* SCRAM-SHA-256 and -PLUS (RFC 5802, 7677), the server's part. A user that isn't there, or whose secret can't be used
 * for SCRAM, gets a salt and keys made of his name: the exchange looks the same up to its end, today and tomorrow. */
#include "common/smtp/sasl_server_impl.h"

/* Finds the binding that the client names. "y" where -PLUS was offered is a downgrade in between (RFC 5802 section 6).
 */
static bool binding_choose(struct sasl_server *s, const struct gs2_header *gs2)
{
    struct sasl_server_private *own = s->own;
    bool plus = s->mechanism == SASL_SCRAM_SHA_256_PLUS;
    if (gs2->flag != GS2_BOUND)
        return !plus && !(gs2->flag == GS2_UNSEEN && own->plus_offered);
    if (span_eq(gs2->binding, SPAN_LIT("tls-exporter")))
        own->binding = &own->exporter;
    else if (span_eq(gs2->binding, SPAN_LIT("tls-server-end-point")))
        own->binding = &own->end_point;
    return plus && own->binding != NULL && own->binding->n > 0;
}

enum sasl_step scram_server_first(struct sasl_server *s, struct span response)
{
    struct sasl_server_private *own = s->own;
    struct scram_client_first m;
    if (!scram_client_first_read(response, &m))
        return SASL_MALFORMED;
    if (!sasl_server_saslname(&s->username, m.name))
        return SASL_FAIL;
    if (m.gs2.authzid.p != NULL && !sasl_server_saslname(&s->authzid, m.gs2.authzid))
        return SASL_FAIL;
    if (s->authzid != NULL && strcmp(s->authzid, s->username) != 0)
        return SASL_FAIL;
    if (!binding_choose(s, &m.gs2))
        return SASL_FAIL;
    own->gs2 = sasl_dup(m.gs2.all);
    own->bare = sasl_dup(m.bare);
    own->client_nonce = sasl_dup(m.nonce);
    return SASL_LOOKUP;
}

static void derive(const struct sasl_server *s, const char *what, unsigned char out_r[DIGEST_SHA256])
{
    char *text = sasl_format("%s %s", what, s->username);
    digest_hmac_sha256(sasl_octets(s->own->key, SASL_KEY), span_str(text), out_r);
    sasl_forget(&text);
}

void scram_server_make_up(struct sasl_server *s, size_t salt_len, uint32_t iterations)
{
    struct scram_salt *salt = &s->own->salt;
    _Static_assert(sizeof(salt->octets) == 2 * DIGEST_SHA256, "two hashes make a salt");
    derive(s, "salt", salt->octets);
    derive(s, "more", salt->octets + DIGEST_SHA256);
    derive(s, "stored", s->own->keys.stored);
    derive(s, "server", s->own->keys.server);
    salt->n = salt_len;
    salt->iterations = iterations;
}

static void secret_use(struct sasl_server *s, const struct sasl_secret *secret)
{
    enum { SALT_LEN = 16 };
    struct sasl_server_private *own = s->own;
    if (secret->kind == SASL_SECRET_SCRAM) {
        scram_server_make_up(s, secret->salt.n, secret->salt.iterations);
        if (!own->unknown) {
            own->salt = secret->salt;
            own->keys = secret->keys;
        }
        return;
    }
    scram_server_make_up(s, SALT_LEN, SCRAM_ITERATIONS);
    if (secret->kind == SASL_SECRET_PLAIN)
        own->password = sasl_dup(secret->text);
    else
        own->unknown = true;
}

enum sasl_step scram_server_secret(struct sasl_server *s, const struct sasl_secret *secret, struct buf *challenge)
{
    struct sasl_server_private *own = s->own;
    secret_use(s, secret);
    char *salt = sasl_base64(sasl_octets(own->salt.octets, own->salt.n));
    own->server_first =
        sasl_format("r=%s%s,s=%s,i=%u", own->client_nonce, own->nonce, salt, (unsigned)own->salt.iterations);
    sasl_forget(&salt);
    buf_append_span(challenge, span_str(own->server_first));
    own->phase = SERVER_SCRAM_FINAL;
    return SASL_CHALLENGE;
}

/* c= must be the header that was sent at first, and the binding's octets. */
static bool binding_matches(const struct sasl_server_private *own, struct span got)
{
    struct buf b;
    buf_init(&b, NULL);
    buf_append_span(&b, span_str(own->gs2));
    if (own->binding != NULL)
        buf_append(&b, own->binding->octets, own->binding->n);
    char *want = sasl_base64(buf_span(&b));
    buf_free(&b);
    bool same = digest_equal_text(span_str(want), got);
    sasl_forget(&want);
    return same;
}

static bool nonce_matches(const struct sasl_server_private *own, struct span got)
{
    char *want = sasl_format("%s%s", own->client_nonce, own->nonce);
    bool same = digest_equal_text(span_str(want), got);
    sasl_forget(&want);
    return same;
}

static enum sasl_step proof_decide(struct sasl_server *s, struct buf *challenge)
{
    struct sasl_server_private *own = s->own;
    struct span auth = span_str(own->auth_message);
    bool ok = scram_proof_check(&own->keys, auth, own->proof);
    unsigned char signature[DIGEST_SHA256];
    digest_hmac_sha256(sasl_octets(own->keys.server, DIGEST_SHA256), auth, signature);
    if (!ok || own->unknown)
        return SASL_FAIL;
    char *text = sasl_base64(sasl_octets(signature, sizeof(signature)));
    buf_printf(challenge, "v=%s", text);
    sasl_forget(&text);
    own->phase = SERVER_SCRAM_ACK;
    return SASL_CHALLENGE;
}

enum sasl_step scram_server_final(struct sasl_server *s, struct span response, struct buf *challenge)
{
    struct sasl_server_private *own = s->own;
    struct scram_client_final m;
    if (!scram_client_final_read(response, &m))
        return SASL_MALFORMED;
    if (!nonce_matches(own, m.nonce) || !binding_matches(own, m.binding))
        return SASL_FAIL;
    memcpy(own->proof, m.proof, sizeof(own->proof));
    own->auth_message = sasl_format("%s,%s,%.*s", own->bare, own->server_first, SPAN_ARG(m.without_proof));
    if (own->password == NULL)
        return proof_decide(s, challenge);
    return sasl_server_ask(s, sasl_work_hash(span_str(own->password), &own->salt));
}

enum sasl_step scram_server_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge)
{
    scram_keys_make(work->salted, &s->own->keys);
    return proof_decide(s, challenge);
}
