/* An upstream's context. The last session of each server is remembered, so that the next connection to it resumes;
 * every SSL gets a copy, for OpenSSL writes into the sessions of broken connections. A session that was offered in a
 * handshake which then failed is forgotten. */
#include "proxy/net/tls_private.h"

#include "common/conf.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SESSIONS_MAX = 128 };

struct slot {
    char *server; /* NULL: free */
    SSL_SESSION *session;
};

struct tls_client {
    atomic_uint refs;
    SSL_CTX *ctx;
    char *name; /* to verify against, in place of the server's; NULL: not set */
    bool verify, has_certificate;
    int64_t not_after; /* of the client certificate */
    pthread_mutex_t lock;
    struct slot slot[SESSIONS_MAX];
    unsigned next; /* the slot that goes when all are taken */
};

/* What belongs to one SSL. */
struct client_link {
    struct tls_client *client;
    bool offered; /* a session of before */
    bool named;
    char server[]; /* under which its session is kept */
};

static int link_index = -1;

/* The lock is held. */
static struct slot *find_slot(struct tls_client *t, const char *server)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (t->slot[i].server != NULL && strcmp(t->slot[i].server, server) == 0)
            return &t->slot[i];
    }
    return NULL;
}

static void clear_slot(struct slot *s)
{
    free(s->server);
    SSL_SESSION_free(s->session);
    *s = (struct slot){ .server = NULL };
}

static struct slot *take_slot(struct tls_client *t, const char *server)
{
    struct slot *s = find_slot(t, server);
    for (size_t i = 0; s == NULL && i < SESSIONS_MAX; i++) {
        if (t->slot[i].server == NULL)
            s = &t->slot[i];
    }
    if (s == NULL)
        s = &t->slot[t->next++ % SESSIONS_MAX];
    clear_slot(s);
    return s;
}

/* OpenSSL's callback: after the handshake in TLS 1.3, at its end before. 0: the reference stays with the caller. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client_link *l = SSL_get_ex_data(ssl, link_index);
    SSL_SESSION *copy = l != NULL && SSL_SESSION_is_resumable(session) ? SSL_SESSION_dup(session) : NULL;
    if (copy == NULL)
        return 0;
    pthread_mutex_lock(&l->client->lock);
    struct slot *s = take_slot(l->client, l->server);
    *s = (struct slot){ .server = conf_dup(span_str(l->server)), .session = copy };
    pthread_mutex_unlock(&l->client->lock);
    return 0;
}

static void offer_session(SSL *ssl, struct client_link *l)
{
    SSL_SESSION *copy = NULL;
    pthread_mutex_lock(&l->client->lock);
    struct slot *s = find_slot(l->client, l->server);
    if (s != NULL)
        copy = SSL_SESSION_dup(s->session);
    pthread_mutex_unlock(&l->client->lock);
    if (copy == NULL)
        return;
    l->offered = SSL_set_session(ssl, copy) == 1;
    SSL_SESSION_free(copy);
}

static void forget_session(struct client_link *l)
{
    pthread_mutex_lock(&l->client->lock);
    struct slot *s = find_slot(l->client, l->server);
    if (s != NULL)
        clear_slot(s);
    pthread_mutex_unlock(&l->client->lock);
}

static void free_link(void *ssl, void *link, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)data, (void)index, (void)argl, (void)argp;
    struct client_link *l = link;
    if (l == NULL)
        return;
    if (l->offered && !SSL_is_init_finished(ssl))
        forget_session(l);
    tls_client_unref(&l->client);
    free(l);
}

static void make_index(void) { link_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_link); }

static void need_index(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
}

static void load_certificate(struct tls_client *t, const struct upstream_settings *set, struct tls_faults *f)
{
    struct tls_pair pair;
    char words[TLS_WORDS];
    if (tls_pair_load(&pair, "tls_cert", set->tls_cert, "tls_key", set->tls_key, f)) {
        t->has_certificate = true;
        t->not_after = tls_pair_not_after(&pair);
        if (t->ctx != NULL && !tls_pair_use(&pair, t->ctx))
            tls_fault(f, "tls_cert", "%s: %s", set->tls_cert, tls_words(words));
    }
    tls_pair_free(&pair);
}

static void set_trust(struct tls_client *t, const struct upstream_settings *set, struct tls_faults *f)
{
    X509_STORE *store = set->tls_ca != NULL ? tls_store_load("tls_ca", set->tls_ca, NULL, f) : NULL;
    if (t->ctx == NULL || (store == NULL && set->tls_ca != NULL))
        return;
    if (store != NULL)
        SSL_CTX_set_cert_store(t->ctx, store);
    else
        SSL_CTX_set_default_verify_paths(t->ctx);
    /* Without SSL_VERIFY_PEER the certificate is looked at all the same, and its result kept for the record. */
    SSL_CTX_set_verify(t->ctx, t->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    ERR_clear_error();
}

struct tls_client *tls_client_new(const struct upstream_settings *set, const char *where, settings_fault *fault,
                                  void *arg)
{
    struct tls_faults f = { .where = where, .tell = fault, .arg = arg };
    need_index();
    struct tls_client *t = conf_grow(NULL, 1, sizeof *t);
    *t = (struct tls_client){ .ctx = tls_context_new(TLS_client_method(), &f), .verify = set->tls_verify };
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->lock, NULL);
    t->name = set->tls_name != NULL ? conf_dup(span_str(set->tls_name)) : NULL;
    if (t->ctx != NULL) {
        SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
        SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(t->ctx, on_session);
    }
    set_trust(t, set, &f);
    if (set->tls_cert != NULL || set->tls_key != NULL)
        load_certificate(t, set, &f);
    if (f.any)
        tls_client_unref(&t);
    return t;
}

struct tls_client *tls_client_ref(struct tls_client *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_client_unref(struct tls_client **tp)
{
    struct tls_client *t = *tp;
    *tp = NULL;
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        clear_slot(&t->slot[i]);
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    free(t->name);
    free(t);
}

bool tls_client_not_after(const struct tls_client *t, int64_t *out)
{
    *out = t->not_after;
    return t->has_certificate;
}

/* What the certificate must say, and what the server is asked for. False: OpenSSL does not take it. */
static bool set_name(SSL *ssl, struct client_link *l, const char *name)
{
    char bare[256];
    struct netaddr ip;
    struct span s = span_str(name);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n == 0 || s.n >= sizeof bare)
        return s.n == 0;
    memcpy(bare, s.p, s.n);
    bare[s.n] = '\0';
    l->named = true;
    if (netaddr_parse_ip(&ip, s))
        return X509_VERIFY_PARAM_set1_ip(param, ip.ip, ip.family == NETADDR_IPV4 ? 4 : 16) == 1;
    return X509_VERIFY_PARAM_set1_host(param, bare, s.n) == 1 && SSL_set_tlsext_host_name(ssl, bare) == 1;
}

/* Owned by the SSL; NULL: out of memory. */
static struct client_link *add_link(SSL *ssl, struct tls_client *t, const char *server, const char *name)
{
    size_t size = strlen(server) + 1 + strlen(name) + 1;
    struct client_link *l = conf_grow(NULL, 1, sizeof *l + size);
    *l = (struct client_link){ .client = tls_client_ref(t) };
    snprintf(l->server, size, "%s %s", server, name);
    if (SSL_set_ex_data(ssl, link_index, l) == 1)
        return l;
    tls_client_unref(&l->client);
    free(l);
    return NULL;
}

struct ssl_st *tls_client_ssl(struct tls_client *t, const char *server, const char *name)
{
    SSL *ssl = SSL_new(t->ctx);
    name = t->name != NULL ? t->name : name != NULL ? name : "";
    struct client_link *l = ssl != NULL ? add_link(ssl, t, server, name) : NULL;
    /* To verify without a name would be to trust whomever a CA knows. */
    if (l == NULL || !set_name(ssl, l, name) || (t->verify && !l->named)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    offer_session(ssl, l);
    return ssl;
}

bool tls_client_named(const SSL *ssl)
{
    need_index();
    const struct client_link *l = SSL_get_ex_data(ssl, link_index);
    return l != NULL && l->named;
}
