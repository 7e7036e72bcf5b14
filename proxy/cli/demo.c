/* `smtptap demo`: the program's own sink, the proxy before it, one message through both; the proxy's log is shown as
 * `smtptap tail` shows it. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/demo.h"
#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"
#include "proxy/cli/usage.h"

/* All of it, and what the children have to end then. */
#define DEMO_TIME (8 * USEC_PER_SEC)
#define END_TIME (1 * USEC_PER_SEC)
#define STAY_TIME (3600 * 24 * 365 * USEC_PER_SEC)

struct demo {
    struct demo_child sink, proxy;
    uint16_t sink_port, proxy_port;
    struct tail_printer printer;
    bool ended; /* the client's connection is in the log to its end */
    usec_t deadline;
};

static int fail(const char *what)
{
    if (!demo_interrupted())
        fprintf(stderr, "smtptap demo: %s\n", what);
    return 1;
}

static void print(struct demo *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void print(struct demo *d, const char *fmt, ...)
{
    va_list ap;
    fputs(d->printer.term.colour ? "\033[1m" : "", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    fputs(d->printer.term.colour ? "\033[0m\n" : "\n", stdout);
    fflush(stdout);
}

/* "listening on 127.0.0.1:40001" */
static bool read_sink_port(struct demo *d)
{
    struct span line;
    if (!demo_child_line(&d->sink, &line, d->deadline))
        return false;
    const char *colon = memrchr(line.p, ':', line.n);
    unsigned port = 0;
    for (const char *p = colon; colon != NULL && ++p < line.p + line.n && *p >= '0' && *p <= '9' && port < 65536;)
        port = port * 10 + (unsigned)(*p - '0');
    d->sink_port = (uint16_t)port;
    return port > 0 && port < 65536;
}

static void show(struct demo *d, struct json_object *record)
{
    struct buf out;
    buf_init(&out, NULL);
    tail_print(&d->printer, &out, record);
    struct span text = buf_span(&out);
    if (text.n > 0)
        fwrite(text.p, 1, text.n, stdout);
    fflush(stdout);
    buf_free(&out);
}

/* The next record of the proxy's log; NULL: none by then. Owned by the caller. */
static struct json_object *next_record(struct demo *d)
{
    struct span line;
    struct json_object *record = NULL;
    while (record == NULL && demo_child_line(&d->proxy, &line, d->deadline))
        record = tail_parse(line);
    return record;
}

static bool is_tnx(struct json_object *record, const char *tnx)
{
    return span_eq(tail_string(record, "tnx"), span_str(tnx));
}

static bool read_proxy_port(struct demo *d)
{
    struct json_object *record;
    while (d->proxy_port == 0 && (record = next_record(d)) != NULL) {
        struct json_object *port = NULL;
        if (is_tnx(record, "listen") && json_object_object_get_ex(record, "port", &port))
            d->proxy_port = (uint16_t)json_object_get_int(port);
        json_object_put(record);
    }
    return d->proxy_port > 0;
}

static bool start_sink(struct demo *d)
{
    static const char *const argv[] = {
        "smtptap", "sink", "-l", "127.0.0.1:0", "--quiet", "--reply", "rcpt%50=550 5.1.1 No such mailbox here", NULL
    };
    return demo_child_start(&d->sink, argv) && read_sink_port(d);
}

static bool start_proxy(struct demo *d)
{
    char upstream[32];
    const char *argv[] = { "smtptap", "run", "-l", "127.0.0.1:0", "-u", upstream, NULL };
    snprintf(upstream, sizeof(upstream), "127.0.0.1:%u", d->sink_port);
    return demo_child_start(&d->proxy, argv) && read_proxy_port(d);
}

static void introduce(struct demo *d)
{
    bool utf8 = d->printer.term.utf8;
    print(d, "smtptap on 127.0.0.1:%u stands before a mail server for tests (port %u).", d->proxy_port, d->sink_port);
    print(d, "A client sends a message to two, one of whom does not exist.");
    print(d, "%s between client and smtptap, %s between smtptap and the server:", utf8 ? "\u2192 \u2190" : "-> <-",
          utf8 ? "\u21d2 \u21d0" : "=> <=");
    putchar('\n');
}

/* Until the client's session is over, or for good. */
static void show_log(struct demo *d, bool stay)
{
    struct json_object *record;
    while ((stay || !d->ended) && (record = next_record(d)) != NULL) {
        show(d, record);
        d->ended |= is_tnx(record, "close") && span_eq(tail_string(record, "side"), SPAN_LIT("client"));
        json_object_put(record);
    }
}

static void hint(struct demo *d)
{
    putchar('\n');
    print(d, "The log itself is JSON, a record a line; `smtptap tail` made this of it.");
    print(d, "Now before your own server:");
    printf("\n  smtptap run -u mail.example.com:25 | smtptap tail\n");
    fflush(stdout);
}

static int stay_on(struct demo *d)
{
    putchar('\n');
    print(d, "Send messages of your own to 127.0.0.1:%u (every second recipient is", d->proxy_port);
    print(d, "refused, so that there is something to see). Ctrl-C ends it.");
    d->deadline = demo_clock() + STAY_TIME;
    show_log(d, true);
    return demo_interrupted() ? 0 : fail("the proxy has ended");
}

static int play(struct demo *d, bool stay)
{
    char why[200], text[240];
    if (!start_sink(d))
        return fail("the sink can't be started");
    if (!start_proxy(d))
        return fail("the proxy can't be started");
    introduce(d);
    if (!demo_send(d->proxy_port, d->deadline, why, sizeof(why))) {
        snprintf(text, sizeof(text), "the message didn't get through: %s", why);
        return fail(text);
    }
    show_log(d, false);
    if (!d->ended)
        return fail("the log of the session isn't complete");
    if (stay)
        return stay_on(d);
    hint(d);
    return 0;
}

/* The proxy first: it still has the sink to talk to. */
static void end(struct demo *d)
{
    usec_t deadline = demo_clock() + END_TIME;
    demo_child_end(&d->proxy, deadline);
    demo_child_end(&d->sink, deadline);
}

static int read_options(int argc, char **argv, bool *stay)
{
    static const struct option names[] = { { "stay", no_argument, NULL, 's' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int option;
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, ":h", names, NULL)) != -1) {
        if (option == 'h')
            return usage_print("demo");
        if (option != 's')
            return usage_bad_option("demo", option, argv);
        *stay = true;
    }
    return optind < argc ? usage_error("demo", "it takes no argument but --stay") : -1;
}

int cli_demo(int argc, char **argv)
{
    struct demo d = { .sink.fd = -1, .proxy.fd = -1 };
    bool stay = false;
    int status = read_options(argc, argv, &stay);
    if (status >= 0)
        return status;
    term_init(&d.printer.term, STDOUT_FILENO);
    demo_catch_signals();
    d.deadline = demo_clock() + DEMO_TIME;
    status = play(&d, stay);
    end(&d);
    return status;
}
