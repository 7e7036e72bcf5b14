/* The document: text in, values with positions out, and the messages about it. Messages are kept until the end, so that
 * they can be told in the order of their lines whatever the order in which they were found. */
#include "common/conf.h"

#include "common/codec.h"
#include "common/conf_private.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MAX = 80 };

char *conf_dup(struct span s)
{
    char *copy = conf_grow(NULL, s.n + 1, 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

void *conf_grow(void *p, size_t count, size_t size)
{
    void *grown = reallocarray(p, count, size);
    if (grown == NULL)
        abort();
    return grown;
}

void conf_append_safe(struct buf *out, struct span text)
{
    bool cut = text.n > SHOWN_MAX;
    text = span_head(text, SHOWN_MAX);
    while (text.n > 0) {
        uint32_t cp = 0;
        size_t n = codec_utf8_next(text.p, text.n, &cp);
        bool control = n == 0 || cp < ' ' || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e);
        if (control)
            buf_append(out, "?", 1);
        else
            buf_append(out, text.p, n);
        text = span_skip(text, max_size(n, 1));
    }
    if (cut)
        buf_append_span(out, SPAN_LIT("..."));
}

void conf_append_path(const struct conf *c, uint32_t node, struct buf *out)
{
    uint32_t chain[CONF_DEPTH_MAX + 2];
    size_t n = 0;
    for (; node != 0; node = c->node[node].parent)
        chain[n++] = node;
    while (n-- > 0) {
        // cppcheck-suppress uninitvar ; the loop above has filled chain[0..n]
        const struct conf_node *at = &c->node[chain[n]];
        if (at->key == NULL) {
            buf_printf(out, "[%u]", at->index);
            continue;
        }
        if (at->parent != 0)
            buf_append(out, ".", 1);
        conf_append_safe(out, span_str(at->key));
    }
}

/* A value that several sections inherit is found at fault again with each. */
static bool was_told(const struct conf *c, const struct conf_message *m)
{
    for (size_t i = 0; i < c->messages; i++) {
        const struct conf_message *told = &c->message[i];
        if (told->node == m->node && told->warning == m->warning && strcmp(told->text, m->text) == 0)
            return true;
    }
    return false;
}

/* Names, paths and arguments are in the text: none of them may move the terminal's cursor. */
static void add_message(struct conf *c, struct conf_message m, struct span text)
{
    size_t *count = m.warning ? &c->warnings : &c->faults;
    m.text = conf_dup(text);
    for (char *p = m.text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    if (was_told(c, &m) || (*count)++ >= CONF_FAULTS_MAX) {
        free(m.text);
        return;
    }
    c->message = conf_grow(c->message, c->messages + 1, sizeof *c->message);
    c->message[c->messages++] = m;
}

static void append_place(const struct conf *c, uint32_t line, struct buf *out)
{
    if (c->name == NULL)
        return;
    if (line > 0)
        buf_printf(out, "%s:%u: ", c->name, line);
    else
        buf_printf(out, "%s: ", c->name);
}

static void append_format(struct buf *out, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
static void append_format(struct buf *out, const char *fmt, va_list ap)
{
    char *text;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    buf_append(out, text, strlen(text));
    free(text);
}

void conf_node_fault(struct conf *c, uint32_t node, uint32_t line, const char *fmt, ...)
{
    struct buf text;
    va_list ap;
    buf_init(&text, NULL);
    append_place(c, line, &text);
    conf_append_path(c, node, &text);
    if (node != 0)
        buf_append_span(&text, SPAN_LIT(": "));
    va_start(ap, fmt);
    append_format(&text, fmt, ap);
    va_end(ap);
    if (node != 0)
        c->node[node].faulty = true;
    add_message(c, (struct conf_message){ .line = line, .node = node }, buf_span(&text));
    buf_free(&text);
}

uint32_t conf_node_find(const struct conf *c, uint32_t object, const char *key)
{
    uint32_t found = 0;
    for (uint32_t i = c->node[object].first; i != 0; i = c->node[i].next) {
        if (c->node[i].key != NULL && strcmp(c->node[i].key, key) == 0)
            found = i;
    }
    return found;
}

static uint32_t find_index(const struct conf *c, uint32_t list, unsigned long index)
{
    uint32_t i = c->node[list].first;
    while (i != 0 && (c->node[i].key != NULL || c->node[i].index != index))
        i = c->node[i].next;
    return i;
}

/* The node at "a.b[2].c", or the innermost one on the way to it; *whole: all of the path is there. */
static uint32_t find_path(const struct conf *c, const char *path, bool *whole)
{
    uint32_t node = 0;
    *whole = false;
    while (c->nodes > 0 && *path != '\0') {
        uint32_t next;
        if (*path == '[') {
            char *end;
            next = find_index(c, node, strtoul(path + 1, &end, 10));
            path = *end == ']' ? end + 1 : end;
        } else {
            size_t n = strcspn(path, ".[");
            char *key = conf_dup(span_of(path, n));
            next = conf_node_find(c, node, key);
            free(key);
            path += n;
        }
        if (next == 0)
            return node;
        node = next;
        if (*path == '.')
            path++;
    }
    *whole = node != 0;
    return node;
}

bool conf_has(const struct conf *c, const char *path)
{
    bool whole;
    find_path(c, path, &whole);
    return whole;
}

bool conf_faulty(const struct conf *c, const char *path)
{
    bool whole;
    uint32_t node = find_path(c, path, &whole);
    return whole && c->node[node].faulty;
}

static void add_at(struct conf *c, const char *path, bool warning, const char *fmt, va_list ap) PRINTF_LIKE(4, 0);
static void add_at(struct conf *c, const char *path, bool warning, const char *fmt, va_list ap)
{
    struct buf text;
    struct conf_message m = { .warning = warning };
    bool whole;
    buf_init(&text, NULL);
    if (path != NULL) {
        m.node = find_path(c, path, &whole);
        m.line = m.node != 0 ? c->node[m.node].line : 0;
        append_place(c, m.line, &text);
        buf_printf(&text, "%s: ", path);
    }
    if (warning)
        buf_append_span(&text, SPAN_LIT("warning: "));
    append_format(&text, fmt, ap);
    add_message(c, m, buf_span(&text));
    buf_free(&text);
}

char *conf_place(const struct conf *c, const char *path)
{
    struct buf text;
    bool whole;
    uint32_t node = find_path(c, path, &whole);
    buf_init(&text, NULL);
    append_place(c, node != 0 ? c->node[node].line : 0, &text);
    buf_append_span(&text, span_str(path));
    char *place = conf_dup(buf_span(&text));
    buf_free(&text);
    return place;
}

void conf_fault(struct conf *c, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_at(c, path, false, fmt, ap);
    va_end(ap);
}

void conf_warn(struct conf *c, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_at(c, path, true, fmt, ap);
    va_end(ap);
}

/* The scanner has accepted the text: what json-c refuses beyond that has no line. */
static void parse_values(struct conf *c)
{
    struct json_tokener *tok = json_tokener_new_ex(CONF_DEPTH_MAX + 1);
    if (tok == NULL)
        abort();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    c->text[c->root_end] = '\0';
    c->root = json_tokener_parse_ex(tok, c->text + c->root_at, (int)(c->root_end - c->root_at) + 1);
    if (c->root == NULL)
        conf_node_fault(c, 0, 0, "%s", json_tokener_error_desc(json_tokener_get_error(tok)));
    json_tokener_free(tok);
}

struct conf *conf_open(const char *name, struct span text)
{
    struct conf *c = conf_grow(NULL, 1, sizeof *c);
    *c = (struct conf){ .name = name != NULL ? conf_dup(span_str(name)) : NULL };
    if (text.n > CONF_BYTES_MAX) {
        conf_node_fault(c, 0, 0, "is larger than %d MiB", CONF_BYTES_MAX >> 20);
        return c;
    }
    /* One NUL more than a string needs: the scanner looks one byte ahead. */
    c->text = conf_grow(NULL, text.n + 2, 1);
    if (text.n > 0)
        memcpy(c->text, text.p, text.n);
    c->text[text.n] = c->text[text.n + 1] = '\0';
    c->text_len = text.n;
    if (conf_scan(c))
        parse_values(c);
    return c;
}

size_t conf_faults(const struct conf *c) { return c->faults; }

bool conf_readable(const struct conf *c) { return c->root != NULL; }

static int compare_messages(const void *a, const void *b)
{
    const struct conf_message *const *x = a, *const *y = b;
    if ((*x)->line != (*y)->line)
        return (*x)->line < (*y)->line ? -1 : 1;
    if ((*x)->node != (*y)->node)
        return (*x)->node < (*y)->node ? -1 : 1;
    return (*x > *y) - (*x < *y);
}

/* Sorts pointers, so that messages about one value keep their order. */
static void tell_messages(const struct conf *c, conf_tell *fault, conf_tell *warn, void *arg)
{
    const struct conf_message **order = conf_grow(NULL, c->messages + 1, sizeof *order);
    for (size_t i = 0; i < c->messages; i++)
        order[i] = &c->message[i];
    qsort(order, c->messages, sizeof *order, compare_messages);
    for (size_t i = 0; i < c->messages; i++) {
        if (!order[i]->warning)
            fault(arg, order[i]->text);
        else if (warn != NULL)
            warn(arg, order[i]->text);
    }
    if (c->faults > CONF_FAULTS_MAX) {
        char more[64];
        snprintf(more, sizeof more, "and %zu faults more", c->faults - CONF_FAULTS_MAX);
        fault(arg, more);
    }
    free(order);
}

size_t conf_close(struct conf **cp, conf_tell *fault, conf_tell *warn, void *arg)
{
    struct conf *c = *cp;
    *cp = NULL;
    size_t faults = c->faults;
    tell_messages(c, fault, warn, arg);
    for (size_t i = 0; i < c->messages; i++)
        free(c->message[i].text);
    for (uint32_t i = 0; i < c->nodes; i++)
        free(c->node[i].key);
    free(c->message);
    free(c->node);
    free(c->text);
    free(c->name);
    json_object_put(c->root);
    free(c);
    return faults;
}
