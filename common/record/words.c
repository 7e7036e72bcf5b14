/* Words of a reply's text. A chunk (what stands between blanks, brackets and quotes) is first looked at as a whole,
 * since an address, a URL or a host's name may hold any word without meaning it; then it is folded octet by octet:
 * case and accents go, German umlauts become two letters, each CJK character is a word of its own, as there are no
 * blanks to cut at. Octets that are not UTF-8 are read as ISO 8859-1. The text is only read up to WORDS_OCTETS. */
#include "common/record/words.h"

static const char latin1[32][3] = {
    "a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",
    "d", "n", "o", "o", "o",  "o", "oe", "",  "o", "u", "u", "u", "ue", "y", "th", "ss"
};
static const char latin_a[] =
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssss"
    "ttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof(latin_a) == 129, "one letter for each of U+0100 to U+017F");

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_alnum(char c) { return span_is_digit(c) || is_lower(c) || is_upper(c); }
static bool is_hex(char c) { return span_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool ends_chunk(char c) { return (unsigned char)c <= ' ' || strchr("<>()[]{}\",;", c); }

/* Takes a character; what is not UTF-8 is one octet of ISO 8859-1. */
static uint32_t take_char(struct span *s)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)s->p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 0;
    uint32_t cp = n > 1 ? c & (0x7fU >> n) : c;
    bool good = n > 0 && n <= s->n;
    for (size_t i = 1; good && i < n; i++) {
        unsigned char d = (unsigned char)s->p[i];
        good = (d & 0xc0) == 0x80;
        cp = cp << 6 | (d & 0x3f);
    }
    if (!good || cp < least[n]) {
        cp = c;
        n = 1;
    }
    *s = span_skip(*s, n);
    return cp;
}

static size_t put_utf8(uint32_t cp, char out[4])
{
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (cp >> 18 & 7));
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

static bool is_ideograph(uint32_t cp)
{
    return (cp >= 0x3040 && cp <= 0x30ff) || (cp >= 0x3400 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3) ||
           (cp >= 0xf900 && cp <= 0xfaff);
}

static bool is_mark(uint32_t cp) { return cp >= 0x300 && cp <= 0x36f; }

/* The letters that a character counts as; 0: it parts words. */
static size_t fold(uint32_t cp, char out[4])
{
    if (cp >= 0xff01 && cp <= 0xff5e)
        cp -= 0xfee0;
    if (cp < 0x80) {
        out[0] = is_upper((char)cp) ? (char)(cp + 32) : (char)cp;
        return is_alnum((char)cp) ? 1 : 0;
    }
    if (cp < 0xc0 || cp == 0xd7 || cp == 0xf7 || (cp >= 0x2000 && cp <= 0x303f))
        return 0;
    if (cp < 0x100) {
        const char *letters = cp == 0xff ? "y" : latin1[cp & 0x1f];
        size_t n = strlen(letters);
        memcpy(out, letters, n);
        return n;
    }
    if (cp < 0x180) {
        out[0] = latin_a[cp - 0x100];
        return 1;
    }
    if (cp >= 0x218 && cp <= 0x21b) {
        out[0] = cp < 0x21a ? 's' : 't';
        return 1;
    }
    if ((cp >= 0x391 && cp <= 0x3a9) || (cp >= 0x410 && cp <= 0x42f))
        cp += 0x20;
    else if (cp >= 0x400 && cp <= 0x40f)
        cp += 0x50;
    return put_utf8(cp == 0x451 ? 0x435 : cp, out);
}

static bool add_word(struct words *w, size_t from, enum word_kind kind)
{
    if (w->count == WORDS_MAX)
        return false;
    struct span text = span_of(w->buf + from, w->used - from);
    w->word[w->count++] = (struct word){ text, kind, words_key(text) };
    return true;
}

/* The "'s" of "user's" says nothing. */
static bool is_possessive(struct span rest)
{
    return rest.n >= 2 && rest.p[0] == '\'' && (rest.p[1] | 0x20) == 's' && (rest.n == 2 || !is_alnum(rest.p[2]));
}

/* "isn't" is one word, and so is "e-mail". */
static bool joins(const struct words *w, size_t from, struct span rest)
{
    if (rest.p[0] == '\'')
        return rest.n >= 2 && (rest.p[1] | 0x20) == 't' && (rest.n == 2 || !is_alnum(rest.p[2]));
    return rest.p[0] == '-' && w->used == from + 1 && w->buf[from] == 'e' &&
           span_begins_nocase(span_skip(rest, 1), SPAN_LIT("mail"));
}

static void split(struct words *w, struct span s, enum word_kind kind)
{
    size_t from = w->used;
    while (s.n > 0) {
        char out[4];
        if (w->used > from && is_possessive(s)) {
            s = span_skip(s, 2);
            continue;
        }
        struct span rest = s;
        uint32_t cp = take_char(&s);
        if (cp == 0x2018 || cp == 0x2019) {
            if (s.n > 0 && (s.p[0] | 0x20) == 't' && (s.n == 1 || !is_alnum(s.p[1])))
                continue;
        } else if (is_mark(cp) || joins(w, from, rest)) {
            continue;
        }
        size_t n = fold(cp, out);
        if ((n == 0 || is_ideograph(cp)) && w->used > from) {
            if (!add_word(w, from, kind))
                return;
            from = w->used;
        }
        memcpy(w->buf + w->used, out, n);
        w->used += n;
        if (is_ideograph(cp)) {
            if (!add_word(w, from, kind))
                return;
            from = w->used;
        }
    }
    if (w->used > from)
        add_word(w, from, kind);
}

/* Numbers joined by dots at the start: how many, and their length. */
static unsigned dotted(struct span s, size_t *len)
{
    unsigned numbers = 0;
    size_t i = 0;
    *len = 0;
    while (i < s.n && span_is_digit(s.p[i])) {
        size_t from = i;
        while (i < s.n && span_is_digit(s.p[i]))
            i++;
        if (i - from > 3)
            break;
        numbers++;
        *len = i;
        if (i + 1 >= s.n || s.p[i] != '.')
            break;
        i++;
    }
    return *len < s.n && is_alnum(s.p[*len]) ? 0 : numbers;
}

/* "192.0.2.1" and "5.7.1" at the start of a chunk; returns their length. */
static size_t take_number(struct words *w, struct span s)
{
    size_t len;
    unsigned numbers = dotted(s, &len);
    if (numbers == 4) {
        add_word(w, w->used, WORD_IP);
        return len;
    }
    if (numbers != 3 || (s.p[0] != '4' && s.p[0] != '5') || s.p[1] != '.')
        return 0;
    size_t from = w->used;
    memcpy(w->buf + from, s.p + 1, len - 1);
    w->used += len - 1;
    add_word(w, from, WORD_STATUS);
    return len;
}

static bool is_ipv6(struct span s)
{
    unsigned colons = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_hex(s.p[i]) && s.p[i] != ':' && s.p[i] != '.')
            return false;
        colons += s.p[i] == ':';
    }
    return colons >= 2;
}

static bool is_address(struct span s)
{
    const char *at = memchr(s.p, '@', s.n);
    return at && at > s.p && at + 1 < s.p + s.n && !span_is_blank(at[-1]);
}

/* A host's name or a dotted word of a program, and not the end of one sentence and the start of the next. */
static bool is_name(struct span s)
{
    unsigned dots = 0;
    size_t last = 0;
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] != '.' || !is_alnum(s.p[i - 1]) || !is_alnum(s.p[i + 1]))
            continue;
        if (is_lower(s.p[i - 1]) && is_upper(s.p[i + 1]))
            return false;
        dots++;
        last = i + 1;
    }
    if (dots == 1)
        for (size_t i = last; i < s.n && is_alnum(s.p[i]); i++)
            if (i - last >= 4 || span_is_digit(s.p[i]))
                return false;
    return dots > 0;
}

static void add_part(struct words *w, struct span s)
{
    while (s.n > 0 && (unsigned char)s.p[0] < 0x80 && !is_alnum(s.p[0]))
        s = span_skip(s, 1);
    s = span_skip(s, take_number(w, s));
    split(w, s, is_name(s) ? WORD_NAME : WORD_PLAIN);
}

/* "IP=192.0.2.1" are two parts. */
static size_t part_length(struct span s)
{
    size_t i = 1;
    while (i < s.n && s.p[i] != '=' && s.p[i] != ':')
        i++;
    return min_size(i, s.n);
}

static void add_chunk(struct words *w, struct span s)
{
    const char *url = memmem(s.p, s.n, "://", 3);
    if (url) {
        split(w, span_of(s.p, (size_t)(url - s.p)), WORD_PLAIN);
        split(w, span_skip(s, (size_t)(url - s.p) + 3), WORD_NAME);
    } else if (is_address(s)) {
        add_word(w, w->used, WORD_ADDRESS);
    } else if (is_ipv6(s)) {
        add_word(w, w->used, WORD_IP);
    } else {
        for (size_t n = part_length(s); s.n > 0; n = part_length(s)) {
            add_part(w, span_head(s, n));
            s = span_skip(s, n);
        }
    }
}

void words_add(struct words *w, struct span line)
{
    line = span_head(line, WORDS_OCTETS - w->read);
    w->read += line.n;
    size_t from = 0;
    for (size_t i = 0; i <= line.n && w->count < WORDS_MAX; i++)
        if (i == line.n || ends_chunk(line.p[i])) {
            if (i > from)
                add_chunk(w, span_of(line.p + from, i - from));
            from = i + 1;
        }
}
