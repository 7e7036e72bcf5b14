/* SMTPTAP_SOCKETS has a line for each listener: the numbers of its sockets, a blank, its address as configured. */
#include "proxy/net/passed.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf.h"

#define SOCKETS "SMTPTAP_SOCKETS"
#define READY "SMTPTAP_READY_FD"

enum { SYSTEMD_FIRST = 3, SYSTEMD_MAX = 1024 };

static bool number_of(const char *text, char end, long max, long *out, const char **rest)
{
    char *stop;
    *out = strtol(text, &stop, 10);
    *rest = stop;
    return stop != text && *stop == end && *out >= 0 && *out <= max;
}

/* What isn't a listening socket is not for us. */
static void add(struct passed *p, long fd, struct span name, const char *prefix)
{
    int listens = 0, flags = fcntl((int)fd, F_GETFL);
    socklen_t len = sizeof(listens);
    if (flags < 0 || getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || !listens)
        return;
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    fcntl((int)fd, F_SETFL, flags | O_NONBLOCK);
    p->socket = realloc(p->socket, (p->count + 1) * sizeof(*p->socket));
    if (p->socket == NULL)
        abort();
    struct passed_socket *s = &p->socket[p->count++];
    *s = (struct passed_socket){ .fd = (int)fd, .group = p->groups };
    if (asprintf(&s->name, "%s%.*s", prefix, (int)name.n, name.p) < 0)
        abort();
}

static void read_systemd(struct passed *p)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES"), *rest;
    long n, owner;
    if (pid == NULL || fds == NULL || !number_of(pid, '\0', LONG_MAX, &owner, &rest) || owner != getpid() ||
        !number_of(fds, '\0', SYSTEMD_MAX, &n, &rest))
        return;
    for (long i = 0; i < n; i++) {
        const char *end = names != NULL ? strchrnul(names, ':') : NULL;
        struct span name = names != NULL ? span_of(names, (size_t)(end - names)) : SPAN_LIT("unknown");
        add(p, SYSTEMD_FIRST + i, name, "systemd:");
        names = end != NULL && *end == ':' ? end + 1 : NULL;
    }
    p->groups++;
}

static void read_ours(struct passed *p)
{
    const char *text = getenv(SOCKETS), *ready = getenv(READY), *rest;
    long fd;
    while (text != NULL && *text != '\0') {
        const char *end = strchrnul(text, '\n'), *name = memchr(text, ' ', (size_t)(end - text));
        if (name == NULL)
            break;
        for (const char *at = text; at < name; at = rest + 1) {
            if (!number_of(at, ',', INT32_MAX, &fd, &rest) && !number_of(at, ' ', INT32_MAX, &fd, &rest))
                return;
            add(p, fd, span_of(name + 1, (size_t)(end - name - 1)), "");
        }
        p->groups++;
        text = *end == '\n' ? end + 1 : end;
    }
    if (ready != NULL && number_of(ready, '\0', INT32_MAX, &fd, &rest) && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
        p->ready_fd = (int)fd;
}

void passed_init(struct passed *p)
{
    static const char *const OURS[] = { "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", SOCKETS, READY };
    *p = (struct passed){ .ready_fd = -1 };
    read_systemd(p);
    read_ours(p);
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        unsetenv(OURS[i]);
}

void passed_free(struct passed *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->socket[i].fd >= 0)
            close(p->socket[i].fd);
        free(p->socket[i].name);
    }
    free(p->socket);
    if (p->ready_fd >= 0)
        close(p->ready_fd);
    *p = (struct passed){ .ready_fd = -1 };
}

static const struct passed_socket *first_of(const struct passed *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->socket[i].fd >= 0 && strcmp(p->socket[i].name, name) == 0)
            return &p->socket[i];
    }
    return NULL;
}

static bool same_listener(const struct passed_socket *s, const struct passed_socket *first)
{
    return s->fd >= 0 && s->group == first->group && strcmp(s->name, first->name) == 0;
}

unsigned passed_count(const struct passed *p, const char *name)
{
    const struct passed_socket *first = first_of(p, name);
    unsigned n = 0;
    for (size_t i = 0; first != NULL && i < p->count; i++)
        n += same_listener(&p->socket[i], first);
    return n;
}

unsigned passed_take(struct passed *p, const char *name, int *fd, unsigned max)
{
    const struct passed_socket *first = first_of(p, name);
    unsigned n = 0;
    if (first == NULL)
        return 0;
    const struct passed_socket like = *first;
    for (size_t i = 0; n < max && i < p->count; i++) {
        if (!same_listener(&p->socket[i], &like))
            continue;
        fd[n++] = p->socket[i].fd;
        p->socket[i].fd = -1;
    }
    return n;
}

void passed_say_ready(struct passed *p)
{
    if (p->ready_fd < 0)
        return;
    (void)!write(p->ready_fd, "+", 1);
    close(p->ready_fd);
    p->ready_fd = -1;
}

static void append(struct passed_env *e, const char *text)
{
    size_t n = strlen(text);
    e->sockets = realloc(e->sockets, e->len + n + 1);
    if (e->sockets == NULL)
        abort();
    memcpy(e->sockets + e->len, text, n + 1);
    e->len += n;
}

void passed_env_add(struct passed_env *e, const char *name, const int *fd, unsigned count)
{
    char number[24];
    append(e, e->len == 0 ? SOCKETS "=" : "\n");
    for (unsigned i = 0; i < count; i++) {
        snprintf(number, sizeof(number), "%s%d", i > 0 ? "," : "", fd[i]);
        append(e, number);
    }
    append(e, " ");
    append(e, name);
}

void passed_env_ready(struct passed_env *e, int fd)
{
    if (asprintf(&e->ready, READY "=%d", fd) < 0)
        abort();
}

void passed_env_free(struct passed_env *e)
{
    free(e->sockets);
    free(e->ready);
    *e = (struct passed_env){ .len = 0 };
}
