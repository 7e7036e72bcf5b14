/* The server engine's configuration, from the settings of a listener: for every backend that runs it. */
#ifndef PROXY_RELAY_ENGINE_H
#define PROXY_RELAY_ENGINE_H

#include "common/smtp/server.h"
#include "proxy/settings.h"

/* Borrows from both, which must outlive its use. */
struct smtp_server_config engine_config(const struct settings *settings, const struct listener_settings *ls);

#endif
