/* Every byte that isn't ours passes term_text(). */
#include "proxy/cli/term.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/smtp/path.h"

static const char *const SGR[TERM_OF_SESSION + TERM_SESSIONS] = {
    [TERM_DIM] = "2",
    [TERM_BOLD] = "1",
    [TERM_RED] = "31",
    [TERM_GREEN] = "32",
    [TERM_YELLOW] = "33",
    [TERM_MAGENTA] = "35",
    [TERM_CYAN] = "36",
    [TERM_OF_SESSION] = "36",
    [TERM_OF_SESSION + 1] = "94",
    [TERM_OF_SESSION + 2] = "35",
    [TERM_OF_SESSION + 3] = "96",
    [TERM_OF_SESSION + 4] = "95",
    [TERM_OF_SESSION + 5] = "34",
};

void term_decide(struct term *t, bool is_tty, const char *no_color, const char *term, const char *encoding)
{
    bool unwanted = no_color != NULL && no_color[0] != '\0';
    bool able = term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    t->colour = is_tty && !unwanted && able;
    t->utf8 = encoding != NULL && strcasecmp(encoding, "UTF-8") == 0;
}

void term_init(struct term *t, int fd)
{
    setlocale(LC_CTYPE, "");
    term_decide(t, isatty(fd) == 1, getenv("NO_COLOR"), getenv("TERM"), nl_langinfo(CODESET));
}

void term_on(const struct term *t, struct buf *out, unsigned style)
{
    if (t->colour)
        buf_printf(out, "\033[%sm", SGR[style]);
}

void term_off(const struct term *t, struct buf *out)
{
    if (t->colour)
        buf_append(out, "\033[0m", 4);
}

void term_put(const struct term *t, struct buf *out, unsigned style, const char *text)
{
    term_on(t, out, style);
    buf_append_span(out, span_str(text));
    term_off(t, out);
}

/* Line separators, marks and overrides of direction, tags: what makes a line look like another one. */
static bool is_deceptive(uint32_t cp)
{
    return smtp_char_is_control(cp) || cp == 0x61c || cp == 0xad || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || (cp >= 0xfff9 && cp <= 0xfffb) ||
           (cp >= 0xe0000 && cp <= 0xe0fff);
}

static void put_escaped(struct buf *out, uint32_t cp)
{
    if (cp == '\t')
        buf_append(out, "\\t", 2);
    else if (cp < 0x100)
        buf_printf(out, "\\x%02x", cp);
    else
        buf_printf(out, "\\u%04x", cp);
}

static void put_char(const struct term *t, struct buf *out, struct span bytes, uint32_t cp)
{
    if (cp == CODEC_UTF8_BAD)
        buf_append_span(out, t->utf8 ? SPAN_LIT("\xef\xbf\xbd") : SPAN_LIT("?"));
    else if (is_deceptive(cp) || (cp > 0x7e && !t->utf8))
        put_escaped(out, cp);
    else
        buf_append_span(out, bytes);
}

void term_text(const struct term *t, struct buf *out, struct span text)
{
    while (text.n > 0) {
        size_t plain = 0;
        while (plain < text.n && text.p[plain] >= ' ' && text.p[plain] <= '~')
            plain++;
        buf_append(out, text.p, plain);
        text = span_skip(text, plain);
        if (text.n == 0)
            return;
        uint32_t cp;
        size_t n = codec_utf8_step(text.p, text.n, &cp);
        put_char(t, out, span_head(text, n), cp);
        text = span_skip(text, n);
    }
}
