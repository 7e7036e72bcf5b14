/* P.head: its slots are in the order of the runs, wherever the clock was. */
#include "proxy/log/head.h"
#include "tests/unit/log_rig.h"

static const struct span KEY = SPAN_LIT("0123456789abcdef0123456789abcdef");

static void put_slot(const char *path, const char *run, usec_t time)
{
    struct digest_hmac *hmac = digest_hmac_new(KEY);
    struct chain_head head = { .seq = 7, .time = time };
    char slot[CHAIN_SLOT];
    snprintf(head.run, sizeof(head.run), "%s", run);
    memset(head.hash, 'a', CHAIN_HEX);
    chain_head_print(hmac, &head, slot);
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_int_equal(write(fd, slot, sizeof(slot)), sizeof(slot));
    close(fd);
    digest_hmac_free(&hmac);
}

static struct chain_head read_slot(const char *path, unsigned i)
{
    struct digest_hmac *hmac = digest_hmac_new(KEY);
    struct chain_head head;
    size_t len;
    char *text = read_file(path, &len);
    assert_true(len >= (i + 1) * CHAIN_SLOT);
    assert_true(chain_head_read(hmac, span_of(text + i * CHAIN_SLOT, CHAIN_SLOT), &head));
    free(text);
    digest_hmac_free(&hmac);
    return head;
}

/* A run of a time when the clock was ahead is older than we are, and what we follow. */
static void a_clock_that_was_ahead(void **state)
{
    static const usec_t AHEAD = INT64_C(4102444800) * USEC_PER_SEC; /* the year 2100 */
    struct rig *rig = *state;
    char path[160], why[OUTPUT_WHY_MAX];
    struct output_settings set = { .path = rig->path[0], .mode = 0600 };
    snprintf(path, sizeof(path), "%s.head", rig->path[0]);
    put_slot(path, "0run0old", AHEAD);
    struct head *h = head_open(&set, KEY, "0run0one", why);
    assert_non_null(h);
    assert_int_equal(h->chain.hash[0], 'a');
    assert_true(read_slot(path, 1).time > AHEAD);
    memset(h->chain.hash, 'b', CHAIN_HEX);
    h->chain.seq = 3;
    assert_int_equal(head_write(h), 0);
    head_free(&h);
    h = head_open(&set, KEY, "0run0two", why);
    assert_non_null(h);
    assert_int_equal(h->chain.hash[0], 'b');
    assert_true(read_slot(path, 2).time > read_slot(path, 1).time);
    head_free(&h);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clock_that_was_ahead, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
