/* Records as a reader of the log sees them: lines with the writer's tail, their keys in order, and json-c's view. */
#ifndef TESTS_UNIT_RECORD_LINES_H
#define TESTS_UNIT_RECORD_LINES_H

#include "common/record/native.h"
#include "tests/unit/json_c.h"

#define LINE_TAIL ",\"run\":\"0b1k2f9s\",\"seq\":42}"

/* The line with a tail and a terminating NUL. */
static inline void line_make(struct buf *out, const struct record *r, size_t max_record, size_t tail_max)
{
    struct json_time_cache cache = { 0 };
    record_write_native(out, r, max_record, tail_max, &cache);
    buf_append(out, LINE_TAIL, sizeof(LINE_TAIL));
}

/* NULL where json-c finds a fault in it. */
static inline struct json_object *line_parse(const struct buf *line)
{
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *got = json_tokener_parse_ex(tok, buf_span(line).p, (int)buf_len(line) - 1);
    if (json_tokener_get_error(tok) != json_tokener_success) {
        json_object_put(got);
        got = NULL;
    }
    json_tokener_free(tok);
    return got;
}

/* The keys of the top level as they stand in the text, each followed by a blank; read without a JSON library, so that
 * order and doubles show. */
static inline void line_keys(struct span line, char *out)
{
    int depth = 0;
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c != '"')
            continue;
        size_t from = ++i;
        while (i < line.n && line.p[i] != '"')
            i += line.p[i] == '\\' ? 2 : 1;
        if (depth == 1 && i + 1 < line.n && line.p[i + 1] == ':') {
            memcpy(out, line.p + from, i - from);
            out += i - from;
            *out++ = ' ';
        }
    }
    *out = '\0';
}

/* A member by a path of keys and numbers ("recipients.0.status"); NULL where there is none or it is null. */
static inline struct json_object *line_at(struct json_object *o, const char *path)
{
    char part[64];
    while (o != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        memcpy(part, path, n);
        part[n] = '\0';
        path += n + (path[n] == '.');
        if (json_object_is_type(o, json_type_array))
            o = json_object_array_get_idx(o, (size_t)(part[0] - '0'));
        else if (!json_object_object_get_ex(o, part, &o))
            o = NULL;
    }
    return o;
}

/* Its text, or "-" where it isn't there. */
static inline const char *line_text(struct json_object *o, const char *path)
{
    struct json_object *at = line_at(o, path);
    return at != NULL ? json_object_get_string(at) : "-";
}

#endif
