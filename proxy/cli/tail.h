/* What `smtptap tail` is made of: the printer, which `demo` uses too, the filters, and following a file. */
#ifndef PROXY_CLI_TAIL_H
#define PROXY_CLI_TAIL_H

#include <sys/types.h>

#include "common/netaddr.h"
#include "common/record/record.h"
#include "proxy/cli/term.h"

struct json_object;

/* tail_print.c: records as dialogue. */
struct tail_printer {
    struct term term;
    char day[11]; /* the date of the last line; a new one is told in a line of its own */
};
/* A record, or NULL if the line is none. Owned by the caller (json_object_put). */
struct json_object *tail_parse(struct span line);
/* Appends the record's lines. */
void tail_print(struct tail_printer *p, struct buf *out, struct json_object *record);
/* A line that is no record. */
void tail_print_raw(struct tail_printer *p, struct buf *out, struct span line);
/* A record's string, or an empty span. */
struct span tail_string(struct json_object *record, const char *key);

/* tail_filter.c: which records are shown. */
enum { TAIL_CID_MAX = 32, TAIL_CIDS = 256 };
struct tail_filter {
    const char *cid, *domain;
    const char *client; /* NULL: any */
    bool by_network;    /* client is in network, else it is a domain */
    struct cidr network;
    unsigned statuses; /* bits of enum txn_status; 0: any record */
    enum level level;
    /* The newest sessions that client matched: an upstream leg's own records don't name the client. */
    char seen[TAIL_CIDS][TAIL_CID_MAX];
    unsigned next;
};
/* Each reads the value of an option; false with a text in why (static) that says what is allowed. */
bool tail_filter_client(struct tail_filter *f, const char *text, const char **why) MUST_CHECK;
bool tail_filter_status(struct tail_filter *f, const char *text, const char **why) MUST_CHECK;
bool tail_filter_level(struct tail_filter *f, const char *text, const char **why) MUST_CHECK;
bool tail_filter_domain(struct tail_filter *f, const char *text, const char **why) MUST_CHECK;
/* Nothing is filtered but by level debug: lines that are no records are shown too. */
bool tail_filter_is_open(const struct tail_filter *f);
bool tail_filter_takes(struct tail_filter *f, struct json_object *record);

/* tail_gaps.c: what is missing of the newest runs. */
enum { TAIL_RUN_MAX = 16, TAIL_RUNS = 16 };
struct tail_run {
    char name[TAIL_RUN_MAX];
    uint64_t seq;     /* of its last record */
    uint64_t missing; /* since its last `dropped` */
};
struct tail_gaps {
    struct tail_run run[TAIL_RUNS];
    unsigned next;
};
/* Each record is given to both, whether a filter takes it or not; they append a line where there is something to say
 * before the record's own lines, and behind them. */
void tail_gaps_before(struct tail_gaps *g, const struct tail_printer *p, struct buf *out, struct json_object *record);
void tail_gaps_behind(struct tail_gaps *g, const struct tail_printer *p, struct buf *out, struct json_object *record);

/* tail_row.c: the open file that comes next after fd's in the row of path's rotated files, or has the name itself and
 * something in it; -1: there is none (yet). */
enum { TAIL_PATH_MAX = 4096 };
int tail_row_next(const char *path, int fd) MUST_CHECK;

/* tail_follow.c: a file that grows, is rotated, or is cut. */
struct tail_file {
    const char *path; /* NULL: stdin */
    int fd, notify;
    bool cut; /* the file was cut or another one took its place: bytes of an unfinished line are no part of the next */
};
/* False with errno. */
bool tail_file_open(struct tail_file *t, const char *path) MUST_CHECK;
void tail_file_close(struct tail_file *t);
/* Moves to the beginning of the last `lines` lines, where the file can be searched. */
void tail_file_seek_last(struct tail_file *t, unsigned long lines);
/* Appends what is there, up to a bound; 0: nothing now; -1 with errno. Goes over to a file that took the name's place.
 */
ssize_t tail_file_read(struct tail_file *t, struct buf *in);
/* Until something may have changed; at most a quarter of a second. */
void tail_file_wait(struct tail_file *t);

#endif
