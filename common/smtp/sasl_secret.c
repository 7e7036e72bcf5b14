/* Secrets of local users, what is computed from them, and the work that is too slow for a loop.
 *
 * SCRAM (RFC 5802): salted = PBKDF2(password); StoredKey = H(HMAC(salted, "Client Key")) and ServerKey = HMAC(salted,
 * "Server Key") are what a server keeps. The client's proof is ClientKey XOR HMAC(StoredKey, messages), so that who
 * knows StoredKey can check it, but can't make it. */
#include <stdlib.h>

#include "common/smtp/sasl_impl.h"

static const struct span SCHEME_PLAIN = { "{PLAIN}", 7 };
static const struct span SCHEME_SCRAM = { "{SCRAM-SHA-256}", 15 };

bool scram_iterations_read(struct span text, uint32_t max, uint32_t *out_r)
{
    uint64_t value = 0;
    if (text.n == 0 || text.n > 9 || text.p[0] == '0')
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out_r = (uint32_t)value;
    return value <= max;
}

/* The next of a comma-separated list; the last one has no comma behind it. */
static struct span list_next(struct span *rest)
{
    const char *comma = rest->n > 0 ? memchr(rest->p, ',', rest->n) : NULL;
    struct span one = comma != NULL ? span_head(*rest, (size_t)(comma - rest->p)) : *rest;
    *rest = span_skip(*rest, one.n + 1);
    return one;
}

static bool key_read(struct span text, unsigned char key_r[DIGEST_SHA256])
{
    size_t n = 0;
    return sasl_unbase64(text, key_r, DIGEST_SHA256, &n) && n == DIGEST_SHA256;
}

static bool scram_read(struct span text, struct sasl_secret *out)
{
    struct scram_salt *salt = &out->salt;
    return scram_iterations_read(list_next(&text), SCRAM_ITERATIONS_MAX, &salt->iterations) &&
           sasl_unbase64(list_next(&text), salt->octets, sizeof(salt->octets), &salt->n) && salt->n > 0 &&
           key_read(list_next(&text), out->keys.stored) && key_read(text, out->keys.server);
}

void sasl_secret_read(struct span secret, struct sasl_secret *out_r)
{
    *out_r = (struct sasl_secret){ .kind = SASL_SECRET_BAD };
    if (secret.n == 0 || memchr(secret.p, '\0', secret.n) != NULL)
        return;
    if (span_begins_nocase(secret, SCHEME_PLAIN)) {
        out_r->text = span_skip(secret, SCHEME_PLAIN.n);
        out_r->kind = out_r->text.n > 0 ? SASL_SECRET_PLAIN : SASL_SECRET_BAD;
    } else if (span_begins_nocase(secret, SCHEME_SCRAM)) {
        if (scram_read(span_skip(secret, SCHEME_SCRAM.n), out_r))
            out_r->kind = SASL_SECRET_SCRAM;
    } else if (secret.p[0] != '{') {
        out_r->text = secret;
        out_r->kind = SASL_SECRET_CRYPT;
    }
}

enum sasl_secret_kind sasl_secret_kind(struct span secret)
{
    struct sasl_secret read;
    sasl_secret_read(secret, &read);
    enum sasl_secret_kind kind = read.kind;
    explicit_bzero(&read, sizeof(read));
    return kind;
}

sasl_set sasl_secret_mechanisms(enum sasl_secret_kind kind)
{
    const sasl_set any = SASL_BIT(PLAIN) | SASL_BIT(LOGIN) | SASL_BIT(EXTERNAL);
    const sasl_set scram = SASL_BIT(SCRAM_SHA_256) | SASL_BIT(SCRAM_SHA_256_PLUS);
    switch (kind) {
    case SASL_SECRET_BAD:
        return 0;
    case SASL_SECRET_CRYPT:
        return any;
    case SASL_SECRET_SCRAM:
        return any | scram;
    case SASL_SECRET_PLAIN:
        return any | scram | (digest_has_md5() ? SASL_BIT(CRAM_MD5) : 0);
    }
    return 0;
}

static bool scram_password_check(const struct sasl_secret *secret, struct span password)
{
    unsigned char salted[DIGEST_SHA256];
    struct scram_keys keys;
    digest_pbkdf2_sha256(password, sasl_octets(secret->salt.octets, secret->salt.n), secret->salt.iterations, salted);
    scram_keys_make(salted, &keys);
    bool ok = digest_equal(keys.stored, secret->keys.stored, sizeof(keys.stored));
    explicit_bzero(salted, sizeof(salted));
    explicit_bzero(&keys, sizeof(keys));
    return ok;
}

bool sasl_secret_check(struct span secret, struct span password)
{
    struct sasl_secret read;
    sasl_secret_read(secret, &read);
    bool ok = false;
    if (password.n > 0 && read.kind == SASL_SECRET_PLAIN)
        ok = digest_equal_text(read.text, password);
    else if (password.n > 0 && read.kind == SASL_SECRET_SCRAM)
        ok = scram_password_check(&read, password);
    explicit_bzero(&read, sizeof(read));
    return ok;
}

static void client_key(const unsigned char salted[DIGEST_SHA256], unsigned char key_r[DIGEST_SHA256])
{
    digest_hmac_sha256(sasl_octets(salted, DIGEST_SHA256), SPAN_LIT("Client Key"), key_r);
}

void scram_keys_make(const unsigned char salted[DIGEST_SHA256], struct scram_keys *keys_r)
{
    unsigned char key[DIGEST_SHA256];
    client_key(salted, key);
    digest_sha256(sasl_octets(key, sizeof(key)), keys_r->stored);
    explicit_bzero(key, sizeof(key));
    digest_hmac_sha256(sasl_octets(salted, DIGEST_SHA256), SPAN_LIT("Server Key"), keys_r->server);
}

static void signature_xor(const unsigned char stored[DIGEST_SHA256], struct span auth_message,
                          unsigned char io[DIGEST_SHA256])
{
    unsigned char signature[DIGEST_SHA256];
    digest_hmac_sha256(sasl_octets(stored, DIGEST_SHA256), auth_message, signature);
    for (size_t i = 0; i < DIGEST_SHA256; i++)
        io[i] ^= signature[i];
}

void scram_proof_make(const unsigned char salted[DIGEST_SHA256], struct span auth_message,
                      unsigned char proof_r[DIGEST_SHA256])
{
    unsigned char stored[DIGEST_SHA256];
    client_key(salted, proof_r);
    digest_sha256(sasl_octets(proof_r, DIGEST_SHA256), stored);
    signature_xor(stored, auth_message, proof_r);
    explicit_bzero(stored, sizeof(stored));
}

bool scram_proof_check(const struct scram_keys *keys, struct span auth_message,
                       const unsigned char proof[DIGEST_SHA256])
{
    unsigned char key[DIGEST_SHA256], stored[DIGEST_SHA256];
    memcpy(key, proof, sizeof(key));
    signature_xor(keys->stored, auth_message, key);
    digest_sha256(sasl_octets(key, sizeof(key)), stored);
    explicit_bzero(key, sizeof(key));
    return digest_equal(stored, keys->stored, sizeof(stored));
}

bool cram_digest(struct span password, struct span challenge, char hex_r[CRAM_DIGEST + 1])
{
    unsigned char code[DIGEST_MD5];
    if (!digest_hmac_md5(password, challenge, code))
        return false;
    digest_hex(code, sizeof(code), hex_r);
    return true;
}

struct sasl_work *sasl_work_hash(struct span password, const struct scram_salt *salt)
{
    struct sasl_work *work = sasl_work_new(SASL_WORK_HASH, password, SPAN_NONE, NULL);
    memcpy(work->salt, salt->octets, salt->n);
    work->salt_len = salt->n;
    work->iterations = salt->iterations;
    return work;
}

struct sasl_work *sasl_work_new(enum sasl_work_kind kind, struct span password, struct span secret,
                                const char *username)
{
    struct sasl_work *work = sasl_new(sizeof(*work));
    work->kind = kind;
    work->password = sasl_dup(password);
    work->secret = secret.n > 0 ? sasl_dup(secret) : NULL;
    work->username = username != NULL ? sasl_dup(span_str(username)) : NULL;
    return work;
}

void sasl_work_run(struct sasl_work *work)
{
    if (work->kind != SASL_WORK_HASH)
        return;
    digest_pbkdf2_sha256(span_str(work->password), sasl_octets(work->salt, work->salt_len), work->iterations,
                         work->salted);
    work->ok = true;
}

struct sasl_work *sasl_work_copy(const struct sasl_work *work)
{
    struct sasl_work *copy = sasl_new(sizeof(*copy));
    *copy = *work;
    copy->secret = work->secret != NULL ? sasl_dup(span_str(work->secret)) : NULL;
    copy->password = work->password != NULL ? sasl_dup(span_str(work->password)) : NULL;
    copy->username = work->username != NULL ? sasl_dup(span_str(work->username)) : NULL;
    return copy;
}

bool sasl_work_same(const struct sasl_work *a, const struct sasl_work *b)
{
    return a->kind == SASL_WORK_HASH && b->kind == SASL_WORK_HASH && a->iterations == b->iterations &&
           span_eq(sasl_octets(a->salt, a->salt_len), sasl_octets(b->salt, b->salt_len)) &&
           digest_equal_text(span_str(a->password), span_str(b->password));
}

void sasl_work_free(struct sasl_work **work)
{
    if (*work == NULL)
        return;
    sasl_forget(&(*work)->secret);
    sasl_forget(&(*work)->password);
    sasl_forget(&(*work)->username);
    explicit_bzero(*work, sizeof(**work));
    free(*work);
    *work = NULL;
}
