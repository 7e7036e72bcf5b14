/* The hot path: a record is formatted once for each format and copied into the queue of each output that takes its
 * level. */
#include <stdlib.h>

#include "proxy/log/log_impl.h"

enum { REDACT_BLOCK = 4096 };

static enum line_worth worth_of(const struct logger *l, enum tnx tnx)
{
    if (tnx == TNX_COMMAND || tnx == TNX_SEND || tnx == TNX_DATA)
        return LINE_DIALOGUE;
    return l->promised ? LINE_PROMISED : LINE_PLAIN;
}

bool logger_hides_addresses(const struct logger *l) { return l->redact != NULL && redact_hides_addresses(l->redact); }

bool logger_wants(const struct logger *l, enum level level) { return level <= l->log->level; }

/* The record with our component in front, where it has none. */
static const struct record *with_component(struct logger *l, const struct record *r)
{
    struct record *own = &l->record;
    if (r->count > 0 && r->field[0].key == KEY_COMPONENT)
        return r;
    record_begin(own, r->tnx, r->time);
    own->client_name = r->client_name;
    own->login_name = r->login_name;
    own->mailboxes = r->mailboxes;
    record_str(own, KEY_COMPONENT, l->log->component);
    if (r->count > RECORD_FIELDS_MAX - RECORD_FIELDS_SPARE - own->count)
        abort();
    memcpy(own->field + own->count, r->field, r->count * sizeof(r->field[0]));
    own->count += r->count;
    return own;
}

/* For all outputs of one format. */
static void logger_put(struct logger *l, const struct record *r, enum log_format format, enum level level)
{
    struct log *log = l->log;
    const struct record_format *f = log_format(format);
    f->write(&l->line, r, log->max_record, log->chained ? f->tail_max : f->tail_plain, &l->clock);
    if (UNLIKELY(l->keep != NULL)) {
        bool first = format == FORMAT_NATIVE || level >= log->level_end[FORMAT_NATIVE];
        recorder_add(l->keep, r, format, first, buf_span(&l->line));
    }
    for (size_t i = 0; l->keep == NULL && i < log->writers; i++) {
        struct log_writer *w = &log->writer[i];
        if (w->format == format && level <= w->level)
            writer_put(w, l->index, r->time, buf_span(&l->line), worth_of(l, r->tnx));
    }
    buf_rewind(&l->line);
}

static void logger_put_all(struct logger *l, const struct record *r, enum level level)
{
    for (enum log_format f = 0; f < FORMAT_COUNT; f++) {
        if (level < l->log->level_end[f])
            logger_put(l, r, f, level);
    }
}

/* Every record of the log goes through here but `dropped`, which tells of nobody. */
static __attribute__((noinline)) void logger_put_redacted(struct logger *l, const struct record *r, enum level level)
{
    _Alignas(max_align_t) char block[REDACT_BLOCK];
    struct record redacted;
    struct arena mem;
    arena_init(&mem, block, sizeof(block));
    redact_record(l->redact, &redacted, r, &mem);
    logger_put_all(l, &redacted, level);
    arena_free(&mem);
}

void logger_write(struct logger *l, const struct record *r)
{
    struct log *log = l->log;
    enum level level = tnx_level(r->tnx);
    if (level > log->level)
        return;
    r = with_component(l, r);
    if (UNLIKELY(l->redact != NULL))
        logger_put_redacted(l, r, level);
    else
        logger_put_all(l, r, level);
}

void logger_write_promised(struct logger *l, const struct record *r)
{
    l->promised = true;
    logger_write(l, r);
    l->promised = false;
}

/* Of two outputs, the one that forbids to read is stricter. */
enum log_state logger_state(struct logger *l)
{
    enum log_state worst = LOG_OPEN;
    for (size_t i = 0; i < l->log->writers; i++) {
        enum log_state state = room_state(&l->log->writer[i].room);
        if (state == LOG_BLOCKED)
            return LOG_BLOCKED;
        if (state == LOG_TEMPFAIL)
            worst = LOG_TEMPFAIL;
    }
    return worst;
}

void logger_reserve(struct logger *l, long octets)
{
    struct log *log = l->log;
    l->reserve += octets;
    if ((size_t)labs(l->reserve) < log->grain)
        return;
    atomic_fetch_add(&log->reserved, l->reserve);
    l->reserve = 0;
    for (size_t i = 0; i < log->writers; i++)
        room_reserved(&log->writer[i].room);
}
