/* Writes JSON by appending; what is written is always well formed UTF-8 JSON whatever the bytes given: control
 * characters (C0, DEL, C1, U+2028, U+2029) are escaped, bytes that are not UTF-8 become U+FFFD. No length limit here.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/buf.h"

/* A writer holds the free end of a buffer, which nobody else may touch until json_end(). It keeps no other state:
 * commas are put by looking at the last byte written. */
struct json {
    struct buf *out; /* not owned */
    /* All NULL at first, and after json_end(). What is written, where the next byte goes, and the end of the room. */
    char *start, *to, *stop;
};

/* The buffer has what was written; the writer can begin anew. */
void json_end(struct json *j);
/* What was written since the writer began, and back to there. */
static inline size_t json_len(const struct json *j) { return (size_t)(j->to - j->start); }
static inline void json_restart(struct json *j) { j->to = j->start; }

/* For json_reserve() where there is no room. */
void json_grow(struct json *j, size_t n);
/* Room for n bytes at j->to, for those who write there themselves. */
static inline char *json_reserve(struct json *j, size_t n)
{
    if (UNLIKELY((size_t)(j->stop - j->to) < n))
        json_grow(j, n);
    return j->to;
}

/* JSON that is known already, with its comma. */
static inline void json_raw(struct json *j, struct span s)
{
    if (s.n == 0)
        return;
    char *to = json_reserve(j, s.n);
    memcpy(to, s.p, s.n);
    j->to = to + s.n;
}

/* The same for what is written often: of one size, so that it is copied without counting. `skip` leaves out the comma
 * at its start. */
enum { JSON_LITERAL_MAX = 32 };
struct json_literal {
    char text[JSON_LITERAL_MAX + 1];
    uint8_t n;
} __attribute__((aligned(8)));
#define JSON_LITERAL(s)                                                                                                \
    {                                                                                                                  \
        .text = s, .n = sizeof(s) - 1                                                                                  \
    }
static inline char *json_put_literal(char *to, const struct json_literal *l, bool skip)
{
    memcpy(to, l->text + skip, JSON_LITERAL_MAX);
    return to + l->n - skip;
}
static inline void json_literal(struct json *j, const struct json_literal *l, bool skip)
{
    j->to = json_put_literal(json_reserve(j, JSON_LITERAL_MAX), l, skip);
}
/* A literal that ends in a key, and its value. */
void json_literal_str(struct json *j, const struct json_literal *l, bool skip, struct span s);

void json_open(struct json *j, char bracket);   /* '{' or '['; puts a comma before where one is due */
void json_close(struct json *j, char bracket);  /* '}' or ']' */
void json_key(struct json *j, struct span key); /* key must need no escaping */
void json_str(struct json *j, struct span s);
/* One string made of several pieces. */
void json_cat(struct json *j, const struct span *pieces, size_t count);
void json_int(struct json *j, int64_t v);
/* The digits alone, up to JSON_DIGITS_MAX, to anywhere; returns their end. */
enum { JSON_DIGITS_MAX = 20 };
char *json_put_digits(char *to, uint64_t v);
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
/* Microseconds as milliseconds with up to three decimals: 1234 is 1.234, 1200 is 1.2, 5000 is 5. */
void json_ms(struct json *j, usec_t us);
/* Microseconds since 1970 as "2026-03-03T10:30:15.100000Z"; keeps the last second's text in *cache (zeroed at first).
 */
struct json_time_cache {
    int64_t second;
    char text[20];
};
void json_time(struct json *j, usec_t realtime, struct json_time_cache *cache);

#endif
