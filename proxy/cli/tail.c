/* `smtptap tail`: options, and lines out of bytes. What is read is printed at once, in one write a read. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/json_c.h"
#include "proxy/cli/tail.h"
#include "proxy/cli/usage.h"

enum { DEFAULT_LINES = 10, LINE_MAX_BYTES = 4 << 20 };

struct tail_options {
    const char *path;
    unsigned long lines;
    bool all, counted, no_follow;
    const char *color;
    struct tail_filter filter;
};

static bool read_lines(struct tail_options *o, const char *text)
{
    char *end;
    o->counted = true;
    o->all = strcmp(text, "all") == 0;
    errno = 0;
    o->lines = o->all ? 0 : strtoul(text, &end, 10);
    return o->all || (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0);
}

static bool read_color(struct tail_options *o, const char *text)
{
    o->color = text;
    return strcmp(text, "auto") == 0 || strcmp(text, "always") == 0 || strcmp(text, "never") == 0;
}

static const struct option TAIL_NAMES[] = {
    { "no-follow", no_argument, NULL, 'F' },    { "cid", required_argument, NULL, 'i' },
    { "client", required_argument, NULL, 'c' }, { "status", required_argument, NULL, 's' },
    { "domain", required_argument, NULL, 'd' }, { "level", required_argument, NULL, 'v' },
    { "color", required_argument, NULL, 'C' },  { "colour", required_argument, NULL, 'C' },
    { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 }
};

/* False: the value is none of what *why says. */
static bool take_value(int option, struct tail_options *o, const char **why)
{
    switch (option) {
    case 'n':
        *why = "a number of lines, or all";
        return read_lines(o, optarg);
    case 'i':
        *why = "a session's id";
        o->filter.cid = optarg;
        return optarg[0] != '\0';
    case 'c':
        return tail_filter_client(&o->filter, optarg, why);
    case 's':
        return tail_filter_status(&o->filter, optarg, why);
    case 'd':
        return tail_filter_domain(&o->filter, optarg, why);
    case 'v':
        return tail_filter_level(&o->filter, optarg, why);
    case 'C':
        *why = "auto, always or never";
        return read_color(o, optarg);
    }
    return true;
}

static const char *name_of(int option)
{
    for (const struct option *n = TAIL_NAMES; n->name != NULL; n++) {
        if (n->val == option)
            return n->name;
    }
    return "n";
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct tail_options *o)
{
    int option;
    *o = (struct tail_options){ .lines = DEFAULT_LINES, .color = "auto", .filter = { .level = LEVEL_DEBUG } };
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, ":n:h", TAIL_NAMES, NULL)) != -1) {
        const char *why = "", *dashes = option == 'n' ? "-" : "--";
        if (option == 'h')
            return usage_print("tail");
        if (option == '?' || option == ':')
            return usage_bad_option("tail", option, argv);
        if (option == 'F')
            o->no_follow = true;
        else if (!take_value(option, o, &why))
            return usage_error("tail", "%s%s: \"%s\" is not %s", dashes, name_of(option), optarg, why);
    }
    if (argc - optind > 1)
        return usage_error("tail", "one FILE at a time");
    o->path = optind < argc && strcmp(argv[optind], "-") != 0 ? argv[optind] : NULL;
    o->all |= o->no_follow && !o->counted;
    return -1;
}

struct tail {
    struct tail_file file;
    struct tail_printer printer;
    struct tail_filter *filter;
    struct tail_gaps gaps;
    bool tells_gaps; /* a log is followed; what is read in another way may be an excerpt */
    struct buf in, out;
};

static void print_line(struct tail *t, struct span line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    struct json_object *record = tail_parse(line);
    if (record != NULL && t->tells_gaps)
        tail_gaps_before(&t->gaps, &t->printer, &t->out, record);
    if (record != NULL && tail_filter_takes(t->filter, record))
        tail_print(&t->printer, &t->out, record);
    else if (record == NULL && line.n > 0 && tail_filter_is_open(t->filter))
        tail_print_raw(&t->printer, &t->out, line);
    if (record != NULL && t->tells_gaps)
        tail_gaps_behind(&t->gaps, &t->printer, &t->out, record);
    json_object_put(record);
}

/* rest: what has no line end is printed too. */
static void print_lines(struct tail *t, bool rest)
{
    for (;;) {
        struct span in = buf_span(&t->in);
        size_t searched = t->in.scan - t->in.head;
        const char *lf = in.n > searched ? memchr(in.p + searched, '\n', in.n - searched) : NULL;
        if (lf == NULL) {
            t->in.scan = t->in.tail;
            break;
        }
        print_line(t, span_of(in.p, (size_t)(lf - in.p)));
        buf_consume(&t->in, (size_t)(lf - in.p) + 1);
    }
    if (!buf_empty(&t->in) && (rest || buf_len(&t->in) > LINE_MAX_BYTES)) {
        print_line(t, buf_span(&t->in));
        buf_consume(&t->in, buf_len(&t->in));
    }
}

/* False: nobody reads any more. */
static bool write_out(struct tail *t)
{
    struct span text = buf_span(&t->out);
    bool good = fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0;
    buf_consume(&t->out, text.n);
    return good;
}

static int copy(struct tail *t, bool follow)
{
    for (;;) {
        ssize_t n = tail_file_read(&t->file, &t->in);
        if (n < 0) {
            fprintf(stderr, "smtptap tail: %s: %s\n", t->file.path ? t->file.path : "stdin", strerror(errno));
            return 1;
        }
        bool end = n == 0 && !t->file.cut && !follow;
        print_lines(t, end || t->file.cut);
        if (!buf_empty(&t->out) && !write_out(t))
            return 0;
        if (end)
            return 0;
        if (n == 0 && !t->file.cut)
            tail_file_wait(&t->file);
    }
}

static void decide_color(struct tail *t, const char *color)
{
    term_init(&t->printer.term, STDOUT_FILENO);
    if (strcmp(color, "auto") != 0)
        t->printer.term.colour = strcmp(color, "always") == 0;
}

int cli_tail(int argc, char **argv)
{
    struct tail_options o;
    struct tail t = { .filter = &o.filter };
    int status = read_options(argc, argv, &o);
    if (status >= 0)
        return status;
    if (!tail_file_open(&t.file, o.path)) {
        fprintf(stderr, "smtptap tail: %s: %s\n", o.path, strerror(errno));
        return 1;
    }
    if (o.path == NULL && isatty(STDIN_FILENO))
        fprintf(stderr,
                "smtptap tail: reads records from this terminal; name a FILE, or: smtptap run | smtptap tail\n");
    buf_init(&t.in, NULL);
    buf_init(&t.out, NULL);
    decide_color(&t, o.color);
    if (o.path != NULL && !o.all)
        tail_file_seek_last(&t.file, o.lines);
    t.tells_gaps = o.path != NULL && !o.no_follow;
    status = copy(&t, t.tells_gaps);
    buf_free(&t.in);
    buf_free(&t.out);
    tail_file_close(&t.file);
    return status;
}
