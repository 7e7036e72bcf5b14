/* Redaction: each value as each rule shows it, what stands in text, and that of a record of any kind nothing planted
 * remains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/record/redact_impl.h"
#include "tests/unit/record_lines.h"
#include "tests/unit/record_samples.h"

static const struct span KEY = SPAN_LIT("0123456789abcdef0123456789abcdef");
static const enum redact_how HOWS[] = { REDACT_HASH, REDACT_MASK, REDACT_DROP };

static struct redact *make(enum redact_how addresses, enum redact_how client_ip, enum redact_how username,
                           enum redact_how subject)
{
    const struct redact_rules rules = { addresses, client_ip, username, subject };
    return redact_new(&rules, KEY);
}

static const char *text_of(struct redact *x, const char *in)
{
    static char kept[4096];
    struct arena mem;
    arena_init(&mem, NULL, 0);
    x->mem = &mem;
    struct span s = redact_text(x, span_str(in));
    snprintf(kept, sizeof(kept), "%.*s", SPAN_ARG(s));
    arena_free(&mem);
    return kept;
}

static void test_mask_text(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "", "" },
        { "Ok: queued as 1A2B3C", "Ok: queued as 1A2B3C" },
        { "550 5.1.1 <bob@example.com>: no", "550 5.1.1 <*@example.com>: no" },
        { "bob@example.com", "*@example.com" },
        { "(bob.b+x=y@example.com)", "(*@example.com)" },
        { "MAIL FROM:<a@b> AUTH=c@d SIZE=5", "MAIL FROM:<*@b> AUTH=*@d SIZE=5" },
        { "RCPT TO:<a@b> ORCPT=rfc822;a+2Bx@b", "RCPT TO:<*@b> ORCPT=rfc822;*@b" },
        { "RCPT TO:<@relay.example:a@b>", "RCPT TO:<@relay.example:*@b>" },
        { "<\"john doe\"@b>", "<*@b>" },
        { "<\"a\\\"b\"@b>", "<*@b>" },
        { "he said \"hello\" at b", "he said \"hello\" at b" },
        { "\"quoted a@b\" c@d", "\"quoted *@b\" *@d" },
        { "a@b.", "*@b." },
        { "a@[192.0.2.7]", "*@[192.0.2.0]" },
        { "a@[IPv6:2001:db8:1:2::3]", "*@[IPv6:2001:db8:1::]" },
        { "a@dsl-203-0-113-45.example", "*@dsl-*.example" },
        { "id=bob%40example.com;ip=203.0.113.45;", "id=*@example.com;ip=203.0.113.0;" },
        { "a@b@c and a@b\xc3\xa4x@c+y@d", "*@c and *@c*@d" },
        { "x%40=a@b x%40 a@=b@c", "*@b x%40 a@*@c" },
        { "a@[x <b@c> ]", "a@[x <*@c> ]" },
        { "user @ home", "user @ home" },
        { "@b", "@b" },
        { "a@", "a@" },
        { "b\xc3\xbcro@ex\xc3\xa4mple.com", "*@ex\xc3\xa4mple.com" },
        { "from [203.0.113.45]:4711", "from [203.0.113.0]:4711" },
        { "203.0.113.45.", "203.0.113.0." },
        { "45.113.0.203.zen.example", "*.zen.example" },
        { "x203.0.113.45", "x*" },
        { "1.2.3.4.5", "*" },
        { "1203.0.113.45", "*" },
        { "5.7.1 at 10.0", "5.7.1 at 10.0" },
        { "203.000.113.045", "*" },
        { "dsl-203-0-113-45.example.net", "dsl-*.example.net" },
        { "2026-03-03-10", "2026-03-03-10" },
        { "2001:db8:1:2::3", "2001:db8:1::" },
        { "[IPv6:2001:db8:1:2::3]", "[IPv6:2001:db8:1::]" },
        { "ADDR=IPV6:2001:db8:1:2::3 x", "ADDR=IPV6:2001:db8:1:: x" },
        { "at 2001:db8:1:2:3:4:5:6.", "at 2001:db8:1::." },
        { "host:2001:db8:1:2::3:", "host:2001:db8:1:::" },
        { "::ffff:203.0.113.45", "203.0.113.0" },
        { "a2001:db8::1", "*" },
        { "2001:db8::1x", "*x" },
        { "at 10:30:15 and 1:2", "at 10:30:15 and 1:2" },
        { "dyn-2001-db8-0-0-0-0-0-b009.example", "dyn-*.example" },
        { "2001-db8--b009.dyn.example", "*.dyn.example" },
        { "9.0.0.b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example", "*.zen.example" },
        { "203_0_113_45.example", "*.example" },
        { "face--off dead-beef-cafe 550e8400-e29b-41d4", "face--off dead-beef-cafe 550e8400-e29b-41d4" },
        { "<bob=example.com@bounce.example> bob=example.com@bounce.example", "<*@bounce.example> *@bounce.example" },
        { "550 <bob>: no, <bob%x.example>, <\"bob b\">", "550 <*>: no, <*>, <*>" },
        { "<bob.\"b b\"@x.example> <bob b@x.example> <bob@#12> <bob@>", "<*@x.example> <*@x.example> <*> <*>" },
        { "354 end with <CR><LF>.<CR><LF>, or <crlf>", "354 end with <CR><LF>.<CR><LF>, or <crlf>" },
        { "C: <25 bytes of DATA> <> TO:<address>", "C: <25 bytes of DATA> <> TO:<address>" },
        { "ENVID=bob+40example.com bob+40s@example.com", "*@example.com *@example.com" },
        { "no such user bobb\xe2\x80\xa6", "no such user *\xe2\x80\xa6" },
        { "no such user <bob b\xe2\x80\xa6", "no such user <*\xe2\x80\xa6" },
        { "no \"such\" user \"bob b\xe2\x80\xa6", "no \"such\" user \"*\xe2\x80\xa6" },
        { "a@b and \xe2\x80\xa6", "*@b and \xe2\x80\xa6" },
        { "from bob@example.co\xe2\x80\xa6", "from *\xe2\x80\xa6" },
        { "C: MAIL FROM:<bob> AUTH=bob ENVID=x", "C: MAIL FROM:<*> AUTH=* ENVID=x" },
        { "C: MAIL FROM:<> AUTH=<>", "C: MAIL FROM:<> AUTH=<>" },
        { "C: mail from: bob SIZE=5", "C: mail from: * SIZE=5" },
        { "C: RCPT TO:<@relay.example:a b@c> ORCPT=rfc822;bob", "C: RCPT TO:*@c" },
        { "C: RCPT TO:<@relay.example:bob@c> ORCPT=rfc822;bob+40d", "C: RCPT TO:<*@c> ORCPT=rfc822;*@d" },
        { "C: RCPT bob", "C: RCPT *" },
        { "C: VRFY bob", "C: VRFY *" },
        { "C: EXPN", "C: EXPN" },
        { "Mail accepted", "Mail accepted" },
        { "XCLIENT NAME=host.example.com ADDR=203.0.113.45 LOGIN=joe HELO=x", //
          "XCLIENT NAME=*.example.com ADDR=203.0.113.0 LOGIN=* HELO=x" },
        { "C: XFORWARD NAME=[UNAVAILABLE] HELO=a@b", "C: XFORWARD NAME=[UNAVAILABLE] HELO=*@b" },
        { "XCLIENT LOGIN=joe+40example.com NAME=x+2Dy.a.b.c", "XCLIENT LOGIN=*@example.com NAME=*.b.c" },
        { "NAME=host.example.com", "NAME=host.example.com" },
        { "I know mail.client.example and joe, not joey", "I know *.client.example and *, not joey" },
        { "JOE@Mail.Client.Example", "*@*.client.example" },
    };
    struct redact *x = make(REDACT_MASK, REDACT_MASK, REDACT_MASK, REDACT_MASK);
    x->client_name[0] = SPAN_LIT("mail.client.example");
    x->user[0] = SPAN_LIT("joe");
    x->client_names = x->users = 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(text_of(x, rows[i][0]), rows[i][1]) != 0)
            fail_msg("%s\n became %s\n not    %s", rows[i][0], text_of(x, rows[i][0]), rows[i][1]);
    }
    redact_free(&x);
}

/* Who is about to log in is known before any field says so. */
static void test_login_name(void **state)
{
    (void)state;
    struct redact *x = make(REDACT_KEEP, REDACT_KEEP, REDACT_MASK, REDACT_KEEP);
    struct record r, out;
    struct arena mem;
    arena_init(&mem, NULL, 0);
    record_begin(&r, TNX_SEND, 0);
    r.login_name = SPAN_LIT("joe");
    record_cstr(&r, KEY_MSG, "S: 535 Joe may not");
    redact_record(x, &out, &r, &mem);
    assert_true(span_eq(out.field[0].str, SPAN_LIT("S: 535 * may not")));
    arena_free(&mem);
    redact_free(&x);
}

/* Of a record's envelope what doesn't look like an address is known wherever it stands. */
static void test_odd_addresses(void **state)
{
    (void)state;
    static const struct record_rcpt list[] = {
        { .address = SPAN_LIT("bob"), .reply = SPAN_LIT("bob is unknown, Bobby too") },
        { .address = SPAN_LIT("alice@x.example"), .reply = SPAN_LIT("bob is unknown here") },
    };
    struct redact *x = make(REDACT_MASK, REDACT_KEEP, REDACT_KEEP, REDACT_KEEP);
    struct record r, out;
    struct arena mem;
    arena_init(&mem, NULL, 0);
    record_begin(&r, TNX_RCPT, 0);
    record_cstr(&r, KEY_MAIL_FROM, "carol.\"c c\"@y.example");
    record_cstr(&r, KEY_RCPT_TO, "TO:<dave@ z.example>");
    record_rcpts(&r, KEY_RECIPIENTS, REC_RECIPIENTS, list, 2);
    record_cstr(&r, KEY_LINE, "vrfy bob");
    record_cstr(&r, KEY_MSG, "TO:<dave@ z.example> from carol.\"c c\"@y.example");
    record_cstr(&r, KEY_HELO, "carol.\"c c\"@y.example@z.example@a b");
    redact_record(x, &out, &r, &mem);
    assert_true(span_eq(out.field[0].str, SPAN_LIT("*@y.example")));
    assert_true(span_eq(out.field[1].str, SPAN_LIT("*")));
    assert_true(span_eq(out.field[2].rcpts.p[0].reply, SPAN_LIT("* is unknown, Bobby too")));
    assert_true(span_eq(out.field[2].rcpts.p[1].reply, SPAN_LIT("* is unknown here")));
    assert_true(span_eq(out.field[3].str, SPAN_LIT("vrfy *")));
    assert_true(span_eq(out.field[4].str, SPAN_LIT("* from *@y.example")));
    assert_true(span_eq(out.field[5].str, SPAN_LIT("*@y.example b")));
    arena_free(&mem);
    redact_free(&x);
}

/* Each rule acts alone. */
static void test_one_rule(void **state)
{
    (void)state;
    static const char in[] = "a@[203.0.113.45] joe 203.0.113.45 h.example a@h.example";
    static const char *const want[] = { "*@[203.0.113.45] joe 203.0.113.45 h.example *@h.example",
                                        "a@[203.0.113.0] joe 203.0.113.0 *.example a@*.example",
                                        "a@[203.0.113.45] * 203.0.113.45 h.example a@h.example" };
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        struct redact *x = make(i == 0 ? REDACT_MASK : REDACT_KEEP, i == 1 ? REDACT_MASK : REDACT_KEEP,
                                i == 2 ? REDACT_MASK : REDACT_KEEP, REDACT_KEEP);
        x->client_name[0] = SPAN_LIT("h.example");
        x->user[0] = SPAN_LIT("joe");
        x->client_names = i == 1;
        x->users = i == 2;
        assert_string_equal(text_of(x, in), want[i]);
        redact_free(&x);
    }
}

/* The same again, whatever the case, and with another key another. */
static void test_hash(void **state)
{
    (void)state;
    char first[256];
    struct netaddr ip;
    struct redact *x = make(REDACT_HASH, REDACT_HASH, REDACT_HASH, REDACT_HASH);
    snprintf(first, sizeof(first), "%s", text_of(x, "Bob@Example.com"));
    assert_int_equal(strspn(first, "0123456789abcdef"), 16);
    assert_string_equal(first + 16, "@Example.com");
    assert_memory_equal(text_of(x, "<bob@example.COM>") + 1, first, 16);
    assert_memory_not_equal(text_of(x, "bob@example.org"), first, 16);
    const struct redact_rules rules = { REDACT_HASH, REDACT_KEEP, REDACT_KEEP, REDACT_KEEP };
    struct redact *other = redact_new(&rules, SPAN_LIT("another key of 16+"));
    assert_memory_not_equal(text_of(other, "bob@example.com"), first, 16);
    redact_free(&other);
    snprintf(first, sizeof(first), "%s", text_of(x, "203.0.113.45"));
    assert_true(netaddr_parse_ip(&ip, span_str(first)));
    assert_true(ip.family == NETADDR_IPV4 && ip.ip[0] >= 0xf0 && ip.ip[0] < 0xff);
    assert_string_equal(text_of(x, "::ffff:203.0.113.45"), first);
    assert_string_not_equal(text_of(x, "203.0.113.46"), first);
    snprintf(first, sizeof(first), "%s", text_of(x, "2001:DB8::0:1"));
    assert_true(netaddr_parse_ip(&ip, span_str(first)));
    assert_true(ip.family == NETADDR_IPV6 && ip.ip[0] == 0x3f && ip.ip[1] == 0xff && ip.ip[2] < 0x10);
    assert_string_equal(text_of(x, "2001:db8::1"), first);
    redact_free(&x);
}

/* No byte of an IP address is lost by what is done for letters. */
static void test_hashes_of_ips_differ(void **state)
{
    (void)state;
    struct redact *x = make(REDACT_HASH, REDACT_HASH, REDACT_HASH, REDACT_HASH);
    char a[256];
    snprintf(a, sizeof(a), "%s", text_of(x, "10.0.0.65"));
    assert_string_not_equal(text_of(x, "10.0.0.97"), a);
    redact_free(&x);
}

static const char *planted[] = { "bob.planted@secret.example",
                                 "alice.planted@other.example",
                                 "203.0.113.45",
                                 "2001:db8:5:6::7",
                                 "planted-user",
                                 "dialup.planted.example.org",
                                 "A planted subject" };

static struct span plant(void *arg, enum record_key key)
{
    (void)arg;
    switch ((int)key) {
    case KEY_HOST:
    case KEY_PROXY:
        return span_str(planted[2]);
    case KEY_HOSTNAME:
        return span_str(planted[5]);
    case KEY_USER:
    case KEY_USERNAME:
    case KEY_AUTHZID:
    case KEY_CLIENT_CERT:
        return span_str(planted[4]);
    case KEY_MAIL_FROM:
    case KEY_ADDRESS:
        return span_str(planted[0]);
    case KEY_RCPT_TO:
        return span_str(planted[1]);
    case KEY_SUBJECT:
        return span_str(planted[6]);
    case KEY_XCLIENT_KEY:
        return SPAN_LIT("LOGIN");
    case KEY_XCLIENT:
        return span_str(planted[4]);
    case KEY_XFORWARD_KEY:
        return SPAN_LIT("NAME");
    case KEY_XFORWARD:
        return span_str(planted[5]);
    case KEY_MESSAGE_ID:
        return SPAN_LIT("<1@id.example>");
    case KEY_LINES:
        return SPAN_LIT("250-tap dialup.planted.example.org [203.0.113.45]\r\n250-bob.planted@secret.example\r\n"
                        "250 planted-user 2001:db8:5:6::7\r\n");
    default:
        return SPAN_LIT("dialup.planted.example.org [203.0.113.45] <bob.planted@secret.example> "
                        "alice.planted@other.example planted-user 2001:db8:5:6::7");
    }
}

static void check_planted(const struct buf *line, const struct redact_rules *rules)
{
    static const unsigned rule_of[] = { 0, 0, 1, 1, 2, 1, 3 };
    const enum redact_how how[] = { rules->addresses, rules->client_ip, rules->username, rules->subject };
    for (size_t i = 0; i < ARRAY_LEN(planted); i++) {
        if (how[rule_of[i]] != REDACT_KEEP && strstr(buf_span(line).p, planted[i]) != NULL)
            fail_msg("%s is in %s", planted[i], buf_span(line).p);
    }
}

static void check_kind(struct redact *x, enum tnx tnx, enum side side)
{
    struct sample s = { .source = plant };
    struct record out;
    struct arena mem;
    struct buf line;
    arena_init(&mem, NULL, 0);
    buf_init(&line, NULL);
    sample_make(&s, tnx, side);
    s.r.client_name = span_str(planted[5]);
    redact_record(x, &out, &s.r, &mem);
    line_make(&line, &out, SIZE_MAX, RECORD_TAIL_PLAIN);
    struct json_object *o = line_parse(&line);
    assert_non_null(o);
    assert_string_equal(line_text(o, "tnx"), tnx_word(tnx));
    check_planted(&line, &x->rules);
    json_object_put(o);
    buf_free(&line);
    arena_free(&mem);
}

/* On its upstream's leg, host is the server, and stays, in texts too: the sample's is the planted one. */
static bool is_servers(enum tnx tnx, enum side side)
{
    return tnx == TNX_LISTEN || tnx >= TNX_DROPPED ||
           (side == SIDE_UPSTREAM && (tnx == TNX_CONNECTION || tnx == TNX_CLOSE || tnx == TNX_ERROR));
}

static void test_nothing_planted_remains(void **state)
{
    (void)state;
    for (unsigned mix = 1; mix < 256; mix++) {
        struct redact *x = make((enum redact_how)(mix & 3), (enum redact_how)(mix >> 2 & 3),
                                (enum redact_how)(mix >> 4 & 3), (enum redact_how)(mix >> 6 & 3));
        for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++) {
            for (enum side side = SIDE_NONE; side <= SIDE_UPSTREAM; side++) {
                if (!is_servers(tnx, side))
                    check_kind(x, tnx, side);
            }
        }
        redact_free(&x);
    }
}

static struct json_object *message(enum redact_how how)
{
    struct redact *x = make(how, how, how, how);
    struct sample s = { .source = plant };
    struct record out;
    struct arena mem;
    struct buf line;
    arena_init(&mem, NULL, 0);
    buf_init(&line, NULL);
    sample_make(&s, TNX_MESSAGE, SIDE_NONE);
    redact_record(x, &out, &s.r, &mem);
    line_make(&line, &out, SIZE_MAX, RECORD_TAIL_PLAIN);
    struct json_object *o = line_parse(&line);
    assert_non_null(o);
    buf_free(&line);
    arena_free(&mem);
    redact_free(&x);
    return o;
}

static void test_message_fields(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        /* path, mask, drop */
        { "mail_from", "*@secret.example", "-" },
        { "rcpt_to.0", "*@secret.example", "-" },
        { "recipients.1.address", "*@secret.example", "-" },
        { "recipients.1.status", "accepted", "accepted" },
        { "host", "203.0.113.0", "-" },
        { "hostname", "*.example.org", "-" },
        { "user", "*", "-" },
        { "subject", "*", "-" },
        { "message_id", "<1@id.example>", "<1@id.example>" },
        { "queue_id", "1A2B3C4D", "1A2B3C4D" },
        { "cid", "0b1k2f9s8d7a6c5e", "0b1k2f9s8d7a6c5e" },
        { "headers.from", "*@secret.example, *@other.example", "*, *" },
        { "upstream.host", "10.0.0.25", "10.0.0.25" },
        { "smtp_response",
          "*.example.org [203.0.113.0] <*@secret.example> *@other.example * 2001:db8:5::", "* [*] <*> * * *" },
        { "rcpt_count", "2", "2" },
    };
    for (unsigned how = 0; how < 2; how++) {
        struct json_object *o = message(how == 0 ? REDACT_MASK : REDACT_DROP);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            assert_string_equal(line_text(o, rows[i][0]), rows[i][how + 1]);
        json_object_put(o);
    }
    struct json_object *o = message(REDACT_HASH);
    assert_string_equal(line_text(o, "mail_from") + 16, "@secret.example");
    assert_string_equal(line_text(o, "hostname") + 16, ".invalid");
    assert_int_equal(strlen(line_text(o, "user")), 16);
    assert_int_equal(strlen(line_text(o, "subject")), 16);
    json_object_put(o);
}

/* Of what the server says of itself nothing is changed, nor an address of ours in text, nor the null sender. */
static void test_what_stays(void **state)
{
    (void)state;
    static const struct span msg[] = { SPAN_LIT("from <> at 192.0.2.10 of 203.0.113.9") };
    for (size_t i = 0; i < ARRAY_LEN(HOWS); i++) {
        struct redact *x = make(HOWS[i], HOWS[i], HOWS[i], HOWS[i]);
        struct record r, out;
        struct arena mem;
        arena_init(&mem, NULL, 0);
        record_begin(&r, TNX_LISTEN, 0);
        record_cstr(&r, KEY_HOST, "192.0.2.10");
        record_cstr(&r, KEY_MSG, "SMTP server listening on 192.0.2.10:25");
        redact_record(x, &out, &r, &mem);
        assert_int_equal(out.count, 2);
        assert_string_equal(out.field[0].str.p, "192.0.2.10");
        assert_string_equal(out.field[1].str.p, "SMTP server listening on 192.0.2.10:25");
        record_begin(&r, TNX_ERROR, 0);
        record_side(&r, SIDE_UPSTREAM);
        record_cstr(&r, KEY_HOST, i % 2 ? "192.0.2.11:25" : "[2001:db8::11]:25");
        record_cstr(&r, KEY_MSG, i % 2 ? "upstream 192.0.2.11:25: gone" : "upstream [2001:db8::11]:25: gone");
        redact_record(x, &out, &r, &mem);
        assert_int_equal(out.count, 3);
        assert_string_equal(out.field[1].str.p, r.field[1].str.p);
        assert_string_equal(out.field[2].str.p, r.field[2].str.p);
        record_begin(&r, TNX_CONNECTION, 0);
        record_cstr(&r, KEY_LOCAL_HOST, "192.0.2.10");
        record_cstr(&r, KEY_MAIL_FROM, "");
        record_cstr(&r, KEY_HOST, "unix");
        record_null(&r, KEY_HOSTNAME);
        record_cat(&r, KEY_MSG, msg, 1);
        redact_record(x, &out, &r, &mem);
        assert_int_equal(out.count, HOWS[i] == REDACT_DROP ? 4 : 5);
        assert_string_equal(out.field[0].str.p, "192.0.2.10");
        assert_int_equal(out.field[1].str.n, 0);
        assert_int_equal(out.field[out.count - 2].type, REC_NULL);
        assert_memory_equal(out.field[out.count - 1].str.p, msg[0].p, 25);
        arena_free(&mem);
        redact_free(&x);
    }
}

/* What an attribute is, its name says. */
static void test_attributes(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "ADDR", "203.0.113.45", "203.0.113.0" },
        { "NAME", "mx1.a.example", "*.a.example" },
        { "NAME", "[UNAVAILABLE]", "[UNAVAILABLE]" },
        { "LOGIN", "joe", "*" },
        { "LOGIN", "joe@a.example", "*@a.example" },
        { "HELO", "[203.0.113.45]", "[203.0.113.0]" },
        { "PORT", "4711", "4711" },
    };
    struct redact *x = make(REDACT_MASK, REDACT_MASK, REDACT_MASK, REDACT_MASK);
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        const char *const *row = rows[i / 2];
        struct record r, out;
        struct arena mem;
        arena_init(&mem, NULL, 0);
        record_begin(&r, i % 2 ? TNX_XCLIENT : TNX_XFORWARD, 0);
        record_cstr(&r, i % 2 ? KEY_XCLIENT_KEY : KEY_XFORWARD_KEY, row[0]);
        record_cstr(&r, i % 2 ? KEY_XCLIENT : KEY_XFORWARD, row[1]);
        struct span msg[] = { SPAN_LIT("XCLIENT "), span_str(row[0]), SPAN_LIT("="), span_str(row[1]) };
        record_cat(&r, KEY_MSG, msg, ARRAY_LEN(msg));
        redact_record(x, &out, &r, &mem);
        assert_int_equal(out.count, 3);
        assert_true(span_eq(out.field[0].str, span_str(row[0])));
        assert_true(span_eq(out.field[1].str, span_str(row[2])));
        assert_true(span_eq(span_skip(out.field[2].str, 9 + strlen(row[0])), span_str(row[2])));
        arena_free(&mem);
    }
    redact_free(&x);
}

/* A user's name that is an address is under the stricter of two rules. */
static void test_user_is_an_address(void **state)
{
    (void)state;
    static const struct {
        enum redact_how username, addresses;
        const char *want;
    } rows[] = {
        { REDACT_KEEP, REDACT_MASK, "*@x.example" },
        { REDACT_MASK, REDACT_KEEP, "*@x.example" },
        { REDACT_KEEP, REDACT_KEEP, "joe@x.example" },
        { REDACT_HASH, REDACT_MASK, "*@x.example" },
        { REDACT_KEEP, REDACT_DROP, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redact *x = make(rows[i].addresses, REDACT_MASK, rows[i].username, REDACT_KEEP);
        struct record r, out;
        struct arena mem;
        arena_init(&mem, NULL, 0);
        record_begin(&r, TNX_COMMAND, 0);
        record_cstr(&r, KEY_USER, "joe@x.example");
        redact_record(x, &out, &r, &mem);
        assert_int_equal(out.count, rows[i].want != NULL);
        if (rows[i].want != NULL)
            assert_memory_equal(out.field[0].str.p, rows[i].want, strlen(rows[i].want));
        arena_free(&mem);
        redact_free(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask_text),
        cmocka_unit_test(test_odd_addresses),
        cmocka_unit_test(test_login_name),
        cmocka_unit_test(test_one_rule),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hashes_of_ips_differ),
        cmocka_unit_test(test_nothing_planted_remains),
        cmocka_unit_test(test_message_fields),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_user_is_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
