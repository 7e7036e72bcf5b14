/* A walk over the line with the path of keys that leads to where it is. Only strings and numbers are looked at;
 * whatever is too deep or has too long a path is passed over. Any bytes may come in; what is no JSON is refused, though
 * not all that JSON forbids is. */
#include "common/record/line.h"

#include <string.h>

enum { DEPTH_MAX = 16, PATH_MAX_OCTETS = 64 };

struct scan {
    const char *p, *end;
    struct line *out;
    char path[PATH_MAX_OCTETS];
    size_t path_len;
    bool deaf; /* inside a list, or of something whose path is too long */
    unsigned depth;
};

#define LINE_NATIVE(id, native, ecs) { native, sizeof(native) - 1 },
static const struct span NATIVE[] = { LINE_VALUES(LINE_NATIVE) };
#define LINE_ECS(id, native, ecs) { ecs, sizeof(ecs) - 1 },
static const struct span ECS[] = { LINE_VALUES(LINE_ECS) };

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* After its first quote. */
static bool scan_string(struct scan *s, struct span *out)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p != '"') {
        if (*s->p == '\\')
            s->p++;
        if (s->p < s->end)
            s->p++;
    }
    *out = span_of(start, (size_t)(s->p - start));
    return take(s, '"');
}

static void keep(struct scan *s, struct span value)
{
    struct span path = span_of(s->path, s->path_len);
    for (size_t i = 0; i < LINE_COUNT && !s->deaf; i++) {
        if (s->out->value[i].p == NULL && (span_eq(path, NATIVE[i]) || span_eq(path, ECS[i])))
            s->out->value[i] = value;
    }
}

/* A number or a word; only numbers are kept. */
static bool scan_scalar(struct scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && strchr(",]} \t\r\n\"{[:", *s->p) == NULL)
        s->p++;
    struct span value = span_of(start, (size_t)(s->p - start));
    if (value.n == 0)
        return false;
    if (strchr("-0123456789", value.p[0]) != NULL)
        keep(s, value);
    return true;
}

static bool scan_value(struct scan *s);

static bool scan_member(struct scan *s)
{
    struct span key;
    size_t len = s->path_len;
    bool deaf = s->deaf;
    if (!take(s, '"') || !scan_string(s, &key) || !take(s, ':'))
        return false;
    if (len + 1 + key.n > sizeof(s->path)) {
        s->deaf = true;
    } else {
        if (len > 0)
            s->path[s->path_len++] = '.';
        memcpy(s->path + s->path_len, key.p, key.n);
        s->path_len += key.n;
    }
    bool good = scan_value(s);
    s->path_len = len;
    s->deaf = deaf;
    return good;
}

static bool scan_members(struct scan *s, char close)
{
    bool deaf = s->deaf, good;
    if (take(s, close))
        return true;
    if (s->depth == DEPTH_MAX)
        return false;
    s->depth++;
    s->deaf |= close == ']';
    do
        good = close == '}' ? scan_member(s) : scan_value(s);
    while (good && take(s, ','));
    s->depth--;
    s->deaf = deaf;
    return good && take(s, close);
}

static bool scan_value(struct scan *s)
{
    struct span string;
    skip_blanks(s);
    if (take(s, '{'))
        return scan_members(s, '}');
    if (take(s, '['))
        return scan_members(s, ']');
    if (!take(s, '"'))
        return scan_scalar(s);
    if (!scan_string(s, &string))
        return false;
    keep(s, string);
    return true;
}

bool line_scan(struct line *out, struct span text)
{
    struct scan s = { .p = text.p, .end = text.p + text.n, .out = out };
    memset(out, 0, sizeof(*out));
    bool good = text.n > 0 && take(&s, '{') && scan_members(&s, '}');
    skip_blanks(&s);
    return good && s.p == s.end;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits at p, or -1. */
static long hex4(const char *p, const char *end)
{
    long v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static void append_utf8(struct buf *out, long c)
{
    char text[4];
    size_t n = 0;
    if (c < 0x80) {
        text[n++] = (char)c;
    } else if (c < 0x800) {
        text[n++] = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            text[n++] = (char)(0xe0 | c >> 12);
        } else {
            text[n++] = (char)(0xf0 | c >> 18);
            text[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        }
        text[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        text[n++] = (char)(0x80 | (c & 0x3f));
    buf_append(out, text, n);
}

/* \uXXXX at p, behind the u; two of them may make one character. Returns what was taken. */
static size_t unescape_u(struct buf *out, const char *p, const char *end)
{
    long c = hex4(p, end);
    long low = c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6, end) : -1;
    if (low >= 0xdc00 && low < 0xe000) {
        append_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
        return 10;
    }
    append_utf8(out, c < 0 || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c);
    return c < 0 ? 0 : 4;
}

void line_unescape(struct buf *out, struct span value)
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    const char *p = value.p, *end = p + value.n, *back;
    if (value.n == 0)
        return;
    while ((back = memchr(p, '\\', (size_t)(end - p))) != NULL && back + 1 < end) {
        buf_append(out, p, (size_t)(back - p));
        p = back + 2;
        const char *known = strchr(FROM, back[1]);
        if (back[1] == 'u')
            p += unescape_u(out, p, end);
        else
            buf_append(out, known != NULL && back[1] != '\0' ? TO + (known - FROM) : back + 1, 1);
    }
    buf_append(out, p, (size_t)(end - p));
}
