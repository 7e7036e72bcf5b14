/* What is read out of a reply: its class and its queue id. The input goes through the parser, so that it has the form
 * that a server can give it. */
#include <stdlib.h>

#include "common/record/classify.h"
#include "common/record/queueid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_queue_id(const struct smtp_reply *r)
{
    struct span id = queue_id_find(r);
    check(id.n <= QUEUE_ID_MAX);
    if (id.n == 0)
        return;
    check(smtp_reply_is(r, 2) && id.p >= r->wire.p && id.p + id.n <= r->wire.p + r->wire.n);
    for (size_t i = 0; i < id.n; i++)
        check(id.p[i] > ' ' && id.p[i] < 127 && id.p[i] != '@');
}

static void check_class(const struct smtp_reply *r)
{
    bool refusal = smtp_reply_is(r, 4) || smtp_reply_is(r, 5);
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        enum reply_class class = classify_reply(r, (enum txn_stage)stage);
        check(class >= CLASS_NONE && class < CLASS_COUNT && (class != CLASS_NONE) == refusal);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct span in = span_of((const char *)data, size);
    smtp_reply_parser_init(&parser, NULL);
    while (in.n > 0 && smtp_reply_parse(&parser, &in, &reply) == SMTP_REPLY_DONE) {
        check_queue_id(&reply);
        check_class(&reply);
    }
    smtp_reply_parser_free(&parser);
    return 0;
}
