/* The old files of a log: P.1 is the newest, P.K the oldest. */
#ifndef PROXY_LOG_ROTATE_H
#define PROXY_LOG_ROTATE_H

#include "common/base.h"

/* Moves P to P.1, what is there to P.2, and so on, up to P.keep, whose old content goes. At whatever step it ends, no
 * other file is lost and none stands in two places; a number that is missing is filled by the next time. Returns 0 or
 * an errno; then P is where it was. */
int rotate_shift(const char *path, unsigned keep) MUST_CHECK;
/* After rotate_shift(), while there is no new P. */
int rotate_undo(const char *path) MUST_CHECK;

#endif
