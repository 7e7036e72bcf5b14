/* What the files of the stream share; nobody else includes this. */
#ifndef PROXY_NET_STREAM_IMPL_H
#define PROXY_NET_STREAM_IMPL_H

#include <sys/types.h>

#include "proxy/net/stream.h"

/* As read(): bytes, 0 at the peer's end, or -1 with errno (EAGAIN: nothing now). */
ssize_t stream_tls_read(struct stream *s, char *to, size_t room);
/* Whether OpenSSL has bytes that it took from the socket, of whole records or not. */
bool stream_tls_holds(const struct stream *s);
/* As send(): all that the socket takes now. */
ssize_t stream_tls_write(struct stream *s, const char *from, size_t n);
/* Octets that TLS has sent of its own accord since it took the owner's last: replies to a KeyUpdate, alerts. */
uint64_t stream_tls_since(const struct stream *s);
enum stream_tls_progress { STREAM_TLS_GOES_ON, STREAM_TLS_DONE, STREAM_TLS_FAILED };
/* Goes on with the handshake. FAILED: the reason is in why. */
enum stream_tls_progress stream_tls_handshake(struct stream *s, char *why, size_t size);
/* Says close_notify, if that is possible now. */
void stream_tls_bye(struct stream *s);
void stream_tls_free(struct stream *s);
void stream_tls_attach(struct stream *s, struct ssl_st *ssl);

#endif
