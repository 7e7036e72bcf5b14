/* The two clocks that the log reads. */
#ifndef PROXY_LOG_CLOCK_H
#define PROXY_LOG_CLOCK_H

#include <time.h>

#include "common/base.h"

static inline usec_t clock_usec(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}
static inline usec_t clock_mono(void) { return clock_usec(CLOCK_MONOTONIC); }
static inline usec_t clock_real(void) { return clock_usec(CLOCK_REALTIME); }

#endif
