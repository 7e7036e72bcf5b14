/* A record too long (events.md): makes shorter records of it, step by step. Formats write the whole record first; where
 * it doesn't fit they write what each step leaves, until one fits. */
#ifndef COMMON_RECORD_CUT_H
#define COMMON_RECORD_CUT_H

#include "common/arena.h"
#include "common/record/record.h"

/* The steps of events.md, then last resorts; the last one leaves RECORD_CUT_LAST octets of native JSON at the most. */
enum { RECORD_CUT_STEPS = 16, RECORD_CUT_LAST = 800 };

/* What is left of `in` after the steps 1 to `step`, with `truncated` and `truncated_fields` before `msg`. *out points
 * into `in` and mem. */
void record_cut(struct record *out, const struct record *in, unsigned step, struct arena *mem);

/* The start of s that takes max octets inside a JSON string at the most, '…' at its end counted in. Returns s itself
 * where it is short enough. */
struct span record_cut_text(struct span s, size_t max, struct arena *mem);

#endif
