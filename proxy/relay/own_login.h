/* Our own login at an upstream server (upstream.username): the strongest mechanism that it offers, before the
 * connection serves anybody. */
#ifndef PROXY_RELAY_OWN_LOGIN_H
#define PROXY_RELAY_OWN_LOGIN_H

#include "proxy/relay/own_hash.h"
#include "proxy/relay/upstream.h"

struct own_login;
enum own_login_state { OWN_LOGIN_GOES_ON, OWN_LOGIN_DONE, OWN_LOGIN_FAILED };

/* Says AUTH to an upstream that is ready; ehlo: its last reply to EHLO. hashes: the worker's, for all logins. The
 * login gets the replies by own_login_reply() until one is not GOES_ON. NULL: there is no mechanism for it; *why is
 * static text. */
struct own_login *own_login_start(struct upstream *u, const struct smtp_reply *ehlo, struct own_hashes *hashes,
                                  const char **why) MUST_CHECK;
/* The reply to a step of the login. FAILED: *why says what is wrong in static text; NULL: the server's reply does. */
enum own_login_state own_login_reply(struct own_login *l, const struct smtp_reply *reply, const char **why) MUST_CHECK;
/* The last EHLO reply, good as long as the login. */
const struct smtp_reply *own_login_ehlo(const struct own_login *l);
void own_login_free(struct own_login **l);

#endif
