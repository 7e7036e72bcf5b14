/* Values of a document onto a struct, by its table. The table's rows are read in their order, not in that of the text,
 * so that a row may rely on the rows above it. A value with a fault changes nothing. */
#include "common/conf_private.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOME_KEYS = 120 };

static void fault(struct conf *c, struct conf_at at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void fault(struct conf *c, struct conf_at at, const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    conf_node_fault(c, at.node, c->node[at.node].line, "%s", text);
    free(text);
}

static struct span string_of(struct json_object *v)
{
    return span_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static bool is_string(struct json_object *v) { return json_object_is_type(v, json_type_string); }

static bool is_digits(struct span s)
{
    bool any = s.n > 0;
    while (s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9')
        s = span_skip(s, 1);
    return any && s.n == 0;
}

/* The value as a message shows it. */
static void show(struct buf *out, struct json_object *v)
{
    if (json_object_is_type(v, json_type_object)) {
        buf_append_span(out, SPAN_LIT("an object"));
    } else if (json_object_is_type(v, json_type_array)) {
        buf_append_span(out, SPAN_LIT("a list"));
    } else if (json_object_is_type(v, json_type_string)) {
        buf_append(out, "\"", 1);
        conf_append_safe(out, string_of(v));
        buf_append(out, "\"", 1);
    } else {
        conf_append_safe(out, span_str(v != NULL ? json_object_get_string(v) : "null"));
    }
}

/* "VALUE is WHAT": the commonest form of a fault. */
static void fault_value(struct conf *c, struct conf_at at, const char *what)
{
    struct buf text;
    buf_init(&text, NULL);
    show(&text, at.value);
    fault(c, at, "%.*s is %s", SPAN_ARG(buf_span(&text)), what);
    buf_free(&text);
}

static bool is_quoted_bool(struct json_object *v)
{
    return is_string(v) &&
           (span_eq_nocase(string_of(v), SPAN_LIT("true")) || span_eq_nocase(string_of(v), SPAN_LIT("false")));
}

static void read_bool(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    if (!json_object_is_type(at.value, json_type_boolean))
        fault_value(c, at, is_quoted_bool(at.value) ? "not true or false (without quotes)" : "not true or false");
    else
        *(bool *)conf_member(to, key) = json_object_get_boolean(at.value);
}

/* A JSON number for counts and sizes, a string with units for sizes and durations. */
static bool number_value(const struct conf_key *key, struct json_object *v, uint64_t *out)
{
    if (json_object_is_type(v, json_type_int)) {
        if (key->type == CONF_DURATION || json_object_get_int64(v) < 0)
            return false;
        *out = json_object_get_uint64(v);
        return key->zero == NULL || *out != 0;
    }
    if (!json_object_is_type(v, json_type_string))
        return false;
    struct span text = string_of(v);
    bool bare = text.n > 0 && text.p[text.n - 1] >= '0' && text.p[text.n - 1] <= '9';
    return !bare && conf_number_parse(key, text, out);
}

static void read_number(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    uint64_t v;
    bool good = number_value(key, at.value, &v);
    bool word = good && v == 0 && key->zero != NULL;
    if (good && (word || conf_number_in_range(key, v))) {
        conf_number_set(key, to, v);
        return;
    }
    struct buf what;
    buf_init(&what, NULL);
    buf_append_span(&what, SPAN_LIT("not "));
    conf_number_wanted(key, &what);
    if (key->type == CONF_UINT && is_string(at.value) && is_digits(string_of(at.value)))
        buf_append_span(&what, SPAN_LIT(" (without quotes)"));
    buf_append(&what, "", 1);
    fault_value(c, at, buf_span(&what).p);
    buf_free(&what);
}

static const struct conf_word *find_word(const struct conf_word *words, struct json_object *v)
{
    if (!json_object_is_type(v, json_type_string))
        return NULL;
    while (words->word != NULL && !span_eq(span_str(words->word), string_of(v)))
        words++;
    return words->word != NULL ? words : NULL;
}

static void fault_no_word(struct conf *c, struct conf_at at, const struct conf_word *words)
{
    struct buf what;
    buf_init(&what, NULL);
    buf_append_span(&what, SPAN_LIT("not one of "));
    for (const struct conf_word *w = words; w->word != NULL; w++)
        buf_printf(&what, "%s%s", w == words ? "" : ", ", w->word);
    if (is_string(at.value))
        conf_hint_word(words, string_of(at.value), &what);
    else
        buf_append_span(&what, SPAN_LIT(" (a word in double quotes)"));
    buf_append(&what, "", 1);
    fault_value(c, at, buf_span(&what).p);
    buf_free(&what);
}

static void read_word(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    const struct conf_word *word = find_word(key->words, at.value);
    if (word == NULL)
        fault_no_word(c, at, key->words);
    else if (word->unbuilt)
        fault_value(c, at, "not built into this version");
    else
        conf_number_set(key, to, word->value);
}

static bool is_printable(struct span s)
{
    while (s.n > 0 && s.p[0] >= ' ' && s.p[0] < 0x7f)
        s = span_skip(s, 1);
    return s.n == 0;
}

static void read_string(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    if (!json_object_is_type(at.value, json_type_string)) {
        fault_value(c, at, "not a string in double quotes");
        return;
    }
    struct span text = string_of(at.value);
    if (text.n == 0 && key->min > 0) {
        fault(c, at, "must not be empty");
    } else if (text.n < key->min || text.n > key->max) {
        fault(c, at, "has %zu bytes, not %" PRIu64 " to %" PRIu64, text.n, key->min, key->max);
    } else if (key->printable && !is_printable(text)) {
        fault_value(c, at, "not printable ASCII");
    } else {
        char **member = conf_member(to, key);
        free(*member);
        *member = conf_dup(text);
    }
}

static bool add_text(struct conf *c, struct conf_at at, const struct conf_text *text, void *member)
{
    char what[512];
    const char *why = NULL;
    if (!json_object_is_type(at.value, json_type_string)) {
        snprintf(what, sizeof what, "not %s (a string in double quotes)", text->what);
        fault_value(c, at, what);
        return false;
    }
    if (text->add(member, string_of(at.value), &why))
        return true;
    snprintf(what, sizeof what, "not %s%s%s", text->what, why != NULL ? ": " : "", why != NULL ? why : "");
    fault_value(c, at, what);
    return false;
}

static void read_text(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    add_text(c, at, key->text, conf_member(to, key));
}

static void fault_no_list(struct conf *c, struct conf_at at, const struct conf_key *key)
{
    struct buf what;
    if (key->type == CONF_OBJECTS || !is_string(at.value)) {
        bool one = json_object_is_type(at.value, json_type_object);
        fault_value(c, at,
                    key->type != CONF_OBJECTS ? "not a list of strings: [\"...\"]"
                    : one                     ? "not a list: put it in brackets, [{...}]"
                                              : "not a list of objects: [{...}]");
        return;
    }
    buf_init(&what, NULL);
    buf_append_span(&what, SPAN_LIT("not a list: put it in brackets, ["));
    show(&what, at.value);
    buf_append(&what, "]", 2);
    fault_value(c, at, buf_span(&what).p);
    buf_free(&what);
}

/* A list of the right length; false after a fault. */
static bool check_list(struct conf *c, struct conf_at at, const struct conf_key *key)
{
    if (!json_object_is_type(at.value, json_type_array)) {
        fault_no_list(c, at, key);
        return false;
    }
    size_t n = json_object_array_length(at.value);
    if (n == 0 && key->min > 0) {
        fault(c, at, "must not be empty");
        return false;
    }
    if (n > key->max) {
        fault(c, at, "has %zu entries, at most %" PRIu64 " are possible", n, key->max);
        return false;
    }
    return true;
}

static void read_list(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    if (!check_list(c, at, key))
        return;
    void *member = conf_member(to, key);
    key->text->clear(member);
    uint32_t node = c->node[at.node].first;
    for (size_t i = 0; node != 0; i++, node = c->node[node].next)
        add_text(c, (struct conf_at){ node, json_object_array_get_idx(at.value, i) }, key->text, member);
}

/* Each member as a text "name=value". */
static void read_map(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    const char *why;
    void *member = conf_member(to, key);
    if (!json_object_is_type(at.value, json_type_object)) {
        fault_value(c, at, "not an object");
        return;
    }
    key->text->clear(member);
    for (uint32_t node = c->node[at.node].first; node != 0; node = c->node[node].next) {
        struct conf_at one = { node, json_object_object_get(at.value, c->node[node].key) };
        enum json_type type = json_object_get_type(one.value);
        struct buf text;
        if (strchr(c->node[node].key, '=') != NULL) {
            fault(c, one, "the name must have no '='");
            continue;
        }
        if (type != json_type_string && type != json_type_int && type != json_type_boolean) {
            fault_value(c, one, "not a string, a whole number, true or false");
            continue;
        }
        buf_init(&text, NULL);
        buf_printf(&text, "%s=%s", c->node[node].key, json_object_get_string(one.value));
        why = NULL;
        if (!key->text->add(member, buf_span(&text), &why))
            fault(c, one, "is not %s%s%s", key->text->what, why != NULL ? ": " : "", why != NULL ? why : "");
        buf_free(&text);
    }
}

static void read_table(struct conf *c, struct conf_at at, const struct conf_table *t, void *to);
static void read_object(struct conf *c, struct conf_at at, const struct conf_table *t, void *to);

static void read_objects(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    if (!check_list(c, at, key))
        return;
    conf_objects_clear(key, to);
    uint32_t node = c->node[at.node].first;
    for (size_t i = 0; node != 0; i++, node = c->node[node].next) {
        struct conf_at element = { node, json_object_array_get_idx(at.value, i) };
        read_object(c, element, key->table, conf_objects_add(key, to));
    }
}

static void read_unbuilt(struct conf *c, struct conf_at at, const struct conf_key *key)
{
    struct json_object *def = key->def != NULL ? json_tokener_parse(key->def) : NULL;
    bool same = def != NULL && json_object_equal(def, at.value);
    json_object_put(def);
    if (same)
        return;
    if (key->words != NULL && find_word(key->words, at.value) == NULL)
        fault_no_word(c, at, key->words);
    else if (key->def == NULL || json_object_is_type(at.value, json_type_object) ||
             json_object_is_type(at.value, json_type_array))
        fault(c, at, "this key is not built into this version");
    else
        fault_value(c, at, "not built into this version");
}

static void read_key(struct conf *c, struct conf_at at, const struct conf_key *key, void *to)
{
    switch (key->type) {
    case CONF_BOOL:
        read_bool(c, at, key, to);
        break;
    case CONF_UINT:
    case CONF_SIZE:
    case CONF_DURATION:
        read_number(c, at, key, to);
        break;
    case CONF_WORD:
        read_word(c, at, key, to);
        break;
    case CONF_STRING:
        read_string(c, at, key, to);
        break;
    case CONF_TEXT:
        read_text(c, at, key, to);
        break;
    case CONF_LIST:
        read_list(c, at, key, to);
        break;
    case CONF_MAP:
        read_map(c, at, key, to);
        break;
    case CONF_OBJECT:
        read_object(c, at, key->table, conf_member(to, key));
        break;
    case CONF_INLINE: /* not a key by itself: read_table() opens it */
        break;
    case CONF_OBJECTS:
        read_objects(c, at, key, to);
        break;
    case CONF_UNBUILT:
        read_unbuilt(c, at, key);
        break;
    }
}

static void read_table(struct conf *c, struct conf_at at, const struct conf_table *t, void *to)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *key = &t->key[i];
        if (key->type == CONF_INLINE) {
            read_table(c, at, key->table, conf_member(to, key));
            continue;
        }
        uint32_t node = key->later ? 0 : conf_node_find(c, at.node, key->name);
        if (node != 0)
            read_key(c, (struct conf_at){ node, json_object_object_get(at.value, key->name) }, key, to);
        else if (key->required)
            fault(c, at, "\"%s\" is missing", key->name);
    }
}

static const struct conf_key *find_key(const struct conf_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *key = &t->key[i];
        if (key->type == CONF_INLINE)
            key = find_key(key->table, name);
        else if (strcmp(key->name, name) != 0)
            key = NULL;
        if (key != NULL)
            return key;
    }
    return NULL;
}

static bool is_scalar(enum conf_type type)
{
    return type == CONF_BOOL || type == CONF_WORD || type == CONF_STRING || type == CONF_TEXT;
}

/* In an object that should not stand here, or not as an object: where its keys belong. */
static void fault_inner(struct conf *c, uint32_t object, const struct conf_table *t)
{
    struct buf text;
    buf_init(&text, NULL);
    for (uint32_t i = c->node[object].first; i != 0; i = c->node[i].next) {
        if (c->node[i].key != NULL && conf_hint_inner(c, i, t, &text))
            conf_node_fault(c, i, c->node[i].key_line, "unknown key%.*s", SPAN_ARG(buf_span(&text)));
        buf_free(&text);
    }
}

/* Which keys there are is told once an object. */
static void fault_unknown(struct conf *c, uint32_t node, const struct conf_table *t)
{
    struct buf text;
    struct conf_node *object = &c->node[c->node[node].parent];
    if (c->faults >= CONF_FAULTS_MAX) {
        conf_node_fault(c, node, c->node[node].key_line, "unknown key");
        return;
    }
    buf_init(&text, NULL);
    if (!conf_hint_key(c, node, t, &text) && !object->listed) {
        buf_append_span(&text, SPAN_LIT("; known here: "));
        conf_hint_keys(t, SIZE_MAX, &text);
        object->listed = true;
    }
    conf_node_fault(c, node, c->node[node].key_line, "unknown key%.*s", SPAN_ARG(buf_span(&text)));
    buf_free(&text);
    fault_inner(c, node, t);
}

static void fault_no_object(struct conf *c, struct conf_at at, const struct conf_table *t)
{
    struct buf what;
    buf_init(&what, NULL);
    buf_append_span(&what, SPAN_LIT("not an object: {...} with keys of "));
    conf_hint_keys(t, SOME_KEYS, &what);
    buf_append(&what, "", 1);
    fault_value(c, at, buf_span(&what).p);
    buf_free(&what);
}

static void read_object(struct conf *c, struct conf_at at, const struct conf_table *t, void *to)
{
    if (!json_object_is_type(at.value, json_type_object)) {
        fault_no_object(c, at, t);
        return;
    }
    read_table(c, at, t, to);
    for (uint32_t i = c->node[at.node].first; i != 0; i = c->node[i].next) {
        const struct conf_key *key = find_key(t, c->node[i].key);
        if (key == NULL)
            fault_unknown(c, i, t);
        else if (is_scalar(key->type))
            fault_inner(c, i, t);
    }
}

void conf_read(struct conf *c, const struct conf_table *t, void *to)
{
    c->top = t;
    if (c->root != NULL)
        read_object(c, (struct conf_at){ 0, c->root }, t, to);
}

void conf_read_key(struct conf *c, const struct conf_table *t, const char *name, void *to)
{
    const struct conf_key *key = find_key(t, name);
    uint32_t node = c->root != NULL ? conf_node_find(c, 0, name) : 0;
    if (node != 0)
        read_key(c, (struct conf_at){ node, json_object_object_get(c->root, name) }, key, to);
}
