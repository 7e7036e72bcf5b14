/* A record as a syslog message (RFC 5424): facility mail, the severity of its level, its own time, its kind as MSGID.
 */
#ifndef COMMON_RECORD_SYSLOG_H
#define COMMON_RECORD_SYSLOG_H

#include "common/buf.h"

/* How messages are told apart: a datagram each; by a newline; by their length before them (RFC 6587). */
enum syslog_framing { SYSLOG_DATAGRAM, SYSLOG_NEWLINE, SYSLOG_OCTET };

struct syslog_source {
    struct span host, component; /* of the component, where the record names none */
    unsigned pid;
    bool cookie; /* "@cee: " before the JSON */
};

/* line: a record without its line end. */
void syslog_write(struct buf *out, const struct syslog_source *from, struct span line, enum syslog_framing framing);
/* 0 to 7: of a record whose level is `level`. */
unsigned syslog_severity(struct span level);

#endif
