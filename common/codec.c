/* Encodings between memory and memory. A decoder writes into reserved room and commits only when all of the input was
 * good, so that failure leaves the output as it was. */
#include "common/codec.h"

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Digits without padding. Strict: each value has one encoding, so the bits that the last digit has to spare are zero
 * (RFC 4648 section 3.5). */
static bool base64_digits(struct buf *out, struct span in, bool strict)
{
    uint32_t bits = 0;
    unsigned have = 0;
    bool ok = in.n % 4 != 1;
    char *to = buf_reserve(out, in.n / 4 * 3 + 3), *at = to;
    for (size_t i = 0; i < in.n && ok; i++) {
        int v = base64_value(in.p[i]);
        ok = v >= 0;
        bits = bits << 6 | (uint32_t)(v & 63);
        have += 6;
        if (have >= 8) {
            have -= 8;
            *at++ = (char)(bits >> have);
        }
    }
    if (strict && (bits & ((1u << have) - 1)) != 0)
        ok = false;
    buf_commit(out, ok ? (size_t)(at - to) : 0);
    return ok;
}

bool codec_base64_decode(struct buf *out, struct span in)
{
    size_t pad = 0;
    if (in.n % 4 != 0)
        return false;
    while (pad < min_size(in.n, 2) && in.p[in.n - 1 - pad] == '=')
        pad++;
    return base64_digits(out, span_head(in, in.n - pad), true);
}

bool codec_base64_valid(struct span in)
{
    size_t pad = 0;
    while (pad < min_size(in.n, 2) && in.p[in.n - 1 - pad] == '=')
        pad++;
    if (in.n % 4 != 0)
        return false;
    in = span_head(in, in.n - pad);
    for (size_t i = 0; i < in.n; i++) {
        if (base64_value(in.p[i]) < 0)
            return false;
    }
    return pad == 0 || (base64_value(in.p[in.n - 1]) & (pad == 1 ? 3 : 15)) == 0;
}

void codec_base64_encode(struct buf *out, struct span in)
{
    char *to = buf_reserve(out, (in.n + 2) / 3 * 4), *at = to;
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t bits = (uint32_t)(uint8_t)in.p[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(uint8_t)in.p[i + 1] << 8;
        if (left > 2)
            bits |= (uint8_t)in.p[i + 2];
        *at++ = base64_alphabet[bits >> 18];
        *at++ = base64_alphabet[bits >> 12 & 63];
        *at++ = left > 1 ? base64_alphabet[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? base64_alphabet[bits & 63] : '=';
    }
    buf_commit(out, (size_t)(at - to));
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that two hexadecimal digits at the start of s stand for, or -1. */
static int hex_pair(struct span s)
{
    if (s.n < 2)
        return -1;
    int high = hex_value(s.p[0]), low = hex_value(s.p[1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_xchar(char c) { return c >= '!' && c <= '~' && c != '+' && c != '='; }

bool codec_xtext_valid(struct span in)
{
    while (in.n > 0) {
        bool hex = in.p[0] == '+';
        if (hex ? hex_pair(span_skip(in, 1)) < 0 : !is_xchar(in.p[0]))
            return false;
        in = span_skip(in, hex ? 3 : 1);
    }
    return true;
}

bool codec_xtext_decode(struct buf *out, struct span in)
{
    if (!codec_xtext_valid(in))
        return false;
    char *to = buf_reserve(out, in.n), *at = to;
    for (; in.n > 0; at++) {
        bool hex = in.p[0] == '+';
        *at = hex ? (char)hex_pair(span_skip(in, 1)) : in.p[0];
        in = span_skip(in, hex ? 3 : 1);
    }
    buf_commit(out, (size_t)(at - to));
    return true;
}

void codec_xtext_encode(struct buf *out, struct span in)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = buf_reserve(out, in.n * 3), *at = to;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = (uint8_t)in.p[i];
        if (is_xchar(in.p[i])) {
            *at++ = in.p[i];
            continue;
        }
        *at++ = '+';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    buf_commit(out, (size_t)(at - to));
}

/* How many bytes follow a lead byte, and between what the first of them must be (Unicode, table 3-7); 0 for a byte that
 * begins no character of more than one byte. */
static unsigned utf8_lead(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead == 0xe0)
        *low = 0xa0;
    else if (lead == 0xed)
        *high = 0x9f;
    else if (lead == 0xf0)
        *low = 0x90;
    else if (lead == 0xf4)
        *high = 0x8f;
    return lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
}

size_t codec_utf8_step(const char *p, size_t n, uint32_t *cp)
{
    uint8_t low, high, lead = (uint8_t)p[0];
    if (lead < 0x80) {
        *cp = lead;
        return 1;
    }
    unsigned follow = utf8_lead(lead, &low, &high);
    uint32_t v = lead & (0x3fu >> follow);
    for (unsigned i = 1; i <= follow; i++) {
        uint8_t c = i < n ? (uint8_t)p[i] : 0;
        if (c < low || c > high) {
            *cp = CODEC_UTF8_BAD;
            return i;
        }
        v = v << 6 | (c & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *cp = follow > 0 ? v : CODEC_UTF8_BAD;
    return follow + 1;
}

size_t codec_utf8_next(const char *p, size_t n, uint32_t *cp)
{
    size_t len = codec_utf8_step(p, n, cp);
    return *cp == CODEC_UTF8_BAD ? 0 : len;
}

bool codec_utf8_valid(struct span in)
{
    uint32_t cp;
    for (size_t i = 0; i < in.n;) {
        size_t len = (uint8_t)in.p[i] < 0x80 ? 1 : codec_utf8_next(in.p + i, in.n - i, &cp);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

struct span codec_utf8_cut(struct span in, size_t max)
{
    uint32_t cp;
    size_t at = max;
    if (in.n <= max)
        return in;
    while (at > 0 && max - at < 3 && ((uint8_t)in.p[at] & 0xc0) == 0x80)
        at--;
    if (at + codec_utf8_next(in.p + at, in.n - at, &cp) > max)
        return span_head(in, at);
    return span_head(in, max);
}

enum charset { CHARSET_OTHER, CHARSET_UTF8, CHARSET_LATIN1, CHARSET_LATIN9, CHARSET_CP1252 };

/* US-ASCII goes as UTF-8: its bytes are the same, and what is wrongly called so is most often UTF-8. */
static enum charset charset_find(struct span name)
{
    static const struct {
        const char *name;
        enum charset charset;
    } known[] = {
        { "utf-8", CHARSET_UTF8 },         { "utf8", CHARSET_UTF8 },         { "us-ascii", CHARSET_UTF8 },
        { "ascii", CHARSET_UTF8 },         { "iso-8859-1", CHARSET_LATIN1 }, { "latin1", CHARSET_LATIN1 },
        { "iso-8859-15", CHARSET_LATIN9 }, { "latin9", CHARSET_LATIN9 },     { "windows-1252", CHARSET_CP1252 },
        { "cp1252", CHARSET_CP1252 },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_eq_nocase(name, span_str(known[i].name)))
            return known[i].charset;
    return CHARSET_OTHER;
}

static uint32_t latin9_char(uint8_t c)
{
    static const struct {
        uint8_t byte;
        uint16_t cp;
    } differs[] = { { 0xa4, 0x20ac }, { 0xa6, 0x160 }, { 0xa8, 0x161 }, { 0xb4, 0x17d },
                    { 0xb8, 0x17e },  { 0xbc, 0x152 }, { 0xbd, 0x153 }, { 0xbe, 0x178 } };
    for (size_t i = 0; i < ARRAY_LEN(differs); i++)
        if (differs[i].byte == c)
            return differs[i].cp;
    return c;
}

static uint32_t cp1252_char(uint8_t c)
{
    static const uint16_t high[32] = { 0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                       0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
                                       0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                       0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178 };
    return c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c;
}

/* cp <= U+FFFF, which is all that the charsets here have. */
static size_t utf8_put(char *to, uint32_t cp)
{
    if (cp < 0x80) {
        to[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        to[0] = (char)(0xc0 | cp >> 6);
        to[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    to[0] = (char)(0xe0 | cp >> 12);
    to[1] = (char)(0x80 | (cp >> 6 & 0x3f));
    to[2] = (char)(0x80 | (cp & 0x3f));
    return 3;
}

static void charset_append(struct buf *out, struct span in, enum charset charset)
{
    if (charset == CHARSET_UTF8) {
        buf_append_span(out, in);
        return;
    }
    char *to = buf_reserve(out, in.n * 3), *at = to;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = (uint8_t)in.p[i];
        uint32_t cp = charset == CHARSET_LATIN9 ? latin9_char(c) : charset == CHARSET_CP1252 ? cp1252_char(c) : c;
        at += utf8_put(at, cp);
    }
    buf_commit(out, (size_t)(at - to));
}

/* The "Q" encoding (RFC 2047 section 4.2); a '=' without two digits stays as it is. */
static void q_decode(struct buf *out, struct span in)
{
    char *to = buf_reserve(out, in.n), *at = to;
    while (in.n > 0) {
        int v = in.p[0] == '=' ? hex_pair(span_skip(in, 1)) : -1;
        *at++ = v >= 0 ? (char)v : in.p[0] == '_' ? ' ' : in.p[0];
        in = span_skip(in, v >= 0 ? 3 : 1);
    }
    buf_commit(out, (size_t)(at - to));
}

/* Real encoders leave out padding or put stray bits there; a subject is worth reading all the same. */
static bool b_decode(struct buf *out, struct span in)
{
    while (in.n > 0 && in.p[in.n - 1] == '=')
        in.n--;
    return base64_digits(out, in, false);
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The part of *in before the next '?', which is skipped; false if there is none before white space. */
static bool word_part(struct span *in, struct span *part)
{
    for (size_t i = 0; i < in->n && !is_space(in->p[i]); i++) {
        if (in->p[i] == '?') {
            *part = span_head(*in, i);
            *in = span_skip(*in, i + 1);
            return true;
        }
    }
    return false;
}

struct encoded_word {
    enum charset charset;
    char encoding;
    struct span text;
    size_t len; /* of the whole word */
};

/* "=?charset*language?encoding?text?=" at the start of `in`, of a charset that we know. */
static bool word_find(struct encoded_word *w, struct span in)
{
    struct span rest = span_skip(in, 2), name, encoding;
    if (in.n < 2 || in.p[0] != '=' || in.p[1] != '?')
        return false;
    if (!word_part(&rest, &name) || !word_part(&rest, &encoding) || !word_part(&rest, &w->text))
        return false;
    if (encoding.n != 1 || rest.n == 0 || rest.p[0] != '=')
        return false;
    const char *language = name.n > 0 ? memchr(name.p, '*', name.n) : NULL;
    if (language != NULL)
        name.n = (size_t)(language - name.p);
    w->charset = charset_find(name);
    w->encoding = encoding.p[0];
    w->len = in.n - rest.n + 1;
    return w->charset != CHARSET_OTHER;
}

/* Appends the word's bytes, still in its charset. */
static bool word_bytes(struct buf *raw, const struct encoded_word *w)
{
    if (w->encoding == 'b' || w->encoding == 'B')
        return b_decode(raw, w->text);
    if (w->encoding != 'q' && w->encoding != 'Q')
        return false;
    q_decode(raw, w->text);
    return true;
}

static size_t space_len(struct span in)
{
    size_t n = 0;
    while (n < in.n && is_space(in.p[n]))
        n++;
    return n;
}

/* White space unfolded (RFC 5322 section 2.2.3): line ends before a blank are dropped; elsewhere they stay. */
static void append_space(struct buf *out, struct span space)
{
    for (size_t i = 0; i < space.n; i++) {
        bool eol = space.p[i] == '\r' || space.p[i] == '\n';
        bool folds = eol && span_is_blank(space.p[space.n - 1]);
        if (!folds)
            buf_append(out, space.p + i, 1);
    }
}

static struct span trim_all(struct span s)
{
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return span_skip(s, space_len(s));
}

void codec_header_decode(struct buf *out, struct span value)
{
    struct span in = trim_all(value);
    struct buf raw;
    bool after_word = false;
    buf_init(&raw, out->pool);
    while (in.n > 0) {
        struct encoded_word w;
        struct span gap = span_head(in, space_len(in));
        in = span_skip(in, gap.n);
        bool word = word_find(&w, in) && word_bytes(&raw, &w);
        if (!word || !after_word)
            append_space(out, gap);
        size_t taken = word ? w.len : 1;
        if (word) {
            charset_append(out, buf_span(&raw), w.charset);
            buf_consume(&raw, buf_len(&raw));
        } else {
            while (taken < in.n && !is_space(in.p[taken]) && in.p[taken] != '=')
                taken++;
            buf_append_span(out, span_head(in, taken));
        }
        after_word = word;
        in = span_skip(in, taken);
    }
    buf_free(&raw);
}
