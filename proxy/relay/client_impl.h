/* What the files of the client leg share; nobody else includes this. */
#ifndef PROXY_RELAY_CLIENT_IMPL_H
#define PROXY_RELAY_CLIENT_IMPL_H

#include "proxy/relay/client.h"

/* client.c */
void client_set_timer(struct client *c, enum client_wait wait, usec_t duration);
void client_clear_timer(struct client *c);

/* client_proxy.c */
/* Waits for the header, within timeouts.greeting. */
void client_proxy_begin(struct client *c);
/* Bytes of it have come, or the end. */
void client_proxy_readable(struct client *c);
/* The time is over. */
void client_proxy_late(struct client *c);

/* client_tls.c */
/* The handshake that STARTTLS asked for, once its 220 has left. True: not to be read on in clear. */
bool client_begin_starttls(struct client *c);
/* For stream_ops. */
void client_secured(void *owner, const char *why);
/* TLS failed after the handshake: recorded. */
void client_note_broken_tls(const struct client *c);

/* client_end.c */
/* The end of the dialogue. */
void client_leave(struct client *c, enum close_reason reason);
/* The end of the connection. */
void client_finish(struct client *c);
/* What lingers has brought bytes, or its end; has nothing unsent any more. */
void client_linger_readable(struct client *c);
void client_linger_drained(struct client *c);

#endif
