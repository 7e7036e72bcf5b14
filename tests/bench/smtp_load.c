/* An SMTP load client for what smtp-source can't do: TLS, with and without resumption, at a given rate, with the
 * latency of each transaction. A thread a session, blocking sockets; what it found is one line of JSON on stdout.
 *
 *     smtp_load -p PORT [-s sessions] [-m messages] [-n messages a connection, 0: all] [-l octets a message]
 *               [-T (TLS from the first octet)] [-r (resume TLS sessions)] [-R connections a second] [-g transactions a
 *               second and session] [-H (greeting and QUIT alone)] */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    unsigned port, sessions, per_connection, rate, pace;
    long messages;
    size_t length;
    bool tls, resume, hello;
} opt = { .sessions = 1, .messages = 1000, .per_connection = 1, .length = 1024 };

static SSL_CTX *tls_context;
static char *message; /* with its end of data */
static size_t message_len;
static uint64_t began;
static atomic_long next_message, next_connection, done, failed, handshakes, resumed;
static uint32_t *took; /* microseconds of each transaction, by its number */

struct session {
    pthread_t thread;
    int fd;
    SSL *ssl;
    SSL_SESSION *ticket;
    char in[4096];
    size_t have;
    long transactions;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void sleep_until(uint64_t when)
{
    struct timespec t = { .tv_sec = (time_t)(when / 1000000), .tv_nsec = (long)(when % 1000000) * 1000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct session *s = SSL_get_app_data(ssl);
    SSL_SESSION_free(s->ticket);
    s->ticket = ticket;
    return 1;
}

static bool put(struct session *s, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent;
        if (s->ssl != NULL)
            sent = SSL_write(s->ssl, p, (int)(n > 1 << 20 ? 1 << 20 : n));
        else
            sent = send(s->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Reads to the last line of a reply; its code, or 0. */
static int get_reply(struct session *s)
{
    for (;;) {
        char *line = s->in, *lf;
        while ((lf = memchr(line, '\n', s->have - (size_t)(line - s->in))) != NULL) {
            bool last = lf - line >= 4 && line[3] == ' ';
            int code = last ? atoi(line) : 0;
            line = lf + 1;
            if (!last)
                continue;
            s->have -= (size_t)(line - s->in);
            memmove(s->in, line, s->have);
            return code;
        }
        if (s->have == sizeof(s->in))
            return 0;
        char *to = s->in + s->have;
        int room = (int)(sizeof(s->in) - s->have);
        ssize_t n = s->ssl ? SSL_read(s->ssl, to, room) : recv(s->fd, to, (size_t)room, 0);
        if (n <= 0)
            return 0;
        s->have += (size_t)n;
    }
}

static bool say(struct session *s, const char *line, int code)
{
    return put(s, line, strlen(line)) && get_reply(s) == code;
}

static void hang_up(struct session *s)
{
    if (s->ssl != NULL) {
        SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
    }
    if (s->fd >= 0)
        close(s->fd);
    s->ssl = NULL;
    s->fd = -1;
    s->have = 0;
}

static bool secure(struct session *s)
{
    s->ssl = SSL_new(tls_context);
    if (s->ssl == NULL)
        return false;
    SSL_set_app_data(s->ssl, s);
    SSL_set_fd(s->ssl, s->fd);
    if (opt.resume && s->ticket != NULL)
        SSL_set_session(s->ssl, s->ticket);
    if (SSL_connect(s->ssl) != 1)
        return false;
    atomic_fetch_add(&handshakes, 1);
    atomic_fetch_add(&resumed, SSL_session_reused(s->ssl));
    return true;
}

static bool call(struct session *s)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (opt.rate > 0)
        sleep_until(began + (uint64_t)atomic_fetch_add(&next_connection, 1) * 1000000 / opt.rate);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        return false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return (!opt.tls || secure(s)) && get_reply(s) == 220 && (opt.hello || say(s, "EHLO client.example\r\n", 250));
}

static bool transaction(struct session *s)
{
    return say(s, "MAIL FROM:<load@client.example>\r\n", 250) && say(s, "RCPT TO:<rcpt@sink.example>\r\n", 250) &&
           say(s, "DATA\r\n", 354) && put(s, message, message_len) && get_reply(s) == 250;
}

/* One connection's messages; false: there are no more to send. */
static bool connection(struct session *s)
{
    long number = atomic_fetch_add(&next_message, 1);
    if (number >= opt.messages)
        return false;
    bool ok = call(s);
    for (unsigned n = 1; ok && !opt.hello; n++) {
        if (opt.pace > 0)
            sleep_until(began + (uint64_t)s->transactions++ * 1000000 / opt.pace);
        uint64_t from = now_us();
        ok = transaction(s);
        if (!ok)
            break;
        took[number] = (uint32_t)(now_us() - from);
        atomic_fetch_add(&done, 1);
        if ((opt.per_connection > 0 && n >= opt.per_connection) ||
            (number = atomic_fetch_add(&next_message, 1)) >= opt.messages)
            break;
    }
    if (ok)
        ok = say(s, "QUIT\r\n", 221);
    atomic_fetch_add(&failed, !ok);
    hang_up(s);
    return true;
}

static void *run_session(void *arg)
{
    struct session *s = arg;
    s->fd = -1;
    while (atomic_load(&failed) < 100 && connection(s))
        ;
    SSL_SESSION_free(s->ticket);
    return NULL;
}

static void make_message(void)
{
    static const char head[] = "Subject: load\r\n\r\n", end[] = "\r\n.\r\n";
    size_t head_len = sizeof(head) - 1, end_len = sizeof(end) - 1;
    size_t body = opt.length > head_len ? opt.length - head_len : 0;
    message_len = head_len + body + end_len;
    message = malloc(message_len + 1);
    if (message == NULL)
        abort();
    memcpy(message, head, head_len);
    for (size_t i = 0; i < body; i++)
        message[head_len + i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    if (body > 0 && message[head_len + body - 1] == '\r')
        message[head_len + body - 1] = 'x';
    memcpy(message + head_len + body, end, end_len + 1);
}

static void make_tls(void)
{
    tls_context = SSL_CTX_new(TLS_client_method());
    if (tls_context == NULL)
        abort();
    SSL_CTX_set_mode(tls_context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls_context, on_ticket);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(uint64_t spent)
{
    size_t n = 0;
    for (long i = 0; i < opt.messages; i++) {
        if (took[i] > 0)
            took[n++] = took[i];
    }
    qsort(took, n, sizeof(*took), by_size);
    printf("{\"messages\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"handshakes\":%ld,\"resumed\":%ld,\"p50\":%u,\"p99\":%u,"
           "\"max\":%u}\n",
           atomic_load(&done), atomic_load(&failed), (double)spent / 1e6, atomic_load(&handshakes),
           atomic_load(&resumed), n ? took[n / 2] : 0, n ? took[n * 99 / 100] : 0, n ? took[n - 1] : 0);
}

static bool read_options(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "p:s:m:n:l:TrR:g:H")) != -1) {
        unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 'p':
            opt.port = (unsigned)n;
            break;
        case 's':
            opt.sessions = (unsigned)n;
            break;
        case 'm':
            opt.messages = (long)n;
            break;
        case 'n':
            opt.per_connection = (unsigned)n;
            break;
        case 'l':
            opt.length = n;
            break;
        case 'T':
            opt.tls = true;
            break;
        case 'r':
            opt.resume = true;
            break;
        case 'H':
            opt.hello = true;
            break;
        case 'R':
            opt.rate = (unsigned)n;
            break;
        case 'g':
            opt.pace = (unsigned)n;
            break;
        default:
            return false;
        }
    }
    return opt.port > 0 && opt.sessions > 0 && opt.messages > 0;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: smtp_load -p PORT [-s N] [-m N] [-n N] [-l N] [-T] [-r] [-R N] [-g N] [-H]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_message();
    make_tls();
    took = calloc((size_t)opt.messages, sizeof(*took));
    struct session *session = calloc(opt.sessions, sizeof(*session));
    pthread_attr_t attr;
    if (took == NULL || session == NULL || pthread_attr_init(&attr) != 0)
        abort();
    pthread_attr_setstacksize(&attr, 256 * 1024);
    began = now_us();
    for (unsigned i = 0; i < opt.sessions; i++) {
        if (pthread_create(&session[i].thread, &attr, run_session, &session[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < opt.sessions; i++)
        pthread_join(session[i].thread, NULL);
    report(now_us() - began);
    free(session);
    free(took);
    free(message);
    SSL_CTX_free(tls_context);
    return atomic_load(&failed) > 0;
}
