/* Connections to Dovecot's auth socket: one a socket and worker, kept open, many calls on it at once.
 *
 *   DOWN --connect--> HELLO --DONE--> READY
 *    ^                  |               |
 *    +----- lost: every open call is told, then another attempt after a while, doubling to 6 s
 *
 * A call that comes while it is DOWN tries at once, but not more often than every 100 ms: Dovecot's restart costs one
 * login, not a minute of them. A call whose line was sent is never sent again: Dovecot counts failures. One `error`
 * record an outage. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/smtp/dovecot.h"
#include "proxy/net/stream.h"
#include "proxy/relay/auth_impl.h"

enum server_state { SERVER_DOWN, SERVER_HELLO, SERVER_READY };

#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_LAST (64 * RETRY_FIRST)
#define HELLO_TIME (30 * USEC_PER_SEC)
enum { CALLS_MAX = 1000, UNSENT_MAX = 4 << 20 };

struct auth_server {
    struct list node; /* of the backends */
    struct auth_backends *b;
    char *path; /* owned */
    enum server_state state;
    struct stream stream;
    struct dovecot proto;
    struct timer timer; /* DOWN: when to try again; HELLO: until when it may last */
    usec_t retry, tried;
    struct list calls;
    unsigned open;
    uint32_t next_id;
    sasl_set mechanisms; /* of the last time that it was READY */
    bool known, told, wanted;
};

static void try_connect(struct auth_server *s);

static void free_server(struct auth_server *s)
{
    list_remove(&s->node);
    timer_clear(&s->timer);
    stream_close(&s->stream);
    dovecot_free(&s->proto);
    free(s->path);
    free(s);
}

/* --- calls --- */

static void take_call(struct auth_call *c)
{
    list_remove(&c->node);
    sasl_buf_free(&c->line);
    struct auth_server *s = c->server;
    c->server = NULL;
    if (--s->open == 0 && !s->wanted)
        loop_timer(s->b->loop, &s->timer, RETRY_FIRST);
}

static void fail_call(struct auth_call *c)
{
    take_call(c);
    c->answer(c, DOVECOT_BROKEN, NULL);
}

/* Those told may open others, which are not told. */
static void fail_calls(struct auth_server *s)
{
    struct list lost;
    struct list *first;
    list_init(&lost);
    list_move_all(&lost, &s->calls);
    while ((first = list_first(&lost)) != NULL)
        fail_call(LIST_ENTRY(first, struct auth_call, node));
}

static struct auth_call *find_call(struct auth_server *s, uint32_t id)
{
    for (struct list *n = s->calls.next; n != &s->calls; n = n->next) {
        struct auth_call *c = LIST_ENTRY(n, struct auth_call, node);
        if (c->id == id && c->sent)
            return c;
    }
    return NULL;
}

static void write_line(struct auth_server *s, struct buf *line)
{
    struct span piece = buf_span(line);
    s->stream.secret = true;
    stream_write_pieces(&s->stream, &piece, 1);
    sasl_buf_free(line);
}

static bool has_mechanism(const struct auth_server *s, enum sasl_mechanism m)
{
    return (s->mechanisms & (sasl_set)1 << m) != 0;
}

/* Sent where the server can do it, told where not. */
static void release_call(struct auth_server *s, struct auth_call *c)
{
    if (!c->sent && !has_mechanism(s, c->mechanism)) {
        fail_call(c);
        return;
    }
    c->sent = true;
    write_line(s, &c->line);
}

static void release_calls(struct auth_server *s)
{
    struct list waiting;
    struct list *first;
    list_init(&waiting);
    list_move_all(&waiting, &s->calls);
    while ((first = list_first(&waiting)) != NULL) {
        list_remove(first);
        list_append(&s->calls, first);
        struct auth_call *c = LIST_ENTRY(first, struct auth_call, node);
        if (!c->sent && !buf_empty(&c->line))
            release_call(s, c);
    }
}

/* --- the connection --- */

static void go_down(struct auth_server *s, const char *why)
{
    stream_close(&s->stream);
    dovecot_free(&s->proto);
    s->state = SERVER_DOWN;
    if (!s->told)
        auth_tell(s->b, ERR_AUTH_SERVER, s->path, why);
    s->told = true;
    loop_timer(s->b->loop, &s->timer, s->retry);
    s->retry = s->retry < RETRY_LAST ? 2 * s->retry : RETRY_LAST;
    fail_calls(s);
}

static void become_ready(struct auth_server *s)
{
    timer_clear(&s->timer);
    s->state = SERVER_READY;
    s->retry = RETRY_FIRST;
    s->told = false;
    s->known = true;
    s->mechanisms = s->proto.mechanisms;
    release_calls(s);
}

static void answer_call(struct auth_server *s, enum dovecot_event event, const struct dovecot_reply *reply)
{
    struct auth_call *c = find_call(s, reply->id);
    if (c == NULL) /* given up meanwhile */
        return;
    if (event != DOVECOT_CONT)
        take_call(c);
    c->answer(c, event, reply);
}

static void on_readable(void *owner)
{
    struct auth_server *s = owner;
    struct dovecot_reply reply;
    enum dovecot_event event;
    while (s->state != SERVER_DOWN && (event = dovecot_next(&s->proto, &s->stream.in, &reply)) != DOVECOT_MORE) {
        if (event == DOVECOT_BROKEN)
            go_down(s, s->proto.problem);
        else if (event == DOVECOT_READY)
            become_ready(s);
        else
            answer_call(s, event, &reply);
    }
    if (s->state != SERVER_DOWN && s->stream.eof)
        go_down(s, "the auth server closed the connection");
}

static void on_drained(void *owner) { (void)owner; }

static void on_broken(void *owner, int err)
{
    struct auth_server *s = owner;
    go_down(s, strerror(err));
}

static void on_secured(void *owner, const char *why)
{
    (void)owner;
    (void)why;
}

static const struct stream_ops stream_ops = {
    .readable = on_readable, .drained = on_drained, .broken = on_broken, .secured = on_secured
};

static int connect_to(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    memcpy(un.sun_path, path, min_size(strlen(path), sizeof(un.sun_path) - 1));
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* A unix socket connects at once or not at all. The id stands for a process's: it must be another for each connection.
 */
static void try_connect(struct auth_server *s)
{
    uint32_t pid;
    s->tried = s->b->loop->mono;
    int fd = connect_to(s->path);
    if (fd < 0) {
        go_down(s, strerror(errno));
        return;
    }
    auth_random(&pid, sizeof(pid));
    stream_open(&s->stream, s->b->loop, fd, false, &stream_ops, s);
    dovecot_init(&s->proto);
    s->state = SERVER_HELLO;
    dovecot_put_hello(stream_out(&s->stream), (pid & INT32_MAX) | 1);
    stream_wrote(&s->stream);
    loop_timer(s->b->loop, &s->timer, HELLO_TIME);
}

static void on_timer(struct timer *t)
{
    struct auth_server *s = CONTAINER_OF(t, struct auth_server, timer);
    if (!s->wanted && s->open == 0)
        free_server(s);
    else if (s->state == SERVER_HELLO)
        go_down(s, "the auth server does not answer");
    else if (s->state == SERVER_DOWN)
        try_connect(s);
}

/* --- the backends' connections --- */

static struct auth_server *find_server(struct auth_backends *b, const char *path)
{
    for (struct list *n = b->servers.next; n != &b->servers; n = n->next) {
        struct auth_server *s = LIST_ENTRY(n, struct auth_server, node);
        if (strcmp(s->path, path) == 0)
            return s;
    }
    return NULL;
}

static struct auth_server *need_server(struct auth_backends *b, const char *path)
{
    struct auth_server *s = find_server(b, path);
    if (s != NULL)
        return s;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        abort();
    s->b = b;
    s->path = conf_dup(span_str(path));
    s->retry = RETRY_FIRST;
    s->stream.fd = -1;
    list_init(&s->calls);
    timer_init(&s->timer, on_timer);
    list_append(&b->servers, &s->node);
    try_connect(s);
    return s;
}

sasl_set auth_server_mechanisms(struct auth_backends *b, const char *path)
{
    const struct auth_server *s = find_server(b, path);
    return s != NULL && s->known ? s->mechanisms : ~(sasl_set)0;
}

/* One that the settings name no more and that nobody uses. */
static void tidy(struct auth_backends *b)
{
    struct list *next;
    for (struct list *n = b->servers.next; n != &b->servers; n = next) {
        struct auth_server *s = LIST_ENTRY(n, struct auth_server, node);
        next = n->next;
        if (!s->wanted && s->open == 0)
            free_server(s);
    }
}

void auth_servers_configure(struct auth_backends *b, const struct settings *settings)
{
    for (struct list *n = b->servers.next; n != &b->servers; n = n->next)
        LIST_ENTRY(n, struct auth_server, node)->wanted = false;
    for (size_t i = 0; i < settings->listeners; i++) {
        const struct auth_settings *a = &settings->listener[i].auth;
        if (a->mode != AUTH_OFF && a->backend == AUTH_BACKEND_DOVECOT)
            need_server(b, a->socket.host)->wanted = true;
    }
    tidy(b);
}

void auth_servers_free(struct auth_backends *b)
{
    struct list *next;
    for (struct list *n = b->servers.next; n != &b->servers; n = next) {
        next = n->next;
        free_server(LIST_ENTRY(n, struct auth_server, node));
    }
}

/* --- for exchanges --- */

bool auth_call_open(struct auth_call *c, struct auth_backends *b, const char *path, enum sasl_mechanism m)
{
    struct auth_server *s = need_server(b, path);
    list_init(&c->node);
    buf_init(&c->line, NULL);
    c->mechanism = m;
    if (s->state == SERVER_DOWN && b->loop->mono - s->tried >= RETRY_FIRST)
        try_connect(s);
    if (s->state == SERVER_DOWN || s->open >= CALLS_MAX || stream_unsent(&s->stream) > UNSENT_MAX)
        return false;
    c->server = s;
    c->id = ++s->next_id;
    s->open++;
    list_append(&s->calls, &c->node);
    return true;
}

void auth_call_send(struct auth_call *c)
{
    struct auth_server *s = c->server;
    if (s->state != SERVER_READY)
        return;
    c->sent = true;
    write_line(s, &c->line);
}

void auth_call_end(struct auth_call *c)
{
    struct auth_server *s = c->server;
    if (s == NULL)
        return;
    if (c->sent && s->state == SERVER_READY) {
        dovecot_put_cancel(stream_out(&s->stream), c->id);
        stream_wrote(&s->stream);
    }
    take_call(c);
}
