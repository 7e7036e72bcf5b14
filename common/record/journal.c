/* See journal.h. The whole line goes in as well, so nothing that has no field of its own is lost. */
#include "common/record/journal.h"

#include "common/record/line.h"
#include "common/record/syslog.h"

static const struct {
    enum line_value value;
    const char *field;
} FIELDS[] = {
    { LINE_TNX, "SMTPTAP_TNX" },
    { LINE_CID, "SMTPTAP_CID" },
    { LINE_TID, "SMTPTAP_TID" },
    { LINE_SIDE, "SMTPTAP_SIDE" },
    { LINE_USER, "SMTPTAP_USER" },
    { LINE_HOST, "SMTPTAP_HOST" },
    { LINE_MAIL_FROM, "SMTPTAP_MAIL_FROM" },
    { LINE_RCPT_TO, "SMTPTAP_RCPT_TO" },
    { LINE_STATUS, "SMTPTAP_STATUS" },
    { LINE_CODE, "SMTPTAP_CODE" },
    { LINE_STAGE, "SMTPTAP_STAGE" },
    { LINE_CLASS, "SMTPTAP_CLASS" },
    { LINE_QUEUE_ID, "SMTPTAP_QUEUE_ID" },
    { LINE_MESSAGE_ID, "SMTPTAP_MESSAGE_ID" },
    { LINE_RUN, "SMTPTAP_RUN" },
    { LINE_SEQ, "SMTPTAP_SEQ" },
};

static void put_field(struct buf *out, const char *field, struct span value)
{
    buf_append_span(out, span_str(field));
    if (value.n > 0 && memchr(value.p, '\n', value.n) != NULL) {
        char size[8];
        for (unsigned i = 0; i < sizeof(size); i++)
            size[i] = (char)((uint64_t)value.n >> (8 * i) & 0xff);
        buf_append(out, "\n", 1);
        buf_append(out, size, sizeof(size));
    } else {
        buf_append(out, "=", 1);
    }
    buf_append_span(out, value);
    buf_append(out, "\n", 1);
}

static void put_value(struct buf *out, const char *field, struct span value)
{
    struct buf text;
    if (value.p == NULL)
        return;
    buf_init(&text, NULL);
    line_unescape(&text, value);
    put_field(out, field, buf_span(&text));
    buf_free(&text);
}

void journal_write(struct buf *out, struct span component, struct span line)
{
    struct line l;
    if (!line_scan(&l, line))
        memset(&l, 0, sizeof(l));
    put_value(out, "MESSAGE", l.value[LINE_MSG]);
    char priority = (char)('0' + syslog_severity(l.value[LINE_LEVEL]));
    put_field(out, "PRIORITY", span_of(&priority, 1));
    put_field(out, "SYSLOG_FACILITY", SPAN_LIT("2"));
    if (l.value[LINE_COMPONENT].n > 0)
        put_value(out, "SYSLOG_IDENTIFIER", l.value[LINE_COMPONENT]);
    else
        put_field(out, "SYSLOG_IDENTIFIER", component);
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
        put_value(out, FIELDS[i].field, l.value[FIELDS[i].value]);
    put_field(out, "SMTPTAP_JSON", line);
}
