/* What the tests of settings share: the faults that were told, as one text. */
#ifndef TESTS_UNIT_SETTINGS_TOLD_H
#define TESTS_UNIT_SETTINGS_TOLD_H

#include "proxy/settings.h"

#include <stdio.h>

struct told {
    char text[16384];
    unsigned count;
};

static inline void tell(void *arg, const char *text)
{
    struct told *t = arg;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s%s", n > 0 ? "\n" : "", text);
    t->count++;
}

static inline void expect_faults_with(const char *text, const char *listen, const char *upstream, const char *faults)
{
    struct told told = { .count = 0 };
    struct settings *s = settings_load_text("t.json", span_str(text), listen, upstream, tell, &told);
    if (strcmp(told.text, faults) != 0)
        print_error("text: %s\n", text);
    assert_string_equal(told.text, faults);
    assert_null(s);
}

#endif
