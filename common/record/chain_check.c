/* A record that doesn't fit is judged by the next one of its run: if that follows the one before, this was inserted; if
 * it follows this one, this was edited, or what was between is missing. So a fault is told once, where it is, and what
 * comes behind it is checked as before. A gap in seq alone is no fault: lost records are counted so, and told.
 *
 * What a run's first record follows must have been seen, but for what lies before the oldest file. */
#include "common/record/chain_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEEN = 1 << 20, RUNS_MAX = 1 << 14 };

struct place {
    const char *file;
    uint64_t line;
};

struct run {
    char name[CHAIN_RUN + 1];
    char hash[CHAIN_HEX + 1]; /* of the newest record that is held for good */
    uint64_t seq;
    struct place at;
    bool doubt; /* the record below did not fit, the next one tells why */
    struct {
        char hash[CHAIN_HEX + 1];
        uint64_t seq;
        struct place at;
    } suspect;
};

struct chain_check {
    struct digest_hmac *hmac;
    chain_tell *tell;
    void *arg;
    struct run *run;
    size_t runs, newest; /* newest: where the last line's run is */
    struct chain_head head[CHAIN_SLOTS];
    size_t heads;
    struct place at;
    bool begun, whole_from_start; /* whole: the oldest file begins with the first run of all */
    bool in_first;
    uint64_t unchained; /* lines before the first record of all */
    uint64_t *seen;     /* the ends of the newest hashes, in a ring */
    size_t seen_next;
    struct chain_sum sum;
};

struct chain_check *chain_check_new(struct span key, chain_tell *tell, void *arg)
{
    struct chain_check *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->seen = calloc(SEEN, sizeof(*c->seen))) == NULL)
        abort();
    c->hmac = digest_hmac_new(key);
    c->tell = tell;
    c->arg = arg;
    return c;
}

void chain_check_free(struct chain_check **c)
{
    if (*c == NULL)
        return;
    digest_hmac_free(&(*c)->hmac);
    free((*c)->run);
    free((*c)->seen);
    free(*c);
    *c = NULL;
}

static PRINTF_LIKE(4, 5) void find(struct chain_check *c, enum chain_finding finding, struct place at, const char *fmt,
                                   ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->sum.faults += finding != CHAIN_NOTE;
    c->tell(c->arg, finding, at.file, at.line, text);
}

void chain_check_slot(struct chain_check *c, const char *file, struct span slot)
{
    struct place at = { file, 0 };
    if (chain_slot_empty(slot) || c->heads == CHAIN_SLOTS)
        return;
    if (chain_head_read(c->hmac, slot, &c->head[c->heads]))
        c->heads++;
    else
        find(c, CHAIN_HEAD, at, "this was edited, or written with another key");
}

void chain_check_file(struct chain_check *c, const char *name)
{
    c->in_first = c->at.file == NULL;
    c->at = (struct place){ name, 0 };
}

static uint64_t hash_end(const char *hash)
{
    char digits[17];
    memcpy(digits, hash + CHAIN_HEX - 16, 16);
    digits[16] = '\0';
    return strtoull(digits, NULL, 16);
}

static void remember(struct chain_check *c, const char *hash) { c->seen[c->seen_next++ % SEEN] = hash_end(hash); }

static bool was_seen(const struct chain_check *c, const char *hash)
{
    uint64_t end = hash_end(hash);
    for (size_t i = 0; i < min_size(c->seen_next, SEEN); i++) {
        if (c->seen[i] == end)
            return true;
    }
    return false;
}

static struct run *find_run(struct chain_check *c, struct span name)
{
    if (c->newest < c->runs && memcmp(c->run[c->newest].name, name.p, CHAIN_RUN) == 0)
        return &c->run[c->newest];
    for (size_t i = c->runs; i-- > 0;) {
        if (memcmp(c->run[i].name, name.p, CHAIN_RUN) == 0) {
            c->newest = i;
            return &c->run[i];
        }
    }
    return NULL;
}

static bool follows(struct chain_check *c, const char *before, const struct chain_line *line)
{
    char hash[CHAIN_HEX + 1];
    chain_hash(c->hmac, span_of(before, CHAIN_HEX), line->text, hash);
    return memcmp(hash, line->hash.p, CHAIN_HEX) == 0;
}

static void hold(struct chain_check *c, struct run *run, const struct chain_line *line)
{
    memcpy(run->hash, line->hash.p, CHAIN_HEX);
    run->seq = line->seq;
    run->at = c->at;
    run->doubt = false;
    remember(c, run->hash);
}

static void suspect(struct chain_check *c, struct run *run, const struct chain_line *line)
{
    run->doubt = true;
    memcpy(run->suspect.hash, line->hash.p, CHAIN_HEX);
    run->suspect.seq = line->seq;
    run->suspect.at = c->at;
    remember(c, run->suspect.hash); /* another run may follow it */
}

/* The suspect is of the chain, as it calls itself. */
static void convict(struct chain_check *c, struct run *run)
{
    uint64_t seq = run->suspect.seq;
    if (seq > run->seq + 1)
        find(c, CHAIN_MISSING, run->suspect.at,
             "records are missing before this one: run %s goes from seq %" PRIu64 " (%s:%" PRIu64 ") to %" PRIu64,
             run->name, run->seq, run->at.file, run->at.line, seq);
    else if (seq == run->seq + 1)
        find(c, CHAIN_EDITED, run->suspect.at,
             "this record was edited: its hash does not fit (run %s, seq %" PRIu64 ")", run->name, seq);
    else
        find(c, CHAIN_INSERTED, run->suspect.at,
             "this line was inserted: run %s was at seq %" PRIu64 " already, this says %" PRIu64, run->name, run->seq,
             seq);
    if (seq > run->seq) {
        memcpy(run->hash, run->suspect.hash, CHAIN_HEX);
        run->seq = seq;
        run->at = run->suspect.at;
    }
    run->doubt = false;
}

static void check_next(struct chain_check *c, struct run *run, const struct chain_line *line)
{
    if (follows(c, run->hash, line)) {
        if (run->doubt)
            find(c, CHAIN_INSERTED, run->suspect.at,
                 "this line was inserted: it says it is seq %" PRIu64 " of run %s, whose chain goes on without it",
                 run->suspect.seq, run->name);
        hold(c, run, line);
    } else if (run->doubt && follows(c, run->suspect.hash, line)) {
        convict(c, run);
        hold(c, run, line);
    } else {
        if (run->doubt)
            convict(c, run);
        suspect(c, run, line);
    }
}

static struct run *add_run(struct chain_check *c, const struct chain_line *line)
{
    if (c->runs == RUNS_MAX)
        return NULL;
    struct run *list = realloc(c->run, (c->runs + 1) * sizeof(*list));
    if (list == NULL)
        abort();
    c->run = list;
    c->newest = c->runs++;
    struct run *run = &list[c->newest];
    *run = (struct run){ .seq = 0 };
    memcpy(run->name, line->run.p, CHAIN_RUN);
    c->sum.runs++;
    return run;
}

/* What a run follows. */
static void check_prev(struct chain_check *c, const struct run *run, const struct chain_line *line)
{
    bool zeros = span_eq(line->prev, chain_zeros);
    if (!c->begun) {
        c->whole_from_start = zeros;
        if (!zeros)
            find(c, CHAIN_NOTE, c->at, "the log goes back before this file");
    } else if (zeros ? true : !was_seen(c, line->prev.p)) {
        find(c, CHAIN_MISSING, c->at, "records are missing before run %s: %s", run->name,
             zeros ? "it began without P.head, though the log was there" : "the record that it follows is not here");
    }
}

static void check_first(struct chain_check *c, struct run *run, const struct chain_line *line)
{
    if (line->prev.n > 0) {
        check_prev(c, run, line);
        if (!follows(c, line->prev.p, line))
            find(c, CHAIN_EDITED, c->at, "this record was edited: its hash does not fit (run %s, seq %" PRIu64 ")",
                 run->name, line->seq);
    } else if (c->in_first && !c->whole_from_start && c->unchained == 0) {
        find(c, CHAIN_NOTE, c->at,
             "run %s began before this file: its first record here, seq %" PRIu64 ", is not proven", run->name,
             line->seq);
    } else {
        find(c, CHAIN_MISSING, c->at, "the beginning of run %s is missing: its first record here is seq %" PRIu64,
             run->name, line->seq);
    }
    hold(c, run, line);
}

static bool is_torn(struct span line) { return line.n > 0 && line.p[0] == '{' && line.p[line.n - 1] != '}'; }

/* A log may be older than its chain. */
static void check_foreign(struct chain_check *c, struct span line)
{
    if (!c->begun && c->in_first) {
        if (c->unchained++ == 0)
            find(c, CHAIN_NOTE, c->at, "from here to the first record of a chain nothing is proven");
        return;
    }
    if (line.n == 0)
        find(c, CHAIN_INSERTED, c->at, "this line is empty");
    else if (is_torn(line))
        find(c, CHAIN_NOTE, c->at, "this is the beginning of a record: a crash left it");
    else
        find(c, CHAIN_INSERTED, c->at, "this line was inserted or edited: it is no record of a chain");
}

void chain_check_line(struct chain_check *c, struct span text, bool whole)
{
    struct chain_line line;
    c->at.line++;
    if (!whole) {
        find(c, CHAIN_NOTE, c->at, "this line is not complete: it is being written, or a crash left it");
        return;
    }
    if (!chain_line_read(&line, text)) {
        check_foreign(c, text);
        return;
    }
    c->sum.records++;
    struct run *run = find_run(c, line.run);
    if (run != NULL)
        check_next(c, run, &line);
    else if ((run = add_run(c, &line)) != NULL)
        check_first(c, run, &line);
    else
        find(c, CHAIN_INSERTED, c->at, "this line is of one run more than can be followed");
    c->begun = true;
}

static void check_head(struct chain_check *c, const struct chain_head *head, bool newest)
{
    const struct run *run = find_run(c, span_of(head->run, CHAIN_RUN));
    if (head->seq == 0)
        return; /* nothing was written yet */
    if (run == NULL && newest)
        find(c, CHAIN_CUT_OFF, (struct place){ c->at.file, 0 },
             "the end is cut off: run %s had written up to seq %" PRIu64 ", and nothing of it is here", head->run,
             head->seq);
    else if (run != NULL && run->seq < head->seq)
        find(c, CHAIN_CUT_OFF, run->at,
             "the end is cut off behind this record: run %s had written up to seq %" PRIu64 ", here it ends at %" PRIu64
             " (it may also be lost where the machine itself went down)",
             run->name, head->seq, run->seq);
    else if (run != NULL && run->seq == head->seq && memcmp(run->hash, head->hash, CHAIN_HEX) != 0)
        find(c, CHAIN_EDITED, run->at, "this record is another than the one that was written (run %s, seq %" PRIu64 ")",
             run->name, run->seq);
}

/* NULL: there is none. `written`: of those that have written something. */
static const struct chain_head *newest_head(const struct chain_head *head, size_t n, bool written)
{
    const struct chain_head *newest = NULL;
    for (size_t i = 0; i < n; i++) {
        if ((head[i].seq > 0 || !written) && (newest == NULL || head[i].time > newest->time))
            newest = &head[i];
    }
    return newest;
}

/* A run that has written nothing yet says what it is to follow. */
static bool waits_for(const struct chain_check *c, const struct chain_head *head)
{
    return head->seq == 0 && was_seen(c, head->hash);
}

void chain_check_newest(struct chain_check *c, const char *file, struct span head)
{
    struct chain_head slot[CHAIN_SLOTS];
    size_t n = 0;
    bool known = c->runs == 0;
    for (size_t i = 0; i < CHAIN_SLOTS; i++, head = span_skip(head, CHAIN_SLOT)) {
        if (!chain_head_read(c->hmac, span_head(head, CHAIN_SLOT), &slot[n]))
            continue;
        known = known || memcmp(slot[n].run, c->run[c->runs - 1].name, CHAIN_RUN) == 0;
        n++;
    }
    const struct chain_head *newest = newest_head(slot, n, false);
    if (!known && (newest == NULL || !waits_for(c, newest)))
        find(c, CHAIN_HEAD, (struct place){ file, 0 },
             "it knows nothing of run %s, the newest here: it was emptied, or is of another log",
             c->run[c->runs - 1].name);
}

struct chain_sum chain_check_end(struct chain_check *c)
{
    const struct chain_head *written = newest_head(c->head, c->heads, true);
    const struct chain_head *newest = newest_head(c->head, c->heads, false);
    for (size_t i = 0; i < c->runs; i++) {
        if (c->run[i].doubt)
            convict(c, &c->run[i]);
    }
    for (size_t i = 0; i < c->heads; i++)
        check_head(c, &c->head[i], &c->head[i] == written);
    if (newest != NULL && newest->seq == 0 && !waits_for(c, newest) &&
        memcmp(newest->hash, chain_zeros.p, CHAIN_HEX) != 0)
        find(c, CHAIN_CUT_OFF, (struct place){ c->at.file, 0 },
             "the end is cut off: the record that run %s was to follow is not here", newest->run);
    return c->sum;
}
