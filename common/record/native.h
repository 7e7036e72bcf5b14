/* Format `native`: a record as one line of JSON, without `run`, `seq` and what follows them, and without the closing
 * brace: the log's writer appends those (events.md, "On every record"). */
#ifndef COMMON_RECORD_NATIVE_H
#define COMMON_RECORD_NATIVE_H

#include "common/record/record.h"

/* What the writer appends at the most: ,"run":"12345678","seq":18446744073709551615,"hash":"<64>","prev":"<64>"}\n */
enum { RECORD_TAIL_MAX = 224, RECORD_TAIL_PLAIN = 52 };
/* The least max_record: what cutting always reaches (cut.h) and the longest tail. Less is taken as this. */
enum { RECORD_MIN_MAX = 1024 };

/* Appends the line to out. Where it and a tail of tail_max bytes would pass max_record, it is cut as events.md says ("A
 * record too long"), in that order, until it fits; `truncated` and `truncated_fields` stand before `msg`. cache as in
 * json_time(). */
void record_write_native(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                         struct json_time_cache *cache);

#endif
