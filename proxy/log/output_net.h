/* What the network outputs share: one struct, a way to write for datagrams and one for streams. */
#ifndef PROXY_LOG_OUTPUT_NET_H
#define PROXY_LOG_OUTPUT_NET_H

#include "common/record/syslog.h"
#include "proxy/log/link.h"
#include "proxy/log/sent.h"

struct output_net {
    struct output output;
    enum output_type type;
    struct link link;
    struct sent sent;
    struct buf text; /* one line in the output's own form */
    enum output_framing framing;
    struct syslog_source source;
    char host[256], *name, *tls_ca, *tls_cert, *tls_key;
    int pending; /* an error that a call still has to return, and why */
    char pending_why[OUTPUT_WHY_MAX];
    uint64_t risk;   /* lines of the last broken connection that may be lost */
    usec_t acked_at; /* monotonic: when lines were acknowledged last */
    usec_t farewell; /* monotonic: when we said that no more will come; 0: not yet */
    usec_t told_at;  /* of what can't be sent at all */
};

/* The line, without its line end, as it goes out, in n->text. */
void net_form(struct output_net *n, struct span line, bool datagram);
/* The link is gone, for this reason. Returns it. */
int net_break(struct output_net *n, int error);

/* Datagrams: a line each. */
ssize_t net_write_datagrams(struct output_net *n, const char *p, size_t len) MUST_CHECK;
int net_tend_datagrams(struct output_net *n) MUST_CHECK;
/* One that is too long for the socket, as a file in memory whose descriptor is sent. 0 or a negative errno. */
int net_send_as_file(int fd, struct span text) MUST_CHECK;

/* Streams. What was taken is written until the other system says that it has it. */
ssize_t net_write_stream(struct output_net *n, const char *p, size_t len) MUST_CHECK;
/* Hands over what waits, looks after the connection, and says in `pause_ms` and `events` when to come again. 0 or a
 * negative errno. */
int net_tend_stream(struct output_net *n) MUST_CHECK;
/* See output.h. Says goodbye, and waits a little for the other side to close as well: then its program has all. What it
 * can't have had counts as held. */
int net_finish_stream(struct output_net *n) MUST_CHECK;

#endif
