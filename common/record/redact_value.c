/* One value, as each rule shows it. Hashes are of the lower case, for mailboxes and names are compared so. */
#include "common/digest/digest.h"
#include "common/record/redact_impl.h"

enum { HASH_HEX = 16 };

static struct span lower(char *to, size_t max, struct span s)
{
    size_t n = min_size(s.n, max);
    for (size_t i = 0; i < n; i++)
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return span_of(to, n);
}

static void hash(struct redact *x, enum redact_kind kind, struct span a, struct span b,
                 unsigned char out[DIGEST_SHA256])
{
    static const char *const words[] = { [REDACT_ADDRESS] = "address",
                                         [REDACT_IP] = "ip",
                                         [REDACT_NAME] = "name",
                                         [REDACT_USER] = "user",
                                         [REDACT_SUBJECT] = "subject" };
    char chunk[256];
    digest_hmac_add(x->hmac, span_of(words[kind], strlen(words[kind]) + 1));
    for (struct span rest = a; rest.n > 0; rest = span_skip(rest, sizeof(chunk)))
        digest_hmac_add(x->hmac, lower(chunk, sizeof(chunk), rest));
    digest_hmac_add(x->hmac, span_of("", 1));
    for (struct span rest = b; rest.n > 0; rest = span_skip(rest, sizeof(chunk)))
        digest_hmac_add(x->hmac, lower(chunk, sizeof(chunk), rest));
    digest_hmac_end(x->hmac, out);
}

static void put_hash(struct redact *x, enum redact_kind kind, struct span a, struct span b)
{
    unsigned char code[DIGEST_SHA256];
    char hex[HASH_HEX + 1];
    hash(x, kind, a, b, code);
    digest_hex(code, HASH_HEX / 2, hex);
    buf_append(&x->text, hex, HASH_HEX);
}

static void put_star(struct redact *x) { buf_append(&x->text, "*", 1); }

static bool is_domain_char(char c) { return redact_is_alnum(c) || c == '.' || c == '-' || c == '_'; }

bool redact_split(struct span address, struct span *local, struct span *domain)
{
    const char *at = address.n > 0 ? memrchr(address.p, '@', address.n) : NULL;
    *local = at != NULL ? span_head(address, (size_t)(at - address.p)) : address;
    *domain = at != NULL ? span_skip(address, local->n + 1) : SPAN_NONE;
    size_t n = 0;
    if (domain->n > 0 && domain->p[0] == '[') {
        const char *end = memchr(domain->p, ']', domain->n);
        n = end != NULL ? (size_t)(end + 1 - domain->p) : 0;
    }
    while (n < domain->n && domain->p[0] != '[' && is_domain_char(domain->p[n]))
        n++;
    *domain = span_head(*domain, n);
    return domain->n > 0;
}

void redact_put_local(struct redact *x, struct span local, struct span domain)
{
    if (x->rules.addresses == REDACT_HASH)
        put_hash(x, REDACT_ADDRESS, local, domain);
    else
        put_star(x);
}

void redact_put_address(struct redact *x, struct span local, struct span domain, enum redact_how how)
{
    switch (how) {
    case REDACT_KEEP:
        buf_append_span(&x->text, local);
        break;
    case REDACT_HASH:
        put_hash(x, REDACT_ADDRESS, local, domain);
        break;
    case REDACT_MASK:
        put_star(x);
        break;
    case REDACT_DROP:
        put_star(x);
        return;
    }
    if (domain.n == 0)
        return;
    buf_append(&x->text, "@", 1);
    redact_put_domain(x, domain);
}

/* 28 and 108 bits of the hash; the broadcast address is left out. */
static void hash_ip(struct redact *x, struct netaddr *ip)
{
    unsigned char code[DIGEST_SHA256];
    char text[NETADDR_STRLEN];
    bool v4 = ip->family == NETADDR_IPV4;
    hash(x, REDACT_IP, span_str(netaddr_print_ip(ip, text)), SPAN_NONE, code);
    memcpy(ip->ip, code, v4 ? 4 : 16);
    if (v4) {
        ip->ip[0] |= 0xf0;
        if (ip->ip[0] == 0xff)
            ip->ip[0] = 0xfe;
    } else {
        ip->ip[0] = 0x3f;
        ip->ip[1] = 0xff;
        ip->ip[2] &= 0x0f;
    }
}

void redact_put_ip(struct redact *x, const struct netaddr *ip)
{
    struct netaddr shown = *ip;
    char text[NETADDR_STRLEN];
    switch (x->rules.client_ip) {
    case REDACT_KEEP:
        break;
    case REDACT_HASH:
        hash_ip(x, &shown);
        break;
    case REDACT_MASK:
        if (shown.family == NETADDR_IPV4)
            shown.ip[3] = 0;
        else
            memset(shown.ip + 6, 0, 10);
        break;
    case REDACT_DROP:
        put_star(x);
        return;
    }
    netaddr_print_ip(&shown, text);
    buf_append(&x->text, text, strlen(text));
}

/* The last two labels of a name that has more, else the last one. */
static struct span name_end(struct span name)
{
    unsigned dots = 0;
    struct span bare = name;
    while (bare.n > 0 && bare.p[bare.n - 1] == '.')
        bare.n--;
    for (size_t i = bare.n; i-- > 0;) {
        if (bare.p[i] == '.' && ++dots == 2)
            return span_skip(bare, i);
    }
    const char *dot = bare.n > 0 ? memrchr(bare.p, '.', bare.n) : NULL;
    return dot != NULL ? span_skip(bare, (size_t)(dot - bare.p)) : SPAN_NONE;
}

void redact_put_name(struct redact *x, struct span name)
{
    switch (x->rules.client_ip) {
    case REDACT_KEEP:
        buf_append_span(&x->text, name);
        break;
    case REDACT_HASH:
        put_hash(x, REDACT_NAME, name, SPAN_NONE);
        buf_append(&x->text, ".invalid", 8);
        break;
    case REDACT_MASK:
        put_star(x);
        buf_append_span(&x->text, name_end(name));
        break;
    case REDACT_DROP:
        put_star(x);
        break;
    }
}

enum redact_how redact_user_how(const struct redact *x, struct span user)
{
    bool address = user.n > 0 && memchr(user.p, '@', user.n) != NULL;
    return address && x->rules.addresses > x->rules.username ? x->rules.addresses : x->rules.username;
}

void redact_put_user(struct redact *x, struct span user)
{
    struct span local, domain;
    enum redact_how how = redact_user_how(x, user);
    if (redact_split(user, &local, &domain)) {
        redact_put_address(x, local, domain, how);
        return;
    }
    switch (how) {
    case REDACT_KEEP:
        buf_append_span(&x->text, user);
        break;
    case REDACT_HASH:
        put_hash(x, REDACT_USER, user, SPAN_NONE);
        break;
    case REDACT_MASK:
    case REDACT_DROP:
        put_star(x);
        break;
    }
}

void redact_put_subject(struct redact *x, struct span subject)
{
    if (x->rules.subject == REDACT_HASH)
        put_hash(x, REDACT_SUBJECT, subject, SPAN_NONE);
    else
        put_star(x);
}
