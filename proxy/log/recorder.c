/* See recorder.h. Memory grows with what is kept, for most sessions are short; bytes are moved to the front when the
 * end is reached, so lines lie in one piece. */
#include "proxy/log/recorder.h"

#include <stdlib.h>

#include "proxy/log/log_impl.h"

enum { CAP_MIN = 1024 };

struct kept {
    usec_t time;
    uint32_t len;
    enum tnx tnx;
    enum log_format format;
    bool first; /* line of its record */
};

static void count_memory(struct recorder *k, size_t more, size_t less)
{
    if (k->pool != NULL)
        atomic_store_explicit(&k->pool->lent, atomic_load_explicit(&k->pool->lent, memory_order_relaxed) + more - less,
                              memory_order_relaxed);
}

static struct kept oldest(const struct recorder *k)
{
    struct kept e;
    memcpy(&e, k->data + k->head, sizeof(e));
    return e;
}

static void drop_oldest(struct recorder *k)
{
    struct kept e = oldest(k);
    k->lost += e.first;
    k->head += sizeof(e) + e.len;
    k->len -= sizeof(e) + e.len;
}

static void grow(struct recorder *k, size_t cap)
{
    char *data = malloc(cap);
    if (data == NULL)
        abort();
    if (k->len > 0)
        memcpy(data, k->data + k->head, k->len);
    free(k->data);
    count_memory(k, cap, k->cap);
    k->data = data;
    k->cap = cap;
    k->head = 0;
}

/* Half as much again, so that a full one is not moved for each line. */
static void make_room(struct recorder *k, size_t need)
{
    size_t want = max_size((k->len + need) / 2 * 3, CAP_MIN);
    if (want > k->cap) {
        grow(k, want);
    } else {
        memmove(k->data, k->data + k->head, k->len);
        k->head = 0;
    }
}

void recorder_add(struct recorder *k, const struct record *r, enum log_format format, bool first, struct span line)
{
    struct kept e = { .time = r->time, .len = (uint32_t)line.n, .tnx = r->tnx, .format = format, .first = first };
    size_t need = sizeof(e) + line.n;
    if (need > RECORDER_MAX) {
        k->lost += first;
        return;
    }
    while (k->len + need > RECORDER_MAX)
        drop_oldest(k);
    if (k->head + k->len + need > k->cap)
        make_room(k, need);
    char *to = k->data + k->head + k->len;
    memcpy(to, &e, sizeof(e));
    memcpy(to + sizeof(e), line.p, line.n);
    k->len += need;
}

void logger_keep(struct logger *l, struct recorder *k, const struct record *r)
{
    size_t before = k->len;
    l->keep = k;
    logger_write(l, r);
    l->keep = NULL;
    logger_reserve(l, (long)k->len - (long)before);
}

static void write_kept(struct logger *l, const struct kept *e, struct span line)
{
    for (size_t i = 0; i < l->log->writers; i++) {
        struct log_writer *w = &l->log->writer[i];
        if (w->format == e->format && tnx_level(e->tnx) <= w->level)
            writer_put(w, l->index, e->time, line, LINE_DIALOGUE);
    }
}

static void free_memory(struct logger *l, struct recorder *k)
{
    logger_reserve(l, -(long)k->len);
    count_memory(k, 0, k->cap);
    free(k->data);
    k->data = NULL;
    k->head = k->len = k->cap = 0;
}

void logger_release(struct logger *l, struct recorder *k)
{
    size_t at = k->head, end = k->head + k->len;
    if (k->open)
        return;
    k->open = true;
    while (at < end) {
        struct kept e;
        memcpy(&e, k->data + at, sizeof(e));
        write_kept(l, &e, span_of(k->data + at + sizeof(e), e.len));
        at += sizeof(e) + e.len;
    }
    free_memory(l, k);
}

void logger_forget(struct logger *l, struct recorder *k) { free_memory(l, k); }
