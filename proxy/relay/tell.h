/* How an upstream server is told who the client is (upstream.identity): what was configured, against what its EHLO
 * offers now and offered before. */
#ifndef PROXY_RELAY_TELL_H
#define PROXY_RELAY_TELL_H

#include "common/smtp/reply.h"
#include "proxy/relay/balance.h"

/* Chooses by an EHLO that came before any XCLIENT. xclient: the attributes to tell by XCLIENT, as in smtp_caps. False:
 * the server can't be used; *why (static text) says why not. */
bool tell_choose(enum upstream_identity *out, char xclient[128], const struct upstream_settings *set,
                 struct balance_server *health, const struct smtp_reply *ehlo, const char **why) MUST_CHECK;
/* The version of the PROXY header that comes first on each connection; 0: none does. */
unsigned tell_proxy_version(const struct upstream_settings *set);
/* As in the configuration and in records. */
const char *tell_word(enum upstream_identity identity);

#endif
