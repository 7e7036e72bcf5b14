/* `smtptap check`: reads the configuration and all that it names, tells every fault and warning on stderr, and prints
 * the effective configuration where asked to. */
#include "proxy/cli/cli.h"

#include "proxy/settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct check_options {
    const char *file;
    bool print;
};

static bool parse_options(int argc, char **argv, struct check_options *o)
{
    static const struct option LONG[] = { { "print", no_argument, NULL, 'p' }, { NULL, 0, NULL, 0 } };
    int option;
    *o = (struct check_options){ .file = NULL };
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, "c:", LONG, NULL)) != -1) {
        if (option == 'c')
            o->file = optarg;
        else if (option == 'p')
            o->print = true;
        else
            return false;
    }
    return o->file != NULL && optind == argc;
}

static void tell(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
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
    if (!parse_options(argc, argv, &o)) {
        fprintf(stderr, "usage: smtptap check -c FILE [--print]\n");
        return 2;
    }
    struct settings *s = settings_check(o.file, tell, tell, NULL);
    bool good = s != NULL && (!o.print || print(s));
    settings_unref(&s);
    return good ? 0 : 1;
}
