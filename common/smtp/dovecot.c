/* A line is copied to the scratch and cut at its tabs there; each field is then unescaped in its place. Nothing that
 * the server says is trusted further than that: ids are numbers, challenges base64.
 *
 * An OK says that the credentials are right, not that the user may log in: with `nologin` or `proxy` it is a refusal.
 * What is secret here (responses, bindings) is only ever appended to the caller's buffer. */
#include "common/smtp/dovecot.h"

#include <stdlib.h>

#include "common/codec.h"

enum { FIELDS_MAX = 256, MAJOR = 1, MINOR = 3 };

struct fields {
    char *at[FIELDS_MAX]; /* NUL-terminated */
    size_t count;
};

void dovecot_init(struct dovecot *d)
{
    *d = (struct dovecot){ .ready = false };
    buf_init(&d->decoded, NULL);
}

void dovecot_free(struct dovecot *d)
{
    free(d->scratch);
    d->scratch = NULL;
    sasl_buf_free(&d->decoded);
}

/* --- reading --- */

/* A NUL would end the text early: it becomes a '?'. */
static char unescaped(char c)
{
    switch (c) {
    case '0':
        return '?';
    case '1':
        return '\001';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return c;
    }
}

static void unescape(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        if (*s == '\001' && s[1] != '\0')
            *to++ = unescaped(*++s);
        else
            *to++ = *s;
    }
    *to = '\0';
}

/* Cuts the line at its tabs. False: there are too many fields to have seen them all. */
static bool split(char *line, struct fields *f)
{
    f->count = 0;
    while (line != NULL && f->count < FIELDS_MAX) {
        char *tab = strchr(line, '\t');
        if (tab != NULL)
            *tab = '\0';
        f->at[f->count++] = line;
        line = tab != NULL ? tab + 1 : NULL;
    }
    for (size_t i = 0; i < f->count; i++)
        unescape(f->at[i]);
    return line == NULL;
}

static bool read_number(const char *s, uint32_t *out)
{
    uint64_t v = 0;
    size_t n = strlen(s);
    if (n == 0 || n > 10)
        return false;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    if (v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool has(const struct fields *f, const char *name)
{
    for (size_t i = 2; i < f->count; i++) {
        if (strcmp(f->at[i], name) == 0)
            return true;
    }
    return false;
}

/* Also "name=value". */
static bool has_any(const struct fields *f, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 2; i < f->count; i++) {
        if (strncmp(f->at[i], name, n) == 0 && (f->at[i][n] == '\0' || f->at[i][n] == '='))
            return true;
    }
    return false;
}

/* The value of "name=value"; NULL: there is none, or it is empty. */
static const char *value_of(const struct fields *f, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 2; i < f->count; i++) {
        if (strncmp(f->at[i], name, n) == 0 && f->at[i][n] == '=')
            return f->at[i][n + 1] != '\0' ? f->at[i] + n + 1 : NULL;
    }
    return NULL;
}

static enum dovecot_event broken(struct dovecot *d, const char *problem)
{
    d->problem = problem;
    return DOVECOT_BROKEN;
}

static enum dovecot_event read_version(struct dovecot *d, const struct fields *f)
{
    uint32_t major;
    if (f->count < 2 || !read_number(f->at[1], &major))
        return broken(d, "the server's VERSION can't be read");
    if (major != MAJOR)
        return broken(d, "the server speaks another version of the auth protocol");
    d->version_seen = true;
    return DOVECOT_MORE;
}

/* `private` ones are not for clients, and `anonymous` is no login. */
static void read_mech(struct dovecot *d, const struct fields *f)
{
    enum sasl_mechanism m;
    if (f->count < 2 || !sasl_find(span_str(f->at[1]), &m) || has(f, "private") || has(f, "anonymous"))
        return;
    d->mechanisms |= (sasl_set)1 << m;
    if (has(f, "channel-binding"))
        d->binding |= (sasl_set)1 << m;
}

static enum dovecot_event handshake(struct dovecot *d, const struct fields *f)
{
    if (strcmp(f->at[0], "VERSION") == 0)
        return read_version(d, f);
    if (strcmp(f->at[0], "MECH") == 0)
        read_mech(d, f);
    if (strcmp(f->at[0], "DONE") != 0)
        return DOVECOT_MORE;
    if (!d->version_seen)
        return broken(d, "the server told no VERSION");
    d->ready = true;
    return DOVECOT_READY;
}

static enum dovecot_event read_cont(struct dovecot *d, const struct fields *f, struct dovecot_reply *reply)
{
    const char *binding = value_of(f, "channel_binding"), *data = f->count > 2 ? f->at[2] : "";
    if (binding != NULL && strlen(binding) < sizeof(reply->binding))
        memcpy(reply->binding, binding, strlen(binding) + 1);
    else if (binding != NULL)
        return broken(d, "the server asks for a channel binding with an odd name");
    reply->out_of_band = strcmp(data, "#") == 0;
    sasl_buf_free(&d->decoded);
    if (!reply->out_of_band && !codec_base64_decode(&d->decoded, span_str(data)))
        return broken(d, "the server's challenge is not base64");
    reply->data = buf_span(&d->decoded);
    return DOVECOT_CONT;
}

/* user: as whom; auth_user: whose password it was, where that is another (Dovecot's master users). */
static void read_names(const struct fields *f, struct dovecot_reply *reply)
{
    const char *user = value_of(f, "user"), *auth_user = value_of(f, "auth_user");
    reply->username = auth_user != NULL ? auth_user : user;
    if (auth_user != NULL && user != NULL && strcmp(auth_user, user) != 0)
        reply->authzid = user;
}

/* `temp` stands alone before 2.3. */
static enum dovecot_failure why_failed(const struct fields *f)
{
    const char *code = value_of(f, "code");
    if (has(f, "temp") || (code != NULL && (strcmp(code, "temp_fail") == 0 || strcmp(code, "temp") == 0)))
        return DOVECOT_TEMPORARY;
    if (code != NULL && strcmp(code, "invalid_base64") == 0)
        return DOVECOT_MALFORMED;
    return DOVECOT_DENIED;
}

static enum dovecot_event answer(struct dovecot *d, const struct fields *f, struct dovecot_reply *reply)
{
    bool ok = strcmp(f->at[0], "OK") == 0, fail = strcmp(f->at[0], "FAIL") == 0;
    bool cont = strcmp(f->at[0], "CONT") == 0;
    if (!ok && !fail && !cont)
        return DOVECOT_MORE;
    if (f->count < 2 || !read_number(f->at[1], &reply->id))
        return broken(d, "the server answers without an id");
    if (cont)
        return read_cont(d, f, reply);
    read_names(f, reply);
    if (ok && !has_any(f, "nologin") && !has_any(f, "proxy"))
        return DOVECOT_OK;
    reply->failure = ok ? DOVECOT_DENIED : why_failed(f);
    return DOVECOT_FAIL;
}

/* One line without its LF; a NUL in it is no text of Dovecot's. */
static enum dovecot_event read_line(struct dovecot *d, struct span line, struct dovecot_reply *reply)
{
    struct fields f;
    if (memchr(line.p, '\0', line.n) != NULL)
        return broken(d, "the server sent a NUL");
    memcpy(d->scratch, line.p, line.n);
    d->scratch[line.n] = '\0';
    if (!split(d->scratch, &f))
        return broken(d, "the server's line has too many fields");
    return d->ready ? answer(d, &f, reply) : handshake(d, &f);
}

static void need_scratch(struct dovecot *d)
{
    if (d->scratch != NULL)
        return;
    d->scratch = malloc(DOVECOT_LINE_MAX + 1);
    if (d->scratch == NULL)
        abort();
}

enum dovecot_event dovecot_next(struct dovecot *d, struct buf *in, struct dovecot_reply *reply)
{
    enum dovecot_event event = DOVECOT_MORE;
    need_scratch(d);
    while (event == DOVECOT_MORE && !buf_empty(in)) {
        *reply = (struct dovecot_reply){ .id = 0 };
        struct span all = buf_span(in);
        size_t seen = in->scan - in->head;
        const char *lf = all.n > seen ? memchr(all.p + seen, '\n', all.n - seen) : NULL;
        size_t n = lf != NULL ? (size_t)(lf - all.p) : all.n;
        in->scan = in->head + n;
        if (n > DOVECOT_LINE_MAX)
            return broken(d, "the server's line is too long");
        if (lf == NULL)
            return DOVECOT_MORE;
        event = read_line(d, span_of(all.p, n), reply);
        buf_consume(in, n + 1);
    }
    return event;
}

/* --- writing --- */

static void put_escaped(struct buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        const char *code = *s == '\001' ? "1" : *s == '\t' ? "t" : *s == '\r' ? "r" : *s == '\n' ? "n" : NULL;
        buf_append(out, code != NULL ? "\001" : s, 1);
        if (code != NULL)
            buf_append(out, code, 1);
    }
}

static void put_text(struct buf *out, const char *name, const char *value)
{
    buf_append_span(out, span_str(name));
    put_escaped(out, value);
}

static void put_peer(struct buf *out, const char *ip, const char *port, const struct netaddr *a)
{
    char text[NETADDR_STRLEN];
    if (a == NULL || (a->family != NETADDR_IPV4 && a->family != NETADDR_IPV6))
        return;
    buf_printf(out, "\t%s=%s", ip, netaddr_print_ip(a, text));
    if (a->port != 0)
        buf_printf(out, "\t%s=%u", port, (unsigned)a->port);
}

void dovecot_put_hello(struct buf *out, uint32_t pid)
{
    buf_printf(out, "VERSION\t%d\t%d\nCPID\t%u\n", MAJOR, MINOR, (unsigned)pid);
}

void dovecot_put_auth(struct buf *out, const struct dovecot_request *r)
{
    buf_printf(out, "AUTH\t%u\t%s\tservice=smtp", (unsigned)r->id, sasl_name(r->mechanism));
    if (r->tls)
        buf_append_span(out, SPAN_LIT("\tsecured=tls"));
    if (r->cert_name != NULL) {
        buf_append_span(out, SPAN_LIT("\tvalid-client-cert"));
        put_text(out, "\tcert_username=", r->cert_name);
    }
    if (r->session != NULL)
        put_text(out, "\tsession=", r->session);
    put_peer(out, "lip", "lport", r->local);
    put_peer(out, "rip", "rport", r->remote);
    if (r->initial != NULL) { /* the last: what follows is passed over */
        buf_append_span(out, SPAN_LIT("\tresp="));
        codec_base64_encode(out, *r->initial);
    }
    buf_append_span(out, SPAN_LIT("\n"));
}

void dovecot_put_cont(struct buf *out, uint32_t id, const struct span *response, struct span binding)
{
    buf_printf(out, "CONT\t%u\t", (unsigned)id);
    if (response != NULL)
        codec_base64_encode(out, *response);
    else
        buf_append_span(out, SPAN_LIT("#"));
    if (binding.n > 0) {
        buf_append_span(out, SPAN_LIT("\tchannel_binding="));
        codec_base64_encode(out, binding);
    }
    buf_append_span(out, SPAN_LIT("\n"));
}

void dovecot_put_cancel(struct buf *out, uint32_t id) { buf_printf(out, "CANCEL\t%u\n", (unsigned)id); }
