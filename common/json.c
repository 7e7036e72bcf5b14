/* The writer of every record. Text is copied in blocks that may overlap and only then looked at: what is not clean is
 * written again, one character after the other, to where room for the worst case (6 bytes out for one in) is reserved.
 *
 * Each maximal ill-formed subsequence of UTF-8 becomes one U+FFFD, as in Python's and the web's decoders. */
#include "common/json.h"

#include <stdlib.h>
#include <time.h>

#include "common/codec.h"

/* Long strings are written in chunks so that reserved room stays small; a character belongs to the chunk that it begins
 * in. A short string takes SHORT_ROOM with its quotes and a comma. */
enum { CHUNK = 1024, GROWTH = 6, SHORT = 32, SHORT_ROOM = SHORT + 3 };

static const char two_digits[201] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                    "8081828384858687888990919293949596979899";

static void tell_buffer(const struct json *j)
{
    if (j->to != NULL)
        j->out->tail = (size_t)(j->to - j->out->base);
}

void json_grow(struct json *j, size_t n)
{
    size_t written = json_len(j);
    tell_buffer(j);
    j->to = buf_reserve(j->out, n);
    j->start = j->to - written;
    j->stop = j->out->base + j->out->cap;
}

void json_end(struct json *j)
{
    tell_buffer(j);
    buf_commit(j->out, 0);
    *j = (struct json){ .out = j->out };
}

/* The comma, if one is due, and where to go on. */
static inline char *put_comma(const struct json *j)
{
    static const bool opens[UINT8_MAX + 1] = { ['{'] = true, ['['] = true, [':'] = true, [','] = true };
    char *to = j->to;
    if (to != j->start && !opens[(uint8_t)to[-1]])
        *to++ = ',';
    return to;
}

/* Room for n bytes and the comma before them, which is written if due. */
static char *begin(struct json *j, size_t n)
{
    json_reserve(j, n + 1);
    return put_comma(j);
}

void json_open(struct json *j, char bracket)
{
    char *to = begin(j, 1);
    *to = bracket;
    j->to = to + 1;
}

void json_close(struct json *j, char bracket)
{
    *json_reserve(j, 1) = bracket;
    j->to++;
}

void json_key(struct json *j, struct span key)
{
    char *to = begin(j, key.n + 3);
    *to++ = '"';
    memcpy(to, key.p, key.n);
    to += key.n;
    *to++ = '"';
    *to++ = ':';
    j->to = to;
}

static bool is_clean(uint8_t c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/* The compiler makes of it what the machine has. */
typedef uint8_t block_t __attribute__((vector_size(16)));
typedef int8_t block_mask_t __attribute__((vector_size(16)));
typedef uint64_t block_halves_t __attribute__((vector_size(16)));

/* The sum makes the least numbers of ' ' to '~'. */
static inline block_mask_t clean(block_t v)
{
    return ((block_mask_t)(v + (0x80 - ' ')) <= '~' - ' ' - 0x80) & ~((v == '"') | (v == '\\'));
}

static inline bool all(block_mask_t mask)
{
    block_halves_t half = (block_halves_t)mask;
    return (half[0] & half[1]) == UINT64_MAX;
}

static inline block_t copy_block(char *to, const char *from)
{
    block_t v;
    memcpy(&v, from, sizeof(v));
    memcpy(to, &v, sizeof(v));
    return v;
}

/* Up to a block, in loads that overlap. */
static inline block_t copy_part(char *to, const char *from, size_t n)
{
    uint64_t head, tail;
    uint32_t low, high;
    if (n >= sizeof(head)) {
        memcpy(&head, from, sizeof(head));
        memcpy(&tail, from + n - sizeof(tail), sizeof(tail));
        memcpy(to, &head, sizeof(head));
        memcpy(to + n - sizeof(tail), &tail, sizeof(tail));
    } else if (n >= sizeof(low)) {
        memcpy(&low, from, sizeof(low));
        memcpy(&high, from + n - sizeof(high), sizeof(high));
        memcpy(to, &low, sizeof(low));
        memcpy(to + n - sizeof(high), &high, sizeof(high));
        head = tail = low | (uint64_t)high << 32;
    } else {
        head = UINT64_MAX / 255 * ' ';
        for (size_t i = 0; i < n; i++) {
            to[i] = from[i];
            head = head << 8 | (uint8_t)from[i];
        }
        tail = head;
    }
    return (block_t)(block_halves_t){ head, tail };
}

/* Up to SHORT bytes. False: not all of them are clean, and nothing is promised of `to`. */
static inline bool copy_short(char *to, const char *from, size_t n)
{
    if (n <= sizeof(block_t))
        return all(clean(copy_part(to, from, n)));
    block_mask_t head = clean(copy_block(to, from));
    return all(head & clean(copy_block(to + n - sizeof(block_t), from + n - sizeof(block_t))));
}

/* Copies bytes up to the first that needs care; returns how many. */
static size_t copy_clean(char *to, const char *from, size_t n)
{
    size_t i = 0;
    while (n - i > SHORT && all(clean(copy_block(to + i, from + i))))
        i += sizeof(block_t);
    if (n - i <= SHORT && copy_short(to + i, from + i, n - i))
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

/* Any text. */
static void put_any(struct json *j, struct span s)
{
    const char *p = s.p;
    for (size_t done = 0; done < s.n; done = (size_t)(p - s.p)) {
        size_t n = min_size(s.n - done, CHUNK);
        char *to = json_reserve(j, n * GROWTH);
        j->to = put_text(to, &p, p + n, s.p + s.n);
    }
}

static __attribute__((noinline)) void put_any_string(struct json *j, struct span s)
{
    char *to = begin(j, 1);
    *to = '"';
    j->to = to + 1;
    put_any(j, s);
    json_close(j, '"');
}

static __attribute__((noinline)) void put_literal_and_any(struct json *j, const struct json_literal *l, bool skip,
                                                          struct span s)
{
    json_literal(j, l, skip);
    put_any_string(j, s);
}

static inline bool has_room(const struct json *j, size_t n) { return LIKELY((size_t)(j->stop - j->to) >= n); }

/* The short, clean string that most are, to where it has room. False: it isn't one, and nothing is promised of `to`. */
static inline bool put_short_string(struct json *j, char *to, struct span s)
{
    *to++ = '"';
    if (UNLIKELY(s.n > SHORT || !copy_short(to, s.p, s.n)))
        return false;
    to[s.n] = '"';
    j->to = to + s.n + 1;
    return true;
}

void json_str(struct json *j, struct span s)
{
    if (!has_room(j, SHORT_ROOM) || !put_short_string(j, put_comma(j), s))
        put_any_string(j, s);
}

void json_literal_str(struct json *j, const struct json_literal *l, bool skip, struct span s)
{
    if (!has_room(j, JSON_LITERAL_MAX + SHORT_ROOM) || !put_short_string(j, json_put_literal(j->to, l, skip), s))
        put_literal_and_any(j, l, skip, s);
}

/* Each piece is text for itself: no character is made of two pieces' bytes. */
void json_cat(struct json *j, const struct span *pieces, size_t count)
{
    char *to = begin(j, 1);
    *to = '"';
    j->to = to + 1;
    for (size_t i = 0; i < count; i++) {
        struct span s = pieces[i];
        if (LIKELY(s.n <= SHORT && copy_short(json_reserve(j, SHORT), s.p, s.n)))
            j->to += s.n;
        else
            put_any(j, s);
    }
    json_close(j, '"');
}

static void put_two(char *to, unsigned v) { memcpy(to, two_digits + 2 * v, 2); }

char *json_put_digits(char *to, uint64_t v)
{
    uint64_t top = v;
    for (; top >= 100; top /= 100)
        to += 2;
    to += top >= 10 ? 2 : 1;
    char *at = to;
    for (; v >= 100; v /= 100)
        put_two(at -= 2, (unsigned)(v % 100));
    if (v >= 10)
        put_two(at - 2, (unsigned)v);
    else
        at[-1] = (char)('0' + v);
    return to;
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
    char *to = begin(j, JSON_DIGITS_MAX + 1);
    uint64_t magnitude = put_sign(&to, v);
    j->to = json_put_digits(to, magnitude);
}

static void put_word(struct json *j, struct span word)
{
    char *to = begin(j, word.n);
    memcpy(to, word.p, word.n);
    j->to = to + word.n;
}

void json_bool(struct json *j, bool v) { put_word(j, v ? SPAN_LIT("true") : SPAN_LIT("false")); }

void json_null(struct json *j) { put_word(j, SPAN_LIT("null")); }

void json_ms(struct json *j, usec_t us)
{
    char *to = begin(j, JSON_DIGITS_MAX + 5);
    uint64_t magnitude = put_sign(&to, us);
    unsigned rest = (unsigned)(magnitude % 1000);
    to = json_put_digits(to, magnitude / 1000);
    if (rest > 0) {
        *to++ = '.';
        *to++ = (char)('0' + rest / 100);
        put_two(to, rest % 100);
        to += 2;
        while (to[-1] == '0')
            to--;
    }
    j->to = to;
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
    j->to = to + 8;
}
