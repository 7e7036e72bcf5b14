/* The making of a server: one SSL_CTX for each set of certificates that serves some name, and a sorted table from names
 * to contexts. All files and lists are tried first, each whatever is wrong with the others, so that every fault is
 * told. */
#include "proxy/net/tls_server_impl.h"

#include "common/conf.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* Forward secrecy and AEAD alone; what still speaks TLS 1.1 has neither. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define OLD_CIPHERS CIPHERS ":ECDHE+AES:kRSA+AES:@SECLEVEL=0"

/* What only the making of a server needs. */
struct builder {
    const struct tls_settings *set;
    struct tls_faults faults;
    struct tls_pair *pair; /* set->certificates of them */
    struct server_claim {
        char *name;
        size_t pair;
    } * claim; /* a name that a certificate serves */
    size_t claims;
    X509_STORE *store; /* NULL: none */
    STACK_OF(X509_NAME) * client_cas;
    unsigned char id[SHA256_DIGEST_LENGTH];
};

/* A client's certificate is asked for and recorded, whatever it is worth. */
static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
    (void)arg;
    (void)X509_verify_cert(ctx);
    ERR_clear_error();
    return 1;
}

static void set_verification(const struct builder *b, SSL_CTX *ctx)
{
    if (b->store != NULL)
        SSL_CTX_set1_cert_store(ctx, b->store);
    if (b->client_cas != NULL)
        SSL_CTX_set0_CA_list(ctx, sk_X509_NAME_deep_copy(b->client_cas, X509_NAME_dup, X509_NAME_free));
    switch (b->set->verify_client) {
    case VERIFY_CLIENT_NONE:
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        break;
    case VERIFY_CLIENT_OPTIONAL:
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
        break;
    case VERIFY_CLIENT_REQUIRED:
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        break;
    }
}

static void set_sessions(const struct builder *b, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, b->id, sizeof b->id);
    if (b->set->session_tickets) {
        /* One: an SMTP client opens its connections one by one, and each resumption brings the next. */
        SSL_CTX_set_num_tickets(ctx, 1);
        tls_tickets_use(ctx);
    } else {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
}

static void set_suites(struct builder *b, SSL_CTX *ctx)
{
    char words[TLS_WORDS];
    const struct tls_settings *set = b->set;
    const char *ciphers = set->ciphers != NULL                ? set->ciphers
                          : set->min_version < TLS1_2_VERSION ? OLD_CIPHERS
                                                              : CIPHERS;
    ERR_clear_error();
    if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
        tls_fault(&b->faults, "ciphers", "\"%s\": %s", ciphers, tls_words(words));
    if (set->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ctx, set->ciphersuites) != 1)
        tls_fault(&b->faults, "ciphersuites", "\"%s\": %s", set->ciphersuites, tls_words(words));
    if (set->groups != NULL && SSL_CTX_set1_groups_list(ctx, set->groups) != 1)
        tls_fault(&b->faults, "groups", "\"%s\": OpenSSL knows no such list of groups", set->groups);
    ERR_clear_error();
}

/* A context without certificates. NULL or a fault told: broken. */
static SSL_CTX *make_context(struct builder *b, struct tls_server *t)
{
    SSL_CTX *ctx = tls_context_new(TLS_server_method(), &b->faults);
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_min_proto_version(ctx, (int)b->set->min_version);
    if (b->set->min_version < TLS1_2_VERSION)
        SSL_CTX_set_security_level(ctx, 0);
    set_suites(b, ctx);
    set_verification(b, ctx);
    set_sessions(b, ctx);
    tls_server_attach(t, ctx);
    return ctx;
}

/* The context for a set of certificates, which all have been tried. */
static size_t need_context(struct builder *b, struct tls_server *t, const struct pair_set *set)
{
    for (size_t i = 0; i < t->contexts; i++) {
        const struct pair_set *have = &t->context[i].pairs;
        if (have->count == set->count && memcmp(have->pair, set->pair, set->count * sizeof set->pair[0]) == 0)
            return i;
    }
    t->context = conf_grow(t->context, t->contexts + 1, sizeof *t->context);
    struct server_context *c = &t->context[t->contexts];
    *c = (struct server_context){ .ctx = make_context(b, t), .pairs = *set };
    for (unsigned i = 0; c->ctx != NULL && i < set->count; i++) {
        if (!tls_pair_use(&b->pair[set->pair[i]], c->ctx))
            b->faults.any = true;
    }
    return t->contexts++;
}

static void add_pair(const struct builder *b, struct pair_set *set, size_t pair)
{
    int type = EVP_PKEY_get_base_id(b->pair[pair].key);
    for (unsigned i = 0; i < set->count; i++) {
        if (EVP_PKEY_get_base_id(b->pair[set->pair[i]].key) == type)
            return;
    }
    if (set->count < KEY_TYPES)
        set->pair[set->count++] = pair;
}

/* Which names a certificate serves. */

static void claim(struct builder *b, size_t pair, struct span name)
{
    struct span bare = name.n > 2 && memcmp(name.p, "*.", 2) == 0 ? span_skip(name, 2) : name;
    if (!netaddr_is_hostname(bare))
        return;
    b->claim = conf_grow(b->claim, b->claims + 1, sizeof *b->claim);
    struct server_claim *c = &b->claim[b->claims++];
    *c = (struct server_claim){ .name = conf_dup(name), .pair = pair };
    for (char *p = c->name; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    }
    if (c->name[name.n - 1] == '.')
        c->name[name.n - 1] = '\0';
}

static void claim_string(struct builder *b, size_t pair, const ASN1_STRING *s)
{
    claim(b, pair, span_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

/* The alternative names, and the common name only where there are none, as clients do it. */
static void claim_own_names(struct builder *b, size_t pair)
{
    X509 *leaf = b->pair[pair].leaf;
    size_t before = b->claims;
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alt, i);
        if (name->type == GEN_DNS)
            claim_string(b, pair, name->d.dNSName);
    }
    GENERAL_NAMES_free(alt);
    X509_NAME *subject = X509_get_subject_name(leaf);
    int cn = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (b->claims == before && cn >= 0)
        claim_string(b, pair, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, cn)));
    ERR_clear_error();
}

static void claim_names(struct builder *b)
{
    for (size_t i = 0; i < b->set->certificates; i++) {
        const struct tls_certificate *c = &b->set->certificate[i];
        for (size_t k = 0; k < c->names; k++)
            claim(b, i, span_str(c->name[k]));
        if (c->names == 0)
            claim_own_names(b, i);
    }
}

static int compare_claims(const void *a, const void *b)
{
    const struct server_claim *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order != 0)
        return order;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* The default serves as the first name of the first certificate would. */
static struct pair_set default_set(const struct builder *b)
{
    struct pair_set set = { .count = 0 };
    add_pair(b, &set, 0);
    const char *first = b->claims > 0 && b->claim[0].pair == 0 ? b->claim[0].name : NULL;
    for (size_t i = 0; first != NULL && i < b->claims; i++) {
        if (strcmp(b->claim[i].name, first) == 0)
            add_pair(b, &set, b->claim[i].pair);
    }
    return set;
}

static void build_names(struct builder *b, struct tls_server *t)
{
    claim_names(b);
    struct pair_set set = default_set(b);
    t->fallback = need_context(b, t, &set);
    if (b->claims == 0)
        return;
    qsort(b->claim, b->claims, sizeof *b->claim, compare_claims);
    t->name = conf_grow(NULL, b->claims, sizeof *t->name);
    for (size_t i = 0, next; i < b->claims; i = next) {
        set.count = 0;
        for (next = i; next < b->claims && strcmp(b->claim[next].name, b->claim[i].name) == 0; next++)
            add_pair(b, &set, b->claim[next].pair);
        t->name[t->names++] =
            (struct server_name){ .name = conf_dup(span_str(b->claim[i].name)), .context = need_context(b, t, &set) };
    }
}

/* Files and suites, each looked at whatever is wrong with the others. */

static void load_pair(struct builder *b, struct tls_server *t, SSL_CTX *trial, size_t i)
{
    const struct tls_certificate *c = &b->set->certificate[i];
    char cert[64], key[64], words[TLS_WORDS];
    snprintf(cert, sizeof cert, "certificates[%zu].cert", i);
    snprintf(key, sizeof key, "certificates[%zu].key", i);
    if (!tls_pair_load(&b->pair[i], cert, c->cert, key, c->key, &b->faults))
        return;
    t->not_after[i] = tls_pair_not_after(&b->pair[i]);
    if (trial != NULL && !tls_pair_use(&b->pair[i], trial))
        tls_fault(&b->faults, cert, "%s: %s", c->cert, tls_words(words));
}

static void load_client_ca(struct builder *b)
{
    const struct tls_settings *set = b->set;
    if (set->client_ca == NULL && set->verify_client == VERIFY_CLIENT_REQUIRED)
        tls_fault(&b->faults, "verify_client", "\"required\" needs client_ca");
    if (set->client_ca == NULL)
        return;
    b->client_cas = sk_X509_NAME_new_null();
    b->store = tls_store_load("client_ca", set->client_ca, b->client_cas, &b->faults);
}

/* Sessions go over from one context to another only where both ask the same of the client: else a ticket of a listener
 * that verifies nobody would open one that does. */
static void make_id(struct builder *b)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    unsigned char mode = (unsigned char)b->set->verify_client, digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    STACK_OF(X509_OBJECT) *trusted = b->store != NULL ? X509_STORE_get0_objects(b->store) : NULL;
    if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
        abort();
    EVP_DigestUpdate(sha, &mode, 1);
    for (int i = 0; mode != VERIFY_CLIENT_NONE && i < sk_X509_OBJECT_num(trusted); i++) {
        X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        if (x != NULL && X509_digest(x, EVP_sha256(), digest, &n) == 1)
            EVP_DigestUpdate(sha, digest, n);
    }
    EVP_DigestFinal_ex(sha, b->id, NULL);
    EVP_MD_CTX_free(sha);
}

static void load(struct builder *b, struct tls_server *t)
{
    load_client_ca(b);
    make_id(b);
    SSL_CTX *trial = make_context(b, t);
    for (size_t i = 0; i < b->set->certificates; i++)
        load_pair(b, t, trial, i);
    SSL_CTX_free(trial);
}

static void builder_free(struct builder *b)
{
    for (size_t i = 0; i < b->set->certificates; i++)
        tls_pair_free(&b->pair[i]);
    for (size_t i = 0; i < b->claims; i++)
        free(b->claim[i].name);
    free(b->pair);
    free(b->claim);
    X509_STORE_free(b->store);
    sk_X509_NAME_pop_free(b->client_cas, X509_NAME_free);
}

struct tls_server *tls_server_new(const struct tls_settings *set, const char *where, settings_fault *fault, void *arg)
{
    struct builder b = { .set = set, .faults = { .where = where, .tell = fault, .arg = arg } };
    if (set->certificates == 0) {
        tls_fault(&b.faults, "certificates", "must not be empty");
        return NULL;
    }
    struct tls_server *t = conf_grow(NULL, 1, sizeof *t);
    *t = (struct tls_server){ .certificates = set->certificates, .verify_client = set->verify_client };
    atomic_init(&t->refs, 1);
    t->not_after = conf_grow(NULL, set->certificates, sizeof *t->not_after);
    b.pair = conf_grow(NULL, set->certificates, sizeof *b.pair);
    memset(t->not_after, 0, set->certificates * sizeof *t->not_after);
    memset(b.pair, 0, set->certificates * sizeof *b.pair);
    load(&b, t);
    if (!b.faults.any)
        build_names(&b, t);
    builder_free(&b);
    if (b.faults.any)
        tls_server_unref(&t);
    return t;
}
