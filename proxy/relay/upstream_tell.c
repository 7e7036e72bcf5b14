/* How an upstream connection is told of the client: a PROXY header first of all, or XCLIENT once it is ready. */
#include <stdio.h>
#include <sys/socket.h>

#include "common/smtp/proxyhdr.h"
#include "proxy/relay/upstream_impl.h"

/* Of the connection itself, for a probe: health checks are no relayed connections (proxy-protocol.txt 2.1). */
static void say_own_header(struct upstream *u, unsigned version)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);
    struct netaddr none = { .family = NETADDR_NONE }, from = none;
    if (version == 1 && getsockname(u->stream.fd, (struct sockaddr *)&ss, &len) == 0)
        from = netaddr_from_sockaddr((struct sockaddr *)&ss);
    proxyhdr_print(stream_out(&u->stream), version, &from, version == 1 ? &u->peer.remote : &none);
}

void upstream_say_header(struct upstream *u, const struct upstream_proxy *proxy)
{
    if (proxy->own)
        say_own_header(u, proxy->version);
    else
        proxyhdr_print(stream_out(&u->stream), proxy->version, &proxy->from, &proxy->to);
    u->tls_waits = u->implicit;
    if (u->tls_waits)
        stream_tell_drained(&u->stream);
    stream_wrote(&u->stream);
}

static void add_line(void *arg, struct span text)
{
    struct smtp_step *step = smtp_step_new(SMTP_STEP_XCLIENT, (struct smtp_tag){ 0 }, text);
    list_append(arg, &step->node);
}

void upstream_identify(struct upstream *u, const struct smtp_xattrs *attrs, const char *hello)
{
    struct list lines;
    list_init(&lines);
    smtp_xattrs_print(attrs, u->xclient, SMTP_XCLIENT, add_line, &lines);
    snprintf(u->hello, sizeof(u->hello), "%s", hello);
    u->ready = u->untold = false;
    u->login_told = smtp_xattr_given(attrs, SMTP_XATTR_LOGIN) && smtp_xattr_offered(u->xclient, SMTP_XATTR_LOGIN);
    smtp_client_identify(&u->smtp, &lines, u->hello, stream_out(&u->stream), u->loop->mono);
    stream_wrote(&u->stream);
    loop_timer(u->loop, &u->timer, u->set->timeouts.command);
}
