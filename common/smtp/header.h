/* Reads the header section of a message as it streams by: catches chosen fields and counts Received. Memory is bounded.
 */
#ifndef COMMON_SMTP_HEADER_H
#define COMMON_SMTP_HEADER_H

#include "common/buf.h"

enum { SMTP_HEADER_WANT_MAX = 32, SMTP_HEADER_VALUE_MAX = 2048 };

/* Which fields to catch: names in lower case; shared, not owned. "message-id" should be among them. */
struct smtp_header_want {
    const char *name[SMTP_HEADER_WANT_MAX];
    unsigned count;
};

struct smtp_header {
    const struct smtp_header_want *want;
    bool done; /* the header section has ended: feeding is no longer needed */
    unsigned received;
    /* private */
    unsigned line_state, catching;
    char name[80];
    size_t name_len;
    struct buf values; /* caught values, raw (folded), at most SMTP_HEADER_VALUE_MAX each */
    struct {
        size_t at, len;
    } value[SMTP_HEADER_WANT_MAX]; /* the first occurrence of each */
    bool have[SMTP_HEADER_WANT_MAX], cut[SMTP_HEADER_WANT_MAX];
};

void smtp_header_init(struct smtp_header *h, const struct smtp_header_want *want, struct buf_pool *pool);
void smtp_header_free(struct smtp_header *h);
/* Content in canonical wire form, cut anywhere (of BDAT: as it is). A line that is no field (without a colon, or with
 * something other than blanks between its name and the colon) ends the section. */
void smtp_header_feed(struct smtp_header *h, struct span bytes);
/* The raw value of want->name[i], trimmed, with its folding; false if it was not there. Good until free. */
bool smtp_header_value(const struct smtp_header *h, unsigned i, struct span *value);
/* Was it longer than SMTP_HEADER_VALUE_MAX? */
static inline bool smtp_header_is_cut(const struct smtp_header *h, unsigned i) { return h->cut[i]; }

#endif
