/* How many connections there are and may be: over all, a listener, a client address; and how fast a client may open new
 * ones. Shared by all workers; any thread. IPv6 clients are counted by their /64. */
#ifndef PROXY_RELAY_LIMITS_H
#define PROXY_RELAY_LIMITS_H

#include "proxy/net/listener.h"

struct limits;
enum limits_verdict { LIMITS_OK, LIMITS_FULL, LIMITS_CLIENT, LIMITS_RATE };

struct limits *limits_new(void);
void limits_free(struct limits **l);
/* Counts a new connection in, whatever the verdict is; limits_leave() counts it out. global: settings.limits; set: the
 * listener's. memory: bytes of session buffers in use now, as the caller estimates them. */
enum limits_verdict limits_enter(struct limits *l, struct listener *listener, const struct netaddr *client,
                                 const struct limits_settings *global, const struct limits_settings *set, usec_t now);
void limits_leave(struct limits *l, struct listener *listener, const struct netaddr *client);

#endif
