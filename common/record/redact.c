/* Fields. What a field holds decides: an address, the client, a user, a subject; the words of closed sets and ids stay;
 * all other text is searched. A record of the server itself (its listeners, its configuration) tells nothing of
 * anybody. */
#include "common/record/redact.h"

#include <stdlib.h>

#include "common/digest/digest.h"
#include "common/record/redact_impl.h"

enum field {
    FIELD_TEXT,
    FIELD_WORD, /* stays */
    FIELD_ADDRESS,
    FIELD_DOMAIN,
    FIELD_HOST,
    FIELD_NAME,
    FIELD_USER,
    FIELD_SUBJECT,
    FIELD_MESSAGE_ID, /* loses what other fields hide */
};
/* clang-format off */
static const enum field FIELD_OF[KEY_COUNT] = {
    [KEY_COMPONENT] = FIELD_WORD,  [KEY_CID] = FIELD_WORD,        [KEY_TID] = FIELD_WORD,
    [KEY_SIDE] = FIELD_WORD,       [KEY_LISTENER] = FIELD_WORD,   [KEY_LOCAL_HOST] = FIELD_WORD,
    [KEY_SERVER] = FIELD_WORD,     [KEY_STATUS] = FIELD_WORD,     [KEY_STAGE] = FIELD_WORD,
    [KEY_QUEUE_ID] = FIELD_WORD,   [KEY_CIPHER] = FIELD_WORD,     [KEY_VERSION] = FIELD_WORD,
    [KEY_CLASS] = FIELD_WORD,      [KEY_DECIDED_BY] = FIELD_WORD, [KEY_PROTOCOL] = FIELD_WORD,
    [KEY_COMMAND] = FIELD_WORD,    [KEY_REASON] = FIELD_WORD,     [KEY_MESSAGE_ID] = FIELD_MESSAGE_ID,
    [KEY_ENHANCED] = FIELD_WORD,   [KEY_OUTPUT] = FIELD_WORD,     [KEY_BODY] = FIELD_WORD,
    [KEY_MAIL_FROM] = FIELD_ADDRESS, [KEY_RCPT_TO] = FIELD_ADDRESS, [KEY_ADDRESS] = FIELD_ADDRESS,
    [KEY_RCPT_DOMAIN] = FIELD_DOMAIN,
    [KEY_HOST] = FIELD_HOST,       [KEY_PROXY] = FIELD_HOST,      [KEY_HOSTNAME] = FIELD_NAME,
    [KEY_USER] = FIELD_USER,       [KEY_USERNAME] = FIELD_USER,   [KEY_AUTHZID] = FIELD_USER,
    [KEY_CLIENT_CERT] = FIELD_USER,
    [KEY_METHOD] = FIELD_WORD,     [KEY_RESULT] = FIELD_WORD,
    [KEY_SUBJECT] = FIELD_SUBJECT,
};
/* clang-format on */

struct redact *redact_new(const struct redact_rules *rules, struct span key)
{
    struct redact *x = calloc(1, sizeof(*x));
    if (x == NULL)
        abort();
    x->rules = *rules;
    if (key.n > 0)
        x->hmac = digest_hmac_new(key);
    if (rules->addresses != REDACT_KEEP)
        x->own_mailboxes = mailboxes_new();
    buf_init(&x->text, NULL);
    return x;
}

void redact_free(struct redact **x)
{
    if (*x == NULL)
        return;
    digest_hmac_free(&(*x)->hmac);
    mailboxes_free(&(*x)->own_mailboxes);
    buf_free(&(*x)->text);
    free(*x);
    *x = NULL;
}

bool redact_hides_addresses(const struct redact *x) { return x->rules.addresses != REDACT_KEEP; }

/* What a record is of: its host may be the server's. */
struct stage {
    struct redact *x;
    enum tnx tnx;
    unsigned depth;
    bool upstream;
    enum field attribute; /* what the `xclientKey` before says that the `xclient` is */
};

static bool is_of_server(enum tnx tnx)
{
    return tnx == TNX_LISTEN || tnx == TNX_DROPPED || tnx == TNX_RELOAD || tnx == TNX_CLOSING || tnx == TNX_CLOSED;
}

/* Of XCLIENT's and XFORWARD's attributes; all others are text. */
static enum field attribute_field(struct span name)
{
    if (span_eq_nocase(name, SPAN_LIT("ADDR")))
        return FIELD_HOST;
    if (span_eq_nocase(name, SPAN_LIT("NAME")))
        return FIELD_NAME;
    return span_eq_nocase(name, SPAN_LIT("LOGIN")) ? FIELD_USER : FIELD_TEXT;
}

static bool is_servers_host(const struct stage *s)
{
    return s->depth > 0 || (s->upstream && (s->tnx == TNX_CONNECTION || s->tnx == TNX_CLOSE || s->tnx == TNX_ERROR));
}

static enum field field_of(const struct stage *s, const struct record_field *f)
{
    enum field field = f->key < KEY_COUNT ? FIELD_OF[f->key] : FIELD_TEXT;
    if (f->name.n > 0)
        return FIELD_TEXT;
    if (f->key == KEY_XCLIENT || f->key == KEY_XFORWARD) {
        bool none = f->type == REC_STR && f->str.n > 0 && f->str.p[0] == '['; /* [UNAVAILABLE] */
        return none ? FIELD_TEXT : s->attribute;
    }
    if (field == FIELD_HOST && is_servers_host(s))
        return FIELD_WORD;
    if (field == FIELD_SUBJECT && s->depth > 0)
        return FIELD_USER; /* of the upstream's certificate, as that of the client's */
    return field;
}

static void add_name(struct span *list, unsigned *n, struct span name)
{
    if (name.n > 0 && *n < REDACT_NAMES_MAX)
        list[(*n)++] = name;
}

/* "192.0.2.1", "192.0.2.1:25", "[2001:db8::1]:25". */
static void add_ours(struct redact *x, struct span text)
{
    struct netaddr bare;
    const char *port = text.n > 0 ? memrchr(text.p, ':', text.n) : NULL;
    if (port != NULL && !netaddr_parse_ip(&bare, text)) {
        text.n = (size_t)(port - text.p);
        if (text.n > 1 && text.p[0] == '[')
            text = span_of(text.p + 1, text.n - 2);
    }
    if (x->our_count < REDACT_OURS_MAX && netaddr_parse_ip(&x->ours[x->our_count], text))
        x->our_count++;
}

static void learn_address(struct redact *x, struct span address)
{
    redact_know_address(x, address);
    if (x->own_mailboxes != NULL)
        mailboxes_add(x->own_mailboxes, address);
}

/* Whom the texts of this record may name. */
static void learn_field(struct stage *s, const struct record_field *f)
{
    struct redact *x = s->x;
    enum field field = field_of(s, f);
    if (f->key == KEY_XCLIENT_KEY || f->key == KEY_XFORWARD_KEY)
        s->attribute = attribute_field(f->str);
    if (f->key == KEY_SIDE)
        s->upstream = span_eq(f->str, SPAN_LIT("upstream"));
    else if (field == FIELD_NAME && x->rules.client_ip != REDACT_KEEP)
        add_name(x->client_name, &x->client_names, f->str);
    else if (field == FIELD_ADDRESS)
        learn_address(x, f->str);
    else if (field == FIELD_MESSAGE_ID)
        x->message_id = f->str;
    else if (field == FIELD_USER && redact_user_how(x, f->str) != REDACT_KEEP)
        add_name(x->user, &x->users, f->str);
    else if (field == FIELD_HOST && f->key == KEY_HOST && !netaddr_parse_ip(&x->client, f->str))
        x->client.family = NETADDR_NONE;
    else if (field == FIELD_WORD && (f->key == KEY_LOCAL_HOST || f->key == KEY_HOST || f->key == KEY_SERVER))
        add_ours(x, f->str);
}

static void learn_rcpts(struct redact *x, const struct record_field *f)
{
    if (f->type == REC_RCPT_TO && f->rcpts.n == 1)
        redact_know_address(x, f->rcpts.p[0].address);
    for (size_t i = 0; x->own_mailboxes != NULL && i < f->rcpts.n; i++)
        mailboxes_add(x->own_mailboxes, f->rcpts.p[i].address);
}

static void learn(struct stage *s, const struct record *in)
{
    struct redact *x = s->x;
    x->client_names = x->users = x->addresses = x->our_count = 0;
    x->client.family = NETADDR_NONE;
    x->mailboxes = in->mailboxes;
    x->message_id = SPAN_NONE;
    if (x->own_mailboxes != NULL)
        mailboxes_clear(x->own_mailboxes);
    if (x->rules.client_ip != REDACT_KEEP)
        add_name(x->client_name, &x->client_names, in->client_name);
    if (redact_user_how(x, in->login_name) != REDACT_KEEP)
        add_name(x->user, &x->users, in->login_name);
    for (unsigned i = 0; i < in->count; i++) {
        const struct record_field *f = &in->field[i];
        s->depth += f->type == REC_OPEN || f->type == REC_OPEN_LIST;
        s->depth -= f->type == REC_CLOSE || f->type == REC_CLOSE_LIST;
        if (f->type == REC_STR)
            learn_field(s, f);
        else if (f->type == REC_RCPT_TO || f->type == REC_RECIPIENTS)
            learn_rcpts(x, f);
    }
    x->shown_id = redact_message_id(x, x->message_id);
}

static struct span put_address(struct redact *x, struct span address)
{
    if (address.n == 0)
        return address;
    redact_put_whole(x, address);
    return redact_take(x);
}

static struct span put_host(struct redact *x, struct span host)
{
    struct netaddr ip;
    if (!netaddr_parse_ip(&ip, host))
        return host;
    redact_put_ip(x, &ip);
    return redact_take(x);
}

/* The rule that a field is under; KEEP: it is text like any other. */
static enum redact_how rule_of(const struct redact *x, enum field field, struct span s)
{
    switch (field) {
    case FIELD_ADDRESS:
    case FIELD_DOMAIN:
        return x->rules.addresses;
    case FIELD_HOST:
    case FIELD_NAME:
        return x->rules.client_ip;
    case FIELD_USER:
        return redact_user_how(x, s);
    case FIELD_SUBJECT:
        return x->rules.subject;
    case FIELD_MESSAGE_ID:
    case FIELD_TEXT:
    case FIELD_WORD:
        break;
    }
    return REDACT_KEEP;
}

static struct span put_value(struct redact *x, enum field field, struct span s)
{
    switch (field) {
    case FIELD_ADDRESS:
        return put_address(x, s);
    case FIELD_DOMAIN:
        redact_put_domain(x, s);
        return redact_take(x);
    case FIELD_HOST:
        return put_host(x, s);
    case FIELD_NAME:
        redact_put_name(x, s);
        return redact_take(x);
    case FIELD_USER:
        redact_put_user(x, s);
        return redact_take(x);
    case FIELD_SUBJECT:
        redact_put_subject(x, s);
        return redact_take(x);
    case FIELD_MESSAGE_ID:
    case FIELD_TEXT:
    case FIELD_WORD:
        break;
    }
    return s;
}

/* Headers that are lists of people. */
static bool is_address_header(struct span name)
{
    static const char *const words[] = { "from",
                                         "sender",
                                         "reply-to",
                                         "to",
                                         "cc",
                                         "bcc",
                                         "return-path",
                                         "errors-to",
                                         "resent-from",
                                         "resent-sender",
                                         "resent-to",
                                         "resent-cc",
                                         "resent-bcc",
                                         "delivered-to",
                                         "x-original-to",
                                         "envelope-to",
                                         "disposition-notification-to" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_eq_nocase(name, span_str(words[i])))
            return true;
    }
    return false;
}

/* A server's words, or with our own before ": ". */
static bool may_be_reply(enum tnx tnx, enum record_key key)
{
    if (key == KEY_MSG)
        return tnx == TNX_SEND || tnx == TNX_RCPT || tnx == TNX_MESSAGE || tnx == TNX_ERROR || tnx == TNX_POLICY;
    return key == KEY_SMTP_RESPONSE || key == KEY_REPLY || key == KEY_LINES || key == KEY_MESSAGE;
}

static struct span put_free_text(const struct stage *s, enum record_key key, struct span text)
{
    if (!may_be_reply(s->tnx, key))
        return redact_text(s->x, text);
    const char *sign = key == KEY_MSG && text.n > 0 ? memmem(text.p, text.n, ": ", 2) : NULL;
    size_t said = sign != NULL ? (size_t)(sign + 2 - text.p) : key == KEY_MSG ? text.n : 0;
    return redact_reply(s->x, text, said);
}

static struct span put_text(const struct stage *s, const struct record_field *f, struct span text)
{
    if (s->x->rules.addresses != REDACT_KEEP && is_address_header(f->name))
        return redact_addresses_of(s->x, text);
    if (f->name.n > 0)
        return redact_text(s->x, text);
    return f->key == KEY_LINE ? redact_command(s->x, text) : put_free_text(s, f->key, text);
}

/* False: the field goes. A null sender is nobody's address. */
static bool put_str(struct stage *s, enum field field, struct record_field *f)
{
    enum redact_how how = rule_of(s->x, field, f->str);
    if (f->key == KEY_XCLIENT_KEY || f->key == KEY_XFORWARD_KEY)
        s->attribute = attribute_field(f->str);
    if (how == REDACT_KEEP)
        f->str = field == FIELD_WORD ? f->str : field == FIELD_MESSAGE_ID ? s->x->shown_id : put_text(s, f, f->str);
    else if (how == REDACT_DROP && f->str.n > 0)
        return false;
    else
        f->str = put_value(s->x, field, f->str);
    return true;
}

/* Addresses stand across the borders of pieces. */
static void put_cat(const struct stage *s, struct record_field *f)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < f->strs.n; i++)
        n += f->strs.p[i].n;
    char *whole = arena_bytes(s->x->mem, n);
    for (size_t i = 0; i < f->strs.n; i++) {
        if (f->strs.p[i].n > 0)
            memcpy(whole + at, f->strs.p[i].p, f->strs.p[i].n);
        at += f->strs.p[i].n;
    }
    f->type = REC_STR;
    f->str = put_free_text(s, f->key, span_of(whole, n));
}

static void put_strs(struct redact *x, struct record_field *f)
{
    struct span *list = arena_alloc(x->mem, f->strs.n * sizeof(*list));
    for (size_t i = 0; i < f->strs.n; i++)
        list[i] = redact_text(x, f->strs.p[i]);
    f->strs.p = list;
}

static void put_reply(struct redact *x, struct record_field *f)
{
    const struct smtp_reply *reply = f->reply;
    struct span line, *list = arena_alloc(x->mem, (reply->wire.n / 3 + 1) * sizeof(*list));
    size_t pos = 0, n = 0;
    while (smtp_reply_line(reply, &pos, true, &line))
        list[n++] = redact_reply(x, line, 0);
    f->type = REC_STRS;
    f->strs.p = list;
    f->strs.n = n;
}

/* An address that is dropped leaves its member. */
static bool put_rcpts(struct redact *x, struct record_field *f)
{
    bool keep = x->rules.addresses == REDACT_KEEP, drop = x->rules.addresses == REDACT_DROP;
    struct record_rcpt *list = arena_alloc(x->mem, f->rcpts.n * sizeof(*list));
    if (drop && f->type == REC_RCPT_TO)
        return false;
    for (size_t i = 0; i < f->rcpts.n; i++) {
        list[i] = f->rcpts.p[i];
        bool known = f->type == REC_RECIPIENTS && redact_know_address(x, list[i].address);
        list[i].hidden = drop;
        if (!drop)
            list[i].address = keep ? redact_text(x, list[i].address) : put_address(x, list[i].address);
        if (f->type == REC_RECIPIENTS)
            list[i].reply = redact_reply(x, list[i].reply, 0);
        x->addresses -= known;
    }
    f->rcpts.p = list;
    return true;
}

static bool put_field(struct stage *s, struct record_field *f)
{
    enum field field = field_of(s, f);
    switch (f->type) {
    case REC_STR:
        return put_str(s, field, f);
    case REC_CAT:
        if (rule_of(s->x, field, SPAN_NONE) == REDACT_DROP)
            return false;
        put_cat(s, f);
        return field == FIELD_TEXT || put_str(s, field, f);
    case REC_STRS:
        put_strs(s->x, f);
        return true;
    case REC_REPLY:
        put_reply(s->x, f);
        return true;
    case REC_RCPT_TO:
    case REC_RECIPIENTS:
        return put_rcpts(s->x, f);
    case REC_OPEN:
    case REC_OPEN_LIST:
        s->depth++;
        return true;
    case REC_CLOSE:
    case REC_CLOSE_LIST:
        s->depth--;
        return true;
    case REC_INT:
    case REC_BOOL:
    case REC_MS:
    case REC_NULL:
        return true;
    }
    return true;
}

void redact_record(struct redact *x, struct record *out, const struct record *in, struct arena *mem)
{
    struct stage s = { .x = x, .tnx = in->tnx };
    record_begin(out, in->tnx, in->time);
    x->mem = mem;
    learn(&s, in);
    for (unsigned i = 0; i < in->count; i++) {
        struct record_field *f = &out->field[out->count];
        *f = in->field[i];
        if (is_of_server(in->tnx) || put_field(&s, f))
            out->count++;
    }
}
