/* Any bytes as a line: what is found lies within it, and every form can be made of it. Any bytes as a value: it is read
 * back as json-c reads it, and neither a syslog message nor an entry of the journal says more than one thing. */
#include <stdlib.h>

#include "common/json.h"
#include "common/record/journal.h"
#include "common/record/line.h"
#include "common/record/syslog.h"
#include "tests/unit/json_c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

/* Of fields, each known by its length or its line end; the last one ends with the entry. */
static void check_entry(struct span entry)
{
    unsigned fields = 0;
    while (entry.n > 0) {
        const char *end = memchr(entry.p, '\n', entry.n);
        CHECK(end != NULL);
        size_t n = (size_t)(end - entry.p) + 1;
        const char *equals = memchr(entry.p, '=', n);
        if (equals == NULL) {
            uint64_t value = 0;
            CHECK(entry.n >= n + 8);
            for (unsigned i = 0; i < 8; i++)
                value |= (uint64_t)(uint8_t)entry.p[n + i] << (8 * i);
            CHECK(value < entry.n - n - 8 && entry.p[n + 8 + value] == '\n');
            n += 8 + value + 1;
        }
        for (const char *p = entry.p; p < (equals != NULL ? equals : end); p++)
            CHECK((*p >= 'A' && *p <= 'Z') || *p == '_');
        entry = span_skip(entry, n);
        fields++;
    }
    CHECK(fields >= 4);
}

static void check_forms(struct span line)
{
    struct buf out;
    struct syslog_source from = { .host = SPAN_LIT("h"), .component = SPAN_LIT("c"), .pid = 1 };
    buf_init(&out, NULL);
    syslog_write(&out, &from, line, SYSLOG_DATAGRAM);
    struct span message = buf_span(&out);
    CHECK(message.n > line.n && message.n < line.n + 480);
    CHECK(line.n == 0 || memcmp(message.p + message.n - line.n, line.p, line.n) == 0);
    for (const char *p = message.p; p < message.p + message.n - line.n; p++)
        CHECK(*p >= ' ' && *p < 0x7f);
    buf_consume(&out, buf_len(&out));
    journal_write(&out, SPAN_LIT("c"), line);
    check_entry(buf_span(&out));
    buf_free(&out);
}

static void check_value(struct span in)
{
    struct buf line, back;
    struct json j = { .out = &line };
    struct line l;
    buf_init(&line, NULL);
    buf_init(&back, NULL);
    json_open(&j, '{');
    json_key(&j, SPAN_LIT("tnx"));
    json_str(&j, SPAN_LIT("x"));
    json_key(&j, SPAN_LIT("msg"));
    json_str(&j, in);
    json_key(&j, SPAN_LIT("seq"));
    json_int(&j, 7);
    json_close(&j, '}');
    json_end(&j);
    CHECK(line_scan(&l, buf_span(&line)));
    CHECK(span_eq(l.value[LINE_SEQ], SPAN_LIT("7")) && span_eq(l.value[LINE_TNX], SPAN_LIT("x")));
    line_unescape(&back, l.value[LINE_MSG]);
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(tok, buf_span(&line).p, (int)buf_len(&line)), *msg;
    CHECK(o != NULL && json_object_object_get_ex(o, "msg", &msg));
    CHECK((size_t)json_object_get_string_len(msg) == buf_len(&back));
    CHECK(buf_empty(&back) || memcmp(json_object_get_string(msg), buf_span(&back).p, buf_len(&back)) == 0);
    json_object_put(o);
    json_tokener_free(tok);
    check_forms(buf_span(&line));
    buf_free(&line);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct line l;
    if (size > 20000)
        return 0;
    bool good = line_scan(&l, in);
    for (size_t i = 0; i < LINE_COUNT && good; i++) {
        CHECK(l.value[i].p == NULL || (l.value[i].p >= in.p && l.value[i].p + l.value[i].n <= in.p + in.n));
    }
    check_forms(in);
    check_value(in);
    return 0;
}
