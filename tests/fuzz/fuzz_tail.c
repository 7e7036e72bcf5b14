/* A log line, whatever it holds, and text as it may stand in one: what goes to the terminal has no control character
 * but line ends and our own colours, and is UTF-8 (ASCII where the terminal knows no other). */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/path.h"
#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

/* ESC [ one or two digits m. */
static size_t take_colour(struct span s)
{
    size_t n = 2;
    CHECK(s.n >= 4 && s.p[1] == '[');
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    CHECK(n > 2 && n <= 4 && n < s.n && s.p[n] == 'm');
    return n + 1;
}

static void check_shown(struct span shown, const struct term *t)
{
    CHECK(codec_utf8_valid(shown));
    CHECK(shown.n == 0 || shown.p[shown.n - 1] == '\n');
    while (shown.n > 0) {
        uint32_t cp;
        size_t n = codec_utf8_step(shown.p, shown.n, &cp);
        if (cp == 033 && t->colour)
            n = take_colour(shown);
        else
            CHECK(cp == '\n' || !smtp_char_is_control(cp));
        CHECK(t->utf8 || cp < 127);
        shown = span_skip(shown, n);
    }
}

static void show(struct span line, struct json_object *record, bool colour, bool utf8)
{
    struct tail_printer p = { .term = { .colour = colour, .utf8 = utf8 } };
    struct buf out;
    buf_init(&out, NULL);
    if (record != NULL)
        tail_print(&p, &out, record);
    else
        tail_print_raw(&p, &out, line);
    check_shown(buf_span(&out), &p.term);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tail_filter filter;
    const char *why;
    struct span line = span_of((const char *)data, size);
    if (size == 0 || memchr(data, '\n', size) != NULL)
        return 0;
    struct json_object *record = tail_parse(line);
    for (unsigned i = 0; i < 4; i++)
        show(line, record, i & 1, i & 2);
    if (record != NULL) {
        filter = (struct tail_filter){ .level = LEVEL_DEBUG, .cid = "4d" };
        CHECK(tail_filter_client(&filter, "10.0.0.0/8", &why));
        CHECK(tail_filter_domain(&filter, "b.example", &why));
        tail_filter_takes(&filter, record);
    }
    json_object_put(record);
    return 0;
}
