/* The header scanner: the same fields however the section is cut, and the same as a plain reading of whole lines.
 * Input: seed of the cuts, then the message. */
#include <stdlib.h>

#include "common/smtp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_header_want want = { { "message-id", "subject", "x", "received" }, 4 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* What the plain reading finds: each field is its first line behind the colon and its folded lines, in one piece. */
struct naive {
    struct span value[SMTP_HEADER_WANT_MAX];
    bool have[SMTP_HEADER_WANT_MAX];
    bool done;
    unsigned received;
};

static struct span trim(struct span s)
{
    static const char white[] = { ' ', '\t', '\r', '\n' };
    while (s.n > 0 && memchr(white, s.p[0], sizeof(white)) != NULL)
        s = span_skip(s, 1);
    s = span_head(s, SMTP_HEADER_VALUE_MAX);
    while (s.n > 0 && memchr(white, s.p[s.n - 1], sizeof(white)) != NULL)
        s.n--;
    return s;
}

static size_t line_len(struct span s)
{
    const char *nl = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
    return nl != NULL ? (size_t)(nl - s.p) + 1 : s.n;
}

/* The length of the name, 0 if the line is no field; *colon: where its colon is. */
static size_t name_of(struct span line, size_t *colon)
{
    size_t name = 0;
    while (name < line.n && line.p[name] > 32 && line.p[name] < 127 && line.p[name] != ':')
        name++;
    *colon = name;
    while (*colon < line.n && (line.p[*colon] == ' ' || line.p[*colon] == '\t'))
        ++*colon;
    return *colon < line.n && line.p[*colon] == ':' ? name : 0;
}

/* Could more bytes still make a field of this line? */
static bool undecided(struct span line, size_t name, size_t colon)
{
    return name == 0 && colon == line.n && line.n > 0 && line.p[0] > 32 && line.p[0] != ':';
}

static void keep(struct naive *n, struct span name, struct span value)
{
    n->received += span_eq_nocase(name, SPAN_LIT("received"));
    for (unsigned i = 0; i < want.count; i++) {
        if (span_eq_nocase(name, span_str(want.name[i])) && !n->have[i]) {
            n->have[i] = true;
            n->value[i] = trim(value);
        }
    }
}

static void oracle(struct naive *n, struct span in)
{
    while (in.n > 0) {
        size_t colon, len = line_len(in), name = name_of(span_head(in, len), &colon);
        if (name == 0) {
            n->done = !undecided(span_head(in, len), name, colon);
            return;
        }
        while (len < in.n && in.p[len - 1] == '\n' && span_is_blank(in.p[len]))
            len += line_len(span_skip(in, len));
        keep(n, span_head(in, name), span_of(in.p + colon + 1, len - colon - 1));
        in = span_skip(in, len);
    }
}

/* seed 0: not cut. */
static void feed_all(struct smtp_header *h, struct span in, unsigned seed)
{
    smtp_header_init(h, &want, NULL);
    while (in.n > 0) {
        size_t n = seed == 0 ? in.n : 1 + (seed >> 16) % (seed & 64 ? 5 : 90);
        seed = seed == 0 ? 0 : (seed * 1664525 + 1013904223) | 1;
        smtp_header_feed(h, span_head(in, n));
        in = span_skip(in, n);
        require(h->values.cap <= BUF_BLOCK);
    }
}

static void compare(const struct smtp_header *h, const struct naive *n)
{
    require(h->done == n->done && h->received == n->received);
    for (unsigned i = 0; i < want.count; i++) {
        struct span value;
        bool have = smtp_header_value(h, i, &value);
        require(have == n->have[i]);
        require(!have || span_eq(value, n->value[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span in = span_of((const char *)data + 1, size - 1);
    struct smtp_header whole, cut;
    struct naive naive = { .done = false };
    oracle(&naive, in);
    feed_all(&whole, in, 0);
    feed_all(&cut, in, data[0] + 1u);
    compare(&whole, &naive);
    compare(&cut, &naive);
    smtp_header_free(&whole);
    smtp_header_free(&cut);
    return 0;
}
