#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/digest/digest.h"

static void check_hex(const unsigned char *got, size_t n, const char *want)
{
    char hex[2 * DIGEST_SHA256 + 1];
    digest_hex(got, n, hex);
    assert_string_equal(hex, want);
}

/* FIPS 180-2, RFC 4231, RFC 2202, RFC 7914. */
static void vectors(void **state)
{
    (void)state;
    unsigned char out[DIGEST_SHA256];
    digest_sha256(SPAN_NONE, out);
    check_hex(out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_sha256(span_str("abc"), out);
    check_hex(out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_hmac_sha256(span_str("Jefe"), span_str("what do ya want for nothing?"), out);
    check_hex(out, sizeof(out), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac_sha256(SPAN_NONE, SPAN_NONE, out);
    check_hex(out, sizeof(out), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    assert_true(digest_has_md5());
    assert_true(digest_hmac_md5(span_str("Jefe"), span_str("what do ya want for nothing?"), out));
    check_hex(out, DIGEST_MD5, "750c783e6ab0b503eaa86e310a5db738");
    assert_true(digest_hmac_md5(SPAN_NONE, SPAN_NONE, out));
    check_hex(out, DIGEST_MD5, "74e6f7298a9c2d168935f58c001bad88");
    digest_pbkdf2_sha256(span_str("passwd"), span_str("salt"), 1, out);
    check_hex(out, sizeof(out), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    digest_pbkdf2_sha256(span_str("Password"), span_str("NaCl"), 80000, out);
    check_hex(out, sizeof(out), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void key_of_each_length(void **state)
{
    (void)state;
    char key[131];
    memset(key, 0xaa, sizeof(key));
    unsigned char out[DIGEST_SHA256], streamed[DIGEST_SHA256];
    struct span text = span_str("Test Using Larger Than Block-Size Key - Hash Key First");
    digest_hmac_sha256(span_of(key, sizeof(key)), text, out);
    check_hex(out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    for (size_t n = 0; n <= sizeof(key); n++) {
        digest_hmac_sha256(span_of(key, n), text, out);
        struct digest_hmac *h = digest_hmac_new(span_of(key, n));
        digest_hmac_add(h, text);
        digest_hmac_end(h, streamed);
        digest_hmac_free(&h);
        assert_memory_equal(out, streamed, sizeof(out));
    }
}

/* The pieces don't matter, and each code begins anew with the key. */
static void streamed(void **state)
{
    (void)state;
    struct span text = span_str("what do ya want for nothing?");
    unsigned char want[DIGEST_SHA256], got[DIGEST_SHA256];
    digest_hmac_sha256(span_str("Jefe"), text, want);
    struct digest_hmac *h = digest_hmac_new(span_str("Jefe"));
    for (size_t cut = 0; cut <= text.n; cut++) {
        digest_hmac_add(h, span_head(text, cut));
        digest_hmac_add(h, SPAN_NONE);
        digest_hmac_add(h, span_skip(text, cut));
        digest_hmac_end(h, got);
        assert_memory_equal(got, want, sizeof(want));
    }
    for (size_t i = 0; i < text.n; i++)
        digest_hmac_add(h, span_of(text.p + i, 1));
    digest_hmac_end(h, got);
    assert_memory_equal(got, want, sizeof(want));
    digest_hmac_end(h, got);
    digest_hmac_sha256(span_str("Jefe"), SPAN_NONE, want);
    assert_memory_equal(got, want, sizeof(want));
    digest_hmac_free(&h);
    assert_null(h);
    digest_hmac_free(&h);
}

static void compared(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        { "", "", true },       { "a", "a", true },        { "a", "b", false },       { "a", "", false },
        { "ab", "abc", false }, { "secret", "secret", 1 }, { "secret", "Secret", 0 }, { "\xc3\xa4", "\xc3\xa4", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span a = span_str(cases[i].a), b = span_str(cases[i].b);
        assert_int_equal(digest_equal_text(a, b), cases[i].same);
        if (a.n == b.n)
            assert_int_equal(digest_equal(a.p, b.p, a.n), cases[i].same);
    }
    assert_true(digest_equal(NULL, NULL, 0));
    assert_true(digest_equal_text(SPAN_NONE, SPAN_LIT("")));
}

static void hex(void **state)
{
    (void)state;
    char out[9] = "unwritten";
    digest_hex((const unsigned char *)"\x00\x9a\xff\x10", 4, out);
    assert_string_equal(out, "009aff10");
    digest_hex(NULL, 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),  cmocka_unit_test(key_of_each_length),
        cmocka_unit_test(streamed), cmocka_unit_test(compared),
        cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
