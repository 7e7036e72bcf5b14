/* Durations, sizes and the distance of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        usec_t us;
    } CASES[] = {
        { "500ms", 500 * USEC_PER_MSEC },
        { "1500ms", 1500 * USEC_PER_MSEC },
        { "0s", 0 },
        { "30s", 30 * USEC_PER_SEC },
        { "5m", 300 * USEC_PER_SEC },
        { "1h", 3600 * USEC_PER_SEC },
        { "4m30s", 270 * USEC_PER_SEC },
        { "1h2m3s4ms", 3723004 * USEC_PER_MSEC },
        { "2562047788h", 2562047788 * (3600 * USEC_PER_SEC) },
        { "2562047789h", -1 },
        { "99999999999999999999s", -1 },
        { "", -1 },
        { "5", -1 },
        { "s", -1 },
        { "1s1m", -1 },
        { "1m1m", -1 },
        { "1.5s", -1 },
        { "-1s", -1 },
        { " 1s", -1 },
        { "1 s", -1 },
        { "1s ", -1 },
        { "1S", -1 },
        { "1us", -1 },
        { "1d", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        usec_t us = -2;
        bool good = conf_duration_parse(&us, span_str(CASES[i].text));
        assert_int_equal(good, CASES[i].us >= 0);
        if (good)
            assert_int_equal(us, CASES[i].us);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t size;
    } CASES[] = {
        { "0", true, 0 },
        { "4096", true, 4096 },
        { "64KiB", true, 65536 },
        { "25MiB", true, 26214400 },
        { "1GiB", true, 1073741824 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "17179869184GiB", false, 0 },
        { "64KB", false, 0 },
        { "64kib", false, 0 },
        { "KiB", false, 0 },
        { "1KiB1", false, 0 },
        { "1 KiB", false, 0 },
        { "", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        uint64_t size = 0;
        assert_int_equal(conf_size_parse(&size, span_str(CASES[i].text)), CASES[i].good);
        if (CASES[i].good)
            assert_true(size == CASES[i].size);
    }
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } CASES[] = {
        { "", "", 0 },
        { "abc", "abc", 0 },
        { "abc", "", 3 },
        { "", "ab", 2 },
        { "abc", "ab", 1 },
        { "abc", "abcd", 1 },
        { "abc", "axc", 1 },
        { "abc", "acb", 1 },
        { "abc", "xyz", 3 },
        { "ca", "abc", 3 },
        { "listners", "listeners", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(conf_distance(span_str(CASES[i].a), span_str(CASES[i].b)), CASES[i].distance);
        assert_int_equal(conf_distance(span_str(CASES[i].b), span_str(CASES[i].a)), CASES[i].distance);
    }
    char longer[61];
    memset(longer, 'x', 60);
    longer[60] = '\0';
    assert_int_equal(conf_distance(span_str(longer), SPAN_LIT("x")), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
