/* The trace field that we add (RFC 5321 section 4.4; protocol.md R). */
#ifndef COMMON_SMTP_RECEIVED_H
#define COMMON_SMTP_RECEIVED_H

#include "common/buf.h"
#include "common/netaddr.h"

struct smtp_received {
    struct span helo, name; /* name: the verified reverse name, or empty */
    struct netaddr client;
    const char *tls_version, *tls_cipher; /* NULL: clear */
    const char *hostname, *protocol, *id;
    struct span rcpt; /* empty: left out */
    bool smtputf8;
    int64_t when; /* seconds since 1970 */
};

/* Appends the folded field with its line end: printable, whatever the client gave. */
void smtp_received_print(struct buf *out, const struct smtp_received *r);
/* "Fri, 20 Nov 2026 09:51:00 +0000" (RFC 5322 section 3.3), in UTC. */
void smtp_date_print(struct buf *out, int64_t when);

#endif
