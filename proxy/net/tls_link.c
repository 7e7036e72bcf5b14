/* See tls_link.h. */
#include "proxy/net/tls_link.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

struct tls_client *tls_link_client(const char *ca, const char *cert, const char *key, const char *where,
                                   settings_fault *fault, void *arg)
{
    struct upstream_settings set = { .tls = UPSTREAM_TLS_IMPLICIT,
                                     .tls_verify = true,
                                     .tls_ca = (char *)(uintptr_t)ca,
                                     .tls_cert = (char *)(uintptr_t)cert,
                                     .tls_key = (char *)(uintptr_t)key };
    return tls_client_new(&set, where, fault, arg);
}

struct ssl_st *tls_link_new(struct tls_client *client, int fd, const char *name)
{
    SSL *ssl = tls_client_ssl(client, name, name);
    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1)
        tls_ssl_free(&ssl);
    return ssl;
}

/* What an operation that did not succeed means. */
static ssize_t outcome(SSL *ssl, int result, short *events, char why[TLS_LINK_WHY])
{
    int saved = errno;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLIN | POLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        if (saved != 0 && saved != EAGAIN)
            return -saved;
        break;
    default:
        break;
    }
    errno = saved;
    tls_reason(ssl, result, why, TLS_LINK_WHY);
    return -EPROTO;
}

ssize_t tls_link_shake(struct ssl_st *ssl, short *events, char why[TLS_LINK_WHY])
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(ssl);
    if (result == 1)
        return 1;
    ssize_t n = outcome(ssl, result, events, why);
    return n != 0 ? n : -ECONNRESET;
}

ssize_t tls_link_read(struct ssl_st *ssl, char *to, size_t n, short *events, char why[TLS_LINK_WHY])
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_read(ssl, to, (int)min_size(n, INT32_MAX));
    return result > 0 ? result : outcome(ssl, result, events, why);
}

ssize_t tls_link_write(struct ssl_st *ssl, const char *p, size_t n, short *events, char why[TLS_LINK_WHY])
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_write(ssl, p, (int)min_size(n, INT32_MAX));
    if (result > 0)
        return result;
    ssize_t error = outcome(ssl, result, events, why);
    return error != 0 ? error : -EPIPE;
}

uint64_t tls_link_wire(struct ssl_st *ssl) { return BIO_number_written(SSL_get_wbio(ssl)); }

void tls_link_end(struct ssl_st *ssl)
{
    if (SSL_is_init_finished(ssl) && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0)
        SSL_shutdown(ssl);
    ERR_clear_error();
}

void tls_link_free(struct ssl_st **ssl)
{
    if (*ssl != NULL)
        tls_link_end(*ssl);
    tls_ssl_free(ssl);
}
