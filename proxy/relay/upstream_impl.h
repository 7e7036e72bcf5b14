/* What the files of the upstream leg share; nobody else includes this. */
#ifndef PROXY_RELAY_UPSTREAM_IMPL_H
#define PROXY_RELAY_UPSTREAM_IMPL_H

#include "proxy/relay/upstream.h"

/* upstream.c */
/* Tells the owner, and ends it. */
void upstream_lose(struct upstream *u, const struct upstream_loss *loss, enum close_reason reason);
/* Sets the timer for what is awaited now. */
void upstream_arm(struct upstream *u);
/* The connection has come to be: its record, once. */
void upstream_note_connected(struct upstream *u);

/* upstream_socket.c */
/* -1: errno says why. */
int upstream_socket_connect(const struct endpoint *at, const struct netaddr *addr) MUST_CHECK;
bool upstream_socket_connected(int fd);

/* upstream_tls.c */
/* What the engine does about STARTTLS; clear: as for upstream_open(). */
enum smtp_client_tls upstream_tls_mode(const struct upstream_settings *set, const struct endpoint *at,
                                       const struct netaddr *addr, bool clear);
/* Whether logins would go in clear to a name that was local for the settings, and isn't. */
bool upstream_would_leak(const struct upstream_settings *set, const struct endpoint *at, const struct netaddr *addr);
/* False: no TLS session can be made. */
bool upstream_begin_tls(struct upstream *u) MUST_CHECK;
/* The same, which ends it where it fails. */
void upstream_start_tls(struct upstream *u);
/* The PROXY header has left, and TLS may begin behind it. */
void upstream_begin_implicit(struct upstream *u);
/* For stream_ops. */
void upstream_secured(void *owner, const char *why);
/* T10: that the mail goes in clear is logged. */
void upstream_note_refused_tls(const struct upstream *u, const struct smtp_reply *reply);

/* upstream_tell.c */
/* For upstream_open(): the header is to leave before all else; TLS waits for that (tls_waits). */
void upstream_say_header(struct upstream *u, const struct upstream_proxy *proxy);

#endif
