/* How a sink misbehaves, so that failures can be rehearsed: rules "STAGE[%SHARE]=ACTION".
 *
 * A share is spread evenly by counting, not by chance: 25 is every fourth. Rules of a stage are asked in the order
 * given; delays add up, the first other action decides and hides the event from the rules behind it. */
#ifndef PROXY_SINK_RULES_H
#define PROXY_SINK_RULES_H

#include <stdatomic.h>

#include "common/smtp/reply.h"

enum sink_stage { SINK_GREETING, SINK_HELO, SINK_MAIL, SINK_RCPT, SINK_DATA, SINK_BODY, SINK_END, SINK_STAGES };
enum sink_action { SINK_REPLY, SINK_DELAY, SINK_DROP, SINK_HANG };

struct sink_rule {
    const char *text; /* as given; borrowed */
    enum sink_stage stage;
    enum sink_action action;
    unsigned share; /* of SINK_SHARE_ALL */
    usec_t delay;
    char *wire; /* SINK_REPLY: owned */
    struct smtp_reply reply;
    atomic_ullong met, hit; /* events that came to it; that it acted on */
};

enum { SINK_RULES_MAX = 32, SINK_SHARE_ALL = 10000 };
struct sink_rules {
    struct sink_rule rule[SINK_RULES_MAX];
    unsigned count;
};

/* Zero-initialised is empty. On failure why (size octets) says what is wrong and what is allowed. */
bool sink_rules_add(struct sink_rules *r, const char *text, char *why, size_t size) MUST_CHECK;
void sink_rules_free(struct sink_rules *r);

struct sink_verdict {
    usec_t delay;                 /* to wait first */
    const struct sink_rule *rule; /* what to do then; NULL: the ordinary thing */
};
/* One event of this stage. From any thread. */
struct sink_verdict sink_rules_meet(struct sink_rules *r, enum sink_stage stage);

#endif
