/* What the files of SASL share: texts that are wiped, the syntax of GS2 and SCRAM, the keys of SCRAM. */
#ifndef COMMON_SMTP_SASL_IMPL_H
#define COMMON_SMTP_SASL_IMPL_H

#include "common/digest/digest.h"
#include "common/smtp/sasl.h"

/* --- texts (sasl.c): out of memory aborts; NUL-terminated -------------------------------------------------------- */

void *sasl_new(size_t n); /* zeroed */
char *sasl_dup(struct span s);
char *sasl_format(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Wipes and frees; NULL is fine; sets it to NULL. */
void sasl_forget(char **text);
char *sasl_base64(struct span octets);
/* False: not base64, or more than cap octets. */
bool sasl_unbase64(struct span text, unsigned char *out_r, size_t cap, size_t *n_r) MUST_CHECK;
/* A name that somebody can have: 1 to SASL_NAME_MAX octets of UTF-8 without control characters. */
bool sasl_name_valid(struct span name);
/* C0, DEL, C1, and bytes that are no UTF-8 aside. */
bool sasl_has_control(struct span text);

/* The bytes of a channel binding, copied: hashes of at most 512 bits. */
struct sasl_binding_copy {
    unsigned char octets[64];
    size_t n;
};
void sasl_binding_take(struct sasl_binding_copy *to, struct span from);
static inline struct span sasl_octets(const unsigned char *p, size_t n) { return span_of((const char *)p, n); }

/* --- syntax (sasl_syntax.c): views into the text that was read ---------------------------------------------------- */

enum gs2_flag {
    GS2_NONE,   /* n: the client has no channel binding */
    GS2_UNSEEN, /* y: it has, but believes that the server has none */
    GS2_BOUND,  /* p=: it binds */
};
/* gs2-header (RFC 5801, 5802): flag "," [a=authzid] "," */
struct gs2_header {
    enum gs2_flag flag;
    struct span binding; /* the binding's name, with p= */
    struct span authzid; /* a saslname, encoded; p is NULL where there is none */
    struct span all;
};
bool gs2_header_read(struct span *rest, struct gs2_header *out_r) MUST_CHECK;

/* "=2C" and "=3D" are comma and equals sign. NULL: malformed, or with a NUL. */
char *saslname_decode(struct span in);
char *saslname_encode(struct span in);

/* One attribute "x=value" of a comma-separated list; what follows it stays in *rest (p NULL at the end). */
bool scram_attribute(struct span *rest, char *name_r, struct span *value_r) MUST_CHECK;
/* The next attribute must be `name`. */
bool scram_expect(struct span *rest, char name, struct span *value_r) MUST_CHECK;
/* The rest may be extensions, which are ignored, but no mandatory one. */
bool scram_extensions(struct span rest) MUST_CHECK;

struct scram_client_first {
    struct gs2_header gs2;
    struct span bare;
    struct span name; /* encoded */
    struct span nonce;
};
bool scram_client_first_read(struct span text, struct scram_client_first *out_r) MUST_CHECK;

struct scram_client_final {
    struct span without_proof, binding /* base64 */, nonce;
    unsigned char proof[DIGEST_SHA256];
};
bool scram_client_final_read(struct span text, struct scram_client_final *out_r) MUST_CHECK;

/* XOAUTH2's and OAUTHBEARER's one message. */
struct oauth_message {
    struct gs2_header gs2; /* OAUTHBEARER */
    struct span user;      /* XOAUTH2: as it is; OAUTHBEARER: a saslname; p is NULL where there is none */
    struct span token;     /* of "Bearer"; may be empty */
};
bool oauth_message_read(struct span text, enum sasl_mechanism m, struct oauth_message *out_r) MUST_CHECK;

/* authzid NUL authcid NUL passwd; passwd holds no NUL. */
struct plain_message {
    struct span authzid, authcid, passwd;
};
bool plain_message_read(struct span text, struct plain_message *out_r) MUST_CHECK;

/* name SP 32 hexadecimal digits. */
bool cram_message_read(struct span text, struct span *name_r, struct span *digest_r) MUST_CHECK;

/* --- secrets and SCRAM's keys (sasl_secret.c) --------------------------------------------------------------------- */

enum { SCRAM_SALT_MAX = 64, SCRAM_ITERATIONS = 4096, SCRAM_ITERATIONS_MAX = 1000000 };

struct scram_keys {
    unsigned char stored[DIGEST_SHA256], server[DIGEST_SHA256];
};
struct scram_salt {
    unsigned char octets[SCRAM_SALT_MAX];
    size_t n;
    uint32_t iterations;
};
struct sasl_secret {
    enum sasl_secret_kind kind;
    struct span text; /* PLAIN: the password; CRYPT: the hash */
    struct scram_salt salt;
    struct scram_keys keys;
};
/* kind is BAD where it can't be used; the text is a view. Wipe it when done. */
void sasl_secret_read(struct span secret, struct sasl_secret *out_r);
/* 1 to max, without leading zeros. */
bool scram_iterations_read(struct span text, uint32_t max, uint32_t *out_r) MUST_CHECK;

void scram_keys_make(const unsigned char salted[DIGEST_SHA256], struct scram_keys *keys_r);
void scram_proof_make(const unsigned char salted[DIGEST_SHA256], struct span auth_message,
                      unsigned char proof_r[DIGEST_SHA256]);
bool scram_proof_check(const struct scram_keys *keys, struct span auth_message,
                       const unsigned char proof[DIGEST_SHA256]) MUST_CHECK;

struct sasl_work *sasl_work_hash(struct span password, const struct scram_salt *salt);
struct sasl_work *sasl_work_new(enum sasl_work_kind kind, struct span password, struct span secret,
                                const char *username);

/* What CRAM-MD5 answers, as 32 hexadecimal digits and a NUL; false without MD5. */
enum { CRAM_DIGEST = 2 * DIGEST_MD5 };
bool cram_digest(struct span password, struct span challenge, char hex_r[CRAM_DIGEST + 1]) MUST_CHECK;

#endif
