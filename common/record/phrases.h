/* The phrases of classify_rules.h, looked for in a reply's words. */
#ifndef COMMON_RECORD_PHRASES_H
#define COMMON_RECORD_PHRASES_H

#include "common/record/record.h"
#include "common/record/words.h"

struct phrase_hit {
    enum reply_class class; /* CLASS_NONE: no phrase was found */
    int rank;
};

/* The phrase of the highest rank; of several, the one with the most words, then the first in the table. code: the
 * reply's, for phrases of one kind of refusal only. */
struct phrase_hit phrases_find(const struct words *w, int code);
#endif
