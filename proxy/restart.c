/* The new process inherits the sockets as they are, so that their backlogs stay; and a pipe, whose end without a word
 * means that it has died. */
#include "proxy/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/log/clock.h"

enum { PATIENCE = 60 * USEC_PER_SEC, ARGUMENTS_MAX = 64, COMMAND_MAX = 16384 };

extern char **environ;

static char program[PATH_MAX];
static char command[COMMAND_MAX]; /* the arguments, one after the other, each with its NUL */
static char *arguments[ARGUMENTS_MAX + 1];

void restart_remember(void)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[n > 0 ? n : 0] = '\0';
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, command, sizeof(command) - 1) : -1;
    if (fd >= 0)
        close(fd);
    size_t count = 0;
    for (char *p = command; n > 0 && p < command + n && count < ARGUMENTS_MAX; p += strlen(p) + 1)
        arguments[count++] = p;
    arguments[count] = NULL;
}

/* A copy of ours with two more; only the array is owned. */
static char **environment_with(const struct passed_env *e)
{
    size_t n = 0, at = 0;
    while (environ[n] != NULL)
        n++;
    char **env = calloc(n + 3, sizeof(*env));
    if (env == NULL)
        abort();
    for (; at < n; at++)
        env[at] = environ[at];
    if (e->sockets != NULL)
        env[at++] = e->sockets;
    env[at] = e->ready;
    return env;
}

/* A descriptor that is duplicated onto itself loses its CLOEXEC, in the new process alone. */
static int spawn(struct restart *r, struct listener *const *listeners, size_t count, int word)
{
    struct passed_env e = { .len = 0 };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    for (size_t i = 0; i < count; i++) {
        passed_env_add(&e, listeners[i]->address, listeners[i]->fd, listeners[i]->sockets);
        for (unsigned k = 0; k < listeners[i]->sockets; k++)
            posix_spawn_file_actions_adddup2(&actions, listeners[i]->fd[k], listeners[i]->fd[k]);
    }
    passed_env_ready(&e, word);
    posix_spawn_file_actions_adddup2(&actions, word, word);
    char **env = environment_with(&e);
    int error = posix_spawn(&r->pid, program, &actions, &attr, arguments, env);
    free(env);
    passed_env_free(&e);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return error;
}

bool restart_begin(struct restart *r, struct listener *const *listeners, size_t count, const char **why)
{
    int pipe[2];
    if (program[0] == '\0' || arguments[0] == NULL || pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        *why = program[0] == '\0' ? "/proc is needed" : strerror(errno);
        return false;
    }
    int error = spawn(r, listeners, count, pipe[1]);
    close(pipe[1]);
    if (error != 0) {
        close(pipe[0]);
        r->pid = 0;
        *why = strerror(error);
        return false;
    }
    r->ready_fd = pipe[0];
    r->deadline = clock_mono() + PATIENCE;
    return true;
}

static void end(struct restart *r, bool kill_it)
{
    close(r->ready_fd);
    if (kill_it) {
        kill(r->pid, SIGKILL);
        waitpid(r->pid, NULL, 0);
    }
    r->pid = 0;
}

enum restart_state restart_look(struct restart *r, const char **why)
{
    char word;
    if (r->pid == 0)
        return RESTART_NONE;
    ssize_t n = read(r->ready_fd, &word, 1);
    if (n == 1) {
        close(r->ready_fd);
        return RESTART_READY;
    }
    if (n < 0 && clock_mono() < r->deadline)
        return RESTART_PENDING;
    *why = n == 0 ? "the new process has ended; what it said is on stderr" : "the new process does not come to serve";
    end(r, true);
    return RESTART_FAILED;
}

void restart_cancel(struct restart *r)
{
    if (r->pid != 0)
        end(r, true);
}
