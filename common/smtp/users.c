/* One copy of the text holds all; names and secrets are spans of it, the table is sorted by name. What is wrong is told
 * by line, and all of it, so that a person mends a file in one go. */
#include "common/smtp/users.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"

enum { CRYPT_MAX = 384, CRYPT_TAIL_MIN = 22 };

struct parser {
    struct users *u;
    size_t room;
    users_fault *fault;
    void *arg;
    unsigned line, faults;
};

static void *checked(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static void complain_at(struct parser *p, unsigned line, const char *text)
{
    if (++p->faults < USERS_FAULTS_MAX)
        p->fault(p->arg, line, text);
    else if (p->faults == USERS_FAULTS_MAX)
        p->fault(p->arg, line, "and there are more faults");
}

static void complain(struct parser *p, const char *text) { complain_at(p, p->line, text); }

/* C0, DEL, C1. */
static bool has_control(struct span s)
{
    uint32_t c;
    for (size_t i = 0, n; i < s.n; i += n) {
        n = codec_utf8_step(s.p + i, s.n - i, &c);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            return true;
    }
    return false;
}

static const char *name_problem(struct span name)
{
    if (name.n == 0)
        return "there is no user before the colon";
    if (name.n > SASL_NAME_MAX)
        return "the user's name is longer than 255 octets";
    if (!codec_utf8_valid(name) || has_control(name))
        return "the user's name is not UTF-8, or has control characters";
    if (span_trim(name).n != name.n)
        return "the user's name begins or ends with a blank";
    return NULL;
}

/* What crypt(3) makes: "$id$...$hash". A password in clear that was put here by mistake is not of that form. */
static const char *crypt_problem(struct span s)
{
    size_t tail = 0;
    if (s.n < 3 || s.p[0] != '$')
        return "the secret is not a hash of crypt(3) (\"$y$...\"); a password in clear needs {PLAIN} before it";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr(":;*!\\", c) != NULL)
            return "the hash has a character that crypt(3) doesn't make (no blanks, no further fields)";
        tail = c == '$' ? 0 : tail + 1;
    }
    if (s.n > CRYPT_MAX || tail < CRYPT_TAIL_MIN)
        return "the hash is not whole";
    return NULL;
}

/* Dovecot's names for what crypt(3) knows by its prefix. */
static struct span strip_crypt(struct span secret)
{
    static const struct span NAMES[] = { SPAN_LIT("{CRYPT}"), SPAN_LIT("{SHA512-CRYPT}"), SPAN_LIT("{SHA256-CRYPT}"),
                                         SPAN_LIT("{BLF-CRYPT}"), SPAN_LIT("{MD5-CRYPT}") };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (span_begins_nocase(secret, NAMES[i]))
            return span_skip(secret, NAMES[i].n);
    }
    return secret;
}

static const char *read_secret(struct user *user, struct span secret)
{
    if (secret.n == 0)
        return "there is no secret behind the colon";
    if (span_eq(secret, SPAN_LIT("*")))
        return NULL;
    user->secret = strip_crypt(secret);
    if (user->secret.n == 0 || user->secret.p[0] != '{') {
        user->kind = SASL_SECRET_CRYPT;
        return crypt_problem(user->secret);
    }
    user->kind = sasl_secret_kind(user->secret);
    switch (user->kind) {
    case SASL_SECRET_PLAIN:
    case SASL_SECRET_SCRAM:
        return has_control(user->secret) ? "the secret has control characters" : NULL;
    case SASL_SECRET_CRYPT:
    case SASL_SECRET_BAD:
        break;
    }
    return "the secret is empty, malformed, or of another scheme than {PLAIN}, {SCRAM-SHA-256}, {CRYPT}";
}

static void add_user(struct parser *p, const struct user *user)
{
    struct users *u = p->u;
    if (u->count == p->room) {
        p->room = p->room > 0 ? 2 * p->room : 64;
        u->list = checked(realloc(u->list, p->room * sizeof(*u->list)));
    }
    u->list[u->count++] = *user;
}

static void read_line(struct parser *p, struct span line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n > USERS_LINE_MAX) {
        complain(p, "the line is longer than 4096 octets");
        return;
    }
    if (span_trim(line).n == 0 || line.p[0] == '#')
        return;
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL) {
        complain(p, "there is no colon: a line is user:secret");
        return;
    }
    size_t n = (size_t)(colon - line.p);
    struct user user = { .name = span_of(line.p, n), .line = p->line };
    const char *problem = name_problem(user.name);
    if (problem == NULL)
        problem = read_secret(&user, span_skip(line, n + 1));
    if (problem == NULL)
        add_user(p, &user);
    else
        complain(p, problem);
}

static void read_lines(struct parser *p)
{
    static const struct span BOM = SPAN_LIT("\xef\xbb\xbf");
    struct span rest = span_of(p->u->text, p->u->size);
    if (span_begins_nocase(rest, BOM))
        rest = span_skip(rest, BOM.n);
    while (rest.n > 0) {
        const char *lf = memchr(rest.p, '\n', rest.n);
        size_t n = lf != NULL ? (size_t)(lf - rest.p) : rest.n;
        p->line++;
        read_line(p, span_head(rest, n));
        rest = span_skip(rest, n + (lf != NULL));
    }
}

static int compare_spans(struct span a, struct span b)
{
    size_t n = min_size(a.n, b.n);
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

/* Equal names in the order of their lines. */
static int compare_users(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    int order = compare_spans(x->name, y->name);
    return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static int compare_lines(const void *a, const void *b)
{
    const struct user *x = *(const struct user *const *)a, *y = *(const struct user *const *)b;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Told in the order of the lines. */
static void find_doubles(struct parser *p)
{
    struct users *u = p->u;
    const struct user **twice = checked(malloc((u->count + 1) * sizeof(*twice)));
    size_t n = 0;
    for (size_t i = 1; i < u->count; i++) {
        if (span_eq(u->list[i].name, u->list[i - 1].name))
            twice[n++] = &u->list[i];
    }
    if (n > 0)
        qsort(twice, n, sizeof(struct user *), compare_lines);
    for (size_t i = 0; i < n; i++)
        complain_at(p, twice[i]->line, "this user is in the file already");
    free(twice);
}

/* --- what most of them have --- */

static size_t index_of(struct span s, size_t from, char c)
{
    const char *at = from < s.n ? memchr(s.p + from, c, s.n - from) : NULL;
    return at != NULL ? (size_t)(at - s.p) : s.n;
}

/* What of a secret tells how long it takes to check: the method and its cost, not the salt. */
static struct span cost_of(struct span secret, enum sasl_secret_kind kind)
{
    switch (kind) {
    case SASL_SECRET_BAD:
        return SPAN_NONE;
    case SASL_SECRET_PLAIN:
        return SPAN_LIT("{PLAIN}");
    case SASL_SECRET_SCRAM:
        return span_head(secret, index_of(secret, 0, ','));
    case SASL_SECRET_CRYPT:
        break;
    }
    size_t id = index_of(secret, 1, '$'), second = index_of(secret, id + 1, '$');
    struct span method = span_of(secret.p + 1, id - 1), param = span_skip(span_head(secret, second), id + 1);
    bool has_cost = memchr("2yg7", method.n > 0 ? method.p[0] : '-', 4) != NULL || index_of(param, 0, '=') < param.n;
    return span_head(secret, has_cost ? second : id);
}

static int compare_costs(const void *a, const void *b)
{
    return compare_spans(*(const struct span *)a, *(const struct span *)b);
}

/* The cost that most have; of equals the first in order, so that it doesn't change from one reading to the next. */
static struct span commonest(struct span *cost, size_t n)
{
    struct span best = SPAN_NONE;
    size_t most = 0, run = 0;
    qsort(cost, n, sizeof(*cost), compare_costs);
    for (size_t i = 0; i < n; i++) {
        run = i > 0 && span_eq(cost[i], cost[i - 1]) ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = cost[i];
        }
    }
    return best;
}

static void choose_decoy(struct users *u)
{
    struct span *cost = checked(malloc((u->count + 1) * sizeof(*cost)));
    size_t n = 0;
    for (size_t i = 0; i < u->count; i++) {
        if (u->list[i].kind != SASL_SECRET_BAD)
            cost[n++] = cost_of(u->list[i].secret, u->list[i].kind);
    }
    struct span best = n > 0 ? commonest(cost, n) : SPAN_NONE;
    for (size_t i = 0; i < u->count && n > 0; i++) {
        const struct user *user = &u->list[i];
        if (user->kind == SASL_SECRET_BAD || !span_eq(cost_of(user->secret, user->kind), best))
            continue;
        u->decoy = user->secret;
        break;
    }
    free(cost);
}

struct users *users_parse(struct span text, users_fault *fault, void *arg)
{
    struct parser p = { .u = checked(calloc(1, sizeof(*p.u))), .fault = fault, .arg = arg };
    p.u->text = checked(malloc(text.n + 1));
    p.u->size = text.n;
    if (text.n > 0)
        memcpy(p.u->text, text.p, text.n);
    read_lines(&p);
    if (p.u->count > 0)
        qsort(p.u->list, p.u->count, sizeof(*p.u->list), compare_users);
    find_doubles(&p);
    if (p.faults > 0) {
        users_free(&p.u);
        return NULL;
    }
    for (size_t i = 0; i < p.u->count; i++) {
        if (p.u->list[i].kind != SASL_SECRET_BAD)
            p.u->mechanisms |= sasl_secret_mechanisms(p.u->list[i].kind);
    }
    choose_decoy(p.u);
    return p.u;
}

const struct user *users_find(const struct users *u, struct span name)
{
    size_t low = 0, high = u->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_spans(name, u->list[middle].name);
        if (order == 0)
            return &u->list[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void users_free(struct users **up)
{
    struct users *u = *up;
    *up = NULL;
    if (u == NULL)
        return;
    explicit_bzero(u->text, u->size);
    free(u->text);
    free(u->list);
    free(u);
}
