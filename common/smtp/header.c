/* A line is a name, perhaps blanks, a colon and a value, or folded: a blank and more of the value before it. Only a
 * name and the values wanted are kept; the rest of a value is skipped to its line's end. LF ends a line, whether a CR
 * stands before it or not (BDAT brings what it likes). Stuffing needs no thought: no field of interest begins with a
 * dot, and a folded line begins with a blank. */
#include "common/smtp/header.h"

enum line_state { FIRST_LINE, NEXT_LINE, IN_NAME, BEHIND_NAME, IN_VALUE };

/* h->catching: an index into h->want, or this. */
enum { CATCH_NONE = SMTP_HEADER_WANT_MAX };

static bool is_name_char(char c) { return c > ' ' && c < '\x7f' && c != ':'; }

static bool is_trimmed(char c) { return span_is_blank(c) || c == '\r' || c == '\n'; }

void smtp_header_init(struct smtp_header *h, const struct smtp_header_want *want, struct buf_pool *pool)
{
    *h = (struct smtp_header){ .want = want, .line_state = FIRST_LINE, .catching = CATCH_NONE };
    buf_init(&h->values, pool);
}

void smtp_header_free(struct smtp_header *h) { buf_free(&h->values); }

/* Adds what fits to the value being caught; white space before it is left out. */
static void catch_bytes(struct smtp_header *h, struct span bytes)
{
    size_t *len = &h->value[h->catching].len;
    while (*len == 0 && bytes.n > 0 && is_trimmed(bytes.p[0]))
        bytes = span_skip(bytes, 1);
    for (size_t i = SMTP_HEADER_VALUE_MAX - *len; i < bytes.n && !h->cut[h->catching]; i++)
        h->cut[h->catching] = !is_trimmed(bytes.p[i]);
    bytes = span_head(bytes, SMTP_HEADER_VALUE_MAX - *len);
    buf_append_span(&h->values, bytes);
    *len += bytes.n;
}

/* The colon was met: which field is it? */
static void begin_value(struct smtp_header *h)
{
    struct span name = span_of(h->name, h->name_len);
    h->line_state = IN_VALUE;
    h->catching = CATCH_NONE;
    if (name.n > sizeof(h->name))
        return;
    h->received += span_eq_nocase(name, SPAN_LIT("received"));
    for (unsigned i = 0; i < h->want->count; i++) {
        if (!span_eq_nocase(name, span_str(h->want->name[i])))
            continue;
        if (!h->have[i]) {
            h->have[i] = true;
            h->value[i].at = h->values.tail;
            h->catching = i;
        }
        return;
    }
}

/* At a line's first byte, which stays. */
static void begin_line(struct smtp_header *h, char c)
{
    if (h->line_state == NEXT_LINE && span_is_blank(c)) {
        h->line_state = IN_VALUE;
        return;
    }
    if (!is_name_char(c)) {
        h->done = true;
        return;
    }
    h->catching = CATCH_NONE;
    h->name_len = 0;
    h->line_state = IN_NAME;
}

static struct span feed_name(struct smtp_header *h, struct span bytes)
{
    while (bytes.n > 0 && is_name_char(bytes.p[0])) {
        if (h->name_len < sizeof(h->name))
            h->name[h->name_len] = bytes.p[0];
        h->name_len += h->name_len <= sizeof(h->name);
        bytes = span_skip(bytes, 1);
    }
    if (bytes.n > 0)
        h->line_state = BEHIND_NAME;
    return bytes;
}

static struct span feed_behind_name(struct smtp_header *h, struct span bytes)
{
    bytes = span_trim_left(bytes);
    if (bytes.n == 0)
        return bytes;
    if (bytes.p[0] == ':')
        begin_value(h);
    else
        h->done = true;
    return span_skip(bytes, 1);
}

static struct span feed_value(struct smtp_header *h, struct span bytes)
{
    const char *nl = memchr(bytes.p, '\n', bytes.n);
    size_t n = nl != NULL ? (size_t)(nl - bytes.p) + 1 : bytes.n;
    if (h->catching != CATCH_NONE)
        catch_bytes(h, span_head(bytes, n));
    if (nl != NULL)
        h->line_state = NEXT_LINE;
    return span_skip(bytes, n);
}

void smtp_header_feed(struct smtp_header *h, struct span bytes)
{
    while (bytes.n > 0 && !h->done) {
        switch ((enum line_state)h->line_state) {
        case FIRST_LINE:
        case NEXT_LINE:
            begin_line(h, bytes.p[0]);
            break;
        case IN_NAME:
            bytes = feed_name(h, bytes);
            break;
        case BEHIND_NAME:
            bytes = feed_behind_name(h, bytes);
            break;
        case IN_VALUE:
            bytes = feed_value(h, bytes);
            break;
        }
    }
}

bool smtp_header_value(const struct smtp_header *h, unsigned i, struct span *value)
{
    if (i >= SMTP_HEADER_WANT_MAX || !h->have[i])
        return false;
    *value = h->value[i].len > 0 ? span_of(h->values.base + h->value[i].at, h->value[i].len) : SPAN_NONE;
    while (value->n > 0 && is_trimmed(value->p[value->n - 1]))
        value->n--;
    return true;
}
