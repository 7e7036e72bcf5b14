/* The keys of log outputs: which an output of its type has, what lies between them, and what `check` looks at. */
#include "proxy/settings_tables.h"

#include "common/record/ecs.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keys that not every type has. */
static const struct {
    const char *key, *whose;
    unsigned types; /* bits 1 << enum output_type */
} OWN_KEYS[] = {
    { "path", "file", 1U << OUTPUT_FILE },        { "mode", "file", 1U << OUTPUT_FILE },
    { "group", "file", 1U << OUTPUT_FILE },       { "rotate_size", "file", 1U << OUTPUT_FILE },
    { "rotate_keep", "file", 1U << OUTPUT_FILE },
};

bool settings_output_has(const void *output, const struct conf_key *key)
{
    const struct output_settings *o = output;
    for (size_t i = 0; i < ARRAY_LEN(OWN_KEYS); i++) {
        if (strcmp(OWN_KEYS[i].key, key->name) == 0)
            return (OWN_KEYS[i].types >> o->type & 1) != 0;
    }
    return true;
}

static const char *key_path(size_t i, const char *key, char out[SETTINGS_PATH])
{
    snprintf(out, SETTINGS_PATH, "log.outputs[%zu].%s", i, key);
    return out;
}

static void verify_own_keys(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    for (size_t k = 0; k < ARRAY_LEN(OWN_KEYS); k++) {
        if ((OWN_KEYS[k].types >> o->type & 1) == 0 && conf_has(c, key_path(i, OWN_KEYS[k].key, path)))
            conf_fault(c, path, "this key is for outputs of type %s", OWN_KEYS[k].whose);
    }
}

static bool same(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

static bool same_output(const struct output_settings *a, const struct output_settings *b)
{
    return a->type == b->type && (a->type == OUTPUT_STDOUT || same(a->path, b->path));
}

/* Its type was read: what is said of other keys is about that type. */
static bool type_known(struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    key_path(i, "type", path);
    return conf_has(c, path) && !conf_faulty(c, path);
}

static void verify_needed(struct conf *c, size_t i, const char *key)
{
    char path[SETTINGS_PATH], whole[SETTINGS_PATH];
    snprintf(whole, sizeof whole, "log.outputs[%zu]", i);
    if (!conf_has(c, key_path(i, key, path)))
        conf_fault(c, whole, "\"%s\" is missing", key);
}

static void verify_type(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[SETTINGS_PATH];
    snprintf(path, sizeof path, "log.outputs[%zu]", i);
    verify_own_keys(o, c, i);
    if (o->type == OUTPUT_FILE)
        verify_needed(c, i, "path");
    for (size_t j = 0; j < i; j++) {
        if (type_known(c, j) && same_output(o, &s->log.output[j])) {
            conf_fault(c, path, "this is the same output as log.outputs[%zu]", j);
            break;
        }
    }
    if (o->rotate_size > 0 && o->rotate_size < s->log.max_record)
        conf_fault(c, key_path(i, "rotate_size", path), "must be at least log.max_record");
}

static void verify_output(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[SETTINGS_PATH];
    if (type_known(c, i))
        verify_type(s, c, i);
    if (o->queue_size / 8 < s->log.max_record)
        conf_fault(c, conf_has(c, key_path(i, "queue_size", path)) ? path : "log.queue_size",
                   "must be at least 8 times log.max_record");
    if (o->format == FORMAT_ECS && s->log.max_record < RECORD_ECS_MIN_MAX)
        conf_fault(c, conf_has(c, "log.max_record") ? "log.max_record" : "log.format",
                   "must be at least %d with format ecs", RECORD_ECS_MIN_MAX);
    settings_verify_group(c, key_path(i, "group", path), o->group);
}

void settings_verify_outputs(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->log.outputs; i++)
        verify_output(s, c, i);
}

static void inspect_file(const struct output_settings *o, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH], rotate[SETTINGS_PATH];
    struct stat st;
    bool there = stat(o->path, &st) == 0;
    key_path(i, "path", path);
    if (!there && errno == ENOENT)
        settings_inspect_directory(c, path, o->path);
    else if (!there)
        conf_fault(c, path, "\"%s\": %s", o->path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        conf_fault(c, path, "\"%s\" is a directory", o->path);
    else if (access(o->path, W_OK) != 0)
        conf_fault(c, path, "\"%s\" can't be written: %s", o->path, strerror(errno));
    else if (o->rotate_size > 0 && !S_ISREG(st.st_mode))
        conf_fault(c, key_path(i, "rotate_size", rotate), "\"%s\" is not a regular file", o->path);
    else if (o->rotate_size > 0)
        settings_inspect_directory(c, rotate, o->path);
}

void settings_inspect_outputs(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->log.outputs; i++) {
        if (s->log.output[i].type == OUTPUT_FILE)
            inspect_file(&s->log.output[i], c, i);
    }
}
