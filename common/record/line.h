/* A finished record read back: outputs that say in their own way what a record is about (a syslog header, the fields of
 * a journal, a key) take it from the line, in either format. */
#ifndef COMMON_RECORD_LINE_H
#define COMMON_RECORD_LINE_H

#include "common/buf.h"

/* LINE(id, "path in native", "path in ecs"); dotted keys and nested objects are the same. */
#define LINE_VALUES(LINE)                                                                                              \
    LINE(TIME, "time", "@timestamp")                                                                                   \
    LINE(LEVEL, "level", "log.level")                                                                                  \
    LINE(COMPONENT, "component", "observer.name")                                                                      \
    LINE(TNX, "tnx", "smtptap.tnx")                                                                                    \
    LINE(CID, "cid", "smtptap.cid")                                                                                    \
    LINE(TID, "tid", "transaction.id")                                                                                 \
    LINE(SIDE, "side", "smtptap.side")                                                                                 \
    LINE(USER, "user", "user.name")                                                                                    \
    LINE(HOST, "host", "client.address")                                                                               \
    LINE(MAIL_FROM, "mail_from", "smtptap.envelope.mail_from")                                                         \
    LINE(RCPT_TO, "rcpt_to", "smtptap.envelope.rcpt_to")                                                               \
    LINE(STATUS, "status", "smtptap.status")                                                                           \
    LINE(CODE, "code", "smtptap.response.code")                                                                        \
    LINE(STAGE, "stage", "smtptap.stage")                                                                              \
    LINE(CLASS, "class", "smtptap.class")                                                                              \
    LINE(QUEUE_ID, "queue_id", "email.local_id")                                                                       \
    LINE(MESSAGE_ID, "message_id", "email.message_id")                                                                 \
    LINE(MSG, "msg", "message")                                                                                        \
    LINE(RUN, "run", "smtptap.run")                                                                                    \
    LINE(SEQ, "seq", "event.sequence")

#define LINE_ENUM(id, native, ecs) LINE_##id,
enum line_value { LINE_VALUES(LINE_ENUM) LINE_COUNT };
#undef LINE_ENUM

/* Values as they stand in the line: strings without their quotes, still escaped; numbers. p is NULL where the line has
 * none, or one that is null or a list. */
struct line {
    struct span value[LINE_COUNT];
};

/* False: the text is not one JSON object; blanks may stand around it. */
bool line_scan(struct line *out, struct span text);
/* Appends a value without its escapes. */
void line_unescape(struct buf *out, struct span value);

#endif
