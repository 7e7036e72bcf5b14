/* Fingerprints of what must not come into the log, for as long as a server may repeat it: the secrets themselves are
 * wiped as soon as they are sent. Of each there is its length and a keyed hash, so a text can be searched for it.
 *
 * Found is a secret that stands in the text whole, in one line, as it is or in base64; of a long one its first
 * SMTP_PRINT_MAX octets will do. Passwords under SMTP_PRINT_MIN octets are not kept: they are in any text. */
#ifndef COMMON_SMTP_PRINTS_H
#define COMMON_SMTP_PRINTS_H

#include "common/span.h"

enum { SMTP_PRINT_KEY = 32, SMTP_PRINT_MIN = 4, SMTP_PRINT_MAX = 64, SMTP_PRINTS = 16 };

struct smtp_prints;

/* key: random octets. */
struct smtp_prints *smtp_prints_new(const unsigned char key[SMTP_PRINT_KEY]);
void smtp_prints_free(struct smtp_prints **p);
/* A password, as it is and in base64; where SMTP_PRINTS are kept, the oldest go. */
void smtp_prints_add(struct smtp_prints *p, struct span password);
/* What a client says in an exchange: its response in base64, and the password in it. step: 0 is its first response.
 * Names are no secret. */
void smtp_prints_add_response(struct smtp_prints *p, struct span mechanism, unsigned step, struct span response);
bool smtp_prints_found(const struct smtp_prints *p, struct span text) MUST_CHECK;

#endif
