/* The queue id in a 2xx reply to the end of data: Postfix, Exim, Sendmail, OpenSMTPD, Haraka, Exchange, Gmail, qmail,
 * SES, ... */
#ifndef COMMON_RECORD_QUEUEID_H
#define COMMON_RECORD_QUEUEID_H

#include "common/smtp/reply.h"

enum { QUEUE_ID_MAX = 128 };

/* A part of the reply's bytes; empty where none is told. Never a word of prose, an address or a Message-ID. */
struct span queue_id_find(const struct smtp_reply *reply);

#endif
