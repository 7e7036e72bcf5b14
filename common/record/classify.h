/* Why a reply refused: one of the words of events.md's section `class`, from code, enhanced code and text. */
#ifndef COMMON_RECORD_CLASSIFY_H
#define COMMON_RECORD_CLASSIFY_H

#include "common/record/record.h"

/* For 4xx and 5xx; CLASS_NONE for others. stage says which command was refused, which decides where the text is silent
 * (a bare 550 to RCPT is an unknown user more often than anything else). */
enum reply_class classify_reply(const struct smtp_reply *reply, enum txn_stage stage);

#endif
