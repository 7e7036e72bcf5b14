/* The body scanner against a plain reading of whole lines, in each mode, both ways of searching, cut at random.
 * Input: mode, seed of the cuts, then the wire. */
#include <stdlib.h>

#include "common/smtp/body.h"
#include "tests/unit/portable_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 8192, OUTPUT_MAX = 2 * INPUT_MAX + 16 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

struct result {
    struct smtp_body body;
    size_t taken, len;
    char out[OUTPUT_MAX];
};

static void add(struct result *r, struct span piece)
{
    require(piece.n <= sizeof(r->out) - r->len);
    memcpy(r->out + r->len, piece.p, piece.n);
    r->len += piece.n;
}

/* The oracle. One line's content, its end cut off, with all that is to be said of it. */
static void oracle_text(struct result *r, struct span text)
{
    static const char dot = '.', blank = ' ';
    struct smtp_body *b = &r->body;
    b->line_len = text.n;
    b->size += text.n;
    if (text.n > 998)
        b->anomalies |= SMTP_BODY_LONG_LINE;
    if (text.n > 0 && text.p[0] == '.')
        add(r, span_of(&dot, 1));
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\r')
            b->anomalies |= SMTP_BODY_BARE_CR;
        if (text.p[i] == '\0')
            b->anomalies |= SMTP_BODY_NUL;
        if ((unsigned char)text.p[i] > 127)
            b->anomalies |= SMTP_BODY_8BIT;
        add(r, text.p[i] == '\r' ? span_of(&blank, 1) : span_of(text.p + i, 1));
    }
}

static struct span oracle_unstuff(struct span text)
{
    return text.n > 0 && text.p[0] == '.' ? span_skip(text, 1) : text;
}

/* The last line, which has no end yet: a CR at its end is held back, and a dot that is all of it. */
static void oracle_rest(struct result *r, struct span text)
{
    bool cr = text.n > 0 && text.p[text.n - 1] == '\r';
    bool dot;
    text.n -= cr;
    dot = text.n == 1 && text.p[0] == '.';
    oracle_text(r, oracle_unstuff(text));
    if (dot)
        r->body.state = cr ? SMTP_BODY_DOT_CR : SMTP_BODY_DOT;
    else if (cr)
        r->body.state = SMTP_BODY_CR;
    else if (text.n > 0)
        r->body.state = SMTP_BODY_IN_LINE;
}

static void oracle(struct result *r, enum smtp_bare_newline mode, struct span in)
{
    bool crlf_before = true;
    const char *nl;
    for (; in.n > 0 && (nl = memchr(in.p, '\n', in.n)) != NULL; in = span_skip(in, (size_t)(nl - in.p) + 1)) {
        struct span text = span_of(in.p, (size_t)(nl - in.p));
        bool crlf = text.n > 0 && text.p[text.n - 1] == '\r';
        text.n -= crlf;
        r->taken += (size_t)(nl - in.p) + 1;
        if (!crlf)
            r->body.anomalies |= SMTP_BODY_BARE_LF;
        bool dot = span_eq(text, SPAN_LIT("."));
        if (dot && (mode == SMTP_BARE_ACCEPT || (crlf && crlf_before))) {
            r->body.state = SMTP_BODY_ENDED;
            return;
        }
        oracle_text(r, dot ? text : oracle_unstuff(text));
        add(r, SPAN_LIT("\r\n"));
        r->body.size += 2;
        r->body.line_len = 0;
        crlf_before = crlf;
    }
    r->taken += in.n;
    oracle_rest(r, in);
}

typedef size_t scan_fn(struct smtp_body *b, struct span in, struct smtp_body_out *out);

/* What counts as content in canonical wire form. */
static uint64_t unstuffed_len(const char *p, size_t n)
{
    uint64_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += !(p[i] == '.' && (i == 0 || p[i - 1] == '\n'));
    return len;
}

/* seed 0: not cut. */
static void scan_all(struct result *r, scan_fn *scan, enum smtp_bare_newline mode, struct span in, unsigned seed)
{
    struct smtp_body_out out;
    memset(&r->body, 0, sizeof(r->body));
    r->taken = r->len = 0;
    smtp_body_init(&r->body, mode);
    while (r->taken < in.n && r->body.state != SMTP_BODY_ENDED) {
        size_t segment = seed == 0 ? in.n : 1 + (seed >> 16) % (seed & 64 ? 7 : 97);
        seed = seed == 0 ? 0 : (seed * 1664525 + 1013904223) | 1;
        struct span part = span_head(span_skip(in, r->taken), segment);
        size_t n = scan(&r->body, part, &out);
        require(n > 0 && n <= part.n && out.count <= SMTP_BODY_PIECES);
        for (unsigned i = 0; i < out.count; i++) {
            require(out.piece[i].n > 0);
            add(r, out.piece[i]);
        }
        r->taken += n;
        require(n < part.n || r->body.size == unstuffed_len(r->out, r->len));
    }
}

static void same(const struct result *a, const struct result *b)
{
    require(a->len == b->len && memcmp(a->out, b->out, a->len) == 0);
    require(a->taken == b->taken && a->body.state == b->body.state && a->body.anomalies == b->body.anomalies);
    require(a->body.size == b->body.size);
    require(a->body.state == SMTP_BODY_ENDED || a->body.line_len == b->body.line_len);
}

/* One reading: no CR or LF alone, no line of one dot, each line that begins with a dot stuffed. */
static void check_output(const struct result *r)
{
    for (size_t i = 0; i < r->len; i++) {
        bool at_line = i == 0 || r->out[i - 1] == '\n';
        if (r->out[i] == '\n')
            require(i > 0 && r->out[i - 1] == '\r');
        if (r->out[i] == '\r')
            require(i + 1 < r->len && r->out[i + 1] == '\n');
        if (at_line && r->out[i] == '.')
            require(i + 1 < r->len && r->out[i + 1] == '.');
    }
    if (r->body.state == SMTP_BODY_ENDED)
        require(r->len == 0 || r->out[r->len - 1] == '\n');
    require(r->body.size == unstuffed_len(r->out, r->len));
}

/* The output as a message of its own comes out as it is, and ends at its own end. */
static void check_again(const struct result *r, enum smtp_bare_newline mode, unsigned seed)
{
    static struct result again;
    static char wire[OUTPUT_MAX + 3];
    bool ended = r->body.state == SMTP_BODY_ENDED;
    memcpy(wire, r->out, r->len);
    memcpy(wire + r->len, ".\r\n", 3);
    struct span in = span_of(wire, r->len + (ended ? 3 : 0));
    scan_all(&again, smtp_body_scan, mode, in, seed);
    require(again.len == r->len && memcmp(again.out, r->out, r->len) == 0 && again.taken == in.n);
    require((again.body.state == SMTP_BODY_ENDED) == ended && again.body.size == r->body.size);
    require(again.body.anomalies == (r->body.anomalies & ~(unsigned)(SMTP_BODY_BARE_CR | SMTP_BODY_BARE_LF)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole, cut, portable, naive;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    enum smtp_bare_newline mode = (enum smtp_bare_newline)(data[0] % 3);
    struct span in = span_of((const char *)data + 2, size - 2);
    memset(&naive, 0, offsetof(struct result, out));
    oracle(&naive, mode, in);
    scan_all(&whole, smtp_body_scan, mode, in, 0);
    scan_all(&cut, smtp_body_scan, mode, in, data[1] + 1u);
    scan_all(&portable, portable_body_scan, mode, in, data[1] + 2u);
    same(&whole, &naive);
    same(&cut, &naive);
    same(&portable, &naive);
    unsigned odd = naive.body.anomalies & (SMTP_BODY_BARE_CR | SMTP_BODY_BARE_LF | SMTP_BODY_NUL);
    require(whole.body.rejected == (mode == SMTP_BARE_REJECT && odd != 0) && cut.body.rejected == whole.body.rejected);
    check_output(&whole);
    check_again(&whole, mode, data[1]);
    return 0;
}
