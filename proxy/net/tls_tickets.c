/* The keys of session tickets: the process's, for all contexts and workers. One key seals for an hour and opens for two
 * more, which is as long as a ticket lives. Keys are made when one is needed and live in memory alone. */
#include "proxy/net/tls_private.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { NAME_BYTES = 16, KEYS = 3 };
#define SEALS (3600 * USEC_PER_SEC)
#define OPENS (3 * SEALS)

struct ticket_key {
    unsigned char name[NAME_BYTES], aes[32], mac[32];
    usec_t born;
};

static struct {
    pthread_rwlock_t lock;
    struct ticket_key key[KEYS]; /* the newest first */
    unsigned count;
} keys = { .lock = PTHREAD_RWLOCK_INITIALIZER };
static _Atomic usec_t ahead;

void tls_tickets_age(usec_t by) { ahead += by; }

static usec_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000 + ahead;
}

static EVP_CIPHER *cipher;
static void fetch_cipher(void) { cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL); }
static const EVP_CIPHER *ticket_cipher(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_cipher);
    return cipher;
}

static bool seals(usec_t at) { return keys.count > 0 && at - keys.key[0].born < SEALS; }

/* A new key in front; the oldest falls off the end. */
static bool rotate(usec_t at)
{
    struct ticket_key fresh = { .born = at };
    if (RAND_bytes(fresh.name, sizeof fresh.name) != 1 || RAND_priv_bytes(fresh.aes, sizeof fresh.aes) != 1 ||
        RAND_priv_bytes(fresh.mac, sizeof fresh.mac) != 1)
        return false;
    memmove(&keys.key[1], &keys.key[0], sizeof keys.key[0] * (KEYS - 1));
    keys.key[0] = fresh;
    keys.count += keys.count < KEYS;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

static bool key_to_seal(struct ticket_key *out)
{
    usec_t at = now();
    pthread_rwlock_rdlock(&keys.lock);
    bool good = seals(at);
    if (good)
        *out = keys.key[0];
    pthread_rwlock_unlock(&keys.lock);
    if (good)
        return true;
    pthread_rwlock_wrlock(&keys.lock);
    good = seals(at) || rotate(at);
    if (good)
        *out = keys.key[0];
    pthread_rwlock_unlock(&keys.lock);
    return good;
}

/* *newest: the key still seals. */
static bool key_to_open(const unsigned char name[NAME_BYTES], struct ticket_key *out, bool *newest)
{
    usec_t at = now();
    bool found = false;
    pthread_rwlock_rdlock(&keys.lock);
    for (unsigned i = 0; i < keys.count && !found; i++) {
        const struct ticket_key *k = &keys.key[i];
        found = at - k->born < OPENS && memcmp(k->name, name, NAME_BYTES) == 0;
        if (found) {
            *out = *k;
            *newest = i == 0 && seals(at);
        }
    }
    pthread_rwlock_unlock(&keys.lock);
    return found;
}

static bool start(const struct ticket_key *k, const unsigned char *iv, EVP_CIPHER_CTX *ctx, EVP_MAC_CTX *mac,
                  int sealing)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex2(ctx, ticket_cipher(), k->aes, iv, sealing, NULL) == 1;
}

/* OpenSSL's callback: -1 failure, 0 unknown key (a full handshake follows), 1 good, 2 good and a new ticket is due. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *ctx, EVP_MAC_CTX *mac,
                     int sealing)
{
    struct ticket_key k;
    bool newest = true, good;
    if (sealing) {
        good = key_to_seal(&k) && RAND_bytes(iv, EVP_CIPHER_get_iv_length(ticket_cipher())) == 1;
        if (!good)
            return -1;
        memcpy(name, k.name, NAME_BYTES);
    } else if (!key_to_open(name, &k, &newest)) {
        return 0;
    }
    good = start(&k, iv, ctx, mac, sealing);
    OPENSSL_cleanse(&k, sizeof k);
    if (!good)
        return -1;
    /* In TLS 1.3 a ticket is meant to be used once. */
    bool due = !sealing && (!newest || SSL_version(ssl) == TLS1_3_VERSION);
    return due && tls_server_renews(ssl) ? 2 : 1;
}

void tls_tickets_use(SSL_CTX *ctx)
{
    SSL_CTX_set_timeout(ctx, (OPENS - SEALS) / USEC_PER_SEC);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
