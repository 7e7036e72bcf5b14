/* Cutting is a function from a record to a record, so it doesn't depend on the format. Each step is a row of limits
 * that are as tight as those of the row before or tighter. Lengths are those of a string's JSON text, so escapes can't
 * make a cut string long again, and the last row's sum is a bound for any input. */
#include "common/record/cut.h"

#include "common/codec.h"

/* What a string is, as far as its limit goes; NAME is what isn't said otherwise. */
enum text { TEXT_NAME, TEXT_MSG, TEXT_REPLY, TEXT_ADDRESS, TEXT_HEADER, TEXT_LINE, TEXT_JOIN, TEXT_COUNT };
static const enum text TEXT_OF[KEY_COUNT] = {
    [KEY_MSG] = TEXT_MSG,         [KEY_REPLY] = TEXT_REPLY,     [KEY_SMTP_RESPONSE] = TEXT_REPLY,
    [KEY_LINES] = TEXT_REPLY,     [KEY_MESSAGE] = TEXT_REPLY,   [KEY_MAIL_FROM] = TEXT_ADDRESS,
    [KEY_RCPT_TO] = TEXT_ADDRESS, [KEY_ADDRESS] = TEXT_ADDRESS, [KEY_HEADERS] = TEXT_HEADER,
    [KEY_SUBJECT] = TEXT_HEADER,  [KEY_LINE] = TEXT_LINE,       [KEY_CID] = TEXT_JOIN,
    [KEY_TID] = TEXT_JOIN,        [KEY_STATUS] = TEXT_JOIN,     [KEY_CODE] = TEXT_JOIN,
    [KEY_QUEUE_ID] = TEXT_JOIN,   [KEY_MESSAGE_ID] = TEXT_JOIN,
};

enum drop { DROP_NONE, DROP_HEADERS, DROP_ANOMALIES, DROP_RECIPIENTS, DROP_MOST };
struct limits {
    size_t name, msg, reply, address, header, line, join; /* in the order of enum text */
    size_t rcpts, lists;
    enum drop drop;
};

#define ALL SIZE_MAX
/* clang-format off */
static const struct limits STEPS[RECORD_CUT_STEPS] = {
    /* name   msg reply addr head line join rcpts lists drop: what events.md orders */
    {  ALL,  1024,  ALL, ALL, ALL,  ALL, ALL, ALL, ALL, DROP_NONE },
    {  ALL,  1024,  512, ALL, ALL,  ALL, ALL, ALL, ALL, DROP_NONE },
    {  ALL,  1024,  512, 320, ALL,  ALL, ALL, ALL, ALL, DROP_NONE },
    {  255,  1024,  512, 320, ALL,  ALL, ALL, ALL, ALL, DROP_NONE },
    {  255,  1024,  512, 320, 256,  ALL, 998, ALL, ALL, DROP_NONE },
    {  255,  1024,  512, 320, 256,  ALL, 998,  32, ALL, DROP_NONE },
    {  255,  1024,  512, 320, 256,  ALL, 998,  32, ALL, DROP_HEADERS },
    {  255,  1024,  512, 320, 256,  ALL, 998,  32, ALL, DROP_ANOMALIES },
    {  255,  1024,  512, 320, 256,  ALL, 998,  32, ALL, DROP_RECIPIENTS },
    /* last resorts: 32 addresses of 320 octets are too long still */
    {  255,  1024,  512, 320, 256, 1024, 998,  32,  32, DROP_RECIPIENTS },
    {  255,   512,  512, 320, 256,  512, 512,  16,  16, DROP_RECIPIENTS },
    {  128,   256,  256, 256, 128,  256, 256,   8,   8, DROP_RECIPIENTS },
    {   64,   128,  128, 128,  64,  128, 256,   4,   4, DROP_RECIPIENTS },
    {   48,    64,   64,  64,  48,   64, 256,   2,   2, DROP_RECIPIENTS },
    {   40,    32,   32,  32,  32,   32, 256,   1,   1, DROP_MOST },
    {   40,    32,   32,  32,  32,   32,  64,   1,   1, DROP_MOST },
};
/* clang-format on */
enum { MARKS_MAX = 64 }; /* octets of the names in `truncated_fields` under DROP_MOST */

struct cutter {
    const struct limits *limits;
    struct record *out;
    struct arena *mem;
    enum record_key top; /* the key at the top level that we are in */
    bool cut[KEY_COUNT]; /* by key at the top level */
};

static const struct span ELLIPSIS = { "\xe2\x80\xa6", 3 };

/* Octets of one character inside a JSON string, at the most; *n is its length in s. */
static size_t char_cost(struct span s, size_t *n)
{
    unsigned char c = (unsigned char)s.p[0];
    *n = 1;
    if (c < 0x80)
        return c < 0x20 || c == 0x7f ? 6 : c == '"' || c == '\\' ? 2 : 1;
    uint32_t cp;
    *n = codec_utf8_step(s.p, s.n, &cp);
    if (cp == CODEC_UTF8_BAD)
        return 3;
    return cp < 0xa0 || cp == 0x2028 || cp == 0x2029 ? 6 : *n;
}

/* True if s fits into max octets; else *keep is how much of it does with the ellipsis. Looks at max octets only. */
static bool text_fits(struct span s, size_t max, size_t *keep)
{
    size_t cost = 0, n;
    *keep = 0;
    for (size_t at = 0; at < s.n; at += n) {
        cost += char_cost(span_skip(s, at), &n);
        if (cost > max)
            return false;
        if (cost + ELLIPSIS.n <= max)
            *keep = at + n;
    }
    return true;
}

struct span record_cut_text(struct span s, size_t max, struct arena *mem)
{
    size_t keep;
    if (max == ALL || text_fits(s, max, &keep))
        return s;
    char *to = arena_bytes(mem, keep + ELLIPSIS.n);
    memcpy(to, s.p, keep);
    memcpy(to + keep, ELLIPSIS.p, ELLIPSIS.n);
    return span_of(to, keep + ELLIPSIS.n);
}

static void note(struct cutter *c) { c->cut[c->top] = true; }

static size_t text_limit(const struct limits *l, enum text text)
{
    const size_t *const limits[TEXT_COUNT] = {
        [TEXT_NAME] = &l->name,     [TEXT_MSG] = &l->msg,   [TEXT_REPLY] = &l->reply, [TEXT_ADDRESS] = &l->address,
        [TEXT_HEADER] = &l->header, [TEXT_LINE] = &l->line, [TEXT_JOIN] = &l->join,
    };
    return *limits[text];
}

static struct span cut_str(struct cutter *c, enum record_key key, struct span s)
{
    struct span kept = record_cut_text(s, text_limit(c->limits, TEXT_OF[key]), c->mem);
    if (kept.p != s.p)
        note(c);
    return kept;
}

/* The pieces as one string. A character has at most four octets and costs no fewer than it has, so that four more than
 * the limit are enough to see whether the whole fits. */
static void cut_cat(struct cutter *c, struct record_field *f)
{
    size_t limit = text_limit(c->limits, TEXT_OF[f->key]), total = 0, n = 0;
    if (limit == ALL)
        return;
    for (size_t i = 0; i < f->strs.n; i++)
        total += f->strs.p[i].n;
    total = min_size(total, limit + 4);
    char *to = arena_bytes(c->mem, total);
    for (size_t i = 0; n < total; i++) {
        struct span piece = span_head(f->strs.p[i], total - n);
        if (piece.n > 0)
            memcpy(to + n, piece.p, piece.n);
        n += piece.n;
    }
    struct span whole = span_of(to, total), kept = cut_str(c, f->key, whole);
    if (kept.p == whole.p)
        return; /* pieces stay pieces: a character is never joined across two */
    f->type = REC_STR;
    f->str = kept;
}

static void cut_strs(struct cutter *c, struct record_field *f)
{
    size_t n = min_size(f->strs.n, c->limits->lists);
    struct span *list = arena_alloc(c->mem, n * sizeof(*list));
    if (n < f->strs.n)
        note(c);
    for (size_t i = 0; i < n; i++)
        list[i] = cut_str(c, f->key, f->strs.p[i]);
    f->strs.p = list;
    f->strs.n = n;
}

static void cut_reply(struct cutter *c, struct record_field *f)
{
    const struct smtp_reply *reply = f->reply;
    size_t pos = 0, n = 0, max = min_size(reply->wire.n / 3 + 1, c->limits->lists);
    struct span line, *list = arena_alloc(c->mem, max * sizeof(*list));
    while (smtp_reply_line(reply, &pos, true, &line)) {
        if (n == max) {
            note(c);
            break;
        }
        list[n++] = cut_str(c, f->key, line);
    }
    f->type = REC_STRS;
    f->strs.p = list;
    f->strs.n = n;
}

static void cut_rcpts(struct cutter *c, struct record_field *f)
{
    size_t n = min_size(f->rcpts.n, c->limits->rcpts);
    struct record_rcpt *list = arena_alloc(c->mem, n * sizeof(*list));
    if (n < f->rcpts.n)
        note(c);
    for (size_t i = 0; i < n; i++) {
        list[i] = f->rcpts.p[i];
        list[i].address = cut_str(c, KEY_ADDRESS, list[i].address);
        if (f->type == REC_RECIPIENTS)
            list[i].reply = cut_str(c, KEY_REPLY, list[i].reply);
    }
    f->rcpts.p = list;
    f->rcpts.n = n;
}

static struct record_field cut_field(struct cutter *c, const struct record_field *in)
{
    struct record_field f = *in;
    switch (f.type) {
    case REC_STR:
        f.str = cut_str(c, f.key, f.str);
        break;
    case REC_CAT:
        cut_cat(c, &f);
        break;
    case REC_STRS:
        cut_strs(c, &f);
        break;
    case REC_REPLY:
        cut_reply(c, &f);
        break;
    case REC_RCPT_TO:
    case REC_RECIPIENTS:
        cut_rcpts(c, &f);
        break;
    case REC_INT:
    case REC_BOOL:
    case REC_MS:
    case REC_NULL:
    case REC_OPEN:
    case REC_OPEN_LIST:
    case REC_CLOSE:
    case REC_CLOSE_LIST:
        break;
    }
    return f;
}

/* What stays to the end: the keys that join records, whose it is, and what every record has. */
static bool key_stays(const struct record_field *f)
{
    static const bool scalar[] = {
        [REC_STR] = true, [REC_CAT] = true,  [REC_INT] = true,         [REC_BOOL] = true,
        [REC_MS] = true,  [REC_NULL] = true, [REC_CLOSE_LIST] = false,
    };
    return scalar[f->type] && (TEXT_OF[f->key] == TEXT_JOIN || f->key == KEY_COMPONENT || f->key == KEY_SIDE ||
                               f->key == KEY_HOST || f->key == KEY_MSG);
}

/* f: a field of the top level. */
static bool is_dropped(enum drop drop, const struct record_field *f)
{
    return (drop >= DROP_HEADERS && f->key == KEY_HEADERS) || (drop >= DROP_ANOMALIES && f->key == KEY_ANOMALIES) ||
           (drop >= DROP_RECIPIENTS && f->key == KEY_RECIPIENTS) || (drop >= DROP_MOST && !key_stays(f));
}

/* Names of what was cut, in the record's order; what its maker had cut already is named there too. */
static void put_marks(struct cutter *c, const struct record *in)
{
    struct span *names = arena_alloc(c->mem, (KEY_COUNT + 1) * sizeof(*names));
    size_t n = 0, used = 0, max = c->limits->drop == DROP_MOST ? MARKS_MAX - 8 : ALL;
    for (unsigned i = 0; i < in->count; i++) {
        enum record_key key = in->field[i].key;
        if (key >= KEY_COUNT || !c->cut[key])
            continue;
        c->cut[key] = false;
        used += record_key_word(key).n + 3;
        names[n++] = used <= max ? record_key_word(key) : ELLIPSIS;
        if (used > max)
            break;
    }
    struct record_field *f = &c->out->field[c->out->count];
    f[0] = (struct record_field){ .key = KEY_TRUNCATED, .type = REC_BOOL, .num = 1 };
    f[1] = (struct record_field){ .key = KEY_TRUNCATED_FIELDS, .type = REC_STRS, .strs = { names, n } };
    c->out->count += 2;
}

/* A record may come with marks of its own: they are taken into ours. */
static bool take_marks(struct cutter *c, const struct record_field *f)
{
    if (f->key != KEY_TRUNCATED_FIELDS)
        return f->key == KEY_TRUNCATED;
    for (size_t i = 0; i < f->strs.n; i++) {
        for (enum record_key key = 0; key < KEY_COUNT; key++) {
            if (span_eq(record_key_word(key), f->strs.p[i]))
                c->cut[key] = true;
        }
    }
    return true;
}

/* msg's own cut must be known before the marks that stand before it. */
static void cut_msg(struct cutter *c, const struct record *in, const struct record_field *f)
{
    struct record_field msg = cut_field(c, f);
    put_marks(c, in);
    c->out->field[c->out->count++] = msg;
}

void record_cut(struct record *out, const struct record *in, unsigned step, struct arena *mem)
{
    struct cutter c = { .limits = &STEPS[step - 1], .out = out, .mem = mem };
    unsigned depth = 0;
    bool drop = false, marked = false;
    record_begin(out, in->tnx, in->time);
    for (unsigned i = 0; i < in->count; i++) {
        const struct record_field *f = &in->field[i];
        if (depth == 0) {
            c.top = f->key;
            drop = is_dropped(c.limits->drop, f);
            if (take_marks(&c, f))
                continue;
            if (drop)
                note(&c);
        }
        depth += f->type == REC_OPEN || f->type == REC_OPEN_LIST;
        depth -= f->type == REC_CLOSE || f->type == REC_CLOSE_LIST;
        if (drop)
            continue;
        if (f->key == KEY_MSG && depth == 0 && !marked) {
            cut_msg(&c, in, f);
            marked = true;
        } else {
            out->field[out->count++] = cut_field(&c, f);
        }
    }
    if (!marked)
        put_marks(&c, in);
}
