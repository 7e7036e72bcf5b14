/* What the sessions of a sink share. Lines for stdout are gathered per worker and leave within FLUSH_AFTER, or at once
 * where somebody watches; the counters are atomic. */
#include "proxy/sink/sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/smtp/replies.h"

enum { FLUSH_AFTER = 50 * USEC_PER_MSEC, FLUSH_AT = 32768 };

static const char DIGITS[] = "0123456789abcdefghijklmnopqrstuv";

static void make_run(char run[9])
{
    unsigned char octet[8];
    if (getrandom(octet, sizeof(octet), 0) != sizeof(octet))
        abort();
    for (unsigned i = 0; i < 8; i++)
        run[i] = DIGITS[octet[i] & 31];
    run[8] = '\0';
}

void sink_make_id(struct sink *s, char out[SINK_ID_MAX])
{
    unsigned long long n = atomic_fetch_add(&s->ids, 1) + 1;
    unsigned chars = 4;
    for (unsigned long long rest = n >> 20; rest > 0; rest >>= 5)
        chars++;
    memcpy(out, s->run, 8);
    out[8 + chars] = '\0';
    for (unsigned i = chars; i > 0; i--, n >>= 5)
        out[7 + i] = DIGITS[n & 31];
}

struct ehlo {
    struct buf text;
    size_t last; /* where the last line begins */
};

static void add_keyword(void *arg, struct span text)
{
    struct ehlo *e = arg;
    e->last = buf_len(&e->text);
    buf_printf(&e->text, "250-%.*s\r\n", SPAN_ARG(text));
}

static char *finish_text(struct buf *b, struct smtp_reply *out)
{
    char *wire = malloc(buf_len(b));
    if (wire == NULL)
        abort();
    memcpy(wire, b->base + b->head, buf_len(b));
    *out = smtp_reply_read(span_of(wire, buf_len(b)));
    buf_free(b);
    return wire;
}

static void make_greetings(struct sink *s, const char *hostname)
{
    struct smtp_caps able = { .set = SMTP_CAP_BIT(PIPELINING) | SMTP_CAP_BIT(SIZE) | SMTP_CAP_BIT(8BITMIME) |
                                     SMTP_CAP_BIT(SMTPUTF8) | SMTP_CAP_BIT(DSN) | SMTP_CAP_BIT(CHUNKING) |
                                     SMTP_CAP_BIT(BINARYMIME) | SMTP_CAP_BIT(ENHANCEDSTATUSCODES) };
    struct smtp_offer_rules rules = { .forbidden = ~able.set };
    struct ehlo e = { .last = 0 };
    buf_init(&e.text, NULL);
    buf_printf(&e.text, "250 %s takes any mail\r\n", hostname);
    s->helo_wire = finish_text(&e.text, &s->helo);
    buf_printf(&e.text, "250-%s takes any mail\r\n", hostname);
    smtp_caps_offer(&s->caps, &able, &rules);
    smtp_caps_print(&s->caps, 0, add_keyword, &e);
    e.text.base[e.text.head + e.last + 3] = ' ';
    s->ehlo_wire = finish_text(&e.text, &s->ehlo);
}

static void write_out(struct sink *s, struct buf *lines)
{
    struct span text = buf_span(lines);
    if (text.n == 0)
        return;
    flockfile(stdout);
    if (fwrite(text.p, 1, text.n, stdout) != text.n || fflush(stdout) != 0)
        atomic_store(&s->mute, true);
    funlockfile(stdout);
    buf_consume(lines, text.n);
}

static void on_flush(struct timer *t)
{
    struct sink_lane *lane = CONTAINER_OF(t, struct sink_lane, flush);
    write_out(lane->sink, &lane->lines);
}

void sink_init(struct sink *s, const char *hostname)
{
    make_run(s->run);
    make_greetings(s, hostname);
    for (unsigned i = 0; i < SINK_WORKERS_MAX; i++) {
        struct sink_lane *lane = &s->lane[i];
        lane->sink = s;
        buf_init(&lane->lines, NULL);
        timer_init(&lane->flush, on_flush);
    }
}

void sink_free(struct sink *s)
{
    for (unsigned i = 0; i < SINK_WORKERS_MAX; i++)
        buf_free(&s->lane[i].lines);
    free(s->helo_wire);
    free(s->ehlo_wire);
    sink_rules_free(&s->rules);
}

void sink_report(struct sink *s, struct worker *w, const struct sink_message *m)
{
    struct sink_lane *lane = &s->lane[w->id % SINK_WORKERS_MAX];
    atomic_fetch_add(m->accepted ? &s->accepted : &s->refused, 1);
    atomic_fetch_add(&s->octets, m->size);
    atomic_fetch_add(&s->recipients, m->rcpt_count);
    if (s->print == NULL || atomic_load(&s->mute))
        return;
    s->print(s->print_arg, &lane->lines, m);
    if (s->line_by_line || buf_len(&lane->lines) >= FLUSH_AT)
        write_out(s, &lane->lines);
    else if (!timer_is_set(&lane->flush))
        loop_timer(&w->loop, &lane->flush, FLUSH_AFTER);
}

void sink_flush(struct sink *s)
{
    for (unsigned i = 0; i < SINK_WORKERS_MAX; i++)
        write_out(s, &s->lane[i].lines);
}
