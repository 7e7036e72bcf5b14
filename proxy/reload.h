/* What a reload may change. Listeners, outputs and the number of workers stay as they were started. */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include "proxy/settings.h"

/* Reports each thing that fresh changes and may not. */
bool reload_allowed(const struct settings *running, const struct settings *fresh, settings_fault *fault,
                    void *arg) MUST_CHECK;

#endif
