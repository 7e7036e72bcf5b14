/* Who a message is from and for, as far as it was accepted. */
#ifndef PROXY_SINK_ENVELOPE_H
#define PROXY_SINK_ENVELOPE_H

#include "common/buf.h"

struct sink_envelope {
    struct buf lines; /* "sender\nrecipient\n...": no address holds a line end */
    size_t sure;      /* octets of lines that are accepted; behind them at most one candidate */
    unsigned rcpts;
};

void sink_envelope_init(struct sink_envelope *e, struct buf_pool *pool);
void sink_envelope_clear(struct sink_envelope *e);
/* The address of a MAIL or RCPT that is not answered yet. */
void sink_envelope_try(struct sink_envelope *e, struct span address);
/* It was answered. */
void sink_envelope_settle(struct sink_envelope *e, bool accepted, bool recipient);
struct span sink_envelope_sender(const struct sink_envelope *e);
struct span sink_envelope_first_rcpt(const struct sink_envelope *e);

/* The sidecar of a stored message. */
struct sink_sidecar {
    const char *id, *host, *helo;
    uint64_t size;
    usec_t real;
};
/* One line of JSON. */
void sink_envelope_print(const struct sink_envelope *e, const struct sink_sidecar *about, struct buf *out);

#endif
