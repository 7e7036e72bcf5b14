/* What is decoded encodes to the same text, and the reverse; UTF-8 is judged as by the table; a header's value is only
 * appended, bounded in size, and unchanged where there is nothing to decode. */
#include <stdlib.h>

#include "common/codec.h"
#include "tests/unit/utf8_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

typedef void encoder(struct buf *out, struct span in);
typedef bool decoder(struct buf *out, struct span in);

static void check_round(encoder *encode, decoder *decode, struct span in, bool one_text_each)
{
    struct buf text, plain;
    buf_init(&text, NULL);
    buf_init(&plain, NULL);
    encode(&text, in);
    CHECK(decode(&plain, buf_span(&text)));
    CHECK(span_eq(buf_span(&plain), in));
    buf_free(&text);
    buf_free(&plain);
    bool ok = decode(&plain, in);
    CHECK(ok || plain.base == NULL);
    if (ok && one_text_each) {
        encode(&text, buf_span(&plain));
        CHECK(span_eq(buf_span(&text), in));
    }
    buf_free(&text);
    buf_free(&plain);
}

static void check_utf8(struct span in)
{
    bool all_good = true;
    for (size_t i = 0, len; i < in.n; i += len) {
        bool good;
        uint32_t cp;
        len = utf8_model((const uint8_t *)in.p + i, in.n - i, &good);
        CHECK(codec_utf8_step(in.p + i, in.n - i, &cp) == len);
        CHECK((cp != CODEC_UTF8_BAD) == good);
        all_good = all_good && good;
    }
    CHECK(codec_utf8_valid(in) == all_good);
    for (size_t max = 0; max <= in.n && max < 64; max++) {
        struct span cut = codec_utf8_cut(in, max);
        CHECK(cut.n <= max && cut.n + 3 >= max);
        CHECK(!all_good || codec_utf8_valid(cut));
    }
}

static bool has(struct span in, const char *bytes)
{
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i] != '\0' && strchr(bytes, in.p[i]) != NULL)
            return true;
    return false;
}

static void check_header(struct span in)
{
    struct buf out;
    buf_init(&out, NULL);
    buf_append(&out, "before", 6);
    codec_header_decode(&out, in);
    CHECK(span_eq(span_head(buf_span(&out), 6), SPAN_LIT("before")));
    CHECK(buf_len(&out) <= 6 + 3 * in.n);
    if (!has(in, "\r\n=") && !has(span_head(in, 1), " \t") && (in.n == 0 || !span_is_blank(in.p[in.n - 1])))
        CHECK(span_eq(span_skip(buf_span(&out), 6), in));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    check_round(codec_base64_encode, codec_base64_decode, in, true);
    check_round(codec_xtext_encode, codec_xtext_decode, in, false);
    check_utf8(in);
    check_header(in);
    struct buf out;
    buf_init(&out, NULL);
    CHECK(codec_xtext_valid(in) == codec_xtext_decode(&out, in));
    buf_free(&out);
    return 0;
}
