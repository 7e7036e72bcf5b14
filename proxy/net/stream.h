/* A connection: a socket, what was read and not yet used, what is to be written. Four events; writing is batched and
 * leaves before the loop sleeps. Interest in reading and writing is set in one place.
 *
 * The owner may drop the stream in any of its events; stream_close() never calls back. */
#ifndef PROXY_NET_STREAM_H
#define PROXY_NET_STREAM_H

#include <ev.h>

#include "common/netaddr.h"
#include "proxy/net/loop.h"

struct ssl_st;
struct stream;
struct stream_ops {
    /* New bytes in `in`, or eof is set. */
    void (*readable)(void *owner);
    /* Bytes had had to wait, or were more than STREAM_HIGH, and now STREAM_LOW or fewer are unsent. */
    void (*drained)(void *owner);
    /* It can't be used any more: err is an errno, or EPROTO where TLS failed. Not called for eof. */
    void (*broken)(void *owner, int err);
    /* The handshake that stream_start_tls() began has ended. why: NULL, or the reason of its failure, in plain words;
     * then nothing more can be read or written. */
    void (*secured)(void *owner, const char *why);
};

enum { STREAM_HIGH = 65536, STREAM_LOW = 16384 };

struct stream {
    ev_io io;
    struct loop *loop;
    int fd; /* -1: closed */
    const struct stream_ops *ops;
    void *owner;
    struct buf in, out;
    struct list dirty;
    uint64_t bytes_in, bytes_out;
    struct ssl_st *ssl; /* owned; NULL: in clear */
    bool handshaking;
    bool tls_wants_write; /* reading or the handshake waits for room to write */
    struct list ready;    /* in the loop's list: TLS holds bytes that the socket will not tell of */
    bool reading;         /* the owner wants bytes */
    size_t (*sip)(void *owner, struct span in); /* see stream_sip() */
    bool eof;                                   /* the peer has ended its side */
    bool waiting;                               /* the socket takes no more for now */
    bool slow; /* bytes had to wait, or were many, and the owner was not told yet that they left */
    bool connecting;
    bool secret;             /* what waits in `out` is wiped when it has left; the owner sets it */
    uint64_t tls_sent;       /* octets that TLS had given to the socket when it took the owner's last */
    int error;               /* of a write that failed; told at the next flush */
    unsigned long tls_error; /* OpenSSL's, where TLS failed after the handshake; 0 also where it said none */
};

/* Takes the socket, which must not block. connecting: its connect() is under way. */
void stream_open(struct stream *s, struct loop *loop, int fd, bool connecting, const struct stream_ops *ops,
                 void *owner);
/* Begins TLS with this SSL object, which is taken over. What was written in clear must have left; what was read and not
 * used is thrown away (RFC 3207 section 4.2). */
void stream_start_tls(struct stream *s, struct ssl_st *ssl);
/* Whether TLS wipes what it has handed over: where secrets may come in. In clear there is nothing that it keeps. */
void stream_wipe_input(struct stream *s, bool on);
/* Throws away what the peer has sent so far, also what still lies in the socket. */
void stream_discard_input(struct stream *s);
/* From now on only those bytes are taken from the socket that wanted() says: it sees what is unread in `in` with what
 * has come behind it, and returns how many of these to take; the rest stays in the socket, for TLS to find. NULL: all
 * again. In clear only. */
void stream_sip(struct stream *s, size_t (*wanted)(void *owner, struct span in));
/* For the loop: reads on where TLS holds bytes. */
void stream_read_held(struct stream *s);
/* Starts or stops reading. */
void stream_read(struct stream *s, bool on);
/* Where to append what is to be written; stream_wrote() must follow. */
static inline struct buf *stream_out(struct stream *s) { return &s->out; }
void stream_wrote(struct stream *s);
/* Writes these pieces now if nothing waits before them, straight from where they are; what does not leave is copied. */
void stream_write_pieces(struct stream *s, const struct span *pieces, unsigned count);
/* `drained` is called when what was written so far has left, be it little. */
static inline void stream_tell_drained(struct stream *s) { s->slow = true; }
/* Writes what waits. The owner's `drained` or `broken` may be called. */
void stream_flush(struct stream *s);
/* The same without a call to the owner: that comes when the loop flushes. False: the stream is broken. */
bool stream_push(struct stream *s);
static inline size_t stream_unsent(const struct stream *s) { return buf_len(&s->out); }
/* Whether some of what has left is surely not with the peer yet: a TCP peer has not acknowledged it. To be asked after
 * the read of what the peer may have said to it: a segment acknowledges all that its sender had when it was sent, and
 * the kernel takes note of that before it hands the segment's bytes over. False where nothing can be known. */
bool stream_unacknowledged(const struct stream *s) MUST_CHECK;
static inline bool stream_is_open(const struct stream *s) { return s->fd >= 0; }
/* No more is written: FIN after what waits has left (the caller flushes first). */
void stream_shutdown(struct stream *s);
/* Closes at once and forgets what is unsent. */
void stream_close(struct stream *s);
/* The same with a RST. */
void stream_abort(struct stream *s);

#endif
