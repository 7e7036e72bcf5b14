/* A file of users: what is taken can be found, is of the form that a login can use, and the same text with CR LF or
 * without its last line's end gives the same table. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void on_fault(void *arg, unsigned line, const char *text)
{
    unsigned *count = arg;
    (void)line;
    require(text[0] != '\0' && ++*count <= USERS_FAULTS_MAX);
}

static void check_user(const struct users *u, size_t i)
{
    const struct user *user = &u->list[i];
    require(user->name.n > 0 && user->name.n <= SASL_NAME_MAX && codec_utf8_valid(user->name));
    require(memchr(user->name.p, ':', user->name.n) == NULL && memchr(user->name.p, '\n', user->name.n) == NULL);
    require(users_find(u, user->name) == user);
    if (user->kind == SASL_SECRET_BAD) {
        require(user->secret.n == 0);
        return;
    }
    require(sasl_secret_kind(user->secret) == user->kind);
    require(user->kind != SASL_SECRET_CRYPT || user->secret.p[0] == '$');
    require((sasl_secret_mechanisms(user->kind) & ~u->mechanisms) == 0);
}

static void check_decoy(const struct users *u)
{
    bool found = u->decoy.n == 0;
    for (size_t i = 0; i < u->count; i++)
        found |= span_eq(u->list[i].secret, u->decoy);
    require(found);
}

static void check_same(const struct users *a, const struct users *b)
{
    require(b != NULL && a->count == b->count && a->mechanisms == b->mechanisms && span_eq(a->decoy, b->decoy));
    for (size_t i = 0; i < a->count; i++)
        require(span_eq(a->list[i].name, b->list[i].name) && span_eq(a->list[i].secret, b->list[i].secret));
}

/* Each LF becomes CR LF, and a last line without one gets it. */
static void check_line_ends(const struct users *u, const uint8_t *data, size_t size)
{
    unsigned faults = 0;
    char *text = malloc(2 * size + 2);
    size_t n = 0;
    require(text != NULL);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
            text[n++] = '\r';
        text[n++] = (char)data[i];
    }
    if (size > 0 && data[size - 1] != '\n' && data[size - 1] != '\r')
        text[n++] = '\n';
    struct users *other = users_parse(span_of(text, n), on_fault, &faults);
    check_same(u, other);
    users_free(&other);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned faults = 0;
    struct users *u = users_parse(span_of((const char *)data, size), on_fault, &faults);
    require((u == NULL) == (faults > 0));
    if (u == NULL)
        return 0;
    for (size_t i = 0; i < u->count; i++)
        check_user(u, i);
    check_decoy(u);
    check_line_ends(u, data, size);
    users_free(&u);
    return 0;
}
