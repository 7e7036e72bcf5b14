/* A disk that misbehaves, preloaded into the program under test: what it writes to the file named by SHIM_FILE passes
 * through here. The test steers by the file SHIM_CONTROL, which both map.
 *
 * With `shadow`, what is written is kept aside until fsync(): when the program is killed, it is lost, as in a crash of
 * the machine. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The order is that of the test's struct format. */
struct control {
    volatile int write_errno, sync_errno, allocate_errno;
    volatile int hang_write, hang_sync;
    volatile int shadow;
    volatile int writes, syncs, failed_syncs;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *kept;
static size_t kept_len, kept_cap;

static struct control *control(void)
{
    static struct control *mapped;
    const char *path = getenv("SHIM_CONTROL");
    if (mapped == NULL && path != NULL) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
        void *p = fd >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (p == MAP_FAILED)
            abort();
        syscall(SYS_close, fd);
        mapped = p;
    }
    return mapped;
}

static int is_log(int fd)
{
    char link[64], path[PATH_MAX];
    const char *file = getenv("SHIM_FILE");
    char *p = link + sizeof(link);
    unsigned n = (unsigned)fd;
    if (file == NULL || fd <= 2)
        return 0;
    *--p = '\0';
    do {
        *--p = (char)('0' + n % 10);
    } while ((n /= 10) > 0);
    p -= 14;
    memcpy(p, "/proc/self/fd/", 14);
    ssize_t len = readlink(p, path, sizeof(path) - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return strncmp(path, file, strlen(file)) == 0;
}

static void hang(const volatile int *while_set)
{
    while (*while_set)
        usleep(1000);
}

static ssize_t keep(const char *p, size_t n)
{
    pthread_mutex_lock(&lock);
    if (kept_cap - kept_len < n) {
        kept_cap = 2 * (kept_len + n);
        kept = realloc(kept, kept_cap);
        if (kept == NULL)
            abort();
    }
    memcpy(kept + kept_len, p, n);
    kept_len += n;
    pthread_mutex_unlock(&lock);
    return (ssize_t)n;
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (!is_log(fd))
        return syscall(SYS_write, fd, p, n);
    struct control *c = control();
    hang(&c->hang_write);
    c->writes++;
    if (c->write_errno != 0) {
        errno = c->write_errno;
        return -1;
    }
    return c->shadow ? keep(p, n) : syscall(SYS_write, fd, p, n);
}

static int apply(int fd)
{
    size_t done = 0;
    pthread_mutex_lock(&lock);
    while (done < kept_len) {
        ssize_t n = syscall(SYS_write, fd, kept + done, kept_len - done);
        if (n < 0)
            break;
        done += (size_t)n;
    }
    memmove(kept, kept + done, kept_len - done);
    kept_len -= done;
    int left = kept_len > 0;
    pthread_mutex_unlock(&lock);
    return left ? -1 : 0;
}

static int sync_with(int fd, long call)
{
    if (!is_log(fd))
        return (int)syscall(call, fd);
    struct control *c = control();
    hang(&c->hang_sync);
    if (c->sync_errno != 0) {
        c->failed_syncs++;
        errno = c->sync_errno;
        return -1;
    }
    if (kept_len > 0 && apply(fd) != 0)
        return -1;
    int result = (int)syscall(call, fd);
    c->syncs++;
    return result;
}

int fsync(int fd) { return sync_with(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_with(fd, SYS_fdatasync); }

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (is_log(fd) && control()->allocate_errno != 0) {
        errno = control()->allocate_errno;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}
