/* A table-driven reader of JSON configuration over json-c: types, units, ranges, unknown and doubled keys, all faults
 * in one run, each with file, line and JSON path. Comments (// and C style) are allowed. The tables belong to the
 * caller.
 *
 * A struct is described by a conf_table, a row for each key. The same table gives the struct its defaults, reads it
 * from a document, copies it, prints it and frees what it owns. Members that no row names are left alone by all of
 * these. */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/buf.h"
#include "common/netaddr.h"
#include "common/span.h"

/* A text may have so many bytes and so many levels; so many faults are told one by one. */
enum { CONF_BYTES_MAX = 4 << 20, CONF_DEPTH_MAX = 16, CONF_FAULTS_MAX = 100 };

enum conf_type {
    CONF_BOOL,
    CONF_UINT,     /* a whole number in min..max, of any unsigned width */
    CONF_SIZE,     /* bytes in min..max: a number, or a string with KiB, MiB, GiB */
    CONF_DURATION, /* usec_t in min..max: a string with units */
    CONF_WORD,     /* one of `words`, held as an enum */
    CONF_STRING,   /* char *, owned; length in min..max */
    CONF_TEXT,     /* a string that `text` reads */
    CONF_MAP,      /* an object of strings, numbers and booleans, which `text` reads one by one as "name=value" */
    CONF_LIST,     /* a list of strings that `text` reads one by one; count in min..max */
    CONF_OBJECT,   /* a struct inside, described by `table` */
    CONF_INLINE,   /* likewise, but its keys stand directly in this object */
    CONF_OBJECTS,  /* a list of objects: a pointer to structs of `table`, owned, their number at `count_offset` */
    CONF_UNBUILT,  /* a key of the contract that this version can't serve: only its default may be written */
};

struct conf_word {
    const char *word; /* NULL ends a list */
    unsigned value;
    bool unbuilt;
};

/* How a member that is written as a string, or as a list of strings, is read, written and freed. */
struct conf_text {
    const char *what; /* "an address": for the message */
    /* Sets the member, or adds one to the list. On failure *why is static text or NULL. */
    bool (*add)(void *member, struct span text, const char **why);
    /* Appends the i-th as add() would read it; false where there is none. */
    bool (*print)(const void *member, size_t i, struct buf *out);
    /* Frees and empties it. */
    void (*clear)(void *member);
};

struct conf_table;
struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset, width;
    const char *def; /* as text; lists: words with blanks between; UNBUILT: JSON; NULL: zero, NULL, empty */
    uint64_t min, max;
    const char *zero;              /* UINT: the word that is written for 0 ("auto") */
    const struct conf_word *words; /* WORD, and UNBUILT where it is one of several */
    const struct conf_text *text;
    const struct conf_table *table;
    size_t count_offset;
    /* OBJECTS: gives a zeroed element its defaults; parent is the struct that the list stands in. NULL: the table's. */
    void (*prepare)(void *element, const void *parent);
    /* Whether the struct has a use for this key; where not, it is not printed. NULL: always. */
    bool (*applies)(const void *of, const struct conf_key *key);
    bool zero_too;  /* SIZE: 0 is allowed beside min..max */
    bool printable; /* STRING: printable ASCII and blanks only */
    bool required;  /* a fault where the key is not there */
    bool later;     /* conf_read() passes over it: conf_read_key() reads it */
};
struct conf_table {
    const struct conf_key *key;
    size_t count, size;
};
#define CONF_MEMBER(type, member) .offset = offsetof(type, member), .width = sizeof(((type *)NULL)->member)
#define CONF_TABLE(keys, type)                                                                                         \
    {                                                                                                                  \
        .key = (keys), .count = ARRAY_LEN(keys), .size = sizeof(type)                                                  \
    }

/* A document: its values, where each stands, and the faults and warnings found so far. */
struct conf;
typedef void conf_tell(void *arg, const char *text);

/* `name` is the file in the messages; NULL: there is none. What is wrong with the text becomes a fault. Never NULL. */
struct conf *conf_open(const char *name, struct span text) MUST_CHECK;
/* Tells faults and warnings in the order of their lines (fault must not be NULL, warn may), frees the document and
 * returns the number of faults. */
size_t conf_close(struct conf **c, conf_tell *fault, conf_tell *warn, void *arg);
size_t conf_faults(const struct conf *c);
/* False: the text is not JSON, there is nothing to read. */
bool conf_readable(const struct conf *c);

/* Reads the whole document, or what stands under one key of it, onto a struct that has its defaults. After a fault the
 * struct is in order, but which values it has is open. */
void conf_read(struct conf *c, const struct conf_table *t, void *to);
void conf_read_key(struct conf *c, const struct conf_table *t, const char *key, void *to);
/* Whether the document has a value at "listeners[1].address". */
bool conf_has(const struct conf *c, const char *path);
/* Whether a fault was found in the value at that path itself, so that others need not be looked for. */
bool conf_faulty(const struct conf *c, const char *path);
/* Adds a fault or a warning about the value at that path; the line is that of the innermost part which is there. The
 * same one twice is one. path NULL: the text stands alone. */
void conf_fault(struct conf *c, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
void conf_warn(struct conf *c, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What such a fault begins with, for one that is found later: "smtptap.json:14: upstream.tls". Owned by the caller. */
char *conf_place(const struct conf *c, const char *path) MUST_CHECK;

void conf_defaults(const struct conf_table *t, void *to);
/* `to` is zeroed or has its defaults. */
void conf_copy(const struct conf_table *t, void *to, const void *from);
/* Frees what the struct owns and zeroes those members. */
void conf_clear(const struct conf_table *t, void *of);
/* JSON that conf_read() would read to the same; owned by the caller. */
char *conf_print(const struct conf_table *t, const void *from);
/* One more element at the end of a list of OBJECTS, prepared. */
void *conf_objects_add(const struct conf_key *key, void *parent);

extern const struct conf_text conf_cidr_list; /* of struct cidr_list */

/* "500ms", "30s", "5m", "1h", "4m30s". */
bool conf_duration_parse(usec_t *out, struct span text) MUST_CHECK;
/* "4096", "64KiB", "25MiB", "1GiB". */
bool conf_size_parse(uint64_t *out, struct span text) MUST_CHECK;
/* The distance of two words in single edits (insert, delete, replace, swap neighbours). */
unsigned conf_distance(struct span a, struct span b);
/* A copy that ends in NUL; out of memory aborts. */
char *conf_dup(struct span s);
/* realloc of count * size bytes; out of memory aborts. */
void *conf_grow(void *p, size_t count, size_t size);

#endif
