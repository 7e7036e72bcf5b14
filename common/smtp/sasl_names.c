/* Names in a login that others decide. A name is taken only out of a message that is exactly of its mechanism's form,
 * from the place where that form has a name. Where a client mixes things up, the log has no name rather than a piece
 * of a secret. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/sasl_impl.h"

static void text_put(char out[SASL_NAME_MAX + 1], struct span name)
{
    size_t at = 0;
    for (size_t i = 0, len; i < name.n; i += len) {
        uint32_t cp;
        len = codec_utf8_step(name.p + i, name.n - i, &cp);
        struct span one = cp == CODEC_UTF8_BAD ? SPAN_LIT("\xef\xbf\xbd") : span_of(name.p + i, len);
        if (at + one.n > SASL_NAME_MAX)
            break;
        memcpy(out + at, one.p, one.n);
        at += one.n;
    }
    out[at] = '\0';
}

/* Empty where the name has control characters: no mechanism's message is inside another's name. */
static void name_put(char out[SASL_NAME_MAX + 1], struct span name)
{
    text_put(out, sasl_has_control(name) ? SPAN_NONE : name);
}

/* PLAIN's, XOAUTH2's or OAUTHBEARER's message. */
static bool holds_message(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '\0' || (name.p[i] == '\1' && span_begins_nocase(span_skip(name, i + 1), SPAN_LIT("auth="))))
            return true;
    }
    return false;
}

/* A line that goes on behind its end may do so with a password. */
static bool holds_lines(struct span name)
{
    bool ended = false;
    for (size_t i = 0, len; i < name.n; i += len) {
        uint32_t cp;
        len = codec_utf8_step(name.p + i, name.n - i, &cp);
        bool end = cp == '\n' || cp == '\r' || cp == 0x85;
        if (ended && !end)
            return true;
        ended = ended || end;
    }
    return false;
}

/* A name that is all, or the start, of a message. */
static void open_name_put(char out[SASL_NAME_MAX + 1], struct span name)
{
    text_put(out, holds_message(name) || holds_lines(name) ? SPAN_NONE : name);
}

static void saslname_put(char out[SASL_NAME_MAX + 1], struct span encoded)
{
    char *name = saslname_decode(encoded);
    name_put(out, span_str(name));
    sasl_forget(&name);
}

static void plain_names(struct sasl_names *n, struct span text)
{
    struct plain_message m;
    if (!plain_message_read(text, &m) || m.passwd.n == 0 || holds_message(m.authcid) || holds_message(m.authzid))
        return;
    text_put(n->username, m.authcid.n > 0 ? m.authcid : m.authzid);
    text_put(n->authzid, m.authzid);
}

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr("0123456789abcdefABCDEF", s.p[i]) == NULL)
            return false;
    }
    return s.n > 0;
}

/* A digest of another length may be a word of a password: then no other word stands before it but the name. */
static void cram_names(struct sasl_names *n, struct span text)
{
    const char *blank = text.n > 0 ? memrchr(text.p, ' ', text.n) : NULL;
    if (blank == NULL)
        return;
    struct span name = span_head(text, (size_t)(blank - text.p)), digest = span_skip(text, name.n + 1);
    bool one_word = name.n == 0 || memchr(name.p, ' ', name.n) == NULL;
    if (is_hex(digest) && (digest.n == CRAM_DIGEST || one_word))
        open_name_put(n->username, name);
}

static void scram_names(struct sasl_names *n, struct span text)
{
    struct scram_client_first m;
    if (!scram_client_first_read(text, &m))
        return;
    saslname_put(n->username, m.name);
    if (m.gs2.authzid.p != NULL)
        saslname_put(n->authzid, m.gs2.authzid);
}

static void oauth_names(struct sasl_names *n, enum sasl_mechanism mechanism, struct span text)
{
    struct oauth_message m;
    if (!oauth_message_read(text, mechanism, &m))
        return;
    if (mechanism == SASL_XOAUTH2)
        name_put(n->username, m.user);
    else if (m.user.p != NULL)
        saslname_put(n->username, m.user);
}

/* --- DIGEST-MD5 (RFC 2831): a list of name=value or name="value" ---------------------------------------------------
 */

struct directive {
    struct span name, value;
    bool quoted;
};

static bool is_token(char c) { return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL; }

static struct span token_take(struct span *rest)
{
    size_t n = 0;
    while (n < rest->n && is_token(rest->p[n]))
        n++;
    struct span token = span_head(*rest, n);
    *rest = span_skip(*rest, n);
    return token;
}

/* Past the opening quote; the value still has its backslashes. */
static bool quoted_take(struct span *rest, struct span *value_r)
{
    for (size_t i = 0; i < rest->n; i++) {
        if (rest->p[i] == '\\') {
            i++;
        } else if (rest->p[i] == '"') {
            *value_r = span_head(*rest, i);
            *rest = span_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool directive_take(struct span *rest, struct directive *d)
{
    *rest = span_trim_left(*rest);
    d->name = token_take(rest);
    *rest = span_trim_left(*rest);
    if (d->name.n == 0 || rest->n == 0 || rest->p[0] != '=')
        return false;
    *rest = span_trim_left(span_skip(*rest, 1));
    d->quoted = rest->n > 0 && rest->p[0] == '"';
    if (d->quoted) {
        *rest = span_skip(*rest, 1);
        if (!quoted_take(rest, &d->value))
            return false;
    } else {
        d->value = token_take(rest);
    }
    *rest = span_trim_left(*rest);
    if (rest->n == 0)
        return true;
    bool comma = rest->p[0] == ',';
    *rest = span_skip(*rest, 1);
    return comma;
}

static bool hex_word(struct span s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == n;
}

static void quoted_put(char out[SASL_NAME_MAX + 1], struct span value)
{
    char *plain = sasl_new(value.n + 1);
    size_t at = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\' && i + 1 < value.n)
            i++;
        plain[at++] = value.p[i];
    }
    name_put(out, span_of(plain, at));
    explicit_bzero(plain, value.n);
    free(plain);
}

static void digest_names(struct sasl_names *n, struct span text)
{
    struct directive d;
    struct span username = SPAN_NONE, authzid = SPAN_NONE;
    bool response = false, twice = false;
    while (text.n > 0) {
        if (!directive_take(&text, &d))
            return;
        if (span_eq_nocase(d.name, SPAN_LIT("username")) && d.quoted) {
            twice = twice || username.p != NULL;
            username = d.value;
        } else if (span_eq_nocase(d.name, SPAN_LIT("authzid")) && d.quoted) {
            twice = twice || authzid.p != NULL;
            authzid = d.value;
        } else if (span_eq_nocase(d.name, SPAN_LIT("response"))) {
            response = !d.quoted && hex_word(d.value, 32);
        }
    }
    if (!response || twice)
        return;
    quoted_put(n->username, username);
    quoted_put(n->authzid, authzid);
}

void sasl_names_feed(struct sasl_names *n, enum sasl_mechanism m, unsigned step, struct span decoded)
{
    if (step > 0)
        return;
    switch (m) {
    case SASL_PLAIN:
        plain_names(n, decoded);
        return;
    case SASL_LOGIN:
        open_name_put(n->username, decoded);
        return;
    case SASL_CRAM_MD5:
        cram_names(n, decoded);
        return;
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        scram_names(n, decoded);
        return;
    case SASL_XOAUTH2:
    case SASL_OAUTHBEARER:
        oauth_names(n, m, decoded);
        return;
    case SASL_EXTERNAL:
        name_put(n->authzid, decoded);
        return;
    case SASL_COUNT:
        return;
    }
}

void sasl_names_feed_named(struct sasl_names *n, struct span mechanism, unsigned step, struct span decoded)
{
    enum sasl_mechanism m;
    if (sasl_find(mechanism, &m))
        sasl_names_feed(n, m, step, decoded);
    else if (step == 0 && span_begins_nocase(mechanism, SPAN_LIT("SCRAM-")))
        scram_names(n, decoded);
    else if (step == 0 && span_eq_nocase(mechanism, SPAN_LIT("DIGEST-MD5")))
        digest_names(n, decoded);
}
