/* Records of every kind whose text is the fuzzer's: the line of format ecs is JSON, never too long, has only fields of
 * the list with their types, and says all that the native line says; where one is cut, what joins records stays. */
#include <stdlib.h>
#include <string.h>

#include "common/record/ecs.h"
#include "tests/unit/ecs_model.h"
#include "tests/unit/record_lines.h"
#include "tests/unit/record_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            abort();                                                                                                   \
    } while (0)

static struct span input;
static char texts[1 << 18];
static size_t used;

static unsigned take_byte(void)
{
    unsigned c = input.n > 0 ? (unsigned char)input.p[0] : 0;
    input = span_skip(input, 1);
    return c;
}

/* Bytes of the input, sometimes many times over; as UTF-8, for json-c is to read what was meant. */
static struct span source(void *arg, enum record_key key)
{
    (void)arg;
    size_t from = used;
    unsigned how = take_byte();
    struct span s = span_head(input, how % 64);
    input = span_skip(input, s.n);
    if (key == KEY_LINES)
        return SPAN_LIT("550-5.1.1 one\r\n550 5.1.1 \xff two\r\n");
    if (key == KEY_HOST && how % 3 == 0)
        return how % 2 ? SPAN_LIT("203.0.113.9") : SPAN_LIT("2001:db8::9");
    for (size_t times = how >= 224 ? 60 : 1; times > 0 && used + s.n < sizeof(texts); times--) {
        if (s.n > 0)
            memcpy(texts + used, s.p, s.n);
        used += s.n;
    }
    return span_of(texts + from, used - from);
}

static struct json_object *parse(const struct record *r, const struct record_format *f, size_t max, bool *cut)
{
    struct json_time_cache cache = { 0 };
    struct buf line;
    buf_init(&line, NULL);
    f->write(&line, r, max, f->tail_max, &cache);
    CHECK(buf_len(&line) + f->tail_max <= max_size(max, f->least));
    buf_append(&line, "}", 2);
    for (size_t i = 0; i + 1 < buf_len(&line); i++)
        CHECK((unsigned char)buf_span(&line).p[i] >= 0x20);
    struct json_object *o = line_parse(&line);
    CHECK(o != NULL);
    *cut = json_object_object_get_ex(o, f == &record_ecs ? "smtptap.truncated" : "truncated", NULL);
    buf_free(&line);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample s = { .source = source };
    bool cut, native_cut;
    input = span_of((const char *)data, size);
    used = 0;
    enum tnx tnx = (enum tnx)(take_byte() % TNX_COUNT);
    enum side side = (enum side)(take_byte() % 3);
    size_t max = take_byte() * 64;
    sample_make(&s, tnx, side);
    struct json_object *ecs = parse(&s.r, &record_ecs, 1 << 24, &cut);
    struct json_object *native = parse(&s.r, &record_native, 1 << 24, &native_cut);
    CHECK(!cut && !native_cut);
    ecs_check_fields(ecs);
    ecs_check_map(native, ecs);
    json_object_put(ecs);
    json_object_put(native);
    ecs = parse(&s.r, &record_ecs, max, &cut);
    ecs_check_fields(ecs);
    CHECK(json_object_object_get(ecs, "smtptap.cid") != NULL && json_object_object_get(ecs, "transaction.id") != NULL);
    json_object_put(ecs);
    return 0;
}
