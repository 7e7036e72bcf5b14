/* Certificates and keys from files, and a context's common ground. Each fault names the key of the configuration and
 * the file. Only regular files are read: a pipe could make us wait for ever. */
#include "proxy/net/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 4 << 20 };

struct file {
    char *text;
    size_t n;
};

void tls_fault(struct tls_faults *f, const char *key, const char *fmt, ...)
{
    char *text, *whole;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0 || asprintf(&whole, "%s.%s: %s", f->where, key, text) < 0)
        abort();
    va_end(ap);
    f->any = true;
    f->tell(f->arg, whole);
    free(text);
    free(whole);
}

SSL_CTX *tls_context_new(const SSL_METHOD *method, struct tls_faults *f)
{
    char words[TLS_WORDS];
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        tls_fault(f, "tls", "OpenSSL can't start: %s", tls_words(words));
        return NULL;
    }
    /* SMTP marks its own ends, so a connection that is cut without close_notify is an ordinary end of input. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

/* An errno, or 0. */
static int read_bytes(int fd, struct file *out, size_t size)
{
    out->text = OPENSSL_malloc(size + 1);
    if (out->text == NULL)
        abort();
    while (out->n < size) {
        ssize_t n = read(fd, out->text + out->n, size - out->n);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            break;
        out->n += n > 0 ? (size_t)n : 0;
    }
    out->text[out->n] = '\0';
    return 0;
}

static bool read_file(const char *key, const char *name, struct file *out, struct tls_faults *f)
{
    struct stat st;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error = 0;
    *out = (struct file){ .n = 0 };
    if (fd < 0 || fstat(fd, &st) != 0)
        error = errno;
    else if (S_ISDIR(st.st_mode))
        error = EISDIR;
    else if (S_ISREG(st.st_mode) && st.st_size <= FILE_MAX_BYTES)
        error = read_bytes(fd, out, (size_t)st.st_size);
    else
        error = -1;
    if (fd >= 0)
        close(fd);
    if (error > 0)
        tls_fault(f, key, "%s: %s", name, strerror(error));
    else if (error < 0)
        tls_fault(f, key, "%s: is not a regular file of at most %d MiB", name, FILE_MAX_BYTES >> 20);
    return error == 0;
}

/* Whoever holds this may be a key: nothing of it stays in memory. */
static void file_free(struct file *f) { OPENSSL_clear_free(f->text, f->n); }

static BIO *file_bio(const struct file *f)
{
    BIO *bio = BIO_new_mem_buf(f->text, (int)f->n);
    if (bio == NULL)
        abort();
    return bio;
}

/* The queue says that the text had no further block of the wanted kind. */
static bool at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* No passphrase is ever asked for. */
static int refuse_passphrase(char *buf, int size, int writing, void *asked)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool parse_certificates(BIO *bio, STACK_OF(X509) * list)
{
    X509 *x;
    bool asked;
    while ((x = PEM_read_bio_X509(bio, NULL, refuse_passphrase, &asked)) != NULL) {
        if (!sk_X509_push(list, x))
            abort();
    }
    return at_end();
}

/* At least one certificate, or NULL and a fault. */
static STACK_OF(X509) * load_certificates(const char *key, const char *name, struct tls_faults *f)
{
    char words[TLS_WORDS];
    struct file file;
    STACK_OF(X509) *list = NULL;
    if (read_file(key, name, &file, f)) {
        BIO *bio = file_bio(&file);
        ERR_clear_error();
        list = sk_X509_new_null();
        bool whole = parse_certificates(bio, list);
        bool good = whole && sk_X509_num(list) > 0;
        if (whole && !good)
            tls_fault(f, key, "%s: has no certificate in PEM form", name);
        else if (!good)
            tls_fault(f, key, "%s: certificate %d can't be read: %s", name, sk_X509_num(list) + 1, tls_words(words));
        ERR_clear_error();
        BIO_free(bio);
        if (!good) {
            sk_X509_pop_free(list, X509_free);
            list = NULL;
        }
    }
    file_free(&file);
    return list;
}

static bool has_key(const struct file *f) { return f->text != NULL && strstr(f->text, "PRIVATE KEY-----") != NULL; }

static EVP_PKEY *load_key(const char *key, const char *name, struct tls_faults *f)
{
    char words[TLS_WORDS];
    struct file file;
    EVP_PKEY *k = NULL;
    if (read_file(key, name, &file, f)) {
        BIO *bio = file_bio(&file);
        bool asked = false;
        ERR_clear_error();
        k = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
        if (k == NULL && asked)
            tls_fault(f, key, "%s: is locked with a passphrase, which can't be given here", name);
        else if (k == NULL && !has_key(&file))
            tls_fault(f, key, "%s: has no private key in PEM form", name);
        else if (k == NULL)
            tls_fault(f, key, "%s: the key can't be read: %s", name, tls_words(words));
        ERR_clear_error();
        BIO_free(bio);
    }
    file_free(&file);
    return k;
}

bool tls_pair_load(struct tls_pair *out, const char *cert_key, const char *cert, const char *key_key, const char *key,
                   struct tls_faults *f)
{
    *out = (struct tls_pair){ .chain = cert != NULL ? load_certificates(cert_key, cert, f) : NULL,
                              .key = key != NULL ? load_key(key_key, key, f) : NULL };
    f->any |= cert == NULL || key == NULL;
    if (out->chain != NULL)
        out->leaf = sk_X509_shift(out->chain);
    if (out->leaf == NULL || out->key == NULL)
        return false;
    bool fits = X509_check_private_key(out->leaf, out->key) == 1;
    ERR_clear_error();
    if (!fits)
        tls_fault(f, key_key, "%s: does not fit the certificate", key);
    return fits;
}

bool tls_pair_use(const struct tls_pair *p, SSL_CTX *ctx)
{
    return SSL_CTX_use_cert_and_key(ctx, p->leaf, p->key, p->chain, 1) == 1;
}

int64_t tls_pair_not_after(const struct tls_pair *p)
{
    struct tm tm;
    return ASN1_TIME_to_tm(X509_get0_notAfter(p->leaf), &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

void tls_pair_free(struct tls_pair *p)
{
    X509_free(p->leaf);
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
    *p = (struct tls_pair){ .leaf = NULL };
}

X509_STORE *tls_store_load(const char *key, const char *file, STACK_OF(X509_NAME) * names, struct tls_faults *f)
{
    STACK_OF(X509) *list = load_certificates(key, file, f);
    if (list == NULL)
        return NULL;
    X509_STORE *store = X509_STORE_new();
    if (store == NULL)
        abort();
    for (int i = 0; i < sk_X509_num(list); i++) {
        X509 *x = sk_X509_value(list, i);
        if (!X509_STORE_add_cert(store, x) ||
            (names != NULL && !sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(x)))))
            abort();
    }
    /* What the file names is trusted as it is: a root, a CA below one, or the one certificate itself. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    sk_X509_pop_free(list, X509_free);
    return store;
}
