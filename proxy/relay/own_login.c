/* SASL's client side (sasl.h) over the steps of an upstream. Whatever is not as it should be makes it a failed server:
 * a login that is half done is never gone on with. */
#include "proxy/relay/own_login.h"

#include <stdlib.h>
#include <sys/random.h>

#include "common/codec.h"
#include "common/smtp/caps.h"
#include "proxy/net/tls_login.h"

struct own_login {
    struct upstream *u;
    struct sasl_client client;
    struct own_hashes *hashes;
    struct own_hash hash; /* asked for between a challenge and its answer */
    struct smtp_reply ehlo;
    char *ehlo_text;
};

static sasl_set offered_by(const struct smtp_reply *ehlo)
{
    struct smtp_caps caps = { .set = 0 };
    struct span line;
    size_t pos = 0;
    sasl_set set = 0;
    for (bool first = true; smtp_reply_line(ehlo, &pos, false, &line); first = false) {
        if (!first)
            smtp_caps_parse_line(&caps, line);
    }
    for (const char *p = caps.auth; *p != '\0';) {
        enum sasl_mechanism m;
        size_t n = strcspn(p, " ");
        if (sasl_find(span_of(p, n), &m))
            set |= (sasl_set)1 << m;
        p += n + (p[n] == ' ');
    }
    return set;
}

static void on_hash(struct own_hash *h, const struct sasl_work *work);

static void add(struct own_login *l, enum smtp_step_kind kind, struct span text)
{
    upstream_add(l->u, smtp_step_new(kind, (struct smtp_tag){ 0 }, text));
}

/* "AUTH NAME", with the initial response where the client speaks first. */
static void say_auth(struct own_login *l)
{
    struct buf line, message;
    buf_init(&line, NULL);
    buf_init(&message, NULL);
    buf_printf(&line, "AUTH %s", sasl_name(l->client.mechanism));
    if (sasl_client_first(l->client.mechanism)) {
        bool good = sasl_client_step(&l->client, SPAN_NONE, &message) == SASL_CLIENT_SEND;
        buf_append_span(&line, SPAN_LIT(" "));
        if (good && !buf_empty(&message))
            codec_base64_encode(&line, buf_span(&message));
        else
            buf_append_span(&line, SPAN_LIT("="));
    }
    add(l, SMTP_STEP_AUTH, buf_span(&line));
    sasl_buf_free(&line);
    sasl_buf_free(&message);
}

static bool is_secured(const struct upstream *u)
{
    return u->stream.ssl != NULL || u->at->kind == ENDPOINT_UNIX || netaddr_is_loopback(&u->peer.remote);
}

struct own_login *own_login_start(struct upstream *u, const struct smtp_reply *ehlo, struct own_hashes *hashes,
                                  const char **why)
{
    struct tls_bindings b;
    unsigned char nonce[SASL_NONCE];
    enum sasl_mechanism m = SASL_PLAIN;
    tls_bindings(u->stream.ssl, &b);
    struct sasl_client_params params = { .username = u->set->username,
                                         .password = u->set->password,
                                         .cache = own_hashes_cache(hashes) };
    params.bindings.exporter = span_of((const char *)b.exporter, b.exporter_len);
    params.bindings.end_point = span_of((const char *)b.end_point, b.end_point_len);
    params.nonce = nonce;
    *why = "it offers no mechanism by which we can log in";
    if (!sasl_client_choose(offered_by(ehlo), is_secured(u), b.exporter_len + b.end_point_len > 0, &m))
        return NULL;
    *why = "no random octets can be had";
    if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
        return NULL;
    struct own_login *l = calloc(1, sizeof(*l));
    if (l == NULL)
        abort();
    l->u = u;
    l->hashes = hashes;
    own_hash_init(&l->hash, on_hash);
    l->ehlo_text = strndup(ehlo->wire.p, ehlo->wire.n);
    l->ehlo = smtp_reply_read(span_str(l->ehlo_text));
    sasl_client_init(&l->client, m, &params);
    say_auth(l);
    return l;
}

static void send_response(struct own_login *l, struct span message)
{
    struct buf text;
    buf_init(&text, NULL);
    codec_base64_encode(&text, message);
    add(l, SMTP_STEP_RESPONSE, buf_span(&text));
    sasl_buf_free(&text);
}

static enum own_login_state respond(struct own_login *l, const struct smtp_reply *reply, const char **why)
{
    struct buf challenge, message;
    struct span line = SPAN_NONE;
    size_t pos = 0;
    enum sasl_client_step step = SASL_CLIENT_FAILED;
    buf_init(&challenge, NULL);
    buf_init(&message, NULL);
    *why = "its challenge is not base64";
    if (reply->lines == 1 && smtp_reply_line(reply, &pos, false, &line) &&
        codec_base64_decode(&challenge, span_trim_right(line))) {
        step = sasl_client_step(&l->client, buf_span(&challenge), &message);
        *why = l->client.problem;
    }
    if (step == SASL_CLIENT_SEND)
        send_response(l, buf_span(&message));
    else if (step == SASL_CLIENT_WORK)
        own_hash_ask(l->hashes, &l->hash, sasl_client_take_work(&l->client));
    sasl_buf_free(&challenge);
    sasl_buf_free(&message);
    return step == SASL_CLIENT_FAILED ? OWN_LOGIN_FAILED : OWN_LOGIN_GOES_ON;
}

/* Where it came to nothing the server's reply to "*" ends the login. */
static void on_hash(struct own_hash *h, const struct sasl_work *work)
{
    struct own_login *l = CONTAINER_OF(h, struct own_login, hash);
    struct buf message;
    buf_init(&message, NULL);
    if (sasl_client_worked(&l->client, work, &message) == SASL_CLIENT_SEND)
        send_response(l, buf_span(&message));
    else
        add(l, SMTP_STEP_RESPONSE, SPAN_LIT("*"));
    sasl_buf_free(&message);
}

enum own_login_state own_login_reply(struct own_login *l, const struct smtp_reply *reply, const char **why)
{
    *why = NULL;
    if (reply->code == 334)
        return respond(l, reply, why);
    if (!smtp_reply_is(reply, 2)) {
        *why = l->client.problem;
        return OWN_LOGIN_FAILED;
    }
    if (sasl_client_accept(&l->client))
        return OWN_LOGIN_DONE;
    *why = "it says yes without having shown that it knows the password";
    return OWN_LOGIN_FAILED;
}

const struct smtp_reply *own_login_ehlo(const struct own_login *l) { return &l->ehlo; }

void own_login_free(struct own_login **lp)
{
    struct own_login *l = *lp;
    *lp = NULL;
    if (l == NULL)
        return;
    own_hash_cancel(&l->hash);
    sasl_client_free(&l->client);
    free(l->ehlo_text);
    free(l);
}
