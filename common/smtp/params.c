/* Parameters of MAIL and RCPT: one table, one loop; each row has the function that reads its value. A value is judged
 * as far as its RFC's grammar goes, and xtext is decoded to look for what P9 forbids; what is kept, and what is copied
 * for the upstream, are the client's own bytes. */
#include "common/smtp/params.h"

#include "common/codec.h"
#include "common/smtp/path.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500, DECODED_MAX = 1024 };

/* One parameter; value.p is NULL where there is no '='. */
struct param {
    struct span name, value;
};

/* What the rows write to: of mail and rcpt only that of the command at hand is set. */
struct reading {
    struct smtp_mail_params *mail;
    struct smtp_rcpt_params *rcpt;
    smtp_cap_set offered;
};

static enum smtp_param_fault good_if(bool good) { return good ? SMTP_PARAM_OK : SMTP_PARAM_MALFORMED; }
static bool is_alnum(char c) { return span_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }

static int hex_digit(char c)
{
    if (span_is_digit(c))
        return c - '0';
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Takes one decoded byte of xtext from *in (not empty); -1 if it is malformed. */
static int xtext_next(struct span *in)
{
    unsigned char c = (unsigned char)in->p[0];
    int high, low;

    if (c != '+') {
        *in = span_skip(*in, 1);
        return c >= '!' && c <= '~' && c != '=' ? c : -1;
    }
    high = in->n > 2 ? hex_digit(in->p[1]) : -1;
    low = in->n > 2 ? hex_digit(in->p[2]) : -1;
    *in = span_skip(*in, 3);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* xtext, and nothing in it that P9 forbids. What decodes to more than the array has is no address. */
static bool xtext_is_clean(struct span in)
{
    char decoded[DECODED_MAX];
    size_t n = 0;

    while (in.n > 0) {
        int c = n < sizeof(decoded) ? xtext_next(&in) : -1;

        if (c < 0)
            return false;
        decoded[n++] = (char)c;
    }
    return !smtp_text_has_control(span_of(decoded, n));
}

static enum smtp_param_fault read_size(struct reading *r, struct span value)
{
    enum { DIGITS_MAX = 20 };
    uint64_t size = 0;

    if (value.n == 0 || value.n > DIGITS_MAX)
        return SMTP_PARAM_MALFORMED;
    for (size_t i = 0; i < value.n; i++) {
        if (!span_is_digit(value.p[i]))
            return SMTP_PARAM_MALFORMED;
        if (__builtin_mul_overflow(size, 10, &size) ||
            __builtin_add_overflow(size, (uint64_t)(value.p[i] - '0'), &size))
            size = UINT64_MAX; /* this was the twentieth digit */
    }
    r->mail->has_size = true;
    r->mail->size = size;
    return SMTP_PARAM_OK;
}

static enum smtp_param_fault read_body(struct reading *r, struct span value)
{
    smtp_cap_set needs = SMTP_CAP_BIT(8BITMIME);

    if (span_eq_nocase(value, SPAN_LIT("8BITMIME"))) {
        r->mail->body = SMTP_BODY_8BITMIME;
    } else if (span_eq_nocase(value, SPAN_LIT("7BIT"))) {
        r->mail->body = SMTP_BODY_7BIT;
        needs |= SMTP_CAP_BIT(BINARYMIME);
    } else if (span_eq_nocase(value, SPAN_LIT("BINARYMIME"))) {
        r->mail->body = SMTP_BODY_BINARYMIME;
        needs = SMTP_CAP_BIT(BINARYMIME);
    } else {
        return SMTP_PARAM_MALFORMED;
    }
    return r->offered & needs ? SMTP_PARAM_OK : SMTP_PARAM_UNKNOWN;
}

static enum smtp_param_fault read_smtputf8(struct reading *r, struct span value)
{
    r->mail->smtputf8 = true;
    return good_if(!value.p);
}

static enum smtp_param_fault read_requiretls(struct reading *r, struct span value)
{
    r->mail->requiretls = true;
    return good_if(!value.p);
}

static enum smtp_param_fault read_ret(struct reading *r, struct span value)
{
    if (span_eq_nocase(value, SPAN_LIT("FULL")))
        r->mail->ret = SMTP_RET_FULL;
    else if (span_eq_nocase(value, SPAN_LIT("HDRS")))
        r->mail->ret = SMTP_RET_HDRS;
    return good_if(r->mail->ret != SMTP_RET_NONE);
}

/* RFC 3461 section 4.4: what it decodes to is printable ASCII. */
static enum smtp_param_fault read_envid(struct reading *r, struct span value)
{
    r->mail->envid = value;
    if (value.n == 0 || value.n > ENVID_MAX)
        return SMTP_PARAM_MALFORMED;
    while (value.n > 0) {
        int c = xtext_next(&value);

        if (c < ' ' || c > '~')
            return SMTP_PARAM_MALFORMED;
    }
    return SMTP_PARAM_OK;
}

static enum smtp_param_fault read_auth(struct reading *r, struct span value)
{
    r->mail->has_auth = true;
    r->mail->auth = value;
    return good_if(value.n > 0 && xtext_is_clean(value));
}

/* The bit of the first word of a list, which is taken from it; 0 if it is none. */
static unsigned notify_next(struct span *list)
{
    static const struct {
        struct span name;
        unsigned bit;
    } words[] = {
        { SPAN_LIT("NEVER"), SMTP_NOTIFY_NEVER },
        { SPAN_LIT("SUCCESS"), SMTP_NOTIFY_SUCCESS },
        { SPAN_LIT("FAILURE"), SMTP_NOTIFY_FAILURE },
        { SPAN_LIT("DELAY"), SMTP_NOTIFY_DELAY },
    };
    const char *comma = list->n > 0 ? memchr(list->p, ',', list->n) : NULL;
    struct span word = span_head(*list, comma ? (size_t)(comma - list->p) : list->n);

    *list = comma ? span_of(comma + 1, list->n - word.n - 1) : SPAN_NONE;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_eq_nocase(word, words[i].name))
            return words[i].bit;
    }
    return 0;
}

/* A comma is always followed by a word, so the list is at its end where its pointer is NULL. */
static enum smtp_param_fault read_notify(struct reading *r, struct span value)
{
    unsigned notify = 0;

    do {
        unsigned bit = notify_next(&value);

        if (bit == 0)
            return SMTP_PARAM_MALFORMED;
        notify |= bit;
    } while (value.p);
    r->rcpt->notify = notify;
    return good_if(!(notify & SMTP_NOTIFY_NEVER) || notify == SMTP_NOTIFY_NEVER);
}

/* RFC 6533's "\x{HEX}" at in.p: its length and character; 0 if there is none. */
static size_t embedded_char(struct span in, uint32_t *cp)
{
    enum { DIGITS_MAX = 6 };
    size_t i;

    *cp = 0;
    if (!span_begins_nocase(in, SPAN_LIT("\\x{")))
        return 0;
    for (i = 3; i < in.n && i < 3 + DIGITS_MAX && hex_digit(in.p[i]) >= 0; i++)
        *cp = *cp * 16 + (uint32_t)hex_digit(in.p[i]);
    return i > 3 && i < in.n && in.p[i] == '}' ? i + 1 : 0;
}

/* Takes one character in RFC 6533's forms from *in: embedded, or as itself. False if it is one, but a bad one. */
static bool take_unicode(struct span *in, bool raw_utf8, bool *taken)
{
    unsigned char c = (unsigned char)in->p[0];
    uint32_t cp = 0;
    size_t len = 0;

    if (c == '\\')
        len = embedded_char(*in, &cp);
    else if (c >= 0x80 && raw_utf8)
        len = codec_utf8_next(in->p, in->n, &cp);
    *taken = len > 0;
    if (len == 0)
        return c != '\\';
    *in = span_skip(*in, len);
    return !smtp_char_is_control(cp) && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

/* The address in ORCPT=utf-8;...: RFC 6533 embeds characters in its own way and, with SMTPUTF8, has them as they are.
 * They are judged here, and blotted out in a copy that must then be clean xtext. */
static bool utf8_address_is_clean(struct span in, bool raw_utf8)
{
    char copy[ORCPT_MAX];
    size_t n = 0;

    while (in.n > 0) {
        bool taken;

        if (!take_unicode(&in, raw_utf8, &taken))
            return false;
        copy[n++] = taken ? 'x' : in.p[0];
        if (!taken)
            in = span_skip(in, 1);
    }
    return xtext_is_clean(span_of(copy, n));
}

/* addr-type ";" xtext; an addr-type is an atom (RFC 3461 section 4.2), here without what xtext encodes. */
static enum smtp_param_fault read_orcpt(struct reading *r, struct span value)
{
    static const struct span marks = SPAN_LIT("!#$%&'*-/?^_`{|}~");
    struct span type = value;

    r->rcpt->orcpt = value;
    if (value.n == 0 || value.n > ORCPT_MAX)
        return SMTP_PARAM_MALFORMED;
    for (type.n = 0; type.n < value.n && value.p[type.n] != ';'; type.n++) {
        if (!is_alnum(value.p[type.n]) && !memchr(marks.p, value.p[type.n], marks.n))
            return SMTP_PARAM_MALFORMED;
    }
    if (type.n == 0 || type.n == value.n)
        return SMTP_PARAM_MALFORMED;
    value = span_skip(value, type.n + 1);
    if (span_eq_nocase(type, SPAN_LIT("utf-8")))
        return good_if(utf8_address_is_clean(value, r->offered & SMTP_CAP_BIT(SMTPUTF8)));
    return good_if(xtext_is_clean(value));
}

/* needs: any one of these must be offered; 0: always allowed. */
static const struct param_rule {
    struct span name;
    bool of_mail;
    smtp_cap_set needs;
    enum smtp_param_fault (*read)(struct reading *r, struct span value);
} rules[] = {
    { SPAN_LIT("SIZE"), true, SMTP_CAP_BIT(SIZE), read_size },
    { SPAN_LIT("BODY"), true, SMTP_CAP_BIT(8BITMIME) | SMTP_CAP_BIT(BINARYMIME), read_body },
    { SPAN_LIT("SMTPUTF8"), true, SMTP_CAP_BIT(SMTPUTF8), read_smtputf8 },
    { SPAN_LIT("RET"), true, SMTP_CAP_BIT(DSN), read_ret },
    { SPAN_LIT("ENVID"), true, SMTP_CAP_BIT(DSN), read_envid },
    { SPAN_LIT("AUTH"), true, 0, read_auth },
    { SPAN_LIT("REQUIRETLS"), true, SMTP_CAP_BIT(REQUIRETLS), read_requiretls },
    { SPAN_LIT("NOTIFY"), false, SMTP_CAP_BIT(DSN), read_notify },
    { SPAN_LIT("ORCPT"), false, SMTP_CAP_BIT(DSN), read_orcpt },
};

/* Takes the next parameter from *text, as written; false at the end. */
static bool next_word(struct span *text, struct span *word)
{
    size_t n = 0;

    *text = span_trim_left(*text);
    while (n < text->n && !span_is_blank(text->p[n]))
        n++;
    *word = span_of(text->p, n);
    *text = span_skip(*text, n);
    return n > 0;
}

static struct param param_of(struct span word)
{
    const char *eq = memchr(word.p, '=', word.n);
    size_t n = eq ? (size_t)(eq - word.p) : word.n;

    return (struct param){ span_head(word, n), eq ? span_of(eq + 1, word.n - n - 1) : SPAN_NONE };
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool is_keyword(struct span name)
{
    if (name.n == 0 || name.p[0] == '-')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_alnum(name.p[i]) && name.p[i] != '-')
            return false;
    }
    return true;
}

static enum smtp_param_fault read_param(struct reading *r, const struct param *param, unsigned *seen)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct param_rule *rule = &rules[i];

        if (!span_eq_nocase(param->name, rule->name))
            continue;
        if (rule->of_mail != (r->mail != NULL) || (rule->needs && !(r->offered & rule->needs)))
            return SMTP_PARAM_UNKNOWN;
        if (*seen & 1U << i)
            return SMTP_PARAM_MALFORMED;
        *seen |= 1U << i;
        return rule->read(r, param->value);
    }
    return is_keyword(param->name) ? SMTP_PARAM_UNKNOWN : SMTP_PARAM_MALFORMED;
}

/* The first fault decides. */
static enum smtp_param_fault read_all(struct reading *r, struct span text)
{
    struct span word;
    unsigned seen = 0;

    while (next_word(&text, &word)) {
        struct param param = param_of(word);
        enum smtp_param_fault fault = read_param(r, &param, &seen);

        if (fault != SMTP_PARAM_OK)
            return fault;
    }
    return SMTP_PARAM_OK;
}

enum smtp_param_fault smtp_mail_params_parse(struct smtp_mail_params *out, struct span text, smtp_cap_set offered)
{
    struct reading r = { .mail = out, .offered = offered };

    *out = (struct smtp_mail_params){ 0 };
    return read_all(&r, text);
}

enum smtp_param_fault smtp_rcpt_params_parse(struct smtp_rcpt_params *out, struct span text, smtp_cap_set offered)
{
    struct reading r = { .rcpt = out, .offered = offered };

    *out = (struct smtp_rcpt_params){ 0 };
    return read_all(&r, text);
}

static bool list_has(struct span list, struct span name)
{
    struct span word;

    while (next_word(&list, &word)) {
        if (span_eq_nocase(word, name))
            return true;
    }
    return false;
}

void smtp_params_copy(struct buf *out, struct span text, const char *drop)
{
    struct span word;

    while (next_word(&text, &word)) {
        if (list_has(span_str(drop), param_of(word).name))
            continue;
        buf_append(out, " ", 1);
        buf_append_span(out, word);
    }
}

const char *smtp_body_type_name(enum smtp_body_type body)
{
    switch (body) {
    case SMTP_BODY_NONE:
        return "";
    case SMTP_BODY_7BIT:
        return "7BIT";
    case SMTP_BODY_8BITMIME:
        return "8BITMIME";
    case SMTP_BODY_BINARYMIME:
        return "BINARYMIME";
    }
    return "";
}
