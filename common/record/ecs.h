/* Format `ecs`: a record as one line of JSON with the names of Elastic Common Schema 9.4 (ecs_fields.h has the map),
 * without `smtptap.run`, `event.sequence` and what follows them, and without the closing brace. Nothing that native
 * tells is lost in it. */
#ifndef COMMON_RECORD_ECS_H
#define COMMON_RECORD_ECS_H

#include "common/record/format.h"

/* ,"smtptap.run":"12345678","event.sequence":18446744073709551615,"smtptap.hash":"<64>","smtptap.prev":"<64>"}\n */
enum { RECORD_ECS_TAIL_MAX = 232, RECORD_ECS_TAIL_PLAIN = 68 };
/* The least max_record: names are longer, and addresses stand in more than one field. Less is taken as this. */
enum { RECORD_ECS_MIN_MAX = 4096 };

void record_write_ecs(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                      struct json_time_cache *cache);

#endif
