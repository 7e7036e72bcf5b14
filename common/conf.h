/* A table-driven reader of JSON configuration over json-c: types, units, ranges, unknown and doubled keys, all faults
 * in one run, each with file, line and JSON path. Comments (// and C style) are allowed. The tables belong to the
 * caller. */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/netaddr.h"
#include "common/span.h"

#endif
