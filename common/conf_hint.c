/* What a person may have meant: the key of an unknown one, the word of a wrong one. A key is first looked for where it
 * stands, then in what lies below, then in the whole configuration, for it is often right and in the wrong section. */
#include "common/conf_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 3, PLACE_MAX = 128, NAME_MAX_SHOWN = 48, PREFIX_MIN = 4, PREFIX_ELSEWHERE_MIN = 6 };

enum closeness { SAME, CLOSE };

struct search {
    struct span name; /* in small letters */
    enum closeness want;
    unsigned count;
    char place[PLACES][PLACE_MAX];
};

static struct span small_letters(struct span s, char to[NAME_MAX_SHOWN])
{
    s = span_head(s, NAME_MAX_SHOWN);
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i];
    return span_of(to, s.n);
}

/* One slip in a short word, one in three letters of a longer one. */
static unsigned slips(struct span name) { return name.n < 6 ? 1 : (unsigned)(min_size(name.n, 30) / 3); }

static bool begins(struct span name, struct span known, size_t least)
{
    size_t n = min_size(name.n, known.n);
    return name.p != NULL && n >= least && memcmp(name.p, known.p, n) == 0;
}

/* The nearest key of this table itself, with what stands in it directly. */
static const char *nearest(const struct conf_table *t, struct span name, unsigned *distance)
{
    const char *best = NULL;
    for (size_t i = 0; i < t->count; i++) {
        const char *here = t->key[i].name;
        unsigned d;
        if (t->key[i].type == CONF_INLINE) {
            d = *distance;
            here = nearest(t->key[i].table, name, &d);
        } else {
            d = conf_distance(name, span_str(here));
        }
        if (here != NULL && d < *distance) {
            *distance = d;
            best = here;
        }
    }
    return best;
}

static const char *beginning(const struct conf_table *t, struct span name)
{
    const char *found = NULL;
    for (size_t i = 0; i < t->count && found == NULL; i++) {
        if (t->key[i].type == CONF_INLINE)
            found = beginning(t->key[i].table, name);
        else if (begins(name, span_str(t->key[i].name), PREFIX_MIN))
            found = t->key[i].name;
    }
    return found;
}

static void add_place(struct search *s, const char *place)
{
    for (unsigned i = 0; i < min_size(s->count, PLACES); i++) {
        if (strcmp(s->place[i], place) == 0)
            return;
    }
    if (s->count < PLACES)
        snprintf(s->place[s->count], PLACE_MAX, "%s", place);
    s->count++;
}

static bool is_wanted(const struct search *s, const char *known)
{
    if (s->want == SAME)
        return span_eq(s->name, span_str(known));
    return (s->name.n >= 5 && conf_distance(s->name, span_str(known)) <= 1) ||
           begins(s->name, span_str(known), PREFIX_ELSEWHERE_MIN);
}

/* An object of which no key is built is no help to anybody. */
static bool is_built(const struct conf_key *key)
{
    if (key->type != CONF_OBJECT)
        return key->type != CONF_UNBUILT;
    for (size_t i = 0; i < key->table->count; i++) {
        if (is_built(&key->table->key[i]))
            return true;
    }
    return false;
}

/* All keys at and below `at`. The lists that inherit from the sections above them come only where nothing else is
 * found: `later`. */
static void search_table(struct search *s, const struct conf_table *t, const char *at, bool later)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *key = &t->key[i];
        char place[PLACE_MAX];
        if (key->type == CONF_INLINE) {
            search_table(s, key->table, at, later);
            continue;
        }
        bool list = key->type == CONF_OBJECTS;
        int n = snprintf(place, sizeof place, "%s%s%s", at, at[0] != '\0' ? "." : "", key->name);
        if (n < 0 || (size_t)n + 3 > sizeof place || (key->later && !later))
            continue;
        if (is_built(key) && is_wanted(s, key->name))
            add_place(s, place);
        if (list)
            strcat(place, "[]");
        if (list || key->type == CONF_OBJECT)
            search_table(s, key->table, place, later);
    }
}

static void search(struct search *s, const struct conf *c, const struct conf_table *t, const char *at)
{
    search_table(s, t, at, false);
    if (s->count == 0 && c->top != NULL)
        search_table(s, c->top, "", false);
    if (s->count == 0 && c->top != NULL)
        search_table(s, c->top, "", true);
}

static bool append_places(const struct search *s, struct buf *out)
{
    if (s->count == 0 || s->count > PLACES)
        return false;
    for (unsigned i = 0; i < s->count; i++)
        buf_printf(out, "%s\"%s\"", i == 0 ? "; did you mean " : i + 1 < s->count ? ", " : " or ", s->place[i]);
    buf_append(out, "?", 1);
    return true;
}

static bool append_one(const char *key, struct buf *out)
{
    if (key != NULL)
        buf_printf(out, "; did you mean \"%s\"?", key);
    return key != NULL;
}

/* False: there was no room for the next. */
static bool append_keys(const struct conf_table *t, size_t most, struct buf *out)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *key = &t->key[i];
        if (key->type == CONF_INLINE && !append_keys(key->table, most, out))
            return false;
        if (key->type == CONF_INLINE || !is_built(key))
            continue;
        if (buf_len(out) + strlen(key->name) > most)
            return false;
        buf_printf(out, "%s%s", buf_len(out) > 0 ? ", " : "", key->name);
    }
    return true;
}

void conf_hint_keys(const struct conf_table *t, size_t most, struct buf *out)
{
    struct buf keys;
    buf_init(&keys, NULL);
    if (!append_keys(t, most, &keys))
        buf_append_span(&keys, SPAN_LIT(", ..."));
    buf_append_span(out, buf_span(&keys));
    buf_free(&keys);
}

static char *path_of(const struct conf *c, uint32_t node)
{
    struct buf path;
    buf_init(&path, NULL);
    conf_append_path(c, node, &path);
    char *copy = conf_dup(buf_span(&path));
    buf_free(&path);
    return copy;
}

/* `t` is the table of the object at `at`. */
static bool hint(const struct conf *c, struct span raw, const struct conf_table *t, const char *at, struct buf *out)
{
    char small[NAME_MAX_SHOWN];
    struct span name = small_letters(raw, small);
    struct search same = { .name = name, .want = SAME }, close = { .name = name, .want = CLOSE };
    unsigned distance = slips(name) + 1;
    const char *own = nearest(t, name, &distance);
    if (own != NULL && distance <= 1)
        return append_one(own, out);
    search(&same, c, t, at);
    if (append_places(&same, out) || append_one(own, out) || append_one(beginning(t, name), out))
        return true;
    search(&close, c, t, at);
    return append_places(&close, out);
}

bool conf_hint_key(const struct conf *c, uint32_t node, const struct conf_table *t, struct buf *out)
{
    char *at = path_of(c, c->node[node].parent);
    bool found = hint(c, span_str(c->node[node].key), t, at, out);
    free(at);
    return found;
}

bool conf_hint_inner(const struct conf *c, uint32_t node, const struct conf_table *t, struct buf *out)
{
    uint32_t odd = c->node[node].parent;
    char *at = path_of(c, c->node[odd].parent), place[PLACE_MAX];
    struct span name = span_str(c->node[node].key);
    unsigned distance = 2;
    const char *own = name.n >= PREFIX_MIN ? nearest(t, name, &distance) : NULL;
    if (own == NULL)
        own = beginning(t, name);
    if (own != NULL) {
        snprintf(place, sizeof place, "%s%s%s", at, at[0] != '\0' ? "." : "", own);
        append_one(place, out);
    }
    free(at);
    return own != NULL;
}

void conf_hint_word(const struct conf_word *words, struct span text, struct buf *out)
{
    char small[NAME_MAX_SHOWN];
    struct span name = small_letters(text, small);
    unsigned distance = name.n < PREFIX_MIN ? 1 : slips(name) + 1;
    const char *best = NULL;
    for (; words->word != NULL; words++) {
        unsigned d = conf_distance(name, span_str(words->word));
        if (d < distance) {
            distance = d;
            best = words->word;
        }
    }
    append_one(best, out);
}
