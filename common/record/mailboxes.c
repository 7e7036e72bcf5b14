/* A hash table of names; where a word begins in a text, its hash is made octet by octet, and asked for at each place
 * where a word may end. So a text is searched for thousands of names at the cost of one. */
#include "common/record/mailboxes.h"

#include <stdlib.h>

#include "common/arena.h"

enum { BUCKETS = 256, ROOM = 8, FNV_BASIS = 0x811c9dc5, FNV_PRIME = 0x01000193 };

struct mailboxes {
    struct mailbox *list; /* owned */
    unsigned count, room;
    size_t longest;
    unsigned bucket[BUCKETS]; /* index + 1 of the newest; 0: none */
    struct arena mem;
};

struct mailboxes *mailboxes_new(void)
{
    struct mailboxes *m = calloc(1, sizeof(*m));
    if (m == NULL)
        abort();
    arena_init(&m->mem, NULL, 0);
    return m;
}

void mailboxes_free(struct mailboxes **m)
{
    if (*m == NULL)
        return;
    arena_free(&(*m)->mem);
    free((*m)->list);
    free(*m);
    *m = NULL;
}

unsigned mailboxes_count(const struct mailboxes *m) { return m->count; }

void mailboxes_clear(struct mailboxes *m)
{
    if (m->count == 0)
        return;
    memset(m->bucket, 0, sizeof(m->bucket));
    m->count = 0;
    m->longest = 0;
    arena_free(&m->mem);
}

static bool is_alnum(char c)
{
    return span_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static uint32_t hash_add(uint32_t hash, char c)
{
    unsigned char lower = c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : (unsigned char)c;
    return (hash ^ lower) * (uint32_t)FNV_PRIME;
}

static const struct mailbox *lookup(const struct mailboxes *m, struct span name, uint32_t hash)
{
    for (unsigned i = m->bucket[hash % BUCKETS]; i > 0; i = m->list[i - 1].next) {
        const struct mailbox *b = &m->list[i - 1];
        if (b->hash == hash && span_eq_nocase(b->name, name))
            return b;
    }
    return NULL;
}

static void add_name(struct mailboxes *m, struct span name, struct span address)
{
    uint32_t hash = (uint32_t)FNV_BASIS;
    for (size_t i = 0; i < name.n; i++)
        hash = hash_add(hash, name.p[i]);
    const struct mailbox *known = lookup(m, name, hash);
    if (name.n == 0 || (known != NULL && span_eq_nocase(known->address, address)))
        return;
    if (m->count == m->room) {
        m->room = m->room > 0 ? m->room * 2 : ROOM;
        m->list = realloc(m->list, m->room * sizeof(*m->list));
        if (m->list == NULL)
            abort();
    }
    m->list[m->count] = (struct mailbox){ address, name, hash, m->bucket[hash % BUCKETS] };
    m->bucket[hash % BUCKETS] = ++m->count;
    m->longest = max_size(m->longest, name.n);
}

/* Without its source route and its domain. */
static struct span local_of(struct span address)
{
    const char *colon = address.n > 0 && address.p[0] == '@' ? memchr(address.p, ':', address.n) : NULL;
    if (colon != NULL)
        address = span_skip(address, (size_t)(colon + 1 - address.p));
    const char *at = address.n > 0 ? memrchr(address.p, '@', address.n) : NULL;
    return at != NULL ? span_head(address, (size_t)(at - address.p)) : address;
}

/* "bob", "bob+list", "bob%x.example", "x.example!bob": bob; "\"bob b\"": bob b. */
void mailboxes_add(struct mailboxes *m, struct span address)
{
    struct span local = local_of(address);
    add_name(m, local, address);
    if (local.n > 2 && local.p[0] == '"' && local.p[local.n - 1] == '"')
        add_name(m, span_of(local.p + 1, local.n - 2), address);
    const char *bang = local.n > 0 ? memrchr(local.p, '!', local.n) : NULL;
    struct span name = bang != NULL ? span_skip(local, (size_t)(bang + 1 - local.p)) : local;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '+' || name.p[i] == '%')
            name.n = i;
    }
    if (name.n < local.n)
        add_name(m, name, address);
}

void mailboxes_keep(struct mailboxes *m, struct span address)
{
    unsigned before = m->count;
    mailboxes_add(m, address);
    if (m->count == before)
        return;
    struct span kept = arena_copy(&m->mem, address);
    for (unsigned i = before; i < m->count; i++) {
        struct mailbox *b = &m->list[i];
        b->name = span_of(kept.p + (b->name.p - address.p), b->name.n);
        b->address = kept;
    }
}

/* Of a number with dots, as an enhanced status code is one. */
static bool is_of_number(struct span text, size_t at, size_t end)
{
    for (size_t i = at; i < end; i++) {
        if (!span_is_digit(text.p[i]))
            return false;
    }
    return (at > 1 && text.p[at - 1] == '.' && span_is_digit(text.p[at - 2])) ||
           (end + 1 < text.n && text.p[end] == '.' && span_is_digit(text.p[end + 1]));
}

const struct mailbox *mailboxes_find(const struct mailboxes *m, struct span text, size_t at)
{
    const struct mailbox *found = NULL;
    uint32_t hash = (uint32_t)FNV_BASIS;
    if (m == NULL || m->count == 0 || (at > 0 && is_alnum(text.p[at - 1]) && is_alnum(text.p[at])))
        return NULL;
    size_t end = min_size(text.n, at + m->longest);
    for (size_t i = at; i < end; i++) {
        hash = hash_add(hash, text.p[i]);
        if (i + 1 < text.n && is_alnum(text.p[i]) && is_alnum(text.p[i + 1]))
            continue;
        const struct mailbox *b = lookup(m, span_of(text.p + at, i + 1 - at), hash);
        if (b != NULL && !is_of_number(text, at, i + 1))
            found = b;
    }
    return found;
}
