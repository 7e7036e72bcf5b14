/* The life of what decides logins here (auth.h): a part of the process, and a part of each worker. */
#ifndef PROXY_RELAY_AUTH_BACKENDS_H
#define PROXY_RELAY_AUTH_BACKENDS_H

#include "common/base.h"

struct auth_backends;
struct auth_shared;
struct logger;
struct loop;
struct offload_port;
struct settings;

/* The process's: threads for slow hashes, which begin with the first login that needs one. Freed after all workers'. */
struct auth_shared *auth_shared_new(void);
void auth_random(void *out, size_t n);
/* False: a hash didn't come to its end within the limit (offload.h). */
bool auth_shared_free(struct auth_shared **s, usec_t limit) MUST_CHECK;

/* A worker's, on its loop. */
struct auth_backends *auth_backends_new(struct auth_shared *s, struct loop *loop, struct logger *logger);
/* New sessions go by these settings: connections to the sockets that they name are opened, others closed. */
void auth_backends_configure(struct auth_backends *b, const struct settings *settings);
/* Its end of the pool of threads; open as long as the backends are. */
struct offload_port *auth_backends_port(struct auth_backends *b);
/* No exchange may be open. */
void auth_backends_free(struct auth_backends **b);

#endif
