#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/buf.h"

static void check_sane(const struct buf *b)
{
    assert_true(b->head <= b->scan || b->base == NULL);
    assert_true(b->scan <= b->tail);
    assert_true(b->tail <= b->cap);
    assert_int_equal(b->base == NULL, b->cap == 0);
}

static void check_text(const struct buf *b, const char *want)
{
    check_sane(b);
    assert_int_equal(buf_len(b), strlen(want));
    if (want[0] != '\0')
        assert_memory_equal(buf_span(b).p, want, strlen(want));
}

static void append_and_consume(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, NULL);
    check_text(&b, "");
    assert_true(buf_empty(&b));
    buf_append(&b, "hello", 5);
    buf_append_span(&b, SPAN_LIT(" world"));
    buf_append_span(&b, SPAN_NONE);
    check_text(&b, "hello world");
    buf_consume(&b, 6);
    check_text(&b, "world");
    b.scan = b.tail;
    buf_consume(&b, 1);
    check_text(&b, "orld");
    assert_int_equal(b.scan, b.tail);
    buf_consume(&b, 4);
    check_text(&b, "");
    assert_null(b.base);
    buf_free(&b);
}

static void block_comes_and_goes(void **state)
{
    (void)state;
    struct buf_pool pool = { 0 };
    struct buf a, b;
    buf_init(&a, &pool);
    buf_init(&b, &pool);
    assert_null(a.base);
    buf_append(&a, "x", 1);
    assert_int_equal(a.cap, BUF_BLOCK);
    const char *block = a.base;
    buf_consume(&a, 1);
    assert_int_equal(pool.count, 1);
    buf_append(&b, "y", 1);
    assert_ptr_equal(b.base, block);
    assert_int_equal(pool.count, 0);
    assert_int_equal(pool.lent, BUF_BLOCK);
    buf_free(&b);
    assert_int_equal(pool.count, 1);
    buf_reserve(&a, 100);
    assert_int_equal(pool.count, 0);
    buf_commit(&a, 0);
    assert_null(a.base);
    assert_int_equal(pool.count, 1);
    buf_pool_free(&pool);
    assert_int_equal(pool.count, 0);
    assert_null(pool.free);
}

static void pool_is_bounded(void **state)
{
    (void)state;
    enum { MANY = BUF_POOL_MAX + 3 };
    struct buf_pool pool = { 0 };
    struct buf b[MANY];
    for (int i = 0; i < MANY; i++) {
        buf_init(&b[i], &pool);
        buf_append(&b[i], "x", 1);
    }
    for (int i = 0; i < MANY; i++)
        buf_free(&b[i]);
    assert_int_equal(pool.count, BUF_POOL_MAX);
    assert_int_equal(pool.lent, 0);
    buf_pool_free(&pool);
    assert_int_equal(pool.count, 0);
}

/* The first piece may be larger than a block; then nothing is there yet to be moved. */
static void grows_past_a_block(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, BUF_BLOCK - 1, BUF_BLOCK, BUF_BLOCK + 1, 5 * BUF_BLOCK };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf_pool pool = { 0 };
        struct buf b;
        buf_init(&b, &pool);
        char *big = malloc(sizes[i]);
        memset(big, 'z', sizes[i]);
        buf_append(&b, big, sizes[i]);
        buf_append(&b, "end", 3);
        check_sane(&b);
        assert_int_equal(buf_len(&b), sizes[i] + 3);
        assert_int_equal(pool.lent, b.cap);
        assert_memory_equal(buf_span(&b).p, big, sizes[i]);
        assert_memory_equal(buf_span(&b).p + sizes[i], "end", 3);
        buf_consume(&b, buf_len(&b));
        assert_null(b.base);
        /* only blocks of the common size are kept */
        assert_true(pool.count <= 1);
        free(big);
        buf_pool_free(&pool);
    }
}

static void reserve_moves_to_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, NULL);
    memset(buf_reserve(&b, BUF_BLOCK), 'a', BUF_BLOCK);
    buf_commit(&b, BUF_BLOCK);
    b.base[BUF_BLOCK - 2] = 'y';
    b.base[BUF_BLOCK - 1] = 'z';
    assert_int_equal(buf_room(&b), 0);
    buf_consume(&b, BUF_BLOCK - 2);
    b.scan = b.tail - 1;
    buf_reserve(&b, 1000);
    assert_int_equal(b.cap, BUF_BLOCK);
    assert_int_equal(b.head, 0);
    assert_int_equal(b.scan, 1);
    check_text(&b, "yz");
    buf_free(&b);
}

static void printf_of_any_length(void **state)
{
    (void)state;
    char text[1001];
    memset(text, 'p', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (int n = 0; n <= 1000; n++) {
        struct buf b;
        buf_init(&b, NULL);
        buf_append(&b, "<", 1);
        buf_printf(&b, "%.*s%d", n, text, 7);
        assert_int_equal(buf_len(&b), 1 + n + 1);
        assert_memory_equal(buf_span(&b).p + 1, text, (size_t)n);
        assert_int_equal(buf_span(&b).p[1 + n], '7');
        buf_free(&b);
    }
    struct buf empty;
    buf_init(&empty, NULL);
    buf_printf(&empty, "%s", "");
    check_text(&empty, "");
    assert_null(empty.base);
}

/* Against a model: a plain array. */
static void random_operations(void **state)
{
    (void)state;
    enum { MODEL_MAX = 1 << 20 };
    struct buf_pool pool = { 0 };
    struct buf b;
    char *model = malloc(MODEL_MAX);
    size_t head = 0, tail = 0;
    uint32_t seed = 12345;
    buf_init(&b, &pool);
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t n = seed >> 8 & (i % 50 == 0 ? 0x1ffff : 0xfff);
        if (seed >> 31) {
            n = min_size(n, MODEL_MAX - tail);
            memset(model + tail, (int)(seed & 0x7f), n);
            buf_append(&b, model + tail, n);
            tail += n;
        } else {
            n = min_size(n, tail - head);
            buf_consume(&b, n);
            head += n;
            if (head == tail)
                head = tail = 0;
        }
        check_sane(&b);
        assert_int_equal(buf_len(&b), tail - head);
        if (tail > head)
            assert_memory_equal(buf_span(&b).p, model + head, tail - head);
    }
    assert_true(tail > 0);
    buf_free(&b);
    buf_pool_free(&pool);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_consume),
        cmocka_unit_test(block_comes_and_goes),
        cmocka_unit_test(pool_is_bounded),
        cmocka_unit_test(grows_past_a_block),
        cmocka_unit_test(reserve_moves_to_the_front),
        cmocka_unit_test(printf_of_any_length),
        cmocka_unit_test(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
