/* What a stream output has taken and does not know to be on the other side: whole lines, oldest first.
 *
 *   data   |.....acknowledged.....|.....on its way.....|.....not handed over.....|
 *          0                    acked                 out                     the end
 *
 * Lines leave at the front as their last octet is acknowledged. When the connection is gone, all that is left goes over
 * the next one from the beginning of its first line. */
#ifndef PROXY_LOG_SENT_H
#define PROXY_LOG_SENT_H

#include "common/buf.h"

struct sent {
    struct buf data, lengths; /* lengths: of the lines, uint32_t */
    struct buf pieces;        /* struct sent_piece: of what is on its way */
    size_t acked, out;
    bool sealed; /* by TLS: the connection's octets are not the data's, a piece is acknowledged as a whole */
    uint64_t lines;
    /* Lines of this connection that were acknowledged last, as far as the other side's buffer can hold them. Its size
     * is told from the greatest window, which is about the half of it, and is never taken for less than PAST_MIN. */
    struct buf past; /* uint32_t */
    size_t past_octets, window;
};

/* How sure it is what became of the lines of a broken connection. */
struct sent_doubt {
    uint64_t again; /* were handed over, and go again: perhaps there twice */
    uint64_t risk;  /* at the most so many were acknowledged by the other system, and perhaps not read there */
};

void sent_init(struct sent *s);
void sent_free(struct sent *s);
/* One line more, with what ends it. */
void sent_put(struct sent *s, struct span line);
/* What is not handed over yet. */
static inline struct span sent_rest(const struct sent *s) { return span_skip(buf_span(&s->data), s->out); }
/* n octets of the rest went out; the connection has carried `wire` octets with them. */
void sent_note(struct sent *s, size_t n, uint64_t wire);
/* The first `wire` octets of the connection are acknowledged; its other side has had a window of so many. */
void sent_ack(struct sent *s, uint64_t wire, size_t window);
/* The connection is gone. */
struct sent_doubt sent_rewind(struct sent *s);

#endif
