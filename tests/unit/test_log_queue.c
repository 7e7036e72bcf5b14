/* The parts of the log that need no output: queues between two threads, merging, and room. */
#include "proxy/log/queue.h"

#include <sys/eventfd.h>

#include "proxy/log/batch.h"
#include "proxy/log/room.h"
#include "tests/unit/log_rig.h"

enum { STRESS = 30000 };

static size_t line_len(unsigned n) { return n % 1000 == 999 ? 150000 : n * 37 % 900; }

static void *produce(void *arg)
{
    struct queue *q = arg;
    char *text = malloc(150000);
    for (unsigned n = 0; n < STRESS; n++) {
        memset(text, 'a' + (int)(n % 26), line_len(n));
        if (n % 7 == 0)
            queue_lose(q);
        queue_put(q, n, span_of(text, line_len(n)));
    }
    queue_lose(q);
    free(text);
    return NULL;
}

static void check_entry(const struct queue_entry *e, unsigned n)
{
    assert_int_equal(e->time, n);
    assert_int_equal(e->len, line_len(n));
    assert_int_equal(e->lost, n / 7 + 1);
    for (size_t i = 0; i < e->len; i += 97)
        assert_int_equal(e->line[i], 'a' + (int)(n % 26));
}

static void two_threads(void **state)
{
    (void)state;
    struct queue *q = aligned_alloc(CACHE_LINE, sizeof(*q));
    pthread_t thread;
    uint64_t lost = 0;
    unsigned n = 0;
    queue_init(q);
    assert_false(queue_news(q));
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    while (n < STRESS || lost < STRESS / 7 + 2) {
        const struct queue_entry *e;
        if (!queue_news(q))
            pause_a_little();
        queue_look(q);
        while ((e = queue_head(q)) != NULL) {
            check_entry(e, n++);
            lost += queue_losses_before(q, e);
            queue_take(q);
        }
        lost += queue_losses(q);
        assert_true(lost <= STRESS / 7 + 2);
    }
    pthread_join(thread, NULL);
    assert_false(queue_news(q));
    assert_int_equal(queue_made(q), STRESS + lost);
    queue_free(q);
    free(q);
}

static void put(struct queue *q, usec_t time, unsigned i, int64_t n)
{
    char line[128];
    int len = snprintf(line, sizeof(line), "{\"component\":\"tap\",\"port\":%u,\"bytes\":%ld,\"time\":%ld", i, (long)n,
                       (long)time);
    queue_put(q, time, span_of(line, (size_t)len));
}

static void fill(struct batch *b, struct merge *m, struct room *room, struct tally *t, bool last)
{
    assert_true(batch_fill(b, m, room, last));
    assert_int_equal(tally_text(t, b->data, b->len), b->len);
    b->off = b->len;
    batch_finish(b, room);
}

/* Times interleave; queue 2 has one that goes back, which keeps its place behind the one before it. */
static void oldest_first(void **state)
{
    struct rig *rig = *state;
    static const struct {
        unsigned queue;
        usec_t time;
    } PUT[] = { { 0, 10 }, { 0, 40 }, { 1, 20 }, { 2, 30 }, { 2, 5 }, { 1, 50 }, { 0, 60 }, { 2, 55 } };
    static const long WANT[] = { 10, 20, 30, 5, 40, 50, 55, 60 };
    struct queue *q = aligned_alloc(CACHE_LINE, 3 * sizeof(*q));
    struct merge m = {
        .queue = q, .queues = 3, .component = "tap", .output = "x", .max_record = 8000, .format = &record_native
    };
    struct batch b = { 0 };
    struct room room = { 0 };
    int64_t count[3] = { 0 };
    for (unsigned i = 0; i < 3; i++)
        queue_init(&q[i]);
    merge_init(&m, "0123abcv");
    for (unsigned i = 0; i < ARRAY_LEN(PUT); i++)
        put(&q[PUT[i].queue], PUT[i].time, PUT[i].queue, count[PUT[i].queue]++);
    assert_true(batch_fill(&b, &m, &room, false));
    const char *p = b.data;
    for (unsigned i = 0; i < ARRAY_LEN(WANT); i++) {
        p = strstr(p, "\"time\":");
        assert_int_equal(strtol(p + 7, NULL, 10), WANT[i]);
        p++;
    }
    assert_int_equal(tally_text(rig->tally, b.data, b.len), b.len);
    assert_int_equal(rig->tally->seq, ARRAY_LEN(PUT));
    assert_string_equal(rig->tally->run, "0123abcv");
    b.off = b.len;
    batch_finish(&b, &room);
    assert_int_equal(b.written, ARRAY_LEN(PUT));
    assert_false(batch_fill(&b, &m, &room, false));
    for (unsigned i = 0; i < 3; i++)
        queue_free(&q[i]);
    batch_free(&b);
    merge_free(&m);
    free(q);
}

/* seq has a gap where lines were lost; they are told when the queue is less than half full, or at the end. */
static void losses_are_told(void **state)
{
    struct rig *rig = *state;
    struct queue *q = aligned_alloc(CACHE_LINE, sizeof(*q));
    struct merge m = {
        .queue = q, .queues = 1, .component = "tap", .output = "x", .max_record = 8000, .format = &record_native
    };
    struct batch b = { 0 };
    atomic_long reserved = 0;
    struct room room;
    room_init(&room, &(struct output_settings){ .queue_size = 1000, .overflow = OVERFLOW_DROP }, &reserved, -1);
    queue_init(q);
    merge_init(&m, "0123abcv");
    m.told_at = clock_mono() + 3600 * USEC_PER_SEC;
    room.used = 900;
    put(q, 1, 0, 0);
    queue_lose(q);
    queue_lose(q);
    put(q, 2, 0, 1);
    queue_lose(q);
    fill(&b, &m, &room, rig->tally, false);
    assert_int_equal(rig->tally->seq, 4);
    assert_int_equal(rig->tally->dropped, 0);
    assert_true(merge_news(&m));
    room.used = 100;
    fill(&b, &m, &room, rig->tally, false);
    tally_check_sum(rig->tally, 5);
    assert_int_equal(rig->tally->lost, 3);
    assert_false(merge_news(&m));
    room.used = 900;
    put(q, 3, 0, 2);
    queue_lose(q);
    fill(&b, &m, &room, rig->tally, true);
    tally_check_sum(rig->tally, 7);
    assert_string_not_equal(rig->tally->last_tnx, "dropped");
    assert_int_equal(b.written, 3);
    assert_int_equal(b.told, 4);
    queue_free(q);
    batch_free(&b);
    merge_free(&m);
    free(q);
}

/* What is cut off a batch is the octets of an unfinished line, and only finished lines are counted. */
static void parts_of_lines(void **state)
{
    struct rig *rig = *state;
    atomic_long reserved = 0;
    struct room room;
    room_init(&room, &(struct output_settings){ .queue_size = 1000 }, &reserved, -1);
    struct batch b = { .data = (char *)(uintptr_t) "one\ntwo\nthree\n", .len = 14, .lines = 3, .room = 140 };
    (void)rig;
    room.used = 140;
    assert_int_equal(batch_partial(&b), 0);
    batch_advance(&b, 2, &room);
    assert_int_equal(batch_partial(&b), 2);
    assert_int_equal(room.used, 120);
    batch_retract(&b, 2);
    batch_advance(&b, 4, &room);
    assert_int_equal(batch_partial(&b), 0);
    assert_int_equal(room.used, 100);
    batch_advance(&b, 5, &room);
    assert_int_equal(batch_partial(&b), 1);
    batch_finish(&b, &room);
    assert_int_equal(b.written, 2);
    assert_int_equal(room.used, 0);
}

static const struct {
    enum log_overflow overflow;
    enum log_state full;               /* the state when lines fill it */
    size_t dialogue, others, promised; /* octets that may be used with a line of that worth, while it is full */
} ROOMS[] = {
    { OVERFLOW_DROP, LOG_OPEN, 750, 1000, 1000 },
    { OVERFLOW_BLOCK, LOG_BLOCKED, SIZE_MAX, SIZE_MAX, SIZE_MAX },
    { OVERFLOW_TEMPFAIL, LOG_TEMPFAIL, 1000, 1500, SIZE_MAX },
};

static void check_limit(struct room *r, enum line_worth worth, size_t limit)
{
    size_t used = (size_t)r->used;
    if (limit == SIZE_MAX) {
        assert_true(room_allows(r, 1000000, worth));
        return;
    }
    assert_int_equal(room_allows(r, limit - used, worth), limit >= used);
    assert_false(room_allows(r, limit - used + 1, worth) && limit >= used);
}

static void full_and_empty(void **state)
{
    (void)state;
    int notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < ARRAY_LEN(ROOMS); i++) {
        atomic_long reserved = 0;
        struct room r;
        room_init(&r, &(struct output_settings){ .queue_size = 1000, .overflow = ROOMS[i].overflow }, &reserved,
                  notice);
        room_use(&r, 700);
        assert_int_equal(room_state(&r), LOG_OPEN);
        room_use(&r, 301);
        assert_int_equal(room_state(&r), ROOMS[i].full);
        assert_int_equal(r.refusing, ROOMS[i].full == LOG_TEMPFAIL);
        room_free(&r, 301);
        check_limit(&r, LINE_DIALOGUE, ROOMS[i].dialogue);
        check_limit(&r, LINE_PLAIN, ROOMS[i].others);
        check_limit(&r, LINE_PROMISED, ROOMS[i].promised);
        assert_int_equal(room_state(&r), ROOMS[i].full);
        assert_int_equal(atomic_exchange(&r.changed, false), ROOMS[i].full != LOG_OPEN);
        room_free(&r, 200);
        assert_int_equal(room_state(&r), LOG_OPEN);
        assert_int_equal(r.changed, ROOMS[i].full != LOG_OPEN);
        room_close(&r);
        assert_false(room_allows(&r, 1, LINE_PROMISED));
        room_use(&r, 100000);
        assert_int_equal(room_state(&r), LOG_OPEN);
    }
    close(notice);
}

static void reservations(void **state)
{
    (void)state;
    int notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_long reserved = 0;
    struct room r;
    room_init(&r, &(struct output_settings){ .queue_size = 1000, .overflow = OVERFLOW_BLOCK }, &reserved, notice);
    reserved = 1000000;
    room_reserved(&r);
    assert_int_equal(room_state(&r), LOG_OPEN);
    room_use(&r, 500);
    assert_int_equal(room_state(&r), LOG_OPEN);
    room_use(&r, 1);
    assert_int_equal(room_state(&r), LOG_BLOCKED);
    room_free(&r, 201);
    assert_int_equal(room_state(&r), LOG_BLOCKED);
    room_free(&r, 50);
    assert_int_equal(room_state(&r), LOG_OPEN);
    room_use(&r, 351);
    assert_int_equal(room_state(&r), LOG_BLOCKED);
    room_free(&r, 200);
    assert_int_equal(room_state(&r), LOG_BLOCKED);
    reserved = 99;
    room_reserved(&r);
    assert_int_equal(room_state(&r), LOG_OPEN);
    close(notice);
}

static void patience_ends(void **state)
{
    (void)state;
    int notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_long reserved = 0;
    struct room r;
    room_init(&r, &(struct output_settings){ .queue_size = 1000, .overflow = OVERFLOW_BLOCK }, &reserved, notice);
    assert_int_equal(room_expire(&r, clock_mono(), 1000), 0);
    usec_t before = clock_mono();
    room_use(&r, 1001);
    usec_t end = room_expire(&r, before, 3000000);
    assert_in_range(end, before + 3000000, clock_mono() + 3000000);
    assert_int_equal(room_expire(&r, end - 1, 3000000), end);
    assert_int_equal(room_state(&r), LOG_BLOCKED);
    assert_true(atomic_exchange(&r.changed, false));
    assert_int_equal(room_expire(&r, end, 3000000), 0);
    assert_int_equal(room_state(&r), LOG_TEMPFAIL);
    assert_true(r.changed && r.refusing);
    assert_int_equal(room_expire(&r, end + 1, 3000000), 0);
    close(notice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads),
        cmocka_unit_test_setup_teardown(oldest_first, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(losses_are_told, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(parts_of_lines, rig_setup, rig_teardown),
        cmocka_unit_test(full_and_empty),
        cmocka_unit_test(reservations),
        cmocka_unit_test(patience_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
