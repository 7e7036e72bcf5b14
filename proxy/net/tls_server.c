/* Connections of a server: each begins with the default's context and is moved to another when the ClientHello is
 * there; all contexts are alike but for the certificates, so nothing else changes by the move.
 *
 * Each SSL holds a reference to its tls_server and the name that its client asked for. Nothing of a session is kept
 * here: tickets carry it. */
#include "proxy/net/tls_server_impl.h"

#include "common/conf.h"

#include <pthread.h>
#include <stdlib.h>

enum { SNI_MAX = 255 };

/* What belongs to one SSL. */
struct server_link {
    struct tls_server *server;
    char *asked; /* NULL: no name */
    bool matched;
};

static int link_index = -1;

static void free_link(void *ssl, void *link, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)ssl, (void)data, (void)index, (void)argl, (void)argp;
    struct server_link *l = link;
    if (l == NULL)
        return;
    tls_server_unref(&l->server);
    free(l->asked);
    free(l);
}

static void make_index(void) { link_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_link); }

static void need_index(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
}

static int compare_names(const void *a, const void *b)
{
    const struct server_name *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const struct server_name *find_name(const struct tls_server *t, char *name)
{
    struct server_name key = { .name = name };
    return t->names > 0 ? bsearch(&key, t->name, t->names, sizeof key, compare_names) : NULL;
}

/* Exact first, then with a wildcard for the first label. */
static const struct server_name *match_name(const struct tls_server *t, struct span asked)
{
    char name[SNI_MAX + 1];
    if (asked.n > 0 && asked.p[asked.n - 1] == '.')
        asked.n--;
    if (asked.n == 0 || asked.n > SNI_MAX || memchr(asked.p, '\0', asked.n) != NULL ||
        memchr(asked.p, '*', asked.n) != NULL)
        return NULL;
    for (size_t i = 0; i < asked.n; i++)
        name[i] = asked.p[i] >= 'A' && asked.p[i] <= 'Z' ? (char)(asked.p[i] + ('a' - 'A')) : asked.p[i];
    name[asked.n] = '\0';
    const struct server_name *found = find_name(t, name);
    char *dot = strchr(name, '.');
    if (found != NULL || dot == NULL || dot == name)
        return found;
    dot[-1] = '*';
    return find_name(t, dot - 1);
}

/* The one host name of a server_name extension; SPAN_NONE where it is malformed, which OpenSSL itself will refuse. */
static struct span parse_sni(const unsigned char *p, size_t n)
{
    enum { HEAD = 5, HOST_NAME = 0 };
    if (n < HEAD || p[2] != HOST_NAME)
        return SPAN_NONE;
    size_t length = (size_t)p[3] << 8 | p[4];
    return length <= n - HEAD ? span_of((const char *)p + HEAD, length) : SPAN_NONE;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls_server *t = arg;
    struct server_link *l = SSL_get_ex_data(ssl, link_index);
    const unsigned char *p;
    size_t n;
    if (l == NULL || SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    struct span asked = parse_sni(p, n);
    free(l->asked);
    l->asked = asked.n > 0 ? conf_dup(span_head(asked, SNI_MAX)) : NULL;
    const struct server_name *found = match_name(t, asked);
    l->matched = found != NULL;
    if (found != NULL && found->context != t->fallback)
        SSL_set_SSL_CTX(ssl, t->context[found->context].ctx);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Says to the client whether its name made a difference. */
static int on_servername(SSL *ssl, int *alert, void *arg)
{
    (void)alert, (void)arg;
    const struct server_link *l = SSL_get_ex_data(ssl, link_index);
    return l != NULL && l->matched ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void tls_server_attach(struct tls_server *t, SSL_CTX *ctx)
{
    need_index();
    SSL_CTX_set_client_hello_cb(ctx, on_hello, t);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_server_unref(struct tls_server **tp)
{
    struct tls_server *t = *tp;
    *tp = NULL;
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->contexts; i++)
        SSL_CTX_free(t->context[i].ctx);
    for (size_t i = 0; i < t->names; i++)
        free(t->name[i].name);
    free(t->context);
    free(t->name);
    free(t->not_after);
    free(t);
}

int64_t tls_server_not_after(const struct tls_server *t, size_t certificate) { return t->not_after[certificate]; }

struct ssl_st *tls_server_ssl(struct tls_server *t)
{
    SSL *ssl = SSL_new(t->context[t->fallback].ctx);
    if (ssl == NULL)
        return NULL;
    struct server_link *l = conf_grow(NULL, 1, sizeof *l);
    *l = (struct server_link){ .server = tls_server_ref(t) };
    if (SSL_set_ex_data(ssl, link_index, l) != 1) {
        free_link(NULL, l, NULL, 0, 0, NULL);
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

/* A certificate that was verified once is not taken on trust for ever: its session ends with its first ticket. */
bool tls_server_renews(SSL *ssl)
{
    const struct server_link *l = SSL_get_ex_data(ssl, link_index);
    return l != NULL && l->server->verify_client == VERIFY_CLIENT_NONE;
}

const char *tls_server_asked(const SSL *ssl, bool *matched)
{
    need_index();
    const struct server_link *l = SSL_get_ex_data(ssl, link_index);
    if (l == NULL)
        return NULL;
    *matched = l->matched;
    return l->asked != NULL ? l->asked : "";
}
