/* The scanner beside json-c: RFC 8259 plus comments, no more. It notes the line of every key and value, finds doubled
 * keys, and turns comments into blanks, so that json-c in its strict mode reads the same text with the same meaning.
 * json-c alone would give no lines, take the last of two equal keys, and accept more than JSON. */
#include "common/conf_private.h"

#include "common/codec.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct scan {
    struct conf *c;
    size_t at;
    uint32_t line;
    unsigned depth;
};

static char peek(const struct scan *s) { return s->c->text[s->at]; }
static bool at_end(const struct scan *s) { return s->at >= s->c->text_len; }

static bool fail(struct scan *s, uint32_t line, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool fail(struct scan *s, uint32_t line, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conf_node_fault(s->c, 0, line, "%s", text);
    return false;
}

static bool is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c > ' ' && c != 0x7f && strchr("{}[]:,\"/", c) == NULL);
}

/* The word, or the sign, that stands here. */
static struct span word_here(const struct scan *s)
{
    size_t n = 0;
    while (s->at + n < s->c->text_len && n < 24 && is_word_byte((unsigned char)s->c->text[s->at + n]))
        n++;
    return span_of(s->c->text + s->at, max_size(n, 1));
}

/* "expected X, found Y", and what to do about it. */
static bool fail_hint(struct scan *s, const char *expected, const char *hint)
{
    if (at_end(s))
        return fail(s, s->line, "expected %s, found the end of the file%s", expected, hint);
    struct buf shown;
    buf_init(&shown, NULL);
    conf_append_safe(&shown, word_here(s));
    fail(s, s->line, "expected %s, found %.*s%s", expected, SPAN_ARG(buf_span(&shown)), hint);
    buf_free(&shown);
    return false;
}

static bool fail_expected(struct scan *s, const char *expected)
{
    const char *hint = "";
    if (!at_end(s) && peek(s) == '#')
        hint = ": comments begin with // or /*";
    else if (!at_end(s) && peek(s) == '\'')
        hint = ": keys and strings stand in double quotes";
    return fail_hint(s, expected, hint);
}

/* At "//" or "/" "*": overwrites the comment with blanks. */
static bool skip_comment(struct scan *s)
{
    char *text = s->c->text;
    char kind = text[s->at + 1];
    uint32_t begin = s->line;
    if (kind != '/' && kind != '*')
        return fail_expected(s, "a comment to begin with // or /*");
    text[s->at] = text[s->at + 1] = ' ';
    for (s->at += 2; !at_end(s); s->at++) {
        char here = text[s->at];
        if (here == '\n') {
            if (kind == '/')
                return true;
            s->line++;
            continue;
        }
        text[s->at] = ' ';
        if (kind == '*' && here == '*' && text[s->at + 1] == '/') {
            text[s->at + 1] = ' ';
            s->at += 2;
            return true;
        }
    }
    return kind == '/' || fail(s, begin, "the comment that begins here has no end");
}

/* Passes white space and comments; false only after a fault. */
static bool skip_blank(struct scan *s)
{
    for (; !at_end(s); s->at++) {
        switch (peek(s)) {
        case '\n':
            s->line++;
            break;
        case ' ':
        case '\t':
        case '\r':
            break;
        case '/':
            if (!skip_comment(s))
                return false;
            s->at--;
            break;
        default:
            return true;
        }
    }
    return true;
}

static bool scan_escape(struct scan *s)
{
    const char *p = s->c->text + s->at + 1;
    if (*p != 'u') {
        if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
            return fail(s, s->line, "a string has an unknown escape after \"\\\"");
        s->at += 2;
        return true;
    }
    for (int i = 1; i <= 4; i++) {
        if (p[i] == '\0' || strchr("0123456789abcdefABCDEF", p[i]) == NULL)
            return fail(s, s->line, "\"\\u\" needs four hexadecimal digits");
    }
    if (memcmp(p + 1, "0000", 4) == 0)
        return fail(s, s->line, "a string can't hold a NUL");
    s->at += 6;
    return true;
}

/* At the opening quote; *raw gets the text with its quotes. */
static bool scan_string(struct scan *s, struct span *raw)
{
    size_t begin = s->at++;
    while (!at_end(s) && peek(s) != '"' && peek(s) != '\n') {
        unsigned char c = (unsigned char)peek(s);
        uint32_t cp;
        size_t n = c < 0x80 ? 1 : codec_utf8_next(s->c->text + s->at, s->c->text_len - s->at, &cp);
        if (n == 0)
            return fail(s, s->line, "a string is not UTF-8");
        if (c < ' ')
            return fail(s, s->line, "a control character in a string must be written as an escape");
        if (c != '\\')
            s->at += n;
        else if (!scan_escape(s))
            return false;
    }
    if (at_end(s) || peek(s) != '"')
        return fail(s, s->line, "the string that begins here has no end: a double quote is missing on this line");
    s->at++;
    *raw = span_of(s->c->text + begin, s->at - begin);
    return true;
}

static size_t skip_digits(struct scan *s)
{
    size_t begin = s->at;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at - begin;
}

static bool scan_number(struct scan *s)
{
    size_t begin = s->at;
    bool good;
    if (peek(s) == '-')
        s->at++;
    bool zero = peek(s) == '0';
    size_t n = skip_digits(s);
    good = n == 1 || (n > 1 && !zero);
    if (good && peek(s) == '.') {
        s->at++;
        good = skip_digits(s) > 0;
    }
    if (good && (peek(s) == 'e' || peek(s) == 'E')) {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        good = skip_digits(s) > 0;
    }
    if (good && !is_word_byte((unsigned char)peek(s)))
        return true;
    s->at = begin;
    struct span word = word_here(s);
    bool unit = is_word_byte((unsigned char)word.p[0]) && strspn(word.p, "0123456789") < word.n &&
                strspn(word.p, "0123456789.eE+-") < word.n;
    return fail_hint(s, "a number", unit ? ": a number with a unit stands in double quotes" : "");
}

static bool scan_word(struct scan *s)
{
    static const char *const WORDS[] = { "true", "false", "null" };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        size_t n = strlen(WORDS[i]);
        if (s->c->text_len - s->at >= n && memcmp(s->c->text + s->at, WORDS[i], n) == 0 &&
            !is_word_byte((unsigned char)s->c->text[s->at + n])) {
            s->at += n;
            return true;
        }
    }
    bool bare = !at_end(s) && peek(s) != '#' && peek(s) != '\'' && is_word_byte((unsigned char)peek(s));
    return bare ? fail_hint(s, "a value", ": a string stands in double quotes; else true, false or a number")
                : fail_expected(s, "a value");
}

static uint32_t add_node(struct scan *s, uint32_t parent)
{
    struct conf *c = s->c;
    if (c->nodes == c->node_cap) {
        c->node_cap = c->node_cap ? 2 * c->node_cap : 64;
        c->node = conf_grow(c->node, c->node_cap, sizeof *c->node);
    }
    uint32_t at = c->nodes++;
    c->node[at] = (struct conf_node){ .parent = parent, .line = s->line, .key_line = s->line };
    if (at == 0)
        return at;
    struct conf_node *p = &c->node[parent];
    if (p->last != 0) {
        c->node[p->last].next = at;
        c->node[at].index = c->node[p->last].index + 1;
    } else {
        p->first = at;
    }
    p->last = at;
    return at;
}

/* json-c itself decodes keys with escapes: what it takes for equal is equal here. */
static char *decode_key(struct span raw)
{
    if (raw.n <= 2) /* the quotes alone */
        return conf_dup(SPAN_NONE);
    struct span inner = span_of(raw.p + 1, raw.n - 2);
    if (memchr(inner.p, '\\', inner.n) == NULL)
        return conf_dup(inner);
    char *quoted = conf_dup(raw);
    struct json_object *o = json_tokener_parse(quoted);
    char *key = conf_dup(o != NULL ? span_str(json_object_get_string(o)) : inner);
    json_object_put(o);
    free(quoted);
    return key;
}

static int compare_members(const void *a, const void *b, void *arg)
{
    const struct conf_node *node = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = strcmp(node[x].key, node[y].key);
    return order != 0 ? order : (x > y) - (x < y);
}

static void find_doubled(struct conf *c, uint32_t object)
{
    size_t n = 0;
    for (uint32_t i = c->node[object].first; i != 0; i = c->node[i].next)
        n++;
    if (n < 2)
        return;
    uint32_t *member = conf_grow(NULL, n, sizeof *member);
    n = 0;
    for (uint32_t i = c->node[object].first; i != 0; i = c->node[i].next)
        member[n++] = i;
    qsort_r(member, n, sizeof *member, compare_members, c->node);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(c->node[member[i]].key, c->node[member[i - 1]].key) == 0)
            conf_node_fault(c, member[i], c->node[member[i]].key_line, "this key is given twice, before on line %u",
                            c->node[member[i - 1]].key_line);
    }
    free(member);
}

static bool scan_value(struct scan *s, uint32_t node);

/* So has a key whose closing quote is missing. */
static bool has_colon(struct span raw) { return raw.n > 2 && memchr(raw.p, ':', raw.n) != NULL; }

static bool scan_member(struct scan *s, uint32_t object)
{
    struct span raw = SPAN_NONE;
    if (at_end(s) || peek(s) != '"')
        return fail_expected(s, "a key in double quotes");
    uint32_t node = add_node(s, object);
    if (!scan_string(s, &raw))
        return false;
    s->c->node[node].key = decode_key(raw);
    if (!skip_blank(s))
        return false;
    if (at_end(s) || peek(s) != ':')
        return fail_hint(s, "\":\"", has_colon(raw) ? ": a double quote may be missing before it" : "");
    s->at++;
    if (!skip_blank(s))
        return false;
    s->c->node[node].line = s->line;
    return scan_value(s, node);
}

static bool scan_element(struct scan *s, uint32_t list) { return scan_value(s, add_node(s, list)); }

static bool fail_open(struct scan *s, char end, uint32_t begin)
{
    return fail(s, s->line, "found the end of the file: the \"%c\" of line %u has no \"%c\"", end == '}' ? '{' : '[',
                begin, end);
}

static bool begins_next(const struct scan *s, char end)
{
    char c = peek(s);
    return c == '"' || (end == ']' && (c == '{' || c == '['));
}

/* Between two members or elements, and at the end. A comma too many or too few is told, and put right in our copy, so
 * that all else that is wrong is told as well. */
static bool pass_comma(struct scan *s, char end, uint32_t begin, bool *more)
{
    size_t comma = s->at;
    uint32_t line = s->line;
    if (!skip_blank(s))
        return false;
    if (at_end(s))
        return fail_open(s, end, begin);
    *more = peek(s) != end;
    if (*more && peek(s) != ',' && begins_next(s, end) && s->at > comma) {
        fail(s, line, "a comma is missing at the end of this line, or before what follows");
        s->c->text[comma] = ',';
        return true;
    }
    if (*more && peek(s) != ',')
        return fail_expected(s, end == '}' ? "\",\" or \"}\"" : "\",\" or \"]\"");
    comma = s->at++;
    line = s->line;
    if (!*more)
        return true;
    if (!skip_blank(s))
        return false;
    if (at_end(s))
        return fail_open(s, end, begin);
    if (peek(s) != end)
        return true;
    fail(s, line, "the comma before \"%c\" is one too many", end);
    s->c->text[comma] = ' ';
    s->at++;
    *more = false;
    return true;
}

/* At the opening bracket of an object or a list. */
static bool scan_container(struct scan *s, uint32_t node, char end)
{
    uint32_t begin = s->line;
    bool more = true;
    if (++s->depth > CONF_DEPTH_MAX)
        return fail(s, s->line, "nested deeper than %d levels", CONF_DEPTH_MAX);
    s->at++;
    if (!skip_blank(s))
        return false;
    if (!at_end(s) && peek(s) == end) {
        s->at++;
        s->depth--;
        return true;
    }
    while (more) {
        if (!(end == '}' ? scan_member(s, node) : scan_element(s, node)) || !pass_comma(s, end, begin, &more))
            return false;
    }
    if (end == '}')
        find_doubled(s->c, node);
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s, uint32_t node)
{
    struct span raw;
    char c = peek(s);
    if (c == '{')
        return scan_container(s, node, '}');
    if (c == '[')
        return scan_container(s, node, ']');
    if (c == '"')
        return scan_string(s, &raw);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    return scan_word(s);
}

static bool is_utf16(const struct conf *c)
{
    return c->text_len >= 2 && (memcmp(c->text, "\xff\xfe", 2) == 0 || memcmp(c->text, "\xfe\xff", 2) == 0);
}

bool conf_scan(struct conf *c)
{
    struct scan s = { .c = c, .line = 1 };
    if (c->text_len >= 3 && memcmp(c->text, "\xef\xbb\xbf", 3) == 0)
        s.at = 3;
    add_node(&s, 0);
    if (!skip_blank(&s))
        return false;
    if (at_end(&s))
        return fail(&s, s.line, "the file is empty: {} is the least, and means the defaults");
    if (is_utf16(c))
        return fail(&s, s.line, "the file is UTF-16: save it as UTF-8");
    if (peek(&s) != '{')
        return fail_hint(&s, "an object: {", peek(&s) == '#' ? ": comments begin with // or /*" : ": the file is JSON");
    c->node[0].line = c->node[0].key_line = s.line;
    c->root_at = s.at;
    if (!scan_value(&s, 0))
        return false;
    c->root_end = s.at;
    if (!skip_blank(&s))
        return false;
    return at_end(&s) || fail_expected(&s, "the end of the file");
}
