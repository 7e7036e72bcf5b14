/* One pass over the record, as in native.c: names with their comma and quotes are literals of one table, and what is
 * the same in all records of a kind is one literal. Objects of the record are not objects here but a scope, in which
 * keys have other names; what the table doesn't know is named by its path. */
#include "common/record/ecs.h"

#include <stdlib.h>

#include "common/netaddr.h"
#include "common/record/ecs_fields.h"

/* Those up to SCOPE_LEG are senses of the top level. */
enum scope {
    SCOPE_TOP,
    SCOPE_LISTEN,
    SCOPE_CAPS,
    SCOPE_TLS_CLIENT,
    SCOPE_TLS_SERVER,
    SCOPE_LEG,
    SCOPE_TLS,
    SCOPE_PEER,
    SCOPE_UPSTREAM,
    SCOPE_UPSTREAM_TLS,
    SCOPE_TIMING,
    SCOPE_ERR,
    SCOPE_OTHER,
    SCOPE_COUNT
};
enum how {
    HOW_PLAIN,
    HOW_RCPT,
    HOW_NS,
    HOW_CLIENT,
    HOW_OURS,
    HOW_PEER,
    HOW_PORT,
    HOW_OUR_PORT,
    HOW_DOMAIN,
    HOW_FROM,
    HOW_USER,
    HOW_LOGIN,
    HOW_PROTOCOL,
    HOW_VERSION,
    HOW_UP_VERSION,
    HOW_STATUS,
    HOW_RESULT,
    HOW_OK,
    HOW_CODE
};

struct row {
    const char *name; /* with comma, quotes and colon */
    size_t n;
    enum how how;
};
#define NAME(text) ",\"" text "\":", sizeof(text) + 3
#define X(scope, key, how, field) [SCOPE_##scope][KEY_##key] = { NAME(field), HOW_##how },
static const struct row ROWS[SCOPE_COUNT][KEY_COUNT] = { RECORD_ECS_ROWS(X) };
#undef X
#define X(id, word) [KEY_##id] = { NAME("smtptap." word), HOW_PLAIN },
static const struct row OWN[KEY_COUNT] = { RECORD_KEYS(X) };
#undef X

#define X(tnx, category, type, dataset, outcome)                                                                       \
    [TNX_##tnx] = SPAN_LIT(",\"ecs.version\":\"9.4.0\",\"observer.product\":\"smtptap\",\"observer.type\":\"proxy\","  \
                           "\"event.kind\":\"event\",\"event.category\":[" category "],\"event.type\":[" type "],"     \
                           "\"event.dataset\":\"smtptap." dataset "\"" outcome),
static const struct span KINDS[TNX_COUNT] = { RECORD_ECS_KINDS(X) };
#undef X
#define X(id, word, level) [TNX_##id] = SPAN_LIT(",\"event.action\":\"" word "\",\"smtptap.tnx\":\"" word "\""),
static const struct span ACTIONS[TNX_COUNT] = { RECORD_TNX(X) };
#undef X
static const struct span LEVELS[] = {
    [LEVEL_ERROR] = SPAN_LIT(",\"log.level\":\"error\""),
    [LEVEL_INFO] = SPAN_LIT(",\"log.level\":\"info\""),
    [LEVEL_DEBUG] = SPAN_LIT(",\"log.level\":\"debug\""),
};

enum { DEPTH_MAX = 8, HEADER_MAX = 256 };
struct ecs {
    struct record_writer *w;
    enum tnx tnx;
    enum scope scope;
    bool has_user;
    unsigned depth, list; /* open objects; brackets open since a list began */
    enum scope outer[DEPTH_MAX];
    enum record_key path[DEPTH_MAX];
};

static void put(struct ecs *e, struct span literal) { json_raw(&e->w->json, literal); }

static enum scope scope_of_tnx(enum tnx tnx)
{
    return tnx == TNX_LISTEN     ? SCOPE_LISTEN
           : tnx == TNX_CAPS     ? SCOPE_CAPS
           : tnx == TNX_STARTTLS ? SCOPE_TLS_CLIENT
                                 : SCOPE_TOP;
}

/* Once the record has said that it is of the upstream's leg. */
static enum scope scope_of_upstream(const struct ecs *e)
{
    if (e->tnx == TNX_CONNECTION || e->tnx == TNX_CLOSE || e->tnx == TNX_ERROR)
        return SCOPE_LEG;
    return e->tnx == TNX_STARTTLS ? SCOPE_TLS_SERVER : e->scope;
}

static enum scope scope_inside(enum scope scope, enum record_key key)
{
    if (scope == SCOPE_UPSTREAM)
        return key == KEY_TLS ? SCOPE_UPSTREAM_TLS : SCOPE_OTHER;
    if (scope > SCOPE_LEG)
        return SCOPE_OTHER;
    return key == KEY_TLS        ? SCOPE_TLS
           : key == KEY_PEER     ? SCOPE_PEER
           : key == KEY_UPSTREAM ? SCOPE_UPSTREAM
           : key == KEY_TIMING   ? SCOPE_TIMING
           : key == KEY_ERR      ? SCOPE_ERR
                                 : SCOPE_OTHER;
}

/* NULL: it is named by its path. */
static const struct row *find_row(const struct ecs *e, const struct record_field *f)
{
    if (f->name.n > 0)
        return NULL;
    const struct row *row = &ROWS[e->scope][f->key];
    if (row->name != NULL)
        return row;
    if (e->scope > SCOPE_LEG)
        return NULL;
    row = &ROWS[SCOPE_TOP][f->key];
    return row->name != NULL ? row : &OWN[f->key];
}

/* A dot in a header's name would make an object of it. Names are distinct still: '%' is written so too. */
static struct span encode_header(struct span name, char out[HEADER_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n + 3 <= HEADER_MAX; i++) {
        char c = name.p[i];
        if (c != '.' && c != '%') {
            out[n++] = c;
            continue;
        }
        memcpy(out + n, c == '.' ? "%2e" : "%25", 3);
        n += 3;
    }
    return span_of(out, n);
}

/* "smtptap.dsn.ret", "smtptap.headers.list-id". */
static void put_path(struct ecs *e, const struct record_field *f)
{
    static const struct span dot = { ".", 1 };
    struct span piece[2 * DEPTH_MAX + 3];
    char header[HEADER_MAX];
    size_t n = 0;
    piece[n++] = SPAN_LIT("smtptap");
    for (unsigned i = 0; i < e->depth; i++) {
        piece[n++] = dot;
        piece[n++] = record_key_word(e->path[i]);
    }
    piece[n++] = dot;
    piece[n++] = f->name.n > 0 ? encode_header(f->name, header) : record_key_word(f->key);
    json_cat(&e->w->json, piece, n);
    put(e, SPAN_LIT(":"));
}

static void put_name(struct ecs *e, const struct record_field *f, const struct row *row)
{
    if (row != NULL)
        put(e, span_of(row->name, row->n));
    else
        put_path(e, f);
}

static void put_outcome(struct ecs *e, bool success, bool unknown)
{
    put(e, unknown   ? SPAN_LIT(",\"event.outcome\":\"unknown\"")
           : success ? SPAN_LIT(",\"event.outcome\":\"success\"")
                     : SPAN_LIT(",\"event.outcome\":\"failure\""));
}

/* An `ip` field must hold one; what else a peer may be called stands in `address` alone. */
static void put_host(struct ecs *e, struct span host, bool client)
{
    struct netaddr ip;
    put(e, client ? SPAN_LIT(",\"client.address\":") : SPAN_LIT(",\"destination.address\":"));
    json_str(&e->w->json, host);
    if (!netaddr_parse_ip(&ip, host))
        return;
    put(e, client ? SPAN_LIT(",\"source.ip\":\"") : SPAN_LIT(",\"server.ip\":\""));
    put(e, host);
    put(e, client ? SPAN_LIT("\",\"client.ip\":\"") : SPAN_LIT("\",\"destination.ip\":\""));
    put(e, host);
    if (client) {
        put(e, SPAN_LIT("\",\"related.ip\":[\""));
        put(e, host);
        put(e, ip.family == NETADDR_IPV4 ? SPAN_LIT("\"],\"network.type\":\"ipv4\"")
                                         : SPAN_LIT("\"],\"network.type\":\"ipv6\""));
    } else {
        put(e, SPAN_LIT("\""));
    }
}

static void put_peer(struct ecs *e, struct span host)
{
    struct netaddr ip;
    if (!netaddr_parse_ip(&ip, host))
        return;
    put(e, SPAN_LIT(",\"smtptap.upstream.ip\":"));
    json_str(&e->w->json, host);
}

static void put_again(struct ecs *e, struct span name, const struct record_field *f)
{
    put(e, name);
    record_put_value(e->w, f);
}

static void put_listed(struct ecs *e, struct span name, struct span s)
{
    put(e, name);
    json_open(&e->w->json, '[');
    json_str(&e->w->json, s);
    json_close(&e->w->json, ']');
}

/* What goes with the value of a string. */
static void put_more(struct ecs *e, struct span s, enum how how)
{
    switch (how) {
    case HOW_CLIENT:
        put_host(e, s, true);
        break;
    case HOW_OURS:
        put_host(e, s, false);
        break;
    case HOW_PEER:
        put_peer(e, s);
        break;
    case HOW_FROM:
        if (s.n > 0)
            put_listed(e, SPAN_LIT(",\"email.from.address\":"), s);
        break;
    case HOW_USER:
        e->has_user = true;
        put_listed(e, SPAN_LIT(",\"related.user\":"), s);
        break;
    case HOW_LOGIN:
        if (!e->has_user) {
            put(e, SPAN_LIT(",\"user.name\":"));
            json_str(&e->w->json, s);
            put_listed(e, SPAN_LIT(",\"related.user\":"), s);
        }
        break;
    case HOW_RESULT:
        put_outcome(e, span_eq(s, SPAN_LIT("ok")), false);
        break;
    case HOW_PROTOCOL:
        put(e, span_begins_nocase(s, SPAN_LIT("lmtp")) ? SPAN_LIT(",\"network.protocol\":\"lmtp\"")
                                                       : SPAN_LIT(",\"network.protocol\":\"smtp\""));
        break;
    case HOW_STATUS:
        put_outcome(e, span_eq(s, SPAN_LIT("accepted")),
                    span_eq(s, SPAN_LIT("indeterminate")) || span_eq(s, SPAN_LIT("reset")));
        break;
    case HOW_PLAIN:
    case HOW_RCPT:
    case HOW_NS:
    case HOW_PORT:
    case HOW_OUR_PORT:
    case HOW_DOMAIN:
    case HOW_VERSION:
    case HOW_UP_VERSION:
    case HOW_OK:
    case HOW_CODE:
        break;
    }
}

/* What goes with other values. */
static void put_more_of(struct ecs *e, const struct record_field *f, enum how how)
{
    if (f->type == REC_STR)
        put_more(e, f->str, how);
    if (how == HOW_PORT)
        put_again(e, SPAN_LIT(",\"client.port\":"), f);
    else if (how == HOW_OUR_PORT)
        put_again(e, SPAN_LIT(",\"destination.port\":"), f);
    else if (how == HOW_DOMAIN)
        put_again(e, SPAN_LIT(",\"client.domain\":"), f);
    else if (how == HOW_OK)
        put_outcome(e, f->num != 0, false);
    else if (how == HOW_CODE && e->tnx == TNX_SEND)
        put_outcome(e, f->num < 400, false);
}

/* "TLSv1.3" is version 1.3 of tls. */
static void put_version(struct ecs *e, struct span s, bool client)
{
    bool tls = span_begins_nocase(s, SPAN_LIT("TLSv")), ssl = span_begins_nocase(s, SPAN_LIT("SSLv"));
    json_str(&e->w->json, tls || ssl ? span_skip(s, 4) : s);
    if (client && (tls || ssl))
        put(e, tls ? SPAN_LIT(",\"tls.version_protocol\":\"tls\"") : SPAN_LIT(",\"tls.version_protocol\":\"ssl\""));
}

static void put_value(struct ecs *e, const struct record_field *f, enum how how)
{
    if (f->type == REC_STR && (how == HOW_VERSION || how == HOW_UP_VERSION)) {
        put_version(e, f->str, how == HOW_VERSION);
    } else if (f->type == REC_STR && how == HOW_RCPT) {
        put_listed(e, SPAN_NONE, f->str);
        put_again(e, SPAN_LIT(",\"smtptap.envelope.rcpt_to\":"), f);
    } else if (f->type == REC_MS && how == HOW_NS) {
        json_int(&e->w->json, f->num * 1000);
    } else {
        record_put_value(e->w, f);
        if (how > HOW_NS)
            put_more_of(e, f, how);
    }
}

/* Inside a list everything is written as native does. */
static bool put_listed_field(struct ecs *e, const struct record_field *f)
{
    struct json *j = &e->w->json;
    if (f->type == REC_OPEN || f->type == REC_OPEN_LIST)
        e->list++;
    else if (f->type == REC_CLOSE || f->type == REC_CLOSE_LIST)
        e->list--;
    if (f->type != REC_CLOSE && f->type != REC_CLOSE_LIST) {
        if (f->name.n > 0) {
            json_str(j, f->name);
            json_raw(j, SPAN_LIT(":"));
        } else if (f->key != KEY_COUNT) {
            json_key(j, record_key_word(f->key));
        }
    }
    return record_put_value(e->w, f);
}

static void open_scope(struct ecs *e, enum record_key key)
{
    if (e->depth == DEPTH_MAX)
        abort();
    e->outer[e->depth] = e->scope;
    e->path[e->depth++] = key;
    e->scope = scope_inside(e->scope, key);
}

static bool put_field(struct ecs *e, const struct record_field *f)
{
    if (e->list > 0)
        return put_listed_field(e, f);
    if (f->type == REC_OPEN) {
        open_scope(e, f->key);
    } else if (f->type == REC_CLOSE) {
        e->scope = e->outer[--e->depth];
    } else {
        const struct row *row = find_row(e, f);
        put_name(e, f, row);
        put_value(e, f, row != NULL ? row->how : HOW_PLAIN);
        e->list += f->type == REC_OPEN_LIST;
        if (f->key == KEY_SIDE && f->type == REC_STR && span_eq(f->str, SPAN_LIT("upstream")))
            e->scope = scope_of_upstream(e);
    }
    return record_fits(e->w);
}

/* `message` stands before the fields, as ECS's loggers have it. */
static bool put_record(struct record_writer *w, const struct record *r, struct json_time_cache *cache)
{
    struct ecs e = { .w = w, .tnx = r->tnx, .scope = scope_of_tnx(r->tnx) };
    unsigned count = r->count;
    put(&e, SPAN_LIT("{\"@timestamp\":"));
    json_time(&w->json, r->time, cache);
    put(&e, LEVELS[tnx_level(r->tnx)]);
    if (count > 0 && r->field[count - 1].key == KEY_MSG && !put_field(&e, &r->field[--count]))
        return false;
    put(&e, KINDS[r->tnx]);
    put(&e, ACTIONS[r->tnx]);
    for (unsigned i = 0; i < count; i++) {
        if (!put_field(&e, &r->field[i]))
            return false;
    }
    return record_fits(w);
}

void record_write_ecs(struct buf *out, const struct record *r, size_t max_record, size_t tail_max,
                      struct json_time_cache *cache)
{
    record_write(out, r, max_size(max_record, RECORD_ECS_MIN_MAX) - tail_max, put_record, cache);
}

const struct record_format record_ecs = {
    .write = record_write_ecs,
    .least = RECORD_ECS_MIN_MAX,
    .run = "smtptap.run",
    .seq = "event.sequence",
    .hash = "smtptap.hash",
    .prev = "smtptap.prev",
    .tail_plain = RECORD_ECS_TAIL_PLAIN,
    .tail_max = RECORD_ECS_TAIL_MAX,
};
