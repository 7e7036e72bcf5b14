/* Whether a log's chain is whole, line by line: what was edited, what is missing, what was inserted, what is cut off at
 * the end. Runs may lie one behind the other or be mixed. */
#ifndef COMMON_RECORD_CHAIN_CHECK_H
#define COMMON_RECORD_CHAIN_CHECK_H

#include "common/record/chain.h"

enum chain_finding {
    CHAIN_EDITED,
    CHAIN_MISSING,
    CHAIN_INSERTED,
    CHAIN_CUT_OFF,
    CHAIN_HEAD, /* P.head is not what was written */
    CHAIN_NOTE, /* no fault, but something that can't be told */
};
/* text: one line for people. line: 0 where it is about the whole. */
typedef void chain_tell(void *arg, enum chain_finding finding, const char *file, uint64_t line, const char *text);

struct chain_check;
struct chain_check *chain_check_new(struct span key, chain_tell *tell, void *arg) MUST_CHECK;
void chain_check_free(struct chain_check **c);
/* A slot of P.head, before the files: they may grow meanwhile, and must not seem cut off. */
void chain_check_slot(struct chain_check *c, const char *file, struct span slot);
/* The next file, in the order of writing; name outlives the check. */
void chain_check_file(struct chain_check *c, const char *name);
/* The next line, without its line's end; `whole` is false for what stands behind the last line's end. */
void chain_check_line(struct chain_check *c, struct span line, bool whole);
/* After the files: P.head as it is by now. The run that began last must be in it, or what a still newer one, which has
 * written nothing, was to follow: else it is not the head of this log, and says nothing of its end. */
void chain_check_newest(struct chain_check *c, const char *file, struct span head);
struct chain_sum {
    uint64_t records, runs, faults;
};
/* After the last file. */
struct chain_sum chain_check_end(struct chain_check *c);

#endif
