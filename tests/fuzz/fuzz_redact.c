/* Text and records of the fuzzer's bytes, with an address, an IP address, a user and a name planted where it says:
 * under any rule but `keep`, none is found in what comes out, and what comes out is valid still. */
#include <stdlib.h>
#include <string.h>

#include "common/record/ecs.h"
#include "common/record/redact_impl.h"
#include "tests/unit/record_lines.h"
#include "tests/unit/record_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            abort();                                                                                                   \
    } while (0)

static struct span input;
static char texts[1 << 16];
static size_t used;

enum { PLANT_ADDRESS, PLANT_V4, PLANT_V6, PLANT_USER, PLANT_NAME, PLANTS };
static const struct span plants[PLANTS] = { SPAN_LIT("planted.box@secret.test"), SPAN_LIT("203.0.113.45"),
                                            SPAN_LIT("2001:db8:77:66:55::1"), SPAN_LIT("plantuser"),
                                            SPAN_LIT("plantname.client.test") };

static unsigned take_byte(void)
{
    unsigned c = input.n > 0 ? (unsigned char)input.p[0] : 0;
    input = span_skip(input, 1);
    return c;
}

static void add(struct span s)
{
    if (s.n > 0 && used + s.n < sizeof(texts)) {
        memcpy(texts + used, s.p, s.n);
        used += s.n;
    }
}

/* A word alone is what is known, so users and names stand between signs. */
static void add_plant(unsigned which)
{
    bool word = which == PLANT_USER || which == PLANT_NAME;
    if (word)
        add(SPAN_LIT(" "));
    add(plants[which]);
    if (word)
        add(SPAN_LIT(" "));
}

/* Bytes of the input with something planted among them. */
static struct span take_text(void)
{
    size_t from = used;
    for (unsigned pieces = take_byte() % 4; pieces > 0; pieces--) {
        unsigned how = take_byte();
        struct span s = span_head(input, how % 32);
        input = span_skip(input, s.n);
        add(s);
        if (how >= 96)
            add_plant(how % PLANTS);
    }
    return span_of(texts + from, used - from);
}

static struct span source(void *arg, enum record_key key)
{
    (void)arg;
    size_t from = used;
    switch ((int)key) {
    case KEY_USER:
    case KEY_USERNAME:
    case KEY_AUTHZID:
        return plants[PLANT_USER];
    case KEY_HOST:
        return take_byte() & 1 ? plants[PLANT_V4] : plants[PLANT_V6];
    case KEY_PROXY:
        return plants[PLANT_V6];
    case KEY_HOSTNAME:
        return plants[PLANT_NAME];
    case KEY_MAIL_FROM:
        return plants[PLANT_ADDRESS];
    case KEY_RCPT_TO:
    case KEY_ADDRESS:
        return take_byte() & 3 ? plants[PLANT_ADDRESS] : take_text();
    case KEY_MESSAGE_ID:
        return take_byte() & 1 ? SPAN_LIT("<1@id.test>") : SPAN_LIT("<1.planted.box@secret.test>");
    case KEY_LINES: {
        add(SPAN_LIT("250 "));
        size_t text = used;
        take_text();
        for (size_t i = text; i < used; i++)
            texts[i] = texts[i] == '\r' || texts[i] == '\n' ? '?' : texts[i];
        add(SPAN_LIT("\r\n"));
        return span_of(texts + from, used - from);
    }
    default:
        return take_text();
    }
}

/* A word is one where it stands between blanks, as it was planted: beside something else it may come to stand alone
 * when that is taken away. */
static bool holds(struct span text, struct span what, bool word)
{
    for (size_t i = 0; i + what.n <= text.n; i++) {
        if (strncasecmp(text.p + i, what.p, what.n) != 0)
            continue;
        if (!word || (i > 0 && text.p[i - 1] == ' ' && i + what.n < text.n && text.p[i + what.n] == ' '))
            return true;
    }
    return false;
}

static void check(const struct redact *x, struct span text)
{
    const enum redact_how how[PLANTS] = { x->rules.addresses, x->rules.client_ip, x->rules.client_ip, x->rules.username,
                                          x->rules.client_ip };
    for (unsigned i = 0; i < PLANTS; i++)
        CHECK(how[i] == REDACT_KEEP || !holds(text, plants[i], i == PLANT_USER || i == PLANT_NAME));
}

static void check_line(const struct redact *x, const struct record *r, const struct record_format *f)
{
    struct json_time_cache cache = { 0 };
    struct buf line;
    buf_init(&line, NULL);
    f->write(&line, r, 1 << 20, f->tail_max, &cache);
    buf_append(&line, "}", 2);
    check(x, buf_span(&line));
    struct json_object *o = line_parse(&line);
    CHECK(o != NULL);
    json_object_put(o);
    buf_free(&line);
}

static bool is_of_server(enum tnx tnx, enum side side)
{
    return tnx == TNX_LISTEN || tnx >= TNX_DROPPED ||
           (side == SIDE_UPSTREAM && (tnx == TNX_CONNECTION || tnx == TNX_CLOSE || tnx == TNX_ERROR));
}

static void fuzz_record(struct redact *x, struct arena *mem)
{
    struct sample s = { .source = source };
    struct record out;
    enum tnx tnx = (enum tnx)(take_byte() % TNX_COUNT);
    enum side side = (enum side)(take_byte() % 3);
    sample_make(&s, tnx, side);
    s.r.client_name = plants[PLANT_NAME];
    redact_record(x, &out, &s.r, mem);
    CHECK(out.count <= s.r.count);
    if (is_of_server(tnx, side))
        return;
    check_line(x, &out, &record_native);
    check_line(x, &out, &record_ecs);
}

/* Text alone, and again what came out: nothing more is found in it that is not of the same kind. */
static void fuzz_text(struct redact *x, struct arena *mem)
{
    x->mem = mem;
    x->client_name[0] = plants[PLANT_NAME];
    x->user[0] = plants[PLANT_USER];
    x->client_names = x->rules.client_ip != REDACT_KEEP;
    x->users = x->rules.username != REDACT_KEEP;
    struct span text = take_text();
    check(x, redact_text(x, text));
    if (x->rules.addresses != REDACT_KEEP)
        check(x, redact_addresses_of(x, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena mem;
    input = span_of((const char *)data, size);
    used = 0;
    unsigned mix = take_byte();
    const struct redact_rules rules = { (enum redact_how)(mix & 3), (enum redact_how)(mix >> 2 & 3),
                                        (enum redact_how)(mix >> 4 & 3), (enum redact_how)(mix >> 6 & 3) };
    struct redact *x = redact_new(&rules, SPAN_LIT("a key of sixteen"));
    arena_init(&mem, NULL, 0);
    if (take_byte() & 1)
        fuzz_record(x, &mem);
    else
        fuzz_text(x, &mem);
    arena_free(&mem);
    redact_free(&x);
    return 0;
}
