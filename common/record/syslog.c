/* The header's words are cut to their limits, and what may not stand in them becomes '?'. A byte order mark is not put
 * before the JSON: parsers of JSON refuse it. */
#include "common/record/syslog.h"

#include "common/record/line.h"

#include <stdio.h>

enum { FACILITY_MAIL = 2, HOST_MAX = 255, APP_MAX = 48, MSGID_MAX = 32, TIME_MAX = 32, HEADER_MAX = 480 };

unsigned syslog_severity(struct span level)
{
    if (span_eq(level, SPAN_LIT("error")))
        return 3;
    return span_eq(level, SPAN_LIT("info")) ? 6 : 7;
}

/* "-" is nothing. */
static char *put_word(char *to, struct span word, size_t most)
{
    *to++ = ' ';
    if (word.n == 0)
        word = SPAN_LIT("-");
    for (size_t i = 0; i < word.n && i < most; i++)
        *to++ = word.p[i] > ' ' && word.p[i] < 0x7f ? word.p[i] : '?';
    return to;
}

void syslog_write(struct buf *out, const struct syslog_source *from, struct span line, enum syslog_framing framing)
{
    char head[HEADER_MAX], pid[16], *end;
    struct line l;
    if (!line_scan(&l, line))
        memset(&l, 0, sizeof(l));
    struct span component = l.value[LINE_COMPONENT].n > 0 ? l.value[LINE_COMPONENT] : from->component;
    unsigned priority = FACILITY_MAIL * 8 + syslog_severity(l.value[LINE_LEVEL]);
    end = head + snprintf(head, sizeof(head), "<%u>1", priority);
    snprintf(pid, sizeof(pid), "%u", from->pid);
    end = put_word(end, l.value[LINE_TIME], TIME_MAX);
    end = put_word(end, from->host, HOST_MAX);
    end = put_word(end, component, APP_MAX);
    end = put_word(end, span_str(pid), sizeof(pid));
    end = put_word(end, l.value[LINE_TNX], MSGID_MAX);
    end = put_word(end, SPAN_NONE, 1);
    *end++ = ' ';
    struct span cookie = from->cookie ? SPAN_LIT("@cee: ") : SPAN_LIT("");
    if (framing == SYSLOG_OCTET)
        buf_printf(out, "%zu ", (size_t)(end - head) + cookie.n + line.n);
    buf_append(out, head, (size_t)(end - head));
    buf_append_span(out, cookie);
    buf_append_span(out, line);
    if (framing == SYSLOG_NEWLINE)
        buf_append(out, "\n", 1);
}
