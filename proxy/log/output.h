/* Where a writer's bytes go: one file a kind behind a table of operations. Used by its writer's thread alone. */
#ifndef PROXY_LOG_OUTPUT_H
#define PROXY_LOG_OUTPUT_H

#include <sys/types.h>

#include "proxy/settings.h"

enum { OUTPUT_WHY_MAX = 256, BACKOFF_MAX_MS = 1000 };

/* What the log itself tells of an output. */
struct output_note {
    enum record_error err; /* ERR_COUNT: nothing */
    uint64_t records;      /* that it is about; 0: none in particular */
    char why[OUTPUT_WHY_MAX];
};

struct output;
struct output_ops {
    /* Opens it again by name; the old one is closed only if that went well. Returns 0 or an errno. NULL: nothing to do.
     */
    int (*reopen)(struct output *o);
    /* Removes the last `octets` written, which are the beginning of a record; false if that can't be done. */
    bool (*cut)(struct output *o, size_t octets);
    /* In place of write(2), see output_write(). */
    ssize_t (*write)(struct output *o, const char *p, size_t n);
    /* While there is nothing to write: sends what it still holds, and looks after its connection. Called when fd has
     * one of `events`, or pause_ms are over. 0 or a negative errno. NULL: there is nothing to do. */
    int (*tend)(struct output *o);
    /* At the end: 0 when the other side has all that was written; -EAGAIN: wait as write() does, and call it again. */
    int (*finish)(struct output *o);
    /* With log.sync: sees to it that `want` octets can be written, and returns how many can be, see durable.h; makes
     * what was written safe from a crash of the machine: 0 or an errno. */
    long (*secure)(struct output *o, size_t want);
    int (*sync)(struct output *o);
    void (*free)(struct output *o);
    /* EPIPE is the end of it, not trouble that may pass. */
    bool epipe_is_final;
    unsigned backoff_max_ms; /* between two tries after an error; 0: BACKOFF_MAX_MS */
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
    /* Of outputs with operations of their own; set by each of these. */
    short events;             /* of fd, that are waited for */
    int pause_ms;             /* for so long at the most; -1: for ever */
    uint64_t lost;            /* lines that were taken and have been given up; the writer takes this */
    uint64_t held;            /* lines that were taken and that the other side may not have yet */
    char why[OUTPUT_WHY_MAX]; /* what the last error was, where its number says too little */
    struct output_note note;  /* the writer takes this */
};

struct output_context {
    const char *component; /* outlives the output */
    size_t max_record;
};

/* NULL if it can't be opened; why says in what. */
struct output *output_open(const struct output_settings *set, const struct output_context *of,
                           char why[OUTPUT_WHY_MAX]) MUST_CHECK;
void output_free(struct output **o);
/* Writes from p, which holds lines, as much as is good in one call; to those that may fill up whole lines, as far as
 * they fit into PIPE_BUF. Returns how many octets were written, or a negative errno; -EAGAIN: wait until fd is
 * writable. */
ssize_t output_write(struct output *o, const char *p, size_t n) MUST_CHECK;

/* Another process writes to the same pipes as we do, for as long as it lives; 0: none does. */
void output_share(pid_t with);

/* Of the kinds. */
/* A zeroed struct of `size` bytes that begins with a struct output. */
struct output *output_make(size_t size, const struct output_ops *ops) MUST_CHECK;
void output_note(struct output *o, enum record_error err, uint64_t records, const char *fmt, ...) PRINTF_LIKE(4, 5);
ssize_t output_write_fd(struct output *o, const char *p, size_t n) MUST_CHECK;
struct output *output_open_stdout(char why[OUTPUT_WHY_MAX]) MUST_CHECK;
struct output *output_open_file(const struct output_settings *set, const struct output_context *of,
                                char why[OUTPUT_WHY_MAX]) MUST_CHECK;
struct output *output_open_net(const struct output_settings *set, const struct output_context *of,
                               char why[OUTPUT_WHY_MAX]) MUST_CHECK;
struct output *output_open_kafka(const struct output_settings *set, const struct output_context *of,
                                 char why[OUTPUT_WHY_MAX]) MUST_CHECK;
/* Whether librdkafka takes the options; else which one it does not, and why. */
bool output_kafka_check(const struct output_settings *set, char *option, size_t size,
                        char why[OUTPUT_WHY_MAX]) MUST_CHECK;
/* What fd is; -1 and errno if it is nothing. */
int output_kind_of(int fd, enum output_kind *kind) MUST_CHECK;

#endif
