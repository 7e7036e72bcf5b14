/* The forms that records take on their way out, and what a stream keeps of them: syslog headers and framings, entries
 * of the journal, acknowledgements and broken connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/record/journal.h"
#include "common/record/syslog.h"
#include "proxy/log/sent.h"

#define LONG_40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void test_syslog(void **state)
{
    (void)state;
    static const char RECORD[] =
        "{\"time\":\"2026-03-03T10:30:15.100000Z\",\"level\":\"info\",\"component\":\"tap\",\"tnx\":"
        "\"message\",\"msg\":\"x\"}";
    static const char HEAD[] = "<22>1 2026-03-03T10:30:15.100000Z host.example tap 42 message - ";
    static const struct {
        const char *record, *host;
        bool cookie;
        enum syslog_framing framing;
        const char *before, *head, *after;
    } CASES[] = {
        { RECORD, "host.example", false, SYSLOG_DATAGRAM, "", HEAD, "" },
        { RECORD, "host.example", false, SYSLOG_NEWLINE, "", HEAD, "\n" },
        { RECORD, "host.example", false, SYSLOG_OCTET, "161 ", HEAD, "" },
        { RECORD, "host.example", true, SYSLOG_OCTET, "167 ",
          "<22>1 2026-03-03T10:30:15.100000Z host.example tap 42 message - @cee: ", "" },
        { "{\"level\":\"error\",\"component\":\"a b\\u00e9\"}", "h st", false, SYSLOG_DATAGRAM, "",
          "<19>1 - h?st a?b\\u00e9 42 - - ", "" },
        { "{\"@timestamp\":\"t\",\"log.level\":\"debug\",\"observer.name\":\"ecs\",\"smtptap.tnx\":\"send\"}", "h",
          false, SYSLOG_DATAGRAM, "", "<23>1 t h ecs 42 send - ", "" },
        { "{\"component\":\"" LONG_40 LONG_40 "\",\"tnx\":\"" LONG_40 "\"}", "", false, SYSLOG_DATAGRAM, "",
          "<23>1 - - " LONG_40 "xxxxxxxx 42 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx - ", "" },
        { "no record", "h", false, SYSLOG_NEWLINE, "", "<23>1 - h given 42 - - ", "\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct syslog_source from = {
            .host = span_str(CASES[i].host), .component = SPAN_LIT("given"), .pid = 42, .cookie = CASES[i].cookie
        };
        struct buf out, want;
        buf_init(&out, NULL);
        buf_init(&want, NULL);
        buf_printf(&want, "%s%s%s%s", CASES[i].before, CASES[i].head, CASES[i].record, CASES[i].after);
        syslog_write(&out, &from, span_str(CASES[i].record), CASES[i].framing);
        buf_append(&out, "", 1);
        buf_append(&want, "", 1);
        assert_string_equal(buf_span(&out).p, buf_span(&want).p);
        buf_free(&out);
        buf_free(&want);
    }
}

static void test_journal(void **state)
{
    (void)state;
    static const char RECORD[] =
        "{\"level\":\"info\",\"component\":\"tap\",\"tnx\":\"rcpt\",\"cid\":\"c\",\"rcpt_to\":\"a@b\",\"code\":550,"
        "\"msg\":\"two\\nlines \\u00e9\"}";
    static const char WANT[] = "MESSAGE\n\014\0\0\0\0\0\0\0two\nlines \303\251\nPRIORITY=6\nSYSLOG_FACILITY=2\n"
                               "SYSLOG_IDENTIFIER=tap\nSMTPTAP_TNX=rcpt\nSMTPTAP_CID=c\nSMTPTAP_RCPT_TO=a@b\n"
                               "SMTPTAP_CODE=550\nSMTPTAP_JSON=";
    struct buf out;
    buf_init(&out, NULL);
    journal_write(&out, SPAN_LIT("given"), SPAN_LIT(RECORD));
    assert_int_equal(buf_len(&out), sizeof(WANT) - 1 + sizeof(RECORD));
    assert_memory_equal(buf_span(&out).p, WANT, sizeof(WANT) - 1);
    assert_memory_equal(buf_span(&out).p + sizeof(WANT) - 1, RECORD, sizeof(RECORD) - 1);
    assert_int_equal(out.base[out.tail - 1], '\n');
    buf_consume(&out, buf_len(&out));
    journal_write(&out, SPAN_LIT("given"), SPAN_LIT("{}"));
    buf_append(&out, "", 1);
    assert_string_equal(buf_span(&out).p, "PRIORITY=7\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=given\nSMTPTAP_JSON={}\n");
    buf_free(&out);
}

static void expect_rest(const struct sent *s, const char *want)
{
    struct span rest = sent_rest(s);
    assert_int_equal(rest.n, strlen(want));
    assert_memory_equal(rest.p, want, rest.n);
}

static void test_sent(void **state)
{
    (void)state;
    struct sent s;
    sent_init(&s);
    sent_put(&s, SPAN_LIT("one\n"));
    sent_put(&s, SPAN_LIT("two\n"));
    sent_put(&s, SPAN_LIT("three\n"));
    expect_rest(&s, "one\ntwo\nthree\n");
    sent_note(&s, 6, 6);
    expect_rest(&s, "o\nthree\n");
    sent_ack(&s, 3, 1000);
    assert_int_equal(s.lines, 3);
    sent_ack(&s, 5, 1000);
    assert_int_equal(s.lines, 2);
    expect_rest(&s, "o\nthree\n");
    sent_note(&s, 8, 14);
    expect_rest(&s, "");
    /* the second one is acknowledged in part, the third one not at all: both go again */
    sent_ack(&s, 6, 1000);
    struct sent_doubt doubt = sent_rewind(&s);
    assert_int_equal(doubt.again, 2);
    assert_int_equal(doubt.risk, 1);
    expect_rest(&s, "two\nthree\n");
    /* the next connection, which counts anew */
    sent_note(&s, 5, 5);
    doubt = sent_rewind(&s);
    assert_int_equal(doubt.again, 1);
    assert_int_equal(doubt.risk, 0);
    sent_note(&s, 10, 10);
    sent_ack(&s, 10, 1000);
    assert_int_equal(s.lines, 0);
    expect_rest(&s, "");
    sent_free(&s);
}

/* What TLS has sealed is there as a whole or not at all, and its octets are more. */
static void test_sent_sealed(void **state)
{
    (void)state;
    struct sent s;
    sent_init(&s);
    s.sealed = true;
    sent_put(&s, SPAN_LIT("one\n"));
    sent_put(&s, SPAN_LIT("two\n"));
    sent_note(&s, 6, 1028);
    sent_note(&s, 2, 1052);
    sent_ack(&s, 1027, 1000);
    assert_int_equal(s.lines, 2);
    sent_ack(&s, 1028, 1000);
    assert_int_equal(s.lines, 1);
    sent_ack(&s, 1051, 1000);
    assert_int_equal(s.lines, 1);
    sent_ack(&s, 1052, 1000);
    assert_int_equal(s.lines, 0);
    sent_free(&s);
}

/* Any course of sending, acknowledging and breaking: a line leaves once, in order, and only when it was acknowledged.
 */
static void test_sent_at_random(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 300; seed++) {
        struct sent s;
        char line[64];
        uint64_t put = 0, wire = 0, acked = 0, through = 0;
        srand(seed);
        sent_init(&s);
        for (int step = 0; step < 400; step++) {
            int what = rand() % 16;
            size_t rest = sent_rest(&s).n;
            if (what < 5) {
                int n = snprintf(line, sizeof(line), "%llu%.*s\n", (unsigned long long)put++, rand() % 30, LONG_40);
                sent_put(&s, span_of(line, (size_t)n));
            } else if (what < 10 && rest > 0) {
                size_t n = 1 + (size_t)rand() % rest;
                wire += n;
                sent_note(&s, n, wire);
            } else if (what < 15) {
                acked += wire > acked ? (uint64_t)rand() % (wire - acked + 1) : 0;
                sent_ack(&s, acked, 100);
            } else {
                struct sent_doubt doubt = sent_rewind(&s);
                assert_in_range(doubt.again, 0, s.lines);
                wire = acked = 0;
            }
            through = put - s.lines;
            assert_int_equal(buf_len(&s.lengths), s.lines * sizeof(uint32_t));
            assert_true(s.acked <= s.out && s.out <= buf_len(&s.data));
            if (s.lines > 0)
                assert_int_equal(strtoull(buf_span(&s.data).p, NULL, 10), through);
        }
        sent_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syslog),      cmocka_unit_test(test_journal),        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_sent_sealed), cmocka_unit_test(test_sent_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
