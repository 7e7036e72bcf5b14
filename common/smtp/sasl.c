/* The table of mechanisms. */
#include "common/smtp/sasl.h"

static const struct {
    struct span name;
    bool client_first;
} mechanisms[] = {
#define SASL_ROW(id, word, first) { SPAN_LIT(word), (first) },
    SASL_MECHANISMS(SASL_ROW)
#undef SASL_ROW
};
_Static_assert(ARRAY_LEN(mechanisms) == SASL_COUNT, "a row for each mechanism");
_Static_assert(SASL_COUNT <= 32, "mechanisms fit a set");

bool sasl_find(struct span name, enum sasl_mechanism *out)
{
    for (size_t i = 0; i < SASL_COUNT; i++) {
        if (!span_eq_nocase(mechanisms[i].name, name))
            continue;
        *out = (enum sasl_mechanism)i;
        return true;
    }
    return false;
}

const char *sasl_name(enum sasl_mechanism m) { return m < SASL_COUNT ? mechanisms[m].name.p : "?"; }

bool sasl_client_first(enum sasl_mechanism m) { return m < SASL_COUNT && mechanisms[m].client_first; }

bool sasl_takes_initial(enum sasl_mechanism m) { return sasl_client_first(m) || m == SASL_LOGIN; }

void sasl_buf_free(struct buf *b)
{
    if (b->base != NULL)
        explicit_bzero(b->base, b->tail);
    buf_free(b);
}
