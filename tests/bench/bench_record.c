/* What writing a record costs: `bench_record LOG [ROUNDS]` makes of each line of a log (format native, as smtptap wrote
 * it) the record that it was, checks that writing it gives the same octets again, less `run`, `seq` and what follows,
 * and then writes all of them ROUNDS times. It prints how many they are, their mean length, and the mean CPU time to
 * write one, for each kind and for all.
 *
 *     make build/release/tests/bench/bench_record && build/release/tests/bench/bench_record smtptap.log
 *     make bench BENCH=--records     # for the records of W2 at debug
 *
 * The records are written in groups that fit into the processor's cache, as one that was just made would be there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/arena.h"
#include "common/record/native.h"
#include "proxy/log/clock.h"
#include "tests/unit/json_c.h"

enum { GROUP = 64, PIECES_MAX = 16, ROUNDS = 200, LONGEST = 1 << 20 };

/* Records of one kind that wait to be written, and what those before them cost. */
struct kind {
    struct json_object *line[GROUP]; /* owns the texts */
    struct record *record[GROUP];
    struct arena mem; /* of the records and of what they point to besides */
    size_t waiting, records, octets;
    usec_t cpu;
};
static struct kind kinds[TNX_COUNT];
static struct arena *mem; /* of the kind that is being read */

static __attribute__((noreturn)) void fail(size_t line, const char *why)
{
    fprintf(stderr, "line %zu: %s\n", line, why);
    exit(1);
}

static struct span text_of(struct json_object *o)
{
    return span_of(json_object_get_string(o), (size_t)json_object_get_string_len(o));
}

/* KEY_COUNT: there is none of that name. */
static enum record_key key_of(const char *word)
{
    enum record_key key = 0;
    while (key < KEY_COUNT && !span_eq(record_key_word(key), span_str(word)))
        key++;
    return key;
}

static enum tnx tnx_of(const char *word)
{
    enum tnx tnx = 0;
    while (tnx < TNX_COUNT && strcmp(tnx_word(tnx), word) != 0)
        tnx++;
    return tnx;
}

static usec_t time_of(const char *text)
{
    struct tm tm = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S.", &tm);
    return rest != NULL ? timegm(&tm) * USEC_PER_SEC + atol(rest) : -1;
}

static struct json_object *member(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, key, &v);
    return v;
}

/* `msg` is made of pieces: a line of the dialogue behind its "C: " or "S: ", else words. */
static void add_msg(struct record *r, struct span text)
{
    struct span *piece = arena_alloc(mem, PIECES_MAX * sizeof(*piece));
    size_t n = 0;
    bool dialogue = tnx_level(r->tnx) == LEVEL_DEBUG;
    while (n + 1 < (dialogue ? 2 : PIECES_MAX)) {
        const char *blank = memchr(text.p, ' ', text.n);
        if (blank == NULL)
            break;
        piece[n++] = span_of(text.p, (size_t)(blank - text.p) + 1);
        text = span_skip(text, piece[n - 1].n);
    }
    piece[n++] = text;
    record_cat(r, KEY_MSG, piece, n);
}

/* The reply as it came, for its lines are taken out of it when they are written. */
static void add_reply(struct record *r, struct json_object *record, struct json_object *lines)
{
    struct smtp_reply *reply = arena_alloc(mem, sizeof(*reply));
    struct json_object *enhanced = member(record, "enhanced");
    struct buf wire;
    buf_init(&wire, NULL);
    for (size_t i = 0, n = json_object_array_length(lines); i < n; i++) {
        buf_printf(&wire, "%03d%c%s%s", json_object_get_int(member(record, "code")), i + 1 < n ? '-' : ' ',
                   enhanced != NULL ? json_object_get_string(enhanced) : "", enhanced != NULL ? " " : "");
        buf_append_span(&wire, text_of(json_object_array_get_idx(lines, i)));
        buf_append(&wire, "\r\n", 2);
    }
    *reply = smtp_reply_read(arena_copy(mem, buf_span(&wire)));
    buf_free(&wire);
    record_reply_lines(r, KEY_LINES, reply);
}

static void add_rcpts(struct record *r, enum record_key key, struct json_object *list)
{
    size_t n = json_object_array_length(list);
    struct record_rcpt *rcpts = arena_alloc(mem, n * sizeof(*rcpts));
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i), *status = member(o, "status");
        rcpts[i] = (struct record_rcpt){ .address = text_of(key == KEY_RCPT_TO ? o : member(o, "address")) };
        if (key == KEY_RCPT_TO)
            continue;
        rcpts[i].hidden = rcpts[i].address.p == NULL;
        while (status != NULL && rcpts[i].status + 1 < STATUS_COUNT &&
               strcmp(status_word(rcpts[i].status), json_object_get_string(status)) != 0)
            rcpts[i].status++;
        rcpts[i].code = json_object_get_int(member(o, "code"));
        rcpts[i].enhanced = text_of(member(o, "enhanced"));
        rcpts[i].reply = text_of(member(o, "reply"));
    }
    record_rcpts(r, key, key == KEY_RCPT_TO ? REC_RCPT_TO : REC_RECIPIENTS, rcpts, n);
}

static void add_fields(struct record *r, struct json_object *o, enum record_key in);

static void add_list(struct record *r, enum record_key key, struct json_object *record, struct json_object *list)
{
    size_t n = json_object_array_length(list);
    if (key == KEY_RCPT_TO || key == KEY_RECIPIENTS) {
        add_rcpts(r, key, list);
    } else if (key == KEY_LINES) {
        add_reply(r, record, list);
    } else if (n > 0 && json_object_is_type(json_object_array_get_idx(list, 0), json_type_object)) {
        record_open_list(r, key);
        for (size_t i = 0; i < n; i++) {
            record_open_member(r);
            add_fields(r, json_object_array_get_idx(list, i), key);
            record_close(r);
        }
        record_close_list(r);
    } else {
        struct span *texts = arena_alloc(mem, n * sizeof(*texts));
        for (size_t i = 0; i < n; i++)
            texts[i] = text_of(json_object_array_get_idx(list, i));
        record_strs(r, key, texts, n);
    }
}

static void add_value(struct record *r, enum record_key key, enum record_key in, struct json_object *record,
                      struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        record_null(r, key);
        break;
    case json_type_boolean:
        record_bool(r, key, json_object_get_boolean(v));
        break;
    case json_type_int:
        if (in == KEY_TIMING || key == KEY_MS || key == KEY_DURATION_MS)
            record_ms(r, key, json_object_get_int64(v) * USEC_PER_MSEC);
        else
            record_int(r, key, json_object_get_int64(v));
        break;
    case json_type_double:
        record_ms(r, key, llround(json_object_get_double(v) * 1000));
        break;
    case json_type_string:
        if (key == KEY_MSG && in == KEY_COUNT)
            add_msg(r, text_of(v));
        else
            record_str(r, key, text_of(v));
        break;
    case json_type_array:
        add_list(r, key, record, v);
        break;
    case json_type_object:
        record_open(r, key);
        add_fields(r, v, key);
        record_close(r);
        break;
    }
}

/* in: the object's key; KEY_COUNT: the record itself, whose tail is the log's. */
static void add_fields(struct record *r, struct json_object *o, enum record_key in)
{
    json_object_object_foreach(o, word, v)
    {
        enum record_key key = key_of(word);
        if (in == KEY_HEADERS) {
            struct span name = span_str(word);
            record_named(r, arena_copy(mem, name), text_of(v));
        } else if (in == KEY_COUNT && (key == KEY_TIME || key == KEY_LEVEL || key == KEY_TNX)) {
            continue;
        } else if (in == KEY_COUNT && key == KEY_RUN) {
            break;
        } else if (key == KEY_COUNT) {
            fprintf(stderr, "no record has a key %s\n", word);
            exit(1);
        } else {
            add_value(r, key, in, o, v);
        }
    }
}

/* As far as it is filled. */
static struct record *keep(const struct record *r)
{
    struct record *own = arena_alloc(mem, offsetof(struct record, field) + r->count * sizeof(r->field[0]));
    memcpy(own, r, offsetof(struct record, field) + r->count * sizeof(r->field[0]));
    return own;
}

static void check_same(const struct record *r, struct span line, size_t number)
{
    static const char tail[] = ",\"run\":\"";
    struct json_time_cache clock = { 0 };
    struct buf out;
    buf_init(&out, NULL);
    record_write_native(&out, r, LONGEST, RECORD_TAIL_PLAIN, &clock);
    size_t n = buf_len(&out);
    if (n > line.n || memcmp(buf_span(&out).p, line.p, n) != 0 || strncmp(line.p + n, tail, sizeof(tail) - 1) != 0)
        fail(number, "is not written again as it was");
    buf_free(&out);
}

static struct kind *read_record(struct span line, size_t number)
{
    struct json_object *o = json_tokener_parse(line.p);
    if (!json_object_is_type(o, json_type_object) || member(o, "time") == NULL || member(o, "tnx") == NULL)
        fail(number, "is no record in format native");
    enum tnx tnx = tnx_of(json_object_get_string(member(o, "tnx")));
    if (tnx == TNX_COUNT)
        fail(number, "has a tnx that is not known");
    struct kind *k = &kinds[tnx];
    struct record r;
    mem = &k->mem;
    record_begin(&r, tnx, time_of(json_object_get_string(member(o, "time"))));
    add_fields(&r, o, KEY_COUNT);
    check_same(&r, line, number);
    k->line[k->waiting] = o;
    k->record[k->waiting++] = keep(&r);
    return k;
}

/* How long the lines are. */
static size_t write_all(const struct kind *k, long rounds)
{
    struct json_time_cache clock = { 0 };
    struct buf out;
    size_t octets = 0;
    buf_init(&out, NULL);
    for (long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < k->waiting; i++) {
            buf_rewind(&out);
            record_write_native(&out, k->record[i], LONGEST, RECORD_TAIL_PLAIN, &clock);
            octets += buf_len(&out);
        }
    }
    buf_free(&out);
    return octets;
}

static void measure(struct kind *k, long rounds)
{
    k->octets += write_all(k, 1);
    usec_t start = clock_usec(CLOCK_THREAD_CPUTIME_ID);
    write_all(k, rounds);
    k->cpu += clock_usec(CLOCK_THREAD_CPUTIME_ID) - start;
    k->records += k->waiting;
    while (k->waiting > 0)
        json_object_put(k->line[--k->waiting]);
    arena_free(&k->mem);
}

static void print_kind(const char *name, size_t records, size_t octets, usec_t cpu, long rounds)
{
    if (records > 0)
        printf("%-12s %8zu records, %6.0f octets, %6.0f ns each\n", name, records, (double)octets / (double)records,
               (double)cpu * 1000 / (double)records / (double)rounds);
}

static void print_all(long rounds)
{
    size_t records = 0, octets = 0;
    usec_t cpu = 0;
    for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++) {
        const struct kind *k = &kinds[tnx];
        print_kind(tnx_word(tnx), k->records, k->octets, k->cpu, rounds);
        records += k->records;
        octets += k->octets;
        cpu += k->cpu;
    }
    print_kind("all", records, octets, cpu, rounds);
}

int main(int argc, char **argv)
{
    long rounds = argc > 2 ? atol(argv[2]) : ROUNDS;
    FILE *log = argc > 1 ? fopen(argv[1], "re") : NULL;
    char *line = NULL;
    size_t room = 0, lines = 0;
    if (log == NULL || rounds < 1) {
        fprintf(stderr, "usage: bench_record LOG [ROUNDS]\n");
        return 2;
    }
    for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++)
        arena_init(&kinds[tnx].mem, NULL, 0);
    for (ssize_t n; (n = getline(&line, &room, log)) > 0;) {
        struct kind *k = read_record(span_of(line, (size_t)n), ++lines);
        if (k->waiting == GROUP)
            measure(k, rounds);
    }
    for (enum tnx tnx = 0; tnx < TNX_COUNT; tnx++) {
        if (kinds[tnx].waiting > 0)
            measure(&kinds[tnx], rounds);
    }
    print_all(rounds);
    free(line);
    fclose(log);
    return 0;
}
