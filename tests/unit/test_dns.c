/* The resolver against a scripted name server on the same loop. Time is not waited for but moved: the loop's clock is
 * what the cache goes by, and it is read again only when libev calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proxy/net/dns.h"
#include "tests/unit/dns_rules.h"
#include "tests/unit/dns_server.h"

struct system_files {
    char dir[32], hosts[48], resolv[48];
};

struct fixture {
    struct loop loop;
    struct dns_server server;
    struct dns *dns;
    ev_timer watchdog;
};

/* What one question got. */
struct got {
    int calls;
    struct dns_query *q;
    struct dns_answer answer;
};

static void on_watchdog(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)w;
    (void)events;
    fprintf(stderr, "the answer never came\n");
    abort();
}

static struct rule *rule_of(const char *name, int type)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strcmp(rules[i].name, name) == 0 && rules[i].type == type)
            return &rules[i];
    abort();
}

static int setup_with(void **state, const struct system_files *files)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *why = NULL;
    loop_init(&f->loop);
    dns_server_start(&f->server, &f->loop, rules, ARRAY_LEN(rules));
    char *servers[] = { f->server.text };
    struct dns_options opt = { .servers = servers, .count = 1 };
    if (files != NULL)
        opt = (struct dns_options){ .resolv_conf = files->resolv, .hosts = files->hosts, .port = f->server.port };
    f->dns = dns_new(&f->loop, &opt, &why);
    assert_non_null(f->dns);
    ev_timer_init(&f->watchdog, on_watchdog, 20., 0.);
    ev_timer_start(f->loop.ev, &f->watchdog);
    *state = f;
    return 0;
}

static int setup(void **state) { return setup_with(state, NULL); }

static int teardown(void **state)
{
    struct fixture *f = *state;
    dns_free(&f->dns);
    assert_null(f->dns);
    dns_server_stop(&f->server);
    ev_timer_stop(f->loop.ev, &f->watchdog);
    loop_free(&f->loop);
    free(f);
    return 0;
}

static void on_done(void *arg, const struct dns_answer *answer)
{
    struct got *g = arg;
    g->calls++;
    g->q = NULL;
    g->answer = *answer;
}

static void wait_until(struct fixture *f, const struct got *g)
{
    while (g->calls == 0)
        ev_run(f->loop.ev, EVRUN_ONCE);
    assert_int_equal(g->calls, 1);
}

enum { TIMEOUT_MS = 5000, SHORT_MS = 50 };

static void resolve(struct fixture *f, struct got *g, const char *name, int timeout_ms)
{
    *g = (struct got){ .calls = 0 };
    loop_tick(&f->loop);
    g->q = dns_resolve(f->dns, name, timeout_ms * USEC_PER_MSEC, &g->answer, on_done, g);
}

static void reverse(struct fixture *f, struct got *g, const char *ip, int timeout_ms)
{
    struct netaddr a;
    *g = (struct got){ .calls = 0 };
    assert_true(netaddr_parse_ip(&a, span_str(ip)));
    a.port = 12345;
    loop_tick(&f->loop);
    g->q = dns_reverse(f->dns, &a, timeout_ms * USEC_PER_MSEC, &g->answer, on_done, g);
}

static void finish(struct fixture *f, struct got *g)
{
    if (g->q != NULL)
        wait_until(f, g);
}

static void check_addrs(const struct got *g, const char *want)
{
    char text[1024] = "", ip[NETADDR_STRLEN];
    assert_int_equal(g->answer.result, DNS_FOUND);
    for (unsigned i = 0; i < g->answer.count; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, netaddr_print_ip(&g->answer.addr[i], ip));
        assert_int_equal(g->answer.addr[i].port, 0);
    }
    assert_string_equal(text, want);
}

static void forward_answers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        enum dns_result result;
        const char *addrs;
        usec_t ttl; /* seconds */
    } cases[] = {
        { "v4.test", DNS_FOUND, "192.0.2.1 192.0.2.2", 30 },
        { "V4.TEST.", DNS_FOUND, "192.0.2.1 192.0.2.2", 30 },
        { "v6.test", DNS_FOUND, "2001:db8::1", 60 },
        { "gone.test", DNS_NONE, "", 5 },
        { "nothing.test", DNS_NONE, "", 5 },
        { "broken.test", DNS_TEMPFAIL, "", 1 },
        { "half.test", DNS_TEMPFAIL, "", 1 },
        { "other-half.test", DNS_FOUND, "192.0.2.9", 5 },
        { "big.test", DNS_TEMPFAIL, "", 1 },
        { "forged.test", DNS_FOUND, "192.0.2.4", 60 },
        { "alias.test", DNS_FOUND, "192.0.2.7", 20 },
        { "circle.test", DNS_NONE, "", 5 },
        { "bad-length.test", DNS_NONE, "", 5 },
        { "cut.test", DNS_TEMPFAIL, "", 1 },
        { "garbage.test", DNS_TEMPFAIL, "", 1 },
        { "zero-ttl.test", DNS_FOUND, "192.0.2.6", 1 },
        { "huge-ttl.test", DNS_FOUND, "192.0.2.6", 86400 },
        { "many.test", DNS_FOUND,
          "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 "
          "10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16",
          60 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct got g;
        resolve(f, &g, cases[i].name, TIMEOUT_MS);
        assert_non_null(g.q);
        assert_int_equal(g.calls, 0);
        wait_until(f, &g);
        assert_int_equal(g.answer.result, cases[i].result);
        assert_int_equal(g.answer.ttl, cases[i].ttl * USEC_PER_SEC);
        if (g.answer.result == DNS_FOUND)
            check_addrs(&g, cases[i].addrs);
        else
            assert_int_equal(g.answer.count, 0);
    }
}

/* ::1 has a route only where the machine has IPv6; without, it goes behind. */
static void families_take_turns(void **state)
{
    struct fixture *f = *state;
    struct got g;
    resolve(f, &g, "both.test", TIMEOUT_MS);
    wait_until(f, &g);
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    bool ipv6 = fd >= 0 && connect(fd, (const struct sockaddr *)&in6, sizeof(in6)) == 0;
    if (fd >= 0)
        close(fd);
    check_addrs(&g, ipv6 ? "::1 127.0.0.7 127.0.0.8" : "127.0.0.7 127.0.0.8 ::1");
    assert_int_equal(g.answer.ttl, 40 * USEC_PER_SEC);
}

static void answers_without_a_question(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        enum dns_result result;
        const char *addrs;
    } cases[] = {
        { "192.0.2.77", DNS_FOUND, "192.0.2.77" },
        { "2001:DB8::77", DNS_FOUND, "2001:db8::77" },
        { "::ffff:192.0.2.77", DNS_FOUND, "192.0.2.77" },
        { "localhost", DNS_FOUND, "127.0.0.1 ::1" },
        { "LOCALHOST.", DNS_FOUND, "127.0.0.1 ::1" },
        { "", DNS_NONE, "" },
        { "a b.test", DNS_NONE, "" },
        { "a..test", DNS_NONE, "" },
        { "1.2.3", DNS_NONE, "" },
        { "x123456789012345678901234567890123456789012345678901234567890123.test", DNS_NONE, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct got g;
        resolve(f, &g, cases[i].name, TIMEOUT_MS);
        assert_null(g.q);
        assert_int_equal(g.answer.result, cases[i].result);
        if (g.answer.result == DNS_FOUND)
            check_addrs(&g, cases[i].addrs);
    }
    struct netaddr local = { .family = NETADDR_UNIX }, none = { .port = 0 };
    struct dns_answer now;
    assert_null(dns_reverse(f->dns, &local, USEC_PER_SEC, &now, on_done, NULL));
    assert_int_equal(now.result, DNS_NONE);
    assert_null(dns_reverse(f->dns, &none, USEC_PER_SEC, &now, on_done, NULL));
    assert_int_equal(now.result, DNS_NONE);
    assert_int_equal(f->server.asked, 0);
}

static void cached_until_the_ttl_ends(void **state)
{
    struct fixture *f = *state;
    struct rule *rule = rule_of("v4.test", TYPE_A);
    struct got g;
    resolve(f, &g, "v4.test", TIMEOUT_MS);
    wait_until(f, &g);
    assert_int_equal(rule->asked, 1);
    for (int i = 0; i < 3; i++) {
        resolve(f, &g, "V4.test", TIMEOUT_MS);
        assert_null(g.q);
        check_addrs(&g, "192.0.2.1 192.0.2.2");
        assert_in_range(g.answer.ttl, 20 * USEC_PER_SEC, 30 * USEC_PER_SEC);
    }
    usec_t start = f->loop.mono;
    f->loop.mono = start + 29 * USEC_PER_SEC;
    assert_null(dns_resolve(f->dns, "v4.test", USEC_PER_SEC, &g.answer, on_done, &g));
    assert_true(g.answer.ttl <= USEC_PER_SEC);
    assert_int_equal(rule->asked, 1);
    f->loop.mono = start + 31 * USEC_PER_SEC;
    g = (struct got){ .calls = 0 };
    g.q = dns_resolve(f->dns, "v4.test", USEC_PER_SEC, &g.answer, on_done, &g);
    assert_non_null(g.q);
    wait_until(f, &g);
    check_addrs(&g, "192.0.2.1 192.0.2.2");
    assert_int_equal(rule->asked, 2);
}

/* What is not found is kept for 5 seconds, what could not be asked for 1. */
static void failures_are_cached_briefly(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        usec_t keep;
    } cases[] = { { "gone.test", 5 }, { "broken.test", 1 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rule *rule = rule_of(cases[i].name, TYPE_A);
        struct got g;
        resolve(f, &g, cases[i].name, TIMEOUT_MS);
        wait_until(f, &g);
        unsigned asked = rule->asked;
        enum dns_result result = g.answer.result;
        usec_t start = f->loop.mono;
        f->loop.mono = start + cases[i].keep * USEC_PER_SEC - 1;
        assert_null(dns_resolve(f->dns, cases[i].name, USEC_PER_SEC, &g.answer, on_done, &g));
        assert_int_equal(g.answer.result, result);
        assert_int_equal(rule->asked, asked);
        f->loop.mono = start + cases[i].keep * USEC_PER_SEC;
        g = (struct got){ .calls = 0 };
        g.q = dns_resolve(f->dns, cases[i].name, USEC_PER_SEC, &g.answer, on_done, &g);
        assert_non_null(g.q);
        wait_until(f, &g);
        assert_true(rule->asked > asked);
    }
}

static void equal_questions_share_a_lookup(void **state)
{
    struct fixture *f = *state;
    struct got many[100];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        reverse(f, &many[i], "192.0.2.1", TIMEOUT_MS);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        wait_until(f, &many[i]);
        assert_string_equal(many[i].answer.name, "v4.test");
    }
    assert_int_equal(rule_of("1.2.0.192.in-addr.arpa", TYPE_PTR)->asked, 1);
    assert_int_equal(rule_of("v4.test", TYPE_A)->asked, 1);
    assert_int_equal(f->server.asked, 2);
}

static void reverse_answers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *ip;
        enum dns_result result;
        const char *name;
        usec_t ttl;     /* seconds */
        unsigned asked; /* questions that the server got; failures are asked again as often as c-ares likes */
    } cases[] = {
        { "192.0.2.1", DNS_FOUND, "v4.test", 30, 2 }, { "2001:db8::1", DNS_FOUND, "v6.test", 5, 2 },
        { "192.0.2.2", DNS_FOUND, "V4.Test", 30, 3 }, { "192.0.2.7", DNS_FOUND, "alias.test", 20, 2 },
        { "192.0.2.10", DNS_NONE, "", 5, 2 },         { "192.0.2.11", DNS_NONE, "", 5, 2 },
        { "192.0.2.12", DNS_TEMPFAIL, "", 1, 0 },     { "192.0.2.13", DNS_NONE, "", 5, 1 },
        { "192.0.2.14", DNS_TEMPFAIL, "", 1, 0 },     { "192.0.2.20", DNS_NONE, "", 5, 1 },
        { "192.0.2.21", DNS_NONE, "", 5, 1 },         { "192.0.2.22", DNS_NONE, "", 5, 1 },
        { "192.0.2.23", DNS_NONE, "", 5, 1 },         { "192.0.2.24", DNS_NONE, "", 5, 1 },
        { "192.0.2.25", DNS_NONE, "", 5, 1 },         { "192.0.2.26", DNS_NONE, "", 5, 1 },
        { "198.51.100.1", DNS_NONE, "", 5, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct got g;
        f->server.asked = 0;
        reverse(f, &g, cases[i].ip, TIMEOUT_MS);
        assert_non_null(g.q);
        wait_until(f, &g);
        assert_int_equal(g.answer.result, cases[i].result);
        assert_string_equal(g.answer.name, cases[i].name);
        assert_int_equal(g.answer.ttl, cases[i].ttl * USEC_PER_SEC);
        if (g.answer.result != DNS_TEMPFAIL)
            assert_int_equal(f->server.asked, cases[i].asked);
        unsigned asked = f->server.asked;
        reverse(f, &g, cases[i].ip, TIMEOUT_MS);
        assert_null(g.q);
        assert_int_equal(g.answer.result, cases[i].result);
        assert_string_equal(g.answer.name, cases[i].name);
        assert_int_equal(f->server.asked, asked);
    }
}

/* The question ends at its time; the lookup goes on, for the next who asks. */
static void silence_costs_the_timeout(void **state)
{
    struct fixture *f = *state;
    struct got g, r, again;
    resolve(f, &g, "silent.test", SHORT_MS);
    reverse(f, &r, "192.0.2.15", SHORT_MS);
    usec_t start = f->loop.mono;
    wait_until(f, &g);
    wait_until(f, &r);
    assert_int_equal(g.answer.result, DNS_TEMPFAIL);
    assert_int_equal(r.answer.result, DNS_TEMPFAIL);
    assert_in_range(f->loop.mono - start, SHORT_MS * USEC_PER_MSEC, 450 * USEC_PER_MSEC);
    unsigned asked = rule_of("silent.test", TYPE_A)->asked;
    resolve(f, &again, "silent.test", SHORT_MS);
    assert_non_null(again.q);
    wait_until(f, &again);
    assert_int_equal(again.answer.result, DNS_TEMPFAIL);
    /* a lost datagram is sent again; then the answer comes after all */
    struct rule *rule = rule_of("silent.test", TYPE_A), *rule6 = rule_of("silent.test", TYPE_AAAA);
    rule->behaviour = rule6->behaviour = NXDOMAIN;
    resolve(f, &again, "silent.test", TIMEOUT_MS);
    assert_non_null(again.q);
    wait_until(f, &again);
    rule->behaviour = rule6->behaviour = SILENT;
    assert_int_equal(again.answer.result, DNS_NONE);
    assert_int_equal(rule->asked, asked + 1);
}

/* With no server at all the lookup itself ends, in bounded time, and leaves nothing behind. */
static void a_dead_server_ends_the_lookup(void **state)
{
    struct fixture *f = *state;
    struct got g;
    resolve(f, &g, "silent.test", 15000);
    usec_t start = f->loop.mono;
    wait_until(f, &g);
    assert_int_equal(g.answer.result, DNS_TEMPFAIL);
    assert_in_range(f->loop.mono - start, USEC_PER_SEC, 8 * USEC_PER_SEC);
    assert_int_equal(rule_of("silent.test", TYPE_A)->asked, 3);
}

static void one_family_is_enough_when_time_is_over(void **state)
{
    struct fixture *f = *state;
    struct got g;
    resolve(f, &g, "slow6.test", 200);
    wait_until(f, &g);
    check_addrs(&g, "192.0.2.66");
    assert_int_equal(g.answer.ttl, 0);
}

static void cancelled_in_flight(void **state)
{
    struct fixture *f = *state;
    struct got cancelled, kept, second;
    resolve(f, &cancelled, "v4.test", TIMEOUT_MS);
    resolve(f, &kept, "v4.test", TIMEOUT_MS);
    resolve(f, &second, "silent.test", SHORT_MS);
    dns_cancel(&cancelled.q);
    assert_null(cancelled.q);
    dns_cancel(&cancelled.q);
    wait_until(f, &kept);
    dns_cancel(&second.q);
    /* the answer to nobody is kept all the same */
    struct got alone;
    resolve(f, &alone, "v6.test", TIMEOUT_MS);
    dns_cancel(&alone.q);
    while (rule_of("v6.test", TYPE_AAAA)->asked == 0)
        ev_run(f->loop.ev, EVRUN_ONCE);
    struct got g;
    resolve(f, &g, "both.test", TIMEOUT_MS);
    wait_until(f, &g);
    resolve(f, &g, "v6.test", TIMEOUT_MS);
    finish(f, &g);
    check_addrs(&g, "2001:db8::1");
    assert_int_equal(rule_of("v6.test", TYPE_AAAA)->asked, 1);
    assert_int_equal(cancelled.calls + second.calls + alone.calls, 0);
}

/* The first who is told cancels the second, and asks something new. */
struct meddler {
    struct fixture *f;
    struct got *victim;
    struct got next;
    int calls;
};

static void on_meddle(void *arg, const struct dns_answer *answer)
{
    struct meddler *m = arg;
    assert_int_equal(answer->result, DNS_FOUND);
    m->calls++;
    dns_cancel(&m->victim->q);
    m->next.q = dns_resolve(m->f->dns, "v6.test", USEC_PER_SEC, &m->next.answer, on_done, &m->next);
}

static void done_may_ask_and_cancel(void **state)
{
    struct fixture *f = *state;
    struct got victim, last;
    struct meddler m = { .f = f, .victim = &victim };
    struct dns_answer now;
    struct dns_query *q = dns_resolve(f->dns, "v4.test", USEC_PER_SEC, &now, on_meddle, &m);
    assert_non_null(q);
    resolve(f, &victim, "v4.test", TIMEOUT_MS);
    resolve(f, &last, "v4.test", TIMEOUT_MS);
    wait_until(f, &last);
    assert_int_equal(m.calls, 1);
    assert_int_equal(victim.calls, 0);
    assert_non_null(m.next.q);
    wait_until(f, &m.next);
    check_addrs(&m.next, "2001:db8::1");
}

static void freed_while_lookups_run(void **state)
{
    struct fixture *f = *state;
    struct got g;
    resolve(f, &g, "silent.test", TIMEOUT_MS);
    dns_cancel(&g.q);
    reverse(f, &g, "192.0.2.15", TIMEOUT_MS);
    dns_cancel(&g.q);
}

/* A flood of reverse lookups meets its bound; a name can still be looked up. */
static void lookups_are_bounded(void **state)
{
    struct fixture *f = *state;
    enum { MANY = DNS_LOOKUPS_MAX + 50 };
    struct got *many = calloc(MANY, sizeof(*many)), g;
    for (int i = 0; i < MANY; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.%d.%d.1", i / 200, i % 200);
        reverse(f, &many[i], ip, TIMEOUT_MS);
        assert_int_equal(many[i].q != NULL, i < DNS_LOOKUPS_MAX);
        if (many[i].q == NULL)
            assert_int_equal(many[i].answer.result, DNS_TEMPFAIL);
    }
    resolve(f, &g, "v4.test", TIMEOUT_MS);
    wait_until(f, &g);
    check_addrs(&g, "192.0.2.1 192.0.2.2");
    for (int i = 0; i < DNS_LOOKUPS_MAX; i++) {
        wait_until(f, &many[i]);
        assert_int_equal(many[i].answer.result, DNS_NONE);
    }
    reverse(f, &g, "192.0.2.1", TIMEOUT_MS);
    wait_until(f, &g);
    assert_string_equal(g.answer.name, "v4.test");
    free(many);
}

/* Far more addresses than the cache holds; the one in use stays. */
static void cache_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct got g;
    resolve(f, &g, "v4.test", TIMEOUT_MS);
    wait_until(f, &g);
    for (int i = 0; i < 2200; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.9.%d.%d", i / 250, i % 250);
        reverse(f, &g, ip, TIMEOUT_MS);
        finish(f, &g);
        reverse(f, &g, "192.0.2.1", TIMEOUT_MS);
        finish(f, &g);
        assert_string_equal(g.answer.name, "v4.test");
    }
    assert_int_equal(rule_of("1.2.0.192.in-addr.arpa", TYPE_PTR)->asked, 1);
    /* the one not used for long is gone, the last is there, and the name was never in danger */
    reverse(f, &g, "10.9.0.0", TIMEOUT_MS);
    assert_non_null(g.q);
    wait_until(f, &g);
    reverse(f, &g, "10.9.8.199", TIMEOUT_MS);
    assert_null(g.q);
    resolve(f, &g, "v4.test", TIMEOUT_MS);
    assert_null(g.q);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_files(struct system_files *s, const char *hosts, const char *resolv)
{
    strcpy(s->dir, "/tmp/test_dns.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->hosts, sizeof(s->hosts), "%s/hosts", s->dir);
    snprintf(s->resolv, sizeof(s->resolv), "%s/resolv.conf", s->dir);
    write_file(s->hosts, hosts);
    write_file(s->resolv, resolv);
}

static void remove_files(const struct system_files *s)
{
    unlink(s->hosts);
    unlink(s->resolv);
    rmdir(s->dir);
}

static struct fixture *setup_files(const struct system_files *s)
{
    void *f = NULL;
    setup_with(&f, s);
    return f;
}

static void teardown_files(struct fixture *f)
{
    void *state = f;
    teardown(&state);
}

/* Nothing here asks a name server: that of the file would be another one's. */
static void hosts_file(void **state)
{
    (void)state;
    struct fixture *f;
    struct system_files files;
    struct got g;
    make_files(&files,
               "# comment\n"
               "192.0.2.200 printer.lan Printer # trailing\n"
               "\n2001:db8::200\tprinter.lan.\r\n"
               "192.0.2.201\n"
               "fe80::1%lo0 scoped\n"
               "junk line\n"
               "127.0.0.1 localhost\n"
               "192.0.2.202 bad/name good.lan\n"
               "192.0.2.203 last.lan",
               "nameserver 127.0.0.1\n");
    f = setup_files(&files);
    static const char *const forward[][2] = {
        { "printer.lan", "192.0.2.200 2001:db8::200" },
        { "PRINTER.lan.", "192.0.2.200 2001:db8::200" },
        { "printer", "192.0.2.200" },
        { "localhost", "127.0.0.1" },
        { "good.lan", "192.0.2.202" },
        { "last.lan", "192.0.2.203" },
    };
    for (size_t i = 0; i < ARRAY_LEN(forward); i++) {
        resolve(f, &g, forward[i][0], TIMEOUT_MS);
        assert_null(g.q);
        check_addrs(&g, forward[i][1]);
    }
    static const char *const back[][2] = {
        { "192.0.2.200", "printer.lan" },
        { "2001:db8::200", "printer.lan" },
        { "127.0.0.1", "localhost" },
        { "192.0.2.203", "last.lan" },
    };
    for (size_t i = 0; i < ARRAY_LEN(back); i++) {
        reverse(f, &g, back[i][0], TIMEOUT_MS);
        assert_null(g.q);
        assert_int_equal(g.answer.result, DNS_FOUND);
        assert_string_equal(g.answer.name, back[i][1]);
    }
    /* a change is seen after a second */
    write_file(files.hosts, "192.0.2.210 printer.lan\n");
    f->loop.mono += USEC_PER_SEC;
    assert_null(dns_resolve(f->dns, "printer.lan", USEC_PER_SEC, &g.answer, on_done, &g));
    check_addrs(&g, "192.0.2.210");
    unlink(files.hosts);
    f->loop.mono += USEC_PER_SEC;
    assert_null(dns_resolve(f->dns, "localhost", USEC_PER_SEC, &g.answer, on_done, &g));
    check_addrs(&g, "127.0.0.1 ::1");
    remove_files(&files);
    teardown_files(f);
}

/* resolv.conf with a search list; then another server's is written, while a question to the old one is under way. */
static void resolv_conf_is_followed(void **state)
{
    (void)state;
    struct fixture *f;
    struct system_files files;
    struct got g, old;
    make_files(&files, "", "nameserver 127.0.0.2\n");
    f = setup_files(&files);
    resolve(f, &old, "printer", TIMEOUT_MS);
    write_file(files.resolv, "nameserver 127.0.0.1\nsearch search.test\n");
    f->loop.mono += 6 * USEC_PER_SEC;
    g = (struct got){ .calls = 0 };
    g.q = dns_resolve(f->dns, "v4.test", USEC_PER_SEC, &g.answer, on_done, &g);
    finish(f, &g);
    check_addrs(&g, "192.0.2.1 192.0.2.2");
    finish(f, &old);
    assert_int_equal(old.answer.result, DNS_TEMPFAIL);
    f->loop.mono += 30 * USEC_PER_SEC;
    static const char *const names[] = { "printer", "printer.search.test." };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        g = (struct got){ .calls = 0 };
        g.q = dns_resolve(f->dns, names[i], USEC_PER_SEC, &g.answer, on_done, &g);
        finish(f, &g);
        check_addrs(&g, "192.0.2.50");
    }
    g = (struct got){ .calls = 0 };
    g.q = dns_resolve(f->dns, "printer.", USEC_PER_SEC, &g.answer, on_done, &g);
    finish(f, &g);
    assert_int_equal(g.answer.result, DNS_NONE);
    remove_files(&files);
    teardown_files(f);
}

static void bad_servers(void **state)
{
    (void)state;
    static char *const bad[] = { "", "ns.example.com", "ns.example.com:53", "127.0.0.1:0", "127.0.0.1:x", "unix:/x" };
    struct loop loop;
    loop_init(&loop);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *servers[] = { "127.0.0.1", bad[i] };
        const char *why = NULL;
        assert_null(dns_new(&loop, &(struct dns_options){ .servers = servers, .count = 2 }, &why));
        assert_non_null(why);
    }
    char *good[] = { "127.0.0.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53" };
    const char *why = NULL;
    struct dns *d = dns_new(&loop, &(struct dns_options){ .servers = good, .count = 4 }, &why);
    assert_non_null(d);
    dns_free(&d);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forward_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(families_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_without_a_question, setup, teardown),
        cmocka_unit_test_setup_teardown(cached_until_the_ttl_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_are_cached_briefly, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_questions_share_a_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_costs_the_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_server_ends_the_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(one_family_is_enough_when_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(done_may_ask_and_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(freed_while_lookups_run, setup, teardown),
        cmocka_unit_test_setup_teardown(lookups_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_is_bounded, setup, teardown),
        cmocka_unit_test(hosts_file),
        cmocka_unit_test(resolv_conf_is_followed),
        cmocka_unit_test(bad_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
