/* The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt; protocol.md Q): the first bytes of a
 * connection, by which a load balancer says whose connection it is. Nothing is copied. */
#ifndef COMMON_SMTP_PROXYHDR_H
#define COMMON_SMTP_PROXYHDR_H

#include "common/buf.h"
#include "common/netaddr.h"

enum { PROXYHDR_V1_MAX = 107, PROXYHDR_V2_MIN = 16 };

enum proxyhdr_result { PROXYHDR_MORE, PROXYHDR_DONE, PROXYHDR_BAD };

/* What a header says. Spans point into the input; empty: not said. */
struct proxyhdr {
    unsigned version;    /* 1 or 2 */
    bool real;           /* no addresses that can be used: the connection's own ends hold */
    struct netaddr from; /* the client, with port */
    struct netaddr to;   /* what it connected to */
    bool has_tls;        /* a v2 SSL TLV came */
    struct {
        bool used;     /* the client spoke TLS */
        bool cert;     /* it showed a certificate */
        bool verified; /* which was verified */
        struct span version, cipher, cn;
    } tls;
    struct span authority, alpn, unique_id;
};

/* Reads the header that `in` begins with. max: octets of a v2 header with its TLVs. DONE: *used octets are the header,
 * what follows is the client's. BAD: *why (static text) says what is wrong. The same result however often it was MORE
 * before. */
enum proxyhdr_result proxyhdr_parse(struct proxyhdr *out, struct span in, size_t max, size_t *used,
                                    const char **why) MUST_CHECK;
/* Appends a header of version 1 or 2. Where one of the two has no IP address: v1 UNKNOWN, v2 LOCAL. An IPv4 address
 * beside an IPv6 one is written as IPv4-mapped. */
void proxyhdr_print(struct buf *out, unsigned version, const struct netaddr *from, const struct netaddr *to);

#endif
