/* The message's bytes on their way upstream. Bytes that need no change, line ends and canonical stuffing among them,
 * form runs that go out as pieces of the input; only what differs is static text between two runs.
 *
 * How the wire is read:
 * - A line ends at LF. CR LF is its right form; LF alone is made CR LF; a CR with anything but LF behind it is a blank.
 * - A line that is one dot ends the data if CR LF stands both before and behind it (N1; DATA's own CR LF is before the
 *   first line). If one of the two is LF alone, mode `accept` ends the data there; the others take the dot as content.
 * - Every other line that begins with a dot loses it, however the line before it ended: a client that ends lines with
 *   LF stuffs its dots as well (Postfix reads it so).
 * How it is written: a dot before each content line that begins with one, so that "..x" passes unchanged, ".x" goes out
 * as "x", and a lone dot beside a LF as "..". Nothing on the output's wire can therefore be a line of one dot.
 *
 * Invariants: b->state says what is held back: a CR or a dot that was taken and is not yet in any output. All other
 * bytes taken are in the output; b->size counts them without stuffing. [run, p) is what this call still owes *out. */
#include "common/smtp/body.h"

#if defined(__SSE2__) && !defined(SMTP_BODY_PORTABLE)
#include <emmintrin.h>
#endif

enum { LINE_MAX_OCTETS = 998, PIECES_PER_STEP = 2 };

struct scan {
    struct smtp_body *b;
    const char *run, *p, *end;
    struct smtp_body_out *out;
};

static bool is_special(char c) { return c == '\r' || c == '\n' || c == '\0'; }

/* Finds the first CR, LF or NUL, or end. *high becomes non-zero if a byte over 127 stands before it. */
static const char *find_bytewise(const char *p, const char *end, unsigned *high)
{
    for (; p < end && !is_special(*p); p++)
        *high |= (unsigned char)*p & 0x80u;
    return p;
}

#if defined(__SSE2__) && !defined(SMTP_BODY_PORTABLE)
static const char *find_special(const char *p, const char *end, unsigned *high)
{
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), nul = _mm_setzero_si128();
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, cr), _mm_cmpeq_epi8(v, lf)), _mm_cmpeq_epi8(v, nul));
        unsigned hits = (unsigned)_mm_movemask_epi8(hit), highs = (unsigned)_mm_movemask_epi8(v);
        if (hits != 0) {
            *high |= highs & (hits ^ (hits - 1));
            return p + __builtin_ctz(hits);
        }
        *high |= highs;
    }
    return find_bytewise(p, end, high);
}
#else
#define EACH_BYTE(c) (0x0101010101010101u * (c))

static uint64_t any_zero(uint64_t w) { return (w - EACH_BYTE(0x01u)) & ~w & EACH_BYTE(0x80u); }

static const char *find_special(const char *p, const char *end, unsigned *high)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, sizeof(w));
        if ((any_zero(w) | any_zero(w ^ EACH_BYTE('\r')) | any_zero(w ^ EACH_BYTE('\n'))) != 0)
            break;
        *high |= (w & EACH_BYTE(0x80u)) != 0;
    }
    return find_bytewise(p, end, high);
}
#endif

static void emit(struct scan *s, struct span piece)
{
    if (piece.n > 0)
        s->out->piece[s->out->count++] = piece;
}

static void flush_run(struct scan *s) { emit(s, span_of(s->run, (size_t)(s->p - s->run))); }

/* The run so far and `text` go out; a new run begins at p. */
static void insert(struct scan *s, struct span text)
{
    flush_run(s);
    emit(s, text);
    s->run = s->p;
}

/* The byte at p, which is CR, LF or dot, leaves the run: it is held back, dropped or replaced. */
static void take_out(struct scan *s, struct span replacement)
{
    insert(s, replacement);
    s->run = ++s->p;
}

static void note(struct smtp_body *b, unsigned anomaly)
{
    b->anomalies |= anomaly;
    if (b->mode == SMTP_BARE_REJECT)
        b->rejected = true;
}

static void count_text(struct smtp_body *b, size_t n)
{
    b->size += n;
    b->line_len += n;
    if (UNLIKELY(b->line_len > LINE_MAX_OCTETS))
        b->anomalies |= SMTP_BODY_LONG_LINE;
}

static void end_line(struct smtp_body *b, bool bare)
{
    b->size += 2;
    b->line_len = 0;
    b->state = SMTP_BODY_AT_LINE;
    b->after_bare_lf = bare;
}

static void step_at_line(struct scan *s)
{
    if (LIKELY(*s->p != '.')) {
        s->b->state = SMTP_BODY_IN_LINE;
    } else if (s->end - s->p >= 2 && s->p[1] == '.') {
        s->p++;
        s->b->state = SMTP_BODY_IN_LINE;
    } else {
        take_out(s, SPAN_NONE);
        s->b->state = SMTP_BODY_DOT;
    }
}

static void step_in_line(struct scan *s)
{
    unsigned high = 0;
    const char *stop = find_special(s->p, s->end, &high);
    count_text(s->b, (size_t)(stop - s->p));
    if (high != 0)
        s->b->anomalies |= SMTP_BODY_8BIT;
    s->p = stop;
    if (stop == s->end)
        return;
    if (*stop == '\0') {
        note(s->b, SMTP_BODY_NUL);
        count_text(s->b, 1);
        s->p++;
    } else if (*stop == '\n') {
        note(s->b, SMTP_BODY_BARE_LF);
        take_out(s, SPAN_LIT("\r\n"));
        end_line(s->b, true);
    } else if (LIKELY(s->end - stop >= 2 && stop[1] == '\n')) {
        s->p += 2;
        end_line(s->b, false);
    } else {
        take_out(s, SPAN_NONE);
        s->b->state = SMTP_BODY_CR;
    }
}

/* The CR held back stands alone. */
static void bare_cr(struct scan *s)
{
    note(s->b, SMTP_BODY_BARE_CR);
    insert(s, SPAN_LIT(" "));
    count_text(s->b, 1);
    s->b->state = SMTP_BODY_IN_LINE;
}

static void step_cr(struct scan *s)
{
    if (*s->p != '\n') {
        bare_cr(s);
        return;
    }
    insert(s, SPAN_LIT("\r"));
    s->p++;
    end_line(s->b, false);
}

static void end_data(struct scan *s)
{
    take_out(s, SPAN_NONE);
    s->b->state = SMTP_BODY_ENDED;
}

/* LF behind a lone dot. */
static void dot_bare_lf(struct scan *s)
{
    note(s->b, SMTP_BODY_BARE_LF);
    if (s->b->mode == SMTP_BARE_ACCEPT) {
        end_data(s);
        return;
    }
    count_text(s->b, 1);
    take_out(s, SPAN_LIT("..\r\n"));
    end_line(s->b, true);
}

static void step_dot(struct scan *s)
{
    if (*s->p == '\n') {
        dot_bare_lf(s);
    } else if (*s->p == '\r') {
        take_out(s, SPAN_NONE);
        s->b->state = SMTP_BODY_DOT_CR;
    } else {
        if (*s->p == '.')
            insert(s, SPAN_LIT("."));
        s->b->state = SMTP_BODY_IN_LINE;
    }
}

static void step_dot_cr(struct scan *s)
{
    if (*s->p != '\n') {
        bare_cr(s);
    } else if (s->b->after_bare_lf && s->b->mode != SMTP_BARE_ACCEPT) {
        count_text(s->b, 1);
        take_out(s, SPAN_LIT("..\r\n"));
        end_line(s->b, false);
    } else {
        end_data(s);
    }
}

void smtp_body_init(struct smtp_body *b, enum smtp_bare_newline mode)
{
    *b = (struct smtp_body){ .mode = mode, .state = SMTP_BODY_AT_LINE };
}

size_t smtp_body_scan(struct smtp_body *b, struct span in, struct smtp_body_out *out)
{
    out->count = 0;
    if (in.n == 0)
        return 0;
    struct scan s = { b, in.p, in.p, in.p + in.n, out };
    while (s.p < s.end && b->state != SMTP_BODY_ENDED && out->count < SMTP_BODY_PIECES - PIECES_PER_STEP) {
        switch (b->state) {
        case SMTP_BODY_AT_LINE:
            step_at_line(&s);
            break;
        case SMTP_BODY_IN_LINE:
            step_in_line(&s);
            break;
        case SMTP_BODY_CR:
            step_cr(&s);
            break;
        case SMTP_BODY_DOT:
            step_dot(&s);
            break;
        case SMTP_BODY_DOT_CR:
            step_dot_cr(&s);
            break;
        case SMTP_BODY_ENDED:
            break;
        }
    }
    flush_run(&s);
    return (size_t)(s.p - in.p);
}

/* What the octet at p, which is CR, LF or NUL, is in content that passes; SMTP_BODY_CR: the next octet tells. */
static void pass_special(struct smtp_body *b, char c)
{
    bool behind_cr = b->state == SMTP_BODY_CR;
    b->state = SMTP_BODY_IN_LINE;
    if (c == '\n') {
        b->anomalies |= behind_cr ? 0 : SMTP_BODY_BARE_LF;
        b->line_len = 0;
        return;
    }
    b->anomalies |= (behind_cr ? SMTP_BODY_BARE_CR : 0) | (c == '\0' ? SMTP_BODY_NUL : 0);
    if (c == '\r')
        b->state = SMTP_BODY_CR;
}

void smtp_body_pass(struct smtp_body *b, struct span in)
{
    const char *p = in.p, *end = in.p + in.n;
    b->size += in.n;
    while (p < end) {
        unsigned high = 0;
        const char *stop = find_special(p, end, &high);
        b->line_len += (size_t)(stop - p);
        if (stop > p && b->state == SMTP_BODY_CR) {
            b->anomalies |= SMTP_BODY_BARE_CR;
            b->state = SMTP_BODY_IN_LINE;
        }
        if (high != 0)
            b->anomalies |= SMTP_BODY_8BIT;
        if (b->line_len > LINE_MAX_OCTETS)
            b->anomalies |= SMTP_BODY_LONG_LINE;
        if (stop < end)
            pass_special(b, *stop++);
        p = stop;
    }
}
