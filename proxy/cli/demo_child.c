/* A child has a process group of its own, so that Ctrl-C reaches us alone and the end has an order; and it is killed by
 * the kernel when we die, so that nothing is ever left behind. Signals are let in only while we wait. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/cli/demo.h"

enum { READ_ROOM = 16384, REAP_MS = 5 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
    (void)signo;
    interrupted = 1;
}

void demo_catch_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        sigaddset(&set, signals[i]);
        sigaction(signals[i], &act, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool demo_interrupted(void) { return interrupted != 0; }

usec_t demo_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

bool demo_wait(int fd, short events, usec_t deadline)
{
    sigset_t none;
    sigemptyset(&none);
    while (!interrupted) {
        usec_t left = deadline - demo_clock();
        if (left <= 0)
            return false;
        struct timespec ts = { .tv_sec = left / USEC_PER_SEC, .tv_nsec = left % USEC_PER_SEC * 1000 };
        struct pollfd p = { .fd = fd, .events = events };
        if (ppoll(&p, 1, &ts, &none) > 0)
            return true;
    }
    return false;
}

static void run_child(const char *const *argv, int out, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || dup2(out, STDOUT_FILENO) < 0)
        _exit(1);
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(127);
}

bool demo_child_start(struct demo_child *c, const char *const *argv)
{
    int ends[2];
    pid_t parent = getpid();
    *c = (struct demo_child){ .fd = -1 };
    buf_init(&c->in, NULL);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        run_child(argv, ends[1], parent);
    int err = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        errno = err;
        return false;
    }
    c->pid = pid;
    c->fd = ends[0];
    return true;
}

static bool take_line(struct demo_child *c, struct span *line)
{
    struct span in = buf_span(&c->in);
    const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    if (lf == NULL)
        return false;
    *line = span_of(in.p, (size_t)(lf - in.p));
    c->in.scan = c->in.head + line->n + 1; /* taken by the next call */
    return true;
}

bool demo_child_line(struct demo_child *c, struct span *line, usec_t deadline)
{
    if (c->in.scan > c->in.head)
        buf_consume(&c->in, c->in.scan - c->in.head);
    while (!take_line(c, line)) {
        if (c->fd < 0 || !demo_wait(c->fd, POLLIN, deadline))
            return false;
        ssize_t n = read(c->fd, buf_reserve(&c->in, READ_ROOM), READ_ROOM);
        buf_commit(&c->in, n > 0 ? (size_t)n : 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
    }
    return true;
}

void demo_child_ask(const struct demo_child *c)
{
    if (c->pid > 0)
        kill(c->pid, SIGTERM);
}

void demo_child_end(struct demo_child *c, usec_t deadline)
{
    if (c->pid > 0) {
        demo_child_ask(c);
        while (waitpid(c->pid, NULL, WNOHANG) == 0) {
            if (demo_clock() >= deadline)
                kill(c->pid, SIGKILL);
            struct timespec pause = { .tv_nsec = REAP_MS * 1000000L };
            nanosleep(&pause, NULL);
        }
        close(c->fd);
    }
    c->pid = 0;
    c->fd = -1;
    buf_free(&c->in);
}
