/* Dovecot's lines, whole and in pieces: the same events; and what we write, read again by the same rules, is what was
 * meant. The first octet says how long the pieces are. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/dovecot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void add_text(struct buf *story, const char *s)
{
    buf_append(story, s != NULL ? s : "", s != NULL ? strlen(s) + 1 : 1);
}

static void add_event(struct buf *story, const struct dovecot *d, enum dovecot_event event,
                      const struct dovecot_reply *r)
{
    buf_printf(story, "%d %u %x %x %d", (int)event, (unsigned)r->id, (unsigned)d->mechanisms, (unsigned)d->binding,
               (int)r->out_of_band);
    require((d->binding & ~d->mechanisms) == 0);
    if (event == DOVECOT_CONT) {
        require(memchr(r->binding, '\0', sizeof(r->binding)) != NULL);
        buf_append_span(story, r->data);
        add_text(story, r->binding);
    }
    if (event == DOVECOT_OK || event == DOVECOT_FAIL) {
        buf_printf(story, "%d", (int)r->failure);
        add_text(story, r->username);
        add_text(story, r->authzid);
    }
    if (event == DOVECOT_BROKEN)
        add_text(story, d->problem);
}

static void run(struct buf *story, struct span text, size_t step)
{
    struct dovecot d;
    struct buf in;
    struct dovecot_reply r = { .id = 0 };
    enum dovecot_event event = DOVECOT_MORE;
    dovecot_init(&d);
    buf_init(&in, NULL);
    for (size_t at = 0; at < text.n && event != DOVECOT_BROKEN; at += step) {
        buf_append_span(&in, span_head(span_skip(text, at), step));
        bool was_ready = d.ready;
        while ((event = dovecot_next(&d, &in, &r)) != DOVECOT_MORE && event != DOVECOT_BROKEN) {
            require(event == DOVECOT_READY ? !was_ready : d.ready);
            was_ready = d.ready;
            add_event(story, &d, event, &r);
        }
        require(event == DOVECOT_BROKEN || buf_len(&in) <= DOVECOT_LINE_MAX);
    }
    add_event(story, &d, event, &r);
    buf_free(&in);
    dovecot_free(&d);
}

static size_t count_of(struct span s, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

/* Whatever a certificate's name or a response is, it stays in its field of its line, and resp= is the last. */
static void check_put(struct span text)
{
    struct buf out;
    char *name = malloc(text.n + 1);
    require(name != NULL);
    memcpy(name, text.n > 0 ? text.p : "", text.n);
    name[text.n] = '\0';
    struct dovecot_request r = {
        .id = 1, .mechanism = SASL_PLAIN, .cert_name = name, .session = name, .tls = true, .initial = &text
    };
    buf_init(&out, NULL);
    dovecot_put_auth(&out, &r);
    struct span line = buf_span(&out);
    require(count_of(line, '\n') == 1 && line.p[line.n - 1] == '\n');
    require(count_of(line, '\t') == 8 && count_of(line, '\r') == 0 && count_of(line, '\0') == 0);
    buf_consume(&out, line.n);
    dovecot_put_cont(&out, 1, &text, text);
    line = buf_span(&out);
    require(count_of(line, '\n') == 1 && count_of(line, '\t') == (text.n > 0 ? 3 : 2));
    buf_free(&out);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    if (size == 0)
        return 0;
    struct span text = span_of((const char *)data + 1, size - 1);
    buf_init(&whole, NULL);
    buf_init(&pieces, NULL);
    run(&whole, text, text.n + 1);
    run(&pieces, text, 1 + data[0] % 32);
    require(span_eq(buf_span(&whole), buf_span(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    check_put(text);
    return 0;
}
