/* Pieces keep their bytes and their alignment while others come, with and without a first block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/arena.h"

static void test_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 8, 3, 100, 5000, 1, 70000, 16, 0, 4096, 7 };
    for (size_t first = 0; first <= 256; first += 64) {
        _Alignas(max_align_t) char block[256];
        char *piece[ARRAY_LEN(sizes) * 4];
        struct arena a;
        arena_init(&a, first > 0 ? block : NULL, first);
        for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
            size_t n = sizes[i % ARRAY_LEN(sizes)];
            piece[i] = i % 3 == 0 ? arena_bytes(&a, n) : arena_alloc(&a, n);
            if (i % 3 != 0)
                assert_int_equal((uintptr_t)piece[i] % _Alignof(max_align_t), 0);
            memset(piece[i], (int)i, n);
        }
        for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
            for (size_t k = 0; k < sizes[i % ARRAY_LEN(sizes)]; k++)
                assert_int_equal(piece[i][k], (char)i);
        }
        arena_free(&a);
        assert_null(a.chunks);
        memcpy(arena_bytes(&a, 3), "abc", 3);
        arena_free(&a);
    }
}

static void test_first_block(void **state)
{
    (void)state;
    _Alignas(max_align_t) char block[64];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    assert_ptr_equal(arena_bytes(&a, 10), block);
    assert_ptr_equal(arena_alloc(&a, 32), block + 16);
    assert_ptr_equal(arena_bytes(&a, 16), block + 48);
    assert_null(a.chunks);
    arena_bytes(&a, 1);
    assert_non_null(a.chunks);
    arena_free(&a);
}

static void test_copy(void **state)
{
    (void)state;
    char text[] = "hello";
    struct arena a;
    arena_init(&a, NULL, 0);
    struct span s = arena_copy(&a, span_str(text)), none = arena_copy(&a, SPAN_NONE);
    text[0] = 'j';
    assert_true(span_eq(s, SPAN_LIT("hello")));
    assert_int_equal(none.n, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_first_block),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
