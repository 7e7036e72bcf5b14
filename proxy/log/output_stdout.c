/* Standard output, whatever it is: it belongs to whoever started us as well, so nothing is set on it, and it is not
 * closed. */
#include "proxy/log/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stdout_free(struct output *o) { free(o); }

static const struct output_ops STDOUT_OPS = { .free = stdout_free, .epipe_is_final = true };

struct output *output_open_stdout(char why[OUTPUT_WHY_MAX])
{
    struct output *o = output_make(sizeof(*o), &STDOUT_OPS);
    o->name = "stdout";
    o->fd = STDOUT_FILENO;
    if (output_kind_of(o->fd, &o->kind) == 0)
        return o;
    snprintf(why, OUTPUT_WHY_MAX, "stdout: %s", strerror(errno));
    free(o);
    return NULL;
}
