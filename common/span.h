/* A run of bytes that somebody else owns: pointer and length, not terminated. */
#ifndef COMMON_SPAN_H
#define COMMON_SPAN_H

#include <string.h>
#include <strings.h>

#include "common/base.h"

struct span {
    const char *p; /* may be NULL where n is 0 */
    size_t n;
};

#define SPAN_NONE ((struct span){ NULL, 0 })
#define SPAN_LIT(s) ((struct span){ (s), sizeof(s) - 1 })
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct span span_of(const char *p, size_t n) { return (struct span){ p, n }; }
static inline struct span span_str(const char *s) { return s ? span_of(s, strlen(s)) : SPAN_NONE; }
static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool span_eq_nocase(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}
static inline bool span_begins_nocase(struct span a, struct span prefix)
{
    return a.n >= prefix.n && strncasecmp(a.p, prefix.p, prefix.n) == 0;
}
static inline struct span span_skip(struct span a, size_t n) { return n < a.n ? span_of(a.p + n, a.n - n) : SPAN_NONE; }
static inline struct span span_head(struct span a, size_t n) { return span_of(a.p, min_size(a.n, n)); }
static inline bool span_is_blank(char c) { return c == ' ' || c == '\t'; }
static inline bool span_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline struct span span_trim_left(struct span a)
{
    while (a.n > 0 && span_is_blank(a.p[0])) {
        a.p++;
        a.n--;
    }
    return a;
}
static inline struct span span_trim_right(struct span a)
{
    while (a.n > 0 && span_is_blank(a.p[a.n - 1]))
        a.n--;
    return a;
}
static inline struct span span_trim(struct span a) { return span_trim_right(span_trim_left(a)); }

#endif
