/* The table of mechanisms, and texts that may hold a secret: each is wiped before its memory is given back. */
#include "common/smtp/sasl_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"

static const struct {
    struct span name;
    bool client_first;
} mechanisms[] = {
#define SASL_ROW(id, word, first) { SPAN_LIT(word), (first) },
    SASL_MECHANISMS(SASL_ROW)
#undef SASL_ROW
};
_Static_assert(ARRAY_LEN(mechanisms) == SASL_COUNT, "a row for each mechanism");
_Static_assert(SASL_COUNT <= 32, "mechanisms fit a set");

bool sasl_find(struct span name, enum sasl_mechanism *out)
{
    for (size_t i = 0; i < SASL_COUNT; i++) {
        if (!span_eq_nocase(mechanisms[i].name, name))
            continue;
        *out = (enum sasl_mechanism)i;
        return true;
    }
    return false;
}

const char *sasl_name(enum sasl_mechanism m) { return m < SASL_COUNT ? mechanisms[m].name.p : "?"; }

bool sasl_client_first(enum sasl_mechanism m) { return m < SASL_COUNT && mechanisms[m].client_first; }

bool sasl_takes_initial(enum sasl_mechanism m) { return sasl_client_first(m) || m == SASL_LOGIN; }

void sasl_buf_free(struct buf *b)
{
    if (b->base != NULL)
        explicit_bzero(b->base, b->tail);
    buf_free(b);
}

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

void *sasl_new(size_t n) { return must(calloc(1, n)); }

char *sasl_dup(struct span s)
{
    char *copy = sasl_new(s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

char *sasl_format(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    return text;
}

void sasl_forget(char **text)
{
    if (*text == NULL)
        return;
    explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

char *sasl_base64(struct span octets)
{
    struct buf b;
    buf_init(&b, NULL);
    codec_base64_encode(&b, octets);
    char *text = sasl_dup(buf_span(&b));
    sasl_buf_free(&b);
    return text;
}

bool sasl_unbase64(struct span text, unsigned char *out_r, size_t cap, size_t *n_r)
{
    struct buf b;
    buf_init(&b, NULL);
    bool ok = codec_base64_decode(&b, text) && buf_len(&b) <= cap;
    if (ok) {
        *n_r = buf_len(&b);
        if (*n_r > 0)
            memcpy(out_r, buf_span(&b).p, *n_r);
    }
    sasl_buf_free(&b);
    return ok;
}

bool sasl_has_control(struct span text)
{
    for (size_t i = 0; i < text.n;) {
        uint32_t cp;
        i += codec_utf8_step(text.p + i, text.n - i, &cp);
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            return true;
    }
    return false;
}

bool sasl_name_valid(struct span name)
{
    return name.n > 0 && name.n <= SASL_NAME_MAX && codec_utf8_valid(name) && !sasl_has_control(name);
}

void sasl_binding_take(struct sasl_binding_copy *to, struct span from)
{
    to->n = from.n <= sizeof(to->octets) ? from.n : 0;
    if (to->n > 0)
        memcpy(to->octets, from.p, to->n);
}
