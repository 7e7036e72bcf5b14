/* See durable.h. Room is taken by fallocate(2) with FALLOC_FL_KEEP_SIZE: the blocks are ours, and readers see nothing
 * of them. */
#include "proxy/log/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP = 1024 * 1024 };

static int allocate(int fd, off_t from, off_t to)
{
    int error;
    do {
        error = fallocate(fd, FALLOC_FL_KEEP_SIZE, from, to - from) == 0 ? 0 : errno;
    } while (error == EINTR);
    return error;
}

/* Where all of it is not to be had, as many steps as are. */
static void extend(struct durable *d, int fd, off_t to)
{
    int error = allocate(fd, d->end, to);
    if (error == 0) {
        d->end = to;
        return;
    }
    d->blind = error == EOPNOTSUPP || error == ENOSYS;
    while (!d->blind && d->end + STEP < to && allocate(fd, d->end, d->end + STEP) == 0)
        d->end += STEP;
}

/* fallocate() doesn't heed it, write() does. */
static off_t limit_of_process(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return LONG_MAX;
    return (off_t)limit.rlim_cur;
}

long durable_secure(struct durable *d, int fd, size_t want)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return DURABLE_ANY;
    off_t end = limit_of_process();
    if (!d->blind) {
        if (d->end < st.st_size || d->end - st.st_size > (off_t)want + 2 * STEP) /* or it was truncated */
            d->end = st.st_size;
        if (d->end - st.st_size < (off_t)want)
            extend(d, fd, (st.st_size + (off_t)want + STEP) / STEP * STEP);
    }
    if (!d->blind && d->end < end)
        end = d->end;
    if (end == LONG_MAX)
        return DURABLE_ANY;
    return end > st.st_size ? (long)(end - st.st_size) : 0;
}

void durable_release(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        (void)!ftruncate(fd, st.st_size);
}

int durable_sync(int fd)
{
    while (fdatasync(fd) != 0) {
        if (errno == EINTR)
            continue;
        return errno == EINVAL || errno == EROFS ? 0 : errno;
    }
    return 0;
}

int durable_sync_directory(const char *file)
{
    char *path = strdup(file);
    if (path == NULL)
        abort();
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[slash == path] = '\0';
    int fd = open(slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
    close(fd);
    return error;
}
