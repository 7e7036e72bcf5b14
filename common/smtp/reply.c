/* Replies are taken line by line. One that stands whole and canonical in the input is pointed at and never copied; any
 * other is built in `partial`: canonical lines up to partial.scan, behind it the line whose end has not come yet.
 *
 * Whether a line is good depends on the bytes of the reply so far and on nothing else, so that the result is the same
 * however the stream is cut. A line's head is judged as soon as it is there: what is no reply need not end to be BAD.
 */
#include "common/smtp/reply.h"

enum { CODE_LEN = 3, HEAD_LEN = 4 };

static int code_of(struct span line) { return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0'); }

static bool is_last(struct span line) { return line.n == CODE_LEN || line.p[CODE_LEN] != '-'; }

/* Can these bytes begin a line of the reply whose code is `code` (0: any)? */
static bool head_fits(struct span line, int code)
{
    static const char low[] = "200", high[] = "599";
    for (size_t i = 0; i < min_size(line.n, CODE_LEN); i++) {
        if (line.p[i] < low[i] || line.p[i] > high[i])
            return false;
    }
    if (line.n >= CODE_LEN && code != 0 && code_of(line) != code)
        return false;
    return line.n < HEAD_LEN || line.p[CODE_LEN] == '-' || span_is_blank(line.p[CODE_LEN]);
}

static bool is_control(char c) { return ((unsigned char)c < ' ' && c != '\t') || c == '\x7f'; }

static bool is_clean(struct span line)
{
    for (size_t i = 0; i < line.n; i++) {
        if (is_control(line.p[i]) || (line.p[i] == '\t' && i == CODE_LEN))
            return false;
    }
    return true;
}

static void clean(char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_control(line[i]))
            line[i] = '?';
    }
    if (n > CODE_LEN && line[CODE_LEN] == '\t')
        line[CODE_LEN] = ' ';
}

static struct span strip_cr(struct span line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* One to three digits at text[at]; at behind them, or 0. */
static size_t skip_digits(struct span text, size_t at)
{
    size_t end = at;
    while (end < text.n && end - at < 3 && text.p[end] >= '0' && text.p[end] <= '9')
        end++;
    return end > at ? end : 0;
}

/* The length of the enhanced code that text begins with, 0 if there is none or it doesn't fit the code. */
static size_t enhanced_len(struct span text, int code)
{
    int class = code / 100;
    if (text.n < 5 || class == 3 || text.p[0] != '0' + class || text.p[1] != '.')
        return 0;
    size_t at = skip_digits(text, 2);
    if (at == 0 || at >= text.n || text.p[at] != '.')
        return 0;
    at = skip_digits(text, at + 1);
    return at != 0 && (at == text.n || span_is_blank(text.p[at])) ? at : 0;
}

/* The line at *pos without its end; false behind the last. */
static bool next_line(struct span wire, size_t *pos, struct span *line)
{
    if (*pos >= wire.n)
        return false;
    const char *from = wire.p + *pos, *nl = memchr(from, '\n', wire.n - *pos);
    size_t n = nl != NULL ? (size_t)(nl - from) : wire.n - *pos;
    *pos += n + (nl != NULL);
    *line = strip_cr(span_of(from, n));
    return true;
}

static struct smtp_reply take_apart(struct span wire, unsigned lines)
{
    struct smtp_reply r = { .wire = wire, .lines = lines };
    struct span text;
    size_t pos = 0;
    if (wire.n < CODE_LEN)
        return r;
    r.code = code_of(wire);
    if (smtp_reply_line(&r, &pos, false, &text))
        memcpy(r.enhanced, text.p, enhanced_len(text, r.code));
    return r;
}

void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf_pool *pool)
{
    *p = (struct smtp_reply_parser){ .code = 0 };
    buf_init(&p->partial, pool);
}

void smtp_reply_parser_free(struct smtp_reply_parser *p)
{
    buf_free(&p->partial);
    smtp_reply_parser_init(p, p->partial.pool);
}

static bool parse_in_place(struct span *in, struct smtp_reply *out)
{
    int code = 0;
    unsigned lines = 0;
    const char *nl;
    size_t at = 0;
    while (at < in->n && (nl = memchr(in->p + at, '\n', in->n - at)) != NULL) {
        struct span line = strip_cr(span_of(in->p + at, (size_t)(nl - in->p) - at));
        at = (size_t)(nl - in->p) + 1;
        if (at > SMTP_REPLY_MAX || line.n < CODE_LEN || line.p + line.n == nl || !head_fits(line, code) ||
            !is_clean(line))
            return false;
        code = code_of(line);
        lines++;
        if (is_last(line)) {
            *out = take_apart(span_of(in->p, at), lines);
            in->p += at;
            in->n -= at;
            return true;
        }
    }
    return false;
}

static struct span unfinished_line(const struct smtp_reply_parser *p)
{
    return buf_empty(&p->partial) ? SPAN_NONE : span_skip(buf_span(&p->partial), p->partial.scan - p->partial.head);
}

/* The line's LF has come, and is not in partial. */
static enum smtp_reply_result end_line(struct smtp_reply_parser *p)
{
    struct span raw = unfinished_line(p), line = strip_cr(raw);
    p->partial.tail -= raw.n - line.n;
    if (line.n < CODE_LEN || !head_fits(line, p->code) || buf_len(&p->partial) + 2 > SMTP_REPLY_MAX)
        return SMTP_REPLY_BAD;
    p->code = code_of(line);
    p->lines++;
    bool last = is_last(line);
    clean(p->partial.base + p->partial.scan, line.n);
    buf_append(&p->partial, "\r\n", 2);
    p->partial.scan = p->partial.tail;
    return last ? SMTP_REPLY_DONE : SMTP_REPLY_MORE;
}

/* To the end of the line or of *in. */
static enum smtp_reply_result take_line(struct smtp_reply_parser *p, struct span *in)
{
    const char *nl = memchr(in->p, '\n', in->n);
    size_t n = nl != NULL ? (size_t)(nl - in->p) : in->n;
    if (n >= SMTP_REPLY_MAX - buf_len(&p->partial))
        return SMTP_REPLY_BAD;
    buf_append(&p->partial, in->p, n);
    n += nl != NULL;
    in->p += n;
    in->n -= n;
    if (nl != NULL)
        return end_line(p);
    return head_fits(strip_cr(unfinished_line(p)), p->code) ? SMTP_REPLY_MORE : SMTP_REPLY_BAD;
}

enum smtp_reply_result smtp_reply_parse(struct smtp_reply_parser *p, struct span *in, struct smtp_reply *out)
{
    if (p->delivered)
        smtp_reply_parser_free(p);
    if (buf_empty(&p->partial) && parse_in_place(in, out))
        return SMTP_REPLY_DONE;
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    while (in->n > 0 && result == SMTP_REPLY_MORE)
        result = take_line(p, in);
    if (result == SMTP_REPLY_DONE) {
        *out = take_apart(buf_span(&p->partial), p->lines);
        p->delivered = true;
    } else if (result == SMTP_REPLY_BAD) {
        smtp_reply_parser_free(p);
    }
    return result;
}

bool smtp_reply_line(const struct smtp_reply *r, size_t *pos, bool skip_enhanced, struct span *text)
{
    struct span line;
    if (!next_line(r->wire, pos, &line))
        return false;
    size_t head = min_size(line.n, HEAD_LEN);
    *text = span_of(line.p + head, line.n - head);
    size_t n = skip_enhanced ? enhanced_len(*text, r->code) : 0;
    if (n > 0) {
        n += n < text->n;
        *text = span_of(text->p + n, text->n - n);
    }
    return true;
}

struct smtp_reply smtp_reply_read(struct span wire)
{
    unsigned lines = 0;
    struct span line;
    for (size_t pos = 0; next_line(wire, &pos, &line);)
        lines++;
    return take_apart(wire, lines);
}

void smtp_reply_text(struct buf *out, const struct smtp_reply *r)
{
    struct span line;
    size_t pos = 0;
    while (next_line(r->wire, &pos, &line)) {
        if (line.p != r->wire.p)
            buf_append(out, " / ", 3);
        buf_append_span(out, line);
    }
}

/* Literals are glued here, so that the table is constant memory: no set-up, and any thread may read it. */
#define OWN_PLAIN(code, text) #code " " text "\r\n"
#define OWN_ENHANCED(code, enhanced, text) #code " " enhanced " " text "\r\n"
#define OWN_ROW(id, own_code, own_enhanced, text)                                                                      \
    [SMTP_OWN_##id] = {                                                                                                \
        .code = own_code,                                                                                              \
        .enhanced = own_enhanced,                                                                                      \
        .wire = { sizeof(own_enhanced) == 1 ? OWN_PLAIN(own_code, text) : OWN_ENHANCED(own_code, own_enhanced, text),  \
                  sizeof(own_enhanced) == 1 ? sizeof(OWN_PLAIN(own_code, text)) - 1                                    \
                                            : sizeof(OWN_ENHANCED(own_code, own_enhanced, text)) - 1 },                \
        .lines = 1,                                                                                                    \
    },

const struct smtp_reply *smtp_reply_own(enum smtp_own id)
{
    static const struct smtp_reply own[SMTP_OWN_COUNT] = { SMTP_OWN_REPLIES(OWN_ROW) };
    return &own[id];
}
