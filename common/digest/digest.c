/* One-shot hashes and a streaming HMAC. libcrypto fails here only for want of memory (or of SHA-256 itself), which
 * aborts as every small allocation does; MD5 alone may be absent. */
#include "common/digest/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <stdlib.h>

struct digest_hmac {
    EVP_MAC_CTX *mac;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* libcrypto takes a NULL key for "the key of before", so an empty one needs an address. */
static const void *bytes(struct span s) { return s.p != NULL ? s.p : ""; }

void digest_sha256(struct span data, unsigned char out_r[DIGEST_SHA256])
{
    must(EVP_Digest(bytes(data), data.n, out_r, NULL, EVP_sha256(), NULL) == 1);
}

static bool hmac(const EVP_MD *md, struct span key, struct span data, unsigned char *out)
{
    return key.n <= INT32_MAX && HMAC(md, bytes(key), (int)key.n, bytes(data), data.n, out, NULL) != NULL;
}

void digest_hmac_sha256(struct span key, struct span data, unsigned char out_r[DIGEST_SHA256])
{
    must(hmac(EVP_sha256(), key, data, out_r));
}

bool digest_hmac_md5(struct span key, struct span data, unsigned char out_r[DIGEST_MD5])
{
    return hmac(EVP_md5(), key, data, out_r);
}

bool digest_has_md5(void)
{
    unsigned char out[DIGEST_MD5];
    return digest_hmac_md5(SPAN_NONE, SPAN_NONE, out);
}

void digest_pbkdf2_sha256(struct span password, struct span salt, uint32_t iterations,
                          unsigned char out_r[DIGEST_SHA256])
{
    must(iterations > 0 && iterations <= INT32_MAX && password.n <= INT32_MAX && salt.n <= INT32_MAX);
    must(PKCS5_PBKDF2_HMAC(bytes(password), (int)password.n, bytes(salt), (int)salt.n, (int)iterations, EVP_sha256(),
                           DIGEST_SHA256, out_r) == 1);
}

bool digest_equal(const void *a, const void *b, size_t n) { return n == 0 || CRYPTO_memcmp(a, b, n) == 0; }

bool digest_equal_text(struct span a, struct span b)
{
    unsigned char x[DIGEST_SHA256], y[DIGEST_SHA256];
    digest_sha256(a, x);
    digest_sha256(b, y);
    bool same = digest_equal(x, y, sizeof(x));
    explicit_bzero(x, sizeof(x));
    explicit_bzero(y, sizeof(y));
    return same;
}

void digest_hex(const unsigned char *p, size_t n, char *out_r)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out_r++ = digits[p[i] >> 4];
        *out_r++ = digits[p[i] & 15];
    }
    *out_r = '\0';
}

struct digest_hmac *digest_hmac_new(struct span key)
{
    struct digest_hmac *h = calloc(1, sizeof(*h));
    must(h != NULL);
    EVP_MAC *kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
    must(kind != NULL);
    h->mac = EVP_MAC_CTX_new(kind);
    EVP_MAC_free(kind);
    must(h->mac != NULL);
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                            OSSL_PARAM_construct_end() };
    must(EVP_MAC_init(h->mac, bytes(key), key.n, params) == 1);
    return h;
}

void digest_hmac_add(struct digest_hmac *h, struct span data)
{
    must(EVP_MAC_update(h->mac, bytes(data), data.n) == 1);
}

void digest_hmac_end(struct digest_hmac *h, unsigned char out_r[DIGEST_SHA256])
{
    size_t n = 0;
    must(EVP_MAC_final(h->mac, out_r, &n, DIGEST_SHA256) == 1 && n == DIGEST_SHA256);
    must(EVP_MAC_init(h->mac, NULL, 0, NULL) == 1);
}

void digest_hmac_free(struct digest_hmac **h)
{
    if (*h == NULL)
        return;
    EVP_MAC_CTX_free((*h)->mac);
    free(*h);
    *h = NULL;
}
