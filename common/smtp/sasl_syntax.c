/* The messages of the mechanisms, read into views. All are read strictly: what isn't exactly of the form is refused,
 * because the log takes names out of these and must never take a piece of a secret for one. */
#include "common/smtp/sasl_impl.h"

static bool span_has(struct span s, char c) { return s.n > 0 && memchr(s.p, c, s.n) != NULL; }

/* Cuts *rest at the first `sep`; the part before it. False: there is none. */
static bool cut_at(struct span *rest, char sep, struct span *part_r)
{
    const char *at = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
    if (at == NULL)
        return false;
    size_t n = (size_t)(at - rest->p);
    *part_r = span_of(rest->p, n);
    *rest = span_of(at + 1, rest->n - n - 1);
    return true;
}

static bool begins(struct span s, const char *word)
{
    size_t n = strlen(word);
    return s.n >= n && memcmp(s.p, word, n) == 0;
}

static bool printable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return s.n > 0;
}

static bool saslname_valid(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || s.p[i] == ',')
            return false;
        if (s.p[i] != '=')
            continue;
        struct span code = span_head(span_skip(s, i), 3);
        if (!begins(code, "=2C") && !begins(code, "=3D"))
            return false;
    }
    return s.n > 0;
}

char *saslname_decode(struct span in)
{
    if (!saslname_valid(in))
        return NULL;
    char *name = sasl_dup(in), *to = name;
    for (size_t i = 0; i < in.n; i++) {
        bool coded = in.p[i] == '=';
        *to++ = !coded ? in.p[i] : in.p[i + 1] == '2' ? ',' : '=';
        i += coded ? 2 : 0;
    }
    *to = '\0';
    return name;
}

char *saslname_encode(struct span in)
{
    char *name = sasl_new(3 * in.n + 1), *to = name;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == ',' || in.p[i] == '=')
            to = stpcpy(to, in.p[i] == ',' ? "=2C" : "=3D");
        else
            *to++ = in.p[i];
    }
    return name;
}

static bool gs2_flag_read(struct span flag, struct gs2_header *out)
{
    out->binding = SPAN_NONE;
    if (begins(flag, "p=")) {
        out->flag = GS2_BOUND;
        out->binding = span_skip(flag, 2);
        return printable(out->binding);
    }
    out->flag = begins(flag, "y") ? GS2_UNSEEN : GS2_NONE;
    return flag.n == 1 && (flag.p[0] == 'y' || flag.p[0] == 'n');
}

bool gs2_header_read(struct span *rest, struct gs2_header *out_r)
{
    struct span flag, authzid, from = *rest;
    if (!cut_at(rest, ',', &flag) || !gs2_flag_read(flag, out_r) || !cut_at(rest, ',', &authzid))
        return false;
    out_r->all = span_of(from.p, from.n - rest->n);
    out_r->authzid = SPAN_NONE;
    if (authzid.n == 0)
        return true;
    out_r->authzid = span_skip(authzid, 2);
    return begins(authzid, "a=") && saslname_valid(out_r->authzid);
}

bool scram_attribute(struct span *rest, char *name_r, struct span *value_r)
{
    struct span all = *rest, one = all;
    if (cut_at(rest, ',', &one)) {
        if (rest->n == 0)
            return false;
    } else {
        *rest = SPAN_NONE;
    }
    if (one.n < 3 || one.p[1] != '=' || span_has(one, '\0'))
        return false;
    *name_r = one.p[0];
    *value_r = span_skip(one, 2);
    return (*name_r >= 'a' && *name_r <= 'z') || (*name_r >= 'A' && *name_r <= 'Z');
}

bool scram_expect(struct span *rest, char name, struct span *value_r)
{
    char got;
    return rest->n > 0 && scram_attribute(rest, &got, value_r) && got == name;
}

bool scram_extensions(struct span rest)
{
    while (rest.n > 0) {
        char name;
        struct span value;
        if (!scram_attribute(&rest, &name, &value) || name == 'm')
            return false;
    }
    return true;
}

bool scram_client_first_read(struct span text, struct scram_client_first *out_r)
{
    if (!gs2_header_read(&text, &out_r->gs2))
        return false;
    out_r->bare = text;
    return scram_expect(&text, 'n', &out_r->name) && saslname_valid(out_r->name) &&
           scram_expect(&text, 'r', &out_r->nonce) && printable(out_r->nonce) && scram_extensions(text);
}

/* The proof is the last attribute; what stands before it is signed. */
bool scram_client_final_read(struct span text, struct scram_client_final *out_r)
{
    const char *comma = text.n > 0 ? memrchr(text.p, ',', text.n) : NULL;
    if (comma == NULL)
        return false;
    size_t before = (size_t)(comma - text.p), n = 0;
    struct span rest = span_head(text, before), last = span_skip(text, before + 1);
    out_r->without_proof = rest;
    return begins(last, "p=") && sasl_unbase64(span_skip(last, 2), out_r->proof, sizeof(out_r->proof), &n) &&
           n == sizeof(out_r->proof) && scram_expect(&rest, 'c', &out_r->binding) &&
           scram_expect(&rest, 'r', &out_r->nonce) && printable(out_r->nonce) && scram_extensions(rest);
}

/* "Bearer" SP token, the token without spaces. Empty is RFC 7628's question for the server's error. */
static bool bearer_read(struct span value, struct span *token_r)
{
    *token_r = SPAN_NONE;
    if (value.n == 0)
        return true;
    if (!span_begins_nocase(value, SPAN_LIT("Bearer ")))
        return false;
    *token_r = span_trim_left(span_skip(value, 7));
    return printable(*token_r);
}

/* key=value ^A ... ^A: the pairs up to the empty one, which is the end. */
static bool oauth_pairs(struct span rest, struct oauth_message *out)
{
    bool seen = false;
    struct span pair;
    while (cut_at(&rest, '\1', &pair)) {
        if (pair.n == 0)
            return seen && rest.n == 0;
        if (span_has(pair, '\0') || !span_has(pair, '='))
            return false;
        if (!begins(pair, "auth="))
            continue;
        if (seen || !bearer_read(span_skip(pair, 5), &out->token))
            return false;
        seen = true;
    }
    return false;
}

bool oauth_message_read(struct span text, enum sasl_mechanism m, struct oauth_message *out_r)
{
    struct span head;
    *out_r = (struct oauth_message){ 0 };
    if (m == SASL_XOAUTH2) {
        if (!begins(text, "user=") || !cut_at(&text, '\1', &head))
            return false;
        out_r->user = span_skip(head, 5);
    } else {
        if (!gs2_header_read(&text, &out_r->gs2) || !cut_at(&text, '\1', &head) || head.n != 0)
            return false;
        out_r->user = out_r->gs2.authzid;
    }
    return oauth_pairs(text, out_r);
}

bool plain_message_read(struct span text, struct plain_message *out_r)
{
    if (!cut_at(&text, '\0', &out_r->authzid) || !cut_at(&text, '\0', &out_r->authcid))
        return false;
    out_r->passwd = text;
    return !span_has(text, '\0');
}

bool cram_message_read(struct span text, struct span *name_r, struct span *digest_r)
{
    if (text.n <= CRAM_DIGEST + 1)
        return false;
    size_t n = text.n - CRAM_DIGEST - 1;
    *name_r = span_head(text, n);
    *digest_r = span_skip(text, n + 1);
    for (size_t i = 0; i < digest_r->n; i++)
        if (strchr("0123456789abcdefABCDEF", digest_r->p[i]) == NULL || digest_r->p[i] == '\0')
            return false;
    return text.p[n] == ' ';
}
