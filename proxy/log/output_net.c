/* Outputs over the network: syslog, journald, JSON lines over TCP. An output that is down is tried again and again by
 * its writer, and its queue fills meanwhile; nobody else takes notice of it. */
#include "proxy/log/output_net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/record/journal.h"

enum { BACKOFF_NET_MS = 5000 };

static struct output_net *net_of(struct output *o) { return CONTAINER_OF(o, struct output_net, output); }

void net_form(struct output_net *n, struct span line, bool datagram)
{
    buf_consume(&n->text, buf_len(&n->text));
    if (n->type == OUTPUT_JOURNALD) {
        journal_write(&n->text, n->source.component, line);
    } else if (n->type == OUTPUT_SYSLOG) {
        enum syslog_framing framing = n->framing == FRAMING_OCTET ? SYSLOG_OCTET : SYSLOG_NEWLINE;
        syslog_write(&n->text, &n->source, line, datagram ? SYSLOG_DATAGRAM : framing);
    } else {
        buf_append_span(&n->text, line);
        buf_append(&n->text, "\n", 1);
    }
}

/* 0: the link is up. */
static int net_connect(struct output_net *n)
{
    struct output *o = &n->output;
    if (n->link.state == LINK_UP)
        return 0;
    int error = link_connect(&n->link);
    o->fd = n->link.fd;
    o->events = error == -EAGAIN ? n->link.events : POLLIN;
    o->pause_ms = error == -EAGAIN ? link_patience(&n->link) : -1;
    return error;
}

static ssize_t net_write(struct output *o, const char *p, size_t len)
{
    struct output_net *n = net_of(o);
    int error = n->link.state == LINK_UP ? 0 : n->pending;
    if (error != 0) {
        memcpy(o->why, n->pending_why, sizeof(o->why));
        n->pending = 0;
        return error;
    }
    error = net_connect(n);
    if (error != 0)
        return error;
    return n->link.datagrams ? net_write_datagrams(n, p, len) : net_write_stream(n, p, len);
}

/* A connection that is gone while there is nothing to write is made again with the next line, or for those that it took
 * along. */
static int net_tend(struct output *o)
{
    struct output_net *n = net_of(o);
    if (n->link.state != LINK_UP && n->sent.lines == 0) {
        link_close(&n->link);
        o->fd = -1;
        o->pause_ms = -1;
        return 0;
    }
    int error = net_connect(n);
    if (error != 0)
        return error;
    if (!n->link.datagrams) {
        error = net_tend_stream(n);
        return n->sent.lines > 0 ? error : 0;
    }
    return net_tend_datagrams(n);
}

static int net_finish(struct output *o)
{
    struct output_net *n = net_of(o);
    o->held = n->sent.lines;
    if (n->link.state == LINK_DOWN && n->sent.lines == 0)
        return 0;
    int error = net_connect(n);
    if (error != 0)
        return error;
    return n->link.datagrams ? 0 : net_finish_stream(n);
}

static void keep_fault(void *arg, const char *text) { snprintf(arg, OUTPUT_WHY_MAX, "%s", text); }

/* Certificates are read anew, and the next connection is a fresh one: its name is looked up again. */
static int net_reopen(struct output *o)
{
    struct output_net *n = net_of(o);
    if (n->link.tls != NULL) {
        struct tls_client *fresh = tls_link_client(n->tls_ca, n->tls_cert, n->tls_key, "output", keep_fault, o->why);
        if (fresh == NULL)
            return EINVAL;
        tls_client_unref(&n->link.tls);
        n->link.tls = fresh;
    }
    if (n->link.state == LINK_UP && n->link.datagrams) {
        link_close(&n->link);
        o->fd = -1;
    }
    return 0;
}

static void net_free(struct output *o)
{
    struct output_net *n = net_of(o);
    link_close(&n->link);
    tls_client_unref(&n->link.tls);
    sent_free(&n->sent);
    buf_free(&n->text);
    free(n->name);
    free(n->tls_ca);
    free(n->tls_cert);
    free(n->tls_key);
    free(n);
}

static const struct output_ops NET_OPS = { .reopen = net_reopen,
                                           .write = net_write,
                                           .tend = net_tend,
                                           .finish = net_finish,
                                           .free = net_free,
                                           .backoff_max_ms = BACKOFF_NET_MS };

static char *copy_of(const char *s) { return s != NULL ? conf_dup(span_str(s)) : NULL; }

static char *name_of(const struct output_settings *set)
{
    char *name;
    const char *type = set->type == OUTPUT_SYSLOG ? "syslog " : set->type == OUTPUT_TCP ? "tcp " : "journald ";
    if (asprintf(&name, "%s%s", type, set->address) < 0)
        abort();
    return name;
}

struct output *output_open_net(const struct output_settings *set, const struct output_context *of,
                               char why[OUTPUT_WHY_MAX])
{
    struct output_net *n = net_of(output_make(sizeof(*n), &NET_OPS));
    n->type = set->type;
    n->framing = set->framing;
    n->output.name = n->name = name_of(set);
    n->output.pause_ms = -1;
    n->link = (struct link){
        .at = set->at, .transport = set->transport, .either = set->type == OUTPUT_SYSLOG, .fd = -1, .why = n->output.why
    };
    sent_init(&n->sent);
    buf_init(&n->text, NULL);
    if (gethostname(n->host, sizeof(n->host) - 1) != 0)
        n->host[0] = '\0';
    n->source = (struct syslog_source){ .host = span_str(n->host),
                                        .component = span_str(of->component),
                                        .pid = (unsigned)getpid(),
                                        .cookie = set->cookie };
    n->tls_ca = copy_of(set->tls_ca);
    n->tls_cert = copy_of(set->tls_cert);
    n->tls_key = copy_of(set->tls_key);
    if (set->tls &&
        (n->link.tls = tls_link_client(n->tls_ca, n->tls_cert, n->tls_key, "output", keep_fault, why)) == NULL)
        output_free(&(struct output *){ &n->output });
    else
        return &n->output;
    return NULL;
}
