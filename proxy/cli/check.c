/* `smtptap check`: reads the configuration and all that it names, tells every fault and warning on stderr, and prints
 * the effective configuration where asked to. */
#include "proxy/cli/cli.h"

#include "common/conf.h"
#include "proxy/cli/usage.h"
#include "proxy/settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct check_options {
    const char *file;
    bool print;
};

/* The exit status where the command ends here, or -1. */
static int parse_options(int argc, char **argv, struct check_options *o)
{
    static const struct option LONG[] = { { "print", no_argument, NULL, 'p' },
                                          { "help", no_argument, NULL, 'h' },
                                          { NULL, 0, NULL, 0 } };
    int option;
    *o = (struct check_options){ .file = NULL };
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, ":c:h", LONG, NULL)) != -1) {
        if (option == 'c')
            o->file = optarg;
        else if (option == 'p')
            o->print = true;
        else if (option == 'h')
            return usage_print("check");
        else
            return usage_bad_option("check", option, argv);
    }
    if (optind < argc)
        return usage_error("check", "\"%s\" is no option; a configuration file stands behind -c", argv[optind]);
    return o->file != NULL ? -1 : usage_error("check", "which file? Name it with -c");
}

struct told {
    unsigned faults, warnings;
};

static void tell_fault(void *arg, const char *text)
{
    ((struct told *)arg)->faults++;
    fprintf(stderr, "%s\n", text);
}

static void tell_warning(void *arg, const char *text)
{
    ((struct told *)arg)->warnings++;
    fprintf(stderr, "%s\n", text);
}

/* "3 faults" */
static void print_count(unsigned n, const char *what)
{
    if (n == 0)
        fprintf(stderr, "no %ss", what);
    else if (n > CONF_FAULTS_MAX)
        fprintf(stderr, "over %d %ss", CONF_FAULTS_MAX, what);
    else
        fprintf(stderr, "%u %s%s", n, what, n == 1 ? "" : "s");
}

/* So that silence need not be read as an answer. */
static void print_verdict(const char *file, const struct told *told)
{
    fprintf(stderr, "%s: ", file);
    print_count(told->faults, "fault");
    fprintf(stderr, ", ");
    print_count(told->warnings, "warning");
    fprintf(stderr, "\n");
}

static bool print(const struct settings *s)
{
    char *text = settings_print(s);
    bool good = printf("%s\n", text) >= 0 && fflush(stdout) == 0;
    if (!good)
        fprintf(stderr, "smtptap check: stdout: %s\n", strerror(errno));
    free(text);
    return good;
}

int cli_check(int argc, char **argv)
{
    struct check_options o;
    int status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    struct told told = { .faults = 0 };
    struct settings *s = settings_check(o.file, tell_fault, tell_warning, &told);
    print_verdict(o.file, &told);
    bool good = s != NULL && (!o.print || print(s));
    settings_unref(&s);
    return good ? 0 : 1;
}
