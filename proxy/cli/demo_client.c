/* A client that sends one message, a command at a time, as an old and careful one would. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/smtp/reply.h"
#include "proxy/cli/demo.h"

struct client {
    int fd;
    usec_t deadline;
    struct smtp_reply_parser parser;
    struct buf in;
    char *why;
    size_t size;
};

static const struct {
    const char *line; /* NULL: nothing is sent, the greeting is awaited */
    int class;        /* of the reply */
} DIALOGUE[] = {
    { NULL, 2 },
    { "EHLO laptop.example.com\r\n", 2 },
    { "MAIL FROM:<alice@example.com>\r\n", 2 },
    { "RCPT TO:<bob@example.net>\r\n", 2 },
    { "RCPT TO:<nobody@example.net>\r\n", 5 },
    { "DATA\r\n", 3 },
    { "From: Alice <alice@example.com>\r\n"
      "To: Bob <bob@example.net>\r\n"
      "Subject: Hello\r\n"
      "Message-ID: <demo@laptop.example.com>\r\n"
      "\r\n"
      "What is written here is in no log.\r\n"
      ".\r\n",
      2 },
    { "QUIT\r\n", 2 },
};

static bool fail(struct client *c, const char *what, const char *detail)
{
    snprintf(c->why, c->size, "%s%s%s", what, detail[0] != '\0' ? ": " : "", detail);
    return false;
}

static bool send_line(struct client *c, const char *line)
{
    size_t len = strlen(line);
    if (!demo_wait(c->fd, POLLOUT, c->deadline))
        return fail(c, "the proxy takes nothing", "");
    if (send(c->fd, line, len, MSG_NOSIGNAL) != (ssize_t)len)
        return fail(c, "sending to the proxy", strerror(errno));
    return true;
}

/* Appends what the socket has; false if the reply will not come. */
static bool receive(struct client *c)
{
    enum { ROOM = 4096 };
    if (!demo_wait(c->fd, POLLIN, c->deadline))
        return fail(c, "the proxy doesn't answer", "");
    ssize_t n = recv(c->fd, buf_reserve(&c->in, ROOM), ROOM, 0);
    int err = errno;
    buf_commit(&c->in, n > 0 ? (size_t)n : 0);
    if (n > 0)
        return true;
    return fail(c, "the proxy hung up", n < 0 ? strerror(err) : "");
}

static bool read_reply(struct client *c, int class)
{
    struct smtp_reply reply;
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    while (result == SMTP_REPLY_MORE) {
        if (!receive(c))
            return false;
        struct span in = buf_span(&c->in);
        result = smtp_reply_parse(&c->parser, &in, &reply);
        if (result == SMTP_REPLY_MORE)
            buf_consume(&c->in, buf_len(&c->in));
    }
    if (result == SMTP_REPLY_BAD)
        return fail(c, "the proxy's answer can't be read", "");
    bool good = smtp_reply_is(&reply, class);
    if (!good)
        snprintf(c->why, c->size, "an unexpected answer: %.*s", (int)min_size(reply.wire.n, 120), reply.wire.p);
    buf_consume(&c->in, buf_len(&c->in));
    return good;
}

static bool talk(struct client *c)
{
    for (size_t i = 0; i < ARRAY_LEN(DIALOGUE); i++) {
        if (DIALOGUE[i].line != NULL && !send_line(c, DIALOGUE[i].line))
            return false;
        if (!read_reply(c, DIALOGUE[i].class))
            return false;
    }
    return true;
}

bool demo_send(uint16_t port, usec_t deadline, char *why, size_t size)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct client c = { .deadline = deadline, .why = why, .size = size };
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c.fd < 0 || connect(c.fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        fail(&c, "connecting to the proxy", strerror(errno));
        if (c.fd >= 0)
            close(c.fd);
        return false;
    }
    smtp_reply_parser_init(&c.parser, NULL);
    buf_init(&c.in, NULL);
    bool good = talk(&c);
    smtp_reply_parser_free(&c.parser);
    buf_free(&c.in);
    close(c.fd);
    return good;
}
