/* Reads a DNS answer (RFC 1035 section 4). */
#ifndef PROXY_NET_DNS_RECORDS_H
#define PROXY_NET_DNS_RECORDS_H

#include "proxy/net/dns_wire.h"

/* The records of this type that the answer section has for `name`, by way of its CNAMEs; records of other owners are
 * passed over. NONE if there are none; TEMPFAIL if the message is malformed. */
void dns_records_parse(struct dns_records *out, const uint8_t *msg, size_t n, const char *name, enum dns_type type);

#endif
