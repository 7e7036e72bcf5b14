/* The names of mechanisms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/smtp/sasl.h"

static void test_names(void **state)
{
    (void)state;
    enum sasl_mechanism m;
    for (unsigned i = 0; i < SASL_COUNT; i++) {
        assert_true(sasl_find(span_str(sasl_name((enum sasl_mechanism)i)), &m));
        assert_int_equal(m, i);
    }
    assert_true(sasl_find(SPAN_LIT("cram-md5"), &m));
    assert_int_equal(m, SASL_CRAM_MD5);
    static const char *const UNKNOWN[] = { "", "PLAI", "PLAIN ", "GSSAPI", "SCRAM-SHA-1" };
    for (size_t i = 0; i < ARRAY_LEN(UNKNOWN); i++)
        assert_false(sasl_find(span_str(UNKNOWN[i]), &m));
    assert_true(sasl_client_first(SASL_PLAIN));
    assert_false(sasl_client_first(SASL_LOGIN));
    assert_false(sasl_client_first(SASL_CRAM_MD5));
    assert_true(sasl_takes_initial(SASL_PLAIN));
    assert_true(sasl_takes_initial(SASL_LOGIN));
    assert_false(sasl_takes_initial(SASL_CRAM_MD5));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
