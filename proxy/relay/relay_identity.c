/* Who the client is: by its connection, a PROXY header, XCLIENT of a permitted peer; and how the upstream is told.
 *
 * XCLIENT begins the session anew but for TLS (protocol.md X4): what it gives is kept until the next one, what it does
 * not give of HELO, PROTO and LOGIN is forgotten, as Postfix does: a peer that serves many clients on one connection
 * must not lend one the login of another. */
#include <stdlib.h>

#include "proxy/relay/relay_impl.h"
#include "proxy/relay/tell.h"

/* The address by which the client is known from now on: in records too. */
static void take_address(struct session *s, const struct netaddr *peer)
{
    s->peer = *peer;
    s->client.peer.remote = *peer;
    if (peer->family == NETADDR_NONE)
        strcpy(s->trace.host, "unknown");
    else
        netaddr_print_ip(peer, s->trace.host);
}

void relay_identified(void *owner, const struct proxyhdr *header)
{
    struct session *s = owner;
    if (!header->real) {
        take_address(s, &header->from);
        s->dest = header->to;
    }
    s->trace.quiet = cidr_list_contains(&s->settings->log.ignore_clients, &s->peer);
    relay_admit(s);
    s->client.peer.hostname = s->hostname;
    relay_permit(s);
}

static const struct smtp_reply *limit_reply(const struct session *s)
{
    return smtp_reply_own(s->verdict == LIMITS_FULL ? SMTP_OWN_TOO_MANY_CONNECTIONS : SMTP_OWN_CLIENT_LIMIT);
}

/* Those who are refused may hold a handshake each, but not without end. */
static bool far_too_many(const struct session *s)
{
    unsigned most = s->settings->limits.max_connections;
    return worker_sessions(s->w) > most + most / 8 + 8;
}

void relay_welcome(void *owner)
{
    struct session *s = owner;
    bool implicit = s->set->server.tls == SERVER_TLS_IMPLICIT;
    if (s->verdict != LIMITS_OK && implicit && far_too_many(s))
        client_kill(&s->client, CLOSE_LIMIT);
    else
        client_begin(&s->client);
}

void relay_turn_away(struct session *s) { client_refuse(&s->client, limit_reply(s), CLOSE_LIMIT); }

void relay_permit(struct session *s)
{
    s->client.smtp.may_xclient = cidr_list_contains(&s->set->server.xclient, &s->peer);
    s->client.smtp.may_xforward = cidr_list_contains(&s->set->server.xforward, &s->peer);
}

/* XCLIENT. */

static char *dup_value(const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    return smtp_xattr_given(x, attr) ? strdup(x->value[attr].text) : NULL;
}

static bool is_told(const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    return x->value[attr].state != SMTP_XATTR_ABSENT;
}

static void set_hostname(struct session *s, char *name)
{
    free(s->hostname);
    s->hostname = name;
    s->client.peer.hostname = name;
    s->name_unsure = false;
}

/* A name stays for the attributes of further XCLIENTs, but not where a HELO stands between: then it is of the client
 * before. */
static void take_name(struct session *s, const struct smtp_xattrs *x)
{
    bool told = is_told(x, SMTP_XATTR_NAME), just_told = s->name_told && s->helo == NULL;
    if (!told && (just_told || !is_told(x, SMTP_XATTR_ADDR)))
        return;
    dns_cancel(&s->reverse);
    set_hostname(s, dup_value(x, SMTP_XATTR_NAME));
    s->name_told = told;
    s->name_unsure = x->value[SMTP_XATTR_NAME].state == SMTP_XATTR_TEMPUNAVAIL;
}

/* G4 for the new client, in place of the old one. */
static void take_place(struct session *s)
{
    if (s->counted)
        limits_leave(s->w->limits, s->listener, &s->counted_as);
    relay_admit(s);
    s->client.peer.hostname = s->hostname;
}

/* A login at the upstream hangs on its connection, which is left. */
static void take_login(struct session *s, const struct smtp_xattrs *x)
{
    bool told = smtp_xattr_given(x, SMTP_XATTR_LOGIN);
    const char *user = told ? x->value[SMTP_XATTR_LOGIN].text : NULL;
    bool same = told && s->user != NULL && strcmp(user, s->user) == 0;
    if (s->logged_in && !same)
        trace_deauth(&s->trace, "XCLIENT");
    s->bound = false;
    relay_set_user(s, told, user);
    smtp_server_authenticated(&s->client.smtp, told);
}

static void take_dest(struct session *s, const struct smtp_xattrs *x)
{
    if (is_told(x, SMTP_XATTR_DESTADDR))
        s->dest = smtp_xattr_address(x, SMTP_XATTR_DESTADDR, SMTP_XATTR_DESTPORT);
    else if (smtp_xattr_given(x, SMTP_XATTR_DESTPORT))
        s->dest.port = smtp_xattr_address(x, SMTP_XATTR_DESTADDR, SMTP_XATTR_DESTPORT).port;
}

static void take_attributes(struct session *s, const struct smtp_xattrs *x)
{
    struct netaddr told = smtp_xattr_address(x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT), peer = s->peer;
    bool moved = is_told(x, SMTP_XATTR_ADDR);
    if (moved)
        peer = told;
    else if (is_told(x, SMTP_XATTR_PORT))
        peer.port = told.port;
    take_login(s, x);
    take_name(s, x);
    take_address(s, &peer);
    take_dest(s, x);
    free(s->helo_told);
    s->helo_told = dup_value(x, SMTP_XATTR_HELO);
    s->proto_told = NULL;
    if (smtp_xattr_given(x, SMTP_XATTR_PROTO))
        s->proto_told = span_eq_nocase(smtp_xattr_text(x, SMTP_XATTR_PROTO), SPAN_LIT("SMTP")) ? "SMTP" : "ESMTP";
    relay_permit(s);
    if (moved)
        take_place(s);
}

void relay_identity_changed(struct session *s)
{
    bool told = s->up != NULL && s->up->identity == IDENTITY_XCLIENT;
    if (!told && s->dial == NULL)
        return;
    dial_cancel(&s->dial);
    upstream_leave(&s->up);
    s->up_txn = false;
    session_dial(s, DIAL_MAIL, s->set->upstream.servers);
}

void relay_forget_hello(struct session *s)
{
    free(s->helo);
    s->helo = NULL;
}

void relay_forget_forwarded(struct session *s)
{
    free(s->forwarded);
    s->forwarded = NULL;
}

/* RFC 3207 section 4.2: anybody between may have said it. The upstream can't be told of PROTO again. */
void relay_forget_told(struct session *s)
{
    if (s->helo_told == NULL && s->proto_told == NULL)
        return;
    free(s->helo_told);
    s->helo_told = NULL;
    s->proto_told = NULL;
    if (s->up == NULL || s->up->identity != IDENTITY_XCLIENT)
        return;
    upstream_leave(&s->up);
    s->up_txn = false;
}

/* Who is not to be logged may tell of somebody who is: the session begins here for the log. */
static void begin_records(struct session *s)
{
    if (!s->trace.quiet || cidr_list_contains(&s->settings->log.ignore_clients, &s->peer))
        return;
    upstream_drop(&s->up, CLOSE_QUIT);
    s->trace.quiet = false;
    s->client.announced = false;
    client_announce(&s->client);
}

void relay_xclient(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs)
{
    struct session *s = owner;
    char line[600];
    take_attributes(s, attrs);
    begin_records(s);
    trace_xattrs(&s->trace, TNX_XCLIENT, attrs);
    dial_cancel(&s->dial);
    upstream_leave(&s->up);
    s->up_txn = false;
    relay_forget_hello(s);
    s->wasted = 0;
    s->protocol = relay_first_protocol(s);
    relay_forget_forwarded(s);
    if (s->verdict != LIMITS_OK) {
        client_bye(&s->client, limit_reply(s), CLOSE_LIMIT);
        return;
    }
    struct smtp_reply greeting = client_greeting(&s->client, line, sizeof(line));
    smtp_server_reply(&s->client.smtp, slot, &greeting);
}

/* XFORWARD_README: the first one makes all attributes unknown, each one overwrites those that it gives. */
void relay_xforward(void *owner, smtp_slot slot, const struct smtp_xattrs *attrs)
{
    struct session *s = owner;
    if (s->forwarded == NULL) {
        s->forwarded = calloc(1, sizeof(*s->forwarded));
        if (s->forwarded == NULL)
            abort();
    }
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        if (is_told(attrs, (enum smtp_xattr)i))
            s->forwarded->value[i] = attrs->value[i];
    }
    trace_xattrs(&s->trace, TNX_XFORWARD, attrs);
    smtp_server_own(&s->client.smtp, slot, SMTP_OWN_OK);
}

/* Telling the upstream. */

static bool has_ip(const struct netaddr *a) { return a->family == NETADDR_IPV4 || a->family == NETADDR_IPV6; }

void relay_ends(void *owner, struct netaddr *from, struct netaddr *to)
{
    const struct session *s = owner;
    static const struct netaddr here4 = { .family = NETADDR_IPV4, .ip = { 127, [3] = 1 }, .port = 25 };
    static const struct netaddr here6 = { .family = NETADDR_IPV6, .ip = { [15] = 1 }, .port = 25 };
    *from = s->peer;
    *to = s->dest;
    if (has_ip(from) && !has_ip(to)) /* a unix listener: the client must not pass for us */
        *to = from->family == NETADDR_IPV4 ? here4 : here6;
}

/* Postfix refuses XCLIENT with a name that has a hyphen at an end of a label, or a dot at its end. */
static bool is_tellable(const char *name)
{
    char before = '.';
    for (const char *p = name; p != NULL && *p != '\0'; before = *p++) {
        bool last = p[1] == '\0' || p[1] == '.';
        if ((*p == '-' && (before == '.' || last)) || (*p == '.' && last))
            return false;
    }
    return true;
}

static void tell_name(const struct session *s, struct smtp_xattrs *x, enum smtp_xattr attr)
{
    smtp_xattr_set(x, attr, is_tellable(s->hostname) ? span_str(s->hostname) : SPAN_NONE);
    if (s->hostname == NULL && s->name_unsure)
        x->value[attr].state = SMTP_XATTR_TEMPUNAVAIL;
}

static void describe(const struct session *s, struct smtp_xattrs *x)
{
    bool local = s->peer.family == NETADDR_UNIX || netaddr_is_loopback(&s->peer);
    tell_name(s, x, SMTP_XATTR_NAME);
    tell_name(s, x, SMTP_XATTR_REVERSE_NAME);
    smtp_xattr_set_address(x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT, &s->peer);
    smtp_xattr_set_address(x, SMTP_XATTR_DESTADDR, SMTP_XATTR_DESTPORT, &s->dest);
    smtp_xattr_set(x, SMTP_XATTR_PROTO, strcmp(s->protocol, "SMTP") == 0 ? SPAN_LIT("SMTP") : SPAN_LIT("ESMTP"));
    smtp_xattr_set(x, SMTP_XATTR_HELO, span_str(s->helo));
    smtp_xattr_set(x, SMTP_XATTR_LOGIN, span_str(s->user));
    smtp_xattr_set(x, SMTP_XATTR_SOURCE, local ? SPAN_LIT("LOCAL") : SPAN_LIT("REMOTE"));
}

/* One printable word, as it may stand behind EHLO. */
static bool is_word(const char *name)
{
    if (name == NULL || name[0] == '\0')
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    }
    return true;
}

static const char *hello_of(const struct session *s) { return is_word(s->helo) ? s->helo : s->set->upstream.hostname; }

enum dial_tell relay_tell(void *owner, struct smtp_xattrs *attrs, const char **hello)
{
    struct session *s = owner;
    if (s->purpose == DIAL_GREETING)
        return DIAL_TELL_LATER;
    if (s->reverse != NULL)
        return DIAL_TELL_WAIT;
    describe(s, attrs);
    *hello = hello_of(s);
    return DIAL_TELL_NOW;
}

/* The upstream was told another HELO name, and can't be told again. */
static bool is_outdated(const struct session *s)
{
    return !s->bound && s->up->identity == IDENTITY_XCLIENT && !s->up->untold && strcmp(s->up->hello, hello_of(s)) != 0;
}

void relay_find_upstream(struct session *s)
{
    if (s->dial != NULL)
        return;
    if (s->up != NULL && is_outdated(s)) {
        relay_note_waste(s);
        if (relay_has_wasted(s))
            return;
        upstream_leave(&s->up);
    }
    if (s->up == NULL) {
        session_dial(s, DIAL_HELO, s->set->upstream.servers);
    } else if (s->up->untold) {
        struct upstream *u = s->up;
        s->up = NULL;
        s->purpose = DIAL_HELO;
        s->dial_began = s->w->loop.mono;
        s->dial = dial_identify(s->w, &s->trace, &s->set->upstream, u, s->server, &relay_dial_ops, s);
    }
}

bool relay_is_told(const struct session *s, const struct upstream *u)
{
    switch (u->identity) {
    case IDENTITY_XCLIENT:
        return !u->untold;
    case IDENTITY_PROXY_V1:
    case IDENTITY_PROXY_V2:
        return s->peer.family != NETADDR_NONE;
    case IDENTITY_AUTO:
    case IDENTITY_XFORWARD:
    case IDENTITY_NONE:
        break;
    }
    return false;
}

/* Goal 1: an upstream that judges strangers by our address might relay for them. */
bool relay_is_untold(const struct session *s)
{
    bool near = s->peer.family == NETADDR_UNIX || netaddr_is_loopback(&s->peer);
    if (s->logged_in || near || relay_is_told(s, s->up))
        return false;
    bool named = s->up->identity != IDENTITY_PROXY_V1 && s->up->identity != IDENTITY_PROXY_V2;
    return !(s->set->upstream.identity_named && named);
}

bool relay_refuses_untold(const struct session *s)
{
    bool untold = relay_is_untold(s);
    if (untold)
        trace_error(&s->trace, SIDE_CLIENT, s->txn_number, ERR_IDENTITY_UNTOLD, "mail", NULL, NULL);
    return untold;
}

/* XFORWARD. */

static bool was_forwarded(const struct session *s)
{
    for (size_t i = 0; s->forwarded != NULL && i < SMTP_XATTR_COUNT; i++) {
        if (i != SMTP_XATTR_IDENT && s->forwarded->value[i].state != SMTP_XATTR_ABSENT)
            return true;
    }
    return false;
}

/* What another session was told of is not mixed with what this one knows. */
static void take_forwarded(const struct session *s, struct smtp_xattrs *x)
{
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        x->value[i] = s->forwarded->value[i];
        if (x->value[i].state == SMTP_XATTR_ABSENT)
            smtp_xattr_set_unavailable(x, (enum smtp_xattr)i);
    }
}

static void say_xforward(void *arg, struct span text)
{
    struct session *s = arg;
    struct smtp_tag tag = { .txn = s->txn_number };
    upstream_add(s->up, smtp_step_new(SMTP_STEP_XFORWARD, tag, text));
}

void relay_forward(struct session *s)
{
    const char *offered = s->offer->upstream.xforward;
    struct smtp_xattrs x = { 0 };
    char tid[48];
    bool wanted = s->up->identity == IDENTITY_XFORWARD || s->up->identity == IDENTITY_XCLIENT;
    if (s->txn == NULL || !wanted || offered[0] == '\0')
        return;
    if (was_forwarded(s))
        take_forwarded(s, &x);
    else if (s->up->identity == IDENTITY_XFORWARD)
        describe(s, &x);
    txn_print_tid(s->txn, span_str(s->trace.cid), tid);
    smtp_xattr_set(&x, SMTP_XATTR_IDENT, span_str(tid));
    smtp_xattrs_print(&x, offered, SMTP_XFORWARD, say_xforward, s);
}
