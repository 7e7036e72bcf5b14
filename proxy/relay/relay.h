/* A session: a client leg and an upstream leg, paired. This folder's relay*.c are the only files that know both. */
#ifndef PROXY_RELAY_RELAY_H
#define PROXY_RELAY_RELAY_H

#include "proxy/worker.h"

/* The relay as a worker's backend: its sessions. */
extern const struct worker_ops relay_worker_ops;

#endif
