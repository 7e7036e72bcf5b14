/* SMTP replies (RFC 5321 section 4.2, RFC 3463, RFC 2034): a parser for those that servers send, and a table of our
 * own. */
#ifndef COMMON_SMTP_REPLY_H
#define COMMON_SMTP_REPLY_H

#include "common/buf.h"

enum { SMTP_REPLY_MAX = 65536, SMTP_ENHANCED_LEN = 12 };

struct smtp_reply {
    int code;                         /* 200 to 599 */
    char enhanced[SMTP_ENHANCED_LEN]; /* "2.1.0" of the first line where its class fits the code; else "" */
    struct span wire;                 /* all lines in canonical form: "250-a\r\n250 b\r\n"; owned by whoever made it */
    unsigned lines;
};

enum smtp_reply_result { SMTP_REPLY_MORE, SMTP_REPLY_DONE, SMTP_REPLY_BAD };

/* A parser for a stream of replies, fed as bytes arrive; it keeps an unfinished reply in `partial`. */
struct smtp_reply_parser {
    struct buf partial;
    unsigned lines;
    int code;       /* of the lines so far; 0: none yet */
    bool delivered; /* partial holds the last reply, which the next call drops */
};
void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf_pool *pool);
void smtp_reply_parser_free(struct smtp_reply_parser *p);
/* Takes bytes from *in up to the end of one reply. DONE: *out is whole; its wire points into *in where the reply was
 * whole and canonical there, else into the parser, and is good until the next call. MORE: all of *in was taken. BAD:
 * not a reply (no three digits from 200 to 599, codes that differ between lines, a fourth byte that is neither
 * '-', blank nor line end, over SMTP_REPLY_MAX octets). LF alone ends a line too; a CR elsewhere, NUL and other control
 * bytes but tab become '?', and a tab behind the code a blank, so that what is passed on has one reading. "250" and
 * "250 " alone are whole lines. A call with nothing in *in gives the memory of a delivered reply back; after BAD the
 * parser is empty. */
enum smtp_reply_result smtp_reply_parse(struct smtp_reply_parser *p, struct span *in,
                                        struct smtp_reply *out) MUST_CHECK;

/* Iterates over the lines: *pos is 0 at first; false at the end. text: without code and line end; with skip_enhanced
 * also without the enhanced code and its blank. */
bool smtp_reply_line(const struct smtp_reply *r, size_t *pos, bool skip_enhanced, struct span *text);
/* A whole reply in canonical form, as made by us, taken apart; wire stays the caller's. */
struct smtp_reply smtp_reply_read(struct span wire);
static inline bool smtp_reply_is(const struct smtp_reply *r, int class) { return r->code / 100 == class; }
/* "250 2.0.0 Ok: queued as 1A2B": the lines joined by " / " where there are several, each with code as in replies.tsv
 * ("550-a / 550 b"); appended to out. */
void smtp_reply_text(struct buf *out, const struct smtp_reply *r);

/* Own replies: OWN(id, code, "enhanced" or "", "text"). */
#include "common/smtp/replies.h"
#define SMTP_OWN_ENUM(id, code, enhanced, text) SMTP_OWN_##id,
enum smtp_own { SMTP_OWN_REPLIES(SMTP_OWN_ENUM) SMTP_OWN_COUNT };
/* The whole reply in static memory. */
const struct smtp_reply *smtp_reply_own(enum smtp_own id);

#endif
