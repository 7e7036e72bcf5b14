/* Both engines joined as the relay joins them, between a client that sends anything in any segments and a strict server
 * that reads what leaves: what a line is, what ends the data, where a chunk ends. What must hold: the server reads the
 * commands that the client engine said and no other, in their order; each end of data and each chunk's end that it sees
 * is one of the engine's; no client gets a 2xx for a message without the server's own. Input: settings, shape of the
 * segments, number of answers, the answers, the client's bytes. */
#include "tests/scenario/bridge.c" /* NOLINT */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, INPUT_MAX = 40000 };
enum server_state { IN_COMMANDS, IN_BODY, IN_CHUNK };

#define KEPT "250 2.0.0 kept\r\n"

struct run {
    struct bridge b;
    struct smtp_client_ops ops; /* the bridge's, with our ear at `command` */
    struct buf said;            /* lines of the client engine that the server has not read yet */
    struct buf wire;            /* what left and the server has not read */
    const uint8_t *answers;
    size_t answer_count, answered;
    enum server_state state;
    uint64_t due;
    bool last, lmtp, greeted, txn, failed;
    unsigned rcpts, kept, shown;
};

static void hear_command(void *owner, const struct smtp_step *step)
{
    struct run *r = CONTAINER_OF((struct bridge *)owner, struct run, b);
    buf_append(&r->said, step->text, step->len);
    buf_append(&r->said, "\r\n", 2);
}

/* 0 to 9: yes; then a refusal, the loss of the connection, or what is no reply. */
static unsigned next_answer(struct run *r)
{
    return r->answer_count > 0 ? r->answers[r->answered++ % r->answer_count] % 16U : 0;
}

static void say(struct run *r, const char *text) { bridge_from_upstream(&r->b, span_str(text)); }

/* True: it was a yes. */
static bool answer(struct run *r, const char *yes)
{
    unsigned a = next_answer(r);
    if (a < 10)
        say(r, yes);
    else if (a < 12)
        say(r, "450-4.2.0 not\r\n450 4.2.0 now\r\n");
    else if (a < 14)
        say(r, "550 5.7.1 no\r\n");
    else if (a == 14)
        bridge_lose_upstream(&r->b);
    else
        say(r, "2x0 what\r\n");
    return a < 10;
}

static void answer_message(struct run *r)
{
    unsigned replies = r->lmtp ? r->rcpts : 1, kept = r->kept;
    r->txn = false;
    for (unsigned i = 0; i < replies && r->b.upstream == BRIDGE_OPEN; i++) {
        r->kept++; /* before it is said: the client may hear it at once */
        r->kept -= !answer(r, KEPT);
    }
    r->failed = r->kept == kept;
}

static bool begins(struct span line, const char *verb) { return span_begins_nocase(line, span_str(verb)); }

/* A line that is a command has nothing in it that another reader could take for a line end, and is one of ours. */
static void require_command(struct run *r, struct span line)
{
    require(memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\n', line.n) == NULL &&
            memchr(line.p, '\0', line.n) == NULL);
    struct span said = span_head(buf_span(&r->said), line.n);
    require(buf_len(&r->said) >= line.n + 2 && span_eq(said, line));
    require(memcmp(buf_span(&r->said).p + line.n, "\r\n", 2) == 0);
    buf_consume(&r->said, line.n + 2);
}

static void begin_chunk(struct run *r, struct span line)
{
    char text[64] = "", *end;
    require(line.n < sizeof(text));
    memcpy(text, line.p, line.n);
    r->due = strtoull(text + 5, &end, 10);
    r->last = strcmp(end, " LAST") == 0;
    require(r->txn && r->rcpts > 0 && !r->failed && (r->last || *end == '\0'));
    r->state = IN_CHUNK;
}

static void hello(struct run *r)
{
    r->greeted = true;
    say(r, "250-up.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-ETRN\r\n"
           "250-CHUNKING\r\n250 BINARYMIME\r\n");
}

/* The server of a refused chunk is left; what comes next is for another. */
static void leave(struct run *r)
{
    require(r->failed);
    r->txn = false;
}

static void read_command(struct run *r, struct span line)
{
    if (span_eq(line, SPAN_LIT("QUIT"))) {
        leave(r);
        return;
    }
    require_command(r, line);
    if (!r->greeted) {
        require(begins(line, r->lmtp ? "LHLO " : "EHLO "));
        hello(r);
    } else if (begins(line, "MAIL FROM:<")) {
        r->rcpts = 0;
        r->failed = false;
        r->txn = answer(r, "250 2.1.0 fine\r\n");
    } else if (begins(line, "RCPT TO:<")) {
        r->rcpts += answer(r, "250 2.1.5 fine\r\n");
    } else if (span_eq(line, SPAN_LIT("DATA"))) {
        require(r->txn && r->rcpts > 0);
        r->state = answer(r, "354 go\r\n") ? IN_BODY : IN_COMMANDS;
    } else if (begins(line, "BDAT ")) {
        begin_chunk(r, line);
    } else {
        require(span_eq(line, SPAN_LIT("RSET")) || begins(line, "ETRN"));
        r->txn = false;
        (void)answer(r, "250 2.0.0 done\r\n");
    }
}

/* True: the data has ended. Its line ends are the only ones, as a reader that takes LF for one would see it too. */
static bool read_body(struct run *r, struct span line)
{
    require(memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\n', line.n) == NULL);
    if (!span_eq(line, SPAN_LIT(".")))
        return false;
    require(r->b.end_open);
    r->state = IN_COMMANDS;
    return true;
}

static bool read_line(struct run *r)
{
    struct span in = buf_span(&r->wire);
    const char *end = in.n > 0 ? memmem(in.p, in.n, "\r\n", 2) : NULL;
    if (end == NULL)
        return false;
    struct buf line;
    buf_init(&line, NULL);
    buf_append(&line, in.p, (size_t)(end - in.p));
    buf_append(&line, "", 1);
    buf_consume(&r->wire, (size_t)(end - in.p) + 2);
    struct span text = span_head(buf_span(&line), buf_len(&line) - 1);
    if (r->state == IN_COMMANDS)
        read_command(r, text);
    else if (read_body(r, text))
        answer_message(r);
    buf_free(&line);
    return true;
}

static bool read_chunk(struct run *r)
{
    size_t n = buf_len(&r->wire) < r->due ? buf_len(&r->wire) : (size_t)r->due;
    r->due -= n;
    if (n > 0)
        buf_consume(&r->wire, n);
    if (r->due > 0)
        return false;
    r->state = IN_COMMANDS;
    if (r->last) {
        require(r->b.end_open);
        answer_message(r);
    } else {
        r->failed = !answer(r, "250 2.0.0 more\r\n");
    }
    return true;
}

static void show_client(struct run *r)
{
    struct span out = buf_span(&r->b.to_client);
    const char *at;
    while (out.n > 0 && (at = memmem(out.p, out.n, KEPT, sizeof(KEPT) - 1)) != NULL) {
        r->shown++;
        out = span_skip(out, (size_t)(at - out.p) + 1);
    }
    require(r->shown <= (r->b.server.config.lmtp && !r->lmtp ? r->kept * 1000 : r->kept));
    buf_free(&r->b.to_client);
}

/* The server reads all that left. */
static void serve(struct run *r)
{
    bool more = true;
    while (more) {
        if (r->b.upstream != BRIDGE_OPEN) { /* cut off: what is half said says nothing */
            buf_free(&r->b.to_upstream);
            buf_free(&r->wire);
            buf_free(&r->said);
            return;
        }
        if (r->b.client.ops != &r->ops) {
            r->ops = *r->b.client.ops;
            r->ops.command = hear_command;
            r->b.client.ops = &r->ops;
            say(r, "220 up.example\r\n");
        }
        buf_append_span(&r->wire, buf_span(&r->b.to_upstream));
        buf_free(&r->b.to_upstream);
        more = r->state == IN_CHUNK ? read_chunk(r) : read_line(r);
    }
}

static void run_all(struct run *r, struct span in, unsigned seed)
{
    while (in.n > 0) {
        size_t n = seed == 1 ? in.n : min_size(in.n, 1 + (seed >> 16) % (seed & 64 ? 7 : 97));
        seed = seed == 1 ? 1 : (seed * 1664525 + 1013904223) | 2;
        bridge_from_client(&r->b, span_head(in, n));
        in = span_skip(in, n);
        serve(r);
        show_client(r);
    }
    require(r->b.upstream != BRIDGE_OPEN || buf_empty(&r->said));
}

static void run(const uint8_t *data, struct span in, unsigned seed)
{
    static const struct smtp_header_want want = { { "message-id" }, 1 };
    static struct run r;
    uint8_t settings = data[0];
    struct smtp_server_config config = { .lenient_addresses = settings & 8,
                                         .lmtp = settings & 16,
                                         .bare_newline = (enum smtp_bare_newline)(settings % 4 % 3),
                                         .max_command_length = 600,
                                         .max_recipients = 5,
                                         .max_received = 2,
                                         .max_message_size = settings & 64 ? 200 : 0,
                                         .headers = &want };
    struct smtp_offer_rules rules = { .forbidden = SMTP_CAP_BIT(STARTTLS) | SMTP_CAP_BIT(AUTH) | SMTP_CAP_BIT(XCLIENT) |
                                                   SMTP_CAP_BIT(XFORWARD) };
    r = (struct run){ .answers = data + HEAD, .answer_count = data[2] % 32, .lmtp = settings & 32 };
    rules.max_recipients = r.lmtp && !config.lmtp ? 1 : 5;
    bridge_init(&r.b, &config, &rules);
    r.b.lmtp = r.lmtp;
    buf_init(&r.said, NULL);
    buf_init(&r.wire, NULL);
    run_all(&r, in, seed);
    bridge_free(&r.b);
    buf_free(&r.said);
    buf_free(&r.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD || size > INPUT_MAX || size < HEAD + data[2] % 32U)
        return 0;
    struct span in = span_of((const char *)data + HEAD + data[2] % 32, size - HEAD - data[2] % 32);
    run(data, in, 1);
    run(data, in, data[1] * 65536u + 2u);
    return 0;
}
