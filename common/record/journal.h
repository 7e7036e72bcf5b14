/* A record as an entry of the systemd journal, in its native protocol: FIELD=value lines, and where a value has a line
 * end in it, the field's name, its length in eight octets, little end first, and the value. */
#ifndef COMMON_RECORD_JOURNAL_H
#define COMMON_RECORD_JOURNAL_H

#include "common/buf.h"

/* line: a record without its line end. */
void journal_write(struct buf *out, struct span component, struct span line);

#endif
