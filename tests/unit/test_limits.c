#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "proxy/relay/limits.h"

static struct listener mx, submission;
static const struct limits_settings open_world = { .max_connections = 1000 };
static const struct limits_settings no_limits = { 0 };

static struct netaddr at(const char *ip, uint16_t port)
{
    struct netaddr a;
    assert_true(netaddr_parse_ip(&a, span_str(ip)));
    a.port = port;
    return a;
}

static int setup(void **state)
{
    atomic_store(&mx.connections, 0);
    atomic_store(&submission.connections, 0);
    *state = limits_new();
    return 0;
}

/* Each test leaves no connection behind. */
static int teardown(void **state)
{
    struct limits *l = *state;
    assert_int_equal(atomic_load(&mx.connections), 0);
    assert_int_equal(atomic_load(&submission.connections), 0);
    limits_free(&l);
    assert_null(l);
    return 0;
}

static enum limits_verdict enter(struct limits *l, const char *ip, uint16_t port, const struct limits_settings *set,
                                 usec_t now)
{
    struct netaddr a = at(ip, port);
    return limits_enter(l, &mx, &a, &open_world, set, now);
}

static void leave(struct limits *l, const char *ip, uint16_t port)
{
    struct netaddr a = at(ip, port);
    limits_leave(l, &mx, &a);
}

static void test_over_all(void **state)
{
    struct limits *l = *state;
    struct limits_settings global = { .max_connections = 3 }, own = { .max_connections = 2 };
    struct netaddr a = at("192.0.2.1", 1);
    assert_int_equal(limits_enter(l, &mx, &a, &global, &own, 0), LIMITS_OK);
    assert_int_equal(limits_enter(l, &mx, &a, &global, &own, 0), LIMITS_OK);
    assert_int_equal(limits_enter(l, &mx, &a, &global, &own, 0), LIMITS_FULL); /* the listener's own, and counted in */
    limits_leave(l, &mx, &a);
    assert_int_equal(limits_enter(l, &submission, &a, &global, &own, 0), LIMITS_OK);
    assert_int_equal(limits_enter(l, &submission, &a, &global, &own, 0), LIMITS_FULL); /* the global one */
    limits_leave(l, &submission, &a);
    limits_leave(l, &mx, &a);
    assert_int_equal(limits_enter(l, &mx, &a, &global, &own, 0), LIMITS_OK);
    for (int i = 0; i < 2; i++)
        limits_leave(l, &mx, &a);
    limits_leave(l, &submission, &a);
}

struct pair {
    const char *first, *second;
    bool same;
};
static const struct pair pairs[] = {
    { "192.0.2.1", "192.0.2.1", true },
    { "192.0.2.1", "192.0.2.2", false },
    { "192.0.2.1", "::ffff:192.0.2.1", true },
    { "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true },
    { "2001:db8:0:1::1", "2001:db8:0:2::1", false },
    { "0.0.0.0", "::1", false },
    { "0.0.0.1", "0:0:0:1::", false },
};

static void test_who_is_one_client(void **state)
{
    struct limits *l = *state;
    struct limits_settings one = { .max_connections_per_client = 1 };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct pair *p = &pairs[i];
        assert_int_equal(enter(l, p->first, 1, &one, 0), LIMITS_OK);
        assert_int_equal(enter(l, p->second, 1, &one, 0), p->same ? LIMITS_CLIENT : LIMITS_OK);
        leave(l, p->second, 1);
        leave(l, p->first, 1);
        assert_int_equal(enter(l, p->second, 1, &one, 0), LIMITS_OK);
        leave(l, p->second, 1);
    }
}

/* A refused connection counts until it leaves; FULL is told before the client's own limit. */
static void test_per_client(void **state)
{
    struct limits *l = *state;
    struct limits_settings two = { .max_connections_per_client = 2 }, full = { .max_connections = 1 };
    struct netaddr a = at("192.0.2.1", 9);
    assert_int_equal(enter(l, "192.0.2.1", 1, &two, 0), LIMITS_OK);
    assert_int_equal(enter(l, "192.0.2.1", 2, &two, 0), LIMITS_OK);
    assert_int_equal(enter(l, "192.0.2.1", 3, &two, 0), LIMITS_CLIENT);
    assert_int_equal(enter(l, "192.0.2.9", 3, &two, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 1);
    assert_int_equal(enter(l, "192.0.2.1", 4, &two, 0), LIMITS_CLIENT);
    leave(l, "192.0.2.1", 3);
    leave(l, "192.0.2.1", 4);
    assert_int_equal(enter(l, "192.0.2.1", 5, &two, 0), LIMITS_OK);
    assert_int_equal(limits_enter(l, &mx, &a, &full, &two, 0), LIMITS_FULL);
    leave(l, "192.0.2.1", 9);
    leave(l, "192.0.2.1", 2);
    leave(l, "192.0.2.1", 5);
    leave(l, "192.0.2.9", 3);
}

static void test_unix_peers_have_no_address(void **state)
{
    struct limits *l = *state;
    struct limits_settings one = { .max_connections_per_client = 1, .max_rate_per_client = 1 };
    struct netaddr peer = { .family = NETADDR_UNIX };
    for (int i = 0; i < 5; i++)
        assert_int_equal(limits_enter(l, &mx, &peer, &open_world, &one, 0), LIMITS_OK);
    for (int i = 0; i < 5; i++)
        limits_leave(l, &mx, &peer);
}

struct knock {
    double second;
    enum limits_verdict verdict;
};
/* Three a minute; refused ones count too. */
static const struct knock knocks[] = {
    { 100, LIMITS_OK },     { 101, LIMITS_OK },   { 130, LIMITS_OK },   { 130.5, LIMITS_RATE },
    { 159.9, LIMITS_RATE }, { 219.8, LIMITS_OK }, { 219.9, LIMITS_OK }, { 220, LIMITS_OK },
    { 220.1, LIMITS_RATE }, { 280, LIMITS_OK },   { 279.5, LIMITS_OK }, { 340, LIMITS_OK },
    { 10000, LIMITS_OK },   { 10000, LIMITS_OK }, { 10000, LIMITS_OK }, { 10000, LIMITS_RATE },
};

static void test_rate(void **state)
{
    struct limits *l = *state;
    struct limits_settings three = { .max_rate_per_client = 3 };
    for (size_t i = 0; i < ARRAY_LEN(knocks); i++) {
        usec_t now = (usec_t)(knocks[i].second * 1e6);
        enum limits_verdict v = enter(l, "192.0.2.1", (uint16_t)i, &three, now);
        if (v != knocks[i].verdict)
            fail_msg("knock %zu at %.1f: %d", i, knocks[i].second, (int)v);
        leave(l, "192.0.2.1", (uint16_t)i);
    }
}

static void test_rate_while_one_stays(void **state)
{
    struct limits *l = *state;
    struct limits_settings set = { .max_rate_per_client = 2, .max_connections_per_client = 2 };
    assert_int_equal(enter(l, "192.0.2.1", 1, &set, 0), LIMITS_OK);
    assert_int_equal(enter(l, "192.0.2.1", 2, &set, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 2);
    assert_int_equal(enter(l, "192.0.2.1", 3, &set, USEC_PER_SEC), LIMITS_RATE);
    assert_int_equal(enter(l, "192.0.2.1", 4, &set, 200 * USEC_PER_SEC), LIMITS_CLIENT);
    leave(l, "192.0.2.1", 3);
    leave(l, "192.0.2.1", 4);
    leave(l, "192.0.2.1", 1);
}

/* A reload switches limits on and off while connections live. */
static void test_reload(void **state)
{
    struct limits *l = *state;
    struct limits_settings one = { .max_connections_per_client = 1 }, two = { .max_connections_per_client = 2 };
    assert_int_equal(enter(l, "192.0.2.1", 1, &no_limits, 0), LIMITS_OK); /* not counted */
    assert_int_equal(enter(l, "192.0.2.1", 2, &one, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 1); /* takes nothing off */
    assert_int_equal(enter(l, "192.0.2.1", 3, &one, 0), LIMITS_CLIENT);
    leave(l, "192.0.2.1", 3);
    assert_int_equal(enter(l, "192.0.2.1", 4, &no_limits, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 2); /* counted off while off */
    assert_int_equal(enter(l, "192.0.2.1", 5, &two, 0), LIMITS_OK);
    assert_int_equal(enter(l, "192.0.2.1", 6, &two, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 4);
    assert_int_equal(enter(l, "192.0.2.1", 7, &two, 0), LIMITS_CLIENT);
    leave(l, "192.0.2.1", 7);
    leave(l, "192.0.2.1", 6);
    assert_int_equal(enter(l, "192.0.2.1", 8, &two, 0), LIMITS_OK);
    leave(l, "192.0.2.1", 5);
    leave(l, "192.0.2.1", 8);
}

/* The same port on two listeners: each connection is itself. */
static void test_two_listeners(void **state)
{
    struct limits *l = *state;
    struct limits_settings one = { .max_connections_per_client = 1 };
    struct netaddr a = at("192.0.2.1", 7);
    assert_int_equal(limits_enter(l, &submission, &a, &open_world, &no_limits, 0), LIMITS_OK);
    assert_int_equal(limits_enter(l, &mx, &a, &open_world, &one, 0), LIMITS_OK);
    limits_leave(l, &submission, &a);
    assert_int_equal(enter(l, "192.0.2.1", 8, &one, 0), LIMITS_CLIENT);
    leave(l, "192.0.2.1", 8);
    limits_leave(l, &mx, &a);
}

/* Heap in use, as the allocator tells. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
size_t __sanitizer_get_current_allocated_bytes(void);
static size_t heap_in_use(void) { return __sanitizer_get_current_allocated_bytes(); }
#else
#include <malloc.h>
static size_t heap_in_use(void) { return mallinfo2().uordblks; }
#endif

/* A connection from each of n networks, one after the other. */
static void scan(struct limits *l, const struct limits_settings *set, unsigned first, unsigned n, usec_t now)
{
    struct netaddr a = at("2001:db8::1", 25);
    for (unsigned i = first; i < first + n; i++) {
        memcpy(a.ip + 4, &i, 4);
        assert_int_equal(limits_enter(l, &mx, &a, &open_world, set, now), LIMITS_OK);
        limits_leave(l, &mx, &a);
    }
}

static void test_scan_of_addresses(void **state)
{
    struct limits *l = *state;
    struct limits_settings count = { .max_connections_per_client = 1 };
    struct limits_settings speed = { .max_rate_per_client = 1 };
    size_t before = heap_in_use();
    scan(l, &count, 0, 100000, 0);
    assert_int_equal(heap_in_use(), before); /* without a rate nothing is remembered */
    scan(l, &speed, 0, 70000, 0);
    size_t most = heap_in_use();
    scan(l, &speed, 100000, 70000, 1);
    assert_in_range(heap_in_use(), 0, most + most / 8);
    assert_in_range(most - before, 1, 32U << 20);
    scan(l, &no_limits, 0, 70000, 61 * USEC_PER_SEC); /* all are forgotten a minute later, also with limits off */
    assert_in_range(heap_in_use(), 0, before + (3U << 20));
    assert_int_equal(enter(l, "192.0.2.1", 1, &speed, 61 * USEC_PER_SEC), LIMITS_OK);
    assert_int_equal(enter(l, "192.0.2.1", 2, &speed, 61 * USEC_PER_SEC), LIMITS_RATE);
    leave(l, "192.0.2.1", 2);
    leave(l, "192.0.2.1", 1);
}

enum { THREADS = 4, ROUNDS = 3000, HELD = 8 };

/* Connections of shared addresses come and go; a reload every few rounds. */
static void *storm(void *arg)
{
    static const struct limits_settings kind[] = {
        { 0 }, { .max_connections_per_client = 3 }, { .max_rate_per_client = 50 }, { .max_connections_per_client = 1 }
    };
    struct limits *l = arg;
    struct netaddr held[HELD];
    unsigned seed = (unsigned)(uintptr_t)&held;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct netaddr *a = &held[i % HELD];
        if (i >= HELD)
            limits_leave(l, &mx, a);
        *a = (struct netaddr){ .family = NETADDR_IPV4, .ip = { 10, 0, 0, (uint8_t)(rand_r(&seed) % 5) } };
        a->port = (uint16_t)rand_r(&seed);
        enum limits_verdict v = limits_enter(l, &mx, a, &open_world, &kind[i / 64 % ARRAY_LEN(kind)], i * 100000);
        if (v == LIMITS_FULL)
            abort();
    }
    for (unsigned i = 0; i < HELD; i++)
        limits_leave(l, &mx, &held[i]);
    return NULL;
}

static void test_threads(void **state)
{
    struct limits *l = *state;
    struct limits_settings one = { .max_connections_per_client = 1 };
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, storm, l), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < 5; i++) { /* after the storm the sums agree */
        struct netaddr a = { .family = NETADDR_IPV4, .ip = { 10, 0, 0, (uint8_t)i } };
        assert_int_equal(limits_enter(l, &mx, &a, &(struct limits_settings){ .max_connections = 1 }, &one, 0),
                         LIMITS_OK);
        limits_leave(l, &mx, &a);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_over_all),
        CASE(test_who_is_one_client),
        CASE(test_per_client),
        CASE(test_unix_peers_have_no_address),
        CASE(test_rate),
        CASE(test_rate_while_one_stays),
        CASE(test_reload),
        CASE(test_two_listeners),
        CASE(test_scan_of_addresses),
        CASE(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
