/* What a transaction remembers. The struct stands at the start of one block whose rest is the arena's first piece, so
 * that the usual message costs one malloc; strings never move, the list of recipients doubles. What came last about a
 * recipient counts. */
#include "common/record/txn.h"

#include "common/codec.h"
#include "common/record/classify.h"
#include "common/record/queueid.h"
#include "common/record/txn_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TXN_BLOCK = 2048, RCPT_ROOM = 4 };

struct txn *txn_new(unsigned n, usec_t mono)
{
    _Static_assert(sizeof(struct txn) < TXN_BLOCK / 2, "most of the block is for strings");
    struct txn *t = malloc(TXN_BLOCK);
    if (t == NULL)
        abort();
    *t = (struct txn){ .n = n, .started = mono };
    arena_init(&t->mem, t + 1, TXN_BLOCK - sizeof(*t));
    return t;
}

void txn_free(struct txn **t)
{
    if (*t == NULL)
        return;
    arena_free(&(*t)->mem);
    free(*t);
    *t = NULL;
}

void txn_print_tid(const struct txn *t, struct span cid, char out[48])
{
    (void)snprintf(out, 48, "%.*s.%u", SPAN_ARG(span_head(cid, 36)), t->n);
}

void txn_mail(struct txn *t, const struct smtp_path *path, struct span arg, const struct smtp_mail_params *params)
{
    t->mail_from = arena_copy(&t->mem, path != NULL ? path->raw : arg);
    if (params == NULL)
        return;
    t->body = params->body;
    t->ret = params->ret;
    t->smtputf8 = params->smtputf8;
    t->envid = arena_copy(&t->mem, params->envid);
}

static struct span domain_lower(struct arena *mem, struct span domain)
{
    struct span kept = arena_copy(mem, domain);
    char *p = (char *)kept.p;
    for (size_t i = 0; i < kept.n; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] | 0x20);
    }
    return kept;
}

unsigned txn_rcpt_add(struct txn *t, const struct smtp_path *path, struct span arg)
{
    if (t->rcpt_count == t->rcpt_room) {
        unsigned room = t->rcpt_room > 0 ? t->rcpt_room * 2 : RCPT_ROOM;
        struct txn_rcpt *list = arena_alloc(&t->mem, room * sizeof(*list));
        if (t->rcpt_count > 0)
            memcpy(list, t->rcpt, t->rcpt_count * sizeof(*list));
        t->rcpt = list;
        t->rcpt_room = room;
    }
    t->rcpt_pending++;
    t->rcpt[t->rcpt_count] = (struct txn_rcpt){
        .address = arena_copy(&t->mem, path != NULL ? path->raw : arg),
        .domain = path != NULL ? domain_lower(&t->mem, path->domain) : SPAN_NONE,
    };
    return t->rcpt_count++;
}

/* s in mem, cut to max octets with the ellipsis. */
static struct span keep_text(struct arena *mem, struct span s, size_t max, bool *cut)
{
    static const struct span ellipsis = { "\xe2\x80\xa6", 3 };
    if (s.n <= max)
        return arena_copy(mem, s);
    struct span head = codec_utf8_cut(s, max - ellipsis.n);
    char *to = arena_bytes(mem, head.n + ellipsis.n);
    memcpy(to, head.p, head.n);
    memcpy(to + head.n, ellipsis.p, ellipsis.n);
    *cut = true;
    return span_of(to, head.n + ellipsis.n);
}

/* One line, as nearly all are: the text is the response's end. */
static void keep_line(struct arena *mem, struct txn_reply *kept, const struct smtp_reply *reply, size_t max)
{
    struct span wire = reply->wire, line = SPAN_NONE;
    size_t pos = 0;
    while (wire.n > 0 && (wire.p[wire.n - 1] == '\n' || wire.p[wire.n - 1] == '\r'))
        wire.n--;
    kept->response = keep_text(mem, span_trim_right(wire), max, &kept->cut);
    if (smtp_reply_line(reply, &pos, true, &line) && line.n > 0)
        kept->text = span_skip(kept->response, (size_t)(line.p - wire.p));
}

static void keep_lines(struct arena *mem, struct txn_reply *kept, const struct smtp_reply *reply, size_t max)
{
    struct buf text;
    struct span line;
    buf_init(&text, NULL);
    smtp_reply_text(&text, reply);
    kept->response = keep_text(mem, buf_span(&text), max, &kept->cut);
    buf_free(&text);
    for (size_t pos = 0; smtp_reply_line(reply, &pos, true, &line);) {
        if (!buf_empty(&text))
            buf_append(&text, " / ", 3);
        buf_append_span(&text, line);
    }
    if (!buf_empty(&text))
        kept->text = keep_text(mem, buf_span(&text), max, &kept->cut);
    buf_free(&text);
}

const struct txn_reply *txn_reply_keep(struct arena *mem, const struct smtp_reply *reply, enum txn_by by,
                                       enum txn_stage stage, size_t max)
{
    struct txn_reply *kept = arena_alloc(mem, sizeof(*kept));
    *kept = (struct txn_reply){ .code = reply->code, .by = by };
    memcpy(kept->enhanced, reply->enhanced, sizeof(kept->enhanced));
    if (reply->lines > 1)
        keep_lines(mem, kept, reply, max);
    else
        keep_line(mem, kept, reply, max);
    if (smtp_reply_is(reply, 2) && stage == STAGE_END)
        kept->queue_id = arena_copy(mem, queue_id_find(reply));
    else if (reply->code >= 400)
        kept->class = classify_reply(reply, stage);
    return kept;
}

void txn_rcpt_reply(struct txn *t, unsigned index, const struct smtp_reply *reply, enum txn_by by)
{
    assert(index < t->rcpt_count);
    struct txn_rcpt *rcpt = &t->rcpt[index];
    if (rcpt->reply == NULL)
        t->rcpt_pending--;
    else if (rcpt->reply->code / 100 == 2)
        t->rcpt_accepted--;
    rcpt->reply = txn_reply_keep(&t->mem, reply, by, STAGE_RCPT, TXN_REPLY_MAX);
    if (smtp_reply_is(reply, 2))
        t->rcpt_accepted++;
}

bool txn_rcpt_was_accepted(const struct txn *t, unsigned index)
{
    return index < t->rcpt_count && t->rcpt[index].reply != NULL && t->rcpt[index].reply->code / 100 == 2;
}

unsigned txn_rcpt_count(const struct txn *t) { return t->rcpt_count; }
unsigned txn_rcpt_accepted(const struct txn *t) { return t->rcpt_accepted; }
unsigned txn_rcpt_pending(const struct txn *t) { return t->rcpt_pending; }

static const char *keep_word(struct arena *mem, const char *word)
{
    if (word == NULL)
        return NULL;
    size_t n = strlen(word) + 1;
    return memcpy(arena_bytes(mem, n), word, n);
}

void txn_set_upstream(struct txn *t, const struct txn_upstream *up)
{
    t->has_upstream = true;
    t->upstream = *up;
    t->upstream.server = arena_copy(&t->mem, up->server);
    t->upstream.host = arena_copy(&t->mem, up->host);
    t->upstream.tls_version = keep_word(&t->mem, up->tls_version);
    t->upstream.tls_cipher = keep_word(&t->mem, up->tls_cipher);
    t->upstream.identity = keep_word(&t->mem, up->identity);
}

void txn_phase_add(struct txn *t, enum txn_phase phase, usec_t duration)
{
    t->phases |= 1U << phase;
    t->phase[phase] += duration;
}

/* There are fewer words than places. */
void txn_anomaly(struct txn *t, const char *word)
{
    for (unsigned i = 0; i < t->anomaly_count; i++) {
        if (t->anomaly[i] == word || strcmp(t->anomaly[i], word) == 0)
            return;
    }
    if (t->anomaly_count < TXN_ANOMALIES_MAX)
        t->anomaly[t->anomaly_count++] = word;
}

void txn_size(struct txn *t, uint64_t octets)
{
    t->has_size = true;
    t->size = octets;
}

/* Printable ASCII without an encoded word's start means itself; most values are that. */
static bool is_plain(struct span value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c < 0x20 || c > 0x7e || (c == '?' && i > 0 && value.p[i - 1] == '='))
            return false;
    }
    return true;
}

static struct span keep_value(struct arena *mem, struct span raw, bool cut)
{
    if (!cut && is_plain(raw))
        return arena_copy(mem, span_trim(raw));
    struct buf text;
    buf_init(&text, NULL);
    codec_header_decode(&text, raw);
    if (cut)
        buf_append(&text, "\xe2\x80\xa6", 3);
    struct span kept = arena_copy(mem, buf_span(&text));
    buf_free(&text);
    return kept;
}

void txn_headers(struct txn *t, const struct smtp_header *header)
{
    const struct smtp_header_want *want = header->want;
    struct span raw;
    t->header_count = 0;
    t->header = arena_alloc(&t->mem, want->count * sizeof(*t->header));
    for (unsigned i = 0; i < want->count; i++) {
        if (!smtp_header_value(header, i, &raw))
            continue;
        struct span name = span_str(want->name[i]), value = keep_value(&t->mem, raw, smtp_header_is_cut(header, i));
        if (span_eq_nocase(name, SPAN_LIT("message-id"))) {
            t->message_id = value;
        } else if (span_eq_nocase(name, SPAN_LIT("subject"))) {
            t->subject = value;
            t->has_subject = true;
        } else {
            t->header[t->header_count++] = (struct txn_header){ arena_copy(&t->mem, name), value };
        }
    }
}

void txn_rcpt_final(struct txn *t, unsigned index, const struct smtp_reply *reply, enum txn_by by)
{
    assert(index < t->rcpt_count);
    t->rcpt[index].final = txn_reply_keep(&t->mem, reply, by, STAGE_END, TXN_REPLY_MAX);
}
