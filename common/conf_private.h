/* What the files of common/conf share: the document and the tree of positions beside json-c's tree of values. */
#ifndef COMMON_CONF_PRIVATE_H
#define COMMON_CONF_PRIVATE_H

#include "common/conf.h"

struct json_object;

/* A value of the text: nodes stand in the order of the text, node 0 is the root; 0 as a link is none. */
struct conf_node {
    uint32_t parent, first, last, next;
    uint32_t line, key_line;
    uint32_t index; /* in the parent's list */
    bool faulty;    /* a fault was told of this value itself */
    bool listed;    /* the keys that may stand in it were told */
    char *key;      /* owned; NULL: the root, or in a list */
};

struct conf_message {
    uint32_t line, node;
    bool warning;
    char *text; /* whole, as it will be told */
};

struct conf {
    char *name;
    char *text; /* owned copy, NUL at the end; the scanner blanks the comments in it */
    size_t text_len;
    size_t root_at, root_end;
    struct conf_node *node;
    uint32_t nodes, node_cap;
    struct json_object *root;     /* NULL: the text is faulty */
    const struct conf_table *top; /* of the whole document */
    struct conf_message *message;
    size_t messages, faults, warnings;
};

/* A value and where it stands. */
struct conf_at {
    uint32_t node;
    struct json_object *value;
};

/* Fills c->node from c->text; false with a fault where the text is not JSON with comments. Doubled keys are faults, but
 * no reason to stop. */
bool conf_scan(struct conf *c) MUST_CHECK;
/* The last member with this key, as json-c takes it; 0: none. */
uint32_t conf_node_find(const struct conf *c, uint32_t object, const char *key);
void conf_node_fault(struct conf *c, uint32_t node, uint32_t line, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* "listeners[1].address" */
void conf_append_path(const struct conf *c, uint32_t node, struct buf *out);

/* Appends "; did you mean ..." for an unknown key of an object with this table; false: nothing is near. */
bool conf_hint_key(const struct conf *c, uint32_t node, const struct conf_table *t, struct buf *out);
/* The same for a key in an object that should not be there: `t` is the table of the object around it. */
bool conf_hint_inner(const struct conf *c, uint32_t node, const struct conf_table *t, struct buf *out);
/* The same for a word; nothing where none is near. */
void conf_hint_word(const struct conf_word *words, struct span text, struct buf *out);
/* Appends the names of a table's keys, cut after `most` bytes. */
void conf_hint_keys(const struct conf_table *t, size_t most, struct buf *out);

/* Appends text made safe for a terminal: control characters and what is no UTF-8 become '?', long text is cut. */
void conf_append_safe(struct buf *out, struct span text);

/* A number as its key writes it, in text: for defaults and for values in strings. */
bool conf_number_parse(const struct conf_key *key, struct span text, uint64_t *out);
/* The range in words: "a whole number from 1 to 10". */
void conf_number_wanted(const struct conf_key *key, struct buf *out);
/* Writes "4m30s", "64KiB", "12" and returns true where JSON needs quotes around it. */
bool conf_number_print(const struct conf_key *key, uint64_t v, char out[32]);
bool conf_number_in_range(const struct conf_key *key, uint64_t v);
uint64_t conf_number_get(const struct conf_key *key, const void *from);
void conf_number_set(const struct conf_key *key, void *to, uint64_t v);

/* Frees the elements of a list of OBJECTS; it is empty. */
void conf_objects_clear(const struct conf_key *key, void *of);

static inline void *conf_member(void *of, const struct conf_key *key) { return (char *)of + key->offset; }
static inline const void *conf_member_const(const void *of, const struct conf_key *key)
{
    return (const char *)of + key->offset;
}

#endif
