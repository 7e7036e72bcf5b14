/* Transactions from MAIL to their records: each way to end (events.md), the example record to the letter, and what is
 * left out, cut or null. json-c reads every line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/record/txn.h"
#include "tests/unit/record_lines.h"

#define TIME INT64_C(1772533830500123) /* 2026-03-03T10:30:30.500123Z */
enum { LINES_MAX = 1100 };

/* The records of one transaction as lines; the last is the message. */
struct lines {
    size_t count;
    enum tnx tnx[LINES_MAX];
    struct buf line[LINES_MAX];
};

static void take(void *arg, const struct record *r)
{
    struct lines *l = arg;
    assert_true(l->count < LINES_MAX);
    buf_init(&l->line[l->count], NULL);
    line_make(&l->line[l->count], r, 1 << 20, RECORD_TAIL_PLAIN);
    l->tnx[l->count++] = r->tnx;
}

static void lines_free(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        buf_free(&l->line[i]);
    free(l);
}

static struct json_object *line_read(const struct lines *l, size_t i)
{
    struct json_object *o = line_parse(&l->line[i]);
    assert_non_null(o);
    return o;
}

static const struct txn_session session = {
    .component = SPAN_LIT("smtptap"),
    .cid = SPAN_LIT("0b1k2f9s8d7a6c5e"),
    .host = SPAN_LIT("203.0.113.45"),
    .hostname = SPAN_LIT("client.example.com"),
    .helo = SPAN_LIT("client.example.com"),
    .listener = SPAN_LIT("mx"),
    .protocol = "ESMTPS",
    .tls_version = "TLSv1.3",
    .tls_cipher = "TLS_AES_256_GCM_SHA384",
};

static struct lines *finish(struct txn *t, const struct txn_session *s, const struct txn_end *end)
{
    struct lines *l = calloc(1, sizeof(*l));
    txn_write(t, s, end, take, l);
    txn_free(&t);
    assert_null(t);
    assert_int_equal(l->tnx[l->count - 1], TNX_MESSAGE);
    for (size_t i = 0; i + 1 < l->count; i++)
        assert_int_equal(l->tnx[i], TNX_RCPT);
    return l;
}

/* text: a reply without its last line end. */
static struct smtp_reply reply_of(const char *text, char wire[2048])
{
    return smtp_reply_read(span_of(wire, (size_t)snprintf(wire, 2048, "%s\r\n", text)));
}

static void add_path(struct txn *t, const char *address, bool mail, const struct smtp_mail_params *params)
{
    struct span arg = span_str(address);
    struct smtp_path path;
    assert_int_equal(smtp_path_parse(&path, &arg, mail ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH), SMTP_PATH_OK);
    if (mail)
        txn_mail(t, &path, SPAN_LIT("not used"), params);
    else
        txn_rcpt_add(t, &path, SPAN_LIT("not used"));
}

static void feed_headers(struct txn *t, const struct smtp_header_want *want, const char *text)
{
    struct smtp_header h;
    smtp_header_init(&h, want, NULL);
    smtp_header_feed(&h, span_str(text));
    txn_headers(t, &h);
    smtp_header_free(&h);
}

static const struct smtp_header_want want_usual = { .name = { "message-id", "from", "subject" }, .count = 3 };

static void test_example(void **state)
{
    (void)state;
    char wire[2048];
    struct txn *t = txn_new(1, 1000);
    add_path(t, "<a@example.com>", true, NULL);
    add_path(t, "<b@example.net>", false, NULL);
    struct smtp_reply reply = reply_of("250 2.1.5 Ok", wire);
    txn_rcpt_reply(t, 0, &reply, BY_UPSTREAM);
    txn_size(t, 10240);
    feed_headers(t, &want_usual, "Message-ID: <x@example.com>\r\n\r\n");
    struct txn_upstream up = { .server = SPAN_LIT("127.0.0.1:10025"),
                               .host = SPAN_LIT("127.0.0.1"),
                               .port = 10025,
                               .identity = "xclient",
                               .attempts = 1 };
    txn_set_upstream(t, &up);
    static const usec_t phases[PHASE_COUNT] = { 400, 1200, 900, 400, 3100, 12800 };
    for (enum txn_phase p = 0; p < PHASE_COUNT; p++)
        txn_phase_add(t, p, phases[p]);
    reply = reply_of("250 2.0.0 Ok: queued as 1A2B3C4D", wire);
    struct txn_end end = { STATUS_ACCEPTED, STAGE_END, BY_UPSTREAM, &reply, true, 19900, TIME };
    struct lines *l = finish(t, &session, &end);
    static const char message[] =
        "{\"time\":\"2026-03-03T10:30:30.500123Z\",\"level\":\"info\",\"component\":\"smtptap\",\"tnx\":\"message\","
        "\"cid\":\"0b1k2f9s8d7a6c5e\",\"tid\":\"0b1k2f9s8d7a6c5e.1\",\"host\":\"203.0.113.45\","
        "\"hostname\":\"client.example.com\",\"listener\":\"mx\",\"helo\":\"client.example.com\","
        "\"protocol\":\"ESMTPS\",\"mail_from\":\"a@example.com\",\"rcpt_to\":[\"b@example.net\"],\"rcpt_count\":1,"
        "\"rcpt_accepted\":1,\"recipients\":[{\"address\":\"b@example.net\",\"status\":\"accepted\",\"code\":250,"
        "\"enhanced\":\"2.1.5\",\"reply\":\"Ok\"}],\"status\":\"accepted\",\"client_replied\":true,\"code\":250,"
        "\"enhanced\":\"2.0.0\",\"smtp_response\":\"250 2.0.0 Ok: queued as 1A2B3C4D\",\"stage\":\"end\","
        "\"decided_by\":\"upstream\",\"queue_id\":\"1A2B3C4D\",\"size\":10240,\"message_id\":\"<x@example.com>\","
        "\"tls\":{\"used\":true,\"version\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\"},"
        "\"upstream\":{\"server\":\"127.0.0.1:10025\",\"host\":\"127.0.0.1\",\"port\":10025,\"tls\":{\"used\":false},"
        "\"identity\":\"xclient\",\"reused\":false,\"attempts\":1},\"timing\":{\"connect\":0.4,\"mail\":1.2,"
        "\"rcpt\":0.9,\"data\":0.4,\"transfer\":3.1,\"end\":12.8,\"total\":18.9},"
        "\"msg\":\"accepted <x@example.com> from a@example.com to 1 recipient as 1A2B3C4D\"" LINE_TAIL;
    static const char rcpt[] =
        "{\"time\":\"2026-03-03T10:30:30.500123Z\",\"level\":\"info\",\"component\":\"smtptap\",\"tnx\":\"rcpt\","
        "\"cid\":\"0b1k2f9s8d7a6c5e\",\"tid\":\"0b1k2f9s8d7a6c5e.1\",\"host\":\"203.0.113.45\","
        "\"mail_from\":\"a@example.com\",\"rcpt_to\":\"b@example.net\",\"rcpt_domain\":\"example.net\","
        "\"status\":\"accepted\",\"stage\":\"end\",\"code\":250,\"enhanced\":\"2.1.5\",\"smtp_response\":\"250 2.1.5 "
        "Ok\","
        "\"decided_by\":\"upstream\",\"queue_id\":\"1A2B3C4D\","
        "\"msg\":\"accepted b@example.net from a@example.com as 1A2B3C4D\"" LINE_TAIL;
    assert_int_equal(l->count, 2);
    assert_string_equal(buf_span(&l->line[0]).p, rcpt);
    assert_string_equal(buf_span(&l->line[1]).p, message);
    lines_free(l);
}

#define LOST "451 4.4.2 Connection to the next hop lost"
#define UNKNOWN "550 5.1.1 <b@example.net>: Recipient address rejected: User unknown in virtual mailbox table"
#define GREY "450 4.2.0 <b@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example/"
#define RCPT_OK "250 2.1.5 Ok"
#define QUEUED "250 2.0.0 Ok: queued as 1A2B3C4D"

/* How it went: replies to RCPT ("?": none came), LMTP's replies at the end of data ("-": none; of smtptap where they
 * begin with '!'), the end. What the records say: "status stage code decided_by class queue_id client_replied". */
struct way {
    const char *name;
    const char *rcpt[3], *final[3];
    enum txn_status status;
    enum txn_stage stage;
    enum txn_by by;
    const char *reply;
    bool gone;
    const char *message;
    const char *recipients; /* "status stage code class queue_id;" of each `rcpt` record */
};

static const struct way ways[] = {
    { "accepted",
      { RCPT_OK },
      { 0 },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      QUEUED,
      false,
      "accepted end 250 upstream - 1A2B3C4D true",
      "accepted end 250 - 1A2B3C4D;" },
    { "accepted, nobody there to hear it",
      { RCPT_OK },
      { 0 },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      QUEUED,
      true,
      "accepted end 250 upstream - 1A2B3C4D false",
      "accepted end 250 - 1A2B3C4D;" },
    { "accepted for some",
      { RCPT_OK, UNKNOWN, GREY },
      { 0 },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      QUEUED,
      false,
      "accepted end 250 upstream - 1A2B3C4D true",
      "accepted end 250 - 1A2B3C4D;rejected rcpt 550 unknown-user -;deferred rcpt 450 greylisted -;" },
    { "accepted without id",
      { RCPT_OK },
      { 0 },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      "250 Ok",
      false,
      "accepted end 250 upstream - - true",
      "accepted end 250 - -;" },
    { "rejected at end",
      { RCPT_OK, RCPT_OK },
      { 0 },
      STATUS_REJECTED,
      STAGE_END,
      BY_UPSTREAM,
      "554 5.7.1 Message rejected as spam",
      false,
      "rejected end 554 upstream content - true",
      "rejected end 554 content -;rejected end 554 content -;" },
    { "too big for us",
      { RCPT_OK },
      { 0 },
      STATUS_REJECTED,
      STAGE_END,
      BY_SMTPTAP,
      "552 5.3.4 Message size exceeds limit",
      false,
      "rejected end 552 smtptap size - true",
      "rejected end 552 size -;" },
    { "a mail loop is no network",
      { RCPT_OK },
      { 0 },
      STATUS_REJECTED,
      STAGE_END,
      BY_SMTPTAP,
      "554 5.4.6 Too many hops, mail loop",
      false,
      "rejected end 554 smtptap other - true",
      "rejected end 554 other -;" },
    { "deferred at end, one refused before",
      { RCPT_OK, UNKNOWN },
      { 0 },
      STATUS_DEFERRED,
      STAGE_END,
      BY_UPSTREAM,
      "452 4.3.1 Insufficient system storage",
      false,
      "deferred end 452 upstream local - true",
      "deferred end 452 local -;rejected rcpt 550 unknown-user -;" },
    { "rejected at end, one deferred before",
      { RCPT_OK, GREY },
      { 0 },
      STATUS_REJECTED,
      STAGE_END,
      BY_UPSTREAM,
      "554 5.7.1 Message rejected as spam",
      false,
      "deferred rcpt 450 upstream greylisted - true",
      "rejected end 554 content -;deferred rcpt 450 greylisted -;" },
    { "lost in the body",
      { RCPT_OK },
      { 0 },
      STATUS_DEFERRED,
      STAGE_TRANSFER,
      BY_SMTPTAP,
      LOST,
      false,
      "deferred transfer 451 smtptap network - true",
      "deferred transfer 451 network -;" },
    { "lost, no reply made",
      { RCPT_OK },
      { 0 },
      STATUS_DEFERRED,
      STAGE_DATA,
      BY_SMTPTAP,
      NULL,
      true,
      "deferred data - smtptap network - false",
      "deferred data - network -;" },
    { "lost after the dot",
      { RCPT_OK },
      { 0 },
      STATUS_INDETERMINATE,
      STAGE_END,
      BY_SMTPTAP,
      LOST,
      false,
      "indeterminate end 451 smtptap network - true",
      "indeterminate end 451 network -;" },
    { "client lost in the body",
      { RCPT_OK, UNKNOWN },
      { 0 },
      STATUS_ABORTED,
      STAGE_TRANSFER,
      BY_CLIENT,
      NULL,
      true,
      "aborted transfer - client - - false",
      "aborted transfer - - -;rejected rcpt 550 unknown-user -;" },
    { "reset",
      { RCPT_OK },
      { 0 },
      STATUS_RESET,
      STAGE_RCPT,
      BY_CLIENT,
      NULL,
      false,
      "reset rcpt - client - - true",
      "reset rcpt - - -;" },
    { "reset before any RCPT",
      { 0 },
      { 0 },
      STATUS_RESET,
      STAGE_MAIL,
      BY_CLIENT,
      NULL,
      false,
      "reset mail - client - - true",
      "" },
    { "MAIL refused",
      { 0 },
      { 0 },
      STATUS_REJECTED,
      STAGE_MAIL,
      BY_UPSTREAM,
      "550 5.1.8 <a@example.com>: Sender address rejected: Domain not found",
      false,
      "rejected mail 550 upstream bad-sender - true",
      "" },
    { "MAIL refused, and what was pipelined behind it",
      { "?", "501 5.1.3 Bad recipient address syntax" },
      { 0 },
      STATUS_REJECTED,
      STAGE_MAIL,
      BY_UPSTREAM,
      "550 5.1.8 <a@example.com>: Sender address rejected: Domain not found",
      false,
      "rejected mail 550 upstream bad-sender - true",
      "" },
    { "the client is lost before MAIL was answered",
      { "?" },
      { 0 },
      STATUS_ABORTED,
      STAGE_MAIL,
      BY_CLIENT,
      NULL,
      true,
      "aborted mail - client - - false",
      "aborted mail - - -;" },
    { "DATA refused",
      { RCPT_OK },
      { 0 },
      STATUS_DEFERRED,
      STAGE_DATA,
      BY_UPSTREAM,
      "421 4.3.2 System shutting down",
      false,
      "deferred data 421 upstream local - true",
      "deferred data 421 local -;" },
    { "policy",
      { RCPT_OK },
      { 0 },
      STATUS_REJECTED,
      STAGE_DATA,
      BY_POLICY,
      "554 5.7.1 Blocked by policy",
      false,
      "rejected data 554 policy other - true",
      "rejected data 554 other -;" },
    { "all refused, DATA",
      { UNKNOWN, UNKNOWN },
      { 0 },
      STATUS_REJECTED,
      STAGE_DATA,
      BY_SMTPTAP,
      "554 5.5.1 No valid recipients",
      false,
      "rejected rcpt 550 upstream unknown-user - true",
      "rejected rcpt 550 unknown-user -;rejected rcpt 550 unknown-user -;" },
    { "all refused, one for now, LMTP's DATA",
      { GREY, UNKNOWN },
      { 0 },
      STATUS_REJECTED,
      STAGE_DATA,
      BY_SMTPTAP,
      "503 5.5.1 Need RCPT command",
      false,
      "deferred rcpt 450 upstream greylisted - true",
      "deferred rcpt 450 greylisted -;rejected rcpt 550 unknown-user -;" },
    { "all refused, RSET",
      { UNKNOWN },
      { 0 },
      STATUS_RESET,
      STAGE_RCPT,
      BY_CLIENT,
      NULL,
      false,
      "rejected rcpt 550 upstream unknown-user - true",
      "rejected rcpt 550 unknown-user -;" },
    { "all refused, client lost",
      { GREY },
      { 0 },
      STATUS_ABORTED,
      STAGE_RCPT,
      BY_CLIENT,
      NULL,
      true,
      "deferred rcpt 450 upstream greylisted - false",
      "deferred rcpt 450 greylisted -;" },
    { "all refused, upstream lost",
      { UNKNOWN },
      { 0 },
      STATUS_DEFERRED,
      STAGE_RCPT,
      BY_SMTPTAP,
      "451 4.4.2 Connection to the next hop lost",
      false,
      "deferred rcpt 451 smtptap network - true",
      "rejected rcpt 550 unknown-user -;" },
    { "reply never came",
      { RCPT_OK, "?" },
      { 0 },
      STATUS_ABORTED,
      STAGE_RCPT,
      BY_CLIENT,
      NULL,
      true,
      "aborted rcpt - client - - false",
      "aborted rcpt - - -;aborted rcpt - - -;" },
    { "lmtp",
      { RCPT_OK, RCPT_OK },
      { "250 2.0.0 <b@example.net> wArTL0TxF2AccAAAYr7Zvw Saved", GREY },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      GREY,
      false,
      "accepted end 250 upstream - wArTL0TxF2AccAAAYr7Zvw true",
      "accepted end 250 - wArTL0TxF2AccAAAYr7Zvw;deferred end 450 greylisted -;" },
    { "lmtp, none",
      { RCPT_OK, RCPT_OK },
      { GREY, "552 5.2.2 Mailbox full" },
      STATUS_REJECTED,
      STAGE_END,
      BY_UPSTREAM,
      "552 5.2.2 Mailbox full",
      false,
      "deferred end 450 upstream greylisted - true",
      "deferred end 450 greylisted -;rejected end 552 mailbox-full -;" },
    { "lmtp, all for good",
      { RCPT_OK, UNKNOWN },
      { "552 5.2.2 Mailbox full", "-" },
      STATUS_REJECTED,
      STAGE_END,
      BY_UPSTREAM,
      "552 5.2.2 Mailbox full",
      false,
      "rejected end 552 upstream mailbox-full - true",
      "rejected end 552 mailbox-full -;rejected rcpt 550 unknown-user -;" },
    { "lmtp, one for now at RCPT",
      { RCPT_OK, GREY },
      { "552 5.2.2 Mailbox full", "-" },
      STATUS_REJECTED,
      STAGE_END,
      BY_UPSTREAM,
      "552 5.2.2 Mailbox full",
      false,
      "deferred rcpt 450 upstream greylisted - true",
      "rejected end 552 mailbox-full -;deferred rcpt 450 greylisted -;" },
    { "lmtp, lost after one",
      { RCPT_OK, RCPT_OK },
      { "250 2.0.0 Ok: queued as 1A2B3C4D", "!" LOST },
      STATUS_INDETERMINATE,
      STAGE_END,
      BY_SMTPTAP,
      LOST,
      false,
      "accepted end 250 upstream - 1A2B3C4D true",
      "accepted end 250 - 1A2B3C4D;indeterminate end 451 network -;" },
    { "lmtp, lost after one, told as accepted",
      { RCPT_OK, RCPT_OK },
      { QUEUED, "!" LOST },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      QUEUED,
      false,
      "accepted end 250 upstream - 1A2B3C4D true",
      "accepted end 250 - 1A2B3C4D;indeterminate end 451 network -;" },
    { "no server at MAIL",
      { 0 },
      { 0 },
      STATUS_DEFERRED,
      STAGE_MAIL,
      BY_SMTPTAP,
      "451 4.4.1 No answer from the next hop, try again later",
      false,
      "deferred mail 451 smtptap network - true",
      "" },
    { "lmtp, lost after one, untold",
      { RCPT_OK, RCPT_OK },
      { "250 2.0.0 Ok: queued as 1A2B3C4D", "-" },
      STATUS_ACCEPTED,
      STAGE_END,
      BY_UPSTREAM,
      QUEUED,
      false,
      "accepted end 250 upstream - 1A2B3C4D true",
      "accepted end 250 - 1A2B3C4D;indeterminate end - network -;" },
    { "lmtp, lost behind a deferral",
      { RCPT_OK, RCPT_OK },
      { "452 4.2.2 over quota", "!" LOST },
      STATUS_INDETERMINATE,
      STAGE_END,
      BY_SMTPTAP,
      LOST,
      false,
      "deferred end 452 upstream mailbox-full - true",
      "deferred end 452 mailbox-full -;indeterminate end 451 network -;" },
    { "lmtp, lost behind a refusal",
      { RCPT_OK, RCPT_OK },
      { "550 5.2.1 disabled", "!" LOST },
      STATUS_INDETERMINATE,
      STAGE_END,
      BY_SMTPTAP,
      LOST,
      false,
      "indeterminate end 451 smtptap network - true",
      "rejected end 550 unknown-user -;indeterminate end 451 network -;" },
    { "lmtp, lost before one",
      { RCPT_OK, RCPT_OK },
      { "!" LOST, "!" LOST },
      STATUS_INDETERMINATE,
      STAGE_END,
      BY_SMTPTAP,
      LOST,
      false,
      "indeterminate end 451 smtptap network - true",
      "indeterminate end 451 network -;indeterminate end 451 network -;" },
    { "lmtp, lost in the body",
      { RCPT_OK, RCPT_OK },
      { "!" LOST, "!" LOST },
      STATUS_DEFERRED,
      STAGE_TRANSFER,
      BY_SMTPTAP,
      LOST,
      false,
      "deferred end 451 smtptap network - true",
      "deferred end 451 network -;deferred end 451 network -;" },
};

static struct txn *travel(const struct way *way)
{
    char wire[2048];
    struct txn *t = txn_new(1, 0);
    add_path(t, "<a@example.com>", true, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(way->rcpt) && way->rcpt[i] != NULL; i++) {
        add_path(t, "<b@example.net>", false, NULL);
        if (way->rcpt[i][0] == '?')
            continue;
        struct smtp_reply reply = reply_of(way->rcpt[i], wire);
        txn_rcpt_reply(t, i, &reply, BY_UPSTREAM);
    }
    for (unsigned i = 0; i < ARRAY_LEN(way->final) && way->final[i] != NULL; i++) {
        if (way->final[i][0] == '-')
            continue;
        bool own = way->final[i][0] == '!';
        struct smtp_reply reply = reply_of(way->final[i] + own, wire);
        txn_rcpt_final(t, i, &reply, own ? BY_SMTPTAP : BY_UPSTREAM);
    }
    return t;
}

static void print_outcome(char *out, size_t room, struct json_object *o)
{
    static const char *const keys[] = {
        "status", "stage", "code", "decided_by", "class", "queue_id", "client_replied"
    };
    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        (void)snprintf(out + strlen(out), room - strlen(out), "%s%s", i > 0 ? " " : "", line_text(o, keys[i]));
}

/* Also that `recipients` and the `rcpt` records agree. */
static void print_rcpts(char *out, size_t room, const struct lines *l, struct json_object *message)
{
    char path[64];
    out[0] = '\0';
    for (size_t i = 0; i + 1 < l->count; i++) {
        struct json_object *o = line_read(l, i);
        (void)snprintf(out + strlen(out), room - strlen(out), "%s %s %s %s %s;", line_text(o, "status"),
                       line_text(o, "stage"), line_text(o, "code"), line_text(o, "class"), line_text(o, "queue_id"));
        assert_true(json_object_object_get_ex(o, "queue_id", NULL));
        assert_string_equal(line_text(o, "rcpt_domain"), "example.net");
        (void)snprintf(path, sizeof(path), "recipients.%zu.status", i);
        assert_string_equal(line_text(message, path), line_text(o, "status"));
        (void)snprintf(path, sizeof(path), "recipients.%zu.code", i);
        assert_string_equal(line_text(message, path), line_text(o, "code"));
        json_object_put(o);
    }
}

static void test_ways(void **state)
{
    (void)state;
    char wire[2048], got[512];
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const struct way *way = &ways[i];
        struct smtp_reply reply;
        if (way->reply != NULL)
            reply = reply_of(way->reply, wire);
        struct txn_end end = { way->status, way->stage, way->by, way->reply != NULL ? &reply : NULL,
                               !way->gone,  1000,       TIME };
        struct lines *l = finish(travel(way), &session, &end);
        struct json_object *o = line_read(l, l->count - 1);
        print_outcome(got, sizeof(got), o);
        if (strcmp(got, way->message) != 0)
            fail_msg("%s: message: %s, not %s", way->name, got, way->message);
        print_rcpts(got, sizeof(got), l, o);
        if (strcmp(got, way->recipients) != 0)
            fail_msg("%s: recipients: %s, not %s", way->name, got, way->recipients);
        assert_true(json_object_object_get_ex(o, "queue_id", NULL));
        json_object_put(o);
        lines_free(l);
    }
}

/* The line for people. */
static void test_msg(void **state)
{
    (void)state;
    static const struct {
        size_t way;
        const char *name, *want;
    } cases[] = {
        { 0, "accepted", "accepted from a@example.com to 1 recipient as 1A2B3C4D" },
        { 2, "accepted for some", "accepted from a@example.com to 1 of 3 recipients as 1A2B3C4D" },
        { 3, "accepted without id", "accepted from a@example.com to 1 recipient" },
        { 4, "rejected at end",
          "rejected from a@example.com to 2 recipients at end: 554 5.7.1 Message rejected as spam" },
        { 10, "lost, no reply made", "deferred from a@example.com to 1 recipient at data" },
        { 14, "reset before any RCPT", "reset from a@example.com at mail" },
        { 22, "all refused, RSET", "rejected from a@example.com to 1 recipient at rcpt: " UNKNOWN },
    };
    char wire[2048];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct way *way = &ways[cases[i].way];
        struct smtp_reply reply;
        assert_string_equal(way->name, cases[i].name);
        if (way->reply != NULL)
            reply = reply_of(way->reply, wire);
        struct txn_end end = { way->status, way->stage, way->by, way->reply != NULL ? &reply : NULL, true, 1, TIME };
        struct lines *l = finish(travel(way), &session, &end);
        struct json_object *o = line_read(l, l->count - 1);
        assert_string_equal(line_text(o, "msg"), cases[i].want);
        json_object_put(o);
        lines_free(l);
    }
}

static const char MESSAGE_KEYS_FULL[] =
    "time level component tnx cid tid user host hostname listener helo protocol mail_from rcpt_to rcpt_count "
    "rcpt_accepted recipients status client_replied code enhanced smtp_response stage class anomalies decided_by "
    "queue_id size message_id subject headers body smtputf8 dsn tls upstream timing msg run seq ";

/* Everything there is, in its order; then next to nothing. */
static void test_keys(void **state)
{
    (void)state;
    char wire[2048], keys[1024];
    struct txn_session full = session;
    full.user = SPAN_LIT("joe");
    struct smtp_mail_params params = {
        .body = SMTP_BODY_8BITMIME, .smtputf8 = true, .ret = SMTP_RET_HDRS, .envid = SPAN_LIT("QQ+2B1")
    };
    struct txn *t = txn_new(7, 0);
    add_path(t, "<>", true, &params);
    add_path(t, "<@route,@b:J\xc3\xb6rg@EXAMPLE.Net>", false, NULL);
    txn_anomaly(t, "bare_lf");
    txn_anomaly(t, "nul");
    txn_anomaly(t, "bare_lf");
    txn_size(t, 0);
    feed_headers(t, &want_usual,
                 "From: =?UTF-8?Q?J=C3=B6rg?=\r\n =?UTF-8?B?w6Q=?= <j@x>\r\nSubject:\r\n"
                 "Message-ID:\r\n <y@example.com>\r\n\r\nFrom: body\r\n");
    txn_set_upstream(t, &(struct txn_upstream){ .server = SPAN_LIT("unix:/x"), .tls_version = "TLSv1.2" });
    struct smtp_reply reply = reply_of("550 5.7.1 no", wire);
    struct txn_end end = { STATUS_REJECTED, STAGE_END, BY_UPSTREAM, &reply, true, 1234, TIME };
    struct lines *l = finish(t, &full, &end);
    line_keys(buf_span(&l->line[1]), keys);
    assert_string_equal(keys, MESSAGE_KEYS_FULL);
    line_keys(buf_span(&l->line[0]), keys);
    assert_string_equal(keys, "time level component tnx cid tid user host mail_from rcpt_to rcpt_domain status stage "
                              "code enhanced smtp_response decided_by class queue_id msg run seq ");
    struct json_object *o = line_read(l, 1), *rcpt = line_read(l, 0);
    assert_string_equal(line_text(o, "tid"), "0b1k2f9s8d7a6c5e.7");
    assert_string_equal(line_text(o, "mail_from"), "");
    assert_string_equal(line_text(o, "rcpt_to.0"), "@route,@b:J\xc3\xb6rg@EXAMPLE.Net");
    assert_string_equal(line_text(rcpt, "rcpt_domain"), "example.net");
    assert_string_equal(line_text(o, "anomalies"), "[ \"bare_lf\", \"nul\" ]");
    assert_string_equal(line_text(o, "headers"), "{ \"from\": \"J\xc3\xb6rg\xc3\xa4 <j@x>\" }");
    assert_string_equal(line_text(o, "subject"), "");
    assert_string_equal(line_text(o, "message_id"), "<y@example.com>");
    assert_string_equal(line_text(o, "size"), "0");
    assert_string_equal(line_text(o, "body"), "8BITMIME");
    assert_string_equal(line_text(o, "dsn"), "{ \"ret\": \"HDRS\", \"envid\": \"QQ+2B1\" }");
    assert_string_equal(line_text(o, "upstream"),
                        "{ \"server\": \"unix:\\/x\", \"tls\": { \"used\": true, \"version\": \"TLSv1.2\" }, "
                        "\"reused\": false, \"attempts\": 0 }");
    assert_string_equal(line_text(o, "timing"), "{ \"total\": 1.234 }");
    assert_string_equal(line_text(o, "msg"), "rejected <y@example.com> from <> to 1 recipient at end: 550 5.7.1 no");
    json_object_put(o);
    json_object_put(rcpt);
    lines_free(l);
}

static void test_bare(void **state)
{
    (void)state;
    char keys[1024];
    struct txn *t = txn_new(1, 0);
    txn_mail(t, NULL, SPAN_LIT("FROM=<what\x01"), NULL);
    txn_rcpt_add(t, NULL, SPAN_LIT("<<b@c"));
    struct txn_end end = { STATUS_ABORTED, STAGE_RCPT, BY_CLIENT, NULL, false, 0, TIME };
    struct lines *l = finish(t, &(struct txn_session){ .cid = SPAN_LIT("c") }, &end);
    line_keys(buf_span(&l->line[1]), keys);
    assert_string_equal(keys, "time level tnx cid tid hostname mail_from rcpt_to rcpt_count rcpt_accepted recipients "
                              "status client_replied stage decided_by queue_id tls timing msg run seq ");
    line_keys(buf_span(&l->line[0]), keys);
    assert_string_equal(keys, "time level tnx cid tid mail_from rcpt_to status stage decided_by queue_id msg run seq ");
    struct json_object *o = line_read(l, 1);
    assert_string_equal(line_text(o, "mail_from"), "FROM=<what\x01");
    assert_string_equal(line_text(o, "rcpt_to.0"), "<<b@c");
    assert_string_equal(line_text(o, "recipients"), "[ { \"address\": \"<<b@c\", \"status\": \"aborted\" } ]");
    assert_string_equal(line_text(o, "tls"), "{ \"used\": false }");
    assert_null(line_at(o, "hostname"));
    json_object_put(o);
    lines_free(l);
}

/* A reply of several lines is joined; one over 512 octets is cut, visibly and marked; the deciding one is whole. */
static void test_replies(void **state)
{
    (void)state;
    char wire[2048], text[1024] = "";
    struct txn *t = txn_new(1, 0);
    txn_mail(t, NULL, SPAN_LIT("a@b"), NULL);
    for (int i = 0; i < 3; i++)
        txn_rcpt_add(t, NULL, SPAN_LIT("b@c"));
    struct smtp_reply reply = reply_of("450-4.2.0 one\r\n450-4.2.0 two\r\n450 4.2.0 three", wire);
    txn_rcpt_reply(t, 0, &reply, BY_UPSTREAM);
    for (int i = 0; i < 300; i++)
        strcat(text, i == 0 ? "550 5.1.1 x" : "\xc3\xa4");
    reply = reply_of(text, wire);
    txn_rcpt_reply(t, 1, &reply, BY_UPSTREAM);
    reply = reply_of("250", wire);
    txn_rcpt_reply(t, 2, &reply, BY_UPSTREAM);
    reply = reply_of(text, wire);
    struct txn_end end = { STATUS_REJECTED, STAGE_END, BY_UPSTREAM, &reply, true, 0, TIME };
    struct lines *l = finish(t, &session, &end);
    struct json_object *first = line_read(l, 0), *second = line_read(l, 1), *third = line_read(l, 2),
                       *message = line_read(l, 3);
    assert_string_equal(line_text(first, "smtp_response"), "450-4.2.0 one / 450-4.2.0 two / 450 4.2.0 three");
    assert_string_equal(line_text(message, "recipients.0.reply"), "one / two / three");
    const char *cut = line_text(second, "smtp_response");
    assert_int_equal(strlen(cut), 512);
    assert_string_equal(cut + strlen(cut) - 5, "\xc3\xa4\xe2\x80\xa6");
    assert_memory_equal(line_text(message, "recipients.1.reply"), "x\xc3\xa4", 3);
    assert_string_equal(line_text(second, "truncated_fields"), "[ \"smtp_response\", \"msg\" ]");
    assert_string_equal(line_text(third, "smtp_response"), text);
    assert_null(line_at(third, "truncated"));
    assert_string_equal(line_text(message, "truncated_fields"), "[ \"recipients\" ]");
    json_object_put(first);
    json_object_put(second);
    json_object_put(third);
    json_object_put(message);
    lines_free(l);
}

/* Counts as the relay sees them; the last reply counts; many recipients. */
static void test_counts(void **state)
{
    (void)state;
    char wire[2048], tid[48];
    struct txn *t = txn_new(12, 0);
    txn_print_tid(t, SPAN_LIT("0b1k2f9s8d7a6c5e"), tid);
    assert_string_equal(tid, "0b1k2f9s8d7a6c5e.12");
    txn_print_tid(t, SPAN_LIT("0123456789012345678901234567890123456789012345678901234567890123456789"), tid);
    assert_int_equal(strlen(tid), 39);
    txn_mail(t, NULL, SPAN_LIT("a@b"), NULL);
    for (unsigned i = 0; i < 1000; i++) {
        char address[32];
        assert_int_equal(txn_rcpt_add(t, NULL, span_of(address, (size_t)sprintf(address, "user%u@b", i))), i);
    }
    assert_int_equal(txn_rcpt_pending(t), 1000);
    struct smtp_reply ok = reply_of("250 2.1.5 Ok", wire);
    for (unsigned i = 0; i < 1000; i += 2)
        txn_rcpt_reply(t, i, &ok, BY_UPSTREAM);
    assert_int_equal(txn_rcpt_accepted(t), 500);
    assert_int_equal(txn_rcpt_pending(t), 500);
    txn_rcpt_reply(t, 0, smtp_reply_own(SMTP_OWN_TOO_MANY_RECIPIENTS), BY_SMTPTAP);
    assert_int_equal(txn_rcpt_accepted(t), 499);
    assert_int_equal(txn_rcpt_pending(t), 500);
    assert_int_equal(txn_rcpt_count(t), 1000);
    struct txn_end end = { STATUS_RESET, STAGE_RCPT, BY_CLIENT, NULL, true, 0, TIME };
    struct lines *l = finish(t, &session, &end);
    assert_int_equal(l->count, 1001);
    struct json_object *o = line_read(l, 777);
    assert_string_equal(line_text(o, "rcpt_to"), "user777@b");
    json_object_put(o);
    o = line_read(l, 1000);
    assert_string_equal(line_text(o, "rcpt_count"), "1000");
    assert_string_equal(line_text(o, "rcpt_accepted"), "499");
    assert_string_equal(line_text(o, "status"), "reset");
    assert_int_equal(json_object_array_length(line_at(o, "recipients")), 1000);
    json_object_put(o);
    lines_free(l);
}

static void test_anomalies_bounded(void **state)
{
    (void)state;
    static char words[100][8];
    struct txn *t = txn_new(1, 0);
    txn_mail(t, NULL, SPAN_LIT("a@b"), NULL);
    for (int i = 0; i < 100; i++) {
        sprintf(words[i], "w%d", i);
        txn_anomaly(t, words[i]);
    }
    struct txn_end end = { STATUS_RESET, STAGE_MAIL, BY_CLIENT, NULL, true, 0, TIME };
    struct lines *l = finish(t, &session, &end);
    struct json_object *o = line_read(l, 0);
    assert_int_equal(json_object_array_length(line_at(o, "anomalies")), 32);
    json_object_put(o);
    lines_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example), cmocka_unit_test(test_ways),
        cmocka_unit_test(test_msg),     cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bare),    cmocka_unit_test(test_replies),
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_anomalies_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
