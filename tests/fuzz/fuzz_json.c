/* Any bytes, as strings of one piece and of several: the line is as the model says, and json-c reads back the repaired
 * text; no input adds a key or ends the line. */
#include <stdlib.h>

#include "common/json.h"
#include "tests/unit/json_c.h"
#include "tests/unit/json_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

enum { PIECES = 3 };

static void check_member(struct json_object *o, const char *key, const char *want, size_t n)
{
    struct json_object *v = json_object_object_get(o, key);
    CHECK(json_object_is_type(v, json_type_string));
    CHECK((size_t)json_object_get_string_len(v) == n);
    CHECK(memcmp(json_object_get_string(v), want, n) == 0);
}

static void check_line(const struct buf *b, const char *repaired, size_t r, const char *joined, size_t jn, int64_t num)
{
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(tok, buf_span(b).p, (int)buf_len(b));
    CHECK(json_tokener_get_error(tok) == json_tokener_success);
    CHECK(json_tokener_get_parse_end(tok) == buf_len(b));
    CHECK(json_object_object_length(o) == 4);
    check_member(o, "a", repaired, r);
    check_member(o, "b", joined, jn);
    CHECK(json_object_get_int64(json_object_object_get(o, "n")) == num);
    double ms = json_object_get_double(json_object_object_get(o, "ms"));
    double want = (double)num / 1000;
    CHECK(ms - want <= 1e-9 * (want < 0 ? -want : want) && want - ms <= 1e-9 * (want < 0 ? -want : want));
    json_object_put(o);
    json_tokener_free(tok);
}

static void check_bytes(const struct buf *b)
{
    struct span s = buf_span(b);
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        CHECK(c >= 0x20 && c != 0x7f);
        CHECK(!(c == 0xc2 && (uint8_t)s.p[i + 1] < 0xa0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 10 || size > 100000)
        return 0;
    struct span in = span_of((const char *)data + 10, size - 10);
    struct span pieces[PIECES] = { span_head(in, data[8]), SPAN_NONE, SPAN_NONE };
    pieces[1] = span_head(span_skip(in, pieces[0].n), data[9]);
    pieces[2] = span_skip(in, pieces[0].n + pieces[1].n);
    int64_t num;
    memcpy(&num, data, sizeof(num));
    struct buf b;
    struct json j = { .out = &b };
    buf_init(&b, NULL);
    json_open(&j, '{');
    json_key(&j, SPAN_LIT("a"));
    size_t at = json_len(&j);
    json_str(&j, in);
    size_t len = json_len(&j) - at;
    json_key(&j, SPAN_LIT("b"));
    json_cat(&j, pieces, PIECES);
    json_key(&j, SPAN_LIT("n"));
    json_int(&j, num);
    json_key(&j, SPAN_LIT("ms"));
    json_ms(&j, num);
    json_close(&j, '}');
    json_end(&j);

    char *written = malloc(6 * in.n + 8), *repaired = malloc(6 * in.n + 8), *joined = malloc(6 * in.n + 8);
    size_t w = 0, r = 0, jn = 0;
    for (int i = 0; i < PIECES; i++) {
        json_model(pieces[i], written, &w, joined, &jn);
        w = 0;
    }
    json_model(in, written, &w, repaired, &r);
    CHECK(len == w + 2 && memcmp(buf_span(&b).p + at + 1, written, w) == 0);
    check_bytes(&b);
    check_line(&b, repaired, r, joined, jn, num);
    free(written);
    free(repaired);
    free(joined);
    buf_free(&b);
    return 0;
}
