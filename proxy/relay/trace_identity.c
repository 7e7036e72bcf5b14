/* The records of who the client is: PROXY, XCLIENT, XFORWARD. */
#include <stdio.h>

#include "common/smtp/proxyhdr.h"
#include "common/smtp/xattr.h"
#include "proxy/relay/trace.h"

static void begin(const struct trace *t, struct record *r, enum tnx tnx)
{
    record_begin(r, tnx, t->loop->real);
    record_str(r, KEY_COMPONENT, t->component);
    record_cstr(r, KEY_CID, t->cid);
}

static void put_tls(struct record *r, const struct proxyhdr *header)
{
    record_open(r, KEY_TLS);
    record_bool(r, KEY_USED, header->tls.used);
    if (header->tls.version.n > 0)
        record_str(r, KEY_VERSION, header->tls.version);
    if (header->tls.cipher.n > 0)
        record_str(r, KEY_CIPHER, header->tls.cipher);
    if (header->tls.cn.n > 0)
        record_str(r, KEY_CLIENT_CERT, header->tls.cn);
    if (header->tls.cert)
        record_bool(r, KEY_VERIFIED, header->tls.verified);
    record_close(r);
}

static void put_err(struct record *r, const char *why)
{
    record_open(r, KEY_ERR);
    record_cstr(r, KEY_CODE, record_error_code(ERR_PROXY_HEADER));
    record_cstr(r, KEY_MESSAGE, why);
    record_close(r);
}

static void put_header(struct record *r, const struct proxyhdr *header)
{
    record_int(r, KEY_VERSION, header->version);
    if (header->has_tls)
        put_tls(r, header);
    if (header->authority.n > 0)
        record_str(r, KEY_SERVERNAME, header->authority);
    if (header->unique_id.n > 0)
        record_str(r, KEY_UNIQUE_ID, header->unique_id);
}

void trace_proxy(const struct trace *t, const struct netaddr *peer, const struct proxyhdr *header, const char *why)
{
    struct record r;
    char host[NETADDR_STRLEN], proxy[NETADDR_STRLEN];
    const struct netaddr *client = header != NULL && !header->real ? &header->from : peer;
    if (!trace_wants(t, LEVEL_INFO))
        return;
    begin(t, &r, TNX_PROXY);
    record_cstr(&r, KEY_HOST, netaddr_print_ip(client, host));
    if (client->family != NETADDR_UNIX)
        record_int(&r, KEY_PORT, client->port);
    record_cstr(&r, KEY_PROXY, netaddr_print_ip(peer, proxy));
    if (header != NULL)
        put_header(&r, header);
    else
        put_err(&r, why);
    struct span told[] = { SPAN_LIT("Connection of "), span_str(host), SPAN_LIT(" through "), span_str(proxy) };
    struct span bad[] = { SPAN_LIT("PROXY header of "), span_str(proxy), SPAN_LIT(" refused: "), span_str(why) };
    record_cat(&r, KEY_MSG, header != NULL ? told : bad, 4);
    trace_emit(t, &r, false);
}

void trace_deauth(const struct trace *t, const char *by)
{
    struct record r;
    if (!trace_wants(t, LEVEL_INFO))
        return;
    begin(t, &r, TNX_DEAUTH);
    if (t->user != NULL)
        record_cstr(&r, KEY_USER, t->user);
    record_cstr(&r, KEY_HOST, t->host);
    struct span msg[] = { span_str(t->user), SPAN_LIT(" is logged out by "), span_str(by) };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    trace_emit(t, &r, false);
}

static void trace_attribute(const struct trace *t, enum tnx tnx, const struct smtp_xattrs *attrs, enum smtp_xattr attr)
{
    struct record r;
    bool xclient = tnx == TNX_XCLIENT;
    struct span value = smtp_xattr_shown(attrs, attr), name = span_str(smtp_xattr_name(attr));
    begin(t, &r, tnx);
    if (t->user != NULL)
        record_cstr(&r, KEY_USER, t->user);
    record_cstr(&r, KEY_HOST, t->host);
    record_str(&r, xclient ? KEY_XCLIENT_KEY : KEY_XFORWARD_KEY, name);
    record_str(&r, xclient ? KEY_XCLIENT : KEY_XFORWARD, value);
    struct span msg[] = { xclient ? SPAN_LIT("XCLIENT ") : SPAN_LIT("XFORWARD "), name, SPAN_LIT("="), value };
    record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
    trace_emit(t, &r, false);
}

void trace_xattrs(const struct trace *t, enum tnx tnx, const struct smtp_xattrs *attrs)
{
    if (!trace_wants(t, LEVEL_INFO))
        return;
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        if (attrs->value[i].state != SMTP_XATTR_ABSENT)
            trace_attribute(t, tnx, attrs, (enum smtp_xattr)i);
    }
}
