/* Addresses of peers and CIDR lists. IPv4-mapped IPv6 is IPv4 from the moment it is read. No name is looked up here. */
#ifndef COMMON_NETADDR_H
#define COMMON_NETADDR_H

#include "common/span.h"

enum netaddr_family { NETADDR_NONE, NETADDR_IPV4, NETADDR_IPV6, NETADDR_UNIX };

struct netaddr {
    enum netaddr_family family;
    uint8_t ip[16]; /* network order; IPv4 in the first 4 */
    uint16_t port;  /* host order */
};

enum { NETADDR_STRLEN = 46, NETADDR_PORT_STRLEN = 56 };

struct sockaddr;
/* A sockaddr of AF_INET, AF_INET6 or AF_UNIX; others give NETADDR_NONE. */
struct netaddr netaddr_from_sockaddr(const struct sockaddr *sa);
/* The numeric form of IPv4 ("192.0.2.1") or IPv6 ("2001:db8::1", no brackets, no scope); false if it is neither. */
bool netaddr_parse_ip(struct netaddr *out, struct span text) MUST_CHECK;
/* 0 to 65535 in digits alone: no sign, no leading zero. *out is set only then. */
bool netaddr_parse_port(uint16_t *out, struct span text) MUST_CHECK;
/* Whether an address is written as netaddr_print_ip() or inet_ntop() writes it, so "::ffff:192.0.2.1" too. */
bool netaddr_is_canonical(struct span text);
/* "192.0.2.1", "2001:db8::1" (RFC 5952), "unix"; "" for NETADDR_NONE. Returns out. */
const char *netaddr_print_ip(const struct netaddr *a, char out[NETADDR_STRLEN]);
/* "192.0.2.1:25", "[2001:db8::1]:25". Returns out. */
const char *netaddr_print(const struct netaddr *a, char out[NETADDR_PORT_STRLEN]);
/* Same address; ports are not compared. */
bool netaddr_eq_ip(const struct netaddr *a, const struct netaddr *b);
bool netaddr_is_loopback(const struct netaddr *a);

/* Labels of 1 to 63 letters, digits, '-' and '_', at most 253 characters; a dot may stand at the end. A last label of
 * digits alone is a mistyped address, not a name. */
bool netaddr_is_hostname(struct span s);

struct cidr {
    enum netaddr_family family; /* NETADDR_UNIX: any unix peer */
    uint8_t ip[16];
    unsigned bits;
};
/* "10.0.0.0/8", "192.0.2.1", "fd00::/8", "::ffff:10.0.0.0/104" (as 10.0.0.0/8), "unix". Host bits that are set are an
 * error. On failure *why (static text) says what is wrong. */
bool cidr_parse(struct cidr *out, struct span text, const char **why) MUST_CHECK;
bool cidr_contains(const struct cidr *c, const struct netaddr *a);

struct cidr_list {
    struct cidr *list; /* owned */
    size_t count;
};
bool cidr_list_contains(const struct cidr_list *l, const struct netaddr *a);
void cidr_list_free(struct cidr_list *l);

/* An address as configuration writes it: "host:port", "[v6]:port", "unix:/path", "systemd:NAME". */
enum endpoint_kind { ENDPOINT_NAME, ENDPOINT_IP, ENDPOINT_UNIX, ENDPOINT_SYSTEMD };
struct endpoint {
    enum endpoint_kind kind;
    struct netaddr addr; /* ENDPOINT_IP: address and port; ENDPOINT_NAME: only the port */
    char host[256];      /* name, path or NAME */
};
bool endpoint_parse(struct endpoint *out, struct span text, const char **why) MUST_CHECK;

#endif
