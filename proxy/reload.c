/* Each comparison names the key, so that a person knows what needs a restart. */
#include "proxy/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verdict {
    settings_fault *fault;
    void *arg;
    const char *file;
    bool ok;
};

static void refuse(struct verdict *v, const char *what)
{
    char text[256];
    snprintf(text, sizeof(text), "%s: %s can't be changed by a reload, only by a restart",
             v->file ? v->file : "smtptap", what);
    v->fault(v->arg, text);
    v->ok = false;
}

static bool same(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }

static bool same_listeners(const struct settings *a, const struct settings *b)
{
    if (a->listeners != b->listeners)
        return false;
    for (size_t i = 0; i < a->listeners; i++) {
        if (!same(a->listener[i].address_text, b->listener[i].address_text))
            return false;
    }
    return true;
}

static bool same_outputs(const struct log_settings *a, const struct log_settings *b)
{
    if (a->outputs != b->outputs)
        return false;
    for (size_t i = 0; i < a->outputs; i++) {
        char *x = settings_print_output(&a->output[i]), *y = settings_print_output(&b->output[i]);
        bool equal = strcmp(x, y) == 0;
        free(x);
        free(y);
        if (!equal)
            return false;
    }
    return a->cookie == b->cookie;
}

static bool same_key(const struct log_key *a, const struct log_key *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

/* The keys as they were read: a file may hold another one by now. */
static bool same_redaction(const struct log_settings *a, const struct log_settings *b)
{
    const struct redact_rules *x = &a->redact, *y = &b->redact;
    return x->addresses == y->addresses && x->client_ip == y->client_ip && x->username == y->username &&
           x->subject == y->subject && same_key(&a->redact_key, &b->redact_key);
}

static bool same_names(const struct settings *a, const struct settings *b)
{
    if (a->dns_server_count != b->dns_server_count)
        return false;
    for (size_t i = 0; i < a->dns_server_count; i++) {
        if (!same(a->dns_servers[i], b->dns_servers[i]))
            return false;
    }
    return true;
}

bool reload_allowed(const struct settings *running, const struct settings *fresh, settings_fault *fault, void *arg)
{
    struct verdict v = { .fault = fault, .arg = arg, .file = fresh->file, .ok = true };
    const struct log_settings *a = &running->log, *b = &fresh->log;
    if (!same_listeners(running, fresh))
        refuse(&v, "listeners (their addresses)");
    if (!same_outputs(a, b))
        refuse(&v, "log.outputs (with level, format, overflow, queue_size and cookie)");
    if (a->max_record != b->max_record || a->block_timeout != b->block_timeout || !same(a->component, b->component))
        refuse(&v, "log.max_record, log.block_timeout, log.component");
    if (a->sync != b->sync)
        refuse(&v, "log.sync");
    if (!same_redaction(a, b))
        refuse(&v, "log.redact (with its key)");
    if (a->integrity != b->integrity || !same_key(&a->integrity_key, &b->integrity_key))
        refuse(&v, "log.integrity (with its key)");
    if (running->workers != fresh->workers)
        refuse(&v, "workers");
    if (!same(running->user, fresh->user) || !same(running->group, fresh->group))
        refuse(&v, "user, group");
    if (!same_names(running, fresh))
        refuse(&v, "dns.servers");
    return v.ok;
}
