/* The writer of every record. Room for the worst case (6 bytes out for one in) is reserved once, then bytes are written
 * through a plain pointer. Clean text is copied 16 or 8 bytes at a time while it is looked at; those stores may pass
 * the clean run's end, never the reserved room.
 *
 * Each maximal ill-formed subsequence of UTF-8 becomes one U+FFFD, as in Python's and the web's decoders. */
#include "common/json.h"

#include <stdlib.h>
#include <time.h>

#include "common/codec.h"

#if defined(__SSE2__) && !defined(JSON_PORTABLE)
#define JSON_SSE2 1
#include <emmintrin.h>
#else
#define JSON_SSE2 0
#endif

/* Long strings are written in chunks so that reserved room stays small; a character may end up to 3 bytes after its
 * chunk. */
enum { CHUNK = 1024, GROWTH = 6, SLACK = 16 + 3, INT_MAX_LEN = 20 };

static const char two_digits[201] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                    "8081828384858687888990919293949596979899";

static bool comma_due(const struct buf *b)
{
    if (buf_empty(b))
        return false;
    char last = b->base[b->tail - 1];
    return last != '{' && last != '[' && last != ':' && last != ',' && last != '\n' && last != ' ';
}

/* Room for n bytes and the comma before them, which is written if due. */
static char *begin(struct json *j, size_t n)
{
    char *to = buf_reserve(j->out, n + 1);
    if (comma_due(j->out))
        *to++ = ',';
    return to;
}

static void end(struct json *j, const char *to) { buf_commit(j->out, (size_t)(to - (j->out->base + j->out->tail))); }

void json_open(struct json *j, char bracket)
{
    char *to = begin(j, 1);
    *to++ = bracket;
    end(j, to);
}

void json_close(struct json *j, char bracket) { buf_append(j->out, &bracket, 1); }

void json_key(struct json *j, struct span key)
{
    char *to = begin(j, key.n + 3);
    *to++ = '"';
    memcpy(to, key.p, key.n);
    to += key.n;
    *to++ = '"';
    *to++ = ':';
    end(j, to);
}

static bool is_clean(uint8_t c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/* True if none of the 8 bytes needs care; sums and borrows between bytes can only spoil what is unclean already. */
static bool all_clean(uint64_t x)
{
    const uint64_t ones = UINT64_MAX / 255, tops = ones * 0x80;
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    uint64_t bad = (x - ones * 0x20) | (x + ones) | x | (quote - ones) | (backslash - ones);
    return (bad & tops) == 0;
}

/* Under 16 bytes, in two loads that overlap; false: not all of them are clean, and nothing is promised of `to`. */
static bool copy_short(char *to, const char *from, size_t n)
{
    uint64_t head, tail;
    uint32_t low, high;
    if (n >= sizeof(head)) {
        memcpy(&head, from, sizeof(head));
        memcpy(&tail, from + n - sizeof(tail), sizeof(tail));
        if (!all_clean(head) || !all_clean(tail))
            return false;
        memcpy(to, &head, sizeof(head));
        memcpy(to + n - sizeof(tail), &tail, sizeof(tail));
        return true;
    }
    if (n < sizeof(low))
        return false;
    memcpy(&low, from, sizeof(low));
    memcpy(&high, from + n - sizeof(high), sizeof(high));
    if (!all_clean(low | (uint64_t)high << 32))
        return false;
    memcpy(to, &low, sizeof(low));
    memcpy(to + n - sizeof(high), &high, sizeof(high));
    return true;
}

#if JSON_SSE2
/* Copies 16 bytes; which of them need care, a bit each. */
static unsigned copy_16(char *to, const char *from)
{
    const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7f);
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm_storeu_si128((__m128i *)(void *)to, v);
    /* signed: bytes from 0x80 are below the space too */
    __m128i bad = _mm_or_si128(_mm_cmplt_epi8(v, space), _mm_cmpeq_epi8(v, quote));
    bad = _mm_or_si128(bad, _mm_or_si128(_mm_cmpeq_epi8(v, backslash), _mm_cmpeq_epi8(v, del)));
    return (unsigned)_mm_movemask_epi8(bad);
}
#endif

/* Copies bytes up to the first that needs care; returns how many. */
static size_t copy_clean(char *to, const char *from, size_t n)
{
    size_t i = 0;
#if JSON_SSE2
    for (; n - i >= 16; i += 16) {
        unsigned bad = copy_16(to + i, from + i);
        if (bad != 0)
            return i + (size_t)__builtin_ctz(bad);
    }
    if (i > 0 && i < n) { /* the last 16 again; those before are clean */
        unsigned bad = copy_16(to + n - 16, from + n - 16);
        return bad == 0 ? n : n - 16 + (size_t)__builtin_ctz(bad);
    }
#else
    for (uint64_t x; n - i >= 16; i += sizeof(x)) {
        memcpy(&x, from + i, sizeof(x));
        if (!all_clean(x))
            break;
        memcpy(to + i, &x, sizeof(x));
    }
#endif
    if (n - i < 16 && copy_short(to + i, from + i, n - i))
        return n;
    for (; i < n && is_clean((uint8_t)from[i]); i++)
        to[i] = from[i];
    return i;
}

/* cp <= U+FFFF */
static char *put_escape(char *to, uint32_t cp)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    *to++ = '\\';
    for (const char *l = letters; *l != '\0'; l += 2) {
        if ((uint8_t)*l == cp) {
            *to++ = l[1];
            return to;
        }
    }
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *to++ = hex[cp >> shift & 15];
    return to;
}

/* Writes the character at *from, which is not clean. */
static char *put_special(char *to, const char **from, const char *stop)
{
    uint32_t cp;
    size_t len = codec_utf8_step(*from, (size_t)(stop - *from), &cp);
    if (cp == CODEC_UTF8_BAD) {
        memcpy(to, "\xef\xbf\xbd", 3);
        to += 3;
    } else if (cp < 0xa0 || cp == 0x2028 || cp == 0x2029) {
        to = put_escape(to, cp);
    } else {
        memcpy(to, *from, len);
        to += len;
    }
    *from += len;
    return to;
}

/* Writes the text from *from until it has reached `until`; a character that begins before it is written whole, as far
 * as `stop`. */
static char *put_text(char *to, const char **from, const char *until, const char *stop)
{
    const char *p = *from;
    while (p < until) {
        size_t n = copy_clean(to, p, (size_t)(until - p));
        p += n;
        to += n;
        while (p < until && !is_clean((uint8_t)*p))
            to = put_special(to, &p, stop);
    }
    *from = p;
    return to;
}

static void append_text(struct json *j, struct span s)
{
    const char *p = s.p;
    for (size_t done = 0; done < s.n; done = (size_t)(p - s.p)) {
        size_t n = min_size(s.n - done, CHUNK);
        char *to = buf_reserve(j->out, n * GROWTH + SLACK);
        end(j, put_text(to, &p, p + n, s.p + s.n));
    }
}

void json_str(struct json *j, struct span s)
{
    if (UNLIKELY(s.n > CHUNK)) {
        json_cat(j, &s, 1);
        return;
    }
    char *to = begin(j, s.n * GROWTH + SLACK + 2);
    *to++ = '"';
    if (s.n > 0) {
        const char *p = s.p, *stop = s.p + s.n;
        to = put_text(to, &p, stop, stop);
    }
    *to++ = '"';
    end(j, to);
}

/* Each piece is text for itself: no character is made of two pieces' bytes. */
void json_cat(struct json *j, const struct span *pieces, size_t count)
{
    char *to = begin(j, 1);
    *to++ = '"';
    end(j, to);
    for (size_t i = 0; i < count; i++)
        append_text(j, pieces[i]);
    buf_append(j->out, "\"", 1);
}

static void put_two(char *to, unsigned v) { memcpy(to, two_digits + 2 * v, 2); }

static char *put_uint(char *to, uint64_t v)
{
    char digits[INT_MAX_LEN], *at = digits + sizeof(digits);
    while (v >= 100) {
        at -= 2;
        put_two(at, (unsigned)(v % 100));
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        put_two(at, (unsigned)v);
    } else {
        *--at = (char)('0' + v);
    }
    size_t n = (size_t)(digits + sizeof(digits) - at);
    memcpy(to, at, n);
    return to + n;
}

/* The sign is written; the absolute value is returned. */
static uint64_t put_sign(char **to, int64_t v)
{
    if (v >= 0)
        return (uint64_t)v;
    *(*to)++ = '-';
    return 0 - (uint64_t)v;
}

void json_int(struct json *j, int64_t v)
{
    char *to = begin(j, INT_MAX_LEN);
    uint64_t magnitude = put_sign(&to, v);
    end(j, put_uint(to, magnitude));
}

static void put_word(struct json *j, struct span word)
{
    char *to = begin(j, word.n);
    memcpy(to, word.p, word.n);
    end(j, to + word.n);
}

void json_bool(struct json *j, bool v) { put_word(j, v ? SPAN_LIT("true") : SPAN_LIT("false")); }

void json_null(struct json *j) { put_word(j, SPAN_LIT("null")); }

void json_ms(struct json *j, usec_t us)
{
    char *to = begin(j, INT_MAX_LEN + 4);
    uint64_t magnitude = put_sign(&to, us);
    unsigned rest = (unsigned)(magnitude % 1000);
    to = put_uint(to, magnitude / 1000);
    if (rest > 0) {
        *to++ = '.';
        *to++ = (char)('0' + rest / 100);
        put_two(to, rest % 100);
        to += 2;
        while (to[-1] == '0')
            to--;
    }
    end(j, to);
}

static void put_second(char to[20], int64_t second)
{
    time_t t = (time_t)second;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL)
        abort();
    unsigned year = (unsigned)tm.tm_year + 1900;
    memcpy(to, "0000-00-00T00:00:00.", 20);
    put_two(to, year / 100);
    put_two(to + 2, year % 100);
    put_two(to + 5, (unsigned)tm.tm_mon + 1);
    put_two(to + 8, (unsigned)tm.tm_mday);
    put_two(to + 11, (unsigned)tm.tm_hour);
    put_two(to + 14, (unsigned)tm.tm_min);
    put_two(to + 17, (unsigned)tm.tm_sec);
}

/* A clock before 1970 or after 9999 is written as that end of the scale: RFC 3339 has four digits for the year, and no
 * computer is older. */
void json_time(struct json *j, usec_t realtime, struct json_time_cache *cache)
{
    const usec_t last = INT64_C(253402300799) * USEC_PER_SEC + 999999;
    usec_t t = realtime < 0 ? 0 : realtime > last ? last : realtime;
    int64_t second = t / USEC_PER_SEC;
    unsigned micro = (unsigned)(t % USEC_PER_SEC);
    if (cache->second != second || cache->text[0] == '\0') {
        put_second(cache->text, second);
        cache->second = second;
    }
    char *to = begin(j, 29);
    *to++ = '"';
    memcpy(to, cache->text, sizeof(cache->text));
    to += sizeof(cache->text);
    put_two(to, micro / 10000);
    put_two(to + 2, micro / 100 % 100);
    put_two(to + 4, micro % 100);
    memcpy(to + 6, "Z\"", 2);
    end(j, to + 8);
}
