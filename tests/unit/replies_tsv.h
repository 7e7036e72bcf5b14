/* Reads the tables of replies: text (lines joined by " / "), class or "accepted", queue id, system. */
#ifndef TESTS_UNIT_REPLIES_TSV_H
#define TESTS_UNIT_REPLIES_TSV_H

#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/reply.h"

struct tsv_row {
    char line[8192], wire[8200];
    const char *text, *class, *queue_id, *system;
    struct smtp_reply reply;
};

/* Tests run in the tree's root; else the table is looked for beside this file. */
static inline FILE *tsv_open(const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "tests/unit/%s", name);
    FILE *f = fopen(path, "r");
    if (!f) {
        snprintf(path, sizeof(path), "%.*s%s", (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__, name);
        f = fopen(path, "r");
    }
    if (!f) {
        perror(path);
        abort();
    }
    return f;
}

/* " / " parts lines only before the same code. */
static inline struct span tsv_wire(const char *text, char *out)
{
    size_t n = 0;
    for (const char *p = text; *p;) {
        if (strncmp(p, " / ", 3) == 0 && strncmp(p + 3, text, 3) == 0 && (p[6] == ' ' || p[6] == '-')) {
            memcpy(out + n, "\r\n", 2);
            n += 2;
            p += 3;
        } else {
            out[n++] = *p++;
        }
    }
    memcpy(out + n, "\r\n", 2);
    return span_of(out, n + 2);
}

static inline bool tsv_next(FILE *f, struct tsv_row *row)
{
    const char *column[4] = { row->line, "", "", "" };
    unsigned count = 1;
    if (!fgets(row->line, sizeof(row->line), f))
        return false;
    row->line[strcspn(row->line, "\n")] = '\0';
    for (char *tab = row->line; count < 4 && (tab = strchr(tab, '\t'));) {
        *tab++ = '\0';
        column[count++] = tab;
    }
    row->text = column[0];
    row->class = column[1];
    row->queue_id = column[2];
    row->system = column[3];
    row->reply = smtp_reply_read(tsv_wire(row->text, row->wire));
    return true;
}

#endif
