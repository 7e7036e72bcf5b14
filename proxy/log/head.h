/* P.head of a log file P (common/record/chain.h), and the chain of one run in it. Used by its writer's thread alone. */
#ifndef PROXY_LOG_HEAD_H
#define PROXY_LOG_HEAD_H

#include "common/record/chain.h"
#include "proxy/log/output.h"

struct head {
    struct chain chain;
    char *path; /* owned */
    int fd;
    unsigned slot;
    char run[CHAIN_RUN + 1];
    uint64_t written; /* the seq that the slot says */
    usec_t time;      /* what it may say at the least: slots are in order, wherever the clock jumps */
};

/* Opens P.head, takes a slot in it, and lets the chain follow the newest hash. NULL if that can't be done; why says in
 * what. */
struct head *head_open(const struct output_settings *set, struct span key, const char *run,
                       char why[OUTPUT_WHY_MAX]) MUST_CHECK;
void head_free(struct head **h);
/* Once the chain's newest record is in the file. 0 or an errno: then the slot is older than the file, which is what a
 * crash would leave. */
int head_write(struct head *h);

#endif
