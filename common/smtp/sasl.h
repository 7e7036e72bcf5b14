/* SASL mechanisms (RFC 4422) by name and as sets. */
#ifndef COMMON_SMTP_SASL_H
#define COMMON_SMTP_SASL_H

#include "common/span.h"

/* M(id, "NAME", whether the client speaks first) */
#define SASL_MECHANISMS(M)                                                                                             \
    M(PLAIN, "PLAIN", true)                                                                                            \
    M(LOGIN, "LOGIN", false)                                                                                           \
    M(CRAM_MD5, "CRAM-MD5", false)                                                                                     \
    M(SCRAM_SHA_256, "SCRAM-SHA-256", true)                                                                            \
    M(SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", true)                                                                  \
    M(XOAUTH2, "XOAUTH2", true)                                                                                        \
    M(OAUTHBEARER, "OAUTHBEARER", true)                                                                                \
    M(EXTERNAL, "EXTERNAL", true)

#define SASL_ENUM(id, name, client_first) SASL_##id,
enum sasl_mechanism { SASL_MECHANISMS(SASL_ENUM) SASL_COUNT };
#undef SASL_ENUM

typedef uint32_t sasl_set; /* bit 1 << enum sasl_mechanism */
#define SASL_BIT(id) ((sasl_set)1 << SASL_##id)

/* In any case of letters; false leaves *out. */
bool sasl_find(struct span name, enum sasl_mechanism *out) MUST_CHECK;
const char *sasl_name(enum sasl_mechanism m);
/* Whether its first message is the client's. */
bool sasl_client_first(enum sasl_mechanism m);

#endif
