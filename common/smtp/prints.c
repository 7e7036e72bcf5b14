/* A rolling hash finds the places that may be a secret, an HMAC decides. Of the rolling hash 16 bits are kept, for it
 * is weak: they say next to nothing of a secret, and spare all but one place in 65536 the HMAC. */
#include "common/smtp/prints.h"

#include <stdlib.h>

#include "common/codec.h"
#include "common/digest/digest.h"
#include "common/smtp/sasl.h"

enum { MAC = 8 };

struct print {
    uint32_t power; /* base ^ (len - 1) */
    uint16_t rolling, len;
    unsigned char mac[MAC];
};

struct smtp_prints {
    unsigned char key[SMTP_PRINT_KEY];
    uint32_t base;
    unsigned count; /* ever added */
    struct print print[SMTP_PRINTS];
};

struct smtp_prints *smtp_prints_new(const unsigned char key[SMTP_PRINT_KEY])
{
    struct smtp_prints *p = calloc(1, sizeof(*p));
    if (p == NULL)
        abort();
    memcpy(p->key, key, sizeof(p->key));
    memcpy(&p->base, key, sizeof(p->base));
    p->base |= 0x10001U;
    return p;
}

void smtp_prints_free(struct smtp_prints **pp)
{
    struct smtp_prints *p = *pp;
    *pp = NULL;
    if (p != NULL)
        explicit_bzero(p, sizeof(*p));
    free(p);
}

static uint32_t octet(struct span s, size_t i) { return (unsigned char)s.p[i]; }

static uint32_t roll(const struct smtp_prints *p, struct span s)
{
    uint32_t h = 0;
    for (size_t i = 0; i < s.n; i++)
        h = h * p->base + octet(s, i);
    return h;
}

static void mac_of(const struct smtp_prints *p, struct span s, unsigned char out[DIGEST_SHA256])
{
    digest_hmac_sha256(span_of((const char *)p->key, sizeof(p->key)), s, out);
}

static bool is_kept(const struct smtp_prints *p, const struct print *print)
{
    for (unsigned i = 0; i < SMTP_PRINTS && i < p->count; i++) {
        const struct print *q = &p->print[i];
        if (q->len == print->len && memcmp(q->mac, print->mac, MAC) == 0)
            return true;
    }
    return false;
}

static void keep(struct smtp_prints *p, struct span secret)
{
    unsigned char mac[DIGEST_SHA256];
    if (secret.n < SMTP_PRINT_MIN)
        return;
    secret = span_head(secret, SMTP_PRINT_MAX);
    struct print print = { .power = 1, .len = (uint16_t)secret.n, .rolling = (uint16_t)(roll(p, secret) >> 16) };
    for (size_t i = 1; i < secret.n; i++)
        print.power *= p->base;
    mac_of(p, secret, mac);
    memcpy(print.mac, mac, MAC);
    if (!is_kept(p, &print))
        p->print[p->count++ % SMTP_PRINTS] = print;
}

/* Servers may leave out what fills it up. */
static void keep_base64(struct smtp_prints *p, struct span text)
{
    while (text.n > 0 && text.p[text.n - 1] == '=')
        text.n--;
    keep(p, text);
}

void smtp_prints_add(struct smtp_prints *p, struct span password)
{
    struct buf text;
    buf_init(&text, NULL);
    codec_base64_encode(&text, password);
    keep(p, password);
    keep_base64(p, buf_span(&text));
    sasl_buf_free(&text);
}

/* Behind the last NUL. */
static struct span last_part(struct span message)
{
    const char *nul = message.n > 0 ? memrchr(message.p, '\0', message.n) : NULL;
    return nul != NULL ? span_skip(message, (size_t)(nul - message.p) + 1) : SPAN_NONE;
}

/* Bearer tokens and digests stand last, behind a blank or a control character. */
static struct span last_word(struct span message)
{
    size_t begin;
    while (message.n > 0 && (unsigned char)message.p[message.n - 1] <= ' ')
        message.n--;
    for (begin = message.n; begin > 0 && (unsigned char)message.p[begin - 1] > ' ';)
        begin--;
    return span_skip(message, begin);
}

static struct span password_in(struct span mechanism, unsigned step, struct span message)
{
    enum sasl_mechanism m;
    if (!sasl_find(mechanism, &m))
        return last_word(message);
    switch (m) {
    case SASL_PLAIN:
        return last_part(message);
    case SASL_LOGIN:
        return step > 0 ? message : SPAN_NONE;
    case SASL_EXTERNAL:
    case SASL_COUNT:
        return SPAN_NONE;
    case SASL_CRAM_MD5:
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
    case SASL_XOAUTH2:
    case SASL_OAUTHBEARER:
        break;
    }
    return last_word(message);
}

void smtp_prints_add_response(struct smtp_prints *p, struct span mechanism, unsigned step, struct span response)
{
    struct buf message;
    buf_init(&message, NULL);
    keep_base64(p, response);
    if (codec_base64_decode(&message, response))
        smtp_prints_add(p, password_in(mechanism, step, buf_span(&message)));
    sasl_buf_free(&message);
}

static bool is_it(const struct smtp_prints *p, const struct print *print, struct span place)
{
    unsigned char mac[DIGEST_SHA256];
    mac_of(p, place, mac);
    return memcmp(mac, print->mac, MAC) == 0;
}

static bool find(const struct smtp_prints *p, const struct print *print, struct span text)
{
    size_t n = print->len;
    if (text.n < n)
        return false;
    uint32_t h = roll(p, span_head(text, n));
    for (size_t i = 0;; i++) {
        if (UNLIKELY(h >> 16 == print->rolling) && is_it(p, print, span_of(text.p + i, n)))
            return true;
        if (i + n >= text.n)
            return false;
        h = (h - octet(text, i) * print->power) * p->base + octet(text, i + n);
    }
}

bool smtp_prints_found(const struct smtp_prints *p, struct span text)
{
    for (unsigned i = 0; i < SMTP_PRINTS && i < p->count; i++) {
        if (find(p, &p->print[i], text))
            return true;
    }
    return false;
}
