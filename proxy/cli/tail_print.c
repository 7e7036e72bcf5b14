/* Records as people read a dialogue: the client's leg at the left, the upstream's behind it.
 *
 *   10:30:15.100 00000k  -> MAIL FROM:<a@example.com>          what the client sent
 *   10:30:15.101 00000k       => MAIL FROM:<a@example.com>     what smtptap sent upstream
 *   10:30:15.102 00000k       <= 250 2.1.0 Ok                  the upstream's answer
 *   10:30:15.102 00000k  <- 250 2.1.0 Ok                       the client's
 *
 * Nothing of a record reaches the terminal but through term_text(). */
#include <limits.h>

#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"

enum { SHORT_ID = 6, RCPTS_SHOWN = 3, DAY_LEN = 10, CLOCK_AT = 11, CLOCK_LEN = 12, DEPTH = 32 };

/* A record under way to `out`. */
struct line {
    const struct term *term;
    struct buf *out;
    struct json_object *record;
    bool upstream;
};

static struct json_object *member(struct json_object *record, const char *key)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(record, key, &value);
    return value;
}

static struct span string_of(struct json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return SPAN_NONE;
    return span_of(json_object_get_string(value), (size_t)json_object_get_string_len(value));
}

struct span tail_string(struct json_object *record, const char *key) { return string_of(member(record, key)); }

/* Another program's JSON has nothing to show here. */
static bool is_record(struct json_object *o)
{
    return json_object_is_type(o, json_type_object) &&
           (tail_string(o, "tnx").n > 0 || tail_string(o, "msg").n > 0 || tail_string(o, "message").n > 0);
}

struct json_object *tail_parse(struct span line)
{
    struct json_object *record = NULL;
    if (line.n > INT_MAX || line.n == 0 || line.p[0] != '{')
        return NULL;
    struct json_tokener *tok = json_tokener_new_ex(DEPTH);
    if (tok == NULL)
        return NULL;
    record = json_tokener_parse_ex(tok, line.p, (int)line.n);
    bool whole = json_tokener_get_error(tok) == json_tokener_success && json_tokener_get_parse_end(tok) == line.n;
    json_tokener_free(tok);
    if (whole && is_record(record))
        return record;
    json_object_put(record);
    return NULL;
}

static bool is_word(struct json_object *record, const char *key, const char *word)
{
    return span_eq(tail_string(record, key), span_str(word));
}

static void put(struct line *l, const char *text) { buf_append_span(l->out, span_str(text)); }

static void put_text(struct line *l, struct span text) { term_text(l->term, l->out, text); }

/* " word value", where there is one. */
static void put_member(struct line *l, const char *before, const char *key, const char *after)
{
    struct json_object *value = member(l->record, key);
    struct span text = string_of(value);
    if (text.n == 0 && !json_object_is_type(value, json_type_int))
        return;
    put(l, before);
    if (text.n > 0)
        put_text(l, text);
    else
        buf_printf(l->out, "%lld", (long long)json_object_get_int64(value));
    put(l, after);
}

static void put_ms(struct line *l, const char *before, struct json_object *ms)
{
    if (!json_object_is_type(ms, json_type_double) && !json_object_is_type(ms, json_type_int))
        return;
    term_on(l->term, l->out, TERM_DIM);
    buf_printf(l->out, "%s%.1f ms", before, json_object_get_double(ms));
    term_off(l->term, l->out);
}

/* "time", or an ECS record's. */
static struct span time_of(struct json_object *record)
{
    struct span time = tail_string(record, "time");
    return time.n > 0 ? time : tail_string(record, "@timestamp");
}

static void put_day(struct tail_printer *p, struct buf *out, struct span time)
{
    char day[DAY_LEN + 1] = "";
    memcpy(day, time.p, DAY_LEN);
    if (strcmp(day, p->day) == 0)
        return;
    memcpy(p->day, day, sizeof(day));
    term_on(&p->term, out, TERM_DIM);
    term_text(&p->term, out, span_str(day));
    buf_append(out, " UTC", 4);
    term_off(&p->term, out);
    buf_append(out, "\n", 1);
}

static unsigned style_of_session(struct span cid)
{
    unsigned hash = 2166136261U;
    for (size_t i = 0; i < cid.n; i++)
        hash = (hash ^ (unsigned char)cid.p[i]) * 16777619U;
    return TERM_OF_SESSION + (hash ^ hash >> 15) % TERM_SESSIONS;
}

/* The time and the session, the same width on every line. */
static void put_head(struct tail_printer *p, struct line *l)
{
    struct span time = time_of(l->record), cid = tail_string(l->record, "cid");
    if (time.n >= CLOCK_AT + CLOCK_LEN) {
        put_day(p, l->out, time);
        term_on(l->term, l->out, TERM_DIM);
        put_text(l, span_of(time.p + CLOCK_AT, CLOCK_LEN));
        term_off(l->term, l->out);
        put(l, " ");
    }
    struct span id = cid.n > SHORT_ID ? span_skip(cid, cid.n - SHORT_ID) : cid;
    term_on(l->term, l->out, style_of_session(cid));
    put_text(l, id);
    term_off(l->term, l->out);
    for (size_t n = id.n; n <= SHORT_ID; n++)
        put(l, " ");
    if (l->upstream)
        put(l, "     ");
}

static const char *arrow(const struct line *l, bool reply)
{
    if (!l->term->utf8)
        return l->upstream ? reply ? " <= " : " => " : reply ? " <- " : " -> ";
    return l->upstream ? reply ? " \u21d0 " : " \u21d2 " : reply ? " \u2190 " : " \u2192 ";
}

static unsigned style_of_code(int code) { return code >= 500 ? TERM_RED : code >= 400 ? TERM_YELLOW : TERM_GREEN; }

static void print_command(struct line *l)
{
    put(l, arrow(l, false));
    put_text(l, tail_string(l->record, "line"));
}

static void put_lines(struct line *l, struct json_object *lines)
{
    size_t n = json_object_is_type(lines, json_type_array) ? json_object_array_length(lines) : 0;
    for (size_t i = 0; i < n; i++) {
        put(l, i == 0 ? " " : " / ");
        put_text(l, string_of(json_object_array_get_idx(lines, i)));
    }
}

static void print_reply(struct line *l)
{
    int code = json_object_get_int(member(l->record, "code"));
    put(l, arrow(l, true));
    term_on(l->term, l->out, style_of_code(code));
    buf_printf(l->out, "%d", code);
    put_member(l, " ", "enhanced", "");
    term_off(l->term, l->out);
    put_lines(l, member(l->record, "lines"));
    put_ms(l, "  ", member(l->record, "ms"));
}

static void print_data(struct line *l)
{
    put(l, arrow(l, false));
    put_member(l, "(message of ", "bytes", " bytes)");
    put_ms(l, "  ", member(l->record, "ms"));
}

static void print_connection(struct line *l)
{
    put(l, l->term->utf8 ? " \u25cf " : " * ");
    put(l, l->upstream ? "connected to" : "connected:");
    put_member(l, " ", "host", "");
    put_member(l, " port ", "port", "");
    put_member(l, " (", "hostname", ")");
    put_member(l, l->upstream ? ", server " : ", listener ", l->upstream ? "server" : "listener", "");
}

static bool is_one(struct json_object *record, const char *key)
{
    return json_object_get_int64(member(record, key)) == 1;
}

static void print_close(struct line *l)
{
    put(l, l->term->utf8 ? " \u25cb " : " o ");
    put(l, "closed:");
    put_member(l, " ", "reason", "");
    put_member(l, ", ", "commands", is_one(l->record, "commands") ? " command" : " commands");
    put_member(l, ", ", "messages", " accepted");
    put_ms(l, "  ", member(l->record, "duration_ms"));
}

static unsigned style_of_status(struct span status)
{
    if (span_eq(status, SPAN_LIT("accepted")))
        return TERM_GREEN;
    if (span_eq(status, SPAN_LIT("deferred")))
        return TERM_YELLOW;
    if (span_eq(status, SPAN_LIT("rejected")))
        return TERM_RED;
    return span_eq(status, SPAN_LIT("indeterminate")) ? TERM_MAGENTA : TERM_CYAN;
}

static void put_status(struct line *l)
{
    struct span status = tail_string(l->record, "status");
    term_on(l->term, l->out, TERM_BOLD);
    term_on(l->term, l->out, style_of_status(status));
    put_text(l, status);
    term_off(l->term, l->out);
}

static void put_address(struct line *l, struct span address)
{
    put(l, "<");
    put_text(l, address);
    put(l, ">");
}

static void put_recipients(struct line *l)
{
    struct json_object *list = member(l->record, "rcpt_to");
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    int64_t count = json_object_get_int64(member(l->record, "rcpt_count"));
    int64_t accepted = json_object_get_int64(member(l->record, "rcpt_accepted"));
    for (size_t i = 0; i < n && i < RCPTS_SHOWN; i++) {
        put(l, i == 0 ? " to " : ", ");
        put_address(l, string_of(json_object_array_get_idx(list, i)));
    }
    if (count > RCPTS_SHOWN)
        buf_printf(l->out, " and %lld more", (long long)count - RCPTS_SHOWN);
    if (accepted < count && accepted > 0)
        buf_printf(l->out, " (%lld of %lld)", (long long)accepted, (long long)count);
}

/* Why it went as it did: who decided where, and in which words. */
static void put_reason(struct line *l)
{
    put_member(l, " at ", "stage", "");
    put_member(l, " by ", "decided_by", "");
    put_member(l, ": ", "smtp_response", "");
    put_member(l, " [", "class", "]");
}

static void put_anomalies(struct line *l)
{
    struct json_object *list = member(l->record, "anomalies");
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        put(l, i == 0 ? ", odd: " : " ");
        put_text(l, string_of(json_object_array_get_idx(list, i)));
    }
}

static void print_message(struct line *l)
{
    bool accepted = is_word(l->record, "status", "accepted");
    struct json_object *replied = member(l->record, "client_replied");
    put(l, l->term->utf8 ? " \u25a0 " : " # ");
    put_status(l);
    put(l, " from ");
    put_address(l, tail_string(l->record, "mail_from"));
    put_recipients(l);
    put_member(l, ", ", "size", " bytes");
    if (accepted)
        put_member(l, " as ", "queue_id", "");
    else
        put_reason(l);
    if (accepted && replied != NULL && !json_object_get_boolean(replied))
        put(l, ", but the client was gone: it may send it again");
    put_anomalies(l);
    put_ms(l, "  ", member(member(l->record, "timing"), "total"));
}

static void print_rcpt(struct line *l)
{
    put(l, l->term->utf8 ? " \u25a1 " : " + ");
    put_status(l);
    put(l, " ");
    put_address(l, tail_string(l->record, "rcpt_to"));
    put_reason(l);
}

static void print_error(struct line *l)
{
    struct json_object *err = member(l->record, "err");
    term_on(l->term, l->out, TERM_RED);
    put(l, " ! error ");
    put_text(l, tail_string(err, "code"));
    term_off(l->term, l->out);
    put_member(l, " at ", "stage", "");
    put_member(l, ", ", "host", "");
    put(l, ": ");
    put_text(l, tail_string(err, "message"));
}

static bool has_members(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) && json_object_array_length(list) > 0;
}

/* What was offered stands in the reply to EHLO; here is what was not, and why. */
static void print_caps(struct line *l)
{
    struct json_object *list = member(l->record, "withheld");
    put(l, "   ");
    term_on(l->term, l->out, TERM_DIM);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        put(l, i == 0 ? "not offered: " : ", ");
        put_text(l, tail_string(one, "keyword"));
        put(l, " (");
        put_text(l, tail_string(one, "reason"));
        put(l, ")");
    }
    term_off(l->term, l->out);
}

/* A kind that has no form of its own here: its text for people. */
static void print_other(struct line *l)
{
    struct span msg = tail_string(l->record, "msg");
    bool bad = is_word(l->record, "level", "error");
    term_on(l->term, l->out, bad ? TERM_RED : TERM_DIM);
    put(l, " ");
    put_member(l, "  ", "tnx", "");
    term_off(l->term, l->out);
    put(l, " ");
    put_text(l, msg.n > 0 ? msg : tail_string(l->record, "message"));
    if (!bad)
        return;
    put_member(l, ", output ", "output", "");
    put_member(l, ", ", "records", " records lost");
}

static void print_kind(struct line *l)
{
    static const struct {
        enum tnx tnx;
        void (*print)(struct line *l);
    } kinds[] = { { TNX_COMMAND, print_command }, { TNX_SEND, print_reply },
                  { TNX_DATA, print_data },       { TNX_CONNECTION, print_connection },
                  { TNX_CLOSE, print_close },     { TNX_CAPS, print_caps },
                  { TNX_RCPT, print_rcpt },       { TNX_ERROR, print_error },
                  { TNX_MESSAGE, print_message } };
    struct span tnx = tail_string(l->record, "tnx");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (span_eq(tnx, span_str(tnx_word(kinds[i].tnx)))) {
            kinds[i].print(l);
            return;
        }
    }
    print_other(l);
}

/* An accepted recipient is in the message's line. */
static bool says_nothing_new(struct json_object *record)
{
    if (is_word(record, "tnx", "caps"))
        return !has_members(member(record, "withheld"));
    return is_word(record, "tnx", "rcpt") && is_word(record, "status", "accepted");
}

void tail_print(struct tail_printer *p, struct buf *out, struct json_object *record)
{
    struct line l = { .term = &p->term, .out = out, .record = record, .upstream = is_word(record, "side", "upstream") };
    if (says_nothing_new(record))
        return;
    put_head(p, &l);
    print_kind(&l);
    put(&l, "\n");
}

void tail_print_raw(struct tail_printer *p, struct buf *out, struct span line)
{
    term_text(&p->term, out, line);
    buf_append(out, "\n", 1);
}
