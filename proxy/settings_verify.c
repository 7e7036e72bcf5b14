/* Faults that lie between values, or between a value and the system's users. */
#include "proxy/settings_tables.h"

#include "common/record/ecs.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

/* Two endpoints that can't both be listened on. Port 0 is a fresh one each time. */
static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case ENDPOINT_IP:
        return a->addr.port != 0 && a->addr.port == b->addr.port && netaddr_eq_ip(&a->addr, &b->addr);
    case ENDPOINT_NAME:
        return a->addr.port != 0 && a->addr.port == b->addr.port && strcasecmp(a->host, b->host) == 0;
    case ENDPOINT_UNIX:
    case ENDPOINT_SYSTEMD:
        return strcmp(a->host, b->host) == 0;
    }
    return false;
}

static void verify_listener(const struct settings *s, struct conf *c, size_t i)
{
    const struct listener_settings *l = &s->listener[i];
    char path[64], name_path[64];
    snprintf(path, sizeof path, "listeners[%zu].address", i);
    snprintf(name_path, sizeof name_path, "listeners[%zu].name", i);
    for (size_t j = 0; j < i; j++) {
        const struct listener_settings *other = &s->listener[j];
        if (l->address_text == NULL || other->address_text == NULL)
            continue;
        if (same_place(&l->address, &other->address)) {
            conf_fault(c, path, "\"%s\" is the address of listeners[%zu] already", l->address_text, j);
            return;
        }
        /* Equal names by default come from equal addresses with port 0. */
        bool chosen = strcmp(l->name, l->address_text) != 0 || strcmp(other->name, other->address_text) != 0;
        if (chosen && strcmp(l->name, other->name) == 0) {
            conf_fault(c, name_path, "\"%s\" is the name of listeners[%zu] already", l->name, j);
            return;
        }
    }
}

/* Keys that only a file has. */
static void verify_stdout(struct conf *c, size_t i)
{
    static const char *const FILE_KEYS[] = { "path", "mode", "group" };
    char path[64];
    for (size_t k = 0; k < ARRAY_LEN(FILE_KEYS); k++) {
        snprintf(path, sizeof path, "log.outputs[%zu].%s", i, FILE_KEYS[k]);
        if (conf_has(c, path))
            conf_fault(c, path, "this key is for outputs of type file");
    }
}

static bool same_output(const struct output_settings *a, const struct output_settings *b)
{
    if (a->type != b->type)
        return false;
    return a->type == OUTPUT_STDOUT || (a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0);
}

static void verify_group(struct conf *c, const char *path, const char *group)
{
    if (group != NULL && getgrnam(group) == NULL)
        conf_fault(c, path, "there is no group \"%s\"", group);
}

/* Its type was read: what is said of other keys is about that type. */
static bool type_known(struct conf *c, size_t i)
{
    char path[64];
    snprintf(path, sizeof path, "log.outputs[%zu].type", i);
    return conf_has(c, path) && !conf_faulty(c, path);
}

static void verify_type(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[64], path_path[72];
    snprintf(path, sizeof path, "log.outputs[%zu]", i);
    snprintf(path_path, sizeof path_path, "%s.path", path);
    if (o->type == OUTPUT_STDOUT)
        verify_stdout(c, i);
    else if (!conf_has(c, path_path))
        conf_fault(c, path, "\"path\" is missing");
    for (size_t j = 0; j < i; j++) {
        if (type_known(c, j) && same_output(o, &s->log.output[j])) {
            conf_fault(c, path, "this is the same output as log.outputs[%zu]", j);
            break;
        }
    }
}

static void verify_output(const struct settings *s, struct conf *c, size_t i)
{
    const struct output_settings *o = &s->log.output[i];
    char path[64];
    if (type_known(c, i))
        verify_type(s, c, i);
    snprintf(path, sizeof path, "log.outputs[%zu].queue_size", i);
    if (o->queue_size / 8 < s->log.max_record)
        conf_fault(c, conf_has(c, path) ? path : "log.queue_size", "must be at least 8 times log.max_record");
    if (o->format == FORMAT_ECS && s->log.max_record < RECORD_ECS_MIN_MAX)
        conf_fault(c, conf_has(c, "log.max_record") ? "log.max_record" : "log.format",
                   "must be at least %d with format ecs", RECORD_ECS_MIN_MAX);
    snprintf(path, sizeof path, "log.outputs[%zu].group", i);
    verify_group(c, path, o->group);
}

void settings_verify(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++)
        verify_listener(s, c, i);
    for (size_t i = 0; i < s->log.outputs; i++)
        verify_output(s, c, i);
    if (s->user != NULL && getpwnam(s->user) == NULL)
        conf_fault(c, "user", "there is no user \"%s\"", s->user);
    verify_group(c, "group", s->group);
}
