/* What a table does without a document: defaults, copies, printing, freeing. Members that are texts and lists are
 * copied through their printed form, so a type has three operations and not five. */
#include "common/conf_private.h"

#include <json-c/json.h>
#include <stdlib.h>

static void clear_key(const struct conf_key *key, void *of);

void conf_objects_clear(const struct conf_key *key, void *of)
{
    void **list = conf_member(of, key);
    size_t *count = (size_t *)(void *)((char *)of + key->count_offset);
    for (size_t i = 0; i < *count; i++)
        conf_clear(key->table, (char *)*list + i * key->table->size);
    free(*list);
    *list = NULL;
    *count = 0;
}

static void clear_key(const struct conf_key *key, void *of)
{
    char **string;
    switch (key->type) {
    case CONF_STRING:
        string = conf_member(of, key);
        free(*string);
        *string = NULL;
        break;
    case CONF_TEXT:
    case CONF_LIST:
    case CONF_MAP:
        key->text->clear(conf_member(of, key));
        break;
    case CONF_OBJECT:
    case CONF_INLINE:
        conf_clear(key->table, conf_member(of, key));
        break;
    case CONF_OBJECTS:
        conf_objects_clear(key, of);
        break;
    case CONF_BOOL:
    case CONF_UINT:
    case CONF_SIZE:
    case CONF_DURATION:
    case CONF_WORD:
    case CONF_UNBUILT:
        break;
    }
}

void conf_clear(const struct conf_table *t, void *of)
{
    for (size_t i = 0; i < t->count; i++)
        clear_key(&t->key[i], of);
}

/* A default that its own row refuses is a fault of the program. */
static void must(bool good)
{
    if (!good)
        abort();
}

static void default_list(const struct conf_key *key, void *to)
{
    const char *why;
    struct span rest = span_str(key->def);
    void *member = conf_member(to, key);
    key->text->clear(member);
    while (rest.n > 0) {
        const char *blank = memchr(rest.p, ' ', rest.n);
        size_t n = blank != NULL ? (size_t)(blank - rest.p) : rest.n;
        must(key->text->add(member, span_head(rest, n), &why));
        rest = span_skip(rest, n + 1);
    }
}

static void default_number(const struct conf_key *key, void *to)
{
    uint64_t v = 0;
    must(key->def != NULL && conf_number_parse(key, span_str(key->def), &v));
    conf_number_set(key, to, v);
}

static void default_word(const struct conf_key *key, void *to)
{
    const struct conf_word *w = key->words;
    while (w->word != NULL && strcmp(w->word, key->def) != 0)
        w++;
    must(w->word != NULL);
    conf_number_set(key, to, w->value);
}

static void default_key(const struct conf_key *key, void *to)
{
    const char *why;
    char **string;
    switch (key->type) {
    case CONF_BOOL:
        *(bool *)conf_member(to, key) = strcmp(key->def, "true") == 0;
        break;
    case CONF_UINT:
    case CONF_SIZE:
    case CONF_DURATION:
        default_number(key, to);
        break;
    case CONF_WORD:
        default_word(key, to);
        break;
    case CONF_STRING:
        string = conf_member(to, key);
        free(*string);
        *string = key->def != NULL ? conf_dup(span_str(key->def)) : NULL;
        break;
    case CONF_TEXT:
        if (key->def != NULL)
            must(key->text->add(conf_member(to, key), span_str(key->def), &why));
        break;
    case CONF_LIST:
        default_list(key, to);
        break;
    case CONF_OBJECT:
    case CONF_INLINE:
        conf_defaults(key->table, conf_member(to, key));
        break;
    case CONF_MAP:
        key->text->clear(conf_member(to, key));
        break;
    case CONF_OBJECTS:
    case CONF_UNBUILT:
        break;
    }
}

void conf_defaults(const struct conf_table *t, void *to)
{
    for (size_t i = 0; i < t->count; i++)
        default_key(&t->key[i], to);
}

void *conf_objects_add(const struct conf_key *key, void *parent)
{
    void **list = conf_member(parent, key);
    size_t *count = (size_t *)(void *)((char *)parent + key->count_offset);
    *list = conf_grow(*list, *count + 1, key->table->size);
    void *element = (char *)*list + *count * key->table->size;
    ++*count;
    memset(element, 0, key->table->size);
    if (key->prepare != NULL)
        key->prepare(element, parent);
    else
        conf_defaults(key->table, element);
    return element;
}

static void copy_text(const struct conf_text *text, void *to, const void *from)
{
    struct buf one;
    const char *why;
    buf_init(&one, NULL);
    text->clear(to);
    for (size_t i = 0; text->print(from, i, &one); i++) {
        must(text->add(to, buf_span(&one), &why));
        buf_free(&one);
    }
    buf_free(&one);
}

static void copy_elements(const struct conf_key *key, void *to, const void *from)
{
    const char *elements;
    size_t count, size = key->table->size;
    memcpy(&elements, conf_member_const(from, key), sizeof elements);
    memcpy(&count, (const char *)from + key->count_offset, sizeof count);
    conf_objects_clear(key, to);
    for (size_t i = 0; i < count; i++)
        conf_copy(key->table, conf_objects_add(key, to), elements + i * size);
}

static void copy_key(const struct conf_key *key, void *to, const void *from)
{
    char **string;
    const char *source;
    switch (key->type) {
    case CONF_BOOL:
    case CONF_UINT:
    case CONF_SIZE:
    case CONF_DURATION:
    case CONF_WORD:
        memcpy(conf_member(to, key), conf_member_const(from, key), key->width);
        break;
    case CONF_STRING:
        string = conf_member(to, key);
        memcpy(&source, conf_member_const(from, key), sizeof source);
        free(*string);
        *string = source != NULL ? conf_dup(span_str(source)) : NULL;
        break;
    case CONF_TEXT:
    case CONF_LIST:
    case CONF_MAP:
        copy_text(key->text, conf_member(to, key), conf_member_const(from, key));
        break;
    case CONF_OBJECT:
    case CONF_INLINE:
        conf_copy(key->table, conf_member(to, key), conf_member_const(from, key));
        break;
    case CONF_OBJECTS:
        copy_elements(key, to, from);
        break;
    case CONF_UNBUILT:
        break;
    }
}

void conf_copy(const struct conf_table *t, void *to, const void *from)
{
    for (size_t i = 0; i < t->count; i++)
        copy_key(&t->key[i], to, from);
}

static struct json_object *print_table(const struct conf_table *t, const void *from, struct json_object *into);

static struct json_object *print_string(struct span s)
{
    return json_object_new_string_len(s.n > 0 ? s.p : "", (int)s.n);
}

static struct json_object *print_number(const struct conf_key *key, const void *from)
{
    char text[32];
    uint64_t v = conf_number_get(key, from);
    bool quoted = conf_number_print(key, v, text) || (key->zero != NULL && v == 0);
    return quoted ? json_object_new_string(text) : json_object_new_uint64(v);
}

static struct json_object *print_word(const struct conf_key *key, const void *from)
{
    const struct conf_word *w = key->words;
    while (w->word != NULL && w->value != conf_number_get(key, from))
        w++;
    must(w->word != NULL);
    return json_object_new_string(w->word);
}

/* A text is a string or nothing, a list always a list. */
static struct json_object *print_texts(const struct conf_key *key, const void *from)
{
    struct json_object *list = key->type == CONF_LIST ? json_object_new_array() : NULL, *last = NULL;
    struct buf one;
    buf_init(&one, NULL);
    for (size_t i = 0; key->text->print(conf_member_const(from, key), i, &one); i++) {
        last = print_string(buf_span(&one));
        buf_free(&one);
        if (list == NULL)
            break;
        json_object_array_add(list, last);
    }
    buf_free(&one);
    return list != NULL ? list : last;
}

/* A name has no '='. */
static struct json_object *print_map(const struct conf_key *key, const void *from)
{
    struct json_object *map = json_object_new_object();
    struct buf one;
    buf_init(&one, NULL);
    for (size_t i = 0; key->text->print(conf_member_const(from, key), i, &one); i++) {
        char *name = conf_dup(buf_span(&one)), *value = strchr(name, '=');
        must(value != NULL);
        *value++ = '\0';
        json_object_object_add(map, name, print_string(span_str(value)));
        free(name);
        buf_free(&one);
    }
    buf_free(&one);
    return map;
}

static struct json_object *print_elements(const struct conf_key *key, const void *from)
{
    struct json_object *list = json_object_new_array();
    const char *elements;
    size_t count;
    memcpy(&elements, conf_member_const(from, key), sizeof elements);
    memcpy(&count, (const char *)from + key->count_offset, sizeof count);
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, print_table(key->table, elements + i * key->table->size, json_object_new_object()));
    return list;
}

/* An object without a key that says anything is left out. */
static struct json_object *print_object(const struct conf_key *key, const void *from)
{
    struct json_object *o = print_table(key->table, conf_member_const(from, key), json_object_new_object());
    if (json_object_object_length(o) > 0)
        return o;
    json_object_put(o);
    return NULL;
}

static struct json_object *print_key(const struct conf_key *key, const void *from)
{
    const char *string;
    switch (key->type) {
    case CONF_BOOL:
        return json_object_new_boolean(*(const bool *)conf_member_const(from, key));
    case CONF_UINT:
    case CONF_SIZE:
    case CONF_DURATION:
        return print_number(key, from);
    case CONF_WORD:
        return print_word(key, from);
    case CONF_STRING:
        memcpy(&string, conf_member_const(from, key), sizeof string);
        return string != NULL ? print_string(span_str(string)) : NULL;
    case CONF_TEXT:
    case CONF_LIST:
        return print_texts(key, from);
    case CONF_MAP:
        return print_map(key, from);
    case CONF_OBJECT:
        return print_object(key, from);
    case CONF_OBJECTS:
        return print_elements(key, from);
    case CONF_INLINE:
    case CONF_UNBUILT:
        break;
    }
    return NULL;
}

static struct json_object *print_table(const struct conf_table *t, const void *from, struct json_object *into)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *key = &t->key[i];
        if (key->type == CONF_INLINE) {
            print_table(key->table, conf_member_const(from, key), into);
            continue;
        }
        bool applies = key->applies == NULL || key->applies(from, key);
        struct json_object *v = applies ? print_key(key, from) : NULL;
        if (v != NULL)
            json_object_object_add(into, key->name, v);
    }
    return into;
}

char *conf_print(const struct conf_table *t, const void *from)
{
    struct json_object *o = print_table(t, from, json_object_new_object());
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE);
    char *copy = conf_dup(span_str(text));
    json_object_put(o);
    return copy;
}
