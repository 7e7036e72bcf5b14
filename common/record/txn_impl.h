/* The inside of a transaction, for txn.c (remembers) and txn_write.c (judges and tells) alone. */
#ifndef COMMON_RECORD_TXN_IMPL_H
#define COMMON_RECORD_TXN_IMPL_H

#include "common/arena.h"
#include "common/record/txn.h"

enum { TXN_REPLY_MAX = 512, TXN_ANOMALIES_MAX = 32 };

/* A reply as it is kept. */
struct txn_reply {
    int code;
    enum txn_by by;
    enum reply_class class; /* why it refused, as the whole reply tells */
    bool cut;               /* there was more of it */
    char enhanced[SMTP_ENHANCED_LEN];
    struct span response; /* with codes, lines joined */
    struct span text;     /* without */
    struct span queue_id; /* of a 2xx at the end of data */
};

struct txn_rcpt {
    struct span address;
    struct span domain;            /* lower case; empty where there is none */
    const struct txn_reply *reply; /* to RCPT; NULL: not known yet */
    const struct txn_reply *final; /* LMTP, at the end of data */
};

struct txn_header {
    struct span name, value;
};

struct txn {
    unsigned n;
    usec_t started;
    struct arena mem;

    struct span mail_from;
    enum smtp_body_type body;
    enum smtp_dsn_ret ret;
    bool smtputf8;
    struct span envid;

    struct txn_rcpt *rcpt;
    unsigned rcpt_count, rcpt_room, rcpt_accepted, rcpt_pending;

    bool has_upstream, has_size;
    struct txn_upstream upstream;
    uint64_t size;
    unsigned phases; /* bit per phase that happened */
    usec_t phase[PHASE_COUNT];
    unsigned anomaly_count;
    const char *anomaly[TXN_ANOMALIES_MAX];

    struct span message_id, subject;
    bool has_subject;
    unsigned header_count;
    struct txn_header *header; /* the others */
};

/* Copies a reply into mem, its text cut to max octets. */
const struct txn_reply *txn_reply_keep(struct arena *mem, const struct smtp_reply *reply, enum txn_by by,
                                       enum txn_stage stage, size_t max);

/* What became of a message, or of one recipient. */
struct txn_fate {
    enum txn_status status;
    enum txn_stage stage;
    enum txn_by by;
    const struct txn_reply *reply; /* NULL: none */
    struct span queue_id;
};

/* What the judgement of each recipient needs to know of all. */
struct txn_judge {
    struct txn_fate end; /* as the transaction ended, by its owner's word */
    /* the last of each kind, or NULL: to RCPT, at the end of data */
    const struct txn_reply *refused4, *refused5, *final2, *final4, *final5;
    bool final_upstream; /* the upstream had the end of data: it answered for one recipient at least */
};
/* end_reply: end->reply as kept, or NULL. */
void txn_judge_init(struct txn_judge *j, const struct txn *t, const struct txn_end *end,
                    const struct txn_reply *end_reply);
struct txn_fate txn_judge_message(const struct txn_judge *j, const struct txn *t);
struct txn_fate txn_judge_rcpt(const struct txn_judge *j, const struct txn_rcpt *rcpt);
enum reply_class txn_fate_class(const struct txn_fate *fate);

#endif
