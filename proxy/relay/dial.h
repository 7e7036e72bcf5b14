/* Finds a server and prepares a connection to it: names, connect, greeting, EHLO, our own login; the next server where one fails; all
 * of it within upstream.timeouts.prepare. Each failure is an `error` record with its stage. */
#ifndef PROXY_RELAY_DIAL_H
#define PROXY_RELAY_DIAL_H

#include "proxy/relay/upstream.h"

struct worker;
struct dial;

struct dial_ops {
    /* u is ready and the caller's, who must set its ops. */
    void (*done)(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo, unsigned attempts);
    /* greeting: the last 4xx or 5xx that a server greeted us with, or NULL. busy: every server was at its
     * max_connections. */
    void (*failed)(void *owner, const struct smtp_reply *greeting, bool busy);
    /* A connection came to be; it is gone for good. The trace and the settings must live that long. */
    void (*opened)(void *owner);
    void (*freed)(void *owner);
};

/* skip: the server that was just lost, to be tried last, or set->servers. Never calls back before it returns. */
struct dial *dial_start(struct worker *w, const struct trace *trace, const struct upstream_settings *set, size_t skip,
                        const struct dial_ops *ops, void *owner) MUST_CHECK;
/* The same with this server alone, to see how it is: without logging in. */
struct dial *dial_server(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                         size_t server, const struct dial_ops *ops, void *owner) MUST_CHECK;
void dial_cancel(struct dial **d);

#endif
