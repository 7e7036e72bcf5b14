/* The hosts file, in memory and read again when it changes, so that asking it costs no system call but a stat() a
 * second.
 */
#ifndef PROXY_NET_DNS_HOSTS_H
#define PROXY_NET_DNS_HOSTS_H

#include "common/netaddr.h"

struct dns_hosts;

struct dns_hosts *dns_hosts_new(const char *path) MUST_CHECK;
void dns_hosts_free(struct dns_hosts **h);
/* Up to max addresses of a name (lower case, no dot at the end), in the order of the file. now: monotonic. */
unsigned dns_hosts_addrs(struct dns_hosts *h, usec_t now, const char *name, struct netaddr *out, unsigned max);
/* The first name of an address, or NULL; valid until the next call. */
const char *dns_hosts_name(struct dns_hosts *h, usec_t now, const struct netaddr *addr);

#endif
