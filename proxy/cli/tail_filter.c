/* Outcomes (`message`, `rcpt`) carry status and domains, so these two filters show outcomes alone; the others show
 * whole sessions. */
#include <stdlib.h>

#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"

bool tail_filter_client(struct tail_filter *f, const char *text, const char **why)
{
    f->client = text;
    f->by_network = cidr_parse(&f->network, span_str(text), why);
    if (f->by_network || netaddr_is_hostname(span_str(text)))
        return true;
    *why = "an address, a network such as 10.0.0.0/8, unix, or a domain";
    return false;
}

bool tail_filter_domain(struct tail_filter *f, const char *text, const char **why)
{
    f->domain = text[0] == '@' ? text + 1 : text;
    *why = "a domain such as example.com";
    return f->domain[0] != '\0';
}

static bool add_status(struct tail_filter *f, struct span word)
{
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        if (span_eq(word, span_str(status_word((enum txn_status)i)))) {
            f->statuses |= 1U << i;
            return true;
        }
    }
    return false;
}

bool tail_filter_status(struct tail_filter *f, const char *text, const char **why)
{
    *why = "one or more of accepted, deferred, rejected, indeterminate, aborted, reset, with commas between";
    for (;;) {
        size_t n = strcspn(text, ",");
        if (!add_status(f, span_of(text, n)))
            return false;
        if (text[n] == '\0')
            return true;
        text += n + 1;
    }
}

static bool find_level(struct span word, enum level *level)
{
    static const enum level levels[] = { LEVEL_ERROR, LEVEL_INFO, LEVEL_DEBUG };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (span_eq(word, span_str(level_word(levels[i])))) {
            *level = levels[i];
            return true;
        }
    }
    return false;
}

bool tail_filter_level(struct tail_filter *f, const char *text, const char **why)
{
    *why = "one of error, info, debug";
    return find_level(span_str(text), &f->level);
}

bool tail_filter_is_open(const struct tail_filter *f)
{
    return f->cid == NULL && f->client == NULL && f->domain == NULL && f->statuses == 0 && f->level == LEVEL_DEBUG;
}

static bool ends_with(struct span s, struct span end)
{
    return s.n >= end.n && span_eq_nocase(span_skip(s, s.n - end.n), end);
}

/* The domain itself, or one under it. */
static bool is_under(struct span name, struct span domain)
{
    if (!ends_with(name, domain))
        return false;
    return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

static bool address_is_under(struct span address, const char *domain)
{
    const char *at = address.n > 0 ? memrchr(address.p, '@', address.n) : NULL;
    return at != NULL && is_under(span_skip(address, (size_t)(at - address.p) + 1), span_str(domain));
}

static bool takes_domain(const struct tail_filter *f, struct json_object *record)
{
    struct json_object *list = NULL;
    if (f->domain == NULL)
        return true;
    if (address_is_under(tail_string(record, "mail_from"), f->domain))
        return true;
    if (!json_object_object_get_ex(record, "rcpt_to", &list))
        return false;
    if (!json_object_is_type(list, json_type_array))
        return address_is_under(tail_string(record, "rcpt_to"), f->domain);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (json_object_is_type(one, json_type_string) &&
            address_is_under(span_str(json_object_get_string(one)), f->domain))
            return true;
    }
    return false;
}

static bool takes_status(const struct tail_filter *f, struct json_object *record)
{
    struct tail_filter one = { .statuses = 0 };
    if (f->statuses == 0)
        return true;
    return add_status(&one, tail_string(record, "status")) && (one.statuses & f->statuses) != 0;
}

/* Whole, its end (as tail shows it), or with the number of a transaction. */
static bool takes_cid(const struct tail_filter *f, struct json_object *record)
{
    struct span want = span_str(f->cid);
    if (f->cid == NULL)
        return true;
    if (memchr(want.p, '.', want.n) != NULL)
        return ends_with(tail_string(record, "tid"), want);
    return want.n > 0 && ends_with(tail_string(record, "cid"), want);
}

static bool is_seen(const struct tail_filter *f, struct span cid)
{
    for (unsigned i = 0; i < TAIL_CIDS; i++) {
        if (span_eq(cid, span_str(f->seen[i])))
            return true;
    }
    return false;
}

static void remember(struct tail_filter *f, struct span cid)
{
    if (cid.n == 0 || cid.n >= TAIL_CID_MAX || is_seen(f, cid))
        return;
    char *slot = f->seen[f->next++ % TAIL_CIDS];
    memcpy(slot, cid.p, cid.n);
    slot[cid.n] = '\0';
}

static bool client_matches(const struct tail_filter *f, struct json_object *record)
{
    struct netaddr addr = { .family = NETADDR_UNIX };
    struct span host = tail_string(record, "host");
    if (!f->by_network)
        return is_under(tail_string(record, "hostname"), span_str(f->client));
    if (!span_eq(host, SPAN_LIT("unix")) && !netaddr_parse_ip(&addr, host))
        return false;
    return cidr_contains(&f->network, &addr);
}

static bool takes_client(struct tail_filter *f, struct json_object *record)
{
    struct span cid = tail_string(record, "cid");
    bool upstream = span_eq(tail_string(record, "side"), SPAN_LIT("upstream"));
    if (f->client == NULL)
        return true;
    if (cid.n > 0 && is_seen(f, cid))
        return true;
    if (upstream || !client_matches(f, record))
        return false;
    remember(f, cid);
    return true;
}

static bool takes_level(const struct tail_filter *f, struct json_object *record)
{
    enum level level;
    return !find_level(tail_string(record, "level"), &level) || level <= f->level;
}

bool tail_filter_takes(struct tail_filter *f, struct json_object *record)
{
    return takes_client(f, record) && takes_level(f, record) && takes_cid(f, record) && takes_status(f, record) &&
           takes_domain(f, record);
}
