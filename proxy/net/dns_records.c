/* c-ares has checked the header and the question; of it only the expansion of compressed names is used here, because
 * its own parsers give PTR records without TTL and don't look at the owners of records. */
#include "proxy/net/dns_records.h"

#include <ares.h>
#include <ares_nameser.h>

enum { RRS_MAX = 64, CHAIN_MAX = 8, HEADER_LEN = 12 };

struct rr {
    char *owner; /* of c-ares */
    unsigned type, class;
    uint32_t ttl;
    const uint8_t *data;
    size_t len;
};

struct answer {
    const uint8_t *msg, *at, *end;
    struct rr rr[RRS_MAX];
    unsigned count;
};

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static bool take_name(struct answer *a, char **name)
{
    long len;
    if (a->at >= a->end || ares_expand_name(a->at, a->msg, (int)(a->end - a->msg), name, &len) != ARES_SUCCESS)
        return false;
    a->at += len;
    return true;
}

static bool skip_question(struct answer *a)
{
    char *name;
    if (!take_name(a, &name))
        return false;
    ares_free_string(name);
    a->at += 4;
    return a->at <= a->end;
}

static bool take_rr(struct answer *a)
{
    struct rr *rr = &a->rr[a->count];
    if (!take_name(a, &rr->owner))
        return false;
    a->count++;
    if (a->end - a->at < 10)
        return false;
    rr->type = get16(a->at);
    rr->class = get16(a->at + 2);
    rr->ttl = (uint32_t)get16(a->at + 4) << 16 | get16(a->at + 6);
    if (rr->ttl >> 31) /* RFC 2181 section 8 */
        rr->ttl = 0;
    rr->len = get16(a->at + 8);
    rr->data = a->at + 10;
    if ((size_t)(a->end - rr->data) < rr->len)
        return false;
    a->at = rr->data + rr->len;
    return true;
}

static bool read_answer(struct answer *a)
{
    if (a->end - a->msg < HEADER_LEN)
        return false;
    unsigned questions = get16(a->msg + 4), answers = get16(a->msg + 6);
    a->at = a->msg + HEADER_LEN;
    while (questions-- > 0)
        if (!skip_question(a))
            return false;
    while (answers-- > 0 && a->count < RRS_MAX)
        if (!take_rr(a))
            return false;
    return true;
}

static bool is_rr(const struct rr *rr, unsigned type, const char *owner)
{
    return rr->type == type && rr->class == ns_c_in && strcasecmp(rr->owner, owner) == 0;
}

/* A name inside a record's data; it must end where the data ends. */
static bool name_of(const struct answer *a, const struct rr *rr, char out[DNS_NAME_SIZE])
{
    char *name;
    long len;
    if (rr->len == 0 || ares_expand_name(rr->data, a->msg, (int)(a->end - a->msg), &name, &len) != ARES_SUCCESS)
        return false;
    size_t n = strlen(name);
    bool ok = (size_t)len == rr->len && n < DNS_NAME_SIZE;
    if (ok)
        memcpy(out, name, n + 1);
    ares_free_string(name);
    return ok;
}

/* The owner of the records asked for, behind all CNAMEs, in whatever order these come. */
static void follow_chain(const struct answer *a, char owner[DNS_NAME_SIZE], uint32_t *ttl)
{
    for (unsigned hops = 0, i = 0; i < a->count && hops < CHAIN_MAX; i++) {
        if (!is_rr(&a->rr[i], ns_t_cname, owner) || !name_of(a, &a->rr[i], owner))
            continue;
        if (a->rr[i].ttl < *ttl)
            *ttl = a->rr[i].ttl;
        hops++;
        i = UINT32_MAX; /* from the first again */
    }
}

static bool take_addr(struct netaddr *out, const struct rr *rr)
{
    bool v4 = rr->type == ns_t_a;
    if (rr->len != (v4 ? 4 : 16))
        return false;
    *out = (struct netaddr){ .family = v4 ? NETADDR_IPV4 : NETADDR_IPV6 };
    memcpy(out->ip, rr->data, rr->len);
    return true;
}

static void collect(struct dns_records *out, const struct answer *a, const char *owner, enum dns_type type)
{
    unsigned wire_type = type == DNS_TYPE_A ? ns_t_a : type == DNS_TYPE_AAAA ? ns_t_aaaa : ns_t_ptr;
    unsigned max = type == DNS_TYPE_PTR ? DNS_PTRS_MAX : DNS_ADDRS_MAX;
    for (unsigned i = 0; i < a->count && out->count < max; i++) {
        const struct rr *rr = &a->rr[i];
        if (!is_rr(rr, wire_type, owner))
            continue;
        bool ok = type == DNS_TYPE_PTR ? name_of(a, rr, out->name[out->count]) : take_addr(&out->addr[out->count], rr);
        if (!ok)
            continue;
        out->count++;
        if (rr->ttl < out->ttl)
            out->ttl = rr->ttl;
    }
}

void dns_records_parse(struct dns_records *out, const uint8_t *msg, size_t n, const char *name, enum dns_type type)
{
    struct answer a = { .msg = msg, .end = msg + n };
    out->result = DNS_TEMPFAIL;
    out->count = 0;
    out->ttl = UINT32_MAX;
    size_t len = strlen(name);
    if (len < DNS_NAME_SIZE && read_answer(&a)) {
        char owner[DNS_NAME_SIZE];
        memcpy(owner, name, len + 1);
        follow_chain(&a, owner, &out->ttl);
        collect(out, &a, owner, type);
        out->result = out->count > 0 ? DNS_FOUND : DNS_NONE;
    }
    for (unsigned i = 0; i < a.count; i++)
        ares_free_string(a.rr[i].owner);
}
