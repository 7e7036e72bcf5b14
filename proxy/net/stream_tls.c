/* TLS under a stream. OpenSSL reads ahead into its own buffer, so a socket that is silent may still have bytes for us:
 * reading goes on until OpenSSL holds nothing more, or wants the socket. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proxy/net/stream_impl.h"
#include "proxy/net/tls.h"

void stream_tls_attach(struct stream *s, struct ssl_st *ssl)
{
    s->ssl = ssl;
    SSL_set_fd(ssl, s->fd);
}

void stream_tls_free(struct stream *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
    s->handshaking = false;
}

/* A peer that closes without close_notify takes nothing from us: a message ends with its dot, not with the connection.
 */
static bool is_plain_end(unsigned long e)
{
    return ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

static int broke(struct stream *s)
{
    if (s->tls_error == 0)
        s->tls_error = ERR_peek_error();
    return EPROTO;
}

/* What an operation that did not succeed means, as errno; 0 is the peer's end. */
static int error_of(struct stream *s, int result)
{
    int saved = errno;
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        s->tls_wants_write = true;
        return EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return saved == EAGAIN || saved == 0 ? broke(s) : saved;
    default:
        return is_plain_end(ERR_peek_error()) ? 0 : broke(s);
    }
}

ssize_t stream_tls_read(struct stream *s, char *to, size_t room)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_read(s->ssl, to, room > INT32_MAX ? INT32_MAX : (int)room);
    if (n > 0)
        return n;
    int err = error_of(s, n);
    if (err == 0)
        return 0;
    errno = err;
    return -1;
}

static uint64_t octets_sent(const struct stream *s) { return BIO_number_written(SSL_get_wbio(s->ssl)); }

ssize_t stream_tls_write(struct stream *s, const char *from, size_t n)
{
    size_t done = 0;
    while (done < n) {
        size_t part = n - done;
        ERR_clear_error();
        errno = 0;
        int result = SSL_write(s->ssl, from + done, part > INT32_MAX ? INT32_MAX : (int)part);
        if (result > 0) {
            done += (size_t)result;
            continue;
        }
        int err = error_of(s, result);
        if (err == EAGAIN)
            break;
        errno = err == 0 ? EPIPE : err;
        return -1;
    }
    s->tls_sent = octets_sent(s);
    if (done > 0)
        return (ssize_t)done;
    errno = EAGAIN;
    return -1;
}

uint64_t stream_tls_since(const struct stream *s) { return octets_sent(s) - s->tls_sent; }

bool stream_tls_holds(const struct stream *s) { return SSL_has_pending(s->ssl) == 1; }

enum stream_tls_progress stream_tls_handshake(struct stream *s, char *why, size_t size)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(s->ssl);
    if (result == 1)
        return STREAM_TLS_DONE;
    int error = SSL_get_error(s->ssl, result);
    s->tls_wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return STREAM_TLS_GOES_ON;
    tls_reason(s->ssl, result, why, size);
    return STREAM_TLS_FAILED;
}

void stream_tls_bye(struct stream *s)
{
    if (s->handshaking)
        return;
    ERR_clear_error();
    SSL_shutdown(s->ssl);
    ERR_clear_error();
}

void stream_wipe_input(struct stream *s, bool on)
{
    if (s->ssl == NULL)
        return;
    if (on)
        SSL_set_options(s->ssl, SSL_OP_CLEANSE_PLAINTEXT);
    else
        SSL_clear_options(s->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}
