/* Our own login at an upstream. The server is judged too: SCRAM's challenges must hold our nonce, a sane number of
 * iterations and at the end a signature that only who knows our keys can make. */
#include <stdlib.h>

#include "common/smtp/sasl_impl.h"

enum client_phase {
    CLIENT_FIRST,        /* the initial response is due, or the first challenge of a server that speaks first */
    CLIENT_PASSWORD,     /* LOGIN */
    CLIENT_SERVER_FIRST, /* SCRAM */
    CLIENT_WORK,
    CLIENT_SERVER_FINAL,
    CLIENT_DONE, /* all is said */
    CLIENT_BROKEN,
};

struct sasl_client_private {
    enum client_phase phase;
    char *username, *password, *nonce;
    struct sasl_binding_copy binding; /* the one in use */
    const char *gs2;                  /* static */
    struct sasl_client_cache *cache;
    char *bare;
    struct buf server_first;                /* WORK */
    unsigned char about[DIGEST_SHA256];     /* WORK: what the result will depend on */
    struct sasl_work *work;                 /* to be taken */
    unsigned char signature[DIGEST_SHA256]; /* what the server must show */
};

bool sasl_client_choose(sasl_set offered, bool secured, bool have_binding, enum sasl_mechanism *m_r)
{
    static const struct {
        enum sasl_mechanism m;
        bool in_clear, binds;
    } order[] = {
        { SASL_SCRAM_SHA_256_PLUS, true, true },
        { SASL_SCRAM_SHA_256, true, false },
        { SASL_CRAM_MD5, false, false },
        { SASL_PLAIN, false, false },
        { SASL_LOGIN, false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        bool can = (secured || order[i].in_clear) && (have_binding || !order[i].binds);
        if (order[i].m == SASL_CRAM_MD5 && !digest_has_md5())
            can = false;
        if (can && (offered & ((sasl_set)1 << order[i].m)) != 0) {
            *m_r = order[i].m;
            return true;
        }
    }
    return false;
}

/* SCRAM's gs2-header. Without -PLUS, "y" tells the server that we could have bound: if it could too, somebody in
 * between took -PLUS out of its list. */
static void binding_choose(struct sasl_client *c, const struct sasl_bindings *b)
{
    struct sasl_client_private *own = c->own;
    bool exporter = b->exporter.n > 0, any = exporter || b->end_point.n > 0;
    own->gs2 = any ? "y,," : "n,,";
    if (c->mechanism != SASL_SCRAM_SHA_256_PLUS)
        return;
    own->gs2 = exporter ? "p=tls-exporter,," : "p=tls-server-end-point,,";
    sasl_binding_take(&own->binding, exporter ? b->exporter : b->end_point);
}

void sasl_client_init(struct sasl_client *c, enum sasl_mechanism m, const struct sasl_client_params *params)
{
    struct sasl_client_private *own = sasl_new(sizeof(*own));
    *c = (struct sasl_client){ .mechanism = m, .own = own };
    own->username = sasl_dup(span_str(params->username));
    own->password = sasl_dup(span_str(params->password));
    own->nonce = sasl_base64(sasl_octets(params->nonce, SASL_NONCE));
    own->cache = params->cache;
    buf_init(&own->server_first, NULL);
    binding_choose(c, &params->bindings);
}

void sasl_client_free(struct sasl_client *c)
{
    struct sasl_client_private *own = c->own;
    if (own == NULL)
        return;
    sasl_forget(&own->username);
    sasl_forget(&own->password);
    sasl_forget(&own->nonce);
    sasl_forget(&own->bare);
    sasl_buf_free(&own->server_first);
    sasl_work_free(&own->work);
    explicit_bzero(own, sizeof(*own));
    free(own);
    c->own = NULL;
}

static enum sasl_client_step broken(struct sasl_client *c, const char *problem)
{
    c->problem = problem;
    c->own->phase = CLIENT_BROKEN;
    return SASL_CLIENT_FAILED;
}

static enum sasl_client_step said(struct sasl_client *c, enum client_phase next)
{
    c->own->phase = next;
    return SASL_CLIENT_SEND;
}

static enum sasl_client_step plain(struct sasl_client *c, struct buf *out)
{
    buf_append_span(out, SPAN_LIT("\0"));
    buf_append_span(out, span_str(c->own->username));
    buf_append_span(out, SPAN_LIT("\0"));
    buf_append_span(out, span_str(c->own->password));
    return said(c, CLIENT_DONE);
}

static enum sasl_client_step cram(struct sasl_client *c, struct span challenge, struct buf *out)
{
    char hex[CRAM_DIGEST + 1];
    if (challenge.n == 0)
        return broken(c, "the server's CRAM-MD5 challenge is empty");
    if (!cram_digest(span_str(c->own->password), challenge, hex))
        return broken(c, "there is no MD5 here");
    buf_printf(out, "%s %s", c->own->username, hex);
    return said(c, CLIENT_DONE);
}

/* --- SCRAM -------------------------------------------------------------------------------------------------------- */

static enum sasl_client_step scram_first(struct sasl_client *c, struct span challenge, struct buf *out)
{
    struct sasl_client_private *own = c->own;
    if (challenge.n > 0)
        return broken(c, "the server speaks first in SCRAM");
    if (c->mechanism == SASL_SCRAM_SHA_256_PLUS && own->binding.n == 0)
        return broken(c, "there is no channel binding");
    char *name = saslname_encode(span_str(own->username));
    own->bare = sasl_format("n=%s,r=%s", name, own->nonce);
    sasl_forget(&name);
    buf_printf(out, "%s%s", own->gs2, own->bare);
    return said(c, CLIENT_SERVER_FIRST);
}

struct server_first {
    struct span nonce;
    struct scram_salt salt;
};

/* What is wrong with it, or NULL. */
static const char *server_first_read(const struct sasl_client_private *own, struct span text, struct server_first *m)
{
    struct span salt, count, ours = span_str(own->nonce);
    if (!scram_expect(&text, 'r', &m->nonce) || !scram_expect(&text, 's', &salt) || !scram_expect(&text, 'i', &count) ||
        !scram_extensions(text) || !sasl_unbase64(salt, m->salt.octets, sizeof(m->salt.octets), &m->salt.n) ||
        m->salt.n == 0)
        return "the server's first SCRAM message is malformed";
    if (m->nonce.n <= ours.n || !span_eq(span_head(m->nonce, ours.n), ours))
        return "the server's nonce doesn't begin with ours";
    if (!scram_iterations_read(count, SASL_CLIENT_ITERATIONS_MAX, &m->salt.iterations) ||
        m->salt.iterations < SASL_CLIENT_ITERATIONS_MIN)
        return "the server asks for too few or too many iterations";
    return NULL;
}

/* What the salted password depends on. */
static void cache_about(const struct sasl_client_private *own, const struct scram_salt *salt,
                        unsigned char about_r[DIGEST_SHA256])
{
    unsigned char password[DIGEST_SHA256];
    digest_sha256(span_str(own->password), password);
    char *text = sasl_base64(sasl_octets(salt->octets, salt->n));
    char *about = sasl_format("%u %s", (unsigned)salt->iterations, text);
    digest_hmac_sha256(sasl_octets(password, sizeof(password)), span_str(about), about_r);
    explicit_bzero(password, sizeof(password));
    sasl_forget(&text);
    sasl_forget(&about);
}

/* "c=", "r=": what is signed of our last message. */
static char *without_proof(const struct sasl_client_private *own, struct span nonce)
{
    struct buf b;
    buf_init(&b, NULL);
    buf_append_span(&b, span_str(own->gs2));
    buf_append(&b, own->binding.octets, own->binding.n);
    char *binding = sasl_base64(buf_span(&b));
    buf_free(&b);
    char *text = sasl_format("c=%s,r=%.*s", binding, SPAN_ARG(nonce));
    sasl_forget(&binding);
    return text;
}

static enum sasl_client_step scram_prove(struct sasl_client *c, const unsigned char salted[DIGEST_SHA256],
                                         struct buf *out)
{
    struct sasl_client_private *own = c->own;
    struct server_first m;
    struct span challenge = buf_span(&own->server_first);
    const char *problem = server_first_read(own, challenge, &m);
    if (problem != NULL)
        return broken(c, problem);
    unsigned char proof[DIGEST_SHA256];
    struct scram_keys keys;
    scram_keys_make(salted, &keys);
    char *head = without_proof(own, m.nonce);
    char *auth = sasl_format("%s,%.*s,%s", own->bare, SPAN_ARG(challenge), head);
    scram_proof_make(salted, span_str(auth), proof);
    digest_hmac_sha256(sasl_octets(keys.server, sizeof(keys.server)), span_str(auth), own->signature);
    char *text = sasl_base64(sasl_octets(proof, sizeof(proof)));
    buf_printf(out, "%s,p=%s", head, text);
    sasl_forget(&text);
    sasl_forget(&auth);
    sasl_forget(&head);
    explicit_bzero(&keys, sizeof(keys));
    return said(c, CLIENT_SERVER_FINAL);
}

static enum sasl_client_step scram_challenged(struct sasl_client *c, struct span challenge, struct buf *out)
{
    struct sasl_client_private *own = c->own;
    const struct sasl_client_cache *cache = own->cache;
    struct server_first m;
    const char *problem = server_first_read(own, challenge, &m);
    if (problem != NULL)
        return broken(c, problem);
    buf_append_span(&own->server_first, challenge);
    cache_about(own, &m.salt, own->about);
    if (cache != NULL && cache->full && digest_equal(cache->about, own->about, sizeof(own->about)))
        return scram_prove(c, cache->salted, out);
    own->work = sasl_work_hash(span_str(own->password), &m.salt);
    own->phase = CLIENT_WORK;
    return SASL_CLIENT_WORK;
}

struct sasl_work *sasl_client_take_work(struct sasl_client *c)
{
    struct sasl_work *work = c->own->work;
    c->own->work = NULL;
    return work;
}

enum sasl_client_step sasl_client_worked(struct sasl_client *c, const struct sasl_work *work, struct buf *out)
{
    struct sasl_client_private *own = c->own;
    if (own->phase != CLIENT_WORK || !work->ok)
        return broken(c, "our proof can't be computed");
    if (own->cache != NULL) {
        memcpy(own->cache->about, own->about, sizeof(own->about));
        memcpy(own->cache->salted, work->salted, DIGEST_SHA256);
        own->cache->full = true;
    }
    return scram_prove(c, work->salted, out);
}

static enum sasl_client_step scram_verify(struct sasl_client *c, struct span challenge)
{
    unsigned char got[DIGEST_SHA256];
    struct span value;
    size_t n = 0;
    if (challenge.n >= 2 && memcmp(challenge.p, "e=", 2) == 0)
        return broken(c, "the server refuses our proof");
    if (!scram_expect(&challenge, 'v', &value) || !scram_extensions(challenge) ||
        !sasl_unbase64(value, got, sizeof(got), &n) || n != sizeof(got))
        return broken(c, "the server's last SCRAM message is malformed");
    if (!digest_equal(got, c->own->signature, sizeof(got)))
        return broken(c, "the server's signature is wrong: it doesn't know our password");
    return said(c, CLIENT_DONE);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static enum sasl_client_step first(struct sasl_client *c, struct span challenge, struct buf *out)
{
    switch (c->mechanism) {
    case SASL_PLAIN:
        return plain(c, out);
    case SASL_LOGIN:
        buf_append_span(out, span_str(c->own->username));
        return said(c, CLIENT_PASSWORD);
    case SASL_CRAM_MD5:
        return cram(c, challenge, out);
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        return scram_first(c, challenge, out);
    case SASL_XOAUTH2:
    case SASL_OAUTHBEARER:
    case SASL_EXTERNAL:
    case SASL_COUNT:
        break;
    }
    return broken(c, "not a mechanism for a password");
}

enum sasl_client_step sasl_client_step(struct sasl_client *c, struct span challenge, struct buf *out)
{
    switch (c->own->phase) {
    case CLIENT_FIRST:
        return first(c, challenge, out);
    case CLIENT_PASSWORD:
        buf_append_span(out, span_str(c->own->password));
        return said(c, CLIENT_DONE);
    case CLIENT_SERVER_FIRST:
        return scram_challenged(c, challenge, out);
    case CLIENT_WORK:
        return broken(c, "the server asks on before it was answered");
    case CLIENT_SERVER_FINAL:
        return scram_verify(c, challenge);
    case CLIENT_DONE:
        return broken(c, "the server asks on when all is said");
    case CLIENT_BROKEN:
        break;
    }
    return SASL_CLIENT_FAILED;
}

bool sasl_client_accept(struct sasl_client *c)
{
    if (c->own->phase == CLIENT_DONE)
        return true;
    if (c->own->phase != CLIENT_BROKEN)
        (void)broken(c, "the server accepts a login before its end");
    return false;
}
