/* smtptap run: the proxy in the foreground. */
#include <getopt.h>
#include <stdio.h>

#include "proxy/cli/cli.h"
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

static bool read_options(int argc, char **argv, struct run_options *o)
{
    int opt;
    while ((opt = getopt(argc, argv, "c:l:u:")) != -1) {
        if (opt == 'c')
            o->file = optarg;
        else if (opt == 'l')
            o->listen = optarg;
        else if (opt == 'u')
            o->upstream = optarg;
        else
            return false;
    }
    return optind == argc;
}

int cli_run(int argc, char **argv)
{
    struct run_options options = { 0 };
    struct server server;
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "usage: smtptap run [-c FILE] [-l ADDR] [-u ADDR]\n");
        return 2;
    }
    struct settings *settings = load(tell, NULL, &options);
    if (settings == NULL)
        return 1;
    server_prepare_process();
    if (!server_start(&server, settings, &relay_worker_ops, NULL, tell, NULL))
        return 1;
    return server_wait(&server, load, &options);
}
