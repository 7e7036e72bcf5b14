/* The log: each worker has a `logger`, which formats a record and puts its line into a queue per output; one writer
 * thread an output takes lines from all workers' queues in the order of their time, appends run and seq, and writes
 * batches.
 *
 * Loggers are for one thread each; the rest may be called from any. Nothing here waits for an output but log_stop(). */
#ifndef PROXY_LOG_LOG_H
#define PROXY_LOG_LOG_H

#include <sys/types.h>

#include "common/record/record.h"
#include "proxy/settings.h"

enum { LOG_RUN_LEN = 8 };

struct log;
struct logger;

/* Told, on a thread of the log, that an output which had no room has room again, or that its state changed; also that
 * an output is gone for good (log_all_gone). */
typedef void log_wake(void *arg);

/* Opens the outputs and starts their writers for `loggers` loggers. On failure reports each fault and returns NULL. */
struct log *log_start(const struct log_settings *set, unsigned loggers, settings_fault *fault, void *arg) MUST_CHECK;
/* The i-th logger; owned by the log. wake may be NULL; it is set before the first record, and no call of the one before
 * is under way when this returns, so that what it uses may be freed then. wake must not call this. */
struct logger *log_logger(struct log *log, unsigned i, log_wake *wake, void *arg);
/* This run's id: 8 characters of 0-9a-v, unique across machines; also the start of each cid. */
const char *log_run(const struct log *log);
/* SIGUSR1: files are opened again by name before the next record. */
void log_reopen(struct log *log);
/* Another process writes the same log, for as long as it lives (SIGUSR2); 0: none does. Of the whole program. */
void log_share(pid_t with);
/* Writes what is queued, for `limit` at the most, after `closed`; then stops the threads. Returns how many records were
 * not written. The log is freed. No logger may be used any more. */
uint64_t log_stop(struct log **log, usec_t limit);
/* Every output is gone for good (stdout closed): the program should drain and exit 1. */
bool log_all_gone(const struct log *log);

/* True if any output takes records of this level: for callers that can save the work of making one. */
bool logger_wants(const struct logger *l, enum level level);
/* True if log.redact changes addresses: for callers that know how else they may be called. */
bool logger_hides_addresses(const struct logger *l);
/* Formats and enqueues. With `block` and `tempfail` a record always finds a place (queues grow past their size by what
 * sessions under way have left to say) until the state is TEMPFAIL: then command, send and data records find one up to
 * the queue's size, others up to half as much again. What finds none, as with `drop`, is lost and counted. component is
 * put in by the logger, where the record doesn't begin with one. */
void logger_write(struct logger *l, const struct record *r);
/* The same for one that room is reserved for: with `block` and `tempfail` it finds a place in any case. */
void logger_write_promised(struct logger *l, const struct record *r);

/* log.sync: the reply to a message that was taken waits until its record is written, or on the disk, in every output
 * that is a file. */
bool logger_syncs(const struct logger *l);
/* Such outputs are sure to take `octets` more: there is room in the queue, and on the disk. */
bool logger_secures(struct logger *l, size_t octets) MUST_CHECK;
/* A place in those outputs, for what this logger has written so far. */
enum { LOG_OUTPUTS_MAX = 16 };
struct log_ticket {
    uint64_t at[LOG_OUTPUTS_MAX];
};
void logger_draw(struct logger *l, struct log_ticket *out);
/* How many records such outputs have lost of this logger: no ticket says anything of those. */
uint64_t logger_missed(const struct logger *l);
/* UNSAFE: nobody knows, and nobody will. */
enum log_fate { LOG_WAITING, LOG_SAFE, LOG_UNSAFE };
enum log_fate logger_fate(const struct logger *l, const struct log_ticket *ticket);
/* Somebody waits: wake() is called, once, when the fate of what was written so far is known, of all of it or of the
 * first part. */
void logger_await(struct logger *l);

/* What sessions on this logger may do now. OPEN: go on. BLOCKED: read nothing and accept nothing until wake() is
 * called. TEMPFAIL: answer MAIL, RCPT, DATA, BDAT 451 4.3.0 (an output with `tempfail` is full, or one with `block` has
 * been for log.block_timeout). */
enum log_state { LOG_OPEN, LOG_BLOCKED, LOG_TEMPFAIL };
enum log_state logger_state(struct logger *l);
/* Takes (positive) or gives back (negative) room in every output for records that are sure to come: `octets` of them.
 */
void logger_reserve(struct logger *l, long octets);

#endif
