/* One output with its queues, and the thread that empties them into it.
 *
 * The thread sleeps without a time limit while there is nothing, is woken by the first record, gives others LINGER_MS
 * to come, and then writes what is there in batches; so a record is not held back for long, and a round costs two
 * wake-ups. Where much is waiting sooner, or somebody waits for a record (log.sync), the round is shorter. */
#ifndef PROXY_LOG_WRITER_H
#define PROXY_LOG_WRITER_H

#include <pthread.h>

#include "common/record/format.h"
#include "proxy/log/batch.h"
#include "proxy/log/head.h"
#include "proxy/log/output.h"
#include "proxy/log/queue.h"
#include "proxy/log/room.h"
#include "proxy/log/ticket.h"

/* How lines of a format are made and ended. */
static inline const struct record_format *log_format(enum log_format format)
{
    return format == FORMAT_ECS ? &record_ecs : &record_native;
}

/* What the thread waits for: nothing (it works), the first line, or many. */
enum writer_wait { WAIT_NONE, WAIT_ANY, WAIT_MANY };

/* What is to be told of the output: notes from the writer's thread to the watch's. */
enum { WRITER_NOTES = 4 };
struct writer_notes {
    pthread_mutex_t lock;
    unsigned count;
    struct output_note note[WRITER_NOTES];
};

/* What a writer needs to know of its log. */
struct writer_context {
    const char *run, *component;
    struct span chain_key; /* empty: no chain */
    size_t max_record;
    unsigned queues;
    const atomic_long *reserved;
    int notice;                            /* an eventfd, see room.h; also written when there is a note */
    void (*served)(void *arg, unsigned i); /* tickets that logger i waits for are decided */
    void *served_arg;
};

struct log_writer {
    struct writer_context of;
    enum level level;
    enum log_format format;
    struct output *output;
    struct queue *queue; /* one a logger */
    size_t grain;        /* octets that a producer may put before it reports them */
    size_t many;         /* octets that are not left waiting */
    int wake;            /* eventfd */
    pthread_t thread;
    bool started;
    struct room room;

    _Alignas(CACHE_LINE) atomic_int waiting; /* enum writer_wait */
    /* Asked of the thread: to open the output again; to end when all is written; to end when it would have to wait. */
    atomic_bool reopen, stop, give_up;
    atomic_bool finished;
    struct writer_notes notes; /* for the watch */
    struct tickets tickets;

    /* The thread's own. */
    _Alignas(CACHE_LINE) struct batch batch;
    struct merge merge;
    struct head *head; /* of a file with a chain, else NULL */
    int head_error;
    unsigned backoff_ms;
    int told_error;
    usec_t told_at;
};

/* False if the output can't be opened; why says in what. */
bool writer_init(struct log_writer *w, const struct output_settings *set, const struct writer_context *of,
                 char why[OUTPUT_WHY_MAX]) MUST_CHECK;
/* After the thread has ended. */
void writer_free(struct log_writer *w);
/* 0 or an errno. */
int writer_start(struct log_writer *w) MUST_CHECK;
/* From any thread: makes the writer look at what it was asked. */
void writer_kick(struct log_writer *w);
/* From the watch: the oldest note; false: there is none. */
bool writer_take_note(struct log_writer *w, struct output_note *out) MUST_CHECK;
/* From the thread of logger i. */
void writer_put(struct log_writer *w, unsigned i, usec_t time, struct span line, enum line_worth worth);
/* From the thread of logger i: it waits for what it has put. */
void writer_await(struct log_writer *w, unsigned i);
/* Records that were made for this output and are neither written nor counted in a `dropped` that is: while nobody puts.
 */
uint64_t writer_unwritten(struct log_writer *w);

#endif
