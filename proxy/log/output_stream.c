/* Streams. Lines are taken while little waits to be handed over, so a receiver that stalls stalls the writer; they are
 * kept until the other system has them. When the connection breaks, what it did not have goes over the next one, and
 * what is in doubt is told: lines that may be there twice, and, unless the other side closed in order, lines that its
 * system had and its program may not have read. */
#include <errno.h>
#include <poll.h>

#include "proxy/log/clock.h"
#include "proxy/log/output_net.h"

/* How much may wait to be handed over; how often the other side's progress is looked at. */
enum { TAKE_MAX = 64 * 1024, LOOK_MS = 50 };
/* What was acknowledged so long ago has been read, where the other side closes in order. */
enum { QUIET = USEC_PER_SEC };
/* At the end: how long the other side has to close the connection after us. */
enum { FAREWELL_MAX = 3 * USEC_PER_SEC, FAREWELL_MS = 10 };

int net_break(struct output_net *n, int error)
{
    struct output *o = &n->output;
    link_close(&n->link);
    o->fd = -1;
    struct sent_doubt doubt = sent_rewind(&n->sent);
    /* Of a program that has not read all, its system resets the connection; but some say first that they end. */
    if (error == ENODATA && clock_mono() - n->acked_at > QUIET)
        doubt.risk = 0;
    n->risk = doubt.risk;
    const char *why = o->why[0] != '\0' ? o->why : strerror(error);
    if (doubt.again > 0 || doubt.risk > 0)
        output_note(o, ERR_LOG_BROKEN, doubt.again + doubt.risk,
                    "%.100s; %llu records are sent again and may be doubled, of those before up to %llu may be lost",
                    why, (unsigned long long)doubt.again, (unsigned long long)doubt.risk);
    return -error;
}

/* Which lines the other side has. */
static int look_acked(struct output_net *n)
{
    uint64_t wire = 0;
    size_t window = 0;
    int error = link_acked(&n->link, &wire, &window);
    sent_ack(&n->sent, wire, window);
    if (n->sent.lines < n->output.held)
        n->acked_at = clock_mono();
    n->output.held = n->sent.lines;
    return error;
}

/* As far as it goes without waiting. */
static int hand_over(struct output_net *n)
{
    struct span rest;
    while ((rest = sent_rest(&n->sent)).n > 0) {
        ssize_t done = link_send(&n->link, rest.p, rest.n);
        if (done < 0)
            return (int)done;
        sent_note(&n->sent, (size_t)done, n->link.wire);
    }
    return 0;
}

static void take_lines(struct output_net *n, const char *p, size_t len, size_t *taken)
{
    while (*taken < len && sent_rest(&n->sent).n < TAKE_MAX) {
        const char *start = p + *taken, *end = memchr(start, '\n', len - *taken);
        size_t line = end != NULL ? (size_t)(end - start) : len - *taken;
        net_form(n, span_of(start, line), false);
        sent_put(&n->sent, buf_span(&n->text));
        n->output.held++;
        *taken += line + (end != NULL);
    }
}

/* Something goes wrong with a connection that is up: 0, or what it died of. */
static int keep_up(struct output_net *n)
{
    int error = link_look(&n->link);
    /* The socket says what it has of us also after its end. */
    int silent = look_acked(n);
    if (error == 0)
        error = silent;
    if (error == 0)
        error = hand_over(n);
    if (error == 0 || error == -EAGAIN)
        return 0;
    look_acked(n);
    return net_break(n, -error);
}

ssize_t net_write_stream(struct output_net *n, const char *p, size_t len)
{
    size_t taken = 0;
    n->sent.sealed = n->link.ssl != NULL;
    int error = keep_up(n);
    while (error == 0 && taken < len && sent_rest(&n->sent).n < TAKE_MAX) {
        take_lines(n, p, len, &taken);
        error = keep_up(n);
    }
    n->output.held = n->sent.lines;
    n->output.events = n->link.events;
    n->output.pause_ms = LOOK_MS;
    n->pending = 0;
    if (taken == 0)
        return error != 0 ? error : -EAGAIN;
    n->pending = error;
    memcpy(n->pending_why, n->output.why, sizeof(n->pending_why));
    return (ssize_t)taken;
}

int net_tend_stream(struct output_net *n)
{
    struct output *o = &n->output;
    n->sent.sealed = n->link.ssl != NULL;
    int error = keep_up(n);
    if (error != 0)
        return error;
    bool rest = sent_rest(&n->sent).n > 0;
    o->events = rest ? n->link.events : POLLIN;
    o->pause_ms = n->sent.lines > 0 ? LOOK_MS : -1;
    return 0;
}

int net_finish_stream(struct output_net *n)
{
    struct output *o = &n->output;
    o->pause_ms = FAREWELL_MS;
    if (n->sent.lines > 0) {
        int error = net_tend_stream(n);
        o->pause_ms = FAREWELL_MS;
        if (n->sent.lines > 0 || error != 0)
            return error != 0 ? error : -EAGAIN;
    }
    if (n->farewell == 0) {
        n->farewell = clock_mono();
        link_end(&n->link);
    }
    int error = link_look(&n->link);
    if (error == 0)
        return clock_mono() - n->farewell < FAREWELL_MAX ? -EAGAIN : 0;
    net_break(n, -error);
    o->held = error != -ENODATA ? n->risk : 0;
    return 0;
}
