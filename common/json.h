/* Writes JSON by appending; what is written is always well formed UTF-8 JSON whatever the bytes given: control
 * characters (C0, DEL, C1, U+2028, U+2029) are escaped, bytes that are not UTF-8 become U+FFFD. No length limit here.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/buf.h"

/* A writer keeps no state but the buffer: commas are put by looking at the last byte written. */
struct json {
    struct buf *out; /* not owned */
};

void json_open(struct json *j, char bracket);   /* '{' or '['; puts a comma before where one is due */
void json_close(struct json *j, char bracket);  /* '}' or ']' */
void json_key(struct json *j, struct span key); /* key must need no escaping */
void json_str(struct json *j, struct span s);
/* One string made of several pieces. */
void json_cat(struct json *j, const struct span *pieces, size_t count);
void json_int(struct json *j, int64_t v);
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
