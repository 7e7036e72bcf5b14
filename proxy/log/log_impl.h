/* What the files of the log share: the log itself and its loggers. */
#ifndef PROXY_LOG_LOG_IMPL_H
#define PROXY_LOG_LOG_IMPL_H

#include "proxy/log/log.h"
#include "proxy/log/recorder.h"
#include "proxy/log/writer.h"

struct logger {
    struct log *log;
    unsigned index;
    long reserve; /* octets that log->reserved has not been told of */
    struct buf line;
    struct buf_pool pool;
    struct json_time_cache clock;
    bool promised;         /* room was reserved for the record under way */
    struct recorder *keep; /* takes the lines in place of the outputs; NULL: none */
    struct redact *redact; /* NULL: nothing is redacted */
    struct record record;  /* the caller's, with its component */
    log_wake *wake;        /* with arg under log->lock */
    void *arg;
};

struct log {
    char run[LOG_RUN_LEN + 1];
    struct span component;            /* owned */
    enum level level;                 /* the most that any output takes */
    unsigned level_end[FORMAT_COUNT]; /* levels below this one are taken by an output of that format; 0: none */
    size_t max_record, grain;
    bool chained; /* lines leave room for what the chain adds */
    usec_t block_timeout;
    struct logger *logger; /* the last one is the log's own, for the watch's thread */
    unsigned loggers;      /* with it */
    struct log_writer *writer;
    size_t writers;
    int notice;
    pthread_t watch;
    bool watched; /* the thread runs */
    atomic_bool stopping;
    bool syncs; /* a reply waits for its record */
    pthread_mutex_t lock;
    struct log *hanging; /* the next one that a stuck thread keeps in memory */
    _Alignas(CACHE_LINE) atomic_long reserved;
};

/* The watch: a thread that sleeps until an output's state changes or it has trouble. It counts the block_timeout, wakes
 * the loggers and writes the log's own `error` records. That is not the writers' part, for one may be stuck in a write
 * that does not return. Returns 0 or an errno. */
int watch_start(struct log *log) MUST_CHECK;
/* Joins it; what it was told before is in the queues afterwards. */
void watch_stop(struct log *log);

#endif
