/* A record of each kind, with every key that it may have. What a record says in text comes from a source, so that tests
 * choose it. */
#ifndef TESTS_UNIT_RECORD_SAMPLES_H
#define TESTS_UNIT_RECORD_SAMPLES_H

#include "common/record/record.h"

/* Text for a key; owned by the source. */
typedef struct span sample_source(void *arg, enum record_key key);

enum { SAMPLE_LISTS = 6 };
struct sample {
    struct record r;
    sample_source *source;
    void *arg;
    struct span list[SAMPLE_LISTS][2];
    unsigned lists;
    struct record_rcpt rcpts[2];
    struct smtp_reply reply;
};

static inline struct span sample_text(struct sample *s, enum record_key key) { return s->source(s->arg, key); }
static inline void sample_str(struct sample *s, enum record_key key) { record_str(&s->r, key, sample_text(s, key)); }

static inline void sample_strs(struct sample *s, enum record_key key)
{
    struct span *list = s->list[s->lists++];
    list[0] = sample_text(s, key);
    list[1] = sample_text(s, key);
    record_strs(&s->r, key, list, 2);
}

static inline void sample_cat(struct sample *s, enum record_key key)
{
    struct span *list = s->list[s->lists++];
    list[0] = SPAN_LIT("it is ");
    list[1] = sample_text(s, key);
    record_cat(&s->r, key, list, 2);
}

static inline void sample_response(struct sample *s)
{
    record_int(&s->r, KEY_CODE, 550);
    record_cstr(&s->r, KEY_ENHANCED, "5.1.1");
    sample_str(s, KEY_SMTP_RESPONSE);
}

static inline void sample_err(struct sample *s)
{
    record_open(&s->r, KEY_ERR);
    record_cstr(&s->r, KEY_CODE, "upstream_lost");
    sample_cat(s, KEY_MESSAGE);
    record_close(&s->r);
}

static inline void sample_tls(struct sample *s)
{
    record_open(&s->r, KEY_TLS);
    record_bool(&s->r, KEY_USED, true);
    record_cstr(&s->r, KEY_VERSION, "TLSv1.3");
    record_cstr(&s->r, KEY_CIPHER, "TLS_AES_256_GCM_SHA384");
    record_close(&s->r);
}

static inline void sample_head(struct sample *s, enum tnx tnx, enum side side)
{
    s->lists = 0;
    record_begin(&s->r, tnx, INT64_C(1772533830500123));
    record_cstr(&s->r, KEY_COMPONENT, "smtptap");
    record_cstr(&s->r, KEY_CID, "0b1k2f9s8d7a6c5e");
    record_cstr(&s->r, KEY_TID, "0b1k2f9s8d7a6c5e.1");
    record_side(&s->r, side);
    sample_str(s, KEY_USER);
    sample_str(s, KEY_HOST);
}

static inline void sample_connection(struct sample *s)
{
    record_int(&s->r, KEY_PORT, 50412);
    sample_str(s, KEY_HOSTNAME);
    record_cstr(&s->r, KEY_LISTENER, "mx");
    record_cstr(&s->r, KEY_LOCAL_HOST, "192.0.2.10");
    record_int(&s->r, KEY_LOCAL_PORT, 25);
    record_cstr(&s->r, KEY_SERVER, "mx.internal:25");
    record_bool(&s->r, KEY_REUSED, false);
}

static inline void sample_starttls(struct sample *s, enum side side)
{
    record_cstr(&s->r, KEY_VERSION, "TLSv1.2");
    record_cstr(&s->r, KEY_CIPHER, "ECDHE-RSA-AES256-GCM-SHA384");
    record_bool(&s->r, KEY_RESUMED, true);
    if (side != SIDE_UPSTREAM) {
        record_cstr(&s->r, KEY_SERVERNAME, "mx.example.net");
        sample_str(s, KEY_CLIENT_CERT);
    } else {
        record_bool(&s->r, KEY_VERIFIED, false);
        record_open(&s->r, KEY_PEER);
        record_cstr(&s->r, KEY_SUBJECT, "CN=mx.internal");
        record_cstr(&s->r, KEY_ISSUER, "CN=ca");
        record_cstr(&s->r, KEY_NOT_AFTER, "2027-01-01T00:00:00Z");
        record_cstr(&s->r, KEY_ERR, "self-signed certificate");
        record_close(&s->r);
    }
    record_bool(&s->r, KEY_IMPLICIT, true);
    record_ms(&s->r, KEY_MS, 2345);
}

static inline void sample_caps(struct sample *s)
{
    sample_strs(s, KEY_OFFERED);
    sample_strs(s, KEY_UPSTREAM);
    record_open_list(&s->r, KEY_WITHHELD);
    for (unsigned i = 0; i < 2; i++) {
        record_open_member(&s->r);
        record_cstr(&s->r, KEY_KEYWORD, "CHUNKING");
        record_cstr(&s->r, KEY_REASON, "hidden");
        record_close(&s->r);
    }
    record_close_list(&s->r);
}

static inline void sample_send(struct sample *s)
{
    s->reply = smtp_reply_read(sample_text(s, KEY_LINES));
    record_int(&s->r, KEY_CODE, s->reply.code);
    record_cstr(&s->r, KEY_ENHANCED, "2.1.0");
    record_reply_lines(&s->r, KEY_LINES, &s->reply);
    record_ms(&s->r, KEY_MS, 1250);
}

static inline void sample_close(struct sample *s)
{
    sample_str(s, KEY_HOSTNAME);
    record_cstr(&s->r, KEY_REASON, "quit");
    record_ms(&s->r, KEY_DURATION_MS, 12345678);
    record_int(&s->r, KEY_BYTES_IN, 1);
    record_int(&s->r, KEY_BYTES_OUT, 2);
    record_int(&s->r, KEY_COMMANDS, 3);
    record_int(&s->r, KEY_MESSAGES, 4);
    record_int(&s->r, KEY_ERRORS, 5);
}

static inline void sample_rcpt(struct sample *s)
{
    sample_str(s, KEY_MAIL_FROM);
    sample_str(s, KEY_RCPT_TO);
    record_cstr(&s->r, KEY_RCPT_DOMAIN, "example.net");
    record_cstr(&s->r, KEY_STATUS, "rejected");
    record_cstr(&s->r, KEY_STAGE, "rcpt");
    sample_response(s);
    record_cstr(&s->r, KEY_DECIDED_BY, "upstream");
    record_cstr(&s->r, KEY_CLASS, "unknown-user");
    record_null(&s->r, KEY_QUEUE_ID);
}

static inline void sample_envelope(struct sample *s)
{
    sample_str(s, KEY_HOSTNAME);
    record_cstr(&s->r, KEY_LISTENER, "mx");
    sample_str(s, KEY_HELO);
    record_cstr(&s->r, KEY_PROTOCOL, "ESMTPSA");
    sample_str(s, KEY_MAIL_FROM);
    for (unsigned i = 0; i < 2; i++)
        s->rcpts[i] = (struct record_rcpt){ .address = sample_text(s, KEY_ADDRESS),
                                            .status = STATUS_ACCEPTED,
                                            .code = 250,
                                            .enhanced = SPAN_LIT("2.1.5"),
                                            .reply = sample_text(s, KEY_REPLY) };
    record_rcpts(&s->r, KEY_RCPT_TO, REC_RCPT_TO, s->rcpts, 2);
    record_int(&s->r, KEY_RCPT_COUNT, 2);
    record_int(&s->r, KEY_RCPT_ACCEPTED, 2);
    record_rcpts(&s->r, KEY_RECIPIENTS, REC_RECIPIENTS, s->rcpts, 2);
}

static inline void sample_content(struct sample *s)
{
    record_int(&s->r, KEY_SIZE, 10240);
    sample_str(s, KEY_MESSAGE_ID);
    sample_str(s, KEY_SUBJECT);
    record_open(&s->r, KEY_HEADERS);
    record_named(&s->r, SPAN_LIT("from"), sample_text(s, KEY_HEADERS));
    record_named(&s->r, SPAN_LIT("x-a.b%c"), sample_text(s, KEY_HEADERS));
    record_close(&s->r);
    record_cstr(&s->r, KEY_BODY, "8BITMIME");
    record_bool(&s->r, KEY_SMTPUTF8, true);
    record_open(&s->r, KEY_DSN);
    record_cstr(&s->r, KEY_RET, "FULL");
    sample_str(s, KEY_ENVID);
    record_close(&s->r);
    sample_tls(s);
}

static inline void sample_relay(struct sample *s)
{
    record_open(&s->r, KEY_UPSTREAM);
    record_cstr(&s->r, KEY_SERVER, "mx.internal:25");
    record_cstr(&s->r, KEY_HOST, "10.0.0.25");
    record_int(&s->r, KEY_PORT, 25);
    sample_tls(s);
    record_cstr(&s->r, KEY_IDENTITY, "xclient");
    record_bool(&s->r, KEY_REUSED, true);
    record_int(&s->r, KEY_ATTEMPTS, 1);
    record_close(&s->r);
    record_open(&s->r, KEY_TIMING);
    record_ms(&s->r, KEY_CONNECT, 400);
    record_ms(&s->r, KEY_MAIL, 1200);
    record_ms(&s->r, KEY_RCPT, 900);
    record_ms(&s->r, KEY_DATA, 401);
    record_ms(&s->r, KEY_TRANSFER, 3100);
    record_ms(&s->r, KEY_END, 12000);
    record_ms(&s->r, KEY_TOTAL, 18901);
    record_close(&s->r);
}

static inline void sample_message(struct sample *s)
{
    sample_envelope(s);
    record_cstr(&s->r, KEY_STATUS, "accepted");
    record_bool(&s->r, KEY_CLIENT_REPLIED, true);
    sample_response(s);
    record_cstr(&s->r, KEY_STAGE, "end");
    record_cstr(&s->r, KEY_CLASS, "other");
    sample_strs(s, KEY_ANOMALIES);
    record_cstr(&s->r, KEY_DECIDED_BY, "upstream");
    record_cstr(&s->r, KEY_QUEUE_ID, "1A2B3C4D");
    sample_content(s);
    sample_relay(s);
}

static inline void sample_command(struct sample *s)
{
    record_cstr(&s->r, KEY_COMMAND, "MAIL");
    sample_str(s, KEY_LINE);
}

static inline void sample_listen(struct sample *s)
{
    record_int(&s->r, KEY_PORT, 2525);
    record_bool(&s->r, KEY_SECURE, false);
    record_cstr(&s->r, KEY_PROTOCOL, "LMTP");
}

static inline void sample_proxy(struct sample *s)
{
    record_int(&s->r, KEY_VERSION, 2);
    record_int(&s->r, KEY_PORT, 4711);
    sample_str(s, KEY_PROXY);
    record_open(&s->r, KEY_TLS);
    record_bool(&s->r, KEY_USED, true);
    record_cstr(&s->r, KEY_VERSION, "TLSv1.3");
    sample_str(s, KEY_CLIENT_CERT);
    record_bool(&s->r, KEY_VERIFIED, true);
    record_close(&s->r);
    sample_str(s, KEY_UNIQUE_ID);
    sample_cat(s, KEY_ERR);
}

static inline void sample_server(struct sample *s, enum tnx tnx)
{
    if (tnx == TNX_DROPPED) {
        record_cstr(&s->r, KEY_OUTPUT, "stdout");
        record_int(&s->r, KEY_RECORDS, 17);
    } else if (tnx == TNX_RELOAD) {
        record_bool(&s->r, KEY_OK, false);
        sample_err(s);
    } else if (tnx == TNX_CLOSING) {
        record_int(&s->r, KEY_PENDING, 2);
    }
}

static inline void sample_body(struct sample *s, enum tnx tnx, enum side side)
{
    switch (tnx) {
    case TNX_LISTEN:
        sample_listen(s);
        break;
    case TNX_CONNECTION:
        sample_connection(s);
        break;
    case TNX_PROXY:
        sample_proxy(s);
        break;
    case TNX_SNI:
        record_cstr(&s->r, KEY_SERVERNAME, "mx.example.net");
        record_bool(&s->r, KEY_MATCHED, false);
        break;
    case TNX_STARTTLS:
        sample_starttls(s, side);
        break;
    case TNX_CAPS:
        sample_caps(s);
        break;
    case TNX_COMMAND:
        sample_command(s);
        break;
    case TNX_SEND:
        sample_send(s);
        break;
    case TNX_DATA:
        record_int(&s->r, KEY_BYTES, 12345);
        record_ms(&s->r, KEY_MS, 77);
        break;
    case TNX_RCPT:
        sample_rcpt(s);
        break;
    case TNX_MESSAGE:
        sample_message(s);
        break;
    case TNX_ERROR:
        sample_err(s);
        record_cstr(&s->r, KEY_STAGE, "connect");
        break;
    case TNX_CLOSE:
        sample_close(s);
        break;
    case TNX_AUTH:
        record_cstr(&s->r, KEY_METHOD, "PLAIN");
        sample_str(s, KEY_USERNAME);
        sample_str(s, KEY_AUTHZID);
        record_cstr(&s->r, KEY_RESULT, "fail");
        record_int(&s->r, KEY_CODE, 535);
        break;
    case TNX_XCLIENT:
        sample_str(s, KEY_XCLIENT_KEY);
        sample_str(s, KEY_XCLIENT);
        break;
    case TNX_XFORWARD:
        sample_str(s, KEY_XFORWARD_KEY);
        sample_str(s, KEY_XFORWARD);
        break;
    case TNX_DEAUTH:
    case TNX_POLICY:
        break;
    case TNX_DROPPED:
    case TNX_RELOAD:
    case TNX_CLOSING:
    case TNX_CLOSED:
    case TNX_COUNT:
        sample_server(s, tnx);
        break;
    }
}

/* The record is s->r; it shows memory of s and of the source. */
static inline void sample_make(struct sample *s, enum tnx tnx, enum side side)
{
    sample_head(s, tnx, side);
    sample_body(s, tnx, side);
    sample_cat(s, KEY_MSG);
}

#endif
