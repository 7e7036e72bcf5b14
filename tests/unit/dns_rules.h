/* What the name server of test_dns says. */
#ifndef TESTS_UNIT_DNS_RULES_H
#define TESTS_UNIT_DNS_RULES_H

#include "tests/unit/dns_server.h"

#define R(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static struct rule rules[] = {
    { "v4.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 60, "192.0.2.1", 0), R(NULL, TYPE_A, 30, "192.0.2.2", 0) }, 0 },
    { "v6.test", TYPE_AAAA, ANSWER, { R(NULL, TYPE_AAAA, 60, "2001:db8::1", 0) }, 0 },
    { "both.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 60, "127.0.0.7", 0), R(NULL, TYPE_A, 60, "127.0.0.8", 0) }, 0 },
    { "both.test", TYPE_AAAA, ANSWER, { R(NULL, TYPE_AAAA, 40, "::1", 0) }, 0 },
    { "gone.test", TYPE_A, NXDOMAIN, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "gone.test", TYPE_AAAA, NXDOMAIN, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "broken.test", TYPE_A, SERVFAIL, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "broken.test", TYPE_AAAA, SERVFAIL, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "half.test", TYPE_A, SERVFAIL, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "other-half.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 600, "192.0.2.9", 0) }, 0 },
    { "other-half.test", TYPE_AAAA, SERVFAIL, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "silent.test", TYPE_A, SILENT, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "silent.test", TYPE_AAAA, SILENT, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "slow6.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 60, "192.0.2.66", 0) }, 0 },
    { "slow6.test", TYPE_AAAA, SILENT, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "big.test", TYPE_A, TRUNCATED, { R(NULL, TYPE_A, 60, "192.0.2.3", 0) }, 0 },
    { "forged.test", TYPE_A, FORGED_FIRST, { R(NULL, TYPE_A, 60, "192.0.2.4", 0) }, 0 },
    { "cut.test", TYPE_A, CUT, { R(NULL, TYPE_A, 60, "192.0.2.5", 0) }, 0 },
    { "garbage.test", TYPE_A, GARBAGE, { R(NULL, TYPE_A, 60, "192.0.2.5", 0) }, 0 },
    { "zero-ttl.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 0, "192.0.2.6", 0) }, 0 },
    { "huge-ttl.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 0x7fffffff, "192.0.2.6", 0) }, 0 },
    { "bad-length.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 60, "\1\2\3", 3) }, 0 },
    /* a chain out of order, and addresses of others among it */
    { "alias.test",
      TYPE_A,
      ANSWER,
      { R("end.test", TYPE_A, 300, "192.0.2.7", 0), R("stray.test", TYPE_A, 1, "192.0.2.8", 0),
        R("middle.test", TYPE_CNAME, 20, "END.test", 0), R(NULL, TYPE_CNAME, 50, "middle.test", 0),
        R(NULL, TYPE_A, 1, "192.0.2.99", 0) },
      0 },
    { "circle.test",
      TYPE_A,
      ANSWER,
      { R(NULL, TYPE_CNAME, 50, "circle2.test", 0), R("circle2.test", TYPE_CNAME, 50, "circle.test", 0) },
      0 },
    { "many.test",
      TYPE_A,
      ANSWER,
      { R(NULL, TYPE_A, 60, "10.0.0.1", 0), R(NULL, TYPE_A, 60, "10.0.0.2", 0), R(NULL, TYPE_A, 60, "10.0.0.3", 0),
        R(NULL, TYPE_A, 60, "10.0.0.4", 0), R(NULL, TYPE_A, 60, "10.0.0.5", 0), R(NULL, TYPE_A, 60, "10.0.0.6", 0),
        R(NULL, TYPE_A, 60, "10.0.0.7", 0), R(NULL, TYPE_A, 60, "10.0.0.8", 0), R(NULL, TYPE_A, 60, "10.0.0.9", 0),
        R(NULL, TYPE_A, 60, "10.0.0.10", 0), R(NULL, TYPE_A, 60, "10.0.0.11", 0), R(NULL, TYPE_A, 60, "10.0.0.12", 0),
        R(NULL, TYPE_A, 60, "10.0.0.13", 0), R(NULL, TYPE_A, 60, "10.0.0.14", 0), R(NULL, TYPE_A, 60, "10.0.0.15", 0),
        R(NULL, TYPE_A, 60, "10.0.0.16", 0), R(NULL, TYPE_A, 60, "10.0.0.17", 0) },
      0 },
    { "printer.search.test", TYPE_A, ANSWER, { R(NULL, TYPE_A, 60, "192.0.2.50", 0) }, 0 },

    { "1.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 3600, "v4.test", 0) }, 0 },
    { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
      TYPE_PTR,
      ANSWER,
      { R(NULL, TYPE_PTR, 0, "v6.test", 0) },
      0 },
    { "10.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "v4.test", 0) }, 0 }, /* not its address */
    { "11.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "gone.test", 0) }, 0 },
    { "12.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "broken.test", 0) }, 0 },
    { "13.2.0.192.in-addr.arpa", TYPE_PTR, NXDOMAIN, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "14.2.0.192.in-addr.arpa", TYPE_PTR, SERVFAIL, { R(NULL, 0, 0, NULL, 0) }, 0 },
    { "15.2.0.192.in-addr.arpa", TYPE_PTR, SILENT, { R(NULL, 0, 0, NULL, 0) }, 0 },
    /* the second name is the good one */
    { "2.2.0.192.in-addr.arpa",
      TYPE_PTR,
      ANSWER,
      { R(NULL, TYPE_PTR, 60, "gone.test", 0), R(NULL, TYPE_PTR, 60, "V4.Test", 0) },
      0 },
    /* through a CNAME, as RFC 2317 delegates */
    { "7.2.0.192.in-addr.arpa",
      TYPE_PTR,
      ANSWER,
      { R(NULL, TYPE_CNAME, 60, "7.0-15.2.0.192.in-addr.arpa", 0),
        R("7.0-15.2.0.192.in-addr.arpa", TYPE_PTR, 60, "alias.test", 0) },
      0 },
    /* what is no host name, asked for by nobody */
    { "20.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "\4a\r\nb\4test", 11) }, 0 },
    { "21.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "\3a\0b\4test", 10) }, 0 },
    { "22.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "\4a.b\xc3\4test", 11) }, 0 },
    { "23.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "\3a.b\4test", 10) }, 0 },
    { "24.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "192.0.2.24", 0) }, 0 },
    { "25.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "", 1) }, 0 },
    { "26.2.0.192.in-addr.arpa", TYPE_PTR, ANSWER, { R(NULL, TYPE_PTR, 60, "\77x", 2) }, 0 },
};

#endif
