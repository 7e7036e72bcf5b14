/* Where a writer's bytes go: one file a kind behind a table of operations. Used by its writer's thread alone. */
#ifndef PROXY_LOG_OUTPUT_H
#define PROXY_LOG_OUTPUT_H

#include <sys/types.h>

#include "proxy/settings.h"

enum { OUTPUT_WHY_MAX = 256 };

struct output;
struct output_ops {
    /* Opens it again by name; the old one is closed only if that went well. Returns 0 or an errno. NULL: nothing to do.
     */
    int (*reopen)(struct output *o);
    /* Removes the last `octets` written, which are the beginning of a record; false if that can't be done. */
    bool (*cut)(struct output *o, size_t octets);
    void (*free)(struct output *o);
    /* EPIPE is the end of it, not trouble that may pass. */
    bool epipe_is_final;
};

/* DIRECT: files and devices, whose write() is done when it returns. The others may fill up, and are asked first whether
 * they have room, so that write() doesn't wait. */
enum output_kind { OUTPUT_DIRECT, OUTPUT_PIPE, OUTPUT_SOCKET, OUTPUT_TTY };

struct output {
    const struct output_ops *ops;
    const char *name; /* in records: "stdout" or the path; owned by the output */
    enum output_kind kind;
    int fd;
    bool torn; /* what is there does not end in a line's end */
};

/* NULL if it can't be opened; why says in what. */
struct output *output_open(const struct output_settings *set, char why[OUTPUT_WHY_MAX]) MUST_CHECK;
void output_free(struct output **o);
/* Writes from p, which holds lines, as much as is good in one call; to those that may fill up whole lines, as far as
 * they fit into PIPE_BUF. Returns how many octets were written, or a negative errno; -EAGAIN: wait until fd is
 * writable. */
ssize_t output_write(struct output *o, const char *p, size_t n) MUST_CHECK;

/* Of the kinds. */
struct output *output_open_stdout(char why[OUTPUT_WHY_MAX]) MUST_CHECK;
struct output *output_open_file(const struct output_settings *set, char why[OUTPUT_WHY_MAX]) MUST_CHECK;
/* What fd is; -1 and errno if it is nothing. */
int output_kind_of(int fd, enum output_kind *kind) MUST_CHECK;

#endif
