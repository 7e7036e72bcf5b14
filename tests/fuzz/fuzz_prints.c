/* Fingerprints against a plain search: what is added is found exactly where it, or its base64, stands in the text.
 * Input: the length of a password, the password, the text; the last octet says where in the text the password goes. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/codec.h"
#include "common/smtp/prints.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool stands_in(struct span text, struct span secret)
{
    secret = span_head(secret, SMTP_PRINT_MAX);
    return secret.n >= SMTP_PRINT_MIN && text.n >= secret.n && memmem(text.p, text.n, secret.p, secret.n) != NULL;
}

static bool expected(struct span text, struct span password)
{
    struct buf encoded;
    buf_init(&encoded, NULL);
    codec_base64_encode(&encoded, password);
    struct span base64 = buf_span(&encoded);
    while (base64.n > 0 && base64.p[base64.n - 1] == '=')
        base64.n--;
    bool found = stands_in(text, password) || stands_in(text, base64);
    buf_free(&encoded);
    return found;
}

/* PLAIN's message with this password brings the same, and its own base64. */
static void check_plain(struct span text, struct span password, const unsigned char key[SMTP_PRINT_KEY])
{
    struct buf message, response;
    struct smtp_prints *p = smtp_prints_new(key);
    buf_init(&message, NULL);
    buf_init(&response, NULL);
    buf_append(&message, "\0user\0", 6);
    buf_append_span(&message, password);
    codec_base64_encode(&response, buf_span(&message));
    smtp_prints_add_response(p, SPAN_LIT("PLAIN"), 0, buf_span(&response));
    require(smtp_prints_found(p, buf_span(&response)));
    if (password.n == 0 || memchr(password.p, '\0', password.n) == NULL)
        require(!expected(text, password) || smtp_prints_found(p, text));
    smtp_prints_free(&p);
    buf_free(&message);
    buf_free(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char key[SMTP_PRINT_KEY];
    if (size < 2 || size > 4000)
        return 0;
    struct span all = span_of((const char *)data + 1, size - 2), password = span_head(all, data[0]);
    struct span text = span_skip(all, password.n);
    struct buf with;
    memset(key, data[size - 1], sizeof(key));
    struct smtp_prints *p = smtp_prints_new(key);
    smtp_prints_add(p, password);
    require(smtp_prints_found(p, text) == expected(text, password));
    buf_init(&with, NULL);
    buf_append_span(&with, span_head(text, data[size - 1]));
    buf_append_span(&with, password);
    buf_append_span(&with, span_skip(text, data[size - 1]));
    require(smtp_prints_found(p, buf_span(&with)) == expected(buf_span(&with), password));
    check_plain(text, password, key);
    buf_free(&with);
    smtp_prints_free(&p);
    return 0;
}
