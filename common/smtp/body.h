/* The message's bytes between 354 and the end of data: wire form in, canonical wire form out (protocol.md D3, N).
 * What comes out has one reading: every line ends in CR LF, no CR or LF stands alone, a line that begins with a dot is
 * stuffed, and nothing in it ends the data. The end of data itself is not part of the output. */
#ifndef COMMON_SMTP_BODY_H
#define COMMON_SMTP_BODY_H

#include "common/span.h"

enum smtp_bare_newline { SMTP_BARE_NORMALIZE, SMTP_BARE_REJECT, SMTP_BARE_ACCEPT };

/* What was odd, as bits: the words of `anomalies` in events.md. long_line: a line over 998 octets without its end. */
enum {
    SMTP_BODY_BARE_LF = 1,
    SMTP_BODY_BARE_CR = 2,
    SMTP_BODY_NUL = 4,
    SMTP_BODY_LONG_LINE = 8,
    SMTP_BODY_8BIT = 16, /* a byte over 127: an anomaly only where BODY doesn't declare it; the caller knows */
};

enum smtp_body_state {
    SMTP_BODY_AT_LINE,
    SMTP_BODY_IN_LINE,
    SMTP_BODY_CR,
    SMTP_BODY_DOT,
    SMTP_BODY_DOT_CR,
    SMTP_BODY_ENDED
};

struct smtp_body {
    enum smtp_bare_newline mode;
    enum smtp_body_state state; /* as the bytes so far are read; AT_LINE at first: the CR LF of DATA counts */
    unsigned anomalies;
    uint64_t size;      /* octets of content so far: dots unstuffed, line ends normalised */
    uint64_t line_len;  /* octets in the line so far */
    bool after_bare_lf; /* the line before this one ended in LF alone: a lone dot here doesn't end the data */
    bool rejected;      /* mode reject: a bare newline, CR or NUL was met; output is to be thrown away */
};

/* Pieces of output: pointers into the input or static text. */
enum { SMTP_BODY_PIECES = 64 };
struct smtp_body_out {
    struct span piece[SMTP_BODY_PIECES];
    unsigned count;
};

void smtp_body_init(struct smtp_body *b, enum smtp_bare_newline mode);
/* Fills *out anew. Reads from `in` until the end of data, the end of `in`, or until *out is full; returns how much was
 * taken (call again with the rest where it is less than in.n and the state is not ENDED). A CR or dot whose meaning the
 * next byte decides is taken and kept in the state; it appears in a later call's output. ENDED: the bytes behind the
 * end of data were not taken. */
size_t smtp_body_scan(struct smtp_body *b, struct span in, struct smtp_body_out *out) MUST_CHECK;
/* Content that passes unchanged (BDAT): only size and anomalies are kept. One smtp_body sees one of the two alone. */
void smtp_body_pass(struct smtp_body *b, struct span in);

#endif
