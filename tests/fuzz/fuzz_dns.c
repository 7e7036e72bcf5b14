/* Any bytes as a name server's answer: bounded in count and length, found only with records, and only of the type asked
 * for. */
#include <stdlib.h>

#include "proxy/net/dns_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

static void check_type(const uint8_t *msg, size_t size, enum dns_type type)
{
    static struct dns_records got;
    memset(&got, 0xa5, sizeof(got));
    dns_records_parse(&got, msg, size, "a.test", type);
    CHECK((got.result == DNS_FOUND) == (got.count > 0));
    CHECK(got.count <= (type == DNS_TYPE_PTR ? (unsigned)DNS_PTRS_MAX : (unsigned)DNS_ADDRS_MAX));
    CHECK(got.count == 0 || got.ttl <= INT32_MAX);
    for (unsigned i = 0; i < got.count; i++) {
        if (type == DNS_TYPE_PTR)
            CHECK(memchr(got.name[i], '\0', DNS_NAME_SIZE) != NULL);
        else
            CHECK(got.addr[i].family == (type == DNS_TYPE_A ? NETADDR_IPV4 : NETADDR_IPV6) && got.addr[i].port == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* a copy of its own, so that the sanitizer sees each byte past its end */
    uint8_t *msg = malloc(size + 1);
    if (size > 0)
        memcpy(msg, data, size);
    uint8_t *exact = realloc(msg, size > 0 ? size : 1);
    check_type(exact, size, DNS_TYPE_A);
    check_type(exact, size, DNS_TYPE_AAAA);
    check_type(exact, size, DNS_TYPE_PTR);
    free(exact);
    return 0;
}
