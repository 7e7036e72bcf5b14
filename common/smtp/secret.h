/* Replies that must not be logged as they are: challenges, and those that repeat what the client sent as its secret. */
#ifndef COMMON_SMTP_SECRET_H
#define COMMON_SMTP_SECRET_H

#include "common/smtp/reply.h"

/* Whether the reply's text has the response of an exchange in it, as it was sent (base64; also a piece of it) or a part
 * of it decoded. response: empty or "=" is in nothing. */
bool smtp_reply_echoes(const struct smtp_reply *reply, struct span response);

/* Whether the reply's text has the secret in it, or a piece of it, as it is or in base64. */
bool smtp_reply_tells(const struct smtp_reply *reply, struct span secret);

/* The reply with a star for its text; wire stands in `out`. */
enum { SMTP_HIDDEN_LEN = 32 };
struct smtp_reply smtp_reply_hidden(const struct smtp_reply *reply, char out[SMTP_HIDDEN_LEN]);

#endif
