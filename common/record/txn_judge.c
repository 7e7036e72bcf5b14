/* What became of a message and of each recipient (events.md, `status`). Two views: how the transaction ended, which is
 * what those recipients share that were not refused before; and the message's own record, in which the recipients'
 * replies have their say. */
#include "common/record/txn_impl.h"

static enum txn_status status_of(const struct txn_reply *reply)
{
    if (reply->code / 100 == 2)
        return STATUS_ACCEPTED;
    return reply->code / 100 == 5 ? STATUS_REJECTED : STATUS_DEFERRED;
}

static struct txn_fate fate_of(const struct txn_reply *reply, enum txn_stage stage)
{
    return (struct txn_fate){
        .status = status_of(reply), .stage = stage, .by = reply->by, .reply = reply, .queue_id = reply->queue_id
    };
}

static void count_refusal(struct txn_judge *j, const struct txn_reply *reply)
{
    if (reply == NULL || status_of(reply) == STATUS_ACCEPTED)
        return;
    if (status_of(reply) == STATUS_REJECTED)
        j->refused5 = reply;
    else
        j->refused4 = reply;
}

/* Among the 2xx, one with a queue id wins; among the 4xx, what the upstream said over what we say for it. */
static void count_final(struct txn_judge *j, const struct txn_reply *reply)
{
    if (reply == NULL)
        return;
    j->final_upstream = j->final_upstream || reply->by == BY_UPSTREAM;
    if (status_of(reply) == STATUS_REJECTED)
        j->final5 = reply;
    else if (status_of(reply) == STATUS_DEFERRED)
        j->final4 = j->final4 == NULL || reply->by == BY_UPSTREAM || j->final4->by != BY_UPSTREAM ? reply : j->final4;
    else if (j->final2 == NULL || j->final2->queue_id.n == 0 || reply->queue_id.n > 0)
        j->final2 = reply;
}

void txn_judge_init(struct txn_judge *j, const struct txn *t, const struct txn_end *end,
                    const struct txn_reply *end_reply)
{
    *j = (struct txn_judge){ .end = { .status = end->status, .stage = end->stage, .by = end->by, .reply = end_reply } };
    if (end_reply != NULL && end->status == STATUS_ACCEPTED)
        j->end.queue_id = end_reply->queue_id;
    for (unsigned i = 0; i < t->rcpt_count; i++) {
        count_refusal(j, t->rcpt[i].reply);
        count_final(j, t->rcpt[i].final);
    }
}

/* The end of a transaction without an accepted recipient says nothing: it was given up, or refused by us for want of
 * recipients. */
static bool gives_way(const struct txn_fate *end)
{
    switch (end->status) {
    case STATUS_RESET:
    case STATUS_ABORTED:
        return true;
    case STATUS_DEFERRED:
    case STATUS_REJECTED:
        return end->by == BY_SMTPTAP && end->reply != NULL &&
               (end->stage == STAGE_DATA || end->reply->code == 503 || end->reply->code == 554);
    case STATUS_ACCEPTED:
    case STATUS_INDETERMINATE:
    case STATUS_COUNT:
        return false;
    }
    return false;
}

/* LMTP: accepted if any was, else deferred if any, else rejected. The owner's reply decides where it is of that kind,
 * for it is whole. */
static struct txn_fate judge_finals(const struct txn_judge *j)
{
    const struct txn_reply *best = j->final2 != NULL ? j->final2 : j->final4;
    if (best == NULL && j->refused4 != NULL)
        return fate_of(j->refused4, STAGE_RCPT);
    if (best == NULL)
        best = j->final5;
    bool own = j->end.reply == NULL || j->end.status == STATUS_INDETERMINATE;
    if (own || status_of(j->end.reply) != status_of(best))
        return fate_of(best, STAGE_END);
    struct txn_fate fate = fate_of(j->end.reply, STAGE_END);
    if (fate.queue_id.n == 0)
        fate.queue_id = best->queue_id;
    return fate;
}

static bool is_refusal_or_success(enum txn_status status)
{
    return status == STATUS_ACCEPTED || status == STATUS_DEFERRED || status == STATUS_REJECTED;
}

struct txn_fate txn_judge_message(const struct txn_judge *j, const struct txn *t)
{
    bool finals = j->final2 != NULL || j->final4 != NULL || j->final5 != NULL;
    bool deferred = j->final4 != NULL && j->final4->by == BY_UPSTREAM;
    if (j->final2 != NULL || deferred || (finals && is_refusal_or_success(j->end.status)))
        return judge_finals(j);
    if (t->rcpt_accepted == 0 && (j->refused4 != NULL || j->refused5 != NULL) && gives_way(&j->end))
        return fate_of(j->refused4 != NULL ? j->refused4 : j->refused5, STAGE_RCPT);
    if (t->rcpt_accepted > 0 && j->end.status == STATUS_REJECTED && j->refused4 != NULL)
        return fate_of(j->refused4, STAGE_RCPT);
    return j->end;
}

/* Our own 451 in place of an answer that the upstream owed after the end of data: it may have the message. */
static bool is_answer_lost(const struct txn_judge *j, const struct txn_reply *final)
{
    return final->by == BY_SMTPTAP && status_of(final) == STATUS_DEFERRED &&
           (j->end.status == STATUS_INDETERMINATE || j->final_upstream);
}

struct txn_fate txn_judge_rcpt(const struct txn_judge *j, const struct txn_rcpt *rcpt)
{
    struct txn_fate fate = j->end;
    if (rcpt->final != NULL) {
        fate = fate_of(rcpt->final, STAGE_END);
        if (is_answer_lost(j, rcpt->final))
            fate.status = STATUS_INDETERMINATE;
    } else if (rcpt->reply == NULL) {
        return fate;
    } else if (status_of(rcpt->reply) != STATUS_ACCEPTED) {
        fate = fate_of(rcpt->reply, STAGE_RCPT);
    } else if (fate.status == STATUS_ACCEPTED) {
        fate.reply = rcpt->reply;
        if (j->final2 != NULL || j->final4 != NULL || j->final5 != NULL)
            fate = (struct txn_fate){ .status = STATUS_INDETERMINATE, .stage = STAGE_END, .by = BY_SMTPTAP };
    }
    return fate;
}

enum reply_class txn_fate_class(const struct txn_fate *fate)
{
    switch (fate->status) {
    case STATUS_ACCEPTED:
    case STATUS_ABORTED:
    case STATUS_RESET:
    case STATUS_COUNT:
        return CLASS_NONE;
    case STATUS_INDETERMINATE:
        return CLASS_NETWORK;
    case STATUS_DEFERRED:
    case STATUS_REJECTED:
        break;
    }
    if (fate->reply == NULL)
        return fate->status == STATUS_DEFERRED ? CLASS_NETWORK : CLASS_OTHER;
    return fate->reply->class != CLASS_NONE ? fate->reply->class : CLASS_OTHER;
}
