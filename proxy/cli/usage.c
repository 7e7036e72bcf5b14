/* Refusals of the command line: each says what is wrong and what to do. */
#include "proxy/cli/usage.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/conf.h"

const struct usage_command *usage_find(const char *name)
{
    for (const struct usage_command *c = usage_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

int usage_error(const char *command, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "smtptap %s: ", command);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n`smtptap help %s` explains it\n", command);
    return 2;
}

int usage_bad_option(const char *command, int option, char *const *argv)
{
    const char *word = argv[optind > 0 ? optind - 1 : 0];
    if (option == ':')
        return usage_error(command, "%s needs a value", word);
    if (optopt > ' ' && optopt < 127 && strncmp(word, "--", 2) != 0)
        return usage_error(command, "there is no option -%c", optopt);
    return usage_error(command, "there is no option %.*s, or it takes no value", (int)strcspn(word, "="), word);
}

int usage_print(const char *command)
{
    return fputs(usage_find(command)->text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

int usage_unknown_command(const char *name)
{
    const struct usage_command *best = NULL;
    unsigned least = 3;
    for (const struct usage_command *c = usage_commands; c->name != NULL; c++) {
        unsigned distance = conf_distance(span_str(name), span_str(c->name));
        if (distance < least) {
            least = distance;
            best = c;
        }
    }
    fprintf(stderr, "smtptap: there is no command \"%.40s\"", name);
    if (best != NULL)
        fprintf(stderr, "; did you mean %s?", best->name);
    fprintf(stderr, "\n`smtptap help` lists the commands\n");
    return 2;
}
