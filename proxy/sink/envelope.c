/* One buffer for all addresses: it is given back as a whole. */
#include "proxy/sink/envelope.h"

#include "common/json.h"

void sink_envelope_init(struct sink_envelope *e, struct buf_pool *pool)
{
    *e = (struct sink_envelope){ .sure = 0 };
    buf_init(&e->lines, pool);
}

void sink_envelope_clear(struct sink_envelope *e)
{
    buf_free(&e->lines);
    e->sure = 0;
    e->rcpts = 0;
}

void sink_envelope_try(struct sink_envelope *e, struct span address)
{
    buf_append_span(&e->lines, address);
    buf_append(&e->lines, "\n", 1);
}

void sink_envelope_settle(struct sink_envelope *e, bool accepted, bool recipient)
{
    if (accepted)
        e->sure = buf_len(&e->lines);
    else
        e->lines.tail = e->lines.head + e->sure;
    e->rcpts += accepted && recipient;
}

static struct span take_address(struct span *rest)
{
    const char *nl = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    struct span address = span_of(rest->p, nl != NULL ? (size_t)(nl - rest->p) : rest->n);
    *rest = span_skip(*rest, address.n + 1);
    return address;
}

struct span sink_envelope_sender(const struct sink_envelope *e)
{
    struct span rest = buf_span(&e->lines);
    return take_address(&rest);
}

struct span sink_envelope_first_rcpt(const struct sink_envelope *e)
{
    struct span rest = buf_span(&e->lines);
    take_address(&rest);
    return take_address(&rest);
}

static void put_str(struct json *j, struct span key, struct span value)
{
    json_key(j, key);
    json_str(j, value);
}

void sink_envelope_print(const struct sink_envelope *e, const struct sink_sidecar *about, struct buf *out)
{
    struct json j = { .out = out };
    struct json_time_cache clock = { 0 };
    struct span rest = buf_span(&e->lines);
    json_open(&j, '{');
    put_str(&j, SPAN_LIT("id"), span_str(about->id));
    json_key(&j, SPAN_LIT("time"));
    json_time(&j, about->real, &clock);
    put_str(&j, SPAN_LIT("host"), span_str(about->host));
    put_str(&j, SPAN_LIT("helo"), span_str(about->helo));
    put_str(&j, SPAN_LIT("mail_from"), take_address(&rest));
    json_key(&j, SPAN_LIT("rcpt_to"));
    json_open(&j, '[');
    while (rest.n > 0)
        json_str(&j, take_address(&rest));
    json_close(&j, ']');
    json_key(&j, SPAN_LIT("size"));
    json_int(&j, (int64_t)about->size);
    json_close(&j, '}');
    json_end(&j);
    buf_append(out, "\n", 1);
}
