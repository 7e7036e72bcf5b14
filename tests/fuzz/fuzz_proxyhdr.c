/* PROXY headers. Whatever comes: every prefix of a whole header is MORE, what follows a header changes nothing, a
 * refusal stays one, and an address that was read is printed so that it reads the same. */
#include <stdlib.h>

#include "common/smtp/proxyhdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void inside(struct span outer, struct span s)
{
    require(s.n == 0 || (s.p >= outer.p && s.p + s.n <= outer.p + outer.n));
}

static void check_spans(const struct proxyhdr *h, struct span header)
{
    inside(header, h->tls.version);
    inside(header, h->tls.cipher);
    inside(header, h->tls.cn);
    inside(header, h->authority);
    inside(header, h->alpn);
    inside(header, h->unique_id);
}

static void check_printed(const struct proxyhdr *h)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct buf out;
        struct proxyhdr again;
        const char *why;
        size_t used;
        buf_init(&out, NULL);
        proxyhdr_print(&out, version, &h->from, &h->to);
        require(proxyhdr_parse(&again, buf_span(&out), 4096, &used, &why) == PROXYHDR_DONE);
        require(used == buf_len(&out) && again.version == version && again.real == h->real);
        require(h->real || (netaddr_eq_ip(&again.from, &h->from) && netaddr_eq_ip(&again.to, &h->to) &&
                            again.from.port == h->from.port && again.to.port == h->to.port));
        buf_free(&out);
    }
}

static void check_prefixes(struct span in, enum proxyhdr_result whole, size_t used)
{
    bool refused = false;
    for (size_t n = 0; n <= in.n; n++) {
        struct proxyhdr h;
        const char *why;
        size_t got;
        char *copy = malloc(n + 1); /* its own block: what lies behind it is not to be read */
        require(copy != NULL);
        memcpy(copy, in.p ? in.p : "", n);
        enum proxyhdr_result r = proxyhdr_parse(&h, span_of(copy, n), 600, &got, &why);
        free(copy);
        require((r == PROXYHDR_BAD) == (why != NULL));
        require(!refused || r == PROXYHDR_BAD);
        refused = r == PROXYHDR_BAD;
        if (whole == PROXYHDR_DONE)
            require(n < used ? r == PROXYHDR_MORE : r == PROXYHDR_DONE && got == used);
        if (whole == PROXYHDR_MORE)
            require(r == PROXYHDR_MORE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size > 700 ? 700 : size);
    struct proxyhdr h;
    const char *why;
    size_t used;
    enum proxyhdr_result r = proxyhdr_parse(&h, in, 600, &used, &why);
    check_prefixes(in, r, used);
    if (r != PROXYHDR_DONE)
        return 0;
    require(used <= in.n && used > 0);
    check_spans(&h, span_head(in, used));
    require(h.real == (h.from.family == NETADDR_NONE));
    check_printed(&h);
    return 0;
}
