/* log.transcript `failed`: the dialogue of a session, which is kept in memory and written only if something does not go
 * well; from then on there is nothing to keep. What is kept counts as reserved room.
 *
 * Whole lines in the order of their making, each behind a header; the oldest give way where RECORDER_MAX is reached. */
#ifndef PROXY_LOG_RECORDER_H
#define PROXY_LOG_RECORDER_H

#include "common/buf.h"
#include "proxy/log/log.h"

enum { RECORDER_MAX = 65536 };

struct recorder {
    char *data; /* owned */
    size_t head, len, cap;
    uint64_t lost;         /* records that gave way */
    bool open;             /* records are written at once */
    struct buf_pool *pool; /* that counts its memory; may be NULL */
};

/* As logger_write(), into the recorder. */
void logger_keep(struct logger *l, struct recorder *k, const struct record *r);
/* Writes what is kept, and opens it. */
void logger_release(struct logger *l, struct recorder *k);
/* Forgets what is kept, and gives back its memory and its room. */
void logger_forget(struct logger *l, struct recorder *k);

/* For logger.c: a line of one record in one format; first: the record's first. */
void recorder_add(struct recorder *k, const struct record *r, enum log_format format, bool first, struct span line);

#endif
