/* A line's end is written and read in one form only, octet by octet; what differs in any way is no record of a chain.
 */
#include "common/record/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const struct span chain_zeros = { "0000000000000000000000000000000000000000000000000000000000000000", CHAIN_HEX };

void chain_hash(struct digest_hmac *h, struct span before, struct span text, char *out)
{
    unsigned char code[DIGEST_SHA256];
    digest_hmac_add(h, before);
    digest_hmac_add(h, text);
    digest_hmac_end(h, code);
    digest_hex(code, sizeof(code), out);
}

static char *put_member(char *to, const char *key, const char *hash)
{
    size_t n = strlen(key);
    memcpy(to, ",\"", 2);
    memcpy(to + 2, key, n);
    memcpy(to + 2 + n, "\":\"", 3);
    memcpy(to + 5 + n, hash, CHAIN_HEX);
    to += 5 + n + CHAIN_HEX;
    *to++ = '"';
    return to;
}

char *chain_append(struct chain *c, const struct record_format *format, const char *line, char *end, uint64_t seq)
{
    char before[CHAIN_HEX + 1];
    bool first = c->seq == 0;
    memcpy(before, c->hash, sizeof(before));
    chain_hash(c->hmac, span_of(before, CHAIN_HEX), span_of(line, (size_t)(end - line)), c->hash);
    c->seq = seq;
    end = put_member(end, format->hash, c->hash);
    if (first)
        end = put_member(end, format->prev, before);
    *end++ = '}';
    return end;
}

/* Reads a line from its end. */
struct reader {
    struct span left;
};

static bool take(struct reader *r, struct span word)
{
    if (word.n == 0 || r->left.n < word.n || memcmp(r->left.p + r->left.n - word.n, word.p, word.n) != 0)
        return false;
    r->left.n -= word.n;
    return true;
}

static bool take_signs(struct reader *r, size_t n, const char *signs, struct span *out)
{
    if (r->left.n < n)
        return false;
    *out = span_of(r->left.p + r->left.n - n, n);
    r->left.n -= n;
    for (size_t i = 0; i < n; i++) {
        if (out->p[i] == '\0' || strchr(signs, out->p[i]) == NULL)
            return false;
    }
    return true;
}

static bool take_key(struct reader *r, const char *key)
{
    return take(r, SPAN_LIT("\":")) && take(r, span_str(key)) && take(r, SPAN_LIT(",\""));
}

/* ,"key":"<64 digits>" */
static bool take_hash(struct reader *r, const char *key, struct span *out)
{
    struct reader at = *r;
    if (!take(&at, SPAN_LIT("\"")) || !take_signs(&at, CHAIN_HEX, "0123456789abcdef", out) ||
        !take(&at, SPAN_LIT("\"")) || !take_key(&at, key))
        return false;
    *r = at;
    return true;
}

static bool take_number(struct reader *r, const char *key, uint64_t *out)
{
    size_t n = 0;
    uint64_t unit = 1;
    for (*out = 0; n < r->left.n && r->left.p[r->left.n - 1 - n] >= '0' && r->left.p[r->left.n - 1 - n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(r->left.p[r->left.n - 1 - n] - '0');
        if (n > 18)
            return false;
        *out += digit * unit;
        unit *= 10;
    }
    if (n == 0 || r->left.p[r->left.n - n] == '0')
        return false;
    r->left.n -= n;
    return take_key(r, key);
}

static bool read_as(struct chain_line *out, struct span line, const struct record_format *f)
{
    struct reader r = { line };
    *out = (struct chain_line){ 0 };
    if (!take(&r, SPAN_LIT("}")))
        return false;
    if (!take_hash(&r, f->prev, &out->prev))
        out->prev = SPAN_NONE;
    if (!take_hash(&r, f->hash, &out->hash))
        return false;
    out->text = r.left;
    return take_number(&r, f->seq, &out->seq) && take(&r, SPAN_LIT("\"")) &&
           take_signs(&r, CHAIN_RUN, "0123456789abcdefghijklmnopqrstuv", &out->run) && take(&r, SPAN_LIT("\"")) &&
           take_key(&r, f->run) && r.left.n > 0 && r.left.p[0] == '{';
}

bool chain_line_read(struct chain_line *out, struct span line)
{
    return read_as(out, line, &record_native) || read_as(out, line, &record_ecs);
}

/* "run seq hash time code", blanks, and a line's end. */
static int print_fields(const struct chain_head *head, char *out, size_t n)
{
    return snprintf(out, n, "%s %020" PRIu64 " %s %020" PRId64 " ", head->run, head->seq, head->hash,
                    (int64_t)head->time);
}

static void head_code(struct digest_hmac *h, struct span fields, char *out)
{
    chain_hash(h, SPAN_LIT("head "), fields, out);
}

enum { HEAD_FIELDS = CHAIN_RUN + 1 + 20 + 1 + CHAIN_HEX + 1 + 20 + 1 };

void chain_head_print(struct digest_hmac *h, const struct chain_head *head, char out[CHAIN_SLOT])
{
    char text[CHAIN_SLOT];
    memset(out, ' ', CHAIN_SLOT);
    if (print_fields(head, text, sizeof(text)) != HEAD_FIELDS)
        abort();
    head_code(h, span_of(text, HEAD_FIELDS), text + HEAD_FIELDS);
    memcpy(out, text, HEAD_FIELDS + CHAIN_HEX);
    out[CHAIN_SLOT - 1] = '\n';
}

/* Printed again it must be the same. */
bool chain_head_read(struct digest_hmac *h, struct span slot, struct chain_head *out)
{
    char text[CHAIN_SLOT + 1], again[CHAIN_SLOT];
    int64_t time;
    if (slot.n != CHAIN_SLOT)
        return false;
    memcpy(text, slot.p, CHAIN_SLOT);
    text[CHAIN_SLOT] = '\0';
    *out = (struct chain_head){ 0 };
    if (sscanf(text, "%8s %20" SCNu64 " %64s %20" SCNd64, out->run, &out->seq, out->hash, &time) != 4 ||
        strlen(out->run) != CHAIN_RUN || strlen(out->hash) != CHAIN_HEX || time < 0)
        return false;
    out->time = time;
    chain_head_print(h, out, again);
    return memcmp(again, slot.p, CHAIN_SLOT) == 0;
}

bool chain_slot_empty(struct span slot)
{
    for (size_t i = 0; i < slot.n; i++) {
        if (slot.p[i] != '\0')
            return false;
    }
    return true;
}
