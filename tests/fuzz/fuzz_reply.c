/* The reply parser: the same replies however the stream is cut; canonical wires that parse to themselves, and agree
 * with a plain reading of whole lines. Input: seed of the cuts, then the stream. */
#include <stdlib.h>

#include "common/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 200000 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* All replies of a stream: their wires, and how it ended. */
struct result {
    struct buf wire;
    unsigned replies, lines;
    bool bad;
};

static void check_enhanced(const struct smtp_reply *r)
{
    size_t n = strlen(r->enhanced);
    if (n == 0)
        return;
    require(r->code / 100 == r->enhanced[0] - '0' && r->code / 100 != 3);
    require(r->wire.n > n + 4 && memcmp(r->wire.p + 4, r->enhanced, n) == 0);
    require(strspn(r->enhanced, "0123456789.") == n);
}

/* One reading: every line is code, '-' or blank (or nothing at the last), text without control bytes, CR LF. */
static void check_wire(const struct smtp_reply *r)
{
    unsigned lines = 0;
    require(r->wire.n >= 5 && r->wire.n <= SMTP_REPLY_MAX && r->code >= 200 && r->code <= 599);
    for (struct span rest = r->wire; rest.n > 0; lines++) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        require(nl != NULL && nl - rest.p >= 4 && nl[-1] == '\r');
        struct span line = span_of(rest.p, (size_t)(nl - rest.p) - 1);
        for (size_t i = 0; i < line.n; i++)
            require(((unsigned char)line.p[i] >= ' ' || line.p[i] == '\t') && line.p[i] != '\x7f');
        require(line.p[0] - '0' == r->code / 100 && line.p[1] - '0' == r->code / 10 % 10 &&
                line.p[2] - '0' == r->code % 10);
        rest = span_skip(rest, line.n + 2);
        require(rest.n > 0 ? line.n > 3 && line.p[3] == '-' : line.n == 3 || line.p[3] == ' ');
    }
    require(lines == r->lines);
}

static void check_iteration(const struct smtp_reply *r)
{
    struct span text;
    struct buf joined;
    unsigned lines = 0;
    buf_init(&joined, NULL);
    for (size_t pos = 0; smtp_reply_line(r, &pos, true, &text); lines++)
        require(text.p >= r->wire.p && text.p + text.n <= r->wire.p + r->wire.n);
    smtp_reply_text(&joined, r);
    require(lines == r->lines && buf_len(&joined) == r->wire.n - 2 + (lines - 1));
    require(memchr(joined.base, '\n', joined.tail) == NULL);
    buf_free(&joined);
}

static void check_again(const struct smtp_reply *r)
{
    struct smtp_reply_parser p;
    struct smtp_reply again;
    struct span in = r->wire;
    smtp_reply_parser_init(&p, NULL);
    require(smtp_reply_parse(&p, &in, &again) == SMTP_REPLY_DONE);
    require(in.n == 0 && again.wire.p == r->wire.p && again.wire.n == r->wire.n);
    require(again.code == r->code && again.lines == r->lines && strcmp(again.enhanced, r->enhanced) == 0);
    again = smtp_reply_read(r->wire);
    require(again.code == r->code && again.lines == r->lines && strcmp(again.enhanced, r->enhanced) == 0);
    smtp_reply_parser_free(&p);
}

static void take(struct result *result, const struct smtp_reply *r)
{
    check_wire(r);
    check_enhanced(r);
    check_iteration(r);
    check_again(r);
    buf_append_span(&result->wire, r->wire);
    result->replies++;
    result->lines += r->lines;
}

/* seed 0: not cut. */
static struct result parse_all(struct span in, unsigned seed)
{
    struct result result = { .bad = false };
    struct smtp_reply_parser p;
    struct smtp_reply r;
    smtp_reply_parser_init(&p, NULL);
    while (in.n > 0 && !result.bad) {
        struct span part = span_head(in, seed == 0 ? in.n : 1 + (seed >> 16) % (seed & 64 ? 9 : 300));
        seed = seed == 0 ? 0 : (seed * 1664525 + 1013904223) | 1;
        in = span_skip(in, part.n);
        enum smtp_reply_result got;
        while ((got = smtp_reply_parse(&p, &part, &r)) == SMTP_REPLY_DONE)
            take(&result, &r);
        result.bad = got == SMTP_REPLY_BAD;
        require(result.bad || part.n == 0);
    }
    smtp_reply_parser_free(&p);
    return result;
}

/* The oracle: is this a line, its end cut off, of a reply whose code is `code` (-1: any)? Returns its code or 0. */
static int oracle_line(struct span line, int code)
{
    int n = 0;
    for (size_t i = 0; i < 3; i++) {
        if (i >= line.n || line.p[i] < '0' || line.p[i] > '9')
            return 0;
        n = n * 10 + line.p[i] - '0';
    }
    bool ok = n >= 200 && n < 600 && (code < 0 || n == code);
    return ok && (line.n == 3 || strchr("- \t", line.p[3]) != NULL) && (line.n == 3 || line.p[3] != 0) ? n : 0;
}

static void oracle_append(struct buf *wire, struct span line)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c == '\t' && i == 3)
            c = ' ';
        else if ((c < 32 && c != '\t') || c == 127)
            c = '?';
        buf_append(wire, &c, 1);
    }
    buf_append(wire, "\r\n", 2);
}

/* Reads whole lines of a stream that is shorter than one reply may be; a bad rest without end is not seen. */
static struct result oracle(struct span in)
{
    struct result result = { .bad = false };
    int code = -1;
    size_t whole = 0;
    unsigned lines = 0;
    const char *nl;
    for (; in.n > 0 && (nl = memchr(in.p, '\n', in.n)) != NULL; in = span_skip(in, (size_t)(nl - in.p) + 1)) {
        struct span line = span_of(in.p, (size_t)(nl - in.p));
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
        code = oracle_line(line, code);
        if (code == 0) {
            result.bad = true;
            break;
        }
        oracle_append(&result.wire, line);
        lines++;
        if (line.n == 3 || line.p[3] != '-') {
            code = -1;
            whole = result.wire.tail;
            result.replies++;
            result.lines = lines;
        }
    }
    result.wire.tail = whole;
    return result;
}

static void same(const struct result *a, const struct result *b)
{
    require(a->replies == b->replies && a->lines == b->lines && buf_len(&a->wire) == buf_len(&b->wire));
    require(buf_empty(&a->wire) || memcmp(a->wire.base, b->wire.base, buf_len(&a->wire)) == 0);
}

static void check_oracle(const struct result *result, struct span in)
{
    if (in.n > SMTP_REPLY_MAX / 2)
        return;
    struct result naive = oracle(in);
    same(result, &naive);
    require(result->bad || !naive.bad);
    require(!result->bad || naive.bad || in.p[in.n - 1] != '\n');
    buf_free(&naive.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    struct span in = span_of((const char *)data + 1, size - 1);
    struct result whole = parse_all(in, 0), cut = parse_all(in, data[0] + 1u);
    same(&whole, &cut);
    require(whole.bad == cut.bad);
    check_oracle(&whole, in);
    buf_free(&whole.wire);
    buf_free(&cut.wire);
    return 0;
}
