/* smtptap run: the proxy in the foreground. */
#include <getopt.h>
#include <stdio.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/usage.h"
#include "proxy/relay/relay.h"
#include "proxy/server.h"

struct run_options {
    const char *file, *listen, *upstream;
};

static void tell(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static struct settings *load(settings_fault *fault, void *fault_arg, void *arg)
{
    const struct run_options *o = arg;
    return settings_load(o->file, o->listen, o->upstream, fault, fault_arg);
}

/* The exit status where the command ends here, or -1. */
static int read_options(int argc, char **argv, struct run_options *o)
{
    static const struct option names[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    char why[SETTINGS_WHY_MAX];
    int option;
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, ":c:l:u:h", names, NULL)) != -1) {
        if (option == 'c')
            o->file = optarg;
        else if (option == 'l')
            o->listen = optarg;
        else if (option == 'u')
            o->upstream = optarg;
        else if (option == 'h')
            return usage_print("run");
        else
            return usage_bad_option("run", option, argv);
    }
    if (optind < argc)
        return usage_error("run", "\"%s\" is no option; a configuration file stands behind -c", argv[optind]);
    if (o->listen != NULL && !settings_take_option('l', o->listen, why))
        return usage_error("run", "%s", why);
    if (o->upstream != NULL && !settings_take_option('u', o->upstream, why))
        return usage_error("run", "%s", why);
    return -1;
}

int cli_run(int argc, char **argv)
{
    struct run_options options = { 0 };
    struct server server;
    int status = read_options(argc, argv, &options);
    if (status >= 0)
        return status;
    struct settings *settings = load(tell, NULL, &options);
    if (settings == NULL)
        return 1;
    server_prepare_process();
    if (!server_start(&server, settings, &relay_worker_ops, NULL, tell, NULL))
        return 1;
    return server_wait(&server, load, &options);
}
