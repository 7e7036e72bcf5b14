/* Faults that lie between values, or between a value and the system's users. */
#include "proxy/settings_tables.h"

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

void settings_verify_group(struct conf *c, const char *path, const char *group)
{
    if (group != NULL && getgrnam(group) == NULL)
        conf_fault(c, path, "there is no group \"%s\"", group);
}

/* Shared connections are nobody's: only what is said anew for each message can tell of a client. */
static void verify_pool(const struct settings *s, struct conf *c, size_t i)
{
    const struct upstream_settings *u = &s->listener[i].upstream;
    bool lasting =
        u->identity == IDENTITY_XCLIENT || u->identity == IDENTITY_PROXY_V1 || u->identity == IDENTITY_PROXY_V2;
    char own[SETTINGS_PATH];
    if (u->pool == POOL_TRANSACTION && lasting)
        conf_fault(c, settings_place(c, i, "upstream.identity", "upstream.identity", own),
                   "a connection that tells of one client can't be shared: not with pool \"transaction\"");
}

void settings_verify(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        verify_listener(s, c, i);
        verify_pool(s, c, i);
    }
    settings_verify_outputs(s, c);
    if (s->user != NULL && getpwnam(s->user) == NULL)
        conf_fault(c, "user", "there is no user \"%s\"", s->user);
    settings_verify_group(c, "group", s->group);
}
