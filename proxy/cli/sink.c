/* `smtptap sink`: options, the line about a message, and the summary. The server is that of `smtptap run`, with the
 * sink in the relay's place. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/term.h"
#include "proxy/cli/usage.h"
#include "proxy/server.h"
#include "proxy/sink/sink.h"

static const char DEFAULT_LISTEN[] = "127.0.0.1:2526";

/* A sink refuses nothing by itself, and has nothing to log. */
#define SETTINGS                                                                                                       \
    "{\"server\":{\"protocol\":\"%s\",\"reverse_dns\":false,\"received_header\":\"off\"},\"workers\":1,"               \
    "\"upstream\":{\"tls\":\"none\"},\"limits\":{\"max_recipients\":1000000,\"max_command_length\":\"32KiB\","         \
    "\"max_unrecognized_commands\":1000000,\"max_received\":0},\"timeouts\":{\"shutdown\":\"1s\"},"                    \
    "\"log\":{\"level\":\"error\",\"outputs\":[{\"type\":\"file\",\"path\":\"/dev/null\",\"overflow\":\"drop\"}]}}"

struct sink_options {
    const char *listen, *store;
    bool quiet, lmtp;
};

static void tell(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "smtptap sink: %s\n", strncmp(text, "smtptap: ", 9) == 0 ? text + 9 : text);
}

/* -1: go on; else the exit status. */
static int take_option(int option, struct sink_options *o, struct sink *sink, char **argv)
{
    char why[256];
    switch (option) {
    case 'h':
        return usage_print("sink");
    case 'l':
        o->listen = optarg;
        return -1;
    case 's':
        o->store = optarg;
        return -1;
    case 'q':
        o->quiet = true;
        return -1;
    case 'L':
        o->lmtp = true;
        return -1;
    case 'r':
        if (sink_rules_add(&sink->rules, optarg, why, sizeof(why)))
            return -1;
        return usage_error("sink", "--reply '%s': %s", optarg, why);
    }
    return usage_bad_option("sink", option, argv);
}

static int read_options(int argc, char **argv, struct sink_options *o, struct sink *sink)
{
    static const struct option names[] = {
        { "store", required_argument, NULL, 's' }, { "reply", required_argument, NULL, 'r' },
        { "lmtp", no_argument, NULL, 'L' },        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 }
    };
    char why[SETTINGS_WHY_MAX];
    int option, status = -1;
    *o = (struct sink_options){ .listen = DEFAULT_LISTEN };
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while (status < 0 && (option = getopt_long(argc, argv, ":l:qh", names, NULL)) != -1)
        status = take_option(option, o, sink, argv);
    if (status < 0 && optind < argc)
        return usage_error("sink", "\"%s\" is no option; an address to listen on stands behind -l", argv[optind]);
    if (status < 0 && !settings_take_option('l', o->listen, why))
        return usage_error("sink", "%s", why);
    return status;
}

struct printer {
    struct term term;
};

static void put_clock(struct buf *out, usec_t real)
{
    static _Thread_local time_t second;
    static _Thread_local char text[16];
    time_t now = (time_t)(real / USEC_PER_SEC);
    struct tm tm;
    if (now != second && localtime_r(&now, &tm) != NULL) {
        second = now;
        strftime(text, sizeof(text), "%H:%M:%S", &tm);
    }
    buf_append(out, text, strlen(text));
}

static void print_message(void *arg, struct buf *out, const struct sink_message *m)
{
    const struct term *t = &((const struct printer *)arg)->term;
    term_on(t, out, TERM_DIM);
    put_clock(out, m->real);
    buf_printf(out, " %s ", m->id);
    term_off(t, out);
    term_put(t, out, m->accepted ? TERM_GREEN : TERM_RED, m->accepted ? "accepted" : "refused");
    buf_printf(out, " %llu bytes from <", (unsigned long long)m->size);
    term_text(t, out, m->mail_from);
    buf_append(out, "> to <", 6);
    term_text(t, out, m->rcpt_to);
    buf_append(out, ">", 1);
    if (m->rcpt_count > 1)
        buf_printf(out, " and %u more", m->rcpt_count - 1);
    buf_printf(out, " (%s)\n", m->client);
}

static void print_listening(const struct server *server, const struct sink_options *o)
{
    char at[NETADDR_PORT_STRLEN];
    const struct listener *l = server->listener[0];
    const char *address = l->shared ? l->address : netaddr_print(&l->bound, at);
    printf("listening on %s\n", address);
    fflush(stdout);
    if (isatty(STDOUT_FILENO))
        fprintf(stderr, "%s every message; Ctrl-C ends it. To see mail arrive: smtptap run -u %s | smtptap tail\n",
                o->store != NULL ? "keeps" : "throws away", address);
}

static const char *plural(unsigned long long n) { return n == 1 ? "" : "s"; }

static void print_summary(struct sink *sink, double seconds)
{
    unsigned long long accepted = atomic_load(&sink->accepted), refused = atomic_load(&sink->refused);
    unsigned long long connections = atomic_load(&sink->connections), rcpts = atomic_load(&sink->recipients);
    printf("%llu message%s accepted, %llu refused at their end; %llu recipient%s, %llu bytes, %llu connection%s; "
           "%.1f s, %.0f messages/s\n",
           accepted, plural(accepted), refused, rcpts, plural(rcpts), (unsigned long long)atomic_load(&sink->octets),
           connections, plural(connections), seconds, seconds > 0 ? (double)(accepted + refused) / seconds : 0.0);
    for (unsigned i = 0; i < sink->rules.count; i++) {
        struct sink_rule *r = &sink->rules.rule[i];
        printf("--reply '%s': %llu of %llu\n", r->text, (unsigned long long)atomic_load(&r->hit),
               (unsigned long long)atomic_load(&r->met));
    }
    fflush(stdout);
}

/* SIGHUP asks for it: there is nothing to read again. */
static struct settings *load(settings_fault *fault, void *fault_arg, void *arg)
{
    const struct sink_options *o = arg;
    char text[sizeof(SETTINGS) + 8];
    int n = snprintf(text, sizeof(text), SETTINGS, o->lmtp ? "lmtp" : "smtp");
    return settings_load_text(NULL, span_of(text, (size_t)n), o->listen, NULL, fault, fault_arg);
}

static double seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int serve(struct sink *sink, struct sink_options *o)
{
    struct server server;
    struct settings *settings = load(tell, NULL, o);
    if (settings == NULL)
        return 1;
    sink_init(sink, settings->base.server.hostname);
    server_prepare_process();
    if (!server_start(&server, settings, &sink_worker_ops, sink, tell, NULL)) {
        fprintf(stderr, "smtptap sink: another address: -l HOST:PORT; any free port: -l 127.0.0.1:0\n");
        return 1;
    }
    double began = seconds_now();
    print_listening(&server, o);
    int status = server_wait(&server, load, o);
    sink_flush(sink);
    print_summary(sink, seconds_now() - began);
    return status;
}

static int open_store(struct sink *sink, const char *path)
{
    sink->store = path != NULL ? sink_store_open(path) : -1;
    if (path == NULL || sink->store >= 0)
        return -1;
    fprintf(stderr, "smtptap sink: --store %s: %s; it takes a directory that can be written to\n", path,
            strerror(errno));
    return 1;
}

int cli_sink(int argc, char **argv)
{
    static struct sink sink;
    struct sink_options o;
    struct printer printer;
    int status = read_options(argc, argv, &o, &sink);
    if (status < 0)
        status = open_store(&sink, o.store);
    if (status < 0) {
        term_init(&printer.term, STDOUT_FILENO);
        sink.line_by_line = isatty(STDOUT_FILENO) == 1;
        sink.print = o.quiet ? NULL : print_message;
        sink.print_arg = &printer;
        status = serve(&sink, &o);
        if (sink.store >= 0)
            close(sink.store);
    }
    sink_free(&sink);
    return status;
}
