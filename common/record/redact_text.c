/* What stands in text: one walk over it, in which each place is asked for an address, a known name, an IP address. What
 * is found is replaced, what lies between is copied. */
#include "common/record/redact_impl.h"

enum { QUOTED_MAX = 1024, BRACKETS_MAX = 1024 };

static bool is_local(char c) { return redact_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL); }
static bool is_domain(char c) { return redact_is_alnum(c) || c == '.' || c == '-' || c == '_'; }

/* What lies before `from` is copied; the caller puts what stands for [from, end). */
void redact_replace(struct redact_walk *w, size_t from, size_t end)
{
    if (!w->addresses_only)
        buf_append(&w->x->text, w->text.p + w->copied, from - w->copied);
    else if (!buf_empty(&w->x->text))
        buf_append(&w->x->text, ", ", 2);
    w->copied = w->at = end;
    w->changed = true;
}

static size_t domain_end(const struct redact_walk *w, size_t i)
{
    if (redact_at(w, i) == '[') {
        size_t end = i + 1;
        while (is_domain(redact_at(w, end)) || redact_at(w, end) == ':')
            end++;
        return redact_at(w, end) == ']' ? end + 1 : i;
    }
    while (i < w->text.n && is_domain(w->text.p[i]))
        i++;
    return i;
}

/* Behind the '@', or what it is called in a URL or in xtext, at i; 0: there is none, or no domain. */
static size_t behind_at(const struct redact_walk *w, size_t i)
{
    bool coded =
        (redact_at(w, i) == '%' || redact_at(w, i) == '+') && redact_at(w, i + 1) == '4' && redact_at(w, i + 2) == '0';
    size_t next = redact_at(w, i) == '@' ? i + 1 : coded ? i + 3 : 0;
    return next < w->text.n && (is_domain(w->text.p[next]) || domain_end(w, next) > next) ? next : 0;
}

/* The end of a local part that begins at i, where an '@' is; else i. */
static size_t local_end(const struct redact_walk *w, size_t i)
{
    size_t end = i, max = min_size(w->text.n, i + QUOTED_MAX);
    if (redact_at(w, i) == '"') {
        for (end++; end < max && w->text.p[end] != '"'; end++)
            end += w->text.p[end] == '\\';
        return redact_at(w, end) == '"' && behind_at(w, end + 1) != 0 ? end + 1 : i;
    }
    while (end < w->text.n && is_local(w->text.p[end]) && (end == i || behind_at(w, end) == 0))
        end++;
    return behind_at(w, end) != 0 ? end : i;
}

static bool is_one_of(struct span word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (span_eq_nocase(word, span_str(list[i])))
            return true;
    }
    return false;
}

/* "AUTH=bob", "id=bob": the key is not of the local part. Of any other '=' both sides are: many a sender's address has
 * that of the recipient in it. */
static size_t behind_key(const struct redact_walk *w, size_t from, size_t end)
{
    static const char *const keys[] = { "auth",   "id",   "from",      "to",   "user", "login",
                                        "sender", "rcpt", "recipient", "helo", "name", "email" };
    const char *sign = memchr(w->text.p + from, '=', end - from);
    size_t key = sign != NULL ? (size_t)(sign - w->text.p) : from;
    return key + 1 < end && is_one_of(redact_part(w, from, key), keys, ARRAY_LEN(keys)) ? key + 1 : from;
}

void redact_put_whole(struct redact *x, struct span address)
{
    struct span local, domain;
    redact_split(address, &local, &domain);
    redact_put_address(x, local, domain, x->rules.addresses);
}

/* All of it is what take_address() would take. */
static bool is_plain(struct span address)
{
    const char *sign = address.n > 0 ? memchr(address.p, '@', address.n) : NULL;
    size_t n = sign != NULL ? (size_t)(sign - address.p) : 0;
    for (size_t i = 0; i < address.n; i++) {
        if (i != n && !(i < n ? is_local(address.p[i]) : is_domain(address.p[i])))
            return false;
    }
    return n > 0 && n + 1 < address.n;
}

bool redact_know_address(struct redact *x, struct span address)
{
    if (x->rules.addresses == REDACT_KEEP || address.n == 0 || is_plain(address) || x->addresses == REDACT_NAMES_MAX)
        return false;
    x->address[x->addresses++] = address;
    return true;
}

static const struct mailbox *find_mailbox(const struct redact_walk *w, size_t i)
{
    const struct mailbox *b = mailboxes_find(w->x->own_mailboxes, w->text, i);
    return b != NULL ? b : mailboxes_find(w->x->mailboxes, w->text, i);
}

static void put_mailbox(struct redact *x, const struct mailbox *b)
{
    struct span local, domain;
    redact_split(b->address, &local, &domain);
    redact_put_local(x, local, domain);
}

static bool take_mailbox(struct redact_walk *w)
{
    const struct mailbox *b = w->reply && w->at >= w->said ? find_mailbox(w, w->at) : NULL;
    if (b == NULL)
        return false;
    redact_replace(w, w->at, w->at + b->name.n);
    put_mailbox(w->x, b);
    return true;
}

/* It is shown as in its own field. */
static bool take_message_id(struct redact_walk *w)
{
    struct span id = w->x->message_id;
    size_t end = w->at + id.n;
    if (!w->reply || id.n == 0 || w->text.n < end || memcmp(w->text.p + w->at, id.p, id.n) != 0 ||
        (w->at > 0 && w->text.p[w->at - 1] != ' ') || (end < w->text.n && w->text.p[end] != ' '))
        return false;
    redact_replace(w, w->at, end);
    buf_append_span(&w->x->text, w->x->shown_id);
    return true;
}

/* What stands between brackets is one address, whatever signs it has, or a local part alone. Not what stands for one
 * in the texts of servers, nor a source route before it. */
static bool take_brackets(struct redact_walk *w)
{
    static const char *const words[] = { "CR", "LF", "CRLF", "NUL", "SP", "address", "domain", "hostname" };
    size_t from = w->at + 1, end = from, max = min_size(w->text.n, from + BRACKETS_MAX);
    bool local = true, sign = false;
    if (redact_at(w, w->at) != '<')
        return false;
    for (; end < max && w->text.p[end] != '>' && w->text.p[end] != '<'; end++) {
        local &= is_local(w->text.p[end]);
        sign |= w->text.p[end] == '@';
    }
    struct span inside = redact_part(w, from, end);
    if (end == max || w->text.p[end] != '>' || inside.n == 0 || is_plain(inside) || inside.p[0] == '@' ||
        (!sign && !local && inside.p[0] != '"') || is_one_of(inside, words, ARRAY_LEN(words)))
        return false;
    const struct mailbox *b = find_mailbox(w, from);
    redact_replace(w, from, end);
    if (b != NULL && b->name.n == inside.n)
        put_mailbox(w->x, b);
    else
        redact_put_whole(w->x, inside);
    return true;
}

static bool take_address(struct redact_walk *w)
{
    size_t from = w->at, end = local_end(w, from);
    if (end == from)
        return false;
    size_t domain = behind_at(w, end), stop = domain_end(w, domain);
    for (size_t next; (next = behind_at(w, stop)) != 0; stop = domain_end(w, next)) {
        end = stop; /* what has two '@' is cut at the last */
        domain = next;
    }
    from = behind_key(w, from, end);
    struct span local = redact_part(w, from, end), name = redact_part(w, domain, stop);
    while (name.n > 1 && name.p[name.n - 1] == '.') {
        name.n--;
        stop--;
    }
    redact_replace(w, from, stop);
    redact_put_address(w->x, local, name, w->x->rules.addresses);
    return true;
}

/* Letters may be of any case; where there is a NUL, no comparison of strings will do. */
static bool begins(struct span text, struct span word)
{
    bool nul = memchr(word.p, '\0', word.n) != NULL;
    return nul ? text.n >= word.n && memcmp(text.p, word.p, word.n) == 0 : span_begins_nocase(text, word);
}

/* A word stands here and ends here; its own ends may be anything. */
static bool is_word(const struct redact_walk *w, struct span word)
{
    size_t i = w->at;
    return word.n > 0 && begins(span_skip(w->text, i), word) &&
           (i == 0 || i == w->copied || !redact_is_alnum(w->text.p[i - 1]) || !redact_is_alnum(word.p[0])) &&
           (!redact_is_alnum(redact_at(w, i + word.n)) || !redact_is_alnum(word.p[word.n - 1]));
}

/* Of a word that stands here. What begins with an address may be another's: "a b@c@d". */
static size_t end_of(const struct redact_walk *w, struct span word)
{
    size_t end = w->at + word.n;
    bool address = memchr(word.p, '@', word.n) != NULL;
    for (size_t next; address && (next = behind_at(w, end)) != 0;)
        end = domain_end(w, next);
    return end;
}

static bool take_known(struct redact_walk *w)
{
    for (unsigned i = 0; i < w->x->addresses; i++) {
        struct span address = w->x->address[i];
        if (is_word(w, address)) {
            redact_replace(w, w->at, end_of(w, address));
            redact_put_whole(w->x, address);
            return true;
        }
    }
    return false;
}

static bool take_name(struct redact_walk *w)
{
    struct redact *x = w->x;
    for (unsigned i = 0; i < x->client_names; i++) {
        if (is_word(w, x->client_name[i])) {
            struct span name = x->client_name[i];
            redact_replace(w, w->at, w->at + name.n);
            redact_put_name(x, name);
            return true;
        }
    }
    for (unsigned i = 0; i < x->users; i++) {
        if (is_word(w, x->user[i])) {
            struct span user = x->user[i];
            redact_replace(w, w->at, end_of(w, user));
            redact_put_user(x, user);
            return true;
        }
    }
    return false;
}

/* Local parts begin where a run of their signs does, so that no address is taken without its beginning. */
static bool begins_local(const struct redact_walk *w)
{
    size_t i = w->at;
    return redact_at(w, i) == '"' ||
           (is_local(w->text.p[i]) && (i == 0 || i == w->copied || !is_local(w->text.p[i - 1])));
}

void redact_walk(struct redact_walk *w)
{
    bool addresses = !w->domain && w->x->rules.addresses != REDACT_KEEP;
    while (w->at < w->text.n) {
        if (UNLIKELY(w->reply) && take_message_id(w))
            continue;
        if (addresses && (take_known(w) || take_brackets(w) || (begins_local(w) && take_address(w)) || take_mailbox(w)))
            continue;
        if ((!w->addresses_only && take_name(w)) || redact_take_ip(w))
            continue;
        w->at++;
    }
}

/* In a Message-ID a mailbox is one where it would be in an address. */
static bool take_mailbox_of_id(struct redact_walk *w)
{
    const struct mailbox *b = find_mailbox(w, w->at);
    size_t end = w->at + (b != NULL ? b->name.n : 0);
    if (b == NULL || (behind_at(w, end) == 0 && redact_at(w, end) != '='))
        return false;
    redact_replace(w, w->at, end);
    put_mailbox(w->x, b);
    return true;
}

struct span redact_message_id(struct redact *x, struct span id)
{
    struct redact_walk w = { .x = x, .text = id };
    bool addresses = x->rules.addresses != REDACT_KEEP;
    while (w.at < id.n) {
        if ((addresses && (take_known(&w) || take_mailbox_of_id(&w))) || take_name(&w) || redact_take_client_ip(&w))
            continue;
        w.at++;
    }
    if (!w.changed)
        return id;
    buf_append_span(&x->text, span_skip(id, w.copied));
    return redact_take(x);
}

void redact_put_domain(struct redact *x, struct span domain)
{
    struct redact_walk w = { .x = x, .text = domain, .domain = true };
    redact_walk(&w);
    buf_append_span(&x->text, span_skip(domain, w.copied));
}

struct span redact_take(struct redact *x)
{
    struct span kept = arena_copy(x->mem, buf_span(&x->text));
    buf_consume(&x->text, buf_len(&x->text));
    return kept;
}

struct span redact_addresses_of(struct redact *x, struct span text)
{
    struct redact_walk w = { .x = x, .text = text, .addresses_only = true };
    redact_walk(&w);
    if (!w.changed && text.n > 0)
        redact_put_star(&w);
    return redact_take(x);
}
