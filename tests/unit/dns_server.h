/* A name server that follows a script, on the loop of the test. */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/span.h"
#include "proxy/net/loop.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_PTR = 12, TYPE_AAAA = 28, RECORDS_MAX = 20 };

enum behaviour {
    ANSWER,
    NXDOMAIN,
    SERVFAIL,
    SILENT,
    TRUNCATED,    /* TC; nobody listens on TCP */
    FORGED_FIRST, /* answers with a wrong id, a wrong question, from a wrong port, then the right one */
    CUT,          /* the message ends inside its last record */
    GARBAGE
};

struct record_spec {
    const char *owner; /* NULL: the question's name */
    int type;
    uint32_t ttl;
    const char *data; /* an address or a name */
    size_t raw;       /* > 0: data is so many bytes of RDATA */
};

struct rule {
    const char *name;
    int type;
    enum behaviour behaviour;
    struct record_spec record[RECORDS_MAX];
    unsigned asked; /* counted by the server */
};

struct dns_server {
    struct loop *loop;
    struct rule *rules;
    size_t count;
    int fd, other_fd;
    ev_io io;
    uint16_t port;
    char text[32]; /* its address */
    unsigned asked, unknown;
};

struct msg {
    uint8_t bytes[4096];
    size_t n;
};

static inline void put16(struct msg *m, unsigned v)
{
    m->bytes[m->n++] = (uint8_t)(v >> 8);
    m->bytes[m->n++] = (uint8_t)v;
}

static inline void put_name(struct msg *m, const char *name)
{
    while (*name != '\0') {
        size_t n = strcspn(name, ".");
        m->bytes[m->n++] = (uint8_t)n;
        memcpy(m->bytes + m->n, name, n);
        m->n += n;
        name += n + (name[n] == '.');
    }
    m->bytes[m->n++] = 0;
}

static inline void put_record(struct msg *m, const struct record_spec *r, const char *question)
{
    put_name(m, r->owner != NULL ? r->owner : question);
    put16(m, (unsigned)r->type);
    put16(m, 1);
    put16(m, r->ttl >> 16);
    put16(m, r->ttl & 0xffff);
    size_t len_at = m->n;
    put16(m, 0);
    if (r->raw > 0) {
        memcpy(m->bytes + m->n, r->data, r->raw);
        m->n += r->raw;
    } else if (r->type == TYPE_A || r->type == TYPE_AAAA) {
        int ok = inet_pton(r->type == TYPE_A ? AF_INET : AF_INET6, r->data, m->bytes + m->n);
        assert(ok == 1);
        (void)ok;
        m->n += r->type == TYPE_A ? 4 : 16;
    } else {
        put_name(m, r->data);
    }
    size_t len = m->n - len_at - 2;
    m->bytes[len_at] = (uint8_t)(len >> 8);
    m->bytes[len_at + 1] = (uint8_t)len;
}

/* The name and type of a question at p; its length. */
static inline size_t read_question(const uint8_t *p, char name[256], int *type)
{
    size_t at = 0, n = 0;
    while (p[at] != 0) {
        if (n > 0)
            name[n++] = '.';
        memcpy(name + n, p + at + 1, p[at]);
        n += p[at];
        at += 1u + p[at];
    }
    name[n] = '\0';
    *type = p[at + 1] << 8 | p[at + 2];
    return at + 5;
}

static inline void make_reply(struct msg *m, const uint8_t *query, const struct rule *rule, const char *question,
                              int type, int rcode)
{
    unsigned flags = 0x8180u | (unsigned)rcode | (rule != NULL && rule->behaviour == TRUNCATED ? 0x0200u : 0),
             count = 0;
    m->n = 0;
    memcpy(m->bytes, query, 2);
    m->n = 2;
    put16(m, flags);
    put16(m, 1);
    put16(m, 0);
    put16(m, 0);
    put16(m, 0);
    put_name(m, question);
    put16(m, (unsigned)type);
    put16(m, 1);
    for (; rule != NULL && rcode == 0 && rule->behaviour != TRUNCATED && rule->record[count].data != NULL; count++)
        put_record(m, &rule->record[count], question);
    m->bytes[7] = (uint8_t)count;
}

static inline void send_to(int fd, const struct msg *m, const struct sockaddr_in *to)
{
    ssize_t n = sendto(fd, m->bytes, m->n, 0, (const struct sockaddr *)to, sizeof(*to));
    assert(n == (ssize_t)m->n);
    (void)n;
}

static inline void send_forged(struct dns_server *s, const struct msg *good, const struct sockaddr_in *to)
{
    struct msg m = *good;
    uint8_t *last = &m.bytes[m.n - 1];
    *last ^= 1; /* another address */
    m.bytes[0] ^= 0x55;
    send_to(s->fd, &m, to);
    m.bytes[0] ^= 0x55;
    m.bytes[13] ^= 1; /* another question */
    send_to(s->fd, &m, to);
    m.bytes[13] ^= 1;
    send_to(s->other_fd, &m, to); /* the right one, from elsewhere */
}

static inline void serve(struct dns_server *s, const uint8_t *query, struct rule *rule, const char *name, int type,
                         const struct sockaddr_in *to)
{
    struct msg m;
    make_reply(&m, query, rule, name, type, 0);
    switch (rule->behaviour) {
    case ANSWER:
    case TRUNCATED:
        break;
    case NXDOMAIN:
        make_reply(&m, query, rule, name, type, 3);
        break;
    case SERVFAIL:
        make_reply(&m, query, rule, name, type, 2);
        break;
    case SILENT:
        return;
    case FORGED_FIRST:
        send_forged(s, &m, to);
        break;
    case CUT:
        m.n -= 3;
        break;
    case GARBAGE:
        memset(m.bytes + 12, 0xc0, m.n - 12); /* names that point to themselves */
        break;
    }
    send_to(s->fd, &m, to);
}

static inline void on_query(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    (void)events;
    struct dns_server *s = io->data;
    uint8_t query[1500];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ssize_t n;
    while ((n = recvfrom(s->fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &len)) > 12) {
        char name[256];
        int type;
        struct rule *rule = NULL;
        read_question(query + 12, name, &type);
        s->asked++;
        for (size_t i = 0; i < s->count && rule == NULL; i++)
            if (strcasecmp(s->rules[i].name, name) == 0 && s->rules[i].type == type)
                rule = &s->rules[i];
        if (rule == NULL) { /* the name may exist, this type does not */
            struct msg m;
            s->unknown++;
            make_reply(&m, query, NULL, name, type, 0);
            send_to(s->fd, &m, &from);
            continue;
        }
        rule->asked++;
        serve(s, query, rule, name, type, &from);
    }
}

static inline int bind_udp(uint16_t *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&in, sizeof(in)) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) != 0)
        abort();
    *port = ntohs(in.sin_port);
    return fd;
}

static inline void dns_server_start(struct dns_server *s, struct loop *loop, struct rule *rules, size_t count)
{
    uint16_t other;
    *s = (struct dns_server){ .loop = loop, .rules = rules, .count = count };
    s->fd = bind_udp(&s->port);
    s->other_fd = bind_udp(&other);
    snprintf(s->text, sizeof(s->text), "127.0.0.1:%u", s->port);
    for (size_t i = 0; i < count; i++)
        rules[i].asked = 0;
    ev_io_init(&s->io, on_query, s->fd, EV_READ);
    s->io.data = s;
    ev_io_start(loop->ev, &s->io);
}

static inline void dns_server_stop(struct dns_server *s)
{
    ev_io_stop(s->loop->ev, &s->io);
    close(s->fd);
    close(s->other_fd);
}

#endif
