/* Records and transactions made of the fuzzer's bytes. A record: the whole line says what went in, repaired, and no
 * more; a line cut to a limit keeps it, is a cut of the whole, and names what was cut. A transaction: one record for
 * each recipient and the message, keys in their order, nothing accepted that no 2xx accepted. */
#include <stdlib.h>
#include <string.h>

#include "common/record/txn.h"
#include "tests/unit/json_model.h"
#include "tests/unit/record_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            abort();                                                                                                   \
    } while (0)

enum { LISTS_MAX = 600, LIST_MAX = 50 };
static struct span input; /* what is left of it */

static unsigned take_byte(void)
{
    unsigned c = input.n > 0 ? (unsigned char)input.p[0] : 0;
    input = span_skip(input, 1);
    return c;
}

static unsigned take_number(unsigned below) { return (take_byte() << 8 | take_byte()) % below; }

static int64_t take_int(void)
{
    int64_t v = 0;
    for (unsigned i = take_number(7); i > 0; i--)
        v = v << 8 | take_byte();
    return take_byte() & 1 ? -v : v;
}

static char texts[1 << 15];
static size_t texts_used;

/* Bytes of the input, sometimes many times over. */
static struct span take_text(void)
{
    unsigned how = take_byte();
    struct span s = span_head(input, how % 64);
    input = span_skip(input, s.n);
    size_t times = how >= 240 ? 50 : how >= 192 ? 9 : 1, n = 0;
    char *to = texts + texts_used;
    for (size_t i = 0; i < times && s.n > 0 && texts_used + n + s.n < sizeof(texts); i++, n += s.n)
        memcpy(to + n, s.p, s.n);
    texts_used += n;
    return span_of(to, n);
}

/* What json-c should read for s; the newest is kept, for lists say one thing often. */
static struct json_object *model_str(struct span s)
{
    static struct json_object *last;
    static char *of;
    static size_t of_len;
    if (last != NULL && of_len == s.n && (s.n == 0 || memcmp(of, s.p, s.n) == 0))
        return json_object_get(last);
    char *written = malloc(6 * s.n + 8), *repaired = calloc(1, 6 * s.n + 8);
    size_t w = 0, r = 0;
    json_model(s, written, &w, repaired, &r);
    struct json_object *o = json_object_new_string_len(repaired, (int)r);
    free(written);
    free(repaired);
    json_object_put(last);
    last = json_object_get(o);
    of = realloc(of, s.n + 1);
    of_len = s.n;
    if (s.n > 0)
        memcpy(of, s.p, s.n);
    return o;
}

static struct record record;
static struct json_object *model;       /* of the whole record */
static char model_keys[KEY_COUNT * 20]; /* in their order, each followed by a blank */
static struct span lists[LISTS_MAX];
static struct record_rcpt rcpts[LISTS_MAX];
static size_t lists_used;
static struct smtp_reply replies[KEY_COUNT];

static struct span *take_list(size_t *n)
{
    struct span *list = lists + lists_used;
    *n = min_size(take_number(LIST_MAX), LISTS_MAX - lists_used);
    lists_used += *n;
    struct span once = take_text();
    for (size_t i = 0; i < *n; i++)
        list[i] = i < 4 ? take_text() : once;
    return list;
}

static struct json_object *put_strs(enum record_key key, bool joined)
{
    size_t n;
    struct span *list = take_list(&n);
    if (joined) {
        struct json_object *o;
        char *all = malloc(1 + 3 * sizeof(texts));
        size_t len = 0;
        n = min_size(n, 8);
        for (size_t i = 0; i < n; i++) {
            struct json_object *piece = model_str(list[i]);
            memcpy(all + len, json_object_get_string(piece), (size_t)json_object_get_string_len(piece));
            len += (size_t)json_object_get_string_len(piece);
            json_object_put(piece);
        }
        record_cat(&record, key, list, n);
        o = json_object_new_string_len(all, (int)len);
        free(all);
        return o;
    }
    struct json_object *o = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(o, model_str(list[i]));
    record_strs(&record, key, list, n);
    return o;
}

static struct json_object *put_rcpts(enum record_key key, enum record_type type)
{
    size_t n, at = lists_used;
    struct span *list = take_list(&n);
    struct json_object *o = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        struct record_rcpt *r = &rcpts[at + i];
        *r = (struct record_rcpt){ .address = list[i],
                                   .status = (enum txn_status)(i % STATUS_COUNT),
                                   .code = i % 3 ? 250 : 0,
                                   .enhanced = i % 2 ? SPAN_LIT("2.1.0") : SPAN_NONE,
                                   .reply = list[n - 1 - i] };
        if (type == REC_RCPT_TO) {
            json_object_array_add(o, model_str(r->address));
            continue;
        }
        struct json_object *m = json_object_new_object();
        json_object_object_add(m, "address", model_str(r->address));
        json_object_object_add(m, "status", json_object_new_string(status_word(r->status)));
        if (r->code != 0)
            json_object_object_add(m, "code", json_object_new_int(r->code));
        if (r->enhanced.n > 0)
            json_object_object_add(m, "enhanced", json_object_new_string("2.1.0"));
        if (r->code != 0 || r->reply.n > 0)
            json_object_object_add(m, "reply", model_str(r->reply));
        json_object_array_add(o, m);
    }
    record_rcpts(&record, key, type, rcpts + at, n);
    return o;
}

/* Lines of anything but line ends; the writer is given what a parser would never let through. */
static struct json_object *put_reply(enum record_key key)
{
    char *wire = NULL;
    struct json_object *o = json_object_new_array();
    size_t n = 0, lines = 1 + take_number(40);
    for (size_t i = 0; i < lines; i++) {
        struct span text = span_head(take_text(), 200);
        char line[256] = "450", *to = line + 3;
        *to++ = i + 1 < lines ? '-' : ' ';
        *to++ = '|'; /* no enhanced code begins so */
        for (size_t k = 0; k < text.n; k++)
            *to++ = text.p[k] == '\n' || text.p[k] == '\r' ? '?' : text.p[k];
        json_object_array_add(o, model_str(span_of(line + 4, (size_t)(to - line) - 4)));
        memcpy(to, "\r\n", 2);
        size_t len = (size_t)(to - line) + 2;
        wire = realloc(wire, n + len);
        memcpy(wire + n, line, len);
        n += len;
    }
    replies[key] = smtp_reply_read(span_of(wire, n));
    record_reply_lines(&record, key, &replies[key]);
    return o;
}

static struct json_object *put_object(enum record_key key)
{
    struct json_object *o = json_object_new_object();
    record_open(&record, key);
    for (unsigned i = take_number(4); i > 0; i--) {
        struct span name = SPAN_LIT("x-\"\\\x1b"), value = take_text();
        name.n -= i - 1;
        record_named(&record, name, value);
        struct json_object *text = model_str(name);
        json_object_object_add(o, json_object_get_string(text), model_str(value));
        json_object_put(text);
    }
    record_open_list(&record, KEY_WITHHELD);
    record_open_member(&record);
    record_int(&record, KEY_PORT, 25);
    record_close(&record);
    record_close_list(&record);
    record_close(&record);
    struct json_object *member = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(member, "port", json_object_new_int(25));
    json_object_array_add(list, member);
    json_object_object_add(o, "withheld", list);
    return o;
}

static struct json_object *put_scalar(enum record_key key, unsigned type)
{
    int64_t v = take_int();
    switch (type) {
    case 0:
        record_int(&record, key, v);
        return json_object_new_int64(v);
    case 1:
        record_bool(&record, key, v & 1);
        return json_object_new_boolean(v & 1);
    case 2:
        record_ms(&record, key, v);
        return v % 1000 == 0 ? json_object_new_int64(v / 1000) : json_object_new_double((double)v / 1000);
    default:
        record_null(&record, key);
        return NULL;
    }
}

static struct json_object *put_value(enum record_key key)
{
    unsigned type = take_number(12);
    if (key == KEY_COMPONENT || key == KEY_MSG || type >= 10) {
        struct span s = take_text();
        record_str(&record, key, s);
        return model_str(s);
    }
    switch (type) {
    case 4:
    case 5:
        return put_strs(key, type == 4);
    case 6:
        return put_rcpts(key, REC_RCPT_TO);
    case 7:
        return put_rcpts(key, REC_RECIPIENTS);
    case 8:
        return put_reply(key);
    case 9:
        return put_object(key);
    default:
        return put_scalar(key, type);
    }
}

static void put_field(enum record_key key)
{
    struct span word = record_key_word(key);
    strncat(model_keys, word.p, word.n);
    strcat(model_keys, " ");
    json_object_object_add(model, word.p, put_value(key));
}

static void make_record(void)
{
    enum tnx tnx = (enum tnx)take_number(TNX_COUNT);
    record_begin(&record, tnx, take_int());
    model = json_object_new_object();
    texts_used = lists_used = 0;
    strcpy(model_keys, "time level ");
    if (take_byte() & 1)
        put_field(KEY_COMPONENT);
    strcat(model_keys, "tnx ");
    unsigned step = 1 + take_number(12);
    for (unsigned key = KEY_TNX + 1 + take_number(8); key < KEY_TRUNCATED && record.count < 120; key += step)
        put_field((enum record_key)key);
    if (take_byte() & 3)
        put_field(KEY_MSG);
    json_object_object_add(model, "level", json_object_new_string(level_word(tnx_level(tnx))));
    json_object_object_add(model, "tnx", json_object_new_string(tnx_word(tnx)));
    json_object_object_add(model, "run", json_object_new_string("0b1k2f9s"));
    json_object_object_add(model, "seq", json_object_new_int(42));
}

static void check_bytes(const struct buf *line)
{
    for (size_t i = 0; i + 1 < buf_len(line); i++)
        CHECK((unsigned char)buf_span(line).p[i] >= 0x20 && buf_span(line).p[i] != 0x7f);
}

static bool is_cut_string(struct json_object *cut, struct json_object *whole)
{
    size_t n = (size_t)json_object_get_string_len(cut), all = (size_t)json_object_get_string_len(whole);
    const char *text = json_object_get_string(cut);
    return n >= 3 && n - 3 < all && memcmp(text + n - 3, "\xe2\x80\xa6", 3) == 0 &&
           memcmp(text, json_object_get_string(whole), n - 3) == 0;
}

/* Pieces whose characters were broken over their border are whole once joined for cutting, so that `loose` strings are
 * not compared. */
static bool is_cut_of(struct json_object *cut, struct json_object *whole, bool loose)
{
    if (json_object_equal(cut, whole))
        return true;
    if (json_object_get_type(cut) != json_object_get_type(whole))
        return false;
    if (json_object_is_type(cut, json_type_string))
        return loose || is_cut_string(cut, whole);
    if (json_object_is_type(cut, json_type_array)) {
        if (json_object_array_length(cut) > json_object_array_length(whole))
            return false;
        for (size_t i = 0; i < json_object_array_length(cut); i++)
            if (!is_cut_of(json_object_array_get_idx(cut, i), json_object_array_get_idx(whole, i), false))
                return false;
        return true;
    }
    if (!json_object_is_type(cut, json_type_object) ||
        json_object_object_length(cut) != json_object_object_length(whole))
        return false;
    json_object_object_foreach(cut, key, value)
    {
        struct json_object *other;
        if (!json_object_object_get_ex(whole, key, &other) || !is_cut_of(value, other, false))
            return false;
    }
    return true;
}

static bool is_named(struct json_object *names, const char *key)
{
    for (size_t i = 0; i < json_object_array_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        if (strcmp(name, key) == 0 || strcmp(name, "\xe2\x80\xa6") == 0)
            return true;
    }
    return false;
}

static bool is_cat(const char *key)
{
    for (unsigned i = 0; i < record.count; i++) {
        if (strcmp(record_key_word(record.field[i].key % KEY_COUNT).p, key) == 0)
            return record.field[i].type == REC_CAT;
    }
    return false;
}

/* The keys of a cut line are those of the whole one, less what is named, with the marks among them. */
static void check_cut(struct json_object *cut, struct json_object *whole, const char *keys)
{
    struct json_object *names = line_at(cut, "truncated_fields"), *value;
    const char *from = keys;
    CHECK(json_object_get_boolean(line_at(cut, "truncated")));
    CHECK(json_object_is_type(names, json_type_array) && json_object_array_length(names) > 0);
    for (const char *at = model_keys; *at != '\0';) {
        char key[32] = "";
        size_t n = strcspn(at, " ") + 1;
        memcpy(key, at, n - 1);
        at += n;
        if (strncmp(from, "truncated truncated_fields ", 27) == 0)
            from += 27;
        bool there = strncmp(from, key, n - 1) == 0 && from[n - 1] == ' ';
        CHECK(there || is_named(names, key));
        if (!there)
            continue;
        from += n;
        CHECK(json_object_object_get_ex(cut, key, &value));
        CHECK(is_named(names, key) ? is_cut_of(value, line_at(whole, key), is_cat(key))
                                   : json_object_equal(value, line_at(whole, key)));
    }
    CHECK(strcmp(from, "run seq ") == 0 || strcmp(from, "truncated truncated_fields run seq ") == 0);
    static const char *const joins[] = { "cid", "tid", "status", "code", "queue_id", "message_id" };
    for (size_t i = 0; i < ARRAY_LEN(joins); i++) {
        struct json_object *is;
        if (json_object_object_get_ex(whole, joins[i], &is) && !json_object_is_type(is, json_type_array) &&
            !json_object_is_type(is, json_type_object))
            CHECK(json_object_object_get_ex(cut, joins[i], NULL));
    }
}

/* The whole line against the model; returns its length. */
static size_t check_whole(struct json_object **whole)
{
    char keys[sizeof(model_keys) + 100];
    struct buf line;
    buf_init(&line, NULL);
    line_make(&line, &record, SIZE_MAX, RECORD_TAIL_PLAIN);
    check_bytes(&line);
    line_keys(buf_span(&line), keys);
    CHECK(strncmp(keys, model_keys, strlen(model_keys)) == 0 && strcmp(keys + strlen(model_keys), "run seq ") == 0);
    *whole = line_parse(&line);
    CHECK(*whole != NULL);
    json_object_object_add(model, "time", json_object_get(line_at(*whole, "time")));
    CHECK(json_object_equal(*whole, model));
    size_t n = buf_len(&line) - sizeof(LINE_TAIL);
    buf_free(&line);
    return n;
}

static void fuzz_record(void)
{
    char keys[sizeof(model_keys) + 100];
    size_t max = RECORD_MIN_MAX + take_number(take_byte() & 1 ? 1000 : 60000);
    size_t tail = take_byte() & 1 ? RECORD_TAIL_MAX : RECORD_TAIL_PLAIN;
    struct json_object *whole;
    struct buf line;
    make_record();
    size_t n = check_whole(&whole);
    buf_init(&line, NULL);
    buf_append(&line, "}", 1);
    line_make(&line, &record, max, tail);
    CHECK(buf_span(&line).p[0] == '}');
    buf_consume(&line, 1);
    CHECK(buf_len(&line) - sizeof(LINE_TAIL) <= max - tail);
    check_bytes(&line);
    struct json_object *o = line_parse(&line);
    CHECK(o != NULL);
    line_keys(buf_span(&line), keys);
    if (n <= max - tail)
        CHECK(json_object_equal(o, whole) && strstr(keys, "truncated") == NULL);
    else
        check_cut(o, whole, keys);
    json_object_put(o);
    json_object_put(whole);
    json_object_put(model);
    buf_free(&line);
    for (unsigned i = 0; i < record.count; i++) {
        if (record.field[i].type == REC_REPLY)
            free((char *)record.field[i].reply->wire.p);
    }
}

/* A transaction as told, and what came of it. */
struct trip {
    struct txn *t;
    struct txn_end end;
    unsigned rcpts, records;
    bool accepted_final, refused_rcpt;
    char reply_wire[8192];
};

static struct smtp_reply take_reply(char wire[8192])
{
    static const char *const codes[] = { "250", "250", "251", "354", "421", "450", "451", "503", "550", "554" };
    static const char *const words[] = { "2.1.0 Ok: queued as 1A2B3C4D ", "4.4.2 ", "5.1.1 ", "" };
    const char *code = codes[take_number(ARRAY_LEN(codes))];
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    struct buf in;
    buf_init(&in, NULL);
    for (unsigned lines = take_byte() % 8 == 0 ? 3 : 1; lines > 0; lines--) {
        struct span text = span_head(take_text(), 2000);
        buf_printf(&in, "%s%c%s", code, lines > 1 ? '-' : ' ', words[take_number(ARRAY_LEN(words))]);
        for (size_t i = 0; i < text.n; i++)
            buf_append(&in, text.p[i] == '\n' ? "?" : text.p + i, 1);
        buf_append(&in, "\r\n", 2);
    }
    struct span bytes = buf_span(&in);
    smtp_reply_parser_init(&p, NULL);
    CHECK(smtp_reply_parse(&p, &bytes, &reply) == SMTP_REPLY_DONE);
    CHECK(reply.wire.n <= 8192);
    memcpy(wire, reply.wire.p, reply.wire.n);
    reply.wire.p = wire;
    smtp_reply_parser_free(&p);
    buf_free(&in);
    return reply;
}

static const char message_keys[] =
    " time level component tnx cid tid user host hostname listener helo protocol mail_from rcpt_to rcpt_count "
    "rcpt_accepted recipients status client_replied code enhanced smtp_response stage class anomalies decided_by "
    "queue_id size message_id subject headers body smtputf8 dsn tls upstream timing truncated truncated_fields msg run "
    "seq ";
static const char rcpt_keys[] = " time level component tnx cid tid user host mail_from rcpt_to rcpt_domain status "
                                "stage code enhanced smtp_response "
                                "decided_by class queue_id truncated truncated_fields msg run seq ";

/* Each key stands behind the one before it in the order of events.md. */
static void check_order(const char *keys, const char *at)
{
    while (*keys != '\0') {
        char key[40] = " ";
        size_t n = strcspn(keys, " ") + 1;
        memcpy(key + 1, keys, n);
        at = strstr(at, key);
        CHECK(at != NULL);
        at += n;
        keys += n;
    }
}

static void check_outcome(const struct trip *trip, struct json_object *o)
{
    const char *status = line_text(o, "status");
    bool accepted = strcmp(status, "accepted") == 0;
    bool refused = strcmp(status, "deferred") == 0 || strcmp(status, "rejected") == 0;
    CHECK(!accepted || trip->end.status == STATUS_ACCEPTED || trip->accepted_final);
    CHECK(accepted || line_at(o, "queue_id") == NULL);
    CHECK(json_object_object_get_ex(o, "queue_id", NULL));
    CHECK((line_at(o, "class") != NULL) == (refused || strcmp(status, "indeterminate") == 0));
    CHECK(!refused || trip->refused_rcpt || trip->end.status != STATUS_ACCEPTED);
    CHECK(strncmp(line_text(o, "msg"), status, strlen(status)) == 0);
}

static void on_record(void *arg, const struct record *r)
{
    struct trip *trip = arg;
    char keys[2048];
    struct buf line;
    CHECK(trip->records++ < trip->rcpts ? r->tnx == TNX_RCPT : r->tnx == TNX_MESSAGE);
    buf_init(&line, NULL);
    line_make(&line, r, SIZE_MAX, RECORD_TAIL_MAX);
    check_bytes(&line);
    line_keys(buf_span(&line), keys);
    check_order(keys, r->tnx == TNX_RCPT ? rcpt_keys : message_keys);
    struct json_object *o = line_parse(&line);
    CHECK(o != NULL && strcmp(line_text(o, "tid"), "c.3") == 0);
    check_outcome(trip, o);
    if (r->tnx == TNX_MESSAGE) {
        CHECK(json_object_array_length(line_at(o, "recipients")) == trip->rcpts);
        CHECK(json_object_array_length(line_at(o, "rcpt_to")) == trip->rcpts);
        CHECK(json_object_get_int(line_at(o, "rcpt_count")) == (int)trip->rcpts);
        CHECK(json_object_get_int(line_at(o, "rcpt_accepted")) ==
              (int)(trip->rcpts > 0 ? txn_rcpt_accepted(trip->t) : 0));
    }
    json_object_put(o);
    buf_free(&line);
}

static void tell_rcpt(struct trip *trip)
{
    char wire[8192];
    struct smtp_path path;
    struct span arg = take_text(), rest = arg;
    bool good = smtp_path_parse(&path, &rest, SMTP_FORWARD_PATH) == SMTP_PATH_OK;
    unsigned i = txn_rcpt_add(trip->t, good ? &path : NULL, arg), how = take_byte();
    CHECK(i == trip->rcpts++);
    if ((how & 7) == 0)
        return;
    struct smtp_reply reply = take_reply(wire);
    txn_rcpt_reply(trip->t, i, &reply, how & 8 ? BY_UPSTREAM : BY_SMTPTAP);
    trip->refused_rcpt = trip->refused_rcpt || !smtp_reply_is(&reply, 2);
    if (how < 192 || !smtp_reply_is(&reply, 2))
        return;
    reply = take_reply(wire);
    txn_rcpt_final(trip->t, i, &reply, how & 16 ? BY_UPSTREAM : BY_SMTPTAP);
    trip->accepted_final = trip->accepted_final || smtp_reply_is(&reply, 2);
    trip->refused_rcpt = trip->refused_rcpt || !smtp_reply_is(&reply, 2);
}

static void tell_content(struct txn *t)
{
    static const struct smtp_header_want want = { .name = { "message-id", "subject", "from", "x-a" }, .count = 4 };
    static const char *const words[] = { "bare_lf", "nul", "long_line" };
    struct smtp_header h;
    smtp_header_init(&h, &want, NULL);
    for (unsigned i = take_number(6); i > 0; i--) {
        char head[32];
        smtp_header_feed(&h, span_of(head, (size_t)snprintf(head, sizeof(head), "%s: ", want.name[take_number(4)])));
        smtp_header_feed(&h, take_text());
        smtp_header_feed(&h, SPAN_LIT("\r\n"));
    }
    txn_headers(t, &h);
    smtp_header_free(&h);
    txn_anomaly(t, words[take_number(3)]);
    txn_size(t, (uint64_t)take_number(60000));
    txn_phase_add(t, (enum txn_phase)take_number(PHASE_COUNT), take_int());
    struct txn_upstream up = { .server = take_text(),
                               .host = take_text(),
                               .tls_version = take_byte() & 1 ? "x" : NULL };
    txn_set_upstream(t, &up);
}

static void fuzz_txn(void)
{
    static struct trip trip;
    struct smtp_reply reply;
    texts_used = 0;
    trip = (struct trip){ .t = txn_new(3, 0) };
    struct smtp_mail_params params = { .smtputf8 = take_byte() & 1, .ret = SMTP_RET_FULL, .envid = take_text() };
    txn_mail(trip.t, NULL, take_text(), take_byte() & 1 ? &params : NULL);
    for (unsigned i = take_number(8); i > 0; i--)
        tell_rcpt(&trip);
    if (take_byte() & 1)
        tell_content(trip.t);
    struct txn_session s = { .component = SPAN_LIT("smtptap"),
                             .cid = SPAN_LIT("c"),
                             .user = take_text(),
                             .helo = take_text(),
                             .protocol = "SMTP" };
    trip.end = (struct txn_end){ .status = (enum txn_status)take_number(STATUS_COUNT),
                                 .stage = (enum txn_stage)take_number(STAGE_COUNT),
                                 .by = (enum txn_by)take_number(BY_COUNT) };
    if (take_byte() & 3) {
        reply = take_reply(trip.reply_wire);
        trip.end.reply = &reply;
    }
    if (trip.end.stage == STAGE_MAIL && (trip.end.status == STATUS_DEFERRED || trip.end.status == STATUS_REJECTED))
        trip.rcpts = 0; /* of a refused MAIL */
    txn_write(trip.t, &s, &trip.end, on_record, &trip);
    CHECK(trip.records == trip.rcpts + 1);
    txn_free(&trip.t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = span_of((const char *)data, size);
    if (take_byte() & 1)
        fuzz_txn();
    else
        fuzz_record();
    return 0;
}
