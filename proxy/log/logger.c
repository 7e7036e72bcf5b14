/* The hot path: a record is formatted once and copied into the queue of each output that takes its level. */
#include <stdlib.h>

#include "proxy/log/log_impl.h"

static bool is_dialogue(enum tnx tnx) { return tnx == TNX_COMMAND || tnx == TNX_SEND || tnx == TNX_DATA; }

bool logger_wants(const struct logger *l, enum level level) { return level <= l->log->level; }

/* The record with our component in front, where it has none. */
static const struct record *with_component(struct logger *l, const struct record *r)
{
    struct record *own = &l->record;
    if (r->count > 0 && r->field[0].key == KEY_COMPONENT)
        return r;
    record_begin(own, r->tnx, r->time);
    record_str(own, KEY_COMPONENT, l->log->component);
    if (r->count > RECORD_FIELDS_MAX - RECORD_FIELDS_SPARE - own->count)
        abort();
    memcpy(own->field + own->count, r->field, r->count * sizeof(r->field[0]));
    own->count += r->count;
    return own;
}

void logger_write(struct logger *l, const struct record *r)
{
    struct log *log = l->log;
    enum level level = tnx_level(r->tnx);
    if (level > log->level)
        return;
    record_write_native(&l->line, with_component(l, r), log->max_record, RECORD_TAIL_PLAIN, &l->clock);
    for (size_t i = 0; i < log->writers; i++) {
        if (level <= log->writer[i].level)
            writer_put(&log->writer[i], l->index, r->time, buf_span(&l->line), is_dialogue(r->tnx));
    }
    buf_consume(&l->line, buf_len(&l->line));
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
