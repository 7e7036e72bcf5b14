/* Text for a terminal. What comes from records is made harmless first: a terminal obeys control bytes, and records hold
 * what strangers sent. Colour only on a terminal that wants it. */
#ifndef PROXY_CLI_TERM_H
#define PROXY_CLI_TERM_H

#include "common/buf.h"

enum term_style {
    TERM_DIM,
    TERM_BOLD,
    TERM_RED,
    TERM_GREEN,
    TERM_YELLOW,
    TERM_MAGENTA,
    TERM_CYAN,
    TERM_OF_SESSION /* and the ones behind it: TERM_SESSIONS colours that tell sessions apart */
};
enum { TERM_SESSIONS = 6 };

struct term {
    bool colour;
    bool utf8; /* else everything over ASCII is escaped: its bytes are control bytes on an 8-bit terminal */
};

/* From the environment: NO_COLOR, TERM, the locale's encoding; and whether fd is a terminal. */
void term_init(struct term *t, int fd);
/* The same from its values; NULL: not set. */
void term_decide(struct term *t, bool is_tty, const char *no_color, const char *term, const char *encoding);
void term_on(const struct term *t, struct buf *out, unsigned style);
void term_off(const struct term *t, struct buf *out);
/* Literal text of ours in a style. */
void term_put(const struct term *t, struct buf *out, unsigned style, const char *text);
/* Anybody's text: control, invisible and direction-changing characters become \xNN or \uNNNN, other bytes U+FFFD. */
void term_text(const struct term *t, struct buf *out, struct span text);

#endif
