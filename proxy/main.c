/* smtptap: one program, its work in subcommands. */
#include <stdio.h>
#include <string.h>

#include "common/base.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/usage.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "run", cli_run },     { "check", cli_check },   { "sink", cli_sink },         { "demo", cli_demo },
    { "tail", cli_tail },   { "verify", cli_verify }, { "help", cli_help },         { "version", cli_version },
    { "--help", cli_help }, { "-h", cli_help },       { "--version", cli_version },
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "smtptap: which command? Try: smtptap help\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return usage_unknown_command(argv[1]);
}
