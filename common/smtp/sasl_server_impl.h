/* One exchange of the verifying side: what its files share.
 *
 *   FIRST ----> (NAME -> PASSWORD) or CRAM or nothing ----> LOOKUP ----> OVER
 *                                                             | \----> VERIFY ----> OVER
 *   SCRAM:  FIRST -> LOOKUP -> SCRAM_FINAL -> (VERIFY) -> SCRAM_ACK -> OVER
 *   tokens: FIRST -> VERIFY -> OVER, or TOKEN_ACK -> OVER
 *
 * Whatever ends in OK, FAIL or MALFORMED is OVER; OVER answers FAIL to all. */
#ifndef COMMON_SMTP_SASL_SERVER_IMPL_H
#define COMMON_SMTP_SASL_SERVER_IMPL_H

#include "common/smtp/sasl_impl.h"

enum server_phase {
    SERVER_FIRST,
    SERVER_NAME,
    SERVER_PASSWORD,
    SERVER_CRAM,
    SERVER_LOOKUP,
    SERVER_VERIFY,
    SERVER_SCRAM_FINAL,
    SERVER_SCRAM_ACK,
    SERVER_TOKEN_ACK,
    SERVER_OVER,
};

struct sasl_server_private {
    enum server_phase phase;
    bool plus_offered;
    bool unknown; /* there is no such user, or none who can use the mechanism: all is computed, nothing is accepted */
    unsigned char key[SASL_KEY];
    struct sasl_binding_copy exporter, end_point;
    char *nonce; /* base64 */
    char *external_name, *decoy;
    char *password;         /* what the client sent; SCRAM: {PLAIN}'s text, when its keys are still to be computed */
    struct sasl_work *work; /* until it is taken */
    char *cram_challenge;
    char cram_digest[CRAM_DIGEST + 1]; /* what the client answered */
    /* SCRAM */
    char *gs2, *bare, *client_nonce, *server_first, *auth_message;
    const struct sasl_binding_copy *binding; /* NULL: none */
    struct scram_salt salt;
    struct scram_keys keys;
    unsigned char proof[DIGEST_SHA256];
};

/* The work waits to be taken. */
enum sasl_step sasl_server_ask(struct sasl_server *s, struct sasl_work *work);
/* Keeps a name that can be one; false: it can't. */
bool sasl_server_name(char **to, struct span name);
bool sasl_server_saslname(char **to, struct span encoded);

enum sasl_step scram_server_first(struct sasl_server *s, struct span response);
enum sasl_step scram_server_secret(struct sasl_server *s, const struct sasl_secret *secret, struct buf *challenge);
enum sasl_step scram_server_final(struct sasl_server *s, struct span response, struct buf *challenge);
enum sasl_step scram_server_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge);
/* Salt and keys that stay the same for a name, and that nobody knows. */
void scram_server_make_up(struct sasl_server *s, size_t salt_len, uint32_t iterations);

#endif
