/* What the commands say about themselves, and how they refuse what they don't understand. */
#ifndef PROXY_CLI_USAGE_H
#define PROXY_CLI_USAGE_H

#include "common/base.h"

struct usage_command {
    const char *name, *brief, *text; /* text begins with "usage: " */
};
/* In the order of `smtptap help`; an entry without a name ends it. */
extern const struct usage_command usage_commands[];
const struct usage_command *usage_find(const char *name);

/* "smtptap COMMAND: ..." and where to read more, on stderr. Returns the exit status of bad usage. */
int usage_error(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* For getopt_long() that returned '?' or ':' (opterr is 0, the option string begins with ':'). */
int usage_bad_option(const char *command, int option, char *const *argv);
/* The command's help on stdout; returns the exit status. */
int usage_print(const char *command);
/* No such command; names the nearest one. */
int usage_unknown_command(const char *name);

#endif
