/* Tries again and again whether a resting server is back: connect, 220, EHLO, QUIT, every health.probe. One worker
 * probes a server; clients need not find out for themselves. */
#ifndef PROXY_RELAY_PROBE_H
#define PROXY_RELAY_PROBE_H

#include "proxy/worker.h"

/* If the server rests now and nobody probes it yet, this worker does. */
void probe_start(struct worker *w, const struct upstream_settings *set, size_t server);
/* The worker stops. */
void probe_stop_all(struct worker *w);

#endif
