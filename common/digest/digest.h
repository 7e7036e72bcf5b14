/* Hashes over libcrypto: what logins and the log's chain need. Pure: no state but what the caller holds; any thread. */
#ifndef COMMON_DIGEST_DIGEST_H
#define COMMON_DIGEST_DIGEST_H

#include "common/span.h"

enum { DIGEST_SHA256 = 32, DIGEST_MD5 = 16 };

void digest_sha256(struct span data, unsigned char out_r[DIGEST_SHA256]);
void digest_hmac_sha256(struct span key, struct span data, unsigned char out_r[DIGEST_SHA256]);
/* iterations: at least 1. About 0.2 to 0.6 ms for a thousand: large counts don't belong on a loop. */
void digest_pbkdf2_sha256(struct span password, struct span salt, uint32_t iterations,
                          unsigned char out_r[DIGEST_SHA256]);

/* MD5 is missing where OpenSSL runs in FIPS mode: then digest_has_md5() and digest_hmac_md5() say false. */
bool digest_has_md5(void);
bool digest_hmac_md5(struct span key, struct span data, unsigned char out_r[DIGEST_MD5]) MUST_CHECK;

/* Equal bytes? The time doesn't tell where they differ. */
bool digest_equal(const void *a, const void *b, size_t n);
/* The same for texts of any length: the time doesn't tell what they have in common. */
bool digest_equal_text(struct span a, struct span b);

/* Lower case, with a NUL: out_r has 2 * n + 1 bytes. */
void digest_hex(const unsigned char *p, size_t n, char *out_r);

/* HMAC-SHA-256 of what comes piece by piece; one key, code after code. */
struct digest_hmac;
struct digest_hmac *digest_hmac_new(struct span key);
void digest_hmac_add(struct digest_hmac *h, struct span data);
/* The code of what was added since the last end; the next one begins with the same key. */
void digest_hmac_end(struct digest_hmac *h, unsigned char out_r[DIGEST_SHA256]);
void digest_hmac_free(struct digest_hmac **h);

#endif
