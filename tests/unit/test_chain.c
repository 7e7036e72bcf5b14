/* The chain of a log: what is written is read back, and each thing that can be done to a log is told for what it is, at
 * its place, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/record/chain_check.h"

static const struct span KEY = SPAN_LIT("0123456789abcdef0123456789abcdef");

enum { LINES_MAX = 64 };
struct log {
    char *line[LINES_MAX];
    size_t lines;
    struct chain chain[2];
    const char *run[2];
    char slot[2][CHAIN_SLOT];
};

static void put(struct log *l, unsigned run, uint64_t seq)
{
    const struct record_format *f = seq % 2 ? &record_native : &record_ecs;
    char line[1024];
    int n = snprintf(line, sizeof(line), "{\"%s\":\"2026\",\"n\":%u,\"%s\":\"%s\",\"%s\":%llu",
                     seq % 2 ? "time" : "@timestamp", (unsigned)l->lines, f->run, l->run[run], f->seq,
                     (unsigned long long)seq);
    *chain_append(&l->chain[run], f, line, line + n, seq) = '\0';
    l->line[l->lines++] = strdup(line);
}

static void head(struct log *l, unsigned run)
{
    struct chain_head h = { .seq = l->chain[run].seq, .time = 1000 + run };
    memcpy(h.run, l->run[run], sizeof(h.run));
    memcpy(h.hash, l->chain[run].hash, sizeof(h.hash));
    chain_head_print(l->chain[run].hmac, &h, l->slot[run]);
}

static void begin(struct log *l, unsigned run, const char *follows)
{
    static const char *const names[] = { "0run0one", "0run0duo" };
    l->run[run] = names[run];
    l->chain[run].hmac = digest_hmac_new(KEY);
    memcpy(l->chain[run].hash, follows, CHAIN_HEX + 1);
}

/* Ten records of one run, then ten of another that begins while the first still writes three. */
static void make(struct log *l)
{
    *l = (struct log){ 0 };
    begin(l, 0, chain_zeros.p);
    for (uint64_t seq = 1; seq <= 10; seq++)
        put(l, 0, seq);
    begin(l, 1, l->chain[0].hash);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        put(l, 1, seq);
        if (seq <= 3)
            put(l, 0, 10 + seq);
    }
    head(l, 0);
    head(l, 1);
}

static void clear(struct log *l)
{
    for (size_t i = 0; i < l->lines; i++)
        free(l->line[i]);
    digest_hmac_free(&l->chain[0].hmac);
    digest_hmac_free(&l->chain[1].hmac);
}

static void take_out(struct log *l, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        free(l->line[i]);
    memmove(l->line + at, l->line + at + n, (l->lines - at - n) * sizeof(l->line[0]));
    l->lines -= n;
}

static void put_in(struct log *l, size_t at, const char *text)
{
    memmove(l->line + at + 1, l->line + at, (l->lines - at) * sizeof(l->line[0]));
    l->line[at] = strdup(text);
    l->lines++;
}

struct found {
    unsigned count[CHAIN_NOTE + 1];
    uint64_t line[CHAIN_NOTE + 1];
    char text[512];
};

static void tell(void *arg, enum chain_finding finding, const char *file, uint64_t line, const char *text)
{
    struct found *f = arg;
    (void)file;
    if (f->count[finding]++ == 0)
        f->line[finding] = line;
    snprintf(f->text, sizeof(f->text), "%s", text);
}

/* split: so many lines are in a first file. */
static struct found check(const struct log *l, size_t split)
{
    struct found f = { { 0 }, { 0 }, "" };
    struct chain_check *c = chain_check_new(KEY, tell, &f);
    for (unsigned i = 0; i < 2; i++)
        chain_check_slot(c, "log.head", span_of(l->slot[i], CHAIN_SLOT));
    if (split > 0)
        chain_check_file(c, "log.1");
    for (size_t i = 0; i < l->lines; i++) {
        if (i == split)
            chain_check_file(c, "log");
        chain_check_line(c, span_str(l->line[i]), true);
    }
    chain_check_newest(c, "log.head", span_of(l->slot[0], sizeof(l->slot)));
    chain_check_end(c);
    chain_check_free(&c);
    return f;
}

static void expect(const struct log *l, enum chain_finding finding, uint64_t line)
{
    struct found f = check(l, 0);
    for (enum chain_finding i = 0; i < CHAIN_NOTE; i++) {
        if (f.count[i] != (i == finding))
            fail_msg("finding %d: %u, the last one: %s", (int)i, f.count[i], f.text);
    }
    assert_int_equal(f.line[finding], line);
}

static void test_whole(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    for (size_t split = 0; split < l.lines; split++) {
        struct found f = check(&l, split);
        for (enum chain_finding i = 0; i <= CHAIN_NOTE; i++)
            assert_int_equal(f.count[i], 0);
    }
    clear(&l);
}

/* Any octet of any line. */
static void test_edited(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    for (size_t i = 0; i < l.lines; i++) {
        char *at = strstr(l.line[i], "2026");
        *at = '3';
        expect(&l, CHAIN_EDITED, i + 1);
        *at = '2';
        for (size_t k = 0; l.line[i][k] != '\0'; k++) {
            char was = l.line[i][k];
            l.line[i][k] = was == '0' ? '1' : '0';
            struct found f = check(&l, 0);
            unsigned faults = 0;
            for (enum chain_finding n = 0; n < CHAIN_NOTE; n++)
                faults += f.count[n];
            assert_true(faults > 0);
            l.line[i][k] = was;
        }
    }
    clear(&l);
}

static void test_missing(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        for (size_t at = 0; at + n < 9; at++) {
            struct log l;
            make(&l);
            take_out(&l, at, n);
            if (at > 0)
                expect(&l, CHAIN_MISSING, at + 1);
            clear(&l);
        }
    }
    struct log l;
    make(&l);
    take_out(&l, 10, 1); /* the second run's first */
    expect(&l, CHAIN_MISSING, 12);
    clear(&l);
    make(&l);
    take_out(&l, 6, 4); /* what the second run follows; the first one goes on */
    struct found f = check(&l, 0);
    assert_int_equal(f.count[CHAIN_MISSING], 2);
    assert_int_equal(f.line[CHAIN_MISSING], 7);
    clear(&l);
}

/* The oldest file may have been deleted; a run's beginning in it is not known then, and told. */
static void test_rotated_away(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    take_out(&l, 0, 4);
    struct found f = check(&l, 0);
    assert_int_equal(f.count[CHAIN_NOTE], 1);
    assert_int_equal(f.line[CHAIN_NOTE], 1);
    assert_int_equal(f.count[CHAIN_MISSING] + f.count[CHAIN_EDITED] + f.count[CHAIN_INSERTED], 0);
    clear(&l);
}

static void test_inserted(void **state)
{
    (void)state;
    for (size_t at = 1; at < 20; at++) {
        struct log l;
        make(&l);
        put_in(&l, at, "{\"time\":\"2026\",\"msg\":\"no hash\"}");
        expect(&l, CHAIN_INSERTED, at + 1);
        clear(&l);
        make(&l);
        put_in(&l, at, "");
        expect(&l, CHAIN_INSERTED, at + 1);
        clear(&l);
        make(&l);
        put_in(&l, at, l.line[0]);
        expect(&l, CHAIN_INSERTED, at + 1);
        clear(&l);
    }
}

static void test_cut_off(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    take_out(&l, l.lines - 2, 2);
    expect(&l, CHAIN_CUT_OFF, l.lines);
    clear(&l);
    make(&l);
    take_out(&l, 10, l.lines - 10);
    struct found f = check(&l, 0);
    assert_int_equal(f.count[CHAIN_CUT_OFF], 2); /* of both runs */
    clear(&l);
}

/* What a crash leaves: a head that is older, the beginning of a record. */
static void test_crash(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    put(&l, 1, 11);
    put_in(&l, 20, "{\"time\":\"2026\",\"n\":1,\"ru");
    struct found f = check(&l, 0);
    for (enum chain_finding i = 0; i < CHAIN_NOTE; i++)
        assert_int_equal(f.count[i], 0);
    assert_int_equal(f.count[CHAIN_NOTE], 1);
    assert_int_equal(f.line[CHAIN_NOTE], 21);
    clear(&l);
}

/* Losses are counted in seq, and leave the chain whole. */
static void test_gap_in_seq(void **state)
{
    (void)state;
    struct log l = { .lines = 0 };
    begin(&l, 0, chain_zeros.p);
    begin(&l, 1, chain_zeros.p);
    put(&l, 0, 1);
    put(&l, 0, 17);
    put(&l, 0, UINT64_C(999999999999999999));
    head(&l, 0);
    struct found f = check(&l, 0);
    for (enum chain_finding i = 0; i <= CHAIN_NOTE; i++)
        assert_int_equal(f.count[i], 0);
    clear(&l);
}

static void test_another_key(void **state)
{
    (void)state;
    struct log l;
    struct found f = { { 0 }, { 0 }, "" };
    make(&l);
    struct chain_check *c = chain_check_new(SPAN_LIT("another key than the one before"), tell, &f);
    chain_check_slot(c, "log.head", span_of(l.slot[0], CHAIN_SLOT));
    chain_check_file(c, "log");
    for (size_t i = 0; i < l.lines; i++)
        chain_check_line(c, span_str(l.line[i]), true);
    struct chain_sum sum = chain_check_end(c);
    assert_int_equal(f.count[CHAIN_HEAD], 1);
    assert_int_equal(sum.records, l.lines);
    assert_int_equal(sum.runs, 2);
    assert_int_equal(f.count[CHAIN_EDITED], l.lines);
    chain_check_free(&c);
    clear(&l);
}

static void test_head(void **state)
{
    (void)state;
    struct log l;
    struct chain_head h;
    make(&l);
    assert_true(chain_head_read(l.chain[0].hmac, span_of(l.slot[1], CHAIN_SLOT), &h));
    assert_string_equal(h.run, "0run0duo");
    assert_string_equal(h.hash, l.chain[1].hash);
    assert_int_equal(h.seq, 10);
    for (size_t i = 0; i < CHAIN_SLOT; i++) {
        l.slot[1][i] ^= 1;
        assert_false(chain_head_read(l.chain[0].hmac, span_of(l.slot[1], CHAIN_SLOT), &h));
        l.slot[1][i] ^= 1;
    }
    assert_false(chain_head_read(l.chain[0].hmac, span_of(l.slot[1], CHAIN_SLOT - 1), &h));
    assert_true(chain_slot_empty(span_of("\0\0\0", 3)));
    clear(&l);
}

/* A slot of a run that has written nothing: it says what it is to follow. */
static void head_of_none(struct log *l, unsigned slot, const char *follows)
{
    struct chain_head h = { .seq = 0, .time = 5000 + slot, .run = "0run0tri" };
    memcpy(h.hash, follows, sizeof(h.hash));
    chain_head_print(l->chain[0].hmac, &h, l->slot[slot]);
}

static void expect_one(const struct log *l, enum chain_finding finding)
{
    struct found f = check(l, 0);
    assert_int_equal(f.count[finding], 1);
}

/* Without it a log that was cut off would look whole. */
static void test_head_of_nothing(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    memset(l.slot, 0, sizeof(l.slot));
    expect_one(&l, CHAIN_HEAD);
    take_out(&l, 10, l.lines - 10);
    expect_one(&l, CHAIN_HEAD);
    clear(&l);
    make(&l);
    take_out(&l, 10, l.lines - 10); /* the whole second run */
    memcpy(l.slot[1], l.slot[0], CHAIN_SLOT);
    memset(l.slot[0], 0, CHAIN_SLOT);
    struct found f = check(&l, 0); /* turned back with the log, as it was: nothing tells that */
    assert_int_equal(f.count[CHAIN_HEAD], 0);
    clear(&l);
}

/* Starts that came to nothing have taken the slots of the runs that wrote. */
static void test_head_of_runs_that_wrote_nothing(void **state)
{
    (void)state;
    struct log l;
    make(&l);
    head_of_none(&l, 0, l.chain[1].hash);
    for (unsigned i = 0; i < 2; i++) {
        struct found f = check(&l, 0);
        for (enum chain_finding k = 0; k <= CHAIN_NOTE; k++)
            assert_int_equal(f.count[k], 0);
        head_of_none(&l, 1, l.chain[1].hash);
    }
    take_out(&l, l.lines - 4, 4);
    struct found f = check(&l, 0);
    assert_int_equal(f.count[CHAIN_CUT_OFF], 1);
    clear(&l);
    make(&l);
    take_out(&l, 10, l.lines - 10);
    head_of_none(&l, 0, l.chain[0].hash); /* the newest slot is one of nothing, the next one is of what is cut off */
    f = check(&l, 0);
    assert_int_equal(f.count[CHAIN_CUT_OFF], 2);
    clear(&l);
}

static void test_lines_that_are_none(void **state)
{
    (void)state;
#define H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const char *const rows[] = {
        "",
        "}",
        "{}",
        "{\"run\":\"12345678\",\"seq\":1,\"hash\":\"" H "\"}", /* nothing before run */
        "{\"a\":1,\"run\":\"12345678\",\"seq\":01,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":-1,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":12345678901234567890123,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"1234567\",\"seq\":1,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"1234567W\",\"seq\":1,\"hash\":\"" H "\"}",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":1,\"hash\":\"" H "0\"}",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":1,\"hash\":\"" H "\" }",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":1,\"hash\":\"" H "\"} ",
        "{\"a\":1,\"run\":\"12345678\",\"seq\":1,\"prev\":\"" H "\"}",
        "{\"a\":1,\"run\":\"12345678\",\"event.sequence\":1,\"hash\":\"" H "\"}",
        " {\"a\":1,\"run\":\"12345678\",\"seq\":1,\"hash\":\"" H "\"}",
    };
    struct chain_line line;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_false(chain_line_read(&line, span_str(rows[i])));
    assert_true(chain_line_read(&line, SPAN_LIT("{\"a\":1,\"run\":\"12345678\",\"seq\":7,\"hash\":\"" H "\"}")));
    assert_int_equal(line.seq, 7);
    assert_int_equal(line.prev.n, 0);
    assert_true(span_eq(line.text, SPAN_LIT("{\"a\":1,\"run\":\"12345678\",\"seq\":7")));
    assert_true(chain_line_read(
        &line, SPAN_LIT("{\"a\":1,\"smtptap.run\":\"12345678\",\"event.sequence\":70,\"smtptap.hash\":\"" H
                        "\",\"smtptap.prev\":\"" H "\"}")));
    assert_int_equal(line.prev.n, CHAIN_HEX);
    assert_int_equal(line.seq, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_edited),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_rotated_away),
        cmocka_unit_test(test_inserted),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_gap_in_seq),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_of_nothing),
        cmocka_unit_test(test_head_of_runs_that_wrote_nothing),
        cmocka_unit_test(test_lines_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
