/* Finds a server and prepares a connection to it: names, connect, PROXY header, greeting, EHLO, XCLIENT, our own login;
 * the next server where one fails; all of it within upstream.timeouts.prepare. Each failure is an `error` record with
 * its stage. */
#ifndef PROXY_RELAY_DIAL_H
#define PROXY_RELAY_DIAL_H

#include "proxy/relay/upstream.h"

struct worker;
struct dial;

/* Why no server could be had. */
struct dial_failure {
    const struct smtp_reply *greeting; /* the last 4xx or 5xx that a server greeted us with, or NULL */
    const struct smtp_reply *judged;   /* a refusal of the client, not of us: by XCLIENT, or by greetings after PROXY */
    bool busy;                         /* every server was at its max_connections */
};

/* XCLIENT is said now; when dial_go_on() is called; not in this dial. */
enum dial_tell { DIAL_TELL_NOW, DIAL_TELL_WAIT, DIAL_TELL_LATER };

struct dial_ops {
    /* u is ready and the caller's, who must set its ops. */
    void (*done)(void *owner, struct upstream *u, size_t server, const struct smtp_reply *ehlo, unsigned attempts);
    void (*failed)(void *owner, const struct dial_failure *why);
    /* The ends to tell by PROXY; NULL: nobody stands behind the connection (a probe), and there is no login. */
    void (*ends)(void *owner, struct netaddr *from, struct netaddr *to);
    /* What to tell by XCLIENT, and the name for the EHLO behind it. NULL: nothing. */
    enum dial_tell (*tell)(void *owner, struct smtp_xattrs *attrs, const char **hello);
    /* A connection came to be; it is gone for good. The trace and the settings must live that long. */
    void (*opened)(void *owner);
    void (*freed)(void *owner);
};

/* skip: the server that was just lost, to be tried last, or set->servers. Never calls back before it returns. */
struct dial *dial_start(struct worker *w, const struct trace *trace, const struct upstream_settings *set, size_t skip,
                        const struct dial_ops *ops, void *owner) MUST_CHECK;
/* The same with this server alone. */
struct dial *dial_server(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                         size_t server, const struct dial_ops *ops, void *owner) MUST_CHECK;
/* Tells this upstream, which is ready and taken over, of the client; goes on with the other servers if it is lost. */
struct dial *dial_identify(struct worker *w, const struct trace *trace, const struct upstream_settings *set,
                           struct upstream *u, size_t server, const struct dial_ops *ops, void *owner) MUST_CHECK;
/* What ops->tell waited for is known. */
void dial_go_on(struct dial *d);
void dial_cancel(struct dial **d);
/* As bits: the servers before the one that it ended with, or is at. Good until `done` or `failed` returns. */
uint64_t dial_tried(const struct dial *d);

#endif
