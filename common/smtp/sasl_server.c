/* The verifying side of a login. Every exchange of a mechanism takes the same steps whether or not the user is known:
 * an unknown one is checked against the decoy, and refused whatever comes out. */
#include "common/smtp/sasl_server_impl.h"

#include <inttypes.h>
#include <stdlib.h>

void sasl_server_init(struct sasl_server *s, enum sasl_mechanism m, const struct sasl_server_params *params)
{
    struct sasl_server_private *own = sasl_new(sizeof(*own));
    *s = (struct sasl_server){ .mechanism = m, .own = own };
    own->plus_offered = params->plus_offered;
    memcpy(own->key, params->key, sizeof(own->key));
    sasl_binding_take(&own->exporter, params->bindings.exporter);
    sasl_binding_take(&own->end_point, params->bindings.end_point);
    own->nonce = sasl_base64(sasl_octets(params->nonce, SASL_NONCE));
    if (params->external_name != NULL)
        own->external_name = sasl_dup(span_str(params->external_name));
    own->decoy = sasl_dup(params->decoy);
    if (m == SASL_CRAM_MD5)
        own->cram_challenge = sasl_format("<%s.%" PRId64 "@%s>", own->nonce, params->time, params->hostname);
}

void sasl_server_free(struct sasl_server *s)
{
    struct sasl_server_private *own = s->own;
    if (own == NULL)
        return;
    char **const texts[] = { &s->username,         &s->authzid,        &own->nonce,        &own->external_name,
                             &own->decoy,          &own->password,     &own->gs2,          &own->bare,
                             &own->cram_challenge, &own->client_nonce, &own->server_first, &own->auth_message };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        sasl_forget(texts[i]);
    sasl_work_free(&own->work);
    explicit_bzero(own, sizeof(*own));
    free(own);
    s->own = NULL;
}

enum sasl_step sasl_server_ask(struct sasl_server *s, struct sasl_work *work)
{
    s->own->work = work;
    s->own->phase = SERVER_VERIFY;
    return SASL_VERIFY;
}

bool sasl_server_name(char **to, struct span name)
{
    if (sasl_name_valid(name))
        *to = sasl_dup(name);
    return *to != NULL;
}

bool sasl_server_saslname(char **to, struct span encoded)
{
    char *name = saslname_decode(encoded);
    bool ok = name != NULL && sasl_server_name(to, span_str(name));
    sasl_forget(&name);
    return ok;
}

/* --- the client's messages ---------------------------------------------------------------------------------------- */

static enum sasl_step password_take(struct sasl_server *s, struct span password)
{
    if (password.n == 0 || password.n > SASL_PASSWORD_MAX || memchr(password.p, '\0', password.n) != NULL)
        return SASL_FAIL;
    s->own->password = sasl_dup(password);
    return SASL_LOOKUP;
}

static enum sasl_step plain_first(struct sasl_server *s, struct span response)
{
    struct plain_message m;
    if (!plain_message_read(response, &m))
        return SASL_MALFORMED;
    if (m.passwd.n == 0 || !sasl_server_name(&s->username, m.authcid))
        return SASL_FAIL;
    if (m.authzid.n > 0 && !sasl_server_name(&s->authzid, m.authzid))
        return SASL_FAIL;
    if (s->authzid != NULL && strcmp(s->authzid, s->username) != 0)
        return SASL_FAIL;
    return password_take(s, m.passwd);
}

static enum sasl_step login_name(struct sasl_server *s, struct span response, struct buf *challenge)
{
    if (!sasl_server_name(&s->username, response))
        return SASL_FAIL;
    buf_append_span(challenge, SPAN_LIT("Password:"));
    s->own->phase = SERVER_PASSWORD;
    return SASL_CHALLENGE;
}

static enum sasl_step cram_response(struct sasl_server *s, struct span response)
{
    struct span name, digest;
    if (!cram_message_read(response, &name, &digest))
        return SASL_MALFORMED;
    if (!sasl_server_name(&s->username, name))
        return SASL_FAIL;
    for (size_t i = 0; i < CRAM_DIGEST; i++) {
        char c = digest.p[i];
        s->own->cram_digest[i] = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    }
    return SASL_LOOKUP;
}

/* What RFC 7628 (section 3.2.2) and Google answer to a bad token; the client's next message is a dummy. */
static enum sasl_step token_refuse(struct sasl_server *s, struct buf *challenge)
{
    buf_append_span(challenge, s->mechanism == SASL_XOAUTH2 ? SPAN_LIT("{\"status\":\"401\",\"schemes\":\"bearer\"}")
                                                            : SPAN_LIT("{\"status\":\"invalid_token\"}"));
    s->own->phase = SERVER_TOKEN_ACK;
    return SASL_CHALLENGE;
}

static enum sasl_step token_first(struct sasl_server *s, struct span response, struct buf *challenge)
{
    struct oauth_message m;
    bool xoauth2 = s->mechanism == SASL_XOAUTH2;
    if (!oauth_message_read(response, s->mechanism, &m) || m.gs2.flag == GS2_BOUND)
        return SASL_MALFORMED;
    if (xoauth2 && !sasl_server_name(&s->username, m.user))
        return SASL_FAIL;
    if (!xoauth2 && m.user.p != NULL && !sasl_server_saslname(&s->username, m.user))
        return SASL_FAIL;
    if (m.token.n == 0)
        return token_refuse(s, challenge);
    return sasl_server_ask(s, sasl_work_new(SASL_WORK_TOKEN, m.token, SPAN_NONE, s->username));
}

static enum sasl_step external_first(struct sasl_server *s, struct span response)
{
    struct sasl_server_private *own = s->own;
    if (response.n > 0 && !sasl_server_name(&s->authzid, response))
        return SASL_FAIL;
    if (own->external_name == NULL || !sasl_server_name(&s->username, span_str(own->external_name)))
        return SASL_FAIL;
    if (s->authzid != NULL && strcmp(s->authzid, s->username) != 0)
        return SASL_FAIL;
    return SASL_LOOKUP;
}

static enum sasl_step first_message(struct sasl_server *s, struct span response, struct buf *challenge)
{
    switch (s->mechanism) {
    case SASL_PLAIN:
        return plain_first(s, response);
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        return scram_server_first(s, response);
    case SASL_XOAUTH2:
    case SASL_OAUTHBEARER:
        return token_first(s, response, challenge);
    case SASL_EXTERNAL:
        return external_first(s, response);
    case SASL_LOGIN:
    case SASL_CRAM_MD5:
    case SASL_COUNT:
        return SASL_FAIL;
    }
    return SASL_FAIL;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static enum sasl_step took(struct sasl_server *s, enum sasl_step step)
{
    switch (step) {
    case SASL_LOOKUP:
        s->own->phase = SERVER_LOOKUP;
        break;
    case SASL_OK:
    case SASL_FAIL:
    case SASL_MALFORMED:
        s->own->phase = SERVER_OVER;
        break;
    case SASL_CHALLENGE:
    case SASL_VERIFY:
        break;
    }
    return step;
}

enum sasl_step sasl_server_start(struct sasl_server *s, const struct span *initial, struct buf *challenge)
{
    struct sasl_server_private *own = s->own;
    if (initial != NULL && !sasl_takes_initial(s->mechanism))
        return took(s, SASL_MALFORMED);
    if (s->mechanism == SASL_LOGIN)
        own->phase = SERVER_NAME;
    if (s->mechanism == SASL_CRAM_MD5)
        own->phase = SERVER_CRAM;
    if (initial != NULL)
        return sasl_server_step(s, *initial, challenge);
    if (s->mechanism == SASL_LOGIN)
        buf_append_span(challenge, SPAN_LIT("Username:"));
    if (s->mechanism == SASL_CRAM_MD5)
        buf_append_span(challenge, span_str(own->cram_challenge));
    return SASL_CHALLENGE;
}

enum sasl_step sasl_server_step(struct sasl_server *s, struct span response, struct buf *challenge)
{
    switch (s->own->phase) {
    case SERVER_FIRST:
        return took(s, first_message(s, response, challenge));
    case SERVER_NAME:
        return took(s, login_name(s, response, challenge));
    case SERVER_PASSWORD:
        return took(s, password_take(s, response));
    case SERVER_CRAM:
        return took(s, cram_response(s, response));
    case SERVER_SCRAM_FINAL:
        return took(s, scram_server_final(s, response, challenge));
    case SERVER_SCRAM_ACK:
        return took(s, response.n == 0 ? SASL_OK : SASL_MALFORMED);
    case SERVER_LOOKUP:
    case SERVER_VERIFY:
    case SERVER_TOKEN_ACK:
    case SERVER_OVER:
        break;
    }
    return took(s, SASL_FAIL);
}

/* --- secrets ------------------------------------------------------------------------------------------------------ */

static enum sasl_step decide(const struct sasl_server *s, bool ok)
{
    return ok && !s->own->unknown ? SASL_OK : SASL_FAIL;
}

static enum sasl_step password_check(struct sasl_server *s, const struct sasl_secret *secret)
{
    struct sasl_server_private *own = s->own;
    struct span password = span_str(own->password);
    switch (secret->kind) {
    case SASL_SECRET_PLAIN:
        return decide(s, digest_equal_text(secret->text, password));
    case SASL_SECRET_SCRAM:
        own->keys = secret->keys;
        return sasl_server_ask(s, sasl_work_hash(password, &secret->salt));
    case SASL_SECRET_CRYPT:
        return sasl_server_ask(s, sasl_work_new(SASL_WORK_CRYPT, password, secret->text, NULL));
    case SASL_SECRET_BAD:
        break;
    }
    return SASL_FAIL;
}

static enum sasl_step cram_check(const struct sasl_server *s, const struct sasl_secret *secret)
{
    const struct sasl_server_private *own = s->own;
    char want[CRAM_DIGEST + 1];
    bool usable = secret->kind == SASL_SECRET_PLAIN;
    if (!cram_digest(usable ? secret->text : SPAN_LIT("no password"), span_str(own->cram_challenge), want))
        return SASL_FAIL;
    bool same = digest_equal(want, own->cram_digest, CRAM_DIGEST);
    return decide(s, same && usable);
}

static enum sasl_step secret_check(struct sasl_server *s, const struct sasl_secret *secret, struct buf *challenge)
{
    switch (s->mechanism) {
    case SASL_PLAIN:
    case SASL_LOGIN:
        return password_check(s, secret);
    case SASL_CRAM_MD5:
        return cram_check(s, secret);
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        return scram_server_secret(s, secret, challenge);
    case SASL_EXTERNAL:
        return decide(s, true);
    case SASL_XOAUTH2:
    case SASL_OAUTHBEARER:
    case SASL_COUNT:
        break;
    }
    return SASL_FAIL;
}

enum sasl_step sasl_server_secret(struct sasl_server *s, struct span secret, struct buf *challenge)
{
    struct sasl_server_private *own = s->own;
    if (own->phase != SERVER_LOOKUP)
        return took(s, SASL_FAIL);
    struct sasl_secret read;
    sasl_secret_read(secret, &read);
    own->unknown = read.kind == SASL_SECRET_BAD;
    if (own->unknown)
        sasl_secret_read(span_str(own->decoy), &read);
    if (read.kind == SASL_SECRET_BAD)
        sasl_secret_read(SPAN_LIT("{PLAIN}nobody"), &read);
    enum sasl_step step = took(s, secret_check(s, &read, challenge));
    explicit_bzero(&read, sizeof(read));
    return step;
}

struct sasl_work *sasl_server_take_work(struct sasl_server *s)
{
    struct sasl_work *work = s->own->work;
    s->own->work = NULL;
    return work;
}

static enum sasl_step token_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge)
{
    bool named =
        s->username != NULL || (work->username != NULL && sasl_server_name(&s->username, span_str(work->username)));
    return work->ok && named ? SASL_OK : token_refuse(s, challenge);
}

static enum sasl_step hash_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge)
{
    bool scram = s->mechanism == SASL_SCRAM_SHA_256 || s->mechanism == SASL_SCRAM_SHA_256_PLUS;
    if (!work->ok)
        return SASL_FAIL;
    if (scram)
        return scram_server_verified(s, work, challenge);
    struct scram_keys keys;
    scram_keys_make(work->salted, &keys);
    bool same = digest_equal(keys.stored, s->own->keys.stored, sizeof(keys.stored));
    explicit_bzero(&keys, sizeof(keys));
    return decide(s, same);
}

enum sasl_step sasl_server_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge)
{
    if (s->own->phase != SERVER_VERIFY || work == NULL)
        return took(s, SASL_FAIL);
    switch (work->kind) {
    case SASL_WORK_HASH:
        return took(s, hash_verified(s, work, challenge));
    case SASL_WORK_CRYPT:
        return took(s, decide(s, work->ok));
    case SASL_WORK_TOKEN:
        return took(s, token_verified(s, work, challenge));
    }
    return took(s, SASL_FAIL);
}
