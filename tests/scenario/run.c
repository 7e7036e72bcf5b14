/* Replays the dialogues of this folder's text files through both engines, each whole, byte by byte, and with every
 * flight cut at every point: what leaves must be the same. README.md has the format.
 *
 * A flight is a run of lines from one side; the lines behind it say all that leaves because of it, side by side. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/scenario/bridge.h"

enum { CUT_WHOLE = 0, CUT_BYTES = -1 };

struct line {
    unsigned number;
    struct span text;
};

struct scenario {
    const char *file;
    struct span name;
    struct line *lines;
    size_t count;
};

struct replay {
    const struct scenario *sc;
    struct bridge b;
    struct buf flight;
    char flight_side; /* of the bytes in `flight` */
    long cut;
    size_t longest; /* flight */
    bool logged;    /* it has L lines */
    char mechanisms[64];
    bool failed;
};

static struct smtp_header_want want = { { "message-id" }, 1 };

static void fail_at(struct replay *r, const struct line *at, const char *what, struct span wanted, struct span got)
{
    printf("%s:%u: %.*s (cut %ld): %s\n  wanted: %.*s\n  got:    %.*s\n", r->sc->file, at->number,
           SPAN_ARG(r->sc->name), r->cut, what, SPAN_ARG(wanted), SPAN_ARG(got));
    r->failed = true;
}

/* \r \n \t \0 \\ \xHH */
static void unescape(struct buf *out, struct span text)
{
    static const char letters[] = "rnt0\\", octets[] = "\r\n\t\0\\";
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && i + 1 < text.n) {
            const char *letter = strchr(letters, text.p[++i]);
            if (text.p[i] == 'x' && i + 2 < text.n) {
                char hex[3] = { text.p[i + 1], text.p[i + 2], '\0' };
                c = (char)strtol(hex, NULL, 16);
                i += 2;
            } else if (letter != NULL) {
                c = octets[letter - letters];
            }
        }
        buf_append(out, &c, 1);
    }
}

static struct span first_line(const struct buf *b)
{
    struct span all = buf_span(b);
    const char *lf = all.n > 0 ? memchr(all.p, '\n', all.n) : NULL;
    return lf != NULL ? span_of(all.p, (size_t)(lf - all.p) + 1) : all;
}

static bool matches(struct span wanted, struct span got)
{
    if (wanted.n > 0 && wanted.p[wanted.n - 1] == '*')
        return got.n >= wanted.n - 1 && memcmp(got.p, wanted.p, wanted.n - 1) == 0;
    return span_eq(wanted, got);
}

/* The next line that left there; a '*' at the end of what is wanted stands for the rest of it. */
static void expect(struct replay *r, const struct line *at, struct buf *from, struct span text)
{
    struct buf wanted;
    buf_init(&wanted, NULL);
    unescape(&wanted, text);
    struct span got = first_line(from), shown = got;
    bool whole = got.n >= 2 && got.p[got.n - 2] == '\r' && got.p[got.n - 1] == '\n';
    shown.n -= whole ? 2 : 0;
    if (!whole || !matches(buf_span(&wanted), shown))
        fail_at(r, at, "another line left", buf_span(&wanted), shown);
    if (got.n > 0)
        buf_consume(from, got.n);
    buf_free(&wanted);
}

/* Octets that left there next, whatever stands behind them. */
static void expect_octets(struct replay *r, const struct line *at, struct buf *from, struct span text)
{
    struct buf wanted;
    buf_init(&wanted, NULL);
    unescape(&wanted, text);
    struct span got = span_head(buf_span(from), buf_len(&wanted));
    if (!span_eq(buf_span(&wanted), got))
        fail_at(r, at, "other octets left", buf_span(&wanted), got);
    if (got.n > 0)
        buf_consume(from, got.n);
    buf_free(&wanted);
}

static void expect_nothing(struct replay *r, const struct line *at)
{
    struct bridge *b = &r->b;
    if (!buf_empty(&b->to_client))
        fail_at(r, at, "more left for the client", SPAN_NONE, buf_span(&b->to_client));
    if (!buf_empty(&b->to_upstream))
        fail_at(r, at, "more left for the upstream", SPAN_NONE, buf_span(&b->to_upstream));
    if (r->logged && !buf_empty(&b->log))
        fail_at(r, at, "more was logged", SPAN_NONE, buf_span(&b->log));
    if (!r->logged)
        buf_free(&b->log);
}

static void feed(struct replay *r, struct span bytes)
{
    if (bytes.n == 0)
        return;
    if (r->flight_side == 'C')
        bridge_from_client(&r->b, bytes);
    else
        bridge_from_upstream(&r->b, bytes);
}

/* The bytes gathered go in, in segments. */
static void fly(struct replay *r)
{
    struct span bytes = buf_span(&r->flight);
    size_t cut = r->cut > 0 ? (size_t)r->cut : bytes.n;
    r->longest = max_size(r->longest, bytes.n);
    if (r->cut == CUT_BYTES) {
        for (size_t i = 0; i < bytes.n; i++)
            feed(r, span_of(bytes.p + i, 1));
    } else {
        feed(r, span_head(bytes, cut));
        feed(r, span_skip(bytes, cut));
    }
    buf_free(&r->flight);
}

static void gather(struct replay *r, const struct line *at, char side, struct span text, bool ended)
{
    if (buf_empty(&r->flight))
        expect_nothing(r, at);
    else if (r->flight_side != side)
        fly(r);
    r->flight_side = side;
    unescape(&r->flight, text);
    if (ended)
        buf_append(&r->flight, "\r\n", 2);
}

/* "hello KEYWORD, KEYWORD 2": the greeting of all, unseen, with an upstream that offers these. */
static void hello(struct replay *r, struct span keywords)
{
    struct bridge *b = &r->b;
    bridge_from_client(b, b->server.config.lmtp ? SPAN_LIT("LHLO c.example\r\n") : SPAN_LIT("EHLO c.example\r\n"));
    bridge_from_upstream(b, SPAN_LIT("220 up.example ESMTP\r\n"));
    struct buf reply;
    buf_init(&reply, NULL);
    while (keywords.n > 0) {
        const char *comma = memchr(keywords.p, ',', keywords.n);
        size_t n = comma != NULL ? (size_t)(comma - keywords.p) : keywords.n;
        buf_printf(&reply, "250-%.*s\r\n", SPAN_ARG(span_head(keywords, n)));
        keywords = span_trim_left(span_skip(keywords, n + 1));
    }
    struct span all = buf_span(&reply);
    bridge_from_upstream(b, SPAN_LIT("250-up.example\r\n"));
    bridge_from_upstream(b, all);
    bridge_from_upstream(b, SPAN_LIT("250 X-LAST\r\n"));
    buf_free(&reply);
    buf_free(&b->to_client);
    buf_free(&b->to_upstream);
    buf_free(&b->log);
}

static const char *close_word(const struct smtp_server *s)
{
    static const char *const words[] = { "", "quit", "protocol", "limit", "upstream", "shutdown", "timeout" };
    return s->state == SMTP_SERVER_CLOSED ? words[s->close_reason] : "open";
}

static const char *upstream_word(const struct bridge *b)
{
    static const char *const words[] = { "unconnected", "open", "dropped" };
    return words[b->upstream];
}

/* How much left before a message went wrong depends on the segments; its end may not be among it. */
static void expect_no_end(struct replay *r, const struct line *at)
{
    struct span got = buf_span(&r->b.to_upstream);
    static const char end[] = "\r\n.\r\n";
    if (got.n > 0 && (memmem(got.p, got.n, end, 5) != NULL || span_begins_nocase(got, SPAN_LIT(".\r\n"))))
        fail_at(r, at, "the end of the message left", SPAN_NONE, got);
    buf_free(&r->b.to_upstream);
}

static void expect_word(struct replay *r, const struct line *at, struct span wanted, const char *got)
{
    if (!span_eq(wanted, span_str(got)))
        fail_at(r, at, "another state", wanted, span_str(got));
}

static void act(struct replay *r, const struct line *at, struct span what)
{
    if (span_eq(what, SPAN_LIT("shutdown")))
        smtp_server_shutdown(&r->b.server);
    else if (span_eq(what, SPAN_LIT("tempfail")))
        r->b.server.tempfail = true;
    else if (span_eq(what, SPAN_LIT("lose-upstream")))
        bridge_lose_upstream(&r->b);
    else
        fail_at(r, at, "unknown act", SPAN_NONE, what);
    bridge_run(&r->b);
}

/* Lines that neither side says; what was gathered has gone in before. */
static void run_directive(struct replay *r, const struct line *at)
{
    static const struct {
        struct span head;
        char kind;
    } heads[] = { { SPAN_LIT("S: "), 'S' }, { SPAN_LIT("> "), '>' },      { SPAN_LIT("L: "), 'L' },
                  { SPAN_LIT(">~ "), '~' }, { SPAN_LIT("client "), 'c' }, { SPAN_LIT("upstream "), 'u' },
                  { SPAN_LIT("do "), 'd' }, { SPAN_LIT("hello"), 'h' } };
    char kind = '\0';
    struct span rest = at->text;
    for (size_t i = 0; i < ARRAY_LEN(heads) && kind == '\0'; i++) {
        struct span head = heads[i].head;
        if (!span_begins_nocase(at->text, head) && !span_eq(at->text, span_trim(head)))
            continue;
        kind = heads[i].kind;
        rest = span_skip(at->text, heads[i].head.n);
    }
    if (kind == 'S')
        expect(r, at, &r->b.to_client, rest);
    else if (kind == '>')
        expect(r, at, &r->b.to_upstream, rest);
    else if (kind == '~')
        expect_octets(r, at, &r->b.to_upstream, rest);
    else if (kind == 'L')
        expect(r, at, &r->b.log, rest);
    else if (kind == 'c')
        expect_word(r, at, rest, close_word(&r->b.server));
    else if (kind == 'u' && span_eq(rest, SPAN_LIT("*")))
        expect_no_end(r, at);
    else if (kind == 'u')
        expect_word(r, at, rest, upstream_word(&r->b));
    else if (kind == 'd')
        act(r, at, rest);
    else if (kind == 'h')
        hello(r, span_trim(rest));
    else
        fail_at(r, at, "unknown line", SPAN_NONE, at->text);
}

static void run_line(struct replay *r, const struct line *at)
{
    static const char sides[] = "CU";
    struct span text = at->text;
    bool said = text.n >= 2 && (text.p[1] == ':' || text.p[1] == '~') && strchr(sides, text.p[0]) != NULL;
    if (said) {
        gather(r, at, text.p[0], span_skip(text, 3), text.p[1] == ':');
        return;
    }
    fly(r);
    run_directive(r, at);
}

static void set_number(struct replay *r, const struct line *at, void *field, size_t size, struct span value)
{
    unsigned long n = strtoul(value.p, NULL, 10);
    if (size == sizeof(unsigned))
        *(unsigned *)field = (unsigned)n;
    else if (size == sizeof(uint64_t))
        *(uint64_t *)field = n;
    else
        fail_at(r, at, "no number", SPAN_NONE, value);
}

#define NUMBER(key)                                                                                                    \
    {                                                                                                                  \
#key, offsetof(struct smtp_server_config, key), sizeof(((struct smtp_server_config *)NULL)->key)               \
    }

/* "set KEY VALUE", as config.md names them. */
static void set(struct replay *r, const struct line *at, struct smtp_server_config *c, struct smtp_offer_rules *rules)
{
    static const struct {
        const char *key;
        size_t at, size;
    } numbers[] = { NUMBER(max_command_length),
                    NUMBER(max_unrecognized_commands),
                    NUMBER(max_recipients),
                    NUMBER(max_received),
                    NUMBER(max_message_size),
                    NUMBER(max_auth_failures),
                    NUMBER(max_unauthenticated_commands) };
    struct span rest = span_skip(at->text, 4);
    const char *blank = memchr(rest.p, ' ', rest.n);
    struct span key = span_head(rest, blank != NULL ? (size_t)(blank - rest.p) : rest.n);
    struct span value = span_skip(rest, key.n + 1);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (span_eq(key, span_str(numbers[i].key))) {
            set_number(r, at, (char *)c + numbers[i].at, numbers[i].size, value);
            return;
        }
    }
    if (span_eq(key, SPAN_LIT("auth"))) {
        snprintf(r->mechanisms, sizeof(r->mechanisms), "%.*s", SPAN_ARG(value));
        rules->auth = r->mechanisms;
        rules->forbidden &= ~SMTP_CAP_BIT(AUTH);
        c->auth = true;
        return;
    }
    if (span_eq(key, SPAN_LIT("auth_mode")) && span_eq(value, SPAN_LIT("required"))) {
        c->auth_required = true;
        return;
    }
    if (span_eq(key, SPAN_LIT("lenient_addresses")))
        c->lenient_addresses = span_eq(value, SPAN_LIT("true"));
    else if (span_eq(key, SPAN_LIT("protocol")))
        c->lmtp = span_eq(value, SPAN_LIT("lmtp"));
    else if (span_eq(key, SPAN_LIT("upstream_protocol")))
        r->b.lmtp = span_eq(value, SPAN_LIT("lmtp"));
    else if (span_eq(key, SPAN_LIT("bare_newline")))
        c->bare_newline = value.p[0] == 'r'   ? SMTP_BARE_REJECT
                          : value.p[0] == 'a' ? SMTP_BARE_ACCEPT
                                              : SMTP_BARE_NORMALIZE;
    else if (span_eq(key, SPAN_LIT("disabled_commands")) && smtp_verb_find(value) != SMTP_VERB_UNKNOWN)
        c->disabled_commands |= 1U << smtp_verb_find(value);
    else if (span_eq(key, SPAN_LIT("hide_extensions")) && smtp_cap_find(value) != SMTP_CAP_COUNT)
        rules->hidden |= (smtp_cap_set)1 << smtp_cap_find(value);
    else
        fail_at(r, at, "unknown key or value", SPAN_NONE, rest);
}

static bool is_set(const struct line *l) { return span_begins_nocase(l->text, SPAN_LIT("set ")); }

/* What this build can't do, as the program has it. */
static const smtp_cap_set unbuilt = SMTP_CAP_BIT(REQUIRETLS) | SMTP_CAP_BIT(STARTTLS) | SMTP_CAP_BIT(AUTH) |
                                    SMTP_CAP_BIT(XCLIENT) | SMTP_CAP_BIT(XFORWARD);

/* Returns the length of its longest flight. */
static size_t replay(const struct scenario *sc, long cut, bool *failed)
{
    struct replay r = { .sc = sc, .cut = cut };
    struct smtp_server_config config = { .max_command_length = 2048,
                                         .headers = &want,
                                         .lenient_addresses = true,
                                         .max_recipients = 1000,
                                         .max_unrecognized_commands = 10,
                                         .max_received = 100 };
    struct smtp_offer_rules rules = { .forbidden = unbuilt };
    buf_init(&r.flight, NULL);
    for (size_t i = 0; i < sc->count; i++) {
        r.logged |= span_begins_nocase(sc->lines[i].text, SPAN_LIT("L: "));
        if (is_set(&sc->lines[i]))
            set(&r, &sc->lines[i], &config, &rules);
    }
    rules.max_message_size = config.max_message_size;
    rules.max_recipients = config.max_recipients < 1000 ? config.max_recipients : 0;
    bool lmtp = r.b.lmtp;
    if (lmtp && !config.lmtp) /* LM3 */
        rules.max_recipients = 1;
    bridge_init(&r.b, &config, &rules);
    r.b.lmtp = lmtp;
    for (size_t i = 0; i < sc->count && !r.failed; i++) {
        if (!is_set(&sc->lines[i]))
            run_line(&r, &sc->lines[i]);
    }
    fly(&r);
    if (!r.failed)
        expect_nothing(&r, &sc->lines[sc->count - 1]);
    bridge_free(&r.b);
    *failed = r.failed;
    return r.longest;
}

static bool run_scenario(const struct scenario *sc)
{
    bool failed;
    size_t longest = replay(sc, CUT_WHOLE, &failed);
    if (!failed)
        replay(sc, CUT_BYTES, &failed);
    size_t stride = longest > 2000 ? 97 : 1;
    for (size_t cut = 1; cut < longest && !failed; cut += stride)
        replay(sc, (long)cut, &failed);
    return !failed;
}

struct totals {
    unsigned passed, failed;
};

static void finish(struct scenario *sc, struct totals *t)
{
    if (sc->count > 0 && run_scenario(sc))
        t->passed++;
    else if (sc->name.n > 0)
        t->failed++;
    sc->count = 0;
}

static struct span read_file(const char *name)
{
    struct buf all;
    FILE *f = fopen(name, "rb");
    buf_init(&all, NULL);
    if (f == NULL) {
        perror(name);
        exit(1);
    }
    size_t n;
    do {
        n = fread(buf_reserve(&all, 65536), 1, 65536, f);
        buf_commit(&all, n);
    } while (n > 0);
    fclose(f);
    return buf_span(&all);
}

/* "== NAME" begins a scenario; "#" a comment. */
static void run_file(const char *name, struct totals *t)
{
    struct span text = read_file(name), all = text;
    struct scenario sc = { .file = name };
    unsigned number = 0;
    sc.lines = calloc(text.n + 1, sizeof(*sc.lines));
    if (sc.lines == NULL)
        abort();
    while (text.n > 0) {
        const char *lf = memchr(text.p, '\n', text.n);
        struct span line = span_head(text, lf != NULL ? (size_t)(lf - text.p) : text.n);
        text = span_skip(text, line.n + 1);
        number++;
        if (span_begins_nocase(line, SPAN_LIT("== "))) {
            finish(&sc, t);
            sc.name = span_skip(line, 3);
        } else if (line.n > 0 && line.p[0] != '#') {
            sc.lines[sc.count++] = (struct line){ number, line };
        }
    }
    finish(&sc, t);
    free(sc.lines);
    free((void *)(uintptr_t)all.p);
}

/* A file, or a folder with some. */
static void run_path(const char *path, struct totals *t)
{
    char pattern[4096];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/*.txt", path);
    if (glob(pattern, 0, NULL, &found) != 0) {
        run_file(path, t);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        run_file(found.gl_pathv[i], t);
    globfree(&found);
}

int main(int argc, char **argv)
{
    struct totals t = { 0, 0 };
    for (int i = 1; i < argc; i++)
        run_path(argv[i], &t);
    if (argc < 2)
        run_path("tests/scenario", &t);
    printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed > 0 || t.passed == 0;
}
