/* What a line of format ecs must hold: only fields of ecs_fields.tsv, with their types, and every value of the native
 * line at the place that ecs_fields.h names. */
#ifndef TESTS_UNIT_ECS_MODEL_H
#define TESTS_UNIT_ECS_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "common/netaddr.h"
#include "common/record/ecs_fields.h"
#include "common/record/format.h"
#include "tests/unit/json_c.h"
#include "tests/unit/replies_tsv.h"

#define ECS_MODEL_CHECK(x, what)                                                                                       \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "ecs: %s: %s\n", what, #x);                                                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { ECS_FIELDS_MAX = 256, ECS_PATH_MAX = 256 };
struct ecs_field {
    char name[80], type[24];
};
static struct ecs_field ecs_field[ECS_FIELDS_MAX];
static size_t ecs_field_count;

static inline void ecs_fields_load(void)
{
    char line[256];
    FILE *f = tsv_open("ecs_fields.tsv");
    while (ecs_field_count < ECS_FIELDS_MAX && fgets(line, sizeof(line), f) != NULL) {
        struct ecs_field *to = &ecs_field[ecs_field_count];
        if (line[0] != '#' && sscanf(line, "%79s %23s", to->name, to->type) == 2)
            ecs_field_count++;
    }
    fclose(f);
}

static inline const struct ecs_field *ecs_field_find(const char *name)
{
    if (ecs_field_count == 0)
        ecs_fields_load();
    for (size_t i = 0; i < ecs_field_count; i++) {
        size_t n = strlen(ecs_field[i].name);
        bool prefix = ecs_field[i].name[n - 1] == '*';
        if (prefix ? strncmp(ecs_field[i].name, name, n - 1) == 0 : strcmp(ecs_field[i].name, name) == 0)
            return &ecs_field[i];
    }
    return NULL;
}

static inline bool ecs_is_date(const char *s)
{
    int n = 0;
    unsigned part[6];
    return sscanf(s, "%4u-%2u-%2uT%2u:%2u:%2u%n", &part[0], &part[1], &part[2], &part[3], &part[4], &part[5], &n) ==
               6 &&
           (strcmp(s + n, "Z") == 0 || (s[n] == '.' && strlen(s + n) == 8 && s[n + 7] == 'Z'));
}

static inline bool ecs_is_type(struct json_object *v, const char *type)
{
    struct netaddr ip;
    bool string = json_object_is_type(v, json_type_string);
    if (strcmp(type, "long") == 0)
        return json_object_is_type(v, json_type_int);
    if (strcmp(type, "float") == 0)
        return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
    if (strcmp(type, "boolean") == 0)
        return json_object_is_type(v, json_type_boolean);
    if (strcmp(type, "object") == 0)
        return json_object_is_type(v, json_type_object);
    if (strcmp(type, "ip") == 0)
        return string && netaddr_parse_ip(&ip, span_str(json_object_get_string(v)));
    if (strcmp(type, "date") == 0)
        return string && ecs_is_date(json_object_get_string(v));
    return string;
}

/* Each key is listed and has its type. Null is no value to Elasticsearch. */
static inline void ecs_check_fields(struct json_object *ecs)
{
    json_object_object_foreach(ecs, name, v)
    {
        const struct ecs_field *f = ecs_field_find(name);
        ECS_MODEL_CHECK(f != NULL, name);
        char type[24];
        size_t n = strlen(f->type);
        bool list = f->type[n - 1] == ']';
        snprintf(type, sizeof(type), "%.*s", (int)(list ? n - 2 : n), f->type);
        ECS_MODEL_CHECK(list == json_object_is_type(v, json_type_array) || v == NULL, name);
        for (size_t i = 0; list && i < json_object_array_length(v); i++)
            ECS_MODEL_CHECK(ecs_is_type(json_object_array_get_idx(v, i), type), name);
        ECS_MODEL_CHECK(list || v == NULL || ecs_is_type(v, type), name);
    }
}

struct ecs_row {
    const char *scope, *key, *how, *field;
};
#define ECS_MODEL_ROW(scope, id, how, field) { #scope, #id, #how, field },
static const struct ecs_row ecs_rows[] = { RECORD_ECS_ROWS(ECS_MODEL_ROW) };
#define ECS_MODEL_KEY(id, word) { #id, word },
static const struct {
    const char *id, *word;
} ecs_keys[] = { RECORD_KEYS(ECS_MODEL_KEY) };

static inline const char *ecs_key_id(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(ecs_keys); i++) {
        if (strcmp(ecs_keys[i].word, word) == 0)
            return ecs_keys[i].id;
    }
    return "";
}

static inline const struct ecs_row *ecs_row_find(const char *scope, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(ecs_rows); i++) {
        if (strcmp(ecs_rows[i].scope, scope) == 0 && strcmp(ecs_rows[i].key, ecs_key_id(word)) == 0)
            return &ecs_rows[i];
    }
    return NULL;
}

/* The sense in which a record uses the keys of its top level. */
static inline const char *ecs_top_scope(struct json_object *native)
{
    struct json_object *v = NULL;
    const char *tnx = json_object_get_string(json_object_object_get(native, "tnx"));
    bool up = json_object_object_get_ex(native, "side", &v) && strcmp(json_object_get_string(v), "upstream") == 0;
    if (strcmp(tnx, "starttls") == 0)
        return up ? "TLS_SERVER" : "TLS_CLIENT";
    if (up && (strcmp(tnx, "connection") == 0 || strcmp(tnx, "close") == 0 || strcmp(tnx, "error") == 0))
        return "LEG";
    return strcmp(tnx, "listen") == 0 ? "LISTEN" : strcmp(tnx, "caps") == 0 ? "CAPS" : "TOP";
}

static inline bool ecs_is_same(struct json_object *native, struct json_object *ecs, const char *how)
{
    if (strcmp(how, "RCPT") == 0 && json_object_is_type(native, json_type_string))
        return json_object_array_length(ecs) == 1 && json_object_equal(native, json_object_array_get_idx(ecs, 0));
    if (strcmp(how, "NS") == 0) {
        double ns = json_object_get_double(native) * 1e6 - (double)json_object_get_int64(ecs);
        return ns > -500 && ns < 500;
    }
    if (strstr(how, "VERSION") != NULL && json_object_is_type(native, json_type_string) &&
        strncmp(json_object_get_string(native), "TLSv", 4) == 0)
        return strcmp(json_object_get_string(native) + 4, json_object_get_string(ecs)) == 0;
    return json_object_equal(native, ecs);
}

/* A header's name with its dots encoded. */
static inline void ecs_header_name(const char *name, char *to)
{
    for (; *name != '\0'; name++)
        to += sprintf(to, *name == '.' ? "%%2e" : *name == '%' ? "%%25" : "%c", *name);
    *to = '\0';
}

static inline void ecs_check_member(struct json_object *ecs, const char *scope, const char *path, const char *key,
                                    struct json_object *v);

static inline void ecs_check_object(struct json_object *ecs, const char *scope, const char *path,
                                    struct json_object *native)
{
    json_object_object_foreach(native, key, v) ecs_check_member(ecs, scope, path, key, v);
}

static inline void ecs_check_member(struct json_object *ecs, const char *scope, const char *path, const char *key,
                                    struct json_object *v)
{
    char name[ECS_PATH_MAX], header[ECS_PATH_MAX];
    bool top = strcmp(path, "smtptap.") == 0;
    struct json_object *at;
    if (json_object_is_type(v, json_type_object)) {
        snprintf(name, sizeof(name), "%s%s.", path, key);
        snprintf(header, sizeof(header), "%s%s", top ? "" : "UPSTREAM_", ecs_key_id(key));
        ecs_check_object(ecs, header, name, v);
        return;
    }
    ecs_header_name(key, header);
    snprintf(name, sizeof(name), "%s%s", path, header);
    const struct ecs_row *row = ecs_row_find(scope, key);
    if (row == NULL && top)
        row = ecs_row_find("TOP", key);
    const char *field = row != NULL ? row->field : name;
    ECS_MODEL_CHECK(json_object_object_get_ex(ecs, field, &at), field);
    ECS_MODEL_CHECK(ecs_is_same(v, at, row != NULL ? row->how : "PLAIN"), field);
}

/* Everything that the native line says is in the other. */
static inline void ecs_check_map(struct json_object *native, struct json_object *ecs)
{
    ecs_check_object(ecs, ecs_top_scope(native), "smtptap.", native);
}

#endif
